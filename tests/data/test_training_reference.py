"""Statistics of the training sessions."""

import pytest
from trained_runs import AUDIO

from depmm.config import load_config
from depmm.data.experiment_data import load_experiment_data
from depmm.data.training_reference import measure_training_reference


def test_steps_and_speech_of_the_training_sessions(corpus):
    config = load_config(corpus.config, [*AUDIO, "data.steps.first=3"])
    data = load_experiment_data(config)
    steps = corpus.manifest.steps
    train = data.sessions[data.sessions["split"] == "train"]["session"]
    steps = steps[steps["session"].isin(train)]
    reference = measure_training_reference(config, data)
    assert reference.step_s == pytest.approx((steps["end_s"] - steps["start_s"]).median())
    assert (reference.min_steps, reference.aligned, reference.windows) == (3, True, None)
    assert reference.low_speech_s > 0
