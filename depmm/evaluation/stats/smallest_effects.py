"""The smallest effects that a test set can be expected to show.

For each measure: the value at which a two-sided test against chance reaches the stated power, given
the number of tested subjects of each class. The value depends on the size of the test set only, not
on the results. A model whose true value is lower will often not be shown to be better than chance.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

ALPHA = 0.05  # size of the two-sided test
POWER = 0.8


def smallest_auroc(positive: int, negative: int) -> float | None:
    """Compute the smallest AUROC that is shown to be above 0.5.

    Parameters
    ----------
    positive, negative : int
        Number of tested subjects of each class.

    Returns
    -------
    float or None
        The AUROC; None if no value below 1 has the power.

    References
    ----------
    Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic
    (ROC) curve", Radiology 143(1), 1982, Eq. 1 (standard error) and p. 34 (sample size).
    """

    def standard_error(area: float) -> float:
        q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
        spread = (positive - 1) * (q1 - area**2) + (negative - 1) * (q2 - area**2)
        return float(np.sqrt((area * (1 - area) + spread) / (positive * negative)))

    return _smallest(standard_error) if min(positive, negative) else None


def smallest_balanced_accuracy(positive: int, negative: int) -> float | None:
    """Compute the smallest balanced accuracy that is shown to be above 0.5.

    Sensitivity and specificity are taken to be equal.

    Parameters
    ----------
    positive, negative : int
        Number of tested subjects of each class.

    Returns
    -------
    float or None
        The balanced accuracy; None if no value below 1 has the power.
    """

    def standard_error(share: float) -> float:
        return float(np.sqrt(share * (1 - share) * (1 / positive + 1 / negative)) / 2)

    return _smallest(standard_error) if min(positive, negative) else None


def smallest_correlation(subjects: int) -> float | None:
    """Compute the smallest correlation that is shown to differ from 0.

    Parameters
    ----------
    subjects : int
        Number of tested subjects.

    Returns
    -------
    float or None
        The correlation; None for fewer than four subjects.

    References
    ----------
    Fisher, "On the probable error of a coefficient of correlation deduced from a small sample",
    Metron 1, 1921 (the variance of artanh r is 1 / (n - 3)).
    """
    if subjects < 4:
        return None
    return float(np.tanh((norm.ppf(1 - ALPHA / 2) + norm.ppf(POWER)) / np.sqrt(subjects - 3)))


def _smallest(standard_error: Callable[[float], float]) -> float | None:
    """Solve ``value - 0.5 = z_alpha SE(0.5) + z_power SE(value)`` for a value in (0.5, 1)."""
    least = norm.ppf(1 - ALPHA / 2) * standard_error(0.5)

    def excess(value: float) -> float:
        return float(value - 0.5 - least - norm.ppf(POWER) * standard_error(value))

    if excess(1.0) <= 0:
        return None
    return float(brentq(excess, 0.5, 1.0))
