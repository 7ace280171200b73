"""ROC and precision-recall curves in every bootstrap draw."""

import numpy as np
from numpy.typing import ArrayLike

from depmm.evaluation.stats.weighted_sums import Array, Weights, _by_probability


def roc_curve(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights, grid: Array) -> Array:
    """True positive rate at each false positive rate of ``grid``, ``[D, G]``.

    Sessions of equal probability are joined by a straight line, as in the area of ``auroc``.

    Parameters
    ----------
    grid : [G], false positive rates in [0, 1]
    """
    curves = np.full((len(weights), len(grid)), np.nan)
    for rows, positive, negative in _by_probability(y_true, y_prob, weights):
        with np.errstate(invalid="ignore"):
            tpr = np.cumsum(positive[:, ::-1], axis=1) / positive.sum(axis=1, keepdims=True)
            fpr = np.cumsum(negative[:, ::-1], axis=1) / negative.sum(axis=1, keepdims=True)
        for d, x, y in zip(range(*rows.indices(len(weights))), fpr, tpr, strict=True):
            if np.isfinite(x[-1]) and np.isfinite(y[-1]):
                curves[d] = np.interp(grid, np.append(0.0, x), np.append(0.0, y))
    return curves


def pr_curve(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights, grid: Array) -> Array:
    """Precision at each recall of ``grid``, ``[D, G]``; NaN without positives.

    The precision of the highest threshold that reaches the recall: steps, not lines, as in the area
    of ``auprc`` (straight lines would be too optimistic, Davis and Goadrich 2006).

    Parameters
    ----------
    grid : [G], recalls in (0, 1]
    """
    curves = np.full((len(weights), len(grid)), np.nan)
    for rows, positive, negative in _by_probability(y_true, y_prob, weights):
        found = np.cumsum(positive[:, ::-1], axis=1)
        decided = found + np.cumsum(negative[:, ::-1], axis=1)
        for d, hits, all_decided in zip(
            range(*rows.indices(len(weights))), found, decided, strict=True
        ):
            if hits[-1] > 0:
                # a little less, or rounding would ask for the next step
                reached = np.searchsorted(hits, grid * hits[-1] - 1e-9)
                curves[d] = hits[reached] / all_decided[reached]
    return curves
