"""Open and demultiplex media containers (MP4, MPEG, Matroska, ...) on a common clock.

**Clock.** Second 0 is the start of the container: the earliest start of its streams. Sound and
video are placed on this clock by their timestamps, so that a late start of a stream is kept. Where
the timestamps go back, the clock continues (:mod:`depmm.media.containers.timeline`).

What a truncated file is: :mod:`depmm.media.containers.decoding`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from depmm.media.containers.decoders import can_decode, codec_name, video_streams
from depmm.media.containers.formats import DEMUXERS, format_of, origin_s
from depmm.media.containers.joined_files import check_single_mp4
from depmm.media.containers.limits import MAX_FRAME_PIXELS
from depmm.media.containers.tracks import choose_audio_track
from depmm.media.containers.unused_space import is_packet_stream, without_unused_end
from depmm.media.errors import MediaError, media_errors

BUFFER_BYTES = 1 << 16  # per read of a file
SEEK_GAP_S = 10.0  # a shorter gap is decoded through: cheaper than a seek back to a keyframe

_IMAGE_BRANDS = {"avif", "heic", "heix", "heim", "heis", "mif1"}  # of HEIF, which is based on MP4


@dataclass(frozen=True)
class MediaInfo:
    """Properties in the headers of a file; nothing is decoded.

    Attributes
    ----------
    has_audio, has_video : bool
        Whether the file has such a stream, also if it cannot be decoded.
    audio_start_s, video_start_s : float or None
        Start of the first stream that can be decoded, in seconds of the recording; None without
        one.
    frame_rate : float or None
        Average frames per second.
    width, height : int or None
        Size of the coded frames in pixels, before pixels are made square and frames are turned.
    sample_rate : int or None
        Sample rate of the sound track in Hz.
    container : str
        FFmpeg's name of the format, for example ``mov`` for MP4.
    audio_codec, video_codec : str or None
        FFmpeg's names of the codecs.
    n_channels : int or None
        Number of channels of the sound track.
    bit_depth : int or None
        Bits of a sample of the sound track; None for lossy codecs.
    """

    has_audio: bool
    has_video: bool
    audio_start_s: float | None
    video_start_s: float | None
    frame_rate: float | None
    width: int | None
    height: int | None
    sample_rate: int | None
    container: str
    audio_codec: str | None
    video_codec: str | None
    n_channels: int | None
    bit_depth: int | None


def probe(path: Path, track: int | None = None, **options: str) -> MediaInfo:
    """Read the headers of a recording.

    Parameters
    ----------
    path : Path
        The recording.
    track : int, optional
        Index of the sound track that is described; by default the default track.
    **options : str
        Options of FFmpeg's demuxer.

    Returns
    -------
    MediaInfo
        The properties.

    Raises
    ------
    MediaError
        If the file is missing, empty or in an unknown format.
    """
    audio = None
    with media_errors(path), open_container(path, **options) as container:
        with suppress(MediaError):
            audio = choose_audio_track(path, container, track)
        video = next(filter(can_decode, video_streams(container)), None)
        rate = video and (video.average_rate or video.guessed_rate)
        return MediaInfo(
            has_audio=len(container.streams.audio) > 0,
            has_video=len(video_streams(container)) > 0,
            audio_start_s=_start_s(container, audio),
            video_start_s=_start_s(container, video),
            frame_rate=float(rate) if rate else None,
            width=video.width if video else None,
            height=video.height if video else None,
            sample_rate=audio.rate if audio else None,
            container=format_of(container).name,
            audio_codec=codec_name(container, audio) if audio else None,
            video_codec=codec_name(container, video) if video else None,
            n_channels=audio.codec_context.channels if audio else None,
            bit_depth=_bit_depth(audio.codec_context) if audio else None,
        )


def _bit_depth(codec: Any) -> int | None:
    if named := re.match(r"pcm_[a-z](\d+)", codec.name):
        return int(named[1])
    if codec.codec.lossy or codec.format is None:
        return None
    if codec.name == "flac" and codec.extradata and len(codec.extradata) >= 14:
        high, low = bytes(codec.extradata)[12:14]  # RFC 9639, section 8.2
        return ((high & 1) << 4 | low >> 4) + 1
    # a decoder returns 32 bits for anything between 17 and 32
    return int(codec.format.bits) if codec.format.bits <= 16 else None


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
        with media_errors(path):
            content: Any = file
            if "ignore_length" in options or is_packet_stream(path):
                content = without_unused_end(path, file)
            content.name = "recording"  # FFmpeg also uses the suffix of the name
            container = _open(path, content, options)
        with container:
            if format_of(container).name == "mov":
                check_single_mp4(path)
                _check_no_image(path, container)
            for stream in (*container.streams.video, *container.streams.audio):
                _prepare_decoder(container, stream)
            yield container


def _open(path: Path, file: Any, options: dict[str, str]) -> Any:
    try:
        return av.open(
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
            f"cannot be opened ({error.strerror}). It is damaged, truncated (an MP4 without its "
            "index), or not a recording (a playlist, an image, a text).",
            "Compare it with the original and copy it again.",
        ) from error


def _check_no_image(path: Path, container: Any) -> None:
    brand = container.metadata.get("major_brand", "").strip()
    if brand in _IMAGE_BRANDS:
        raise MediaError(
            path,
            f"it is an image (HEIF of brand {brand!r}), not a recording.",
            "Copy the recording again, or leave this file out.",
            value=brand,
        )


def _refuse_other_file(url: str, flags: int, options: dict[str, str]) -> Any:
    raise PermissionError(f"{url}: only the recording itself is read")


def _prepare_decoder(container: Any, stream: Any) -> None:
    if stream.codec_context is None:
        return
    stream.codec_context.thread_count = 1  # recordings are decoded in parallel
    options = {"max_pixels": str(MAX_FRAME_PIXELS)} if stream.type == "video" else {}
    if format_of(container).name == "mpeg":
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
    if path.exists() and not path.is_file():
        raise MediaError(path, "is a pipe, a device or a socket.", "Give a file.")
    if not path.is_file():
        raise MediaError(path, "file does not exist.", "Check the corpus root and the manifest.")
    if not os.access(path, os.R_OK):
        raise MediaError(
            path, "file cannot be read (permission denied).", "Change its permissions."
        )
    if path.stat().st_size == 0:
        raise MediaError(path, "file is empty (0 bytes).", "Copy the recording again.")


def _start_s(container: Any, stream: Any | None) -> float | None:
    if stream is None:
        return None
    if stream.start_time is None:
        return 0.0
    return float(stream.start_time * stream.time_base) - origin_s(container)
