"""Consequences of decisions: net benefit by threshold, and predictive values by prevalence."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from depmm.evaluation.stats.bootstrap import ResampledSessions, measure_over_seeds
from depmm.evaluation.stats.weighted_sums import Array, Weights

THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 20))
PREVALENCES = (0.05, 0.1, 0.2, 0.3, 0.5)


def measure_decision_curve(
    tested: ResampledSessions, column: str, thresholds: Sequence[float] = THRESHOLDS
) -> list[dict[str, Any]]:
    """Compute the net benefit of decisions at several thresholds of the probability.

    The net benefit is ``TP / N - FP / N * t / (1 - t)``: a threshold ``t`` means that a false
    positive decision costs ``t / (1 - t)`` times what a true one gains. A model is useful at a
    threshold if its net benefit is above 0 (nobody is positive) and above that of deciding
    everybody positive.

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
        of deciding everybody positive) and ``gain`` (interval of the difference to the better one
        of deciding everybody and nobody positive).

    References
    ----------
    Vickers and Elkin, "Decision curve analysis: a novel method for evaluating prediction models",
    Medical Decision Making 26(6), 2006.
    """
    curve = []
    for threshold in thresholds:
        odds = threshold / (1 - threshold)

        def benefit(rows: pd.DataFrame, weights: Weights, odds: float = odds) -> Array:
            decided = rows[column].to_numpy(float) >= odds / (1 + odds)
            return _net_benefit(rows["y_true"].to_numpy(float), decided, weights, odds)

        def everybody(rows: pd.DataFrame, weights: Weights, odds: float = odds) -> Array:
            decided = np.ones(len(rows), dtype=bool)
            return _net_benefit(rows["y_true"].to_numpy(float), decided, weights, odds)

        model, everyone = measure_over_seeds(tested, benefit), measure_over_seeds(tested, everybody)
        curve.append(
            {
                "threshold": float(threshold),
                "net_benefit": asdict(tested.interval(*model)),
                "treat_all": float(np.mean(everyone[0])),
                "gain": asdict(
                    tested.interval(
                        *(
                            one - np.maximum(other, 0.0)
                            for one, other in zip(model, everyone, strict=True)
                        )
                    )
                ),
            }
        )
    return curve


def _net_benefit(y: Array, decided: Any, weights: Weights, odds: float) -> Array:
    value = np.where(decided, np.where(y == 1, 1.0, -odds), 0.0)
    return np.asarray((weights @ value) / weights.sum(axis=1, dtype=float))


def measure_predictive_values(
    tested: ResampledSessions, prevalences: Sequence[float] = PREVALENCES
) -> list[dict[str, Any]]:
    """Compute the predictive values of the decisions at stated prevalences.

    A corpus often has more positive sessions than the population in which a model is used.
    Sensitivity and specificity are assumed to be the same there, and Bayes' rule gives the share of
    positive decisions that are correct (PPV) and of negative ones (NPV).

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
    sensitivity, specificity = tested.values("recall"), tested.values("specificity")
    table = []
    for prevalence in prevalences:
        values = {}
        for name, correct, wrong, share in (
            ("ppv", sensitivity, specificity, prevalence),
            ("npv", specificity, sensitivity, 1 - prevalence),
        ):
            # the two parts of the tuples: per seed, and in each replicate
            per_seed, replicates = (
                _predictive_value(correct[part], wrong[part], share) for part in (0, 1)
            )
            values[name] = asdict(tested.interval(per_seed, replicates))
        table.append({"prevalence": float(prevalence), **values})
    return table


def _predictive_value(correct: Array, other: Array, share: float) -> Array:
    """Apply Bayes' rule: share of correct ones among the decisions for a class."""
    hits, misses = share * correct, (1 - share) * (1 - other)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(hits + misses > 0, hits / (hits + misses), np.nan))
