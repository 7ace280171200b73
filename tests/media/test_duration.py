"""Durations of recordings and feature files."""

import numpy as np
import pytest
import soundfile
from media_files import tone, write_recording

from depmm.config import StreamConfig
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError


def test_the_duration_of_a_recording_is_that_of_its_header(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1.5, 8000), 8000)
    assert duration_s(tmp_path / "a.wav") == pytest.approx(1.5)
    video = write_recording(tmp_path / "a.mp4", np.arange(50) / 25)
    assert duration_s(video) == pytest.approx(2.0, abs=0.05)


def test_the_duration_of_a_feature_file_is_its_last_time_plus_one_period(tmp_path):
    (tmp_path / "a.csv").write_text("t,x\n0.5,1\n0.9,2\n")
    timed = StreamConfig(name="x", rate_hz=10.0, time="t")
    assert duration_s(tmp_path / "a.csv", timed) == pytest.approx(1.0)
    np.save(tmp_path / "a.npy", np.zeros((30, 2)))
    assert duration_s(
        tmp_path / "a.npy", StreamConfig(name="x", rate_hz=10.0, format="npy")
    ) == pytest.approx(3.0)


@pytest.mark.parametrize("content", [None, b"", b"not a recording"])
def test_a_missing_or_damaged_file_is_an_error(tmp_path, content):
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError) as info:
        duration_s(path)
    assert info.value.file == path
