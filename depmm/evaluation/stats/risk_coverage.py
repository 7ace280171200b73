"""Risk-coverage curves, and the relation of gate sampling to prediction errors.

The risk-coverage curve (selective classification) shows the error of the most confident sessions,
while the others are rejected. Confidence is the distance of the probability from the decision
threshold. A second measure of uncertainty is the standard deviation of predictions under sampled
gates of the Bernoulli fusion (column ``gate_std``; see ``DepressionModel.sample``).

References
----------
El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 11, 2010.
Geifman and El-Yaniv, "Selective classification for deep neural networks", NIPS 2017.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from depmm.evaluation.prediction_checks import PredictionTableError
from depmm.evaluation.stats.intervals import Interval
from depmm.evaluation.stats.metric_intervals import estimate_metric
from depmm.evaluation.stats.reliability import clipped_logit
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.stats.seed_means import measure_over_seeds
from depmm.evaluation.stats.severity_metrics import spearman
from depmm.evaluation.stats.weighted_sums import ROUNDING, Array, Weights, weighted_total

TERCILES = ("lowest", "middle", "highest")


def risk_coverage(loss: ArrayLike, confidence: ArrayLike) -> tuple[Array, Array]:
    """Compute the mean loss of the k most confident sessions, for k = 1 ... N.

    Parameters
    ----------
    loss : array_like, shape (N,)
        0 or 1 for decisions, an absolute error for scores.
    confidence : array_like, shape (N,)
        Confidence on any scale. Sessions with the same confidence are assigned their mean loss;
        the order of the rows therefore has no effect.

    Returns
    -------
    coverage : ndarray, shape (N,)
        Share of the sessions that are not rejected, ``1 / N`` to 1.
    risk : ndarray, shape (N,)
        Mean loss of these sessions.
    """
    level = np.unique(-np.asarray(confidence, dtype=float), return_inverse=True)[1]
    return _curve(np.asarray(loss, dtype=float), level)


def aurc(loss: ArrayLike, confidence: ArrayLike, weights: Weights) -> Array:
    """Compute the area under the risk-coverage curve.

    The area is the mean risk over the coverages ``1 / N`` to 1. Random rejection has the risk of
    all sessions at every coverage.

    Parameters
    ----------
    loss : array_like, shape (N,)
        0 or 1 for decisions, an absolute error for scores.
    confidence : array_like, shape (N,)
        Confidence on any scale.
    weights : ndarray of int, shape (D, N)
        Resampling weights, whole numbers.

    Returns
    -------
    ndarray, shape (D,)
        Values in [0, 1] for decisions; lower is better.

    References
    ----------
    Geifman, Uziel and El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers",
    ICLR 2019.
    """
    losses = np.asarray(loss, dtype=float)
    level = np.unique(-np.asarray(confidence, dtype=float), return_inverse=True)[1]
    area = []
    for row in weights:
        counts = row.astype(int)  # all rows at once need much memory
        area.append(_curve(np.repeat(losses, counts), np.repeat(level, counts))[1].mean())
    return np.array(area)


def _curve(loss: Array, level: NDArray[Any]) -> tuple[Array, Array]:
    size = np.bincount(level)
    shared = np.bincount(level, weights=loss) / np.maximum(size, 1)
    decided = np.arange(1, len(loss) + 1)
    return decided / len(loss), np.cumsum(np.repeat(shared, size)) / decided


def decision_confidence(y_prob: ArrayLike, threshold: ArrayLike) -> Array:
    """Compute the distance of a probability from its threshold, in logits.

    Geifman and El-Yaniv (2017) use the larger class probability, which gives the same order for a
    threshold of 0.5. The thresholds of folds differ here, and a session at its threshold is the
    least confident.

    Parameters
    ----------
    y_prob, threshold : array_like, shape (N,)
        Probabilities and the thresholds of their folds.

    Returns
    -------
    ndarray, shape (N,)
        Distances from 0 on.
    """
    return np.abs(clipped_logit(y_prob) - clipped_logit(threshold))


def measure_risk_coverage(tested: ResampledSessions) -> dict[str, Any]:
    """Measure the risk-coverage curve of the tested decisions.

    Parameters
    ----------
    tested : ResampledSessions
        Tested rows with decisions.

    Returns
    -------
    dict
        ``aurc``; ``risk`` of all sessions, which is the expected area at random confidence;
        ``gain``, the paired difference risk minus aurc (positive is better); ``curve``, with
        ``coverage`` and the mean ``risk`` over seeds at 5 %, 10 %, ..., 100 %.
    """
    area = measure_over_seeds(tested, lambda rows, w: aurc(_error(rows), _confidence(rows), w))
    risk = measure_over_seeds(
        tested, lambda rows, w: weighted_total(w, _error(rows)) / w.sum(axis=1)
    )
    grid = np.arange(1, 21) / 20
    curves = []
    for rows in tested.seeds.values():
        risks = risk_coverage(_error(rows), _confidence(rows))[1]
        # the smallest number of sessions that reaches each coverage
        curves.append(risks[np.ceil(grid * len(risks) - ROUNDING).astype(int) - 1])
    return {
        "aurc": asdict(tested.interval(*area, scale="log")),
        "risk": asdict(_share_of_errors(tested)),
        "gain": asdict(tested.interval(*(a - b for a, b in zip(risk, area, strict=True)))),
        "curve": {"coverage": grid.tolist(), "risk": np.mean(curves, axis=0).tolist()},
    }


def _share_of_errors(tested: ResampledSessions) -> Interval:
    accuracy = estimate_metric(tested, "accuracy")
    return replace(
        accuracy,
        value=1 - accuracy.value,
        ci_low=1 - accuracy.ci_high,
        ci_high=1 - accuracy.ci_low,
    )


def _error(rows: pd.DataFrame) -> Array:
    wrong = rows["y_true"].to_numpy(float) != rows["y_pred"].to_numpy(float)
    return np.asarray(wrong, dtype=float)


def _confidence(rows: pd.DataFrame) -> Array:
    return decision_confidence(rows["y_prob"], rows["threshold"])


def terciles(values: ArrayLike) -> NDArray[np.int64]:
    """Assign values to thirds of equal size; equal values are in the same third.

    Parameters
    ----------
    values : array_like, shape (N,)
        The values.

    Returns
    -------
    ndarray of int, shape (N,)
        0, 1 or 2.
    """
    middle = rankdata(np.asarray(values, dtype=float)) - 0.5
    return np.asarray(np.minimum(3 * middle // len(middle), 2), dtype=np.int64)


def measure_gate_std(tested: ResampledSessions, target: str) -> dict[str, Any] | None:
    """Measure the relation of ``gate_std`` to the error of the prediction.

    Parameters
    ----------
    tested : ResampledSessions
        Tested rows, with the column ``gate_std``.
    target : {"binary", "severity"}
        Kind of target; the error is ``|y_true - y_prob|`` or ``|score - score_pred|``.

    Returns
    -------
    dict or None
        ``error`` (its definition), ``mean`` of ``gate_std`` over sessions, ``spearman`` of
        ``gate_std`` and error, and ``terciles``: mean error of each third of the sessions by
        ``gate_std``. None if a tested row has no value.

    Raises
    ------
    PredictionTableError
        If a standard deviation is negative.
    """
    rows_of_seeds = pd.concat(tested.seeds.values())
    if "gate_std" not in rows_of_seeds or rows_of_seeds["gate_std"].isna().any():
        return None
    if (lowest := float(rows_of_seeds["gate_std"].min())) < 0:
        raise PredictionTableError(
            f"predictions: gate_std is {lowest:g} in a tested row; a standard deviation cannot be "
            "negative. Correct it, or drop the column.",
            column="gate_std",
            value=lowest,
        )
    pair = ("y_true", "y_prob") if target == "binary" else ("score", "score_pred")
    measured, predicted = pair

    def error(rows: pd.DataFrame) -> Array:
        return np.asarray(np.abs(rows[measured].to_numpy(float) - rows[predicted].to_numpy(float)))

    def error_of_third(third: int) -> Callable[[pd.DataFrame, Weights], Array]:
        def mean_error(rows: pd.DataFrame, weights: Weights) -> Array:
            counts = weights * (terciles(rows["gate_std"]) == third)
            total = counts.sum(axis=1).astype(float)
            undefined = np.full(len(total), np.nan)
            mean = np.divide(counts @ error(rows), total, out=undefined, where=total > 0)
            return np.asarray(mean)

        return mean_error

    correlation = measure_over_seeds(
        tested, lambda rows, weights: spearman(rows["gate_std"], error(rows), weights)
    )
    return {
        "error": f"|{measured} - {predicted}|",
        "mean": float(rows_of_seeds["gate_std"].mean()),
        "spearman": asdict(tested.interval(*correlation, scale="fisher_z")),
        "terciles": {
            name: asdict(
                tested.interval(*measure_over_seeds(tested, error_of_third(third)), scale="log")
            )
            for third, name in enumerate(TERCILES)
        },
    }
