"""Net benefit by threshold, and predictive values by prevalence."""

import numpy as np
import pytest
from simulated_predictions import resample, simulated_predictions

from depmm.evaluation.predictions import prepare_predictions
from depmm.evaluation.stats.decision_curve import (
    THRESHOLDS,
    measure_decision_curve,
    measure_predictive_values,
)
from depmm.evaluation.stats.resampled_sessions import resample_sessions


def test_net_benefit_by_hand():
    table = simulated_predictions(test=200)
    tested = resample(table)
    [entry] = measure_decision_curve(tested, "y_prob", [0.25])
    rows = table[table["split"] == "test"]
    decided, y = rows["y_prob"] >= 0.25, rows["y_true"] == 1
    expected = ((decided & y).mean()) - (decided & ~y).mean() / 3
    assert entry["net_benefit"]["value"] == pytest.approx(expected)
    assert entry["treat_all"] == pytest.approx(y.mean() - (~y).mean() / 3)
    assert entry["gain"]["value"] == pytest.approx(expected - max(entry["treat_all"], 0))
    assert entry["net_benefit"]["ci_low"] < expected < entry["net_benefit"]["ci_high"]


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_a_probability_equal_to_a_threshold_is_decided_positive(threshold):
    table = simulated_predictions(test=20)
    table["y_prob"] = threshold
    [entry] = measure_decision_curve(resample(table), "y_prob", [threshold])
    assert entry["net_benefit"]["value"] == entry["treat_all"]


def test_all_positive_at_the_lowest_threshold():
    table = simulated_predictions(test=100)
    table["y_prob"] = 0.02 + 0.9 * table["y_prob"]
    [entry] = measure_decision_curve(resample(table), "y_prob", [0.01])
    assert entry["net_benefit"]["value"] == pytest.approx(entry["treat_all"])
    assert entry["gain"]["value"] == pytest.approx(0)


def test_predictive_values_by_bayes_rule():
    table = prepare_predictions(simulated_predictions(test=400), threshold=0.5)[0]
    tested = resample_sessions(table, 200, 0.95, seed=0)
    rows = table[table["split"] == "test"]
    y, decided = rows["y_true"] == 1, rows["y_pred"] == 1
    share = float(y.mean())
    [same, half] = measure_predictive_values(tested, [share, 0.5])
    # at the prevalence of the sample, the predictive values are those of the sample
    assert same["ppv"]["value"] == pytest.approx(y[decided].mean())
    assert same["npv"]["value"] == pytest.approx((~y)[~decided].mean())
    recall, specificity = decided[y].mean(), (~decided)[~y].mean()
    assert half["ppv"]["value"] == pytest.approx(recall / (recall + 1 - specificity))
    for entry in (same, half):
        for name in ("ppv", "npv"):
            assert 0 <= entry[name]["ci_low"] < entry[name]["value"] < entry[name]["ci_high"] <= 1


def test_predictive_values_of_perfect_decisions_have_an_interval():
    table = simulated_predictions(test=40)
    table["y_prob"] = np.where(table["y_true"] == 1, 0.9, 0.1)
    table = prepare_predictions(table, threshold=0.5)[0]
    [entry] = measure_predictive_values(resample_sessions(table, 200, 0.95, seed=0), [0.1])
    assert entry["ppv"]["value"] == 1
    assert entry["ppv"]["ci_low"] < 0.7
