"""Containers (MP4, MPEG, Matroska, ...) and their pictures, on the recording's clock.

**Clock.** Second 0 is the container's start: the earliest start of its streams. Sound and picture
are both placed on it by their own timestamps, so a stream that starts late stays late.

**Truncation.** FFmpeg often decodes a cut file without complaint, so reading to the end of a file
checks that it *was* the end. A :class:`MediaError` is raised when

- FFmpeg fails to open the file (an MP4 whose ``moov`` index is missing) or to decode a packet;
- a packet in the last half second was cut short (FFmpeg flags it as corrupt);
- the container's header states a duration (MP4, Matroska, AVI, ASF, FLV) and the last packet of
  any stream ends more than max(0.5 s, 2 %) before it;
- an MPEG program stream (``.mpg``), which states no duration, holds an incomplete picture: all its
  streams are decoded strictly, also when only the sound is wanted.

An MPEG program stream cut exactly between two pictures is only a shorter recording: nothing in the
file can tell. A window that ends before the fault is given without complaint, as all of it is
there.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from depmm.media.errors import MediaError

SEEK_GAP_S = 10.0  # a shorter gap is decoded through: cheaper than a seek back to a keyframe
ROUNDING_S = 0.0005  # Matroska rounds timestamps to milliseconds: 1/3 s is stored as 0.333

# FFmpeg's names (the first of its list) of formats whose header states the duration
_STATES_DURATION = {"mov", "matroska", "avi", "asf", "flv"}
_SEEKS_TO_KEYFRAMES = {"mov", "matroska"}


@dataclass(frozen=True)
class MediaInfo:
    """What a file says about itself; nothing is decoded.

    ``audio_start_s`` and ``video_start_s`` are on the recording's clock, ``None`` without the
    stream. ``duration_s`` is the container's word, ``None`` when it has none. Width and height
    are pixels as coded, before any rotation. ``sample_rate`` is that of the sound, in Hz.
    """

    has_audio: bool
    has_video: bool
    duration_s: float | None
    audio_start_s: float | None
    video_start_s: float | None
    frame_rate: float | None
    width: int | None
    height: int | None
    sample_rate: int | None


def probe(path: Path) -> MediaInfo:
    """Read what a recording holds.

    Raises
    ------
    MediaError : the file is missing, empty or in no known format
    """
    with open_container(path) as container:
        audio = next(iter(container.streams.audio), None)
        video = video_stream(container)
        rate = video and (video.average_rate or video.guessed_rate)
        return MediaInfo(
            has_audio=audio is not None,
            has_video=video is not None,
            duration_s=None if container.duration is None else container.duration / av.time_base,
            audio_start_s=_start_s(container, audio),
            video_start_s=_start_s(container, video),
            frame_rate=float(rate) if rate else None,
            width=video.width if video else None,
            height=video.height if video else None,
            sample_rate=audio.rate if audio else None,
        )


def decode_frames(
    path: Path,
    frames_per_second: float,
    windows: Sequence[tuple[float, float]] = ((0.0, math.inf),),
) -> Iterator[tuple[float, np.ndarray]]:
    """Sample a video at a target rate by its true timestamps, in one pass over the file.

    The clock is divided into cells of ``1 / frames_per_second``, counted from second 0, and the
    first frame in each cell is taken: what is sampled depends on the rate alone, not on the
    windows. A source with a lower rate gives each of its frames once. Of these frames, those
    inside any window are given; a window too short to hold one gets the first frame that lies in
    it, if there is one. Only frames that are given are converted to RGB.

    Parameters
    ----------
    path : the recording
    frames_per_second : the target rate
    windows : half-open (start_s, end_s) on the recording's clock, in any order; they may touch or
        overlap (each frame is given once); ``math.inf`` for the end of the file

    Yields
    ------
    time_s : float, the frame's own timestamp, rising
    frame : uint8 RGB [height, width, 3], C-contiguous, turned upright if the file says so

    Raises
    ------
    MediaError : no video track, unreadable or truncated (see the module; also after some frames)
    ValueError : a rate or a window that makes no sense
    """
    if not frames_per_second > 0:
        raise ValueError(f"frames_per_second is {frames_per_second}: it must be above 0")
    for start, end in windows:
        if not 0 <= start < end:
            raise ValueError(f"window ({start}, {end}): needs 0 <= start < end, in seconds")
    with open_container(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise MediaError(path, "has no video track. Give the face modality another file.")
        for near in _near_windows(container, windows):
            cell = math.floor((near[0][0] + ROUNDING_S) * frames_per_second)
            begin = max(0.0, cell / frames_per_second - ROUNDING_S)
            frames = _timed(path, container, stream, begin)
            for time_s, frame in _choose(frames, frames_per_second, near):
                yield time_s, _upright_rgb(frame)


@contextmanager
def open_container(path: Path) -> Iterator[Any]:
    """Open a media file with FFmpeg (an ``av`` input container) and close it afterwards.

    Raises
    ------
    MediaError : the file is missing, empty or in no known format
    """
    check_file(path)
    try:
        container = av.open(str(path), mode="r", metadata_errors="replace")
    except av.FFmpegError as error:
        raise MediaError(
            path,
            f"cannot be opened ({error.strerror}). It is damaged, cut short (an MP4 without its "
            "index), or no recording: check the copy.",
        ) from error
    with container:
        for stream in (*container.streams.video, *container.streams.audio):
            stream.codec_context.thread_count = 1  # recordings are decoded in parallel
            if _format(container) == "mpeg":
                # else a picture that lacks its lower half is painted over
                stream.codec_context.options = {"err_detect": "explode"}
        yield container


def check_file(path: Path) -> None:
    """Raise :class:`MediaError` unless ``path`` is a file that is not empty."""
    if not path.is_file():
        raise MediaError(path, "file does not exist.", "Check the corpus root and the manifest.")
    if path.stat().st_size == 0:
        raise MediaError(path, "is empty (0 bytes). Copy the recording again.")


def origin_s(container: Any) -> float:
    """Second 0 of the recording, in the container's own timestamps."""
    return (container.start_time or 0) / av.time_base


def video_stream(container: Any) -> Any | None:
    """Return the first moving picture; a cover image of a sound file is none."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    return None


def decode_stream(path: Path, container: Any, stream: Any, begin_s: float = 0.0) -> Iterator[Any]:
    """Decode one stream to the end of the file, then check that it was the end (see the module).

    A late ``begin_s`` seeks to a keyframe at or before it where the format allows; the frames
    before ``begin_s`` are given too.

    Raises
    ------
    MediaError : damaged, truncated, or not one frame in the stream
    """
    origin, strict = origin_s(container), _format(container) == "mpeg"
    last_s, corrupt_s, empty = 0.0, -math.inf, True
    try:
        if begin_s > SEEK_GAP_S and _format(container) in _SEEKS_TO_KEYFRAMES:
            # MP4 seeks by decoding time, which runs a few frames ahead: 1 s to spare
            container.seek(int((begin_s - 1 + origin) / stream.time_base), stream=stream)
        for packet in container.demux():
            if packet.pts is not None:
                end = packet.pts + (packet.duration or 0)
                last_s = max(last_s, float(end * packet.time_base) - origin)
            if packet.is_corrupt:
                corrupt_s = last_s
            if packet.stream.index == stream.index:  # stream_index is wrong when flushing
                for frame in packet.decode():
                    empty = False
                    yield frame
            elif strict and packet.stream.type in ("video", "audio"):
                packet.decode()
    except av.FFmpegError as error:
        raise MediaError(
            path,
            f"{stream.type} cannot be decoded after {last_s:.2f} s ({error.strerror}). The file "
            "is damaged or cut short: copy it again, or leave this session out.",
        ) from error
    if empty:
        raise MediaError(path, f"its {stream.type} track is empty. Leave this session out.")
    _check_complete(path, container, last_s, corrupt_s)


def _check_complete(path: Path, container: Any, last_s: float, corrupt_s: float) -> None:
    stated = (container.duration or 0) / av.time_base
    short = _format(container) in _STATES_DURATION and stated - last_s > max(0.5, 0.02 * stated)
    if short:
        fault = f"ends after {last_s:.2f} s, its header says {stated:.2f} s"
    elif last_s - corrupt_s < 0.5:
        fault = f"ends inside a packet, after {last_s:.2f} s"
    else:
        return
    raise MediaError(path, f"{fault}: it was cut short. Copy it again.")


def _format(container: Any) -> str:
    return str(container.format.name).split(",")[0]


def _start_s(container: Any, stream: Any | None) -> float | None:
    if stream is None:
        return None
    if stream.start_time is None:
        return 0.0
    return float(stream.start_time * stream.time_base) - origin_s(container)


def _near_windows(
    container: Any, windows: Sequence[tuple[float, float]]
) -> Iterator[list[tuple[float, float]]]:
    """Group windows by start; a seek pays between two groups."""
    group: list[tuple[float, float]] = []
    reached = 0.0
    for start, end in sorted(windows):
        if group and start - reached > SEEK_GAP_S and _format(container) in _SEEKS_TO_KEYFRAMES:
            yield group
            group = []
        group.append((start, end))
        reached = max(reached, end)
    if group:
        yield group


def _timed(path: Path, container: Any, stream: Any, begin_s: float) -> Iterator[tuple[float, Any]]:
    """Give the frames from ``begin_s`` on with their times, each later than the one before."""
    origin = origin_s(container)
    last = -math.inf
    for frame in decode_stream(path, container, stream, begin_s):
        if frame.pts is None:
            raise MediaError(path, "its frames carry no timestamps. Remux it into an MP4 or MKV.")
        time_s = float(frame.pts * frame.time_base) - origin
        if -ROUNDING_S < time_s < 0:  # the container's start is rounded to microseconds
            time_s = 0.0
        if time_s >= begin_s and time_s > last:
            last = time_s
            yield time_s, frame


def _choose(
    frames: Iterable[tuple[float, Any]], rate: float, windows: Sequence[tuple[float, float]]
) -> Iterator[tuple[float, Any]]:
    """Apply the rule of :func:`decode_frames`; stops reading when the last window is over."""
    waiting = sorted(windows, reverse=True)
    unserved: list[list[Any]] = []  # [start, end, first frame in it or None], begun, none given
    covered = -math.inf  # end of the windows that have begun
    last_cell = -1
    for time_s, frame in frames:
        yield from _overdue(unserved, time_s)
        while waiting and waiting[-1][0] <= time_s:
            start, end = waiting.pop()
            if time_s < end:
                unserved.append([start, end, None])
                covered = max(covered, end)
        cell = math.floor((time_s + ROUNDING_S) * rate)
        if cell > last_cell and time_s < covered:
            unserved.clear()
            yield time_s, frame
        for window in unserved:
            window[2] = window[2] or (time_s, frame)
        last_cell = max(cell, last_cell)
        if time_s >= covered and not waiting:
            return
    yield from _overdue(unserved, math.inf)


def _overdue(unserved: list[list[Any]], now_s: float) -> Iterator[tuple[float, Any]]:
    """Take out the windows that ended without a sampled frame; give the first frame of each."""
    over = [window for window in unserved if window[1] <= now_s]
    for _, _, held in sorted(over, key=lambda window: window[2][0]):
        if any(window[2] is held for window in unserved):
            unserved[:] = [window for window in unserved if not window[0] <= held[0] < window[1]]
            yield held


def _upright_rgb(frame: Any) -> np.ndarray:
    # FFmpeg pads rows for alignment; MediaPipe reads the padding as pixels: copy it away
    image = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))
