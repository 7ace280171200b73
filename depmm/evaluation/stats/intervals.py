"""A point estimate with its confidence interval, and intervals in closed form.

Wilson's interval of a proportion, Newcombe's interval of an AUROC, and t intervals of a transformed
value.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from depmm.evaluation.stats.weighted_sums import ROUNDING

Scale = Literal["natural", "share", "log", "fisher_z"]
T_METHODS: dict[Scale, str] = {
    "natural": "t",
    "share": "t",
    "log": "t (logarithm)",
    "fisher_z": "t (Fisher's z)",
}
LIMITS: dict[Scale, tuple[float, float]] = {
    "natural": (-np.inf, np.inf),
    "share": (0.0, 1.0),
    "log": (0.0, np.inf),
    "fisher_z": (-1.0, 1.0),
}
MIN_DF = 2.0  # fewer make intervals several times as wide for .005 of coverage
NO_VARIANCE = "the value does not change without any one subject, its variance is not known"


@dataclass(frozen=True)
class Interval:
    """A point estimate with its confidence interval; NaN where undefined.

    Attributes
    ----------
    value : float
        Point estimate.
    ci_low, ci_high : float
        Bounds of the confidence interval.
    n_undefined : int, default 0
        Number of bootstrap replicates in which the estimate is undefined; they are left out.
    method : str, default "percentile"
        Method of the interval, for example ``Wilson``, ``t (logarithm)`` or ``permutation``;
        ``exact`` if the value has no sampling variance. BCa and percentile intervals are those of
        attributions.
    reason : str, optional
        Why the interval has no bounds or no width, or is a percentile instead of a BCa interval.
    """

    value: float
    ci_low: float
    ci_high: float
    n_undefined: int = 0
    method: str = "percentile"
    reason: str | None = None


def wilson_interval(successes: float, n: float, confidence: float) -> Interval:
    """Compute Wilson's score interval of a proportion.

    With ``p = successes / n`` and the normal quantile ``z`` of the confidence, the bounds are
    ``(p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)``. The interval is valid
    where a bootstrap is not: 20 of 20 correct decisions leave a bootstrap no variance.

    Parameters
    ----------
    successes : float
        Number of successes; a mean over seeds may be a fraction.
    n : float
        Number of trials.
    confidence : float
        Confidence level, for example 0.95.

    Returns
    -------
    Interval
        Proportion with its interval.

    Raises
    ------
    ValueError
        If ``n`` is not positive or ``successes`` is not in [0, n].

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22(158), 1927.
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(
            f"wilson_interval: {successes} successes in {n} trials. Give n > 0 and 0 <= successes "
            "<= n."
        )
    share, z = successes / n, NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # at 0 and n the bound equals the value; rounding must not put the value outside
    low, high = min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)
    return Interval(share, float(low), float(high), method="Wilson")


def newcombe_interval(
    auroc: float, n_positive: float, n_negative: float, confidence: float, ratio: float = 1.0
) -> Interval:
    """Compute Newcombe's score interval of an AUROC.

    The bounds are the values ``A`` that solve ``|auroc - A| = z sqrt(ratio V(A))`` with the
    variance of Hanley and McNeil at ``A`` instead of at the estimate,
    ``V(A) = A (1 - A) (1 + N (1 - A) / (2 - A) + N A / (1 + A)) / (m n)`` and ``N = (m + n) / 2 -
    1``. The interval has a width where all positive subjects are ranked above all negative ones.

    Parameters
    ----------
    auroc : float
        Estimated area under the ROC curve, in [0, 1].
    n_positive, n_negative : float
        Number of positive and of negative subjects, ``m`` and ``n``.
    confidence : float
        Confidence level, for example 0.95.
    ratio : float, default 1
        Ratio of the variance of the data to ``V`` at the estimate.

    Returns
    -------
    Interval
        Area with its interval.

    Raises
    ------
    ValueError
        If ``auroc`` is not in [0, 1], or a class has no subject.

    References
    ----------
    Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic.
    Part 2: asymptotic methods and evaluation", Statistics in Medicine 25(4), 2006, method 5.
    """
    if not 0 <= auroc <= 1 or min(n_positive, n_negative) <= 0:
        raise ValueError(
            f"newcombe_interval: AUROC {auroc} of {n_positive} positive and {n_negative} negative "
            "subjects. Give a value in [0, 1] and subjects of both classes."
        )
    z = NormalDist().inv_cdf((1 + confidence) / 2)

    def outside(area: float) -> bool:
        variance = ratio * hanley_mcneil_variance(area, n_positive, n_negative)
        return (auroc - area) ** 2 > z**2 * variance

    bounds = []
    for end in (0.0, 1.0):
        inner, outer = auroc, end
        # the interval is one piece: V has no minimum inside of [0, 1]
        for _ in range(50):
            middle = (inner + outer) / 2
            inner, outer = (inner, middle) if outside(middle) else (middle, outer)
        bounds.append(inner)
    return Interval(auroc, bounds[0], bounds[1], method="Newcombe")


def hanley_mcneil_variance(auroc: float, n_positive: float, n_negative: float) -> float:
    """Compute the variance of an AUROC, with the mean number of both classes in both terms.

    Parameters
    ----------
    auroc : float
        Area under the ROC curve, in [0, 1].
    n_positive, n_negative : float
        Number of positive and of negative subjects.

    Returns
    -------
    float
        Variance; 0 for an area of 0 or 1.

    References
    ----------
    Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic
    (ROC) curve", Radiology 143(1), 1982. With equal terms: Newcombe 2006, method 5.
    """
    others = (n_positive + n_negative) / 2 - 1
    inner = 1 + others * (1 - auroc) / (2 - auroc) + others * auroc / (1 + auroc)
    return auroc * (1 - auroc) * inner / (n_positive * n_negative)


def t_interval(
    value: float, variance: float, df: float, confidence: float, scale: Scale = "natural"
) -> Interval:
    """Compute a t interval on a scale on which the estimate is closer to normal.

    The standard error on the scale is that of the value times the derivative of the scale (delta
    method). On the logarithmic scale, used for errors, the degrees of freedom are halved: the
    kurtosis of skewed errors, and with it the uncertainty of their variance, is underestimated in
    small samples.

    Parameters
    ----------
    value : float
        Point estimate; not negative on the scale ``log``, in [-1, 1] on the scale ``fisher_z``.
    variance : float
        Variance of the estimate.
    df : float
        Degrees of freedom of the variance.
    confidence : float
        Confidence level, for example 0.95.
    scale : {"natural", "share", "log", "fisher_z"}, default "natural"
        ``share`` for a natural scale from 0 to 1, ``log`` for errors from 0 on, ``fisher_z`` (area
        tangent) for correlations.

    Returns
    -------
    Interval
        Estimate with its interval; without width and with a ``reason`` if the variance is 0.

    References
    ----------
    Fisher, "On the probable error of a coefficient of correlation deduced from a small sample",
    Metron 1, 1921.
    """
    from scipy.stats import t as student

    method = T_METHODS[scale]
    if not np.isfinite(value) or not np.isfinite(variance):
        return Interval(float(value), np.nan, np.nan, method=method)
    at_end = (scale == "log" and value <= 0) or (scale == "fisher_z" and abs(value) >= 1)
    if variance <= ROUNDING**2 * max(1.0, value**2) or at_end:
        return Interval(float(value), float(value), float(value), method=method, reason=NO_VARIANCE)
    if scale == "log":
        df = df / 2
    half = float(student.ppf((1 + confidence) / 2, max(df, MIN_DF)) * np.sqrt(variance))
    match scale:
        case "log":
            low, high = value * np.exp(-half / value), value * np.exp(min(half / value, 700.0))
        case "fisher_z":
            z, half = np.arctanh(value), half / (1 - value**2)
            low, high = np.tanh(z - half), np.tanh(z + half)
        case _:
            low, high = np.clip([value - half, value + half], *LIMITS[scale])
    return Interval(float(value), min(float(low), value), max(float(high), value), method=method)


def mover(terms: tuple[Interval, Interval], correlation: float) -> Interval:
    """Compute the interval of a difference from the intervals of its terms.

    Parameters
    ----------
    terms : tuple of Interval
        The two estimates.
    correlation : float
        Correlation of the estimates; 0 gives the widest interval of positively correlated ones.

    Returns
    -------
    Interval
        First minus second estimate.

    References
    ----------
    Zou, "Toward using confidence intervals to compare correlations", Psychological Methods 12(4),
    2007, Eq. 15.
    """

    def distance(first: float, second: float) -> float:
        square = first**2 + second**2 - 2 * correlation * first * second
        return float(np.sqrt(max(0.0, square)))

    a, b = terms
    value = a.value - b.value
    low = value - distance(a.value - a.ci_low, b.ci_high - b.value)
    high = value + distance(a.ci_high - a.value, b.value - b.ci_low)
    return Interval(value, low, high, method="MOVER")
