"""Training variance: hand values, limits, and its place in the intervals of metrics."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated_predictions import paired_predictions, resample

from depmm.evaluation.predictions import prepare_predictions
from depmm.evaluation.stats.intervals import Interval
from depmm.evaluation.stats.resampled_sessions import resample_sessions
from depmm.evaluation.stats.training_variance import (
    WITH_SEEDS,
    add_training_variance,
    average_repeats,
    satterthwaite,
    seed_variance,
)


def test_satterthwaite_equals_the_degrees_of_freedom_of_welch(rng):
    a, b = rng.normal(size=5), rng.normal(scale=3, size=8)
    expected = stats.ttest_ind(a, b, equal_var=False).df
    variances = [a.var(ddof=1) / 5, b.var(ddof=1) / 8]
    assert satterthwaite(variances, [4, 7]) == pytest.approx(expected)
    assert satterthwaite([1.0, 0.0], [np.inf, 2]) == np.inf
    assert satterthwaite([0.0, 2.0], [np.inf, 2]) == pytest.approx(2)


def test_without_variance_over_subjects_the_interval_is_that_of_a_t_test(rng):
    per_seed = rng.normal(0.7, 0.05, 4)
    mean = float(per_seed.mean())
    result = add_training_variance(Interval(mean, mean, mean), per_seed, 0.9)
    low, high = stats.t.interval(0.9, 3, mean, stats.sem(per_seed))
    assert (result.ci_low, result.ci_high) == pytest.approx((low, high))
    assert result.method == "percentile, with training variance"


def test_both_variances_are_added_on_each_side():
    # many seeds: the t quantile is the normal one, and the squares of the distances are added
    per_seed = np.tile([0.5, 0.9], 5000)
    z = stats.norm.ppf(0.975)
    over_seeds = z * 0.2 / np.sqrt(10_000)
    result = add_training_variance(Interval(0.7, 0.7 - 0.003, 0.7 + 0.004), per_seed, 0.95)
    assert 0.7 - result.ci_low == pytest.approx(np.hypot(0.003, over_seeds), rel=1e-3)
    assert result.ci_high - 0.7 == pytest.approx(np.hypot(0.004, over_seeds), rel=1e-3)


def test_one_seed_equal_seeds_and_undefined_intervals_are_unchanged():
    interval = Interval(0.7, 0.6, 0.8)
    assert add_training_variance(interval, [0.7], 0.95) is interval
    assert add_training_variance(interval, [0.7, 0.7], 0.95) is interval
    undefined = Interval(0.7, np.nan, np.nan)
    assert add_training_variance(undefined, [0.6, 0.8], 0.95) is undefined


def test_repeats_are_averaged_within_seeds():
    values = np.array([[1.0, 2], [3, 4], [10, 20], [30, 40]])
    assert average_repeats(values, [0, 0, 7, 7]).tolist() == [[2, 3], [20, 30]]
    assert seed_variance(average_repeats([1.0, 3, 10, 30], [0, 0, 7, 7])) == pytest.approx(81)


def test_intervals_of_metrics_are_wider_with_seeds_but_not_with_repeated_folds():
    table = paired_predictions(1.5, seeds=(0, 1, 2))
    tested = resample(table)
    values = tested.values("auroc")
    interval = tested.interval(*values)
    assert interval.method.endswith(WITH_SEEDS)
    # the same rows as three repetitions of the folds of one seed
    repeats = table.assign(fold=table["seed"], seed=0)
    one_seed = resample_sessions(prepare_predictions(repeats)[0], 100, 0.95, 0)
    narrower = one_seed.interval(*one_seed.values("auroc"))
    assert not narrower.method.endswith(WITH_SEEDS)
    assert narrower.value == pytest.approx(interval.value)
    assert narrower.ci_high - narrower.ci_low < interval.ci_high - interval.ci_low
    assert one_seed.training_seeds.tolist() == [0, 0, 0]
    assert pd.Series(tested.training_seeds).is_unique
