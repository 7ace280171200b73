"""Interval of a metric, and Wilson's interval of a proportion."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A point estimate with its interval; NaN where undefined.

    Parameters
    ----------
    method : ``BCa``, ``percentile`` or ``Wilson``
    reason : why the interval is not BCa, where it could not be
    """

    value: float
    ci_low: float
    ci_high: float
    n_undefined: int = 0
    method: str = "percentile"
    reason: str | None = None


def wilson_interval(successes: float, n: float, confidence: float) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927), sound where a bootstrap is not.

    A bootstrap of 20 right answers out of 20 has no width; this interval has.

    Raises
    ------
    ValueError : ``n`` is not positive or ``successes`` lies outside [0, n]
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(
            f"wilson: {successes} successes out of {n}: need 0 <= successes <= n, n > 0"
        )
    share, z = successes / n, NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # at 0 and n the bound is exact in theory; rounding must not put the value outside
    low, high = min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)
    return Interval(share, float(low), float(high), method="Wilson")
