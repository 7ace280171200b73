"""Measures of steps as inputs: pooling by hand, sets and groups, streams, missing steps."""

import numpy as np
import pandas as pd
import pytest

from depmm.config import ClassicalSettings, load_experiment
from depmm.data.dataset import SessionDataset
from depmm.data.errors import DataError
from depmm.data.experiment_data import load_experiment_data
from depmm.data.measured_steps import MeasuredSteps
from depmm.measures.sets import measures_of
from depmm.measures.store import read_session_measures, read_step_measures
from depmm.models.classical.model import build_front_end

AUDIO = "data.modalities=[audio]"


def classical(measures: str, *more: str) -> list[str]:
    section = f"classical={{model: {{kind: ridge}}, measures: {measures}, n_mfcc: 4, n_mels: 16}}"
    return ["model=null", "training=null", section, *more]


def measure(corpus, measures: str, *overrides: str) -> tuple[MeasuredSteps, object]:
    config = load_experiment(corpus.config, classical(measures, *overrides))
    data = load_experiment_data(config)
    steps = MeasuredSteps(data.dataset, config.classical, build_front_end(config.classical))
    return steps, data


def test_sessions_are_pooled_as_the_table_of_measures(corpus):
    """The store of measures pools steps independently."""
    steps, data = measure(corpus, "{audio: [voice]}", AUDIO, "classical.pooling=[mean, std]")
    inputs = steps.inputs()
    names = [column.name for column in inputs.columns["audio"]]
    table = read_session_measures(data.dataset.store, data.dataset.session_keys, ["voice"])
    expected = table[names].to_numpy()
    assert len(names) == 2 * len(measures_of("voice"))
    np.testing.assert_allclose(inputs.measures["audio"], expected, rtol=1e-9)
    assert inputs.session.tolist() == list(range(12))


def test_a_group_is_a_part_of_its_set(corpus):
    steps, data = measure(corpus, "{audio: [voice.pitch]}", AUDIO, "classical.unit=step")
    inputs = steps.inputs()
    names = [column.name for column in inputs.columns["audio"]]
    assert names == [m.name for m in measures_of("voice") if m.group == "pitch"]
    table = read_step_measures(data.dataset.store, data.dataset.session_keys, ["voice"])
    expected = table[names].to_numpy()[steps.measured()]
    np.testing.assert_array_equal(inputs.measures["audio"], expected)
    with pytest.raises(DataError) as info:
        measure(corpus, "{audio: [voice.pich]}", AUDIO)
    assert info.value.setting == "classical.measures.audio"


def test_mfcc_are_pooled_over_frames_and_do_not_depend_on_other_steps(corpus):
    steps, data = measure(corpus, "{audio: [mfcc]}", AUDIO)
    settings = ClassicalSettings(model={"kind": "ridge"}, n_mfcc=4, n_mels=16)
    front_end = build_front_end(settings)
    pooled = []
    for waveform in data.dataset[None, 3].signals["audio"]:
        frames = front_end(waveform).astype(float)
        pooled.append(np.concatenate([frames.mean(axis=1), frames.std(axis=1)]))
    np.testing.assert_allclose(
        steps.inputs().measures["audio"][3], np.mean(pooled, axis=0), rtol=0, atol=1e-6
    )


def test_a_step_that_is_left_out_is_not_measured(corpus):
    whole, _ = measure(corpus, "{audio: [voice]}", AUDIO, "classical.unit=step")
    first, data = measure(
        corpus, "{audio: [voice]}", AUDIO, "classical.unit=step", "data.steps.first=2"
    )
    kept = whole.rows[:, 1] < 2
    assert len(first.rows) == kept.sum() == 2 * len(data.dataset)
    np.testing.assert_array_equal(first.values["audio"], whole.values["audio"][kept])


def test_both_modalities_have_the_same_rows(corpus):
    steps, data = measure(corpus, "{audio: [mfcc], face: [face]}", "classical.unit=step")
    inputs = steps.inputs()
    assert inputs.measures["audio"].shape == (len(inputs.session), 8)
    assert inputs.measures["face"].shape == (len(inputs.session), len(measures_of("face")))
    frame = pd.DataFrame({"session": inputs.session, "step": inputs.step})
    assert not frame.duplicated().any()
    assert frame["session"].is_monotonic_increasing
    assert set(frame["session"]) == set(range(len(data.dataset)))


def test_rows_of_a_stream_are_pooled(corpus):
    steps, data = measure(
        corpus, "{audio: [stream]}", AUDIO, "data.features={audio: voice}", "classical.unit=step"
    )
    rows = data.dataset[None, 0].signals["audio"][0].astype(float)
    expected = [*np.nanmean(rows, axis=0), *np.nanstd(rows, axis=0)]
    np.testing.assert_allclose(steps.values["audio"][0], expected, rtol=1e-6)
    assert steps.columns["audio"][0].name == "voice_0_mean"


@pytest.mark.parametrize("unit", ["session", "step"])
def test_a_recording_without_a_modality_has_the_columns_of_the_model(corpus, unit):
    settings = [f"classical.unit={unit}"]
    settings += ["classical.pooling=[mean, std]"] if unit == "session" else []
    steps, data = measure(corpus, "{audio: [voice, mfcc]}", AUDIO, *settings)
    names = {name: [c.name for c in found] for name, found in steps.inputs().columns.items()}
    config = load_experiment(corpus.config, classical("{audio: [voice, mfcc]}", AUDIO, *settings))
    silent = SessionDataset(
        data.sessions.iloc[[0]], data.dataset.store, config.data,
        step_masks=[np.zeros(4, dtype=bool)],
    )  # fmt: skip
    front_end = build_front_end(config.classical)
    inputs = MeasuredSteps(silent, config.classical, front_end, names).inputs()
    assert [column.name for column in inputs.columns["audio"]] == names["audio"]
    of_mfcc = [column.set_name == "mfcc" for column in inputs.columns["audio"]]
    assert sum(of_mfcc) == (16 if unit == "session" else 8)
    assert np.isnan(inputs.measures["audio"][:, of_mfcc]).all()
