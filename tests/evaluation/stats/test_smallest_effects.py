"""The smallest effects of a test set: the power of usual tests at them, and limits."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm, pearsonr

from depmm.evaluation.stats.smallest_effects import (
    POWER,
    smallest_auroc,
    smallest_balanced_accuracy,
    smallest_correlation,
)


@pytest.mark.parametrize(("positive", "negative"), [(30, 30), (25, 75)])
def test_the_rank_test_has_the_stated_power_at_the_smallest_auroc(positive, negative):
    rng = np.random.default_rng(0)
    shift = np.sqrt(2) * norm.ppf(smallest_auroc(positive, negative))
    one = rng.normal(size=(1000, positive)) + shift
    two = rng.normal(size=(1000, negative))
    p = mannwhitneyu(one, two, axis=1, method="asymptotic").pvalue
    assert np.mean(p < 0.05) == pytest.approx(POWER, abs=0.06)


def test_the_decisions_have_the_stated_power_at_the_smallest_balanced_accuracy():
    rng = np.random.default_rng(1)
    share = smallest_balanced_accuracy(40, 60)
    recall, specificity = rng.binomial(40, share, 4000) / 40, rng.binomial(60, share, 4000) / 60
    estimate = (recall + specificity) / 2
    limit = 0.5 + norm.ppf(0.975) * np.sqrt(0.25 * (1 / 40 + 1 / 60)) / 2
    assert np.mean(estimate > limit) == pytest.approx(POWER, abs=0.05)


def test_the_correlation_has_the_stated_power():
    rng = np.random.default_rng(2)
    r, n = smallest_correlation(50), 50
    x = rng.normal(size=(1000, n))
    y = r * x + np.sqrt(1 - r**2) * rng.normal(size=(1000, n))
    assert np.mean(pearsonr(x, y, axis=1).pvalue < 0.05) == pytest.approx(POWER, abs=0.05)


def test_more_subjects_show_smaller_effects():
    areas = [smallest_auroc(n, n) for n in (10, 20, 50, 200)]
    assert areas == sorted(areas, reverse=True)
    assert 0.5 < areas[-1] < 0.6


def test_too_few_subjects_show_nothing():
    assert smallest_auroc(1, 2) is None
    assert smallest_auroc(0, 20) is None
    assert smallest_balanced_accuracy(0, 20) is None
    assert smallest_correlation(3) is None
