"""Hedges' g and rank correlation: hand values, agreement with tests of scipy, and coverage."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import gamma

from depmm.evaluation.stats.effect_sizes import hedges_g, paired_hedges_g, rank_correlation
from depmm.evaluation.stats.standardised_differences import numeric_difference

ONE = pd.Series([1.0, 2.0, 3.0, 4.0, 5.0])
TWO = pd.Series([2.0, 4.0, 6.0, 8.0, 10.0, np.nan])


def test_hedges_g_corrects_the_standardised_difference():
    effect = hedges_g(ONE, TWO)
    df = (2.5 + 10) ** 2 / (2.5**2 / 4 + 10**2 / 4)  # Delacre et al. (2021)
    correction = gamma(df / 2) / gamma((df - 1) / 2) / np.sqrt(df / 2)
    assert numeric_difference(ONE, TWO) == pytest.approx(-3 / np.sqrt(6.25))
    assert effect.estimate == pytest.approx(-1.2 * correction)
    assert effect.p == pytest.approx(stats.ttest_ind(ONE, TWO.dropna(), equal_var=False).pvalue)
    mirrored = hedges_g(TWO, ONE)
    assert (mirrored.ci_low, mirrored.ci_high) == pytest.approx((-effect.ci_high, -effect.ci_low))
    scaled = hedges_g(10 * ONE + 3, 10 * TWO + 3)
    assert (scaled.estimate, scaled.p) == pytest.approx((effect.estimate, effect.p))


def test_the_limits_are_those_of_the_noncentral_t_distribution():
    """Equal groups: the interval of Hedges and Olkin (1985), by bisection of its definition."""
    one, two = pd.Series([0.0, 1, 2, 3, 4, 5]), pd.Series([2.0, 3, 4, 5, 6, 7])
    effect = hedges_g(one, two)
    t, p = stats.ttest_ind(one, two)
    correction = gamma(5) / gamma(4.5) / np.sqrt(5)
    for limit, share in ((effect.ci_low, 0.025), (effect.ci_high, 0.975)):
        noncentrality = limit / correction / np.sqrt(2 / 6)
        assert stats.nct.sf(t, 10, noncentrality) == pytest.approx(share, abs=1e-5)
    assert effect.p == pytest.approx(p)


def test_paired_hedges_g_uses_the_paired_test_and_the_spread_of_subjects():
    rng = np.random.default_rng(0)
    first = pd.Series(rng.normal(0, 3, 12))
    second = first + rng.normal(0.5, 0.5, 12)
    effect = paired_hedges_g(first, second)
    assert effect.p == pytest.approx(stats.ttest_rel(first, second).pvalue)
    correction = gamma(5.5) / gamma(5) / np.sqrt(5.5)
    assert effect.estimate == pytest.approx(numeric_difference(first, second) * correction)
    assert effect.ci_low < effect.estimate < effect.ci_high
    missing = second.where(second.index != 3)
    assert paired_hedges_g(first, missing) == paired_hedges_g(first.drop(3), second.drop(3))
    assert (effect.ci_high < 0) == (effect.p < 0.05)


def test_rank_correlation_is_that_of_scipy():
    rng = np.random.default_rng(1)
    x = pd.Series(rng.normal(size=30))
    y = x + rng.normal(size=30)
    effect = rank_correlation(x, np.exp(y))
    r, p = stats.spearmanr(x, y)
    assert (effect.estimate, effect.p) == pytest.approx((r, p))
    width = 1.959964 * np.sqrt((1 + r**2 / 2) / 27)  # Bonett and Wright (2000)
    assert effect.ci_low == pytest.approx(np.tanh(np.arctanh(r) - width), abs=1e-6)
    assert rank_correlation(x, x).estimate == pytest.approx(1)


@pytest.mark.parametrize(
    "effect",
    [
        hedges_g(ONE[:2], TWO),
        hedges_g(ONE * 0, TWO * 0),
        paired_hedges_g(ONE[:2], TWO[:2]),
        paired_hedges_g(ONE, ONE + 1),
        rank_correlation(ONE[:4], TWO[:4]),
        rank_correlation(ONE, ONE * 0),
    ],
)
def test_too_few_or_constant_values_have_no_effect_size(effect):
    assert np.isnan([effect.estimate, effect.ci_low, effect.ci_high, effect.p]).all()


@pytest.mark.parametrize("d", [0.0, 0.8])
def test_intervals_cover_with_unequal_groups_and_variances(d):
    rng = np.random.default_rng(2)
    covered = rejected = 0
    for _ in range(400):
        one = pd.Series(rng.normal(d * np.sqrt(2.5), 2, 15))
        effect = hedges_g(one, pd.Series(rng.normal(0, 1, 40)))
        covered += effect.ci_low <= d <= effect.ci_high
        rejected += effect.p < 0.05
        assert (effect.p < 0.05) == (not effect.ci_low <= 0 <= effect.ci_high)
    assert 0.92 <= covered / 400 <= 0.98
    if d == 0:
        assert rejected / 400 <= 0.08
