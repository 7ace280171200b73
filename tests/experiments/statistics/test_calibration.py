"""A small version of the simulation of calibration."""

import numpy as np

from experiments.benchmarks.statistics.calibration import isotonic_harm, line_coverage, shifted_ece


def test_slope_and_intercept_correct_a_shift_that_a_temperature_does_not():
    rng = np.random.default_rng(5)
    before, with_temperature, with_both = np.mean([shifted_ece(rng) for _ in range(10)], axis=0)
    assert before > 0.15
    assert with_temperature > 0.15
    assert with_both < 0.04


def test_intervals_of_intercept_and_slope_cover():
    assert min(line_coverage(40, 2, studies=200)) > 0.9


def test_isotonic_regression_is_refused_where_it_harms():
    always, selected, refused = isotonic_harm(60, studies=30, stepped=False)
    assert always > 4
    assert selected < always / 2
    assert refused > 0.6
