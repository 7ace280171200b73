"""Only the named local file is opened, and its name is never an address or a pattern."""

import os
from pathlib import Path

import numpy as np
import pytest
from media_files import decode_all, encode_sound, tone

from depmm.config import SAMPLE_RATE
from depmm.media.containers.container import open_container, probe
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.video.video import decode_frames

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2.0,\nother.mp4\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile other.mp4\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period>'
    '<AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1"><BaseURL>other.mp4'
    "</BaseURL></Representation></AdaptationSet></Period></MPD>"
)
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a recording into the working folder."""
    monkeypatch.chdir(tmp_path)
    return encode_sound(tmp_path / "other.mp4", "aac", tone(2, 48_000), 48_000, "mp4")


@pytest.mark.parametrize(
    "name",
    ["P01:visit2.mp4", "concat:other.mp4", "file:other.mp4", "pipe:0", "http:a.mp4", "-", "-i.mp4",
     "img%03d.mp4", "data:,a.mp4"],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["", "."])
def test_names_are_those_of_files(other: Path, name: str, folder: str) -> None:
    path = Path(folder) / name
    with pytest.raises(MediaError):
        decode_all(path)
    path.write_bytes(other.read_bytes())
    assert len(decode_all(path)) / SAMPLE_RATE == pytest.approx(2, abs=0.05)
    assert duration_s(path) == pytest.approx(2, abs=0.05)
    assert probe(path).has_audio


@pytest.mark.parametrize("text", [HLS, CONCAT, DASH, SDP])
@pytest.mark.parametrize("name", ["a.m3u8", "a.mpd", "a.mp4", "a.wav", "a.ffconcat", "a.sdp"])
def test_playlists_are_refused(other: Path, text: str, name: str) -> None:
    Path(name).write_text(text)
    for read in (decode_all, duration_s, probe, lambda path: list(decode_frames(path, 5))):
        with pytest.raises(MediaError) as info:
            read(Path(name))
        assert info.value.file == Path(name)
        assert info.value.remedy


def test_images_are_refused(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((16, 16, 3), np.uint8))
    (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    with pytest.raises(MediaError):
        probe(tmp_path / "a.mp4")


def test_any_exception_while_opening_is_an_error_of_the_file(
    other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (MemoryError(), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), OSError("bad")):

        def fail(*args: object, error: Exception = error, **kwargs: object) -> None:
            raise error

        monkeypatch.setattr("depmm.media.containers.container.av.open", fail)
        for read in (decode_all, duration_s, probe, lambda path: list(decode_frames(path, 5))):
            with pytest.raises(MediaError) as info:
                read(other)
            assert info.value.file == other
            assert info.value.remedy


def test_a_container_is_opened_with_the_decoders_prepared(other: Path) -> None:
    with open_container(other) as container:
        assert container.streams.audio[0].codec_context.thread_count == 1


def test_pipes_and_devices_are_refused_without_waiting_for_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    (tmp_path / "b.wav").symlink_to("/dev/zero")
    for path in (tmp_path / "a.wav", tmp_path / "b.wav"):
        for read in (decode_all, duration_s, probe):
            with pytest.raises(MediaError, match="pipe") as info:
                read(path)
            assert info.value.file == path
