"""A prediction in sentences."""

import pandas as pd
from prediction_content import prediction_content
from validation_predictions import calibrate_probability, calibrate_score, validation_predictions

from depmm.inference.prediction_text import model_text, prediction_text, spread_text

PROBABILITY = pd.DataFrame({"fold": [0], "seed": [0], "y_prob": [0.95]})
SCORE = pd.DataFrame({"fold": [0], "seed": [0], "score_pred": [15.0]})
MODEL = prediction_content({})["model"]


def lines(result: dict) -> str:
    return "\n".join(prediction_text(prediction_content(result)))


def test_a_probability_is_shown_with_interval_and_prediction_set():
    text = lines(calibrate_probability(PROBABILITY, validation_predictions(20)))
    assert "0.83 to 1.00" in text
    assert "90 % conformal prediction set: positive" in text
    assert "fitted on 20 validation subjects" in text


def test_a_score_is_shown_with_interval_and_severity_level():
    text = lines(calibrate_score(SCORE, validation_predictions(20), [0, 63], "BDI-II"))
    assert "15.0 on a scale from 0 to 63, severity level 14 to below 20" in text
    assert "90 % conformal interval 5.0 to 25.0" in text


def test_a_score_outside_of_its_range_is_shown_as_it_is():
    for score, level in ((-2.0, "0 to below 14"), (70.0, "29 and above")):
        outputs = SCORE.assign(score_pred=score)
        text = lines(calibrate_score(outputs, validation_predictions(20), [0, 63], "BDI-II"))
        assert f"{score:.1f} on a scale from 0 to 63 (the prediction is outside of it)" in text
        assert f"severity level {level}" in text


def test_values_that_cannot_be_computed_are_named():
    one_class = validation_predictions(20).query("split == 'test' or y_true == 1")
    text = lines(calibrate_probability(PROBABILITY, one_class))
    assert "not calibrated" in text
    assert "no interval of the probability" in text
    assert "no conformal prediction set" in text


def test_the_spread_of_several_models_is_shown():
    outputs = pd.DataFrame({"fold": [0, 1], "seed": 0, "score_pred": [15.0, 25.0]})
    predictions = pd.concat([validation_predictions(20), validation_predictions(20, fold=1)])
    result = calibrate_score(outputs, predictions, [0, 63], None)
    assert "2 models" in spread_text(result)
    assert "15.0 to 25.0" in spread_text(result)


def test_test_metrics_are_shown_with_interval_and_baseline():
    accuracy = {
        "label": "Accuracy", "value": 0.75, "ci_low": 0.5, "ci_high": 1.0, "baseline": 0.5,
    }  # fmt: skip
    undefined = {
        "label": "AUROC", "value": None, "ci_low": None, "ci_high": None, "baseline": None,
    }  # fmt: skip
    metrics = {"confidence": 0.95, "subjects": 3, "metrics": [accuracy, undefined]}
    text = model_text(MODEL | {"test_metrics": metrics})
    assert "3 test subjects" in text
    assert "Accuracy 0.75 (95 % confidence interval 0.50 to 1.00, baseline 0.50)" in text
    assert "AUROC undefined" in text
