"""Open and demultiplex media containers (MP4, MPEG, Matroska, ...) on a common clock.

**Clock.** Second 0 is the start of the container: the earliest start of its streams. Sound and
video are placed on this clock by their timestamps, so that a late start of a stream is kept. Where
the timestamps go back, the clock continues (:mod:`depmm.media.timeline`).

**Truncation.** FFmpeg often decodes a truncated file without an error, so reading to the end of a
file checks that it *was* the end. A :class:`MediaError` is raised when

- FFmpeg fails to open the file (an MP4 whose ``moov`` index is missing) or to decode a packet;
- a packet in the last half second is incomplete (FFmpeg flags it as corrupt);
- the timestamps go back more than ``MAX_RESTARTS`` times;
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

from depmm.media.decoders import can_decode, video_streams
from depmm.media.errors import MediaError, as_media_error
from depmm.media.limits import MAX_FRAME_PIXELS, MAX_RESTARTS, check_stream
from depmm.media.timeline import Timeline
from depmm.media.warnings import MediaWarning, Warn, ignore_warnings

LENGTH_TOLERANCE_S = 0.5  # differences to the length in the header that are not reported
BUFFER_BYTES = 1 << 16  # per read of a file
SEEK_GAP_S = 10.0  # a shorter gap is decoded through: cheaper than a seek back to a keyframe

# FFmpeg's names (the first of its list) of formats whose header states the duration
_STATES_DURATION = {"mov", "matroska", "avi", "asf", "flv"}
# FFmpeg's names of the formats that are read. All are recognised by their content and consist of one
# file; playlists (hls, dash, concat, sdp) and images are not among them
DEMUXERS = (
    "aac", "ac3", "aiff", "amr", "ape", "asf", "au", "av1", "avi", "caf", "dts", "dv", "eac3",
    "flac", "flv", "gxf", "h264", "hevc", "ivf", "loas", "m4v", "matroska", "mjpeg", "mov", "mp3",
    "mpeg", "mpegts", "mpegvideo", "mxf", "nistsphere", "nsv", "nut", "obu", "ogg", "rm", "sox",
    "tta", "voc", "w64", "wav", "webm", "wtv", "wv",
)  # fmt: skip
_SEEKS_TO_KEYFRAMES = {"mov", "matroska"}


@dataclass(frozen=True)
class MediaInfo:
    """Properties in the headers of a file; nothing is decoded.

    Attributes
    ----------
    has_audio, has_video : bool
        Whether the file has such a stream, and it can be decoded.
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
        audio = next(filter(can_decode, container.streams.audio), None)
        video = next(filter(can_decode, video_streams(container)), None)
        rate = video and (video.average_rate or video.guessed_rate)
        return MediaInfo(
            has_audio=audio is not None,
            has_video=video is not None,
            audio_start_s=_start_s(container, audio),
            video_start_s=_start_s(container, video),
            frame_rate=float(rate) if rate else None,
            width=video.width if video else None,
            height=video.height if video else None,
            sample_rate=audio.rate if audio else None,
        )


@contextmanager
def open_container(path: Path, **options: str) -> Iterator[Any]:
    """Open a media file with FFmpeg, and close it afterwards.

    The content of the file determines its format, and its name has no influence: a name such as
    ``concat:a.mp4`` or ``P01:visit.mp4`` is that of a file. No other file is opened. Playlists and
    formats that are recognised by the name only are refused.

    Parameters
    ----------
    path : Path
        The file.
    **options : str
        Options of FFmpeg's demuxer.

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
    with path.open("rb", buffering=0) as file:
        file.name = "recording"  # type: ignore[misc]  # FFmpeg also uses the suffix of the name
        try:
            container = av.open(
                file,
                mode="r",
                options=options,
                container_options={"format_whitelist": ",".join(DEMUXERS)},
                metadata_errors="replace",
                buffer_size=BUFFER_BYTES,
                io_open=_refuse_other_file,
            )
        except av.FFmpegError as error:
            raise MediaError(
                path,
                f"cannot be opened ({error.strerror}). It is damaged, truncated (an MP4 without "
                "its index), or not a recording (a playlist, an image, a text).",
                "Compare it with the original and copy it again.",
            ) from error
        except Exception as error:
            raise as_media_error(path, error) from error
        with container:
            for stream in (*container.streams.video, *container.streams.audio):
                _prepare_decoder(container, stream)
            yield container


def _refuse_other_file(url: str, flags: int, options: dict[str, str]) -> Any:
    raise PermissionError(f"{url}: only the recording itself is read")


def _prepare_decoder(container: Any, stream: Any) -> None:
    if stream.codec_context is None:
        return
    stream.codec_context.thread_count = 1  # recordings are decoded in parallel
    options = {"max_pixels": str(MAX_FRAME_PIXELS)} if stream.type == "video" else {}
    if _format(container) == "mpeg":
        # otherwise FFmpeg fills in the missing half of an incomplete picture
        options["err_detect"] = "explode"
    stream.codec_context.options = options


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


def decode_stream(
    path: Path,
    container: Any,
    stream: Any,
    begin_s: float = 0.0,
    warn: Warn = ignore_warnings,
) -> Iterator[Any]:
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
    warn : callable, optional
        Receives ``clock_restart`` if the timestamps go back, and ``length_differs`` if the file is
        decoded to its end and its header states another length.

    Yields
    ------
    av.frame.Frame
        The frames, including those between the keyframe and ``begin_s``. Their timestamps are on
        the continuous clock of :mod:`depmm.media.timeline`.

    Raises
    ------
    MediaError
        If the file is damaged or truncated (see the module docstring), a limit of
        :mod:`depmm.media.limits` is exceeded, or the stream has no frame.
    """
    check_stream(path, stream)
    timeline = Timeline(container, origin_s(container))
    corrupt_s, empty, n_restarts = -math.inf, True, 0
    others: list[Any] = []
    if _format(container) == "mpeg":  # decoded strictly, see the module docstring
        others = [other for other in _decodable(container) if other.index != stream.index]
    try:
        _seek(container, stream, begin_s)
        for packet in timeline.place(container.demux()):
            if packet.is_corrupt:
                corrupt_s = timeline.end_s
            if len(timeline.restarts) > n_restarts:
                n_restarts = len(timeline.restarts)
                _check_restarts(path, n_restarts, timeline.end_s)
            if packet.stream.index == stream.index:  # stream_index is wrong when flushing
                for frame in packet.decode():
                    empty = False
                    yield frame
            elif packet.stream in others:
                packet.decode()
    except av.FFmpegError as error:
        raise MediaError(
            path,
            f"{stream.type} cannot be decoded after {timeline.end_s:.2f} s ({error.strerror}). The "
            "file is damaged or truncated.",
            "Copy it again, or leave this session out.",
            value=timeline.end_s,
        ) from error
    except Exception as error:
        raise as_media_error(path, error) from error
    if empty:
        raise MediaError(path, f"the {stream.type} track is empty.", "Leave this session out.")
    _check_complete(path, container, timeline.end_s, corrupt_s)
    if restarted := timeline.restart_warning():
        warn(restarted)
    elif differs := _length_warning(container, timeline.end_s):
        warn(differs)


def _seek(container: Any, stream: Any, begin_s: float) -> None:
    """Seek to a keyframe at or before a time, if this is possible and cheaper than decoding."""
    # a file that was joined of several has the clock of its header only up to the length there
    stated_s = stated_length_s(container)
    if begin_s > SEEK_GAP_S and seeks_to_keyframes(container) and begin_s < (stated_s or 0.0):
        # MP4 seeks by decoding time, which differs by a few frames: leave a margin of 1 s
        target = int((begin_s - 1 + origin_s(container)) / stream.time_base)
        container.seek(target, stream=stream)


def _decodable(container: Any) -> list[Any]:
    streams = (*container.streams.video, *container.streams.audio)
    return [stream for stream in streams if can_decode(stream)]


def _check_complete(path: Path, container: Any, last_s: float, corrupt_s: float) -> None:
    stated = stated_length_s(container) or 0.0
    short = stated - last_s > max(LENGTH_TOLERANCE_S, 0.02 * stated)
    if short:
        problem = f"ends after {last_s:.2f} s, but its header states {stated:.2f} s: truncated."
    elif last_s - corrupt_s < 0.5:
        problem = f"ends inside a packet, after {last_s:.2f} s: truncated."
    else:
        return
    raise MediaError(path, problem, "Copy it again.", value=last_s)


def stated_length_s(container: Any) -> float | None:
    """Return the length that the header of a container states.

    Parameters
    ----------
    container : av.container.InputContainer
        An open container.

    Returns
    -------
    float or None
        Seconds; None if the format does not state it or the file leaves it out. FFmpeg then
        estimates a length, for example from the bit rate.
    """
    if _format(container) not in _STATES_DURATION or not container.duration:
        return None
    return float(container.duration / av.time_base)


def _length_warning(container: Any, decoded_s: float) -> MediaWarning | None:
    stated_s = stated_length_s(container)
    if stated_s is None or abs(decoded_s - stated_s) <= LENGTH_TOLERANCE_S:
        return None
    return MediaWarning(
        "length_differs",
        f"its header states {stated_s:.2f} s, and {decoded_s:.2f} s were decoded, which count.",
        "Check that it is the complete recording.",
        decoded_s - stated_s,
    )


def _check_restarts(path: Path, n_restarts: int, end_s: float) -> None:
    if n_restarts > MAX_RESTARTS:
        raise MediaError(
            path,
            f"its timestamps go back {n_restarts} times in {end_s:.2f} s (at most {MAX_RESTARTS} "
            "are accepted). They are damaged.",
            "Remux it into an MP4 or MKV file.",
            value=n_restarts,
        )


def _format(container: Any) -> str:
    return str(container.format.name).split(",")[0]


def _start_s(container: Any, stream: Any | None) -> float | None:
    if stream is None:
        return None
    if stream.start_time is None:
        return 0.0
    return float(stream.start_time * stream.time_base) - origin_s(container)
