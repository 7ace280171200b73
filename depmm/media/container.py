"""Open and demultiplex media containers (MP4, MPEG, Matroska, ...) on a common clock.

**Clock.** Second 0 is the start of the container: the earliest start of its streams. Sound and
video are placed on this clock by their timestamps, so that a late start of a stream is kept.

**Truncation.** FFmpeg often decodes a truncated file without an error, so reading to the end of a
file checks that it *was* the end. A :class:`MediaError` is raised when

- FFmpeg fails to open the file (an MP4 whose ``moov`` index is missing) or to decode a packet;
- a packet in the last half second is incomplete (FFmpeg flags it as corrupt);
- the header of the container states a duration (MP4, Matroska, AVI, ASF, FLV) and the last packet
  of any stream ends more than max(0.5 s, 2 %) before it;
- an MPEG program stream (``.mpg``), which states no duration, contains an incomplete picture: all
  its streams are decoded strictly, also when only the sound is read.

An MPEG program stream that is cut exactly between two pictures cannot be distinguished from a
shorter recording. A window that ends before the fault is read without an error, because all of it
is present.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from depmm.media.errors import MediaError

SEEK_GAP_S = 10.0  # a shorter gap is decoded through: cheaper than a seek back to a keyframe

# FFmpeg's names (the first of its list) of formats whose header states the duration
_STATES_DURATION = {"mov", "matroska", "avi", "asf", "flv"}
_SEEKS_TO_KEYFRAMES = {"mov", "matroska"}


@dataclass(frozen=True)
class MediaInfo:
    """Properties in the headers of a file; nothing is decoded.

    Attributes
    ----------
    has_audio, has_video : bool
        Whether the file has such a stream.
    duration_s : float or None
        Duration of the container in seconds; None if it states none.
    audio_start_s, video_start_s : float or None
        Start of the stream on the clock of the recording, seconds; None without the stream.
    frame_rate : float or None
        Average frames per second.
    width, height : int or None
        Size of the coded frames in pixels, before pixels are made square and frames are turned.
    sample_rate : int or None
        Sample rate of the sound in Hz.
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
    """Read the headers of a recording.

    Parameters
    ----------
    path : Path
        The recording.

    Returns
    -------
    MediaInfo
        The properties.

    Raises
    ------
    MediaError
        If the file is missing, empty or in an unknown format.
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


@contextmanager
def open_container(path: Path) -> Iterator[Any]:
    """Open a media file with FFmpeg, and close it afterwards.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    av.container.InputContainer
        The open container.

    Raises
    ------
    MediaError
        If the file is missing, empty or in an unknown format.
    """
    check_file(path)
    try:
        container = av.open(str(path), mode="r", metadata_errors="replace")
    except av.FFmpegError as error:
        raise MediaError(
            path,
            f"cannot be opened ({error.strerror}). It is damaged, truncated (an MP4 without its "
            "index) or not a recording.",
            "Compare it with the original and copy it again.",
        ) from error
    with container:
        for stream in (*container.streams.video, *container.streams.audio):
            stream.codec_context.thread_count = 1  # recordings are decoded in parallel
            if _format(container) == "mpeg":
                # otherwise FFmpeg fills in the missing half of an incomplete picture
                stream.codec_context.options = {"err_detect": "explode"}
        yield container


def check_file(path: Path) -> None:
    """Check that a file exists and is not empty.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    MediaError
        If it does not exist or has no content.
    """
    if path.is_dir():
        raise MediaError(path, "is a folder.", "Give a file.")
    if not path.is_file():
        raise MediaError(path, "file does not exist.", "Check the corpus root and the manifest.")
    if not os.access(path, os.R_OK):
        raise MediaError(
            path, "file cannot be read (permission denied).", "Change its permissions."
        )
    if path.stat().st_size == 0:
        raise MediaError(path, "file is empty (0 bytes).", "Copy the recording again.")


def origin_s(container: Any) -> float:
    """Compute second 0 of the recording in the timestamps of the container.

    Parameters
    ----------
    container : av.container.InputContainer
        An open container.

    Returns
    -------
    float
        Seconds to subtract from a timestamp.
    """
    return float((container.start_time or 0) / av.time_base)


def video_stream(container: Any) -> Any | None:
    """Find the first video stream.

    Parameters
    ----------
    container : av.container.InputContainer
        An open container.

    Returns
    -------
    av.VideoStream or None
        The stream; the cover image of a sound file does not count.
    """
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    return None


def seeks_to_keyframes(container: Any) -> bool:
    """Tell whether the format allows to seek to a keyframe.

    Parameters
    ----------
    container : av.container.InputContainer
        An open container.

    Returns
    -------
    bool
        True for MP4 and Matroska.
    """
    return _format(container) in _SEEKS_TO_KEYFRAMES


def decode_stream(path: Path, container: Any, stream: Any, begin_s: float = 0.0) -> Iterator[Any]:
    """Decode one stream to the end of the file, and check that the file is complete.

    Parameters
    ----------
    path : Path
        The file, for error messages.
    container : av.container.InputContainer
        The open file.
    stream : av.stream.Stream
        Its stream to decode.
    begin_s : float, default 0.0
        Where decoding may begin, seconds on the clock of the recording. If the format supports it,
        decoding starts at a keyframe at or before this time.

    Yields
    ------
    av.frame.Frame
        The frames, including those between the keyframe and ``begin_s``.

    Raises
    ------
    MediaError
        If the file is damaged or truncated (see the module docstring), or the stream has no frame.
    """
    origin, strict = origin_s(container), _format(container) == "mpeg"
    last_s, corrupt_s, empty = 0.0, -math.inf, True
    try:
        if begin_s > SEEK_GAP_S and seeks_to_keyframes(container):
            # MP4 seeks by decoding time, which differs by a few frames: leave a margin of 1 s
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
            "is damaged or truncated.",
            "Copy it again, or leave this session out.",
            value=last_s,
        ) from error
    if empty:
        raise MediaError(path, f"the {stream.type} track is empty.", "Leave this session out.")
    _check_complete(path, container, last_s, corrupt_s)


def _check_complete(path: Path, container: Any, last_s: float, corrupt_s: float) -> None:
    stated = (container.duration or 0) / av.time_base
    short = _format(container) in _STATES_DURATION and stated - last_s > max(0.5, 0.02 * stated)
    if short:
        problem = f"ends after {last_s:.2f} s, but its header states {stated:.2f} s: truncated."
    elif last_s - corrupt_s < 0.5:
        problem = f"ends inside a packet, after {last_s:.2f} s: truncated."
    else:
        return
    raise MediaError(path, problem, "Copy it again.", value=last_s)


def _format(container: Any) -> str:
    return str(container.format.name).split(",")[0]


def _start_s(container: Any, stream: Any | None) -> float | None:
    if stream is None:
        return None
    if stream.start_time is None:
        return 0.0
    return float(stream.start_time * stream.time_base) - origin_s(container)
