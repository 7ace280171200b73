"""Sample the frames of a video by their timestamps.

Clock and truncation are those of :mod:`depmm.media.containers.container`.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from depmm.media.containers.container import SEEK_GAP_S, open_container
from depmm.media.containers.decoding import decode_stream
from depmm.media.containers.formats import can_seek, origin_s
from depmm.media.containers.gaps import FrameGaps
from depmm.media.containers.survey import GapMonitor
from depmm.media.containers.tracks import choose_video_track
from depmm.media.errors import MediaError, media_errors
from depmm.media.video.geometry import FrameGeometry
from depmm.media.warnings import Warn, ignore_warnings, once_per_name

ROUNDING_S = 0.0005  # Matroska rounds timestamps to milliseconds: 1/3 s is stored as 0.333

Window = tuple[float, float]


def decode_frames(
    path: Path,
    frames_per_second: float,
    windows: Sequence[Window] = ((0.0, math.inf),),
    *,
    warn: Warn = ignore_warnings,
) -> Iterator[tuple[float, np.ndarray]]:
    """Sample a video at a target rate by its timestamps, in one pass over the file.

    The frames are those of :func:`read_frames`, as RGB images.

    Parameters
    ----------
    path : Path
        The recording.
    frames_per_second : float
        The target rate.
    windows : sequence of tuple of float
        Half-open intervals (start, end) in seconds on the clock of the recording, in any order.
        They may touch or overlap; each frame is yielded once. Infinity is the end of the file.
    warn : callable, optional
        Receives the warnings about the file.

    Yields
    ------
    time_s : float
        Timestamp of the frame, ascending.
    frame : ndarray of uint8, shape (height, width, 3)
        RGB, C-contiguous, with square pixels and turned as the file states
        (:mod:`depmm.media.video.geometry`).

    Raises
    ------
    MediaError
        If the file has no video track that can be decoded, is unreadable or truncated, or has
        large gaps (:mod:`depmm.media.containers.gaps`); possibly after some frames.
    ValueError
        If the rate is not positive, or a window is empty or starts before 0.
    """
    for time_s, frame in read_frames(path, frames_per_second, windows, warn=warn):
        yield time_s, frame.to_rgb()


@dataclass(frozen=True)
class DecodedFrame:
    """A frame that is converted when it is needed, before the next ones are read.

    Attributes
    ----------
    path : Path
        The recording.
    frame : av.VideoFrame
        The frame.
    geometry : FrameGeometry
        Converter of the frames of the video.
    """

    path: Path
    frame: Any
    geometry: FrameGeometry

    def to_rgb(self) -> np.ndarray:
        """Convert the frame, see :meth:`depmm.media.video.geometry.FrameGeometry.to_rgb`.

        Returns
        -------
        ndarray of uint8, shape (height, width, 3)
            The frame.

        Raises
        ------
        MediaError
            If it cannot be converted.
        """
        with media_errors(self.path):
            return self.geometry.to_rgb(self.frame)

    def to_cells(self, n_cells: int) -> np.ndarray:
        """Compute mean luma, see :meth:`depmm.media.video.geometry.FrameGeometry.to_cells`.

        Parameters
        ----------
        n_cells : int
            Number of cells along each side.

        Returns
        -------
        ndarray of float32, shape (n_cells, n_cells)
            Luma of the cells.

        Raises
        ------
        MediaError
            If the frame cannot be converted.
        """
        with media_errors(self.path):
            return self.geometry.to_cells(self.frame, n_cells)


def read_frames(
    path: Path,
    frames_per_second: float,
    windows: Sequence[Window] = ((0.0, math.inf),),
    *,
    warn: Warn = ignore_warnings,
) -> Iterator[tuple[float, DecodedFrame]]:
    """Sample a video without converting the frames.

    Parameters
    ----------
    path : Path
        The recording.
    frames_per_second : float
        The target rate.
    windows : sequence of tuple of float
        As for :func:`decode_frames`.
    warn : callable, optional
        Receives the warnings about the file.

    Yields
    ------
    time_s : float
        Timestamp of the frame, ascending.
    frame : DecodedFrame
        The frames of :func:`sample_frames`.

    Raises
    ------
    MediaError
        As for :func:`decode_frames`.
    ValueError
        As for :func:`decode_frames`.
    """
    if not frames_per_second > 0:
        raise ValueError(f"frames_per_second is {frames_per_second}: it must be above 0")
    for start, end in windows:
        if not 0 <= start < end:
            raise ValueError(f"window ({start}, {end}): needs 0 <= start < end, in seconds")
    with media_errors(path), open_container(path) as container:
        warn = once_per_name(warn)
        stream = choose_video_track(path, container, warn)
        geometry = FrameGeometry(stream, warn)
        for group in _group_windows(container, windows):
            cell = math.floor((group[0][0] + ROUNDING_S) * frames_per_second)
            begin = max(0.0, cell / frames_per_second - ROUNDING_S)
            frames = _timed_frames(path, container, stream, begin, warn)
            for time_s, frame in sample_frames(frames, frames_per_second, group):
                yield time_s, DecodedFrame(path, frame, geometry)


@dataclass
class _OpenWindow:
    """A window that has begun and does not contain a sampled frame yet."""

    start_s: float
    end_s: float
    first: tuple[float, Any] | None = None  # its first frame


def sample_frames(
    frames: Iterable[tuple[float, Any]], rate: float, windows: Sequence[Window]
) -> Iterator[tuple[float, Any]]:
    """Sample frames by their times.

    The clock is divided into cells of ``1 / rate`` from second 0 on, and the first frame of each
    cell is sampled. Sampled frames inside any window are yielded. The choice of frames therefore
    depends on the rate and not on the windows, and frames of a source with a lower rate are never
    repeated. For a window that is too short to contain a sampled frame, its first frame is yielded,
    if there is one. Reading stops at the end of the last window.

    Parameters
    ----------
    frames : iterable of tuple
        Time in seconds, ascending, and frame.
    rate : float
        Frames per second.
    windows : sequence of tuple of float
        Half-open intervals (start, end) in seconds, in any order.

    Yields
    ------
    tuple
        Time and frame, in order of time.
    """
    pending = sorted(windows, reverse=True)
    open_windows: list[_OpenWindow] = []
    covered = -math.inf  # end of the windows that have begun
    last_cell = -1
    for time_s, frame in frames:
        yield from _close_windows(open_windows, time_s)
        while pending and pending[-1][0] <= time_s:
            start, end = pending.pop()
            if time_s < end:
                open_windows.append(_OpenWindow(start, end))
                covered = max(covered, end)
        cell = math.floor((time_s + ROUNDING_S) * rate)
        if cell > last_cell and time_s < covered:
            open_windows.clear()
            yield time_s, frame
        for window in open_windows:
            window.first = window.first or (time_s, frame)
        last_cell = max(cell, last_cell)
        if time_s >= covered and not pending:
            return
    yield from _close_windows(open_windows, math.inf)


def _close_windows(open_windows: list[_OpenWindow], now_s: float) -> Iterator[tuple[float, Any]]:
    """Remove windows that ended without a sampled frame; yield the first frame of each."""
    candidates = [window.first for window in open_windows if window.end_s <= now_s and window.first]
    for candidate in sorted(candidates, key=lambda timed: timed[0]):
        if any(window.first is candidate for window in open_windows):
            time_s = candidate[0]
            open_windows[:] = [w for w in open_windows if not w.start_s <= time_s < w.end_s]
            yield candidate


def _group_windows(container: Any, windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Group windows such that seeking between two groups is cheaper than decoding."""
    group: list[Window] = []
    reached = 0.0
    for start, end in sorted(windows):
        if group and start - reached > SEEK_GAP_S and can_seek(container, start):
            yield group
            group = []
        group.append((start, end))
        reached = max(reached, end)
    if group:
        yield group


def _timed_frames(
    path: Path, container: Any, stream: Any, begin_s: float, warn: Warn
) -> Iterator[tuple[float, Any]]:
    """Yield the frames from ``begin_s`` on with ascending times."""
    origin, tick = origin_s(container), stream.time_base
    num, den = tick.numerator, tick.denominator
    last = -math.inf
    monitor = GapMonitor(path, stream, warn)
    frame_gaps = FrameGaps(monitor.gaps)
    for frame in decode_stream(path, container, stream, begin_s, warn):
        if frame.pts is None:
            raise MediaError(
                path, "the video frames have no timestamps.", "Remux it into an MP4 or MKV file."
            )
        time_s = frame.pts * num / den - origin
        if -ROUNDING_S < time_s < 0:  # the container's start is rounded to microseconds
            time_s = 0.0
        if time_s > last:
            last = time_s
            if frame_gaps.update(time_s):
                monitor.check(time_s)
            if time_s >= begin_s:
                yield time_s, frame
    frame_gaps.finish()
    monitor.finish(last)
