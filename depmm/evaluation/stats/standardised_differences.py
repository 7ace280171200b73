"""Standardised differences between two groups of subjects.

They measure the imbalance of a covariate independently of its unit. Unlike a p value, they do not
grow with the number of subjects. In small groups they differ from 0 by chance alone, which
:func:`chance_bound` quantifies.

References
----------
Austin, "Balance diagnostics for comparing the distribution of baseline covariates between treatment
groups in propensity-score matched samples", Statistics in Medicine 28(25), 2009, Sec. 3.1. Yang and
Dalton, "A unified approach to measuring the effect size between two groups using SAS", SAS Global
Forum 2012, paper 335.
"""

import numpy as np
import pandas as pd
from scipy.stats import chi2

IMBALANCE = 0.1  # absolute difference above which Austin (2009) calls a covariate imbalanced


def numeric_difference(first: pd.Series, second: pd.Series) -> float:
    """Compute the standardised difference of the means of a number.

    Parameters
    ----------
    first, second : Series of float
        Values of two groups; missing values are left out.

    Returns
    -------
    float
        ``(m1 - m2) / sqrt((s1^2 + s2^2) / 2)``; NaN if a group has fewer than two values, or if the
        values of both groups are constant and different.

    References
    ----------
    Austin, Statistics in Medicine 28(25), 2009, Sec. 3.1.
    """
    one, two = first.dropna().to_numpy(float), second.dropna().to_numpy(float)
    if min(len(one), len(two)) < 2:
        return float("nan")
    difference = one.mean() - two.mean()
    scale = np.sqrt((one.var(ddof=1) + two.var(ddof=1)) / 2)
    if scale == 0:
        return 0.0 if difference == 0 else float("nan")
    return float(difference / scale)


def categorical_difference(first: pd.Series, second: pd.Series) -> float:
    """Compute the standardised difference of the shares of categories.

    It is the Mahalanobis distance between the shares of all categories but one. For two categories
    it is the absolute value of the difference of proportions of Austin (2009).

    Parameters
    ----------
    first, second : Series
        Categories of two groups; missing values are left out.

    Returns
    -------
    float
        The distance, not negative; NaN if a group has no values, or if no category has a variance
        but the shares differ.

    References
    ----------
    Yang and Dalton, SAS Global Forum 2012, paper 335, "multinomial variables".
    """
    one, two = first.dropna(), second.dropna()
    if one.empty or two.empty:
        return float("nan")
    names = sorted(set(one) | set(two), key=str)[1:]
    p, q = (
        np.array([(values == name).mean() for name in names], dtype=float) for values in (one, two)
    )
    covariance = (np.diag(p) - np.outer(p, p) + np.diag(q) - np.outer(q, q)) / 2
    difference = p - q
    if not difference.any():
        return 0.0
    if not covariance.any():
        return float("nan")
    # a category that is missing in both groups or fills one of them makes the matrix singular
    return float(np.sqrt(max(difference @ np.linalg.pinv(covariance) @ difference, 0.0)))


def chance_bound(first: int, second: int, categories: int = 2) -> float:
    """Compute the absolute difference that two samples of one population exceed in 5 % of cases.

    Parameters
    ----------
    first, second : int
        Number of subjects of the groups.
    categories : int, default 2
        Number of categories; 2 for a number.

    Returns
    -------
    float
        ``sqrt(q (1 / n1 + 1 / n2))`` with the 95 % quantile ``q`` of the chi-squared distribution
        with ``categories - 1`` degrees of freedom; infinite for an empty group.

    Notes
    -----
    For large samples of one population, ``n1 n2 / (n1 + n2)`` times the squared difference follows
    this distribution, because it is Hotelling's statistic.
    """
    if min(first, second) < 1:
        return float("inf")
    quantile = chi2.ppf(0.95, max(categories - 1, 1))
    return float(np.sqrt(quantile * (1 / first + 1 / second)))
