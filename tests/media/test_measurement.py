"""Measurements of recordings for the audit."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from media_files import tone, write_recording, write_tracks
from recordings import write_video

from depmm.config import SAMPLE_RATE
from depmm.media.errors import MediaError
from depmm.media.measurement import RecordingUse, measure_recording


def names(path: Path, **use: bool | int) -> list[str]:
    return [warning.name for warning in measure_recording(path, RecordingUse(**use)).warnings]


def test_length_sound_and_border_of_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4")  # the first frame of every second is black
    measured = measure_recording(path, RecordingUse(audio=True, face=True))
    assert measured.statistics["length_s"] == pytest.approx(2, abs=0.1)
    assert measured.sound_s == pytest.approx(2, abs=0.1)
    assert (measured.statistics["black_border"], measured.warnings) == (0, ())
    measured = measure_recording(path, RecordingUse())
    assert (measured.sound_s, set(measured.statistics)) == (
        None,
        {"length_s", "bit_rate", "container"},
    )
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(MediaError) as info:
        measure_recording(path, RecordingUse(face=True))
    assert info.value.file == path


def test_the_whole_sound_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    sound = np.random.default_rng(0).normal(0, 0.1, 100 * SAMPLE_RATE)
    sound[25 * SAMPLE_RATE : 65 * SAMPLE_RATE] = 0
    sound[70 * SAMPLE_RATE : 71 * SAMPLE_RATE] *= 30
    soundfile.write(path, sound.clip(-1, 1), SAMPLE_RATE)
    measured = measure_recording(path, RecordingUse(audio=True))
    assert measured.sound_s == 100
    silence, clipping = measured.warnings
    assert (silence.name, clipping.name) == ("digital_silence", "clipping")
    assert silence.value == pytest.approx(40, abs=0.1)
    assert clipping.value == pytest.approx(0.01 * 0.739, abs=1e-3)  # 2 (1 - Phi(1/3)) = 0.739
    assert names(path) == []


def test_warnings_of_the_readers_are_collected(tmp_path: Path) -> None:
    sound = tone(3, 48_000)
    path = write_tracks(tmp_path / "a.mkv", [np.stack([sound, -sound]), sound[None]], default=0)
    assert names(path, audio=True) == ["inverted_channels", "other_tracks"]
    assert names(path, audio=True, track=1) == []
    assert names(path, audio=True, track=0, channel=1) == []
    short = write_recording(tmp_path / "b.mp4", np.arange(0, 5, 0.04), tone(3, 48_000))
    assert names(short, audio=True, face=True) == ["missing_sound"]
