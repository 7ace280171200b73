"""Timing of sessions without known turns of other speakers."""

import numpy as np
from recordings import KEY, write_session
from voices import SR, pulses, write_voices

from depmm.measures.timing import TIMING_MEASURES, measure_timing
from depmm.store.session_file import SessionReader

NAMES = [measure.name for measure in TIMING_MEASURES]
VOICE = pulses(np.full(100, 0.01))


def timing(store):
    with store.read(*KEY) as reader:
        return dict(zip(NAMES, measure_timing(reader), strict=True))


def test_steps_of_one_recording(tmp_path):
    values = timing(write_voices(tmp_path, [VOICE, np.zeros(0, np.float32), VOICE[: SR // 2]]))
    expected = {
        "n_turns": 2, "turn_length": 0.75, "turn_length_std": 0.25, "speech_time": 1.5,
        "speech_share": 1, "turn_share": 1, "turns_per_minute": 80,
    }  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-4, err_msg=name)
    assert np.isnan([values[name] for name in set(NAMES) - set(expected)]).all()


def test_steps_of_several_files_have_no_common_time(tmp_path):
    values = timing(write_voices(tmp_path, [VOICE, VOICE], step_start_s=[0.0, 0.0]))
    assert values["n_turns"] >= 1
    assert np.isnan([values["turn_share"], values["turns_per_minute"]]).all()


def test_a_session_without_sound(tmp_path):
    path = write_session(tmp_path / "a.safetensors", {"face.time_s": np.zeros(2)}, n_frames=2)
    with SessionReader(path) as reader:
        assert np.isnan(measure_timing(reader)).all()
