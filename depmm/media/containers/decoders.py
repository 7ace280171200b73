"""Tracks and packets of a container: which have a decoder, and what is wrong with the others."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av

from depmm.media.containers.timeline import Timeline
from depmm.media.errors import MediaError

_LOG_LEVEL = threading.Lock()


def can_decode(stream: Any) -> bool:
    """Tell whether a track can be decoded.

    Parameters
    ----------
    stream : av.stream.Stream
        A sound or video track.

    Returns
    -------
    bool
        False if FFmpeg has no decoder for its codec, or the decoder refuses its header.
    """
    if stream.codec_context is None:
        return False
    try:
        stream.codec_context.open(strict=False)
    except (av.FFmpegError, ValueError, RuntimeError):
        return False
    return True


def video_streams(container: Any) -> list[Any]:
    """List the video tracks.

    Parameters
    ----------
    container : av.container.InputContainer
        An open container.

    Returns
    -------
    list of av.VideoStream
        The tracks; the cover image of a sound file is not one.
    """
    cover = av.stream.Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & cover]


def check_decoders(path: Path, container: Any) -> None:
    """Check that FFmpeg has a decoder for at least one track.

    Parameters
    ----------
    path : Path
        The file, for the error message.
    container : av.container.InputContainer
        The open container.

    Raises
    ------
    MediaError
        If it has no sound or video track, or no decoder for any.
    """
    streams = [*video_streams(container), *container.streams.audio]
    if any(stream.codec_context is not None for stream in streams):
        return
    codecs = ", ".join(codec_name(container, stream) for stream in streams)
    problem = f"no track can be decoded: {codecs}." if streams else "it has no sound and no video."
    raise MediaError(path, problem, "Convert it to MP4 (H.264 and AAC) or WAV.")


def codec_name(container: Any, stream: Any) -> str:
    """Name the codec of a track.

    Parameters
    ----------
    container : av.container.InputContainer
        The open container.
    stream : av.stream.Stream
        One of its tracks.

    Returns
    -------
    str
        FFmpeg's name of the codec; for a codec that FFmpeg does not know, the code in the file.
    """
    if stream.codec_context is not None:
        return str(stream.codec_context.name)
    # av has no attribute for the codec of a track without a decoder, but FFmpeg describes it
    return _descriptions(container).get(stream.index, "unknown codec")


def check_no_late_track(path: Path, container: Any) -> None:
    """Check that no track appeared after the start of a file, where it cannot be read.

    Parameters
    ----------
    path : Path
        The file, for the error message.
    container : av.container.InputContainer
        The open container, read to its end.

    Raises
    ------
    MediaError
        If there is such a track, for example in a file that was joined of recordings with different
        tracks.
    """
    late = {
        index: codec
        for index, codec in _descriptions(container).items()
        if index >= len(container.streams)
    }
    if late:
        raise MediaError(
            path,
            f"{len(late)} further tracks begin in the middle of the file and cannot be read with "
            f"those at its start: {', '.join(late.values())}. It seems to be joined of several "
            "recordings.",
            "Split it, or convert it into an MP4 or MKV file.",
            value=len(late),
        )


def read_packets(container: Any) -> Iterator[Any]:
    """Read all packets of a container.

    Parameters
    ----------
    container : av.container.InputContainer
        The open container.

    Yields
    ------
    av.packet.Packet
        The packets, and at the end one of size 0 for each track, with which its decoder is flushed.
    """
    with suppress(IndexError):  # av 18 flushes the known tracks, and then those that came later
        yield from container.demux()


@contextmanager
def packet_errors(path: Path, timeline: Timeline, problem: str) -> Iterator[None]:
    """Turn errors of FFmpeg into media errors that name the position in the recording.

    Parameters
    ----------
    path : Path
        The file, for error messages.
    timeline : Timeline
        Clock of the packets that are read inside the context.
    problem : str
        What fails, for example ``cannot be read``.

    Yields
    ------
    None

    Raises
    ------
    MediaError
        In place of an error of FFmpeg.
    """
    try:
        yield
    except av.FFmpegError as error:
        raise MediaError(
            path,
            f"{problem} after {timeline.end_s:.2f} s ({error.strerror}). The file is damaged or "
            "truncated.",
            "Copy it again, or leave this session out.",
            value=timeline.end_s,
        ) from error


def _descriptions(container: Any) -> dict[int, str]:
    """Return the codec of each sound and video track, also of those that ``av`` does not list."""
    with _LOG_LEVEL:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            text = container.dumps_format()
        finally:
            av.logging.set_level(level)
    lines = re.findall(r"Stream #\d+:(\d+)\b[^:]*: (?:Audio|Video): ([^,\n]*)", text)
    return {int(index): _without_none(codec.strip()) for index, codec in lines}


def _without_none(description: str) -> str:
    """Shorten for example ``none (apac / 0x63617061)`` to ``apac / 0x63617061``."""
    match = re.fullmatch(r"none \((.*)\)", description)
    return match[1] if match else description
