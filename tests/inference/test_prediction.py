"""The prediction of a recording and its JSON values."""

import json

import pandas as pd
from validation_predictions import calibrate_probability, calibrate_score, validation_predictions

from depmm.data.signals.used import UsedSignal
from depmm.inference import Prediction
from depmm.inference.quality import QualityWarning, RecordingQuality


def prediction(result: dict) -> Prediction:
    steps = pd.DataFrame(
        {
            "start_s": [0.0, 1.0],
            "end_s": [1.0, None],
            "text": ["a", None],
            "valence": [None, None],
            "attribution": [0.5, float("nan")],
        }
    )
    quality = RecordingQuality(2, {"audio": 2, "face": 0}, 0, 0, 1.5, 16_000, None)
    return Prediction(
        file="a.wav", duration_s=2.5, modalities=["audio"], segmentation="steps.csv", model={},
        used_signal={"audio": UsedSignal("s of sound", 2.5, 2.0, {"outside of the steps": 0.5})},
        result=result, steps=steps, attribution_reference="training", top_steps=[0],
        warnings=[QualityWarning("noise", "text")],
        quality=quality,
    )  # fmt: skip


def test_a_probability_has_an_interval_and_a_prediction_set():
    outputs = pd.DataFrame({"fold": [0], "seed": [0], "y_prob": [0.95]})
    result = prediction(calibrate_probability(outputs, validation_predictions(20)))
    assert result.probability is not None
    assert result.score_pred is None
    assert result.interval is not None
    assert result.interval[1] == 1.0
    assert result.prediction_set == [1]


def test_a_score_has_an_interval():
    outputs = pd.DataFrame({"fold": [0], "seed": [0], "score_pred": [15.0]})
    result = prediction(calibrate_score(outputs, validation_predictions(20), [0, 63], "BDI-II"))
    assert (result.probability, result.score_pred) == (None, 15.0)
    assert result.prediction_set is None
    few = prediction(calibrate_score(outputs, validation_predictions(8), [0, 63], "BDI-II"))
    assert few.interval is None


def test_the_json_values_have_no_nan_and_end_with_the_recording():
    outputs = pd.DataFrame({"fold": [0], "seed": [0], "score_pred": [15.0]})
    result = calibrate_score(outputs, validation_predictions(20), [0, 63], None)
    content = prediction(result).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["recording"]["n_steps"] == 2
    assert [step["step"] for step in content["steps"]] == [0, 1]
    assert content["steps"][1]["end_s"] == 2.5
    assert content["steps"][1]["attribution"] is None
    assert content["warnings"] == [{"name": "noise", "message": "text"}]
