"""Steps outside of a recording, and steps that its end cuts."""

import math

import numpy as np
import pytest
import soundfile
from recordings import KEY, SETTINGS, extract_all, manifest_of

from depmm.config import SAMPLE_RATE
from depmm.store.sessions import SessionStore
from depmm.store.step_coverage import masked_steps, name_steps, shortened_steps, union_s


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ([3], "step 3"),
        ([3, 4], "steps 3 to 4"),
        ([7, 3, 50, 49, 51], "steps 3, 7 and 49 to 51"),
        (range(0, 20, 2), "steps 0, 2, 4, 6, 8 and 5 more"),
    ],
)
def test_successive_steps_are_joined(steps, name) -> None:
    assert name_steps(list(steps)) == name


def test_masked_steps_are_one_error() -> None:
    windows = [(0.5 * i, 0.5 * i + 0.5) for i in range(52)]
    error = masked_steps("a.wav", range(52), windows, [49, 50, 51], "sound", 24.3)
    assert error is not None
    assert "3 of 52 steps" in error.problem
    assert "24.3 s" in error.problem
    assert "steps 49 to 51" in error.problem
    assert (str(error.file), error.value) == ("a.wav", 3)
    error = masked_steps("a.mp4", range(52), windows, [0, 3, 51], "video", 25.0, 0.5)
    assert error is not None
    assert "1 of 52 steps ends before the start of the video (0.5 s): step 0" in error.problem
    assert "1 of 52 steps is in a gap of the video: step 3" in error.problem
    assert "step 51" in error.problem
    assert masked_steps("a.wav", range(52), windows, [], "sound", 24.3) is None


def test_windows_that_overlap_are_counted_once() -> None:
    assert union_s([(3.0, 5.0), (0.0, 2.0), (1.0, 4.0), (8.0, 9.0)]) == 6.0
    assert union_s([(0.0, 2.0), (4.0, math.inf)], limit_s=5.0) == 3.0


def test_steps_that_are_cut_by_more_than_half_a_second_are_one_warning() -> None:
    windows = [(0.0, 10.0), (10.0, 20.0), (20.0, 30.0), (25.0, 35.0), (30.0, 40.0)]
    warning = shortened_steps([0, 1, 7, 8, 9], windows, 27.3)
    assert warning is not None
    assert (warning.name, warning.value) == ("missing_sound", pytest.approx(7.7))
    assert "step 7 ends at 30.0 s, 2.7 s after the end" in warning.problem
    assert "2 of 5 steps" in warning.problem
    assert "19.2 %" in warning.problem
    assert shortened_steps([0], [(0.0, 10.0)], 9.6) is None
    assert shortened_steps([0], [(0.0, math.inf)], 9.6) is None


def test_extraction_reports_the_steps_of_a_file_once(tmp_path) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, round(2.3 * SAMPLE_RATE))
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE)
    steps = [{"audio": "a.wav", "start_s": float(i), "end_s": i + 1.0} for i in range(6)]
    report = extract_all(manifest_of({"s1": steps}), tmp_path, tmp_path / "store")
    (cause,) = report.failures["cause"]
    assert "3 of 6 steps" in cause
    assert "(2.3 s): steps 3 to 5" in cause
    (warning,) = report.warnings.to_dict("records")
    assert (warning["stage"], warning["file"], warning["name"]) == (
        "audio",
        "a.wav",
        "missing_sound",
    )
    assert "step 2 ends at 3.0 s, 0.7 s after" in warning["problem"]
    with SessionStore(tmp_path / "store", SETTINGS).read(*KEY) as reader:
        lengths = [len(reader.read_waveform(step)) for step in range(6)]
    assert lengths == [16_000, 16_000, 4_800, 0, 0, 0]


def test_a_sound_that_ends_before_every_step_has_no_known_end(tmp_path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 0.1), SAMPLE_RATE)
    steps = [{"audio": "a.wav", "start_s": 5.0, "end_s": 6.0}]
    report = extract_all(manifest_of({"s1": steps}), tmp_path, tmp_path / "store")
    (cause,) = report.failures["cause"]
    assert "1 of 1 steps starts after the end of the sound: step 0" in cause
    assert report.lost == 1


def test_silence_and_clipping_are_warnings_of_extraction(tmp_path) -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 12 * SAMPLE_RATE)
    sound[: 4 * SAMPLE_RATE] = 0
    sound[6 * SAMPLE_RATE : 7 * SAMPLE_RATE] *= 20
    soundfile.write(tmp_path / "a.wav", sound.clip(-1, 1), SAMPLE_RATE)
    steps = [{"audio": "a.wav", "start_s": start, "end_s": start + 4} for start in (0.0, 4.0)]
    report = extract_all(manifest_of({"s1": steps}), tmp_path, tmp_path / "store")
    assert report.failures.empty
    assert report.warnings["name"].tolist() == ["digital_silence", "clipping"]
    assert "4.0 s of the sound (50 %)" in report.warnings["problem"][0]
    assert "its 2 steps, 8.0 s" in report.warnings["problem"][0]
    with SessionStore(tmp_path / "store", SETTINGS).read(*KEY) as reader:
        level = reader.summary["sound"]
    assert level["seconds"] == 8
    assert level["silent_s"] == pytest.approx(4, abs=0.03)
    assert level["clipped"] == pytest.approx(0.125 * 0.617, abs=0.005)  # 2 (1 - Phi(0.5)) = 0.617
