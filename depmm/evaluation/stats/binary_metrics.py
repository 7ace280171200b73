"""Metrics of two classes: decisions and probabilities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from depmm.evaluation.stats.weighted_sums import (
    Array,
    Weights,
    _by_probability,
    _ratio,
    _weighted_mean,
    _weighted_sums,
)


@dataclass(frozen=True)
class Confusion:
    """Counts of decisions against truth, each ``[D]``."""

    tn: Array
    fp: Array
    fn: Array
    tp: Array


def confusion(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Confusion:
    """Count true and false negatives and positives in each draw.

    Parameters
    ----------
    y_true, y_pred : [N] of 0 and 1
    weights : [D, N]
    """
    cell = 2 * np.asarray(y_true, dtype=int) + np.asarray(y_pred, dtype=int)
    counts = _weighted_sums(weights, np.eye(4)[cell])
    return Confusion(*counts.T)


def accuracy(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Share of sessions decided right, ``[D]``."""
    c = confusion(y_true, y_pred, weights)
    return _ratio(c.tn + c.tp, c.tn + c.fp + c.fn + c.tp)


def balanced_accuracy(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Mean of recall and specificity, ``[D]``; NaN where a class is absent."""
    c = confusion(y_true, y_pred, weights)
    return (_ratio(c.tp, c.tp + c.fn) + _ratio(c.tn, c.tn + c.fp)) / 2


def precision(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Share of positive decisions that are right, ``[D]``; NaN without positive decisions."""
    c = confusion(y_true, y_pred, weights)
    return _ratio(c.tp, c.tp + c.fp)


def recall(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Share of positive sessions that are found (sensitivity), ``[D]``."""
    c = confusion(y_true, y_pred, weights)
    return _ratio(c.tp, c.tp + c.fn)


def specificity(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Share of negative sessions that are left alone, ``[D]``."""
    c = confusion(y_true, y_pred, weights)
    return _ratio(c.tn, c.tn + c.fp)


def f1_positive(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """F1 of the positive class, ``[D]``."""
    c = confusion(y_true, y_pred, weights)
    return _ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn)


def f1_macro(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Mean of the F1 of both classes, ``[D]``; NaN where one class has no F1."""
    c = confusion(y_true, y_pred, weights)
    negative = _ratio(2 * c.tn, 2 * c.tn + c.fp + c.fn)
    return (negative + _ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn)) / 2


def f1_weighted(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Mean of the F1 of both classes, each weighted by how often it is true, ``[D]``.

    Where most sessions are negative this is mostly the F1 of the negative class: it must not be
    compared with another paper's positive-class or macro F1.
    """
    c = confusion(y_true, y_pred, weights)
    # a class that has no F1 is never true and weighs nothing
    negative = np.nan_to_num(_ratio(2 * c.tn, 2 * c.tn + c.fp + c.fn))
    positive = np.nan_to_num(_ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn))
    shared = (c.tn + c.fp) * negative + (c.tp + c.fn) * positive
    return _ratio(shared, c.tn + c.fp + c.fn + c.tp)


def mcc(y_true: ArrayLike, y_pred: ArrayLike, weights: Weights) -> Array:
    """Matthews' correlation coefficient (Matthews 1975), ``[D]``.

    Pearson's r of truth and decision. NaN where the truth or the decision is
    constant, where scikit-learn says 0.
    """
    c = confusion(y_true, y_pred, weights)
    margins = (c.tp + c.fp) * (c.tp + c.fn) * (c.tn + c.fp) * (c.tn + c.fn)
    return _ratio(c.tp * c.tn - c.fp * c.fn, np.sqrt(margins))


def auroc(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights) -> Array:
    """Area under the ROC curve from probabilities, ``[D]``; NaN where a class is absent.

    The chance that a positive session is ranked above a negative one; ties count one half
    (midranks), so that this is the Mann-Whitney statistic.
    """
    area = np.empty(len(weights))
    for rows, positive, negative in _by_probability(y_true, y_prob, weights):
        below = np.cumsum(negative, axis=1) - negative
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        area[rows] = _ratio((positive * (below + negative / 2)).sum(axis=1), pairs)
    return area


def auprc(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights) -> Array:
    """Area under the precision-recall curve as average precision, ``[D]``; NaN without positives.

    The sum over distinct probabilities of (gain in recall) x (precision), without interpolation,
    which would be too optimistic (Davis and Goadrich 2006). Any constant answer reaches the share
    of positives, so that values of corpora with different shares cannot be compared.
    """
    area = np.empty(len(weights))
    for rows, positive, negative in _by_probability(y_true, y_prob, weights):
        found = np.cumsum(positive[:, ::-1], axis=1)
        decided = found + np.cumsum(negative[:, ::-1], axis=1)
        # positives weigh nothing where nobody is decided yet
        precise = np.divide(found, decided, out=np.zeros_like(found), where=decided > 0)
        area[rows] = _ratio((positive[:, ::-1] * precise).sum(axis=1), found[:, -1])
    return area


def brier(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights) -> Array:
    """Mean squared difference of probability and truth (Brier 1950, halved for two classes)."""
    error = np.asarray(y_prob, dtype=float) - np.asarray(y_true, dtype=float)
    return _weighted_mean(weights, error**2)


def log_loss(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights) -> Array:
    """Mean negative logarithm (nats) of the probability given to the truth, ``[D]``.

    Probabilities are kept a rounding error away from 0 and 1, as in scikit-learn: one certain
    answer that is wrong costs 36, not infinity.
    """
    y, prob = np.asarray(y_true, dtype=float), np.asarray(y_prob, dtype=float)
    prob = np.clip(prob, np.finfo(float).eps, 1 - np.finfo(float).eps)
    return _weighted_mean(weights, -np.log(np.where(y == 1, prob, 1 - prob)))
