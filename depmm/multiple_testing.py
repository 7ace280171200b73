"""Adjustment of p values for the number of tests; NaN marks a test that was not carried out."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

Array = np.ndarray[Any, np.dtype[np.float64]]


def holm(p: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Adjust p values so that they control the family-wise error rate.

    Parameters
    ----------
    p : array_like, shape (N,)
        p values; NaN stays NaN and does not count as a test.
    weights : array_like, shape (N,), optional
        Positive weights: the share of the error rate that each test receives. Default: equal.

    Returns
    -------
    ndarray, shape (N,)
        Adjusted p values, in the order of ``p``.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6(2), 1979, sections 2 and 3 (weights).
    """
    values = np.array(p, dtype=float)
    shares = np.ones(values.shape) if weights is None else np.asarray(weights, dtype=float)
    tested = np.isfinite(values)
    values[tested] = _holm(values[tested], shares[tested])
    return values


def benjamini_hochberg(p: ArrayLike) -> Array:
    """Adjust p values so that they control the false discovery rate.

    Parameters
    ----------
    p : array_like, shape (N,)
        p values; NaN stays NaN and does not count as a test.

    Returns
    -------
    ndarray, shape (N,)
        Adjusted p values (q values), in the order of ``p``.

    References
    ----------
    Benjamini and Hochberg, "Controlling the false discovery rate", Journal of the Royal
    Statistical Society B 57(1), 1995.
    """
    values = np.array(p, dtype=float)
    tested = np.isfinite(values)
    if tested.any():
        values[tested] = stats.false_discovery_control(values[tested])
    return values


def _holm(p: Array, weights: Array) -> Array:
    order = np.argsort(p / weights, kind="stable")
    remaining = np.cumsum(weights[order][::-1])[::-1]
    stepwise = np.minimum(p[order] * (remaining / weights[order]), 1.0)
    adjusted = np.empty_like(stepwise)
    adjusted[order] = np.maximum.accumulate(stepwise)
    return adjusted
