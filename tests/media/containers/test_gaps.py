"""Gaps of recordings: measured, filled, reported, and refused above a share."""

from pathlib import Path

import av
import numpy as np
import pytest
from media_files import decoded_with_warnings, encode_sound, tone, write_recording

from depmm.config import SAMPLE_RATE
from depmm.media.containers.gaps import MAX_GAP_SHARE, FrameGaps, Gaps
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.sound.audio import decode_audio
from depmm.media.video.video import decode_frames
from depmm.media.warnings import MediaWarning


def frame_gaps(times: np.ndarray) -> Gaps:
    gaps = Gaps(Path("a.mp4"), "video")
    finder = FrameGaps(gaps)
    for time in times:
        finder.update(time)
    finder.finish()
    return gaps


def test_a_long_time_without_frames_is_a_gap_and_a_low_rate_is_not() -> None:
    regular = np.arange(0, 10, 0.04)
    assert frame_gaps(regular).total_s == 0
    assert frame_gaps(np.arange(0, 60, 2.0)).total_s == 0
    variable = np.cumsum(np.random.default_rng(0).choice([0.03, 0.07, 0.2, 0.4], 300))
    assert frame_gaps(variable).total_s == 0
    for at in (1, 100, len(regular) - 1):  # after the first, in the middle, before the last frame
        jumped = np.where(np.arange(len(regular)) >= at, regular + 3, regular)
        assert frame_gaps(jumped).total_s == pytest.approx(3)
    twice = np.where(regular >= 5, regular + 2, regular)
    twice = np.where(regular >= 5.04, twice + 1, twice)  # one frame between two gaps
    assert frame_gaps(twice).total_s == pytest.approx(3, abs=0.05)


def test_gaps_above_a_share_are_an_error_with_the_numbers() -> None:
    gaps = Gaps(Path("a.mkv"), "audio")
    assert gaps.warning(10) is None
    gaps.add(2.0, 0.4)
    gaps.add(5.0, 0.6)
    gaps.check(10.0)
    warning = gaps.warning(10.0)
    assert warning is not None
    assert (warning.name, warning.value) == ("gap", pytest.approx(1.0))
    with pytest.raises(MediaError) as info:
        gaps.check(9.9)
    assert info.value.value == pytest.approx(1.0)
    assert "1.00 s of 9.90 s" in info.value.problem
    assert "5.00 s to 5.60 s" in info.value.problem


@pytest.mark.parametrize(
    ("codec", "form"),
    [("aac", "matroska"), ("libopus", "webm"), ("libopus", "ogg"), ("aac", "mpegts")],
)
def test_missing_packets_are_filled_and_reported(tmp_path: Path, codec: str, form: str) -> None:
    sound = tone(15, 48_000)
    path = encode_sound(tmp_path / "a", codec, sound, 48_000, form, hole=(5.0, 6.0))
    decoded, warnings = decoded_with_warnings(path)
    assert len(decoded) / SAMPLE_RATE == pytest.approx(15, abs=0.1)
    assert duration_s(path) == pytest.approx(15, abs=0.1)
    assert np.abs(decoded[round(5.1 * SAMPLE_RATE) : round(5.9 * SAMPLE_RATE)]).max() < 0.01
    assert np.abs(decoded[round(6.1 * SAMPLE_RATE) :][:1000]).max() > 0.4
    assert set(warnings) == {"gap"}
    assert warnings["gap"].value == pytest.approx(1.0, abs=0.06)
    again: list[MediaWarning] = []  # a window after the gap has none, one that contains it has
    list(decode_audio(path, 7.0, 8.0, warn=again.append))
    list(decode_audio(path, 4.5, 6.5, warn=again.append))
    assert "gap" in {warning.name for warning in again}


@pytest.mark.parametrize("jump_s", [1800.0, 1e8])
@pytest.mark.parametrize(("codec", "form"), [("aac", "matroska"), ("mp2", "nut")])
def test_a_jump_of_the_timestamps_is_an_error_at_once(
    tmp_path: Path, codec: str, form: str, jump_s: float
) -> None:
    path = encode_sound(tmp_path / "a", codec, tone(4, 48_000), 48_000, form, jump=(2.0, jump_s))
    lengths: list[int] = []
    with pytest.raises(MediaError) as info:
        lengths.extend(map(len, decode_audio(path)))
    assert sum(lengths) <= 2.2 * SAMPLE_RATE  # the jump is not filled with zeros
    assert info.value.value == pytest.approx(jump_s, rel=1e-3)
    with pytest.raises(MediaError) as info:
        duration_s(path)
    assert info.value.value == pytest.approx(jump_s, rel=1e-3)
    assert len(np.concatenate(list(decode_audio(path, 0.0, 1.5)))) == 1.5 * SAMPLE_RATE


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi"])
def test_a_hole_in_sound_and_video_keeps_them_synchronous(tmp_path: Path, suffix: str) -> None:
    times = np.arange(0, 20, 0.04)
    times = np.where(times >= 10, times + 1.5, times)
    sound = np.concatenate([np.zeros(10 * 48_000 + 4800), tone(9.9, 48_000)])
    codecs = ("mpeg4", "pcm_s16le") if suffix == "avi" else ("libx264", "aac")
    path = write_recording(tmp_path / f"a.{suffix}", times, sound, sound_gap=1.5, codecs=codecs)
    decoded, warnings = decoded_with_warnings(path)
    assert warnings["gap"].value == pytest.approx(1.5, abs=0.1)
    assert np.argmax(np.abs(decoded) > 0.2) / SAMPLE_RATE == pytest.approx(11.6, abs=0.1)
    found: list[MediaWarning] = []
    frames = [time for time, _ in decode_frames(path, 25, warn=found.append)]
    assert [warning.name for warning in found] == ["gap"]
    assert found[0].value == pytest.approx(1.5, abs=0.1)
    assert len(frames) == pytest.approx(500, abs=2)


def test_many_small_holes_are_summed(tmp_path: Path) -> None:
    """Every fourth packet of 20 ms is missing: 25 %, each shorter than the jitter."""
    import av

    whole = encode_sound(tmp_path / "a", "libopus", tone(4, 48_000), 48_000, "matroska")
    with av.open(str(whole)) as source, av.open(str(tmp_path / "b.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for number, packet in enumerate(source.demux()):
            if packet.dts is not None and number % 4:
                packet.stream = stream
                target.mux(packet)
    with pytest.raises(MediaError) as info:
        list(decode_audio(tmp_path / "b.mkv"))
    assert info.value.value > MAX_GAP_SHARE * 4 * 0.9


def test_a_late_sound_is_reported_and_one_that_begins_very_late_is_refused(tmp_path: Path) -> None:
    times = np.arange(0, 10, 0.04)
    path = write_recording(tmp_path / "a.mkv", times, tone(8, 48_000), sound_start=2.0)
    decoded, warnings = decoded_with_warnings(path)
    assert not decoded[: round(1.9 * SAMPLE_RATE)].any()
    assert warnings["missing_sound"].value == pytest.approx(2.0, abs=0.05)
    path = write_recording(tmp_path / "b.mkv", times, tone(4, 48_000), sound_start=6.0)
    with pytest.raises(MediaError) as info:
        list(decode_audio(path))
    assert info.value.value == pytest.approx(6.0, abs=0.05)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_picture_that_stands_still_beside_continuous_sound_is_reported_and_read(
    tmp_path: Path, name: str
) -> None:
    """Phones, webcams and conference programs store no frames while nothing changes."""
    times = [i / 10 for i in range(120) if not (20 < i < 60 or 70 < i < 110)]
    path = write_recording(tmp_path / name, times, tone(12, 48_000))
    warnings: list[MediaWarning] = []
    decoded = [time for time, _ in decode_frames(path, 10, warn=warnings.append)]
    np.testing.assert_allclose(decoded, times, atol=0.002)
    assert [warning.name for warning in warnings] == ["gap"]
    assert warnings[0].value == pytest.approx(7.8, abs=0.05)
    assert duration_s(path) == pytest.approx(12.0, abs=0.05)
    sound, sound_warnings = decoded_with_warnings(path)
    assert len(sound) / SAMPLE_RATE == pytest.approx(12.0, abs=0.05)
    assert not sound_warnings  # the frames of MP4 do not seem to last longer than the file


def test_frames_that_are_missing_without_sound_beside_them_are_an_error(tmp_path: Path) -> None:
    times = [i / 10 for i in range(120) if not 20 < i < 60]
    path = write_recording(tmp_path / "a.mkv", times)
    with pytest.raises(MediaError, match="no video frames"):
        list(decode_frames(path, 10))


def test_pauses_that_opus_did_not_transmit_are_no_missing_data(tmp_path: Path) -> None:
    """Conference programs send one packet of one byte, and then nothing for 0.4 s."""
    sound = tone(12, 48_000)
    path = encode_sound(tmp_path / "a.webm", "libopus", sound, 48_000, "webm")
    paused = tmp_path / "b.webm"
    starts = []
    with av.open(str(path)) as source, av.open(str(paused), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is None:
                continue
            time_s = float(packet.pts * packet.time_base)
            if 3 <= time_s < 5 or 8 <= time_s < 10:
                if starts and time_s - starts[-1] < 0.39:
                    continue
                starts.append(time_s)
                short = av.Packet(bytes(packet)[:1])
                short.pts, short.dts = packet.pts, packet.dts
                short.time_base, packet = packet.time_base, short
            packet.stream = stream
            target.mux(packet)
    decoded, warnings = decoded_with_warnings(paused)
    assert len(decoded) / SAMPLE_RATE == pytest.approx(12.0, abs=0.03)
    assert list(warnings) == ["gap"]
    assert warnings["gap"].value == pytest.approx(10 * 0.38, abs=0.05)
    assert duration_s(paused) == pytest.approx(12.0, abs=0.03)
    after = decoded[round(10.5 * SAMPLE_RATE) : round(11.5 * SAMPLE_RATE)]
    assert np.sqrt(np.mean(after**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
