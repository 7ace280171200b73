"""Every metric of the project, once, as a function of resampling counts.

All metrics share one shape, so that a point estimate and its bootstrap are the same lines::

    metric(y_true [N], answer [N], weights [D, N]) -> [D]

`N` counts sessions, `D` bootstrap draws. ``weights[d, n]`` says how often session ``n`` stands in
draw ``d``; the point estimate has one draw of ones. Weights may be fractions (a jackknife).
``answer`` is a decision (0/1), a probability of the positive class, a severity score or its band:
``METRICS[name].reads`` tells which column it is, ``TRUTH`` which one holds the truth.

A value that is undefined in a draw (recall without positives, say) is NaN in that draw. It is
never replaced by 0 or 1, as scikit-learn's ``zero_division`` would do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depmm.corpora.instruments import INSTRUMENTS

Array = NDArray[np.float64]
Weights = NDArray[np.integer] | NDArray[np.floating]
Answer = Literal["y_pred", "y_prob", "score_pred", "band_pred"]
TRUTH: dict[Answer, str] = {
    "y_pred": "y_true",
    "y_prob": "y_true",
    "score_pred": "score",
    "band_pred": "band",
}

BLOCK_CELLS = 500_000  # weights turned into float64 at a time: 4 MB, which a cache holds


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
    proportion : whether the value lies in [0, 1]
    """

    function: Callable[[ArrayLike, ArrayLike, Weights], Array]
    reads: Answer
    label: str
    meaning: str
    chance: float | None = None
    judged: bool = True
    lower_is_better: bool = False
    proportion: bool = True

    @property
    def target(self) -> str:
        """``binary`` or ``severity``."""
        return "binary" if TRUTH[self.reads] == "y_true" else "severity"


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


# ---- severity ----------------------------------------------------------------------------------


def rmse(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Root of the mean squared error over sessions, in points of the instrument, ``[D]``."""
    error = np.asarray(score_pred, dtype=float) - np.asarray(score, dtype=float)
    return np.sqrt(_weighted_mean(weights, error**2))


def mae(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Mean absolute error over sessions, in points of the instrument, ``[D]``."""
    error = np.asarray(score_pred, dtype=float) - np.asarray(score, dtype=float)
    return _weighted_mean(weights, np.abs(error))


def pearson(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Pearson correlation, ``[D]``; NaN where truth or prediction is constant."""
    _, var_true, var_score, covariance = _moments(score, score_pred, weights)
    return _ratio(covariance, np.sqrt(var_true * var_score))


def spearman(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Spearman's rank correlation with midranks, ``[D]``; NaN where an answer is constant.

    Ranks are those within each draw.
    """
    truth, answer = np.asarray(score, dtype=float), np.asarray(score_pred, dtype=float)
    order_truth, order_answer = _Ranks.of(truth), _Ranks.of(answer)
    result = np.empty(len(weights))
    for rows in _blocks(weights):
        w = weights[rows].astype(np.float64)
        a, b = order_truth.centred(w), order_answer.centred(w)
        spread = (w * a * a).sum(axis=1) * (w * b * b).sum(axis=1)
        result[rows] = _ratio((w * a * b).sum(axis=1), np.sqrt(spread))
    return result


def ccc(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Concordance correlation coefficient (Lin 1989, population moments), ``[D]``.

    Unlike Pearson's r it also falls with a wrong mean or a wrong spread.
    """
    shift, var_true, var_score, covariance = _moments(score, score_pred, weights)
    return _ratio(2 * covariance, var_true + var_score + shift**2)


def quadratic_kappa(band: ArrayLike, band_pred: ArrayLike, weights: Weights) -> Array:
    """Cohen's kappa of severity bands with quadratic weights (Cohen 1968), ``[D]``.

    With these weights kappa is 1 - E[(a - b)^2] / (E[(a - b)^2] of independent a and b), which is
    Lin's CCC of the band numbers (Fleiss and Cohen 1973 for the relation to an intraclass
    correlation).

    Parameters
    ----------
    band, band_pred : [N], 0 for the mildest band; see ``severity_bands``
    """
    return ccc(band, band_pred, weights)


def severity_bands(scores: ArrayLike, instrument: str) -> NDArray[np.int64]:
    """Number the severity band of each score, 0 for the mildest: ``[N]``.

    A band begins at its lower bound, and predictions are not rounded: 13.6 points of BDI-II are
    minimal (0), 14 are mild (1).

    Parameters
    ----------
    scores : [N], points
    instrument : one of ``INSTRUMENTS`` with levels, e.g. ``BDI-II`` or ``PHQ-8``

    Raises
    ------
    ValueError : an instrument whose bands are not agreed on
    """
    levels = INSTRUMENTS[instrument].levels if instrument in INSTRUMENTS else ()
    if not levels:
        known = ", ".join(name for name, scale in INSTRUMENTS.items() if scale.levels)
        raise ValueError(
            f"severity_bands: instrument {instrument!r} has no agreed bands; use one of {known}, "
            "or give its levels in INSTRUMENTS"
        )
    return np.searchsorted(levels, np.asarray(scores, dtype=float), side="right")


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
    "auprc": Metric(
        auprc,
        "y_prob",
        "AUPRC",
        "average precision; a constant answer reaches the share of positives",
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
    "f1_weighted": Metric(
        f1_weighted, "y_pred", "F1, weighted", "mean of both F1, weighted by how often each is true"
    ),
    "mcc": Metric(
        mcc,
        "y_pred",
        "MCC",
        "correlation of decision and truth",
        chance=0.0,
        proportion=False,
    ),
    "brier": Metric(
        brier,
        "y_prob",
        "Brier score",
        "mean squared error of the probability",
        lower_is_better=True,
    ),
    "log_loss": Metric(
        log_loss,
        "y_prob",
        "Log-loss",
        "mean negative logarithm of the probability of the truth, nats",
        lower_is_better=True,
        proportion=False,
    ),
    "rmse": Metric(
        rmse,
        "score_pred",
        "RMSE",
        "root of the mean squared error, points",
        lower_is_better=True,
        proportion=False,
    ),
    "mae": Metric(
        mae,
        "score_pred",
        "MAE",
        "mean absolute error, points",
        lower_is_better=True,
        proportion=False,
    ),
    "pearson": Metric(
        pearson, "score_pred", "Pearson r", "linear agreement", chance=0.0, proportion=False
    ),
    "spearman": Metric(
        spearman, "score_pred", "Spearman rho", "agreement in order", chance=0.0, proportion=False
    ),
    "ccc": Metric(
        ccc,
        "score_pred",
        "CCC",
        "agreement in level, spread and order",
        chance=0.0,
        proportion=False,
    ),
    "quadratic_kappa": Metric(
        quadratic_kappa,
        "band_pred",
        "Quadratic kappa",
        "agreement of severity bands beyond chance",
        chance=0.0,
        proportion=False,
    ),
}

HEADLINE: dict[str, tuple[str, str]] = {
    "binary": ("balanced_accuracy", "auroc"),
    "severity": ("rmse", "mae"),
}


def metric_names(target: str) -> list[str]:
    """Names of the metrics of a ``binary`` or ``severity`` target, in the order of reports."""
    return [name for name, metric in METRICS.items() if metric.target == target]


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
    score: ArrayLike, score_pred: ArrayLike, weights: Weights
) -> tuple[Array, Array, Array, Array]:
    """Difference of means, both variances and the covariance in each draw (population moments)."""
    # measured from the first value: a constant becomes exactly 0, with exactly no variance
    a = np.asarray(score, dtype=float)
    b = np.asarray(score_pred, dtype=float)
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
        positive = sum_runs(w * y, starts)
        yield rows, positive, sum_runs(w, starts) - positive


def sum_runs(values: Array, starts: NDArray[np.intp]) -> Array:
    """Sum runs of columns that begin at ``starts``: [d, N] -> [d, V]."""
    # the two usual cases, no ties and a constant, without the slow general way
    if len(starts) == values.shape[1]:
        return values
    if len(starts) == 1:
        return values.sum(axis=1, keepdims=True)
    return np.add.reduceat(values, starts, axis=1)


@dataclass(frozen=True)
class _Ranks:
    """Where each value stands among the distinct ones, so that every draw can be ranked at once.

    Parameters
    ----------
    order : [N], rows from the lowest value to the highest
    starts : [V], first place in ``order`` of each distinct value
    place : [N], which distinct value each row has
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    place: NDArray[np.intp]

    @classmethod
    def of(cls, values: Array) -> "_Ranks":
        _, place = np.unique(values, return_inverse=True)
        order = np.argsort(place, kind="stable")
        starts = np.flatnonzero(np.diff(place[order], prepend=-1))
        return cls(order, starts, place)

    def centred(self, weights: Array) -> Array:
        """Midranks within each draw, less their mean: ``[d, N]``."""
        count = sum_runs(weights[:, self.order], self.starts)
        above = np.cumsum(count, axis=1)
        return (above - count / 2 - above[:, -1:] / 2)[:, self.place]


def _ratio(numerator: Array, denominator: Array) -> Array:
    """Divide; NaN where the denominator is 0."""
    result = np.full_like(denominator, np.nan, dtype=np.float64)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)
