"""Calibration of an overconfident model, before and after calibration."""

import pytest
from simulated_predictions import (
    resample,
    simulated_predictions,
)

from depmm.evaluation.stats import calibration


def test_measured_calibration_of_an_overconfident_model():
    table = simulated_predictions(validation=2000, test=2000, sharpness=3.0)
    content = calibration.measure_calibration(table, resample(table), seed=0)
    before, after = content["before"], content["logistic"]
    assert before["ece"]["value"] > 0.1 > 0.03 > after["ece"]["value"]
    assert before["ece"]["value"] > before["ece_if_calibrated"]["upper"]
    assert after["ece"]["value"] < 1.2 * after["ece_if_calibrated"]["upper"]
    assert after["fits"][0]["slope"] == pytest.approx(1 / 3, rel=0.2)
    assert before["slope"]["ci_high"] < 0.5
    assert after["slope"]["ci_low"] < 1 < after["slope"]["ci_high"]
    for name in ("ece", "brier", "log_loss"):
        entry = after["gain"][name]
        assert entry["value"] == pytest.approx(before[name]["value"] - after[name]["value"])
        assert entry["ci_low"] > 0
    small = simulated_predictions(validation=20)
    content = calibration.measure_calibration(small, resample(small), seed=0)
    assert set(content["isotonic"]) == {"unavailable"}
    assert content["before"]["ece"]["ci_low"] <= content["before"]["ece"]["ci_high"]
