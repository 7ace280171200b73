"""Calibration, prediction sets and intervals of one session, by hand."""

import pandas as pd
import pytest
from nearly import nearly
from validation_predictions import calibrate_probability, calibrate_score, validation_predictions

PROBABILITY = pd.DataFrame({"fold": [0], "seed": [0], "y_prob": [0.95]})
SCORE = pd.DataFrame({"fold": [0], "seed": [0], "score_pred": [15.0]})


def test_prediction_sets_by_hand():
    # 10 subjects per class, errors 0.01 ... 0.10: the quantile at 90 % is the 10th smallest
    result = calibrate_probability(PROBABILITY, validation_predictions(20))
    assert result["prediction_set"] == {
        "labels": [1],
        "coverage": 0.9,
        "validation_subjects": {"0": 10, "1": 10},
    }
    assert result["gate_std"] is None
    for y_prob, labels in ((0.05, [0]), (0.5, [])):
        other = calibrate_probability(PROBABILITY.assign(y_prob=y_prob), validation_predictions(20))
        assert other["prediction_set"]["labels"] == labels


def test_test_subjects_do_not_change_the_result():
    other = validation_predictions(20)
    other.loc[other["split"] == "test", "y_prob"] = 0.5
    expected = calibrate_probability(PROBABILITY, validation_predictions(20))
    assert calibrate_probability(PROBABILITY, other) == nearly(expected)


def test_too_few_subjects_or_one_class_make_values_unavailable():
    few = calibrate_probability(PROBABILITY, validation_predictions(16))
    assert list(few["prediction_set"]) == ["unavailable"]
    assert "(8)" in few["prediction_set"]["unavailable"]
    one_class = validation_predictions(20).query("split == 'test' or y_true == 1")
    result = calibrate_probability(PROBABILITY, one_class)
    assert result["probability"] == result["uncalibrated_probability"] == 0.95
    for name in ("calibration", "interval", "prediction_set"):
        assert list(result[name]) == ["unavailable"]


def test_a_probability_is_calibrated_on_twenty_subjects_or_not_at_all():
    few = calibrate_probability(PROBABILITY, validation_predictions(18))
    assert few["probability"] == few["uncalibrated_probability"] == 0.95
    assert few["calibration"]["validation_subjects"] == 18
    assert "(18)" in few["calibration"]["unavailable"]
    assert few["interval"]["validation_subjects"] == 18
    enough = calibrate_probability(PROBABILITY, validation_predictions(20))
    assert enough["probability"] != enough["uncalibrated_probability"]


def test_intervals_of_a_probability_by_hand():
    # with label 0, the session is pooled with the 5 positive subjects predicted .90 to .94, or with
    # that of .95 as well; at this edge, the lower value is the bound
    interval = calibrate_probability(PROBABILITY, validation_predictions(20))["interval"]
    assert interval == {"low": pytest.approx(5 / 6), "high": 1.0, "validation_subjects": 20}
    # no validation subject has a probability between the classes
    result = calibrate_probability(PROBABILITY.assign(y_prob=0.5), validation_predictions(20))
    assert (result["interval"]["low"], result["interval"]["high"]) == (0.0, 1.0)
    # two sessions of a subject have the weight of one
    twice = pd.concat([validation_predictions(20), validation_predictions(20).assign(session="2")])
    assert calibrate_probability(PROBABILITY, twice)["interval"]["low"] == pytest.approx(5 / 6)


def test_the_interval_of_several_models_is_the_outermost():
    predictions = pd.concat([validation_predictions(20), validation_predictions(8, fold=1)])
    outputs = pd.concat([PROBABILITY, PROBABILITY.assign(fold=1)])
    # no validation subject of the second model has a probability of .95 or below
    assert calibrate_probability(outputs, predictions)["interval"]["low"] == 0.0


def test_the_prediction_set_of_several_models_is_the_union():
    accurate, wrong = validation_predictions(20), validation_predictions(20, fold=1)
    rows = wrong["split"] == "validation"
    wrong.loc[rows, "y_prob"] = 1 - wrong["y_true"][rows]  # always wrong: every label is possible
    predictions = pd.concat([accurate, wrong])
    outputs = pd.DataFrame(
        {"fold": [0, 1], "seed": 0, "y_prob": [0.95, 0.05], "gate_std": [0.1, 0.3]}
    )
    result = calibrate_probability(outputs, predictions)
    assert result["prediction_set"]["labels"] == [0, 1]
    assert result["uncalibrated_probability"] == pytest.approx(0.5)
    assert result["gate_std"] == pytest.approx(0.2)
    alone = calibrate_probability(outputs.head(1), predictions)
    assert alone["prediction_set"]["labels"] == [1]


def test_intervals_of_scores_by_hand():
    # 20 subjects, residuals 1, 1, 2, 2, ... 10, 10 points: the 19th of 20 is 10
    result = calibrate_score(SCORE, validation_predictions(20), [0, 63], "BDI-II")
    assert result["interval"] == nearly(
        {"low": 5.0, "high": 25.0, "coverage": 0.9, "validation_subjects": 20}
    )
    assert result["severity_level"] == {"index": 1, "low": 14, "high": 20}
    highest = SCORE.assign(score_pred=60.0)
    result = calibrate_score(highest, validation_predictions(20), [0, 63], "BDI-II")
    assert (result["interval"]["high"], result["severity_level"]["high"]) == (63, None)


def test_scores_of_several_models_are_averaged():
    predictions = pd.concat([validation_predictions(20), validation_predictions(20, fold=1)])
    outputs = pd.DataFrame({"fold": [0, 1], "seed": 0, "score_pred": [15.0, 25.0]})
    result = calibrate_score(outputs, predictions, [0, 63], None)
    assert (result["score_pred"], result["severity_level"]) == (20.0, None)
    assert result["interval"]["low"] == pytest.approx(5.0)
    assert result["interval"]["high"] == pytest.approx(35.0)


def test_too_few_subjects_give_no_interval_of_a_score():
    result = calibrate_score(SCORE, validation_predictions(8), [0, 63], "BDI-II")
    assert list(result["interval"]) == ["unavailable"]
    assert "(8)" in result["interval"]["unavailable"]
