"""Binary classification metrics of decisions and of probabilities.

All metrics have the signature ``metric(y_true [N], prediction [N], weights [D, N]) -> [D]``, see
``depmm.evaluation.stats.metrics``. With one row of ones as weights the result is the point
estimate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from depmm.evaluation.stats.weighted_sums import (
    Array,
    Weights,
    ratio,
    weighted_mean,
    weighted_sums,
    weights_by_probability,
)


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix of each replicate.

    Attributes
    ----------
    tn, fp, fn, tp : ndarray, shape (D,)
        Weights of true negatives, false positives, false negatives and true positives.
    """

    tn: Array
    fp: Array
    fn: Array
    tp: Array


def confusion(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Confusion:
    """Count true and false negatives and positives in each replicate.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (N,)
        Labels and decisions, 0 or 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    Confusion
        The counts.
    """
    cell = 2 * np.asarray(y_true, dtype=int) + np.asarray(y_pred, dtype=int)
    counts = weighted_sums(weights, np.eye(4)[cell])
    return Confusion(*counts.T)


def accuracy(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Compute the accuracy, ``(TP + TN) / N``.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (N,)
        Labels and decisions, 0 or 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Share of correct decisions, in [0, 1].
    """
    c = confusion(y_true, y_pred, weights)
    return ratio(c.tn + c.tp, c.tn + c.fp + c.fn + c.tp)


def balanced_accuracy(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Compute the balanced accuracy, ``(recall + specificity) / 2``.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (N,)
        Labels and decisions, 0 or 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [0, 1], 0.5 for any constant decision; NaN where a class is absent.

    References
    ----------
    Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010.
    """
    c = confusion(y_true, y_pred, weights)
    return (ratio(c.tp, c.tp + c.fn) + ratio(c.tn, c.tn + c.fp)) / 2


def precision(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Compute the precision (positive predictive value), ``TP / (TP + FP)``.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (N,)
        Labels and decisions, 0 or 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [0, 1]; NaN without positive decisions and where a class is absent, because the
        precision is then 0 or 1 whatever is decided.
    """
    c = confusion(y_true, y_pred, weights)
    return _with_both_classes(c, ratio(c.tp, c.tp + c.fp))


def recall(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Compute the recall (sensitivity), ``TP / (TP + FN)``.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (N,)
        Labels and decisions, 0 or 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [0, 1]; NaN without positive sessions.
    """
    c = confusion(y_true, y_pred, weights)
    return ratio(c.tp, c.tp + c.fn)


def specificity(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Compute the specificity, ``TN / (TN + FP)``.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (N,)
        Labels and decisions, 0 or 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [0, 1]; NaN without negative sessions.
    """
    c = confusion(y_true, y_pred, weights)
    return ratio(c.tn, c.tn + c.fp)


def f1_positive(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Compute F1 of the positive class, ``2 TP / (2 TP + FP + FN)``.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (N,)
        Labels and decisions, 0 or 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [0, 1]; NaN where a class is absent (scikit-learn returns a value).
    """
    c = confusion(y_true, y_pred, weights)
    return _with_both_classes(c, ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn))


def f1_macro(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Compute the unweighted mean of the F1 of both classes.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (N,)
        Labels and decisions, 0 or 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [0, 1]; NaN where a class is absent (scikit-learn takes its F1 as 0).
    """
    c = confusion(y_true, y_pred, weights)
    negative = ratio(2 * c.tn, 2 * c.tn + c.fp + c.fn)
    positive = ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn)
    return _with_both_classes(c, (negative + positive) / 2)


def f1_weighted(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Compute the mean of the F1 of both classes, weighted by the size of the classes.

    Where most sessions are negative, the value is close to the F1 of the negative class: do not
    compare it with a positive-class or macro F1 of another paper.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (N,)
        Labels and decisions, 0 or 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [0, 1]; NaN where a class is absent.
    """
    c = confusion(y_true, y_pred, weights)
    negative = ratio(2 * c.tn, 2 * c.tn + c.fp + c.fn)
    positive = ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn)
    total = (c.tn + c.fp) * negative + (c.tp + c.fn) * positive
    return _with_both_classes(c, ratio(total, c.tn + c.fp + c.fn + c.tp))


def _with_both_classes(c: Confusion, values: Array) -> Array:
    """Set the values of replicates in which a class is absent to NaN."""
    return np.where((c.tp + c.fn > 0) & (c.tn + c.fp > 0), values, np.nan)


def mcc(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Compute Matthews' correlation coefficient, Pearson's r of label and decision.

    ``(TP TN - FP FN) / sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN))``.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (N,)
        Labels and decisions, 0 or 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [-1, 1]; NaN where labels or decisions are constant (scikit-learn returns 0).

    References
    ----------
    Matthews, "Comparison of the predicted and observed secondary structure of T4 phage lysozyme",
    Biochimica et Biophysica Acta 405(2), 1975.
    """
    c = confusion(y_true, y_pred, weights)
    margins = (c.tp + c.fp) * (c.tp + c.fn) * (c.tn + c.fp) * (c.tn + c.fn)
    return ratio(c.tp * c.tn - c.fp * c.fn, np.sqrt(margins))


def auroc(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights) -> Array:
    """Compute the area under the ROC curve, the normalised Mann-Whitney statistic.

    ``P(positive > negative) + P(positive = negative) / 2`` over pairs of sessions: ties count one
    half (midranks).

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1, or any score that increases with them.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [0, 1], 0.5 for a constant; NaN where a class is absent.

    References
    ----------
    Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic
    (ROC) curve", Radiology 143(1), 1982. Ties by midranks: Sun and Xu, "Fast implementation of
    DeLong's algorithm", IEEE Signal Processing Letters 21(11), 2014.
    """
    area = np.empty(len(weights))
    for rows, positive, negative in weights_by_probability(y_true, y_prob, weights):
        below = np.cumsum(negative, axis=1) - negative
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        area[rows] = ratio((positive * (below + negative / 2)).sum(axis=1), pairs)
    return area


def auprc(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights) -> Array:
    """Compute the area under the precision-recall curve as average precision.

    ``sum_k (recall_k - recall_(k-1)) precision_k`` over the distinct probabilities, without
    interpolation, which would be too optimistic (Davis and Goadrich 2006).

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1, or any score that increases with them.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [0, 1]; NaN where a class is absent. A constant reaches the share of positives,
        so that values of corpora with different shares cannot be compared.

    References
    ----------
    Davis and Goadrich, "The relationship between Precision-Recall and ROC curves", ICML 2006.
    """
    area = np.empty(len(weights))
    for rows, positive, negative in weights_by_probability(y_true, y_prob, weights):
        true_positives = np.cumsum(positive[:, ::-1], axis=1)
        decided_positive = true_positives + np.cumsum(negative[:, ::-1], axis=1)
        # without a positive decision, the weight of the positives is 0 and so is their term
        precisions = np.divide(
            true_positives,
            decided_positive,
            out=np.zeros_like(true_positives),
            where=decided_positive > 0,
        )
        values = ratio((positive[:, ::-1] * precisions).sum(axis=1), true_positives[:, -1])
        area[rows] = np.where(negative.sum(axis=1) > 0, values, np.nan)
    return area


def brier(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights) -> Array:
    """Compute the Brier score, ``mean((y_prob - y_true)^2)``.

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [0, 1]; lower is better.

    References
    ----------
    Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review
    78(1), 1950. The value is half of the original two-class score, as is usual.
    """
    error = np.asarray(y_prob, dtype=float) - np.asarray(y_true, dtype=float)
    return weighted_mean(weights, error**2)


def log_loss(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights) -> Array:
    """Compute the log-loss, the mean of ``-log`` of the probability of the true class.

    Probabilities are clipped to the machine epsilon and 1 minus it, as in scikit-learn: a wrong
    prediction with probability 1 costs 36, not infinity.

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values from 0 on, in nats; lower is better.
    """
    y, prob = np.asarray(y_true, dtype=float), np.asarray(y_prob, dtype=float)
    prob = np.clip(prob, np.finfo(float).eps, 1 - np.finfo(float).eps)
    return weighted_mean(weights, -np.log(np.where(y == 1, prob, 1 - prob)))
