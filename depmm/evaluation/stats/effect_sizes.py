"""Effect sizes of a number with intervals and tests: Hedges' g and rank correlation.

The interval of a difference is that of the noncentral t distribution of its test, so that it
excludes 0 exactly if the p value is below 1 minus the confidence. Both assume that means are about
normally distributed, but not that the groups have equal variances.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import gammaln, nctdtrinc, stdtr

MIN_VALUES = 3  # per group; fewer say nothing about the spread


@dataclass(frozen=True)
class Effect:
    """An effect size with its interval and test; NaN where it is undefined.

    Attributes
    ----------
    estimate : float
        The effect size.
    ci_low, ci_high : float
        Confidence interval.
    p : float
        Two-sided p value of no effect.
    """

    estimate: float
    ci_low: float
    ci_high: float
    p: float


UNDEFINED = Effect(np.nan, np.nan, np.nan, np.nan)


def hedges_g(first: pd.Series, second: pd.Series, confidence: float = 0.95) -> Effect:
    """Compare the means of two independent groups.

    Parameters
    ----------
    first, second : Series of float
        Values of the groups; missing values are left out.
    confidence : float, default 0.95
        Level of the interval.

    Returns
    -------
    Effect
        Hedges' g*s, ``J (m1 - m2) / sqrt((s1^2 + s2^2) / 2)``, which is J times
        :func:`~depmm.evaluation.stats.standardised_differences.numeric_difference`, and the p value
        of Welch's t test. Undefined if a group has fewer than `MIN_VALUES` values or none varies.

    References
    ----------
    Delacre, Lakens, Ley, Liu and Leys, "Why Hedges' g*s based on the non-pooled standard deviation
    should be reported with Welch's t-test", PsyArXiv, 2021: estimate, its degrees of freedom and
    interval.
    """
    one, two = (values[~np.isnan(values)] for values in (_array(first), _array(second)))
    if min(len(one), len(two)) < MIN_VALUES:
        return UNDEFINED
    v1, v2 = float(one.var(ddof=1)), float(two.var(ddof=1))
    n1, n2 = len(one), len(two)
    e1, e2 = v1 / n1, v2 / n2
    if not e1 + e2 > 0:
        return UNDEFINED
    t = (float(one.mean()) - float(two.mean())) / np.sqrt(e1 + e2)
    welch_df = (e1 + e2) ** 2 / (e1**2 / (n1 - 1) + e2**2 / (n2 - 1))
    d_df = (v1 + v2) ** 2 / (v1**2 / (n1 - 1) + v2**2 / (n2 - 1))
    scale = np.sqrt(2 * (e1 + e2) / (v1 + v2))
    return _effect(t, welch_df, d_df, scale, confidence)


def paired_hedges_g(first: pd.Series, second: pd.Series, confidence: float = 0.95) -> Effect:
    """Compare the means of two conditions within subjects.

    The denominator is that of :func:`hedges_g`, so that both designs can be compared.

    Parameters
    ----------
    first, second : Series of float
        Values of the conditions with the same index; subjects without both are left out.
    confidence : float, default 0.95
        Level of the interval.

    Returns
    -------
    Effect
        ``J (m1 - m2) / sqrt((s1^2 + s2^2) / 2)``, and the p value of the paired t test; undefined
        if fewer than `MIN_VALUES` subjects have both values or the differences do not vary.

    References
    ----------
    Algina and Keselman, "Approximate confidence intervals for effect sizes", Educational and
    Psychological Measurement 63(4), 2003 (interval). Lakens, "Calculating and reporting effect
    sizes", Frontiers in Psychology 4:863, 2013 (d_av and its correction).
    """
    one, two = _array(first), _array(second)
    both = ~np.isnan(one) & ~np.isnan(two)
    one, two, n = one[both], two[both], int(both.sum())
    if n < MIN_VALUES:
        return UNDEFINED
    variance = (float(one.var(ddof=1)) + float(two.var(ddof=1))) / 2
    error = float((one - two).std(ddof=1)) / np.sqrt(n)
    if not (error > 0 and variance > 0):
        return UNDEFINED
    t = float((one - two).mean()) / error
    return _effect(t, n - 1, n - 1, error / np.sqrt(variance), confidence)


def rank_correlation(x: pd.Series, y: pd.Series, confidence: float = 0.95) -> Effect:
    """Correlate the ranks of two numbers.

    Parameters
    ----------
    x, y : Series of float
        Values with the same index; subjects without both are left out.
    confidence : float, default 0.95
        Level of the interval.

    Returns
    -------
    Effect
        Spearman's correlation; its p value is that of the t approximation. Undefined for fewer than
        5 subjects or a constant.

    References
    ----------
    Bonett and Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman
    correlations", Psychometrika 65(1), 2000: standard error ``sqrt((1 + r^2 / 2) / (n - 3))`` of
    Fisher's z.
    """
    both = x.notna() & y.notna()
    x, y, n = x[both], y[both], int(both.sum())
    if n < 5 or x.nunique() < 2 or y.nunique() < 2:
        return UNDEFINED
    r, p = (float(value) for value in stats.spearmanr(x, y))
    if abs(r) >= 1:
        return Effect(r, np.nan, np.nan, p)
    width = stats.norm.ppf((1 + confidence) / 2) * np.sqrt((1 + r**2 / 2) / (n - 3))
    z = np.arctanh(r)
    return Effect(r, float(np.tanh(z - width)), float(np.tanh(z + width)), p)


def _array(values: pd.Series) -> np.ndarray:
    return values.to_numpy(np.float64, na_value=np.nan)


def _effect(t: float, df: float, d_df: float, scale: float, confidence: float) -> Effect:
    """Correct the bias of d, and scale the limits of the noncentrality of t."""
    d, half = t * scale, d_df / 2
    # Hedges' J: the bias of d in small groups
    correction = np.exp(gammaln(half) - gammaln(half - 0.5)) / np.sqrt(half)
    low, high = (
        float(nctdtrinc(df, share, t) * scale * correction)
        for share in ((1 + confidence) / 2, (1 - confidence) / 2)
    )
    p = float(2 * stdtr(df, -abs(t)))
    if not low < d * correction < high:  # so large an effect that the series does not converge
        low = high = np.nan
    return Effect(float(d * correction), low, high, p)
