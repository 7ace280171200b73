"""Predictions of models that read streams which depmm computes from a recording."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from trained_runs import AUDIO, train_tiny

from depmm.inference import InferenceError, Predictor
from depmm.media.voice.contours import CONTOURS

SESSION = "S003_1"
N_FEATURES = len(CONTOURS)
ENCODER = f"{{kind: feature_cnn, features: {N_FEATURES}, channels: [4], embed_dim: 4, dropout: 0}}"


@pytest.fixture(scope="module")
def voice_run(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "voice"
    settings = ["data.features={audio: voice}", f"model.encoders.audio={ENCODER}"]
    return train_tiny(corpus, folder, *AUDIO, *settings)


def test_the_voice_of_a_recording_is_computed_as_in_training(voice_run, recording):
    table = pd.read_parquet(voice_run / "predictions.parquet").set_index("session")
    assert table["y_prob"].std() > 0
    predictor = Predictor(voice_run)
    file, steps = recording(SESSION)
    prediction = predictor.predict(file, steps)
    assert predictor.trained_run.tracks == prediction.modalities == ["audio"]
    y_prob = prediction.result["uncalibrated_probability"]
    assert y_prob == pytest.approx(table["y_prob"][SESSION], abs=1e-5)
    assert np.isfinite(prediction.steps["attribution"]).all()


def test_steps_that_the_model_does_not_read_are_part_of_the_session(corpus, recording, tmp_path):
    """The loudness of ``voice`` is relative to all steps, also to those after the first ones."""
    settings = ["data.features={audio: voice}", f"model.encoders.audio={ENCODER}"]
    run = train_tiny(corpus, tmp_path / "run", *AUDIO, *settings, "data.steps.first=2")
    table = pd.read_parquet(run / "predictions.parquet").set_index("session")
    file, steps = recording(SESSION)
    prediction = Predictor(run).predict(file, steps, view=True)
    y_prob = prediction.result["uncalibrated_probability"]
    assert y_prob == pytest.approx(table["y_prob"][SESSION], abs=1e-5)
    assert len(prediction.steps) == 2
    assert "the first 2 of 4" in prediction.segmentation
    assert prediction.view is not None
    assert "no_view" not in {warning.name for warning in prediction.warnings}


def test_streams_of_the_face_need_landmarks(voice_run, recording):
    predictor = Predictor(voice_run)
    config = predictor.trained_run.config
    data = config.data.model_copy(
        update={"modalities": ["audio", "face"], "features": {"face": "gaze"}}
    )
    config = config.model_copy(update={"data": data})
    predictor.trained_run = replace(
        predictor.trained_run, configs=dict.fromkeys(predictor.trained_run.configs, config)
    )
    assert predictor.trained_run.tracks == ["audio", "face"]
    file, steps = recording(SESSION)
    with pytest.raises(InferenceError) as info:
        predictor.predict(file, steps, aligned=True)
    assert (info.value.setting, info.value.value) == ("data.features", "gaze")
