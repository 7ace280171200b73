"""Durations of recordings and feature files."""

import struct

import av
import numpy as np
import pytest
import soundfile
from media_files import (
    GRID,
    RAVDESS,
    decode_all,
    decoded_with_warnings,
    encode_sound,
    tone,
    write_recording,
)

from depmm.config import SAMPLE_RATE, StreamConfig
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError


def test_the_duration_of_a_recording(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1.5, 8000), 8000)
    assert duration_s(tmp_path / "a.wav") == pytest.approx(1.5)
    video = write_recording(tmp_path / "a.mp4", np.arange(50) / 25)
    assert duration_s(video) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(
    ("codec", "form", "name"),
    [
        ("libmp3lame", "mp3", "a.mp3"),
        ("aac", "adts", "a.aac"),
        ("aac", "mpegts", "a.ts"),
        ("libopus", "webm", "a.webm"),
        ("libopus", "ogg", "a.ogg"),
        ("flac", "flac", "a.flac"),
        ("aac", "mp4", "a.mp4"),
        ("aac", "matroska", "a.mka"),
        ("libmp3lame", "avi", "a.avi"),
        ("aac", "flv", "a.flv"),
    ],
)
def test_the_duration_is_that_of_the_decoded_sound(tmp_path, codec, form, name):
    """Silence, then noise: a length that is guessed from the bit rate would be far too long."""
    noise = np.random.default_rng(0).normal(0, 0.2, 4 * 48_000)
    sound = np.concatenate([np.zeros(16 * 48_000), noise]).clip(-1, 1)
    path = encode_sound(tmp_path / name, codec, sound, 48_000, form)
    decoded_s = len(decode_all(path)) / SAMPLE_RATE
    assert decoded_s == pytest.approx(20, abs=0.1)
    assert duration_s(path) == pytest.approx(decoded_s, abs=0.05)


def test_a_variable_bit_rate_without_a_header_is_measured(tmp_path):
    sound = np.concatenate([np.zeros(16 * 48_000), tone(4, 48_000)])
    path = encode_sound(tmp_path / "a.mp3", "libmp3lame", sound, 48_000, "mp3")
    data = path.read_bytes()
    path.write_bytes(data[data.index(b"\xff\xfb", data.index(b"Info")) :])
    assert duration_s(path) == pytest.approx(20, abs=0.1)


@pytest.mark.parametrize("form", ["webm", "matroska"])
def test_a_recording_of_a_browser_states_no_duration(tmp_path, form):
    """MediaRecorder writes a live file: no duration, no index."""
    with av.open(str(tmp_path / "a"), "w", format=form, options={"live": "1"}) as container:
        stream = container.add_stream("libopus", rate=48_000)
        stream.layout = "mono"
        to_codec = av.AudioResampler(format="flt", layout="mono", rate=48_000)
        for start in range(0, 4 * 48_000, 960):
            block = tone(0.02, 48_000)[None].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.rate, frame.pts = 48_000, start
            for part in to_codec.resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode())
    with av.open(str(tmp_path / "a")) as container:
        assert container.duration is None
    assert duration_s(tmp_path / "a") == pytest.approx(4, abs=0.05)
    assert len(decode_all(tmp_path / "a")) / SAMPLE_RATE == pytest.approx(4, abs=0.05)


def test_a_header_that_is_shorter_than_the_content_does_not_count(tmp_path):
    path = encode_sound(tmp_path / "a.mka", "aac", tone(8, 48_000), 48_000, "matroska")
    data = bytearray(path.read_bytes())
    position = data.index(b"\x44\x89\x88") + 3  # duration in ms, 64-bit floating point
    data[position : position + 8] = struct.pack(">d", 3000.0)
    path.write_bytes(data)
    assert duration_s(path) == pytest.approx(8, abs=0.05)
    sound, warnings = decoded_with_warnings(path)
    assert len(sound) / SAMPLE_RATE == pytest.approx(8, abs=0.05)
    assert warnings["length_differs"].value == pytest.approx(5, abs=0.05)
    assert len(decode_all(path, 6.5, 7.5)) == SAMPLE_RATE


@pytest.mark.parametrize("name", [GRID, RAVDESS])
def test_real_recordings_have_the_length_of_their_sound(real_data, name):
    sound, warnings = decoded_with_warnings(real_data / name)
    assert not warnings
    assert duration_s(real_data / name) == pytest.approx(len(sound) / SAMPLE_RATE, abs=0.1)


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


def test_the_last_frames_of_an_mpeg_stream_of_low_bit_rate_count(tmp_path):
    """A packet contains several frames then, and only its first frame has a timestamp."""
    path = tmp_path / "a.mpg"
    with av.open(str(path), "w", format="mpeg") as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
        for _ in range(100):
            container.mux(video.encode(picture))
        container.mux(video.encode())
    assert duration_s(path) == pytest.approx(4.0, abs=0.05)
