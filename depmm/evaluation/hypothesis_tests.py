"""The five tests that DepNet prints beside its errors, each with what it does and does not say.

DepNet (He et al., "DepNet: an automatic depression analysis system using facial videos") lists
Shapiro-Wilk, augmented Dickey-Fuller, ANOVA, chi-squared and Mann-Whitney U. None of them says that
a model is good or better than another: that takes paired tests on the same persons
(``depmm.evaluation.comparison``) and intervals over persons (``depmm.evaluation.intervals``).

All but Dickey-Fuller take their values as independent: give one value a person, not one a segment
or a session.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HypothesisTest:
    """A statistic, its p value, and two sentences for a reader.

    Parameters
    ----------
    says : what a small p speaks against
    does_not_say : what it must not be taken for
    """

    name: str
    statistic: float
    p: float
    says: str
    does_not_say: str


def shapiro_wilk(values: ArrayLike) -> HypothesisTest:
    """Test whether values, errors of persons say, may come from a normal distribution.

    Parameters
    ----------
    values : [N], N >= 3 (Shapiro and Wilk 1965; p by Royston 1995, through scipy)
    """
    x = _sample(values, "shapiro_wilk", least=3)
    found = stats.shapiro(x)
    return HypothesisTest(
        "Shapiro-Wilk",
        float(found.statistic),
        float(found.pvalue),
        "A small p speaks against values drawn independently from one normal distribution.",
        "It does not say how well a model predicts, and a large p of a small sample does not show "
        "that errors are normal.",
    )


def anova(*groups: ArrayLike) -> HypothesisTest:
    """Test whether groups have the same mean (one-way analysis of variance, through scipy).

    Parameters
    ----------
    groups : two or more of [N_k], different persons in each
    """
    if len(groups) < 2:
        raise ValueError(f"anova: {len(groups)} group(s): give two or more")
    found = stats.f_oneway(*(_sample(group, "anova", least=2) for group in groups))
    return HypothesisTest(
        "one-way ANOVA",
        float(found.statistic),
        float(found.pvalue),
        "A small p speaks against equal means of the groups, if persons are independent and groups "
        "spread alike.",
        "It does not say which groups differ or by how much, and groups made of several models' "
        "answers on the same persons are not independent: compare those in pairs.",
    )


def chi_squared(table: ArrayLike) -> HypothesisTest:
    """Test whether rows and columns of a table of counts are independent (Pearson; through scipy).

    Without a continuity correction. The approximation wants expected counts of about 5 or more.

    Parameters
    ----------
    table : [R, C] counts of persons, e.g. truth by decision

    Raises
    ------
    ValueError : not a table of counts, or an empty row or column
    """
    counts = np.asarray(table, dtype=float)
    if counts.ndim != 2 or min(counts.shape) < 2 or (counts < 0).any() or (counts % 1 != 0).any():
        raise ValueError(f"chi_squared: {counts.tolist()} is no table of counts, 2 x 2 or larger")
    if not counts.sum(axis=0).all() or not counts.sum(axis=1).all():
        raise ValueError(f"chi_squared: {counts.tolist()} has an empty row or column; leave it out")
    found = stats.chi2_contingency(counts, correction=False)
    return HypothesisTest(
        "chi-squared",
        float(found.statistic),
        float(found.pvalue),
        "A small p speaks against the independence of rows and columns, of truth and decision say.",
        "It does not say that decisions are right (a model that is always wrong has the same p), "
        "nor that one model is better than another.",
    )


def mann_whitney_u(first: ArrayLike, second: ArrayLike) -> HypothesisTest:
    """Test whether values of one group tend to be larger than those of another (through scipy).

    Exact for small groups without ties, else normal with a correction for ties; two-sided.

    Parameters
    ----------
    first, second : [N_1], [N_2]: different persons; ``U / (N_1 N_2)`` of the first is an AUROC
    """
    a, b = _sample(first, "mann_whitney_u", least=1), _sample(second, "mann_whitney_u", least=1)
    found = stats.mannwhitneyu(a, b, alternative="two-sided", method="auto")
    return HypothesisTest(
        "Mann-Whitney U",
        float(found.statistic),
        float(found.pvalue),
        "A small p speaks against two groups of persons having the same distribution, in favour of "
        "one tending to larger values: of probabilities by label, an AUROC that is not 0.5.",
        "It does not compare two models, whose errors on the same persons are paired, and it does "
        "not say that the separation is large enough to be of use.",
    )


# ---- unit root ---------------------------------------------------------------------------------

# MacKinnon 2010, table 2, one variable, constant and no trend: limit and terms in 1/T, 1/T^2, 1/T^3
CRITICAL = {
    0.01: (-3.43035, -6.5393, -16.786, -79.433),
    0.05: (-2.86154, -2.8903, -4.234, -40.040),
    0.10: (-2.56677, -1.5384, -2.809, 0.0),
}
# MacKinnon 1994, tables 3 and 4, the same case: Phi^-1(p) as a polynomial of the statistic, on
# both sides of TURN; beyond the bounds p is 0 or 1
TURN, LOWEST, HIGHEST = -1.61, -18.83, 2.74
LOWER_TAIL = (2.1659, 1.4412, 0.038269)
UPPER_TAIL = (1.7339, 0.93202, -0.12745, -0.010368)


def augmented_dickey_fuller(series: ArrayLike, lags: int | None = None) -> HypothesisTest:
    """Test whether a series over time has a unit root (Said and Dickey 1984), with a constant.

    Parameters
    ----------
    series : [T], values in the order of time, of ONE recording: errors of different persons have no
        such order, and sorting them another way changes the answer
    lags : differences taken into the regression; by default as many, up to
        ``12 (T / 100)^(1/4)`` (Schwert 1989), as give the lowest AIC on the same rows

    Returns
    -------
    p is MacKinnon's (1994) approximation for long series; ``dickey_fuller_critical`` has critical
    values for short ones

    Raises
    ------
    ValueError : a constant series, or one too short for its lags
    """
    x = _sample(series, "augmented_dickey_fuller", least=8)
    if np.ptp(x) == 0:
        raise ValueError(
            "augmented_dickey_fuller: the series is constant: there is nothing to test"
        )
    most = len(x) // 2 - 2  # a regression needs more rows than columns
    if lags is None:
        most = min(int(np.ceil(12 * (len(x) / 100) ** 0.25)), most)
        fits = [_dickey_fuller_fit(x, number, skip=most) for number in range(most + 1)]
        lags = int(np.argmin([aic for _, aic in fits]))
    elif not 0 <= lags <= most:
        raise ValueError(
            f"augmented_dickey_fuller: {lags} lags of {len(x)} values: use 0 to {most}, or a "
            "longer series"
        )
    statistic, _ = _dickey_fuller_fit(x, lags, skip=lags)
    return HypothesisTest(
        f"augmented Dickey-Fuller, {lags} lags",
        statistic,
        _dickey_fuller_p(statistic),
        "A small p speaks against a unit root: the series returns to its mean instead of drifting.",
        "It does not say that predictions are right, and of values without an order in time, such "
        "as the errors of different persons, it says nothing at all.",
    )


def dickey_fuller_critical(observations: int) -> dict[float, float]:
    """Critical values of the statistic by level (MacKinnon 2010, eq. 3, constant, no trend).

    Parameters
    ----------
    observations : rows of the regression, T - 1 - lags
    """
    powers = 1.0 / observations ** np.arange(4)
    return {level: float(np.dot(terms, powers)) for level, terms in CRITICAL.items()}


def _dickey_fuller_fit(x: Array, lags: int, skip: int) -> tuple[float, float]:
    """Regress differences on a constant, the level before and lagged differences: t and AIC.

    The first ``skip`` differences are left out, so that fits of several lags share their rows.
    """
    steps = np.diff(x)
    rows = np.arange(skip, len(steps))
    columns = [x[rows], np.ones(len(rows)), *(steps[rows - lag] for lag in range(1, lags + 1))]
    design, target = np.stack(columns, axis=1), steps[rows]
    # the level's coefficient from what the other columns leave of it: steady for large offsets
    others = design[:, 1:]
    level = design[:, 0] - others @ np.linalg.lstsq(others, design[:, 0], rcond=None)[0]
    rest = target - others @ np.linalg.lstsq(others, target, rcond=None)[0]
    slope = (level @ rest) / (level @ level)
    squares = float(((rest - slope * level) ** 2).sum())
    error = np.sqrt(squares / (len(rows) - design.shape[1]) / (level @ level))
    likelihood = -len(rows) / 2 * (np.log(2 * np.pi * squares / len(rows)) + 1)
    return float(slope / error), float(2 * design.shape[1] - 2 * likelihood)


def _dickey_fuller_p(statistic: float) -> float:
    if statistic > HIGHEST:
        return 1.0
    if statistic < LOWEST:
        return 0.0
    terms = LOWER_TAIL if statistic <= TURN else UPPER_TAIL
    return float(stats.norm.cdf(np.polynomial.polynomial.polyval(statistic, terms)))


def _sample(values: ArrayLike, test: str, least: int) -> Array:
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or len(x) < least or not np.isfinite(x).all():
        raise ValueError(
            f"{test}: {x.shape} values, {int((~np.isfinite(x)).sum())} of them not finite: give "
            f"one row of {least} or more finite values"
        )
    return x
