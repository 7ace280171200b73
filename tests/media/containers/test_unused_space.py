"""Zeros at the end of a file are space that was not used, and neither sound nor a fault."""

import os
from pathlib import Path

import numpy as np
import pytest
from media_files import decode_all, decoded_with_warnings, tone, wav_bytes, write_recording

from depmm.media.containers.unused_space import FileStart, used_bytes
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.video.video import decode_frames

SPARSE_BYTES = 200_000_000
CODECS = {
    "ts": ("libx264", "aac"),
    "mpg": ("", "mp2"),
    "mp3": ("", "libmp3lame"),
    "aac": ("", "aac"),
}


@pytest.mark.parametrize("n_zeros", [50_000, SPARSE_BYTES])
@pytest.mark.parametrize("suffix", CODECS)
def test_zeros_behind_packets_change_nothing(tmp_path: Path, suffix: str, n_zeros: int) -> None:
    times = np.arange(0, 4, 0.04) if suffix == "ts" else ()
    path = tmp_path / f"a.{suffix}"
    write_recording(path, times, tone(4.0, 48_000), codecs=CODECS[suffix])
    expected, length_s = decode_all(path), duration_s(path)
    frames = [time for time, _ in decode_frames(path, 25)] if len(times) else []
    os.truncate(path, path.stat().st_size + n_zeros)
    decoded = decode_all(path)
    assert len(decoded) == pytest.approx(len(expected), abs=800)  # MP3: padding of the encoder
    n_equal = min(len(expected), len(decoded)) - 800
    np.testing.assert_array_equal(decoded[:n_equal], expected[:n_equal])
    assert duration_s(path) == pytest.approx(length_s, abs=0.05)
    if len(times):
        assert [time for time, _ in decode_frames(path, 25)] == frames


def test_zeros_between_frames_of_mp3_are_a_fault(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mp3", (), tone(4.0, 48_000), codecs=("", "libmp3lame"))
    data = path.read_bytes()
    path.write_bytes(data[:20_000] + bytes(30_000) + data[20_000:])
    with pytest.raises(MediaError):
        decode_all(path)


def test_lyrics_and_tags_behind_mp3_are_not_sound(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mp3", (), tone(4.0, 48_000), codecs=("", "libmp3lame"))
    expected = decode_all(path)
    lyrics = b"LYRICSBEGIN" + b"IND00002" + b"x" * 300 + b"000321LYRICS200"
    path.write_bytes(path.read_bytes() + lyrics + b"TAG" + bytes(125))
    np.testing.assert_array_equal(decode_all(path), expected)


def test_zeros_behind_the_stated_sound_of_wav_are_not_read(tmp_path: Path) -> None:
    path, data = tmp_path / "a.wav", wav_bytes(tone(2.0, 16_000))
    path.write_bytes(data + bytes(1_000_000))
    decoded, warnings = decoded_with_warnings(path)
    assert (len(decoded), warnings) == (32_000, {})
    sound = np.round(tone(1.0, 16_000) * 32767).astype("<i2").tobytes()
    path.write_bytes(data + sound + bytes(1_000_000))  # the recorder was stopped
    decoded, warnings = decoded_with_warnings(path)
    assert len(decoded) == pytest.approx(48_000, abs=2100)
    assert list(warnings) == ["length_differs"]
    assert duration_s(path) == pytest.approx(3.0, abs=0.15)


def test_the_start_of_a_file_is_read_like_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789" + bytes(3))
    assert (used_bytes(path), used_bytes(path, 12)) == (10, 12)
    with path.open("rb", buffering=0) as file:
        start = FileStart(file, 6)
        assert (start.read(4), start.tell(), start.read(4), start.read()) == (
            b"0123",
            4,
            b"45",
            b"",
        )
        assert (start.seek(-2, os.SEEK_END), start.read()) == (4, b"45")
        assert start.readable()
        assert start.seekable()
