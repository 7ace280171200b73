"""Weighted sums, means and ranks of sessions in every bootstrap draw at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Weights = NDArray[np.integer] | NDArray[np.floating]

ROUNDING = 1e-9  # differences this small come from rounding
BLOCK_CELLS = 500_000  # weights turned into float64 at a time: 4 MB, which a cache holds


def unit_weights(n: int) -> NDArray[np.uint8]:
    """Give every one of ``n`` sessions the weight 1: ``[1, N]``, for a point estimate."""
    return np.ones((1, n), dtype=np.uint8)


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
