"""Which tracks of a container have a decoder, and the names of those that have none."""

import re
import threading
from pathlib import Path
from typing import Any

import av

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
    with _LOG_LEVEL:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            text = container.dumps_format()
        finally:
            av.logging.set_level(level)
    line = re.search(rf"Stream #\d+:{stream.index}\b[^:]*: \w+: ([^,\n]*)", text)
    return "unknown codec" if line is None else _without_none(line[1].strip())


def _without_none(description: str) -> str:
    """Shorten for example ``none (apac / 0x63617061)`` to ``apac / 0x63617061``."""
    match = re.fullmatch(r"none \((.*)\)", description)
    return match[1] if match else description
