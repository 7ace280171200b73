"""Containers: the common clock, and errors of missing streams and truncated files."""

from pathlib import Path

import av
import numpy as np
import pytest
from media_files import (
    GRID,
    RAVDESS,
    decode_all,
    decoded_with_warnings,
    tone,
    truncate,
    write_recording,
)

from depmm.config import SAMPLE_RATE
from depmm.media.containers.container import probe
from depmm.media.errors import MediaError
from depmm.media.video.video import decode_frames


@pytest.mark.parametrize("sound_first", [False, True])
def test_decoding_does_not_depend_on_the_order_of_streams(
    tmp_path: Path, sound_first: bool
) -> None:
    path = tmp_path / "a.mp4"
    write_recording(path, np.arange(25) / 25, tone(1, 48_000), sound_first=sound_first)
    times = [time for time, _ in decode_frames(path, 25)]
    assert times == pytest.approx(
        np.arange(25) / 25
    )  # including the frames that the decoder delays
    assert len(decode_all(path)) == pytest.approx(SAMPLE_RATE, abs=0.03 * SAMPLE_RATE)


def test_missing_files_and_tracks_are_errors_of_the_file(tmp_path: Path) -> None:
    no_sound = write_recording(tmp_path / "no_sound.mp4", [0.0, 0.04])
    no_video = write_recording(tmp_path / "no_video.mp4", sound=tone(1, 48_000))
    assert probe(no_sound).has_video
    assert not probe(no_sound).has_audio
    assert not probe(no_video).has_video
    assert probe(no_video).width is None
    with pytest.raises(MediaError) as info:
        decode_all(no_sound)
    assert info.value.file == no_sound
    with pytest.raises(MediaError) as info:
        list(decode_frames(no_video, 5))
    assert info.value.file == no_video
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a recording\n" * 50)
    problems = set()
    for name in ("empty", "text", "none"):
        for read in (decode_all, probe, lambda path: list(decode_frames(path, 5))):
            with pytest.raises(MediaError) as info:
                read(tmp_path / f"{name}.mp4")
            assert info.value.file == tmp_path / f"{name}.mp4"
            assert info.value.remedy
            problems.add(info.value.problem)
    assert len(problems) == 3


@pytest.mark.parametrize("share", [0.005, 0.3, 0.6, 0.97])
@pytest.mark.parametrize("name", [RAVDESS, GRID])
def test_truncated_videos_are_errors(
    real_data: Path, tmp_path: Path, name: str, share: float
) -> None:
    path = truncate(real_data / name, tmp_path, share)
    for read in (decode_all, lambda path: list(decode_frames(path, 2))):
        with pytest.raises(MediaError) as info:
            read(path)
        assert info.value.file == path


@pytest.mark.parametrize("share", [0.4, 0.5, 0.8])
def test_a_matroska_file_shorter_than_its_header_states_is_an_error(
    tmp_path: Path, share: float
) -> None:
    times = np.arange(0, 20, 0.04)
    path = write_recording(tmp_path / "a.mkv", times, tone(20, 48_000))
    assert len(list(decode_frames(path, 1))) == 20
    cut_path = truncate(path, tmp_path, share)
    for read in (decode_all, lambda path: list(decode_frames(path, 2))):
        with pytest.raises(MediaError) as info:
            read(cut_path)
        assert info.value.value == pytest.approx(20 * share, abs=0.2)  # where the file ends


def test_a_window_before_the_truncation_is_read(real_data: Path, tmp_path: Path) -> None:
    path = truncate(real_data / RAVDESS, tmp_path, 0.6)
    assert len(decode_all(path, 0.2, 1.0)) == 0.8 * SAMPLE_RATE
    assert len(list(decode_frames(path, 5, [(0.0, 0.9)]))) == 5


@pytest.mark.parametrize("brand", [b"avif", b"heic", b"mif1"])
def test_an_image_in_a_container_of_video_is_refused(tmp_path: Path, brand: bytes) -> None:
    path = write_recording(tmp_path / "a.mp4", [0.0])
    data = path.read_bytes()
    path.write_bytes(data[:8] + brand + data[12:])
    with pytest.raises(MediaError, match="image") as info:
        probe(path)
    assert info.value.value == brand.decode()


def test_a_header_that_counts_from_timestamp_0_is_not_a_longer_recording(tmp_path: Path) -> None:
    """Recorders of streams keep the clock of the stream, here 3600 s."""
    times = 3600 + np.arange(0, 4, 0.04)
    path = write_recording(tmp_path / "a.mkv", times, tone(4, 48_000), sound_start=3600)
    sound, warnings = decoded_with_warnings(path)
    assert len(sound) == pytest.approx(4 * SAMPLE_RATE, abs=0.1 * SAMPLE_RATE)
    assert not warnings
    assert len(list(decode_frames(path, 25))) == pytest.approx(100, abs=2)
    with pytest.raises(MediaError, match="truncated"):
        decode_all(truncate(path, tmp_path, 0.6))


def test_subtitles_that_last_longer_do_not_make_the_sound_short(tmp_path: Path) -> None:
    times = np.arange(0, 4, 0.04)
    path = write_recording(tmp_path / "a.mkv", times, tone(4, 48_000), codecs=("mpeg4", "aac"))
    text = tmp_path / "a.srt"
    text.write_text("1\n00:00:03,000 --> 00:00:20,000\nhello\n\n")
    titled = tmp_path / "b.mkv"
    with av.open(str(path)) as media, av.open(str(text)) as titles, av.open(str(titled), "w") as to:
        streams = {
            id(stream): to.add_stream_from_template(stream)
            for stream in (*media.streams, *titles.streams)
        }
        packets = [packet for file in (media, titles) for packet in file.demux() if packet.size]
        packets.sort(key=lambda packet: float(packet.pts * packet.time_base))
        for packet in packets:
            packet.stream = streams[id(packet.stream)]
            to.mux_one(packet)
    sound, warnings = decoded_with_warnings(titled)
    assert len(sound) == pytest.approx(4 * SAMPLE_RATE, abs=0.05 * SAMPLE_RATE)
    assert not warnings
