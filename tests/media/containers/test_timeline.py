"""The continuous clock of recordings whose timestamps restart, overflow or are missing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from media_files import (
    GRID,
    decode_all,
    decoded_with_warnings,
    encode_sound,
    tone,
    write_recording,
)

from depmm.config import SAMPLE_RATE
from depmm.media.containers.timeline import Timeline
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.video.video import decode_frames
from depmm.media.warnings import MediaWarning

VIDEO, AUDIO = 0, 1


class Packet:
    """Stands for a packet with timestamps in milliseconds."""

    def __init__(self, index: int, dts: int | None, pts: int | None = None, duration: int = 40):
        self.stream = SimpleNamespace(index=index)
        self.dts, self.pts, self.duration = dts, dts if pts is None else pts, duration


def place(packets: list[Packet], form: str = "mpegts", tick: float = 0.001) -> Timeline:
    streams = [
        SimpleNamespace(index=VIDEO, type="video", time_base=tick),
        SimpleNamespace(index=AUDIO, type="audio", time_base=tick),
    ]
    container: Any = SimpleNamespace(
        streams=streams, format=SimpleNamespace(name=form), start_time=0
    )
    timeline = Timeline(container)
    assert list(timeline.place(packets)) == packets
    return timeline


def times(packets: list[Packet], index: int) -> list[int | None]:
    return [packet.dts for packet in packets if packet.stream.index == index]


def test_ascending_timestamps_are_not_changed() -> None:
    packets = [Packet(i % 2, 40 * i, 40 * i + 80 * (i % 3)) for i in range(40)]
    before = [(packet.dts, packet.pts) for packet in packets]
    timeline = place(packets)
    assert [(packet.dts, packet.pts) for packet in packets] == before
    assert timeline.restarts == []
    assert timeline.restart_warning() is None


def test_after_a_restart_both_streams_have_the_same_offset() -> None:
    """The sound of the first part comes after the first frame of the second part."""
    packets = [Packet(VIDEO, 40 * i) for i in range(25)]  # to 1.00 s
    packets += [Packet(AUDIO, 40 * i) for i in range(20)]
    packets += [Packet(VIDEO, 23), Packet(VIDEO, 63)]
    packets += [Packet(AUDIO, 40 * i) for i in range(20, 26)]  # to 1.04 s
    packets += [Packet(AUDIO, 40 * i) for i in range(5)] + [Packet(VIDEO, 103)]
    timeline = place(packets)
    assert times(packets, AUDIO) == [40 * i for i in range(31)]  # nothing overlaps
    assert times(packets, VIDEO) == [*(40 * i for i in range(25)), 1063, 1103, 1143]
    assert timeline.restarts == [(pytest.approx(1.04), pytest.approx(1.04))]
    assert timeline.end_s == pytest.approx(1.24)
    warning = timeline.restart_warning()
    assert warning is not None
    assert (warning.name, warning.value) == ("clock_restart", 1)


def test_every_restart_is_followed() -> None:
    packets = [Packet(AUDIO, 40 * (i % 10)) for i in range(50)]
    timeline = place(packets)
    assert times(packets, AUDIO) == [40 * i for i in range(50)]
    assert len(timeline.restarts) == 4


def test_reordered_frames_and_edit_lists_are_no_restart() -> None:
    reordered = [Packet(VIDEO, None, pts) for pts in (0, 160, 80, 40, 120, 320, 240)]
    assert place(reordered).restarts == []
    assert place([Packet(AUDIO, dts) for dts in (0, 40, -500, 0)], "mov,mp4").restarts == []


def test_an_overflow_of_the_counter_is_no_restart() -> None:
    ticks = [((1 << 33) - 9000 + 3600 * i) % (1 << 33) for i in range(6)]
    packets = [Packet(AUDIO, tick, duration=3600) for tick in ticks]
    timeline = place(packets, "mpeg", 1 / 90_000)
    assert timeline.restarts == []
    assert np.diff(np.array(times(packets, AUDIO), float)) == pytest.approx(3600)


def test_missing_sound_of_an_avi_file_is_found_beside_the_video() -> None:
    packets = []
    for i in range(50):  # 3 s are missing after 1 s; the sound has no timestamps of its own
        packets += [Packet(VIDEO, 40 * i + (3000 if i >= 25 else 0)), Packet(AUDIO, 40 * i)]
    place(packets, "avi")
    assert times(packets, AUDIO) == times(packets, VIDEO)
    still = [Packet(VIDEO, 0)]  # a video that stands still while the sound continues
    still += [Packet(AUDIO, 40 * i) for i in range(75)] + [Packet(VIDEO, 3000), Packet(AUDIO, 3000)]
    place(still, "avi")
    assert times(still, AUDIO) == [40 * i for i in range(76)]


@pytest.mark.parametrize(
    ("suffix", "codecs"),
    [
        ("ts", ("libx264", "aac")),
        ("mkv", ("libx264", "aac")),
        ("webm", ("libvpx", "libopus")),
        ("avi", ("mpeg4", "libmp3lame")),
    ],
)
def test_joined_recordings_are_read_in_full_and_stay_synchronous(
    tmp_path: Path, suffix: str, codecs: tuple[str, str]
) -> None:
    """In each part, the sound begins to be loud when the picture becomes bright."""
    sound = np.concatenate([np.zeros(48_000), tone(1, 48_000)])
    part = write_recording(
        tmp_path / f"a.{suffix}", np.arange(0, 2, 0.04), sound, codecs=codecs
    ).read_bytes()
    path = tmp_path / f"joined.{suffix}"
    path.write_bytes(part + part)
    decoded, warnings = decoded_with_warnings(path)
    assert len(decoded) / SAMPLE_RATE == pytest.approx(4, abs=0.15)
    assert duration_s(path) == pytest.approx(4, abs=0.15)
    assert set(warnings) == {"length_differs" if suffix == "avi" else "clock_restart"}
    frames = list(decode_frames(path, 25))
    assert len(frames) >= 98
    assert max(np.diff([time for time, _ in frames])) < 0.13
    loud = np.abs(decoded) > 0.2
    second_part = round(2.2 * SAMPLE_RATE)
    onset_s = (second_part + int(np.argmax(loud[second_part:]))) / SAMPLE_RATE
    # frame 25 of the second part, whose level is 10 + 5 * 25
    bright_s = next(
        time for time, frame in frames if time > 2.2 and frame[30, 30].mean() > 130 - 2.5
    )
    assert onset_s == pytest.approx(bright_s, abs=0.08)


@pytest.mark.parametrize(
    ("codec", "form"), [("libopus", "ogg"), ("aac", "adts"), ("libmp3lame", "mp3")]
)
def test_joined_sound_files_are_read_in_full(tmp_path: Path, codec: str, form: str) -> None:
    part = encode_sound(tmp_path / "a", codec, tone(2, 48_000), 48_000, form).read_bytes()
    path = tmp_path / "b"
    path.write_bytes(part + part + part)
    decoded, warnings = decoded_with_warnings(path)
    assert len(decoded) / SAMPLE_RATE == pytest.approx(6, abs=0.2)
    assert duration_s(path) == pytest.approx(6, abs=0.2)
    assert set(warnings) == ({"clock_restart"} if form == "ogg" else set())
    if form == "ogg":
        assert warnings["clock_restart"].value == 2


def test_joined_program_streams_are_read_in_full(real_data: Path, tmp_path: Path) -> None:
    part = real_data / GRID
    path = tmp_path / "joined.mpg"
    path.write_bytes(2 * part.read_bytes())
    decoded, warnings = decoded_with_warnings(path)
    length, once = duration_s(part), decode_all(part)
    assert len(decoded) == pytest.approx(2 * len(once), abs=0.1 * SAMPLE_RATE)
    np.testing.assert_array_equal(decoded[: len(once) - 800], once[:-800])
    assert duration_s(path) == pytest.approx(2 * length, abs=0.1)
    assert "clock_restart" in warnings
    found: list[MediaWarning] = []
    n_frames = len(list(decode_frames(path, 25, warn=found.append)))
    assert n_frames == 2 * len(list(decode_frames(part, 25)))
    assert [warning.name for warning in found] == ["clock_restart"]


def test_timestamps_that_go_back_all_the_time_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depmm.media.containers.decoding.MAX_RESTARTS", 2)
    part = encode_sound(tmp_path / "a", "libopus", tone(1, 48_000), 48_000, "ogg").read_bytes()
    (tmp_path / "b").write_bytes(4 * part)
    with pytest.raises(MediaError) as info:
        decode_all(tmp_path / "b")
    assert info.value.value == 3
