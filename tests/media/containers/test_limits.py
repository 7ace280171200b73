"""Files whose size, length or rate is absurd are refused with the value."""

from pathlib import Path

import av
import numpy as np
import pytest

from depmm.media.containers.limits import (
    MAX_CHANNELS,
    MAX_RECORDING_S,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    check_length,
    check_sound,
)
from depmm.media.errors import MediaError
from depmm.media.video.video import decode_frames

FILE = Path("a.wav")


def test_values_at_the_limits_are_accepted() -> None:
    check_sound(FILE, MIN_SAMPLE_RATE, 1)
    check_sound(FILE, MAX_SAMPLE_RATE, MAX_CHANNELS)
    assert check_length(FILE, MAX_RECORDING_S) == MAX_RECORDING_S


@pytest.mark.parametrize("length", [0.0, -1.0, np.nan, np.inf, MAX_RECORDING_S + 1])
def test_absurd_lengths_are_refused(length: float) -> None:
    with pytest.raises(MediaError) as info:
        check_length(FILE, length)
    np.testing.assert_equal(info.value.value, length)


@pytest.mark.parametrize(
    ("rate", "channels", "value"),
    [(MIN_SAMPLE_RATE - 1, 1, MIN_SAMPLE_RATE - 1), (16_000, 0, 0), (1 << 31, 1, 1 << 31),
     (16_000, MAX_CHANNELS + 1, MAX_CHANNELS + 1)],
)  # fmt: skip
def test_absurd_sound_is_refused(rate: int, channels: int, value: int) -> None:
    with pytest.raises(MediaError) as info:
        check_sound(FILE, rate, channels)
    assert info.value.value == value
    assert str(value) in info.value.problem


def test_frames_of_absurd_size_are_refused_before_decoding(tmp_path: Path) -> None:
    size = 8200
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = size
        stream.pix_fmt = "gray"
        container.mux(stream.encode(av.VideoFrame(size, size, "gray")))
        container.mux(stream.encode())
    with pytest.raises(MediaError) as info:
        list(decode_frames(tmp_path / "a.avi", 5))
    assert info.value.value == size**2
