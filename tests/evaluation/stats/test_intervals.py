"""Intervals in closed form against SciPy and their equations."""

import numpy as np
import pytest
import scipy.stats

from depmm.evaluation.stats.intervals import newcombe_interval, t_interval, wilson_interval


@pytest.mark.parametrize(("k", "n"), [(0, 10), (8, 10), (10, 10), (41, 47)])
def test_wilson_equals_scipy(k, n):
    reference = scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    result = wilson_interval(k, n, 0.95)
    assert (result.ci_low, result.ci_high) == pytest.approx((reference.low, reference.high))


def test_wilson_raises_for_impossible_counts():
    with pytest.raises(ValueError, match="11 successes"):
        wilson_interval(11, 10, 0.95)


@pytest.mark.parametrize(("auroc", "m", "n"), [(1.0, 10, 10), (0.8, 6, 14), (0.97, 40, 110)])
def test_the_bounds_of_newcombe_solve_his_equation(auroc, m, n):
    result = newcombe_interval(auroc, m, n, 0.95)
    for bound in {result.ci_low, result.ci_high} - {1.0}:
        # Newcombe 2006, method 5, written out
        others = (m + n) / 2 - 1
        terms = 1 + others * (1 - bound) / (2 - bound) + others * bound / (1 + bound)
        variance = bound * (1 - bound) * terms / (m * n)
        assert (auroc - bound) ** 2 == pytest.approx(1.959964**2 * variance, rel=1e-5)
    assert 0 < result.ci_low < auroc <= result.ci_high <= 1
    mirrored = newcombe_interval(1 - auroc, m, n, 0.95)
    assert (1 - mirrored.ci_high, 1 - mirrored.ci_low) == pytest.approx(
        (result.ci_low, result.ci_high)
    )


def test_a_larger_variance_of_the_data_widens_the_interval_of_newcombe():
    plain, wide = (newcombe_interval(0.9, 10, 10, 0.95, ratio) for ratio in (1.0, 2.0))
    assert wide.ci_low < plain.ci_low < plain.ci_high < wide.ci_high
    # twice the variance is half the subjects, apart from the term of a single pair
    half = newcombe_interval(0.9, 5, 5, 0.95)
    assert wide.ci_low == pytest.approx(half.ci_low, abs=0.02)


def test_newcombe_raises_without_a_class():
    with pytest.raises(ValueError, match="0 negative"):
        newcombe_interval(0.9, 3, 0, 0.95)


def test_t_intervals_on_each_scale():
    mean = t_interval(2.0, 0.25, 9, 0.95)
    assert (mean.ci_low, mean.ci_high) == pytest.approx(
        scipy.stats.t.interval(0.95, 9, loc=2, scale=0.5)
    )
    error = t_interval(2.0, 0.25, 18, 0.95, "log")  # half of the degrees of freedom
    bounds = np.exp(scipy.stats.t.interval(0.95, 9, loc=np.log(2), scale=0.25))
    assert (error.ci_low, error.ci_high) == pytest.approx(tuple(bounds))
    # with the variance of a normal sample, Fisher's z has the standard error 1 / sqrt(n)
    r, n = 0.6, 100
    pearson = t_interval(r, (1 - r**2) ** 2 / n, 1e9, 0.95, "fisher_z")
    reference = np.tanh(np.arctanh(r) + np.array([-1, 1]) * 1.959964 / 10)
    assert (pearson.ci_low, pearson.ci_high) == pytest.approx(tuple(reference), rel=1e-5)


@pytest.mark.parametrize(("value", "scale"), [(0.0, "log"), (1.0, "fisher_z"), (-1.0, "fisher_z")])
def test_an_interval_without_variance_states_it(value, scale):
    result = t_interval(value, 0.0, 5, 0.95, scale)
    assert (result.ci_low, result.ci_high) == (value, value)
    assert result.reason


def test_a_variance_of_rounding_errors_is_none():
    # the log-loss of a constant probability of .5, whose jackknife differs in the last digit
    result = t_interval(np.log(2), 1e-30, 9, 0.95, "log")
    assert result.ci_low == result.value == result.ci_high
    assert result.reason
