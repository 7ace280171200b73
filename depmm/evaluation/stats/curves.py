"""ROC and precision-recall curves of every bootstrap replicate, on a common grid."""

import numpy as np
from numpy.typing import ArrayLike

from depmm.evaluation.stats.weighted_sums import ROUNDING, Array, Weights, weights_by_probability


def roc_curve(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights, grid: Array) -> Array:
    """Compute the true positive rate at given false positive rates.

    Sessions of equal probability are joined by a straight line, as in the area of ``auroc``.

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1.
    weights : ndarray, shape (D, N)
        Resampling weights.
    grid : ndarray, shape (G,)
        False positive rates in [0, 1].

    Returns
    -------
    ndarray, shape (D, G)
        True positive rates; NaN where a class is absent.
    """
    curves = np.full((len(weights), len(grid)), np.nan)
    for rows, positive, negative in weights_by_probability(y_true, y_prob, weights):
        with np.errstate(invalid="ignore"):
            tpr = np.cumsum(positive[:, ::-1], axis=1) / positive.sum(axis=1, keepdims=True)
            fpr = np.cumsum(negative[:, ::-1], axis=1) / negative.sum(axis=1, keepdims=True)
        for d, x, y in zip(range(*rows.indices(len(weights))), fpr, tpr, strict=True):
            if np.isfinite(x[-1]) and np.isfinite(y[-1]):
                curves[d] = np.interp(grid, np.append(0.0, x), np.append(0.0, y))
    return curves


def pr_curve(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights, grid: Array) -> Array:
    """Compute the precision at given recalls.

    The value is the precision of the highest threshold that reaches the recall: a step function,
    as in the area of ``auprc``. Straight lines would be too optimistic (Davis and Goadrich 2006).

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1.
    weights : ndarray, shape (D, N)
        Resampling weights.
    grid : ndarray, shape (G,)
        Recalls in (0, 1].

    Returns
    -------
    ndarray, shape (D, G)
        Precisions; NaN without positive sessions.

    References
    ----------
    Davis and Goadrich, "The relationship between Precision-Recall and ROC curves", ICML 2006.
    """
    curves = np.full((len(weights), len(grid)), np.nan)
    for rows, positive, negative in weights_by_probability(y_true, y_prob, weights):
        true_positives = np.cumsum(positive[:, ::-1], axis=1)
        decided_positive = true_positives + np.cumsum(negative[:, ::-1], axis=1)
        for d, hits, decided in zip(
            range(*rows.indices(len(weights))), true_positives, decided_positive, strict=True
        ):
            if hits[-1] > 0:
                # the tolerance keeps rounding errors from selecting the next step
                reached = np.searchsorted(hits, grid * hits[-1] - ROUNDING)
                curves[d] = hits[reached] / decided[reached]
    return curves
