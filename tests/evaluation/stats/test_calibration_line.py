"""Calibration intercept and slope."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from depmm.evaluation.stats.calibration_line import calibration_line


def shifted_predictions(seed: int, n_subjects: int, slope: float = 0.6):
    """Three sessions of each subject, whose logits and labels are correlated."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(n_subjects), 3)
    prob = expit(rng.normal(size=n_subjects)[subject] + 0.5 * rng.normal(size=len(subject)))
    draw = rng.random(n_subjects)[subject]  # sessions of a subject share their luck
    return (draw < expit(0.4 + slope * logit(prob))).astype(float), prob, subject


def test_intercept_and_slope_are_those_of_a_logistic_regression():
    y, prob, subject = shifted_predictions(0, 50)
    line = calibration_line(y, prob, subject, 0.95)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(prob)[:, None], y)
    assert line["slope"].value == pytest.approx(reference.coef_[0, 0], abs=1e-4)
    # the intercept makes the mean probability equal to the share of positives
    shifted = expit(logit(prob) + line["intercept"].value)
    assert shifted.mean() == pytest.approx(y.mean(), abs=1e-9)


def test_intervals_cover_with_several_sessions_of_a_subject():
    covered = []
    for seed in range(300):
        line = calibration_line(*shifted_predictions(seed, 60), 0.95)
        covered.append(line["slope"].ci_low < 0.6 < line["slope"].ci_high)
    assert 0.90 < np.mean(covered) < 0.99


def test_calibrated_probabilities_have_intercept_0_and_slope_1():
    rng = np.random.default_rng(1)
    prob = expit(rng.normal(scale=1.5, size=20_000))
    y = rng.random(20_000) < prob
    line = calibration_line(y, prob, np.arange(20_000), 0.95)
    assert line["slope"].value == pytest.approx(1, abs=0.04)
    assert line["intercept"].value == pytest.approx(0, abs=0.04)


def test_a_shift_of_all_logits_is_the_intercept():
    rng = np.random.default_rng(2)
    true = rng.normal(size=20_000)
    y = rng.random(20_000) < expit(true)
    line = calibration_line(y, expit(true + 1.2), np.arange(20_000), 0.95)
    assert line["intercept"].value == pytest.approx(-1.2, abs=0.05)
    assert line["slope"].value == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("y", "prob"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),
        ([0, 0, 1, 1], [0.1, 0.49, 0.51, 0.9]),
        ([0, 1, 0, 1], [0.3] * 4),
    ],
)
def test_there_is_no_slope_without_a_maximum(y, prob):
    slope = calibration_line(y, prob, np.arange(4), 0.95)["slope"]
    assert np.isnan([slope.value, slope.ci_low, slope.ci_high]).all()
    assert slope.reason
