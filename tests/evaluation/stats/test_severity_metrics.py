"""Severity metrics against hand values, SciPy and scikit-learn."""

import numpy as np
import pytest
from metric_references import BANDS, SCORES, resampled

from depmm.errors import DepmmError
from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.severity_metrics import (
    ccc,
    mae,
    pearson,
    quadratic_kappa,
    rmse,
    severity_bands,
    spearman,
)
from depmm.evaluation.stats.weighted_sums import unit_weights


def test_spearman_and_kappa_by_hand():
    ones = unit_weights(4)
    # ranks 1 2 3 4 against 1 3 2 4: 1 - 6 * 2 / (4 * 15)
    assert spearman([1, 2, 30, 40], [0, 7, 5, 9], ones) == pytest.approx([0.8])
    # squared steps 0 1 0 4; if independent, every band of one meets every band of the other
    pairs = [(a - b) ** 2 for a in (0, 1, 2, 3) for b in (0, 2, 2, 1)]
    kappa = quadratic_kappa([0, 1, 2, 3], [0, 2, 2, 1], ones)
    assert kappa == pytest.approx([1 - (5 / 4) / np.mean(pairs)])
    constant = quadratic_kappa([0, 1, 2, 3], [2, 2, 2, 2], ones)
    assert constant == pytest.approx([0], abs=1e-12)


def test_bands_begin_at_their_lower_bound():
    scores = [-1, 0, 13, 13.9, 14, 19, 20, 28, 29, 63, 70]
    assert severity_bands(scores, "BDI-II").tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 3]
    assert severity_bands([4, 5, 9, 10, 15, 20, 24], "PHQ-8").tolist() == [0, 1, 1, 2, 3, 4, 4]
    for name in ("SDS", "group", "unknown"):
        with pytest.raises(DepmmError) as info:
            severity_bands([1], name)
        assert (info.value.column, info.value.value) == ("instrument", name)


def test_scores_by_hand():
    measured, score, ones = [0, 10, 20], [2, 10, 14], unit_weights(3)
    assert rmse(measured, score, ones) == pytest.approx([np.sqrt((4 + 0 + 36) / 3)])
    assert mae(measured, score, ones) == pytest.approx([8 / 3])
    # variances 200/3 and 224/9, covariance 40, means 10 and 26/3
    assert ccc(measured, score, ones) == pytest.approx([80 / (200 / 3 + 224 / 9 + 16 / 9)])
    assert ccc(measured, measured, ones) == pytest.approx([1])
    assert ccc(measured, [5, 15, 25], ones) < pearson(measured, [5, 15, 25], ones)


@pytest.mark.parametrize("name", BANDS)
def test_bands_equal_sklearn_on_resampled_rows(name, rng):
    a, b = rng.integers(0, 4, 50), rng.integers(0, 4, 50)
    rows, weights = resampled(rng, 50)
    values = METRICS[name].function(a, b, weights)
    assert values == pytest.approx([BANDS[name](a[r], b[r]) for r in rows])


def test_ranks_with_ties_equal_scipy_on_resampled_rows(rng):
    a, b = rng.integers(0, 5, 40), rng.integers(0, 9, 40)
    rows, weights = resampled(rng, 40)
    expected = [SCORES["spearman"](a[r], b[r]) for r in rows]
    assert spearman(a, b, weights) == pytest.approx(expected)


@pytest.mark.parametrize("name", SCORES)
def test_scores_equal_references_on_resampled_rows(name, rng):
    a = rng.normal(15, 8, 50)
    b = 0.5 * a + rng.normal(1000, 6, 50)  # a large offset would show cancellation
    rows, weights = resampled(rng, 50)
    values = METRICS[name].function(a, b, weights)
    assert values == pytest.approx([SCORES[name](a[r], b[r]) for r in rows])
