"""Timing of sessions without known turns of other speakers."""

import numpy as np
import pytest
from recordings import KEY, write_session
from voices import SR, pulses, write_voices

from depmm.measures.timing import TIMING_MEASURES, measure_timing
from depmm.store.session_file import SessionReader

NAMES = [measure.name for measure in TIMING_MEASURES]
VOICE = pulses(np.full(100, 0.01))


def timing(store, speech=None):
    with store.read(*KEY) as reader:
        if speech is not None:  # write_voices assumes that the steps follow each other
            tensors = {"audio.speech": np.array(speech, np.float32)}
            read = reader.read_tensor
            reader.read_tensor = lambda name: tensors[name] if name in tensors else read(name)
        return dict(zip(NAMES, measure_timing(reader), strict=True))


def test_steps_of_one_recording(tmp_path):
    values = timing(write_voices(tmp_path, [VOICE, np.zeros(0, np.float32), VOICE[: SR // 2]]))
    expected = {
        "n_turns": 2, "turn_length": 0.75, "turn_length_std": 0.25, "speech_time": 1.5,
        "speech_share": 1, "turn_share": 1, "turns_per_minute": 80,
        "recording_pause_rate": 0, "recording_pause_share": 0,
    }  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-4, err_msg=name)
    assert np.isnan([values[name] for name in set(NAMES) - set(expected)]).all()


def test_steps_of_several_files_have_no_common_time(tmp_path):
    values = timing(write_voices(tmp_path, [VOICE, VOICE], step_start_s=[0.0, 0.0]))
    assert values["n_turns"] >= 1
    assert np.isnan([values["turn_share"], values["turns_per_minute"]]).all()


def test_overlapping_windows_count_once(tmp_path):
    values = timing(
        write_voices(
            tmp_path, [VOICE, VOICE, VOICE], step_start_s=[0.0, 0.5, 3.0], step_file=[0, 0, 0]
        ),
        speech=[[0.0, 1.0], [0.5, 1.5], [3.0, 4.0]],
    )
    expected = {
        "speech_time": 2.5, "speech_share": 1, "turn_share": 2.5 / 4, "turns_per_minute": 45,
        "recording_pause_rate": 15, "recording_pause_mean": 1.5, "recording_pause_std": 0,
        "recording_pause_share": 1.5 / 4,
    }  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-4, err_msg=name)


def test_windows_of_two_files_do_not_overlap(tmp_path):
    store = write_voices(tmp_path, [VOICE, VOICE], step_start_s=[0.0, 0.5], step_file=[0, 1])
    values = timing(store, speech=[[0.0, 1.0], [0.5, 1.5]])
    assert values["speech_time"] == pytest.approx(2)
    assert np.isnan([values["turn_share"], values["recording_pause_rate"]]).all()


def test_a_turn_of_the_interviewer_is_no_pause(tmp_path):
    store = write_voices(
        tmp_path, [VOICE, VOICE, VOICE], step_start_s=[0.0, 2.0, 5.0],
        step_previous_end_s=[None, None, 4.5],
    )  # fmt: skip
    values = timing(store, speech=[[0.0, 1.0], [2.0, 3.0], [5.0, 6.0]])
    assert values["recording_pause_mean"] == pytest.approx(1)
    assert values["recording_pause_rate"] == pytest.approx(10)
    assert values["latency_mean"] == pytest.approx(0.5)


def test_a_session_without_sound(tmp_path):
    path = write_session(tmp_path / "a.safetensors", {"face.time_s": np.zeros(2)}, n_frames=2)
    with SessionReader(path) as reader:
        assert np.isnan(measure_timing(reader)).all()
