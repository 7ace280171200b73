"""Weighted sums, moments and ranks of sessions, for all bootstrap replicates at once.

Metrics are functions of resampling weights ``[D, N]``: ``weights[d, n]`` is the multiplicity of
session ``n`` in replicate ``d``. The weights of a jackknife are fractions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Weights = NDArray[np.integer] | NDArray[np.floating]

BLOCK_CELLS = 500_000  # weights converted to float64 at a time: 4 MB, which fits into a cache
ROUNDING = 1e-9  # smaller differences are rounding errors
NO_VARIANCE = 1e-12  # share of the mean square below which a variance is a rounding error


def unit_weights(n: int) -> NDArray[np.uint8]:
    """Build the weights of a point estimate: every session has the weight 1.

    Parameters
    ----------
    n : int
        Number of sessions.

    Returns
    -------
    ndarray of uint8, shape (1, n)
        The weights of one replicate.
    """
    return np.ones((1, n), dtype=np.uint8)


def blocks(
    n_replicates: int, n_sessions: int, multiple: int = 1, together: int = 1
) -> Iterator[slice]:
    """Split replicates into blocks that are small enough to be converted to float64.

    Parameters
    ----------
    n_replicates, n_sessions : int
        Shape of the resampling weights.
    multiple : int, default 1
        All blocks but the last one have a multiple of this number of rows. BLAS multiplies a vector
        by four rows at a time, and rounds the sums of remaining rows otherwise.
    together : int, default 1
        Number of blocks in one slice.

    Yields
    ------
    slice
        Rows of the weights.
    """
    size = max(1, BLOCK_CELLS // max(1, n_sessions) // multiple) * multiple * together
    for start in range(0, n_replicates, size):
        yield slice(start, min(start + size, n_replicates))


def weighted_sums(weights: Weights, columns: Array) -> Array:
    """Sum columns over sessions in each replicate.

    Parameters
    ----------
    weights : ndarray, shape (D, N)
        Resampling weights.
    columns : ndarray, shape (N, K)
        Values of the sessions.

    Returns
    -------
    ndarray, shape (D, K)
        Weighted sums.
    """
    sums = [weights[rows].astype(np.float64) @ columns for rows in blocks(*weights.shape)]
    return np.concatenate(sums) if sums else np.empty((0, columns.shape[1]))


def weighted_total(weights: Weights, values: Array) -> Array:
    """Sum values over sessions in each replicate, without a copy of all weights as float64.

    Parameters
    ----------
    weights : ndarray, shape (D, N)
        Resampling weights.
    values : ndarray, shape (N,)
        Values of the sessions.

    Returns
    -------
    ndarray, shape (D,)
        Weighted sums, equal to ``weights @ values``.
    """
    total = np.empty(len(weights))
    for rows in blocks(len(weights), len(values), multiple=4):
        total[rows] = weights[rows] @ values
    return total


def weighted_mean(weights: Weights, values: Array) -> Array:
    """Average values over sessions in each replicate.

    Parameters
    ----------
    weights : ndarray, shape (D, N)
        Resampling weights.
    values : ndarray, shape (N,)
        Values of the sessions.

    Returns
    -------
    ndarray, shape (D,)
        Weighted means; NaN in a replicate without sessions.
    """
    sums = weighted_sums(weights, np.stack([values, np.ones_like(values)], axis=1))
    return ratio(sums[:, 0], sums[:, 1])


def ratio(numerator: Array, denominator: Array) -> Array:
    """Divide element by element.

    Parameters
    ----------
    numerator, denominator : ndarray, shape (D,)
        Terms of the ratio.

    Returns
    -------
    ndarray, shape (D,)
        The ratios; NaN where the denominator is not positive.
    """
    result = np.full_like(denominator, np.nan, dtype=np.float64)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)


def moments(
    measured: ArrayLike, predicted: ArrayLike, weights: Weights
) -> tuple[Array, Array, Array, Array]:
    """Compute population moments of two variables in each replicate.

    Parameters
    ----------
    measured, predicted : array_like, shape (N,)
        The variables.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    shift : ndarray, shape (D,)
        Mean of ``predicted`` minus mean of ``measured``.
    variance_measured, variance_predicted : ndarray, shape (D,)
        Variances; exactly 0 where a variable is constant in a replicate.
    covariance : ndarray, shape (D,)
        Covariance.
    """
    # relative to the first value: a constant becomes exactly 0 and has a variance of exactly 0
    a = np.asarray(measured, dtype=float)
    b = np.asarray(predicted, dtype=float)
    offset = b[0] - a[0] if len(a) else 0.0
    a, b = a - a[:1], b - b[:1]
    columns = np.stack([a, b, a * a, b * b, a * b, np.ones_like(a)], axis=1)
    sums = weighted_sums(weights, columns)
    mean_a, mean_b, aa, bb, ab = (ratio(sums[:, k], sums[:, 5]) for k in range(5))
    var_a, var_b = aa - mean_a**2, bb - mean_b**2
    # in a replicate with a single distinct value, only rounding errors remain
    var_a = np.where(var_a <= NO_VARIANCE * aa, 0.0, var_a)
    var_b = np.where(var_b <= NO_VARIANCE * bb, 0.0, var_b)
    return offset + mean_b - mean_a, var_a, var_b, ab - mean_a * mean_b


def weights_by_probability(
    y_true: ArrayLike, y_prob: ArrayLike, weights: Weights
) -> Iterator[tuple[slice, Array, Array]]:
    """Sum the weights of both classes at each distinct probability, in ascending order.

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Yields
    ------
    rows : slice
        A block of replicates.
    positive, negative : ndarray, shape (rows, V)
        Weights of the positive and of the negative sessions at each of the V distinct
        probabilities.
    """
    y = np.asarray(y_true, dtype=np.float64)
    prob = np.asarray(y_prob, dtype=np.float64)
    order = np.argsort(prob, kind="stable")
    starts = np.flatnonzero(np.diff(prob[order], prepend=-np.inf) > 0)
    y = y[order]
    for rows in blocks(*weights.shape):
        w = weights[rows][:, order].astype(np.float64)
        positive = sum_runs(w * y, starts)
        yield rows, positive, sum_runs(w, starts) - positive


def sum_runs(values: Array, starts: NDArray[np.intp]) -> Array:
    """Sum runs of neighbouring columns.

    Parameters
    ----------
    values : ndarray, shape (D, N)
        Values to sum.
    starts : ndarray of int, shape (V,)
        First column of each run, ascending, from 0.

    Returns
    -------
    ndarray, shape (D, V)
        Sum of each run.
    """
    # fast paths for no ties and for a constant; reduceat is slower
    if len(starts) == values.shape[1]:
        return values
    if len(starts) == 1:
        return np.asarray(values.sum(axis=1, keepdims=True))
    return np.asarray(np.add.reduceat(values, starts, axis=1))


@dataclass(frozen=True)
class RankOrder:
    """Sorted order of values, from which the ranks within any replicate are computed.

    Attributes
    ----------
    order : ndarray of int, shape (N,)
        Rows from the lowest value to the highest.
    starts : ndarray of int, shape (V,)
        Index in ``order`` of the first row of each distinct value.
    distinct_index : ndarray of int, shape (N,)
        Index of the distinct value of each row.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    distinct_index: NDArray[np.intp]

    @classmethod
    def from_values(cls, values: Array) -> "RankOrder":
        """Order values.

        Parameters
        ----------
        values : ndarray, shape (N,)
            The values.

        Returns
        -------
        RankOrder
            Their order.
        """
        _, distinct_index = np.unique(values, return_inverse=True)
        order = np.argsort(distinct_index, kind="stable")
        starts = np.flatnonzero(np.diff(distinct_index[order], prepend=-1))
        return cls(order, starts, distinct_index)

    def centred_midranks(self, weights: Array) -> Array:
        """Compute midranks within each replicate, minus their mean.

        Parameters
        ----------
        weights : ndarray, shape (D, N)
            Resampling weights.

        Returns
        -------
        ndarray, shape (D, N)
            Centred midranks; tied values share the mean of their ranks.
        """
        count = sum_runs(weights[:, self.order], self.starts)
        above = np.cumsum(count, axis=1)
        return (above - count / 2 - above[:, -1:] / 2)[:, self.distinct_index]
