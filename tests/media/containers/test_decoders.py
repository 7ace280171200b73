"""Tracks without a decoder are skipped and named."""

from pathlib import Path

import numpy as np
import pytest
from media_files import decode_all, decoded_with_warnings, tone, write_recording

from depmm.config import SAMPLE_RATE
from depmm.media.containers.container import open_container, probe
from depmm.media.containers.decoders import can_decode, check_decoders, codec_name
from depmm.media.containers.decoding import decode_stream
from depmm.media.containers.survey import survey_packets
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.video.video import decode_frames


def replace_codec(path: Path, old: bytes, new: bytes, last: bool = False) -> None:
    """Replace the code of a codec in the sample description of an MP4 file."""
    data = path.read_bytes()
    description = data.rindex(b"stsd") if last else data.index(b"stsd")
    position = data.index(old, description)
    data = data[:position] + new + data[position + 4 :]
    path.write_bytes(data[:position] + data[position:].replace(b"esds", b"free", 1))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "a.mp4", np.arange(0, 2, 0.04), tone(2, 48_000))


def test_an_unknown_sound_track_is_an_error_that_names_the_codec_and_the_video_is_read(
    video: Path,
) -> None:
    replace_codec(video, b"mp4a", b"apac", last=True)
    with pytest.raises(MediaError) as info:
        decode_all(video)
    assert info.value.file == video
    assert "apac" in info.value.problem
    assert len(list(decode_frames(video, 25))) == 50
    assert duration_s(video) == pytest.approx(2, abs=0.05)
    assert probe(video).has_audio


def test_an_unknown_video_track_is_an_error_that_names_the_codec_and_the_sound_is_read(
    video: Path,
) -> None:
    replace_codec(video, b"avc1", b"xyz1")
    with pytest.raises(MediaError) as info:
        list(decode_frames(video, 25))
    assert "xyz1" in info.value.problem
    sound, warnings = decoded_with_warnings(video)
    assert len(sound) / SAMPLE_RATE == pytest.approx(2, abs=0.05)
    assert not warnings


def test_a_file_without_any_decoder_has_no_length(video: Path) -> None:
    replace_codec(video, b"mp4a", b"apac", last=True)
    replace_codec(video, b"avc1", b"xyz1")
    with pytest.raises(MediaError) as info:
        duration_s(video)
    assert "apac" in info.value.problem
    assert "xyz1" in info.value.problem


def test_codecs_are_named(video: Path) -> None:
    with open_container(video) as container:
        check_decoders(video, container)
        for stream, name in zip(container.streams, ("h264", "aac"), strict=True):
            assert can_decode(stream)
            assert codec_name(container, stream) == name


def test_tracks_that_begin_in_the_middle_are_an_error(tmp_path: Path) -> None:
    """The second part has an additional sound track, whose packets are not delivered."""
    part = write_recording(tmp_path / "a.ts", np.arange(0, 30, 0.04)).read_bytes()
    other = write_recording(tmp_path / "b.ts", np.arange(0, 2, 0.04), tone(2, 48_000)).read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(part + other)
    # FFmpeg searches the first 5 MB and the end for tracks; here less, so that the test is small
    options = {"probesize": "50000", "skip_estimate_duration_from_pts": "1"}
    with (
        open_container(path, **options) as container,
        pytest.raises(MediaError) as info,
    ):
        survey_packets(path, container)
    assert info.value.value == 1
    with (
        open_container(path, **options) as container,
        pytest.raises(MediaError) as info,
    ):
        list(decode_stream(path, container, container.streams.video[0]))
    assert info.value.value == 1
