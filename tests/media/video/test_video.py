"""Sampling of frames by their timestamps, independent of the windows."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from media_files import decode_all, tone, write_recording

from depmm.config import SAMPLE_RATE
from depmm.media.video.video import decode_frames, sample_frames


def test_a_late_video_keeps_its_times(tmp_path: Path) -> None:
    path = write_recording(
        tmp_path / "a.mkv", np.arange(0.4, 1.4, 0.04), tone(2, 48_000), codecs=("ffv1", "pcm_s16le")
    )
    assert [time for time, _ in decode_frames(path, 1)] == pytest.approx([0.4, 1.0])
    assert len(decode_all(path)) == 2 * SAMPLE_RATE


def test_variable_frame_rate_keeps_true_timestamps(tmp_path: Path) -> None:
    times = [0.0, 0.03, 0.2, 0.21, 0.39, 0.41, 0.9, 1.0, 1.333, 1.6]
    path = write_recording(tmp_path / "a.mkv", times, codecs=("ffv1", ""))
    sampled = list(decode_frames(path, 5))
    # first frame in each fifth of a second
    assert [round(time, 3) for time, _ in sampled] == [0.0, 0.2, 0.41, 0.9, 1.0, 1.333, 1.6]
    for time, frame in sampled:
        assert frame.shape == (48, 64, 3)
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous
        assert frame[-1, -1, 0] == pytest.approx(10 + 5 * times.index(round(time, 3)), abs=2)
    all_times = [round(time, 3) for time, _ in decode_frames(path, 120)]
    assert all_times == times  # a higher rate adds no frames


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_windows_select_from_the_frames_of_the_complete_video(tmp_path: Path, name: str) -> None:
    path = write_recording(tmp_path / name, np.arange(0, 40, 0.04))
    full = list(decode_frames(path, 5))
    assert len(full) == 200
    windows = [(30.1, 31.0), (2.0, 3.0), (2.5, 3.5), (3.5, 4.0), (39.0, math.inf), (50.0, 60.0)]
    part = list(decode_frames(path, 5, windows))
    expected = [x for x in full if any(start <= x[0] < end for start, end in windows)]
    assert [time for time, _ in part] == [time for time, _ in expected]
    assert all((a == b).all() for (_, a), (_, b) in zip(part, expected, strict=True))


def test_every_window_contains_a_sampled_frame_if_it_has_any() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        times = np.unique(rng.integers(0, 3000, 60)) / 1000
        starts = rng.integers(0, 2900, 8) / 1000
        windows = [(s, s + rng.integers(1, 400) / 1000) for s in starts]
        rate = float(rng.choice([1, 3, 5, 29.97]))
        sampled = [time for time, _ in sample_frames(((t, None) for t in times), rate, windows)]
        assert sampled == sorted(set(sampled))
        full = [
            time for time, _ in sample_frames(((t, None) for t in times), rate, [(0.0, math.inf)])
        ]
        inside = {t for t in times if any(s <= t < e for s, e in windows)}
        assert {t for t in full if t in inside} <= set(sampled) <= inside
        for start, end in windows:
            has_frame = any(start <= t < end for t in sampled)
            assert has_frame == any(start <= t < end for t in times)


def test_decoding_stops_after_the_last_window() -> None:
    source: Iterator[tuple[float, None]] = ((i / 25, None) for i in itertools.count())
    assert [t for t, _ in sample_frames(source, 5, [(0.5, 1.0)])] == pytest.approx([0.6, 0.8])
    assert next(source)[0] == pytest.approx(1.04)


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_frames_are_rotated_as_the_file_states(tmp_path: Path, rotation: int) -> None:
    # -90 is clockwise, which moves the bright upper edge to the right
    path = write_recording(tmp_path / "a.mp4", [0.0, 0.04, 0.08], rotation=rotation)
    _, frame = next(decode_frames(path, 25))
    assert frame.shape == ((64, 48, 3) if rotation % 180 else (48, 64, 3))
    edges = {0: frame[4], 90: frame[:, 4], 180: frame[-4], -90: frame[:, -4]}
    for side, pixels in edges.items():
        if side == rotation:
            assert pixels.mean() > 200
        elif (side - rotation) % 360 == 180:
            assert pixels.mean() < 60


def test_invalid_rates_and_windows_are_refused(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mp4", [0.0, 0.04])
    with pytest.raises(ValueError, match="frames_per_second"):
        list(decode_frames(path, 0))
    with pytest.raises(ValueError, match="window"):
        list(decode_frames(path, 5, [(2.0, 1.0)]))
