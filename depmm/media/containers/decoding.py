"""Decode one stream of a container, and check that the file is complete.

**Truncation.** FFmpeg often decodes a truncated file without an error, so reading to the end of a
file checks that it *was* the end. A :class:`MediaError` is raised when

- FFmpeg fails to open the file (an MP4 whose ``moov`` index is missing) or to decode a packet;
- a packet in the last half second is incomplete (FFmpeg flags it as corrupt);
- the timestamps go back more than ``MAX_RESTARTS`` times;
- the header of the container (MP4, Matroska, AVI, ASF, FLV) or the last page (Ogg) states a
  duration, and the last packet of any stream ends more than max(0.5 s, 2 %) before it;
- an MPEG transport stream ends inside one of its packets of 188 bytes, or an AVI file has fewer
  bytes than its header states;
- an MPEG program stream (``.mpg``), which states no duration, contains an incomplete picture: all
  its streams are decoded strictly, also when only the sound is read.

An MPEG program stream that is cut exactly between two pictures cannot be distinguished from a
shorter recording. A window that ends before the fault is read without an error, because all of it
is present.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from depmm.media.containers.container import SEEK_GAP_S
from depmm.media.containers.decoders import (
    can_decode,
    check_no_late_track,
    packet_errors,
    read_packets,
    video_streams,
)
from depmm.media.containers.file_ends import avi_is_cut, ogg_is_cut, transport_stream_is_cut
from depmm.media.containers.formats import (
    can_seek,
    format_of,
    header_length_s,
    origin_s,
    stated_length_s,
)
from depmm.media.containers.limits import MAX_RESTARTS, check_stream
from depmm.media.containers.mp3_header import states_its_length
from depmm.media.containers.timeline import Timeline
from depmm.media.errors import MediaError
from depmm.media.warnings import MediaWarning, Warn, ignore_warnings

LENGTH_TOLERANCE_S = 0.5  # smaller differences to the length in the header are not reported
EARLY_END_S, EARLY_END_SHARE = 1.0, 0.02  # of sound before that of the video, reported above both
TAGS = (b"ID3", b"TAG", b"APE", b"LYR")  # beginnings of packets that are no sound


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
        Receives ``clock_restart`` if the timestamps go back, and, if the file is decoded to its
        end, ``length_differs`` if its header states another length and ``missing_sound`` if the
        sound ends well before the video.

    Yields
    ------
    av.frame.Frame
        The frames, including those between the keyframe and ``begin_s``. Their timestamps are on
        the continuous clock of :mod:`depmm.media.containers.timeline`.

    Raises
    ------
    MediaError
        If the file is damaged or truncated (see the module docstring), a limit of
        :mod:`depmm.media.containers.limits` is exceeded, or the stream has no frame.
    """
    check_stream(path, stream)
    timeline = Timeline(container)
    corrupt_s, last, n_restarts = -math.inf, None, 0
    others: list[Any] = []
    padding: av.FFmpegError | None = None  # error of the first packet of zeros
    if format_of(container).name == "mpeg":  # decoded strictly, see the module docstring
        others = [other for other in _decodable(container) if other.index != stream.index]
    with packet_errors(path, timeline, f"{stream.type} cannot be decoded"):
        _seek(container, stream, begin_s)
        for packet in timeline.place(read_packets(container)):
            if packet.is_corrupt:
                corrupt_s = timeline.end_s
            if len(timeline.restarts) > n_restarts:
                n_restarts = len(timeline.restarts)
                _check_restarts(path, n_restarts, timeline.end_s)
            if packet.stream.index == stream.index:  # stream_index is wrong when flushing
                try:
                    frames = _decode(packet)
                except av.InvalidDataError as error:
                    if format_of(container).has_timestamps or any(bytes(packet)):
                        raise
                    padding = padding or error  # unless sound follows, the unused end of the file
                    continue
                for frame in frames:
                    if padding is not None:
                        raise padding
                    last = frame
                    yield frame
            elif packet.stream in others:
                packet.decode()
    if last is None:
        raise MediaError(path, f"the {stream.type} track is empty.", "Leave this session out.")
    _check_complete(path, container, timeline.end_s, corrupt_s)
    if not format_of(container).lists_tracks:
        check_no_late_track(path, container)
    if restarted := timeline.restart_warning():
        warn(restarted)
    elif differs := _length_warning(path, container, timeline.end_s):
        warn(differs)
    if stream.type == "audio" and (missing := _early_end(container, last, timeline.media_end_s)):
        warn(missing)


def _early_end(container: Any, last: Any, length_s: float) -> MediaWarning | None:
    """Compare the end of the last frame of a sound with the end of the video."""
    if last.pts is None or not video_streams(container):
        return None
    end_s = float(last.pts * last.time_base) - origin_s(container) + last.samples / last.rate
    missing_s = length_s - end_s
    if missing_s <= max(EARLY_END_S, EARLY_END_SHARE * length_s):
        return None
    return MediaWarning(
        "missing_sound",
        f"the sound ends at {end_s:.2f} s, {missing_s:.2f} s ({missing_s / length_s:.1%}) before "
        "the end of the recording.",
        "Compare it with the original.",
        missing_s,
    )


def _decode(packet: Any) -> list[Any]:
    try:
        frames: list[Any] = packet.decode()
    except av.InvalidDataError:
        if bytes(packet)[:3] in TAGS:  # between MP3 or AAC files that were joined
            return []
        raise
    return frames


def _seek(container: Any, stream: Any, begin_s: float) -> None:
    if begin_s > SEEK_GAP_S and can_seek(container, begin_s):
        # MP4 seeks by decoding time, which differs by a few frames: leave a margin of 1 s
        target = int((begin_s - 1 + origin_s(container)) / stream.time_base)
        container.seek(target, stream=stream)


def _decodable(container: Any) -> list[Any]:
    streams = (*container.streams.video, *container.streams.audio)
    return [stream for stream in streams if can_decode(stream)]


def _check_complete(path: Path, container: Any, last_s: float, corrupt_s: float) -> None:
    stated = _stated_s(container, last_s) or 0.0
    if format_of(container).name == "ogg":  # of its last page
        stated = header_length_s(container) or 0.0
    short = stated - last_s > max(LENGTH_TOLERANCE_S, 0.02 * stated)
    if short:
        problem = f"ends after {last_s:.2f} s, but its header states {stated:.2f} s: truncated."
    elif format_of(container).name == "avi" and avi_is_cut(path):
        problem = (
            f"ends after {last_s:.2f} s, and has fewer bytes than its header states: truncated."
        )
    elif (last_s - corrupt_s < 0.5 and "ignore_length" not in container.options) or (
        format_of(container).name == "mpegts" and transport_stream_is_cut(path)
    ):
        problem = f"ends inside a packet, after {last_s:.2f} s: truncated."
    else:
        return
    raise MediaError(path, problem, "Copy it again.", value=last_s)


def _stated_s(container: Any, decoded_s: float) -> float | None:
    """Return the length in the header; that of Matroska and ASF may count from timestamp 0."""
    stated_s, origin = stated_length_s(container), origin_s(container)
    if stated_s is None or not 0 < origin < stated_s:
        return stated_s
    return min(stated_s, stated_s - origin, key=lambda length_s: abs(length_s - decoded_s))


def _length_warning(path: Path, container: Any, decoded_s: float) -> MediaWarning | None:
    stated_s = _stated_s(container, decoded_s)
    if format_of(container).name == "mp3" and states_its_length(path):
        stated_s = header_length_s(container)
    if format_of(container).name == "ogg" and ogg_is_cut(path):
        problem = f"its last page is not marked as the end: it may be cut after {decoded_s:.2f} s."
        return MediaWarning("length_differs", problem, "Compare it with the original.", decoded_s)
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
