"""Calibration error and reliability bins by hand, and the error of calibrated values."""

import numpy as np
import pytest
from scipy.special import expit, logit
from simulated_predictions import (
    simulated_predictions,
)

from depmm.evaluation.stats import reliability, risk_coverage
from depmm.evaluation.stats.intervals import wilson_interval
from depmm.evaluation.stats.weighted_sums import unit_weights


def test_adaptive_ece_by_hand():
    y = [0, 1, 1, 1, 0, 1]
    prob = [0.1, 0.2, 0.6, 0.7, 0.8, 0.9]
    # three bins of two: |.15 - .5|, |.65 - 1|, |.85 - .5|
    value = reliability.adaptive_ece(y, prob, unit_weights(6), bins=3)
    np.testing.assert_allclose(value, (0.35 + 0.35 + 0.35) / 3)
    # one bin: |mean probability - share of positives|
    np.testing.assert_allclose(
        reliability.adaptive_ece(y, prob, unit_weights(6), bins=1), abs(0.55 - 4 / 6)
    )


def test_equal_probabilities_share_a_bin_in_any_order():
    y, prob = np.array([1, 0, 1, 0]), np.full(4, 0.5)
    np.testing.assert_allclose(reliability.adaptive_ece(y, prob, unit_weights(4), bins=2), 0)
    rng = np.random.default_rng(0)
    y, prob = rng.integers(0, 2, 50), rng.integers(0, 6, 50) / 5
    order = rng.permutation(50)
    one = reliability.adaptive_ece(y, prob, unit_weights(50), 4)
    np.testing.assert_allclose(
        reliability.adaptive_ece(y[order], prob[order], unit_weights(50), 4), one
    )


def test_weights_equal_repeated_rows():
    rng = np.random.default_rng(1)
    y, prob = rng.integers(0, 2, 30), rng.random(30)
    counts = rng.integers(0, 4, 30)
    many = np.repeat(y, counts), np.repeat(prob, counts)
    weighted = reliability.adaptive_ece(y, prob, counts[None].astype(np.uint8))
    np.testing.assert_allclose(
        weighted, reliability.adaptive_ece(*many, unit_weights(counts.sum()))
    )
    loss, confidence = (y == (prob > 0.5)).astype(float), np.round(prob, 1)
    weighted = risk_coverage.aurc(loss, confidence, counts[None])
    many = np.repeat(loss, counts), np.repeat(confidence, counts)
    np.testing.assert_allclose(weighted, risk_coverage.aurc(*many, unit_weights(counts.sum())))


def test_reliability_bins_have_equal_mass_and_intervals_over_subjects():
    rows = simulated_predictions(test=40, sessions=2).query("split == 'test'")
    bins = reliability.reliability_bins(rows, "y_prob", 4, 0.95)
    assert [entry["subjects"] for entry in bins] == [10] * 4
    assert [entry["sessions"] for entry in bins] == [20] * 4
    first = rows.sort_values("y_prob").iloc[:20]
    assert bins[0]["mean"] == pytest.approx(first["y_prob"].mean())
    share = first["y_true"].mean()
    expected = wilson_interval(10 * share, 10, 0.95)
    assert bins[0]["positives"] == pytest.approx(
        {"value": share, "ci_low": expected.ci_low, "ci_high": expected.ci_high}
    )
    assert [reliability.count_bins(n) for n in (4, 30, 500)] == [2, 3, 10]


def test_ece_of_calibrated_probabilities_is_within_its_simulation():
    rng = np.random.default_rng(3)
    prob = rng.random(2000)
    y = rng.random(2000) < prob
    value = reliability.adaptive_ece(y, prob, unit_weights(2000))[0]
    expected = reliability.ece_if_calibrated(prob, np.arange(2000), seed=0)
    assert value < np.quantile(expected, 0.99)
    assert expected.mean() > 0.01  # the expectation of calibrated probabilities is not 0
    overconfident = reliability.adaptive_ece(y, expit(3 * logit(prob)), unit_weights(2000))[0]
    assert overconfident > 2 * np.quantile(expected, 0.99)
    # fewer subjects than sessions: labels of a subject are equal, and the variance is larger
    few = reliability.ece_if_calibrated(prob, np.arange(2000) // 50, seed=0)
    assert few.mean() > 2 * expected.mean()
