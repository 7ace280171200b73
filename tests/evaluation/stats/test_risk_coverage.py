"""Risk-coverage curves by hand and by simulation; the standard deviation of gates."""

import numpy as np
import pytest
from simulated_predictions import (
    resample,
    simulated_predictions,
)

from depmm.evaluation.prediction_checks import PredictionTableError
from depmm.evaluation.stats import risk_coverage
from depmm.evaluation.stats.weighted_sums import unit_weights


def test_risk_coverage_by_hand():
    coverage, risk = risk_coverage.risk_coverage([0, 0, 1, 1], [4, 3, 2, 1])
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 0, 1 / 3, 1 / 2])
    np.testing.assert_allclose(
        risk_coverage.aurc([0, 0, 1, 1], [4, 3, 2, 1], unit_weights(4)), (5 / 6) / 4
    )
    np.testing.assert_allclose(
        risk_coverage.aurc([1, 1, 0, 0], [4, 3, 2, 1], unit_weights(4)), 19 / 24
    )
    # equal confidence: the order of the rows has no effect
    np.testing.assert_allclose(risk_coverage.risk_coverage([0, 1], [5, 5])[1], [0.5, 0.5])
    np.testing.assert_allclose(risk_coverage.aurc([1, 0], [5, 5], unit_weights(2)), 0.5)


def test_confidence_is_the_distance_from_the_threshold():
    confidence = risk_coverage.decision_confidence([0.3, 0.5, 0.9], [0.3, 0.3, 0.3])
    assert confidence[0] == pytest.approx(0, abs=1e-12)
    assert np.argsort(confidence).tolist() == [0, 1, 2]
    half = risk_coverage.decision_confidence([0.2, 0.6, 0.9], 0.5)
    assert np.argsort(half).tolist() == [1, 0, 2]  # as max(p, 1 - p)


def test_gain_of_informative_and_of_random_confidence():
    table = simulated_predictions(validation=200, test=400)
    content = risk_coverage.measure_risk_coverage(resample(table))
    assert content["gain"]["ci_low"] > 0
    assert content["risk"]["value"] == pytest.approx(content["curve"]["risk"][-1])
    assert content["gain"]["value"] == pytest.approx(
        content["risk"]["value"] - content["aurc"]["value"]
    )
    rng = np.random.default_rng(5)
    blind = table.assign(y_prob=rng.random(len(table)))
    content = risk_coverage.measure_risk_coverage(resample(blind))
    assert content["gain"]["ci_low"] < 0 < content["gain"]["ci_high"]


def test_terciles_are_thirds_and_ties_share_one():
    assert risk_coverage.terciles([5, 1, 3, 2, 6, 4]).tolist() == [2, 0, 1, 0, 2, 1]
    assert risk_coverage.terciles([0, 0, 0, 0]).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("target", ["binary", "severity"])
def test_gate_std_that_follows_the_error_and_one_that_does_not(target):
    table = simulated_predictions(test=150)
    assert risk_coverage.measure_gate_std(resample(table), target) is None
    error = (table["y_true"] - table["y_prob"]).abs()
    if target == "severity":
        error = (table["score"] - table["score_pred"]).abs()
    content = risk_coverage.measure_gate_std(resample(table.assign(gate_std=error)), target)
    assert content["spearman"]["value"] == pytest.approx(1)
    means = [content["terciles"][name]["value"] for name in risk_coverage.TERCILES]
    assert means == sorted(means)
    tested = error[table["split"] == "test"]
    assert means[0] == pytest.approx(np.sort(tested)[:50].mean())
    rng = np.random.default_rng(7)
    content = risk_coverage.measure_gate_std(
        resample(table.assign(gate_std=rng.random(len(table)))), target
    )
    assert content["spearman"]["ci_low"] < 0 < content["spearman"]["ci_high"]
    with pytest.raises(PredictionTableError) as info:
        risk_coverage.measure_gate_std(resample(table.assign(gate_std=-1.0)), target)
    assert (info.value.column, info.value.value) == ("gate_std", -1.0)
