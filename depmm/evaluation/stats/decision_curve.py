"""Consequences of decisions: net benefit by threshold, and predictive values by prevalence."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from depmm.evaluation.stats.intervals import Interval
from depmm.evaluation.stats.metric_intervals import estimate_metric
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.stats.seed_means import measure_over_seeds
from depmm.evaluation.stats.weighted_sums import Array, Weights, blocks

THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 20))
PREVALENCES = (0.05, 0.1, 0.2, 0.3, 0.5)
BOTH_BOUNDS = "bounds of recall and specificity"


def measure_decision_curve(
    tested: ResampledSessions, column: str, thresholds: Sequence[float] = THRESHOLDS
) -> list[dict[str, Any]]:
    """Compute the net benefit of decisions at several thresholds of the probability.

    The net benefit is ``TP / N - FP / N * t / (1 - t)``: a threshold ``t`` means that a false
    positive decision costs ``t / (1 - t)`` times what a true one gains. A model is useful at a
    threshold if its net benefit is above 0 (none is positive) and above that of deciding
    all positive.

    Parameters
    ----------
    tested : ResampledSessions
        The tested rows.
    column : str
        Column of the probabilities.
    thresholds : sequence of float, optional
        Thresholds between 0 and 1.

    Returns
    -------
    list of dict
        Per threshold ``threshold``, ``net_benefit`` (interval), ``treat_all`` (float, net benefit
        of deciding all positive) and ``gain`` (interval of the difference to the better one of
        deciding all and none positive).

    References
    ----------
    Vickers and Elkin, "Decision curve analysis: a novel method for evaluating prediction models",
    Medical Decision Making 26(6), 2006.
    """
    at = np.asarray(thresholds, float)

    def measure(rows: pd.DataFrame, weights: Weights) -> Array:
        return _net_benefits(rows["y_true"], rows[column], weights, at)

    values = measure_over_seeds(tested, measure)
    model, all_positive = (
        [part[..., half] for part in values]
        for half in (slice(None, len(thresholds)), slice(len(thresholds), None))
    )
    return [
        {
            "threshold": float(threshold),
            "net_benefit": asdict(tested.interval(*(part[:, k] for part in model))),
            "treat_all": float(all_positive[0][:, k].mean()),
            "gain": asdict(
                tested.interval(
                    *(
                        one[:, k] - np.maximum(other[:, k], 0.0)
                        for one, other in zip(model, all_positive, strict=True)
                    )
                )
            ),
        }
        for k, threshold in enumerate(thresholds)
    ]


def _net_benefits(
    y_true: pd.Series, y_prob: pd.Series, weights: Weights, thresholds: Array
) -> Array:
    """Compute the net benefit of the model and of all positive at every threshold, (D, 2 K)."""
    odds = thresholds / (1 - thresholds)
    y, prob = y_true.to_numpy(float)[:, None], y_prob.to_numpy(float)[:, None]
    all_positive = np.where(y == 1, 1.0, -odds)
    value = np.hstack([np.where(prob >= thresholds, all_positive, 0.0), all_positive])
    sums = [weights[rows].astype(float) @ value for rows in blocks(*weights.shape)]
    total = weights.sum(axis=1, dtype=float)[:, None]
    return np.concatenate(sums) / total if sums else np.empty((0, 2 * len(odds)))


def measure_predictive_values(
    tested: ResampledSessions, prevalences: Sequence[float] = PREVALENCES
) -> list[dict[str, Any]]:
    """Compute the predictive values of the decisions at stated prevalences.

    A corpus often has more positive sessions than the population in which a model is used.
    Recall and specificity are assumed to be the same there, and Bayes' rule gives the share of
    positive decisions that are correct (PPV) and of negative ones (NPV). Both rise with recall and
    specificity, and their bounds are those of both bounds, which is conservative.

    Parameters
    ----------
    tested : ResampledSessions
        The tested rows, with decisions ``y_pred``.
    prevalences : sequence of float, optional
        Shares of positives in the population.

    Returns
    -------
    list of dict
        Per prevalence ``prevalence``, ``ppv`` and ``npv`` (intervals).

    References
    ----------
    Altman and Bland, "Diagnostic tests 2: predictive values", BMJ 309:102, 1994.
    """
    recall, specificity = estimate_metric(tested, "recall"), estimate_metric(tested, "specificity")
    table = []
    for prevalence in prevalences:
        ppv = _predictive_value(recall, specificity, prevalence)
        npv = _predictive_value(specificity, recall, 1 - prevalence)
        table.append({"prevalence": float(prevalence), "ppv": asdict(ppv), "npv": asdict(npv)})
    return table


def _predictive_value(correct: Interval, other: Interval, share: float) -> Interval:
    """Apply Bayes' rule: share of correct ones among the decisions for a class."""

    def value(correct: float, other: float) -> float:
        hits, misses = share * correct, (1 - share) * (1 - other)
        return hits / (hits + misses) if hits + misses > 0 else np.nan

    return Interval(
        value(correct.value, other.value),
        value(correct.ci_low, other.ci_low),
        value(correct.ci_high, other.ci_high),
        method=BOTH_BOUNDS,
    )
