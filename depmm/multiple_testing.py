"""Adjustment of p values for the number of tests; NaN marks a test that was not carried out."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

Array = np.ndarray[Any, np.dtype[np.float64]]


def holm(p: ArrayLike) -> Array:
    """Adjust p values so that they control the family-wise error rate.

    Parameters
    ----------
    p : array_like, shape (N,)
        p values; NaN stays NaN and does not count as a test.

    Returns
    -------
    ndarray, shape (N,)
        Adjusted p values, in the order of ``p``.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6(2), 1979.
    """
    return _adjust(p, _holm)


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
    return _adjust(p, stats.false_discovery_control)


def _adjust(p: ArrayLike, method: Callable[[Array], Array]) -> Array:
    values = np.array(p, dtype=float)
    tested = np.isfinite(values)
    if tested.any():
        values[tested] = method(values[tested])
    return values


def _holm(p: Array) -> Array:
    order = np.argsort(p, kind="stable")
    stepwise = np.minimum(p[order] * np.arange(len(p), 0, -1), 1.0)
    adjusted = np.empty_like(stepwise)
    adjusted[order] = np.maximum.accumulate(stepwise)
    return adjusted
