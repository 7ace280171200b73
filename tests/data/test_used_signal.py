"""How much of the recordings is read, by hand."""

import numpy as np
import pandas as pd
import pytest
import soundfile
from recordings import SETTINGS, extract_all, manifest_of, write_video
from simulated_layouts import HEAD

from depmm.config import SAMPLE_RATE, DataConfig, StepsConfig, load_experiment
from depmm.corpora.index import index_corpus
from depmm.corpora.spec import parse_spec
from depmm.data.dataset import SessionDataset
from depmm.data.signals.used import UsedSignal, count_used
from depmm.data.used_signal import (
    list_limited_modalities,
    measure_session,
    measure_used_signal,
)
from depmm.media.duration import duration_s
from depmm.store.sessions import SessionStore

STEPS = [  # of a recording of 12 s; 2 s overlap, 2 s are between the steps
    {"audio": "1.wav", "start_s": 1.0, "end_s": 4.0, "valence": "neutral"},
    {"audio": "1.wav", "start_s": 2.0, "end_s": 6.0, "valence": "positive"},
    {"audio": "1.wav", "start_s": 8.0, "end_s": 10.0, "valence": "positive"},
]

WINDOWS = (
    HEAD
    + """
recordings:
  - {pattern: "{subject}_{part}.npy", modalities: [gait],
     features: {name: gait, rate_hz: 10, format: npy}}
session: "{subject}"
required_modalities: [gait]
steps: {windows: {length_s: 1.5, hop_s: 1.0}, order: [part]}
"""
)


@pytest.fixture
def dataset(tmp_path):
    """Return a dataset with some settings of the recording with ``STEPS``."""
    pulses = np.sin(np.arange(12 * SAMPLE_RATE) / 10) * (np.arange(12 * SAMPLE_RATE) < 1.5e5)
    soundfile.write(tmp_path / "1.wav", pulses, SAMPLE_RATE)
    manifest = manifest_of({"s1": STEPS})
    report = extract_all(manifest, tmp_path, tmp_path / "store")
    assert report.failures.empty

    def build(mask: list[bool] | None = None, **settings):
        settings = {"modalities": ["audio"], "max_audio_s": 100.0, **settings}
        data = DataConfig(manifest=tmp_path, store=tmp_path / "store", **settings)
        masks = None if mask is None else [np.array(mask)]
        store = SessionStore(tmp_path / "store", SETTINGS)
        return SessionDataset(manifest.sessions, store, data, step_masks=masks), manifest.steps

    return build


def test_seconds_of_overlapping_steps_count_once(dataset):
    used = measure_used_signal(*dataset())["audio"]
    assert (used.total, used.used) == (pytest.approx(10), pytest.approx(7))
    assert used.left_out == {"outside of the steps": pytest.approx(3)}
    assert used.describe() == (
        "the model reads 7.0 of 10.0 s of sound (70 %): 3.0 s are outside of the steps"
    )


def test_selection_and_long_steps_are_counted_by_reason(dataset):
    mask = [False, True, True]
    used = measure_used_signal(
        *dataset(mask, max_audio_s=1.5, steps=StepsConfig(valence=["positive"]))
    )["audio"]
    assert list(used.left_out.values()) == pytest.approx([3, 1, 3])
    assert used.used == pytest.approx(3)
    assert used.total == pytest.approx(used.used + sum(used.left_out.values()))


def test_the_silence_that_is_removed_is_counted(dataset):
    used = measure_used_signal(*dataset(remove_silence=True, max_audio_s=1.0))["audio"]
    # the tone ends after 9.375 s; the end of speech is that of a frame of 32 ms
    silence = used.left_out["silence that data.remove_silence leaves out"]
    assert silence == pytest.approx(10 - 9.375, abs=0.1)
    assert used.used == pytest.approx(3, abs=0.01)


def test_a_recording_of_known_length_has_an_end_outside_of_the_steps(dataset):
    data, steps = dataset([True, True, False])
    with data.store.read("c", "p1", "s1") as reader:
        mask = data.step_masks[0]
        used = measure_session(reader, data.settings, steps["audio"], mask, 12.0)
    assert list(used["audio"].left_out.values()) == pytest.approx([5, 2])  # outside, not selected


def test_frames_of_a_step_are_counted(tmp_path):
    write_video(tmp_path / "1.mp4")  # 2 s
    step = {"face": "1.mp4", "start_s": 0.0}
    manifest = manifest_of({"s1": [step | {"end_s": 1.2}, step | {"start_s": 1.2, "end_s": 2.0}]})
    extract_all(manifest, tmp_path, tmp_path / "store")
    data = DataConfig(
        manifest=tmp_path, store=tmp_path / "store", modalities=["face"], frames_per_step=3
    )
    dataset = SessionDataset(manifest.sessions, SessionStore(tmp_path / "store", SETTINGS), data)
    used = measure_used_signal(dataset, manifest.steps)["face"]
    with dataset.store.read("c", "p1", "s1") as reader:
        n_frames = len(pd.unique(np.concatenate([reader.face_frames(0), reader.face_frames(1)])))
    assert n_frames > 6
    assert (used.total, used.used) == (n_frames, 6)
    assert sum(used.left_out.values()) == n_frames - 6
    # of an encoder that reads fewer crops than the dataset, such as a video transformer
    fewer = measure_used_signal(dataset, manifest.steps, {"face": 2})["face"]
    assert (fewer.total, fewer.used) == (n_frames, 4)
    assert list(fewer.left_out.values()) == [*used.left_out.values(), 2]
    assert measure_used_signal(dataset, manifest.steps, {"face": 9})["face"] == used


def test_rows_of_overlapping_windows_count_once(tmp_path):
    root = tmp_path / "toy"
    root.mkdir()
    for part in "ab":  # 4.5 s, in windows of 15 rows of which 5 are in two
        np.save(root / f"p1_{part}.npy", np.ones((45, 2)))
    manifest, _ = index_corpus(parse_spec(WINDOWS, "toy"), root, duration_s)
    assert len(manifest.steps) == 8
    assert extract_all(manifest, root, tmp_path / "store").failures.empty
    data = DataConfig(
        manifest=tmp_path, store=tmp_path / "store", modalities=["gait"],
        features={"gait": "gait"}, max_rows=8,
    )  # fmt: skip
    dataset = SessionDataset(manifest.sessions, SessionStore(tmp_path / "store", SETTINGS), data)
    used = measure_used_signal(dataset, manifest.steps)["gait"]
    assert (used.total, used.used) == (2 * 45, 2 * 4 * 8)
    assert list(used.left_out.values()) == [2 * 45 - 2 * 4 * 8]


def test_measures_of_whole_steps_have_no_limits():
    limited = {
        name: list_limited_modalities(load_experiment(name))
        for name in ("demo", "grid_classical", "ravdess_sad_mfcc_pitch")
    }
    assert limited == {
        "demo": ["audio", "face"], "grid_classical": [], "ravdess_sad_mfcc_pitch": ["audio"]
    }  # fmt: skip


def test_a_signal_that_no_recording_has_is_described_without_amounts():
    assert count_used("video frames", 0, {}).describe() == "no video frames to read"
    assert UsedSignal("s of sound").describe() == "no sound to read"
