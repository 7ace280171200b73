"""Every metric of the project, once, as a function of resampling counts.

All metrics share one shape, so that a point estimate and its bootstrap are the same lines::

    metric(y_true [N], answer [N], weights [D, N]) -> [D]

`N` counts sessions, `D` bootstrap draws. ``weights[d, n]`` says how often session ``n`` stands in
draw ``d``; the point estimate has one draw of ones. ``answer`` is a decision (0/1), a probability
of the positive class or a severity score: ``METRICS[name].reads`` tells which column it is.

A value that is undefined in a draw (recall without positives, say) is NaN in that draw. It is
never replaced by 0 or 1, as scikit-learn's ``zero_division`` would do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Weights = NDArray[np.integer] | NDArray[np.floating]
Answer = Literal["y_pred", "y_prob", "score"]

BLOCK_CELLS = 2_000_000  # weights turned into float64 at a time: 16 MB, whatever D and N are


@dataclass(frozen=True)
class Metric:
    """What a metric computes, and how it is compared with constant answers.

    Parameters
    ----------
    function : ``(y_true [N], answer [N], weights [D, N]) -> [D]``
    reads : column of the decided predictions that is the answer
    label, meaning : words for a reader
    chance : value of every constant answer, where it is the same for all of them
    judged : False where a constant answer reaches the best value (recall of "always positive")
    """

    function: Callable[[ArrayLike, ArrayLike, Weights], Array]
    reads: Answer
    label: str
    meaning: str
    chance: float | None = None
    judged: bool = True
    lower_is_better: bool = False

    @property
    def proportion(self) -> bool:
        """Whether the value lies in [0, 1]."""
        return self.reads != "score"


def unit_weights(n: int) -> NDArray[np.uint8]:
    """Give every one of ``n`` sessions the weight 1: ``[1, N]``, for a point estimate."""
    return np.ones((1, n), dtype=np.uint8)


# ---- decisions ---------------------------------------------------------------------------------


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
    return (recall(y_true, y_pred, weights) + specificity(y_true, y_pred, weights)) / 2


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


# ---- probabilities -----------------------------------------------------------------------------


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


# ---- severity ----------------------------------------------------------------------------------


def rmse(score_true: ArrayLike, score: ArrayLike, weights: Weights) -> Array:
    """Root of the mean squared error over sessions, in points of the instrument, ``[D]``."""
    error = np.asarray(score, dtype=float) - np.asarray(score_true, dtype=float)
    return np.sqrt(_weighted_mean(weights, error**2))


def mae(score_true: ArrayLike, score: ArrayLike, weights: Weights) -> Array:
    """Mean absolute error over sessions, in points of the instrument, ``[D]``."""
    error = np.asarray(score, dtype=float) - np.asarray(score_true, dtype=float)
    return _weighted_mean(weights, np.abs(error))


def pearson(score_true: ArrayLike, score: ArrayLike, weights: Weights) -> Array:
    """Pearson correlation, ``[D]``; NaN where truth or prediction is constant."""
    _, var_true, var_score, covariance = _moments(score_true, score, weights)
    return _ratio(covariance, np.sqrt(var_true * var_score))


def ccc(score_true: ArrayLike, score: ArrayLike, weights: Weights) -> Array:
    """Concordance correlation coefficient (Lin 1989, population moments), ``[D]``.

    Unlike Pearson's r it also falls with a wrong mean or a wrong spread.
    """
    shift, var_true, var_score, covariance = _moments(score_true, score, weights)
    return _ratio(2 * covariance, var_true + var_score + shift**2)


METRICS: dict[str, Metric] = {
    "balanced_accuracy": Metric(
        balanced_accuracy,
        "y_pred",
        "Balanced accuracy",
        "mean of recall and specificity",
        chance=0.5,
    ),
    "auroc": Metric(
        auroc,
        "y_prob",
        "AUROC",
        "chance that a positive session is ranked above a negative one",
        chance=0.5,
    ),
    "accuracy": Metric(accuracy, "y_pred", "Accuracy", "share of sessions decided right"),
    "precision": Metric(
        precision, "y_pred", "Precision", "share of positive decisions that are right"
    ),
    "recall": Metric(
        recall, "y_pred", "Recall", "share of positive sessions found (sensitivity)", judged=False
    ),
    "specificity": Metric(
        specificity, "y_pred", "Specificity", "share of negative sessions left alone", judged=False
    ),
    "f1_positive": Metric(
        f1_positive, "y_pred", "F1, positive class", "harmonic mean of precision and recall"
    ),
    "f1_macro": Metric(f1_macro, "y_pred", "F1, macro", "mean of the F1 of both classes"),
    "rmse": Metric(
        rmse, "score", "RMSE", "root of the mean squared error, points", lower_is_better=True
    ),
    "mae": Metric(mae, "score", "MAE", "mean absolute error, points", lower_is_better=True),
    "pearson": Metric(pearson, "score", "Pearson r", "linear agreement", chance=0.0),
    "ccc": Metric(ccc, "score", "CCC", "agreement in level, spread and order", chance=0.0),
}

HEADLINE: dict[str, tuple[str, str]] = {
    "binary": ("balanced_accuracy", "auroc"),
    "severity": ("rmse", "mae"),
}


def metric_names(task: str) -> list[str]:
    """Names of the metrics of a ``binary`` or ``severity`` task, in the order of reports."""
    return [name for name, metric in METRICS.items() if metric.proportion == (task == "binary")]


# ---- sums over draws ---------------------------------------------------------------------------


def _blocks(weights: Weights) -> Iterator[slice]:
    """Cut the draws into slices small enough to be turned into float64."""
    size = max(1, BLOCK_CELLS // max(1, weights.shape[1]))
    for start in range(0, len(weights), size):
        yield slice(start, start + size)


def _weighted_sums(weights: Weights, columns: Array) -> Array:
    """Sum each column [N, K] in each draw: ``[D, K]``."""
    sums = [weights[rows].astype(np.float64) @ columns for rows in _blocks(weights)]
    return np.concatenate(sums) if sums else np.empty((0, columns.shape[1]))


def _weighted_mean(weights: Weights, values: Array) -> Array:
    sums = _weighted_sums(weights, np.stack([values, np.ones_like(values)], axis=1))
    return _ratio(sums[:, 0], sums[:, 1])


def _moments(
    score_true: ArrayLike, score: ArrayLike, weights: Weights
) -> tuple[Array, Array, Array, Array]:
    """Difference of means, both variances and the covariance in each draw (population moments)."""
    # measured from the first value: a constant becomes exactly 0, with exactly no variance
    a = np.asarray(score_true, dtype=float)
    b = np.asarray(score, dtype=float)
    offset = b[0] - a[0] if len(a) else 0.0
    a, b = a - a[:1], b - b[:1]
    columns = np.stack([a, b, a * a, b * b, a * b, np.ones_like(a)], axis=1)
    sums = _weighted_sums(weights, columns)
    mean_a, mean_b, aa, bb, ab = (_ratio(sums[:, k], sums[:, 5]) for k in range(5))
    var_a, var_b = aa - mean_a**2, bb - mean_b**2
    # what rounding leaves of a draw that holds one value only
    var_a = np.where(var_a <= 1e-12 * aa, 0.0, var_a)
    var_b = np.where(var_b <= 1e-12 * bb, 0.0, var_b)
    return offset + mean_b - mean_a, var_a, var_b, ab - mean_a * mean_b


def _by_probability(
    y_true: ArrayLike, y_prob: ArrayLike, weights: Weights
) -> Iterator[tuple[slice, Array, Array]]:
    """Weights of positives and negatives at each distinct probability, from low to high.

    Yields
    ------
    rows of the draws, positives [d, V], negatives [d, V] for V distinct probabilities
    """
    y = np.asarray(y_true, dtype=np.float64)
    prob = np.asarray(y_prob, dtype=np.float64)
    order = np.argsort(prob, kind="stable")
    new_value = np.diff(prob[order], prepend=-np.inf) > 0
    starts = np.flatnonzero(new_value)
    y = y[order]
    for rows in _blocks(weights):
        w = weights[rows][:, order].astype(np.float64)
        positive = np.add.reduceat(w * y, starts, axis=1)
        yield rows, positive, np.add.reduceat(w, starts, axis=1) - positive


def _ratio(numerator: Array, denominator: Array) -> Array:
    """Divide; NaN where the denominator is 0."""
    result = np.full_like(denominator, np.nan, dtype=np.float64)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)
