"""Differences between runs: MOVER and the covariance over subjects against other formulas."""

import numpy as np
import pytest
from scipy import stats

from depmm.evaluation.stats.bca_interval import leave_subjects_out
from depmm.evaluation.stats.intervals import Interval, mover, wilson_interval
from depmm.evaluation.stats.paired_difference import jackknife_covariance


def test_mover_of_proportions_is_newcombes_interval():
    # Newcombe 1998, Table II, example (a): 56/70 and 48/80, method 10
    result = mover((wilson_interval(56, 70, 0.95), wilson_interval(48, 80, 0.95)), 0.0)
    assert (result.ci_low, result.ci_high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_mover_of_equal_estimates_with_correlation_1_has_no_width():
    term = Interval(0.5, 0.4, 0.6)
    result = mover((term, term), 1.0)
    assert (result.ci_low, result.ci_high) == pytest.approx((0, 0))


def test_the_jackknife_covariance_of_means_is_that_of_the_sample(rng):
    x = rng.normal(size=(2, 30))
    jackknife = leave_subjects_out(np.arange(30), np.zeros(30), 0)
    left_out = x @ jackknife.weights.T / 30
    covariance = jackknife_covariance(jackknife, x.mean(axis=1), left_out)
    assert covariance == pytest.approx(np.cov(x) / 30)
    assert np.sqrt(covariance[0, 0]) == pytest.approx(stats.sem(x[0]))
