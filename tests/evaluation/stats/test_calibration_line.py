"""Calibration intercept and slope."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit

from depmm.evaluation.stats.calibration_line import calibration_line


def test_intercept_and_slope_agree_with_statsmodels():
    rng = np.random.default_rng(0)
    subject = rng.integers(0, 40, 120)
    prob = expit(rng.normal(size=120))
    y = (rng.random(120) < expit(0.4 + 0.6 * logit(prob))).astype(float)
    line = calibration_line(y, prob, subject, 0.95)
    cluster = {"cov_type": "cluster", "cov_kwds": {"groups": subject, "use_correction": False}}
    both = sm.GLM(y, sm.add_constant(logit(prob)), family=sm.families.Binomial()).fit(**cluster)
    one = sm.GLM(y, np.ones(120), family=sm.families.Binomial(), offset=logit(prob)).fit(**cluster)
    for name, fit, index in (("slope", both, 1), ("intercept", one, 0)):
        interval = line[name]
        n_subjects = len(np.unique(subject))
        corrected = fit.bse[index] * np.sqrt(n_subjects / (n_subjects - index - 1))
        assert interval.value == pytest.approx(fit.params[index], abs=1e-6)
        assert interval.ci_high - interval.ci_low > 2 * 1.96 * corrected
        assert interval.ci_high - interval.ci_low < 2 * 2.1 * corrected


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
    ("y", "prob"), [([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]), ([0, 1, 0, 1], [0.3] * 4)]
)
def test_there_is_no_slope_without_a_maximum(y, prob):
    slope = calibration_line(y, prob, np.arange(4), 0.95)["slope"]
    assert np.isnan([slope.value, slope.ci_low, slope.ci_high]).all()
    assert slope.reason
