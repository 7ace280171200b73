"""The five tests that DepNet prints: against scipy, hand values and fixed reference values."""

import numpy as np
import pytest
import scipy.stats

from depmm.evaluation import hypothesis_tests as H


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_every_test_says_what_it_says_and_what_not(rng):
    x, y = rng.normal(size=30), rng.normal(1, 1, 25)
    found = [
        H.shapiro_wilk(x),
        H.augmented_dickey_fuller(x),
        H.anova(x, y),
        H.chi_squared([[10, 5], [4, 11]]),
        H.mann_whitney_u(x, y),
    ]
    assert len({test.name for test in found}) == 5
    for test in found:
        assert 0 <= test.p <= 1
        assert test.says.startswith("A small p speaks against")
        assert "not" in test.does_not_say
        assert test.says.endswith(".")
        assert test.does_not_say.endswith(".")


def test_shapiro_wilk_tells_a_skewed_sample_from_a_normal_one(rng):
    assert H.shapiro_wilk(rng.exponential(size=80)).p < 0.001
    normal = scipy.stats.norm.ppf((np.arange(80) + 0.5) / 80)
    found = H.shapiro_wilk(normal)
    assert found.p > 0.9
    assert (found.statistic, found.p) == pytest.approx(tuple(scipy.stats.shapiro(normal)))


def test_anova_by_hand():
    # means 2, 3, 7 about 4: between 3 * (4 + 1 + 9) = 42 of 2, within 2 + 2 + 2 = 6 of 6
    found = H.anova([1, 2, 3], [2, 3, 4], [6, 7, 8])
    assert found.statistic == pytest.approx(21)
    assert found.p == pytest.approx(scipy.stats.f.sf(21, 2, 6))


def test_chi_squared_by_hand_and_blind_to_the_sign():
    # expected 10 in every cell: 4 * 25 / 10
    found = H.chi_squared([[15, 5], [5, 15]])
    assert found.statistic == pytest.approx(10)
    assert found.p == pytest.approx(scipy.stats.chi2.sf(10, 1))
    assert H.chi_squared([[5, 15], [15, 5]]).p == pytest.approx(found.p)  # always wrong: the same p


def test_mann_whitney_is_an_auroc():
    found = H.mann_whitney_u([0.4, 0.8, 0.9], [0.1, 0.2, 0.5])
    assert found.statistic == 8  # of 9 pairs
    assert found.p == pytest.approx(2 * 2 / 20)  # 8 or 9 of 9: 2 of the 20 orders, on both sides


# values of statsmodels 0.15 (adfuller), which the release compares itself with
T = np.arange(40)
WAVE = np.sin(T * 1.7) + 0.05 * T + np.cos(T**2)
DRIFT = np.cumsum(np.sin(T**2))


@pytest.mark.parametrize(
    ("series", "lags", "used", "statistic", "p"),
    [
        (WAVE, None, 10, -0.6063165541442962, 0.8695483470094194),
        (WAVE, 0, 0, -4.337845233891782, 0.0003817504765093197),
        (WAVE, 2, 2, -1.5574698481276967, 0.5049148239940157),
        (DRIFT, None, 9, -3.1169482546306626, 0.025324101819761934),
    ],
)
def test_dickey_fuller_equals_statsmodels(series, lags, used, statistic, p):
    found = H.augmented_dickey_fuller(series + 1000, lags)
    assert found.name == f"augmented Dickey-Fuller, {used} lags"
    assert (found.statistic, found.p) == pytest.approx((statistic, p), rel=1e-6)


def test_dickey_fuller_critical_values():
    found = H.dickey_fuller_critical(39)
    expected = [-3.610399601308181, -2.939108945868946, -2.6080629651545038]
    assert list(found.values()) == pytest.approx(expected)
    limit = H.dickey_fuller_critical(10**9)
    assert limit[0.05] == pytest.approx(-2.86154, abs=1e-5)
    assert H._dickey_fuller_p(limit[0.05]) == pytest.approx(0.05, abs=0.001)
    assert H._dickey_fuller_p(-1.61) == pytest.approx(H._dickey_fuller_p(-1.6099), abs=0.001)
    assert (H._dickey_fuller_p(3.0), H._dickey_fuller_p(-19.0)) == (1, 0)


def test_dickey_fuller_depends_on_an_order_that_persons_do_not_have(rng):
    errors = rng.normal(size=40)
    p = [H.augmented_dickey_fuller(x).p for x in (errors, np.sort(errors))]
    assert p[0] < 0.05 < p[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: H.shapiro_wilk([1, 2]), "give one row of 3 or more"),
        (lambda: H.shapiro_wilk([1, np.nan, 2]), "1 of them not finite"),
        (lambda: H.anova([1, 2]), "1 group"),
        (lambda: H.chi_squared([[1, 0.5], [2, 3]]), "no table of counts"),
        (lambda: H.chi_squared([[1, 0], [2, 0]]), "empty row or column"),
        (lambda: H.augmented_dickey_fuller(np.ones(20)), "constant"),
        (lambda: H.augmented_dickey_fuller(np.arange(20.0) ** 2, 9), "9 lags of 20 values"),
    ],
)
def test_what_cannot_be_tested_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
