"""Limits of what is read, so that no file takes all memory or endless time.

They are far beyond what cameras and recorders write.
"""

from pathlib import Path
from typing import Any

from depmm.media.errors import MediaError

MIN_SAMPLE_RATE = 1_000  # Hz
MAX_SAMPLE_RATE = 384_000  # Hz
MAX_CHANNELS = 64
MAX_FRAME_PIXELS = 8192 * 8192  # 8K video has 7680 x 4320
MAX_RECORDING_S = 7 * 24 * 3600.0  # a week
MAX_RESTARTS = 1_000  # of the timestamps of a file


def check_sound(path: Path, sample_rate: int, n_channels: int) -> None:
    """Check the sample rate and the number of channels of a sound track.

    Parameters
    ----------
    path : Path
        The file.
    sample_rate : int
        Samples per second, in Hz.
    n_channels : int
        Number of channels.

    Raises
    ------
    MediaError
        If a limit is exceeded.
    """
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise MediaError(
            path,
            f"its header states a sample rate of {sample_rate} Hz; {MIN_SAMPLE_RATE} to "
            f"{MAX_SAMPLE_RATE} Hz are accepted.",
            "Its header is damaged: export it again.",
            value=sample_rate,
        )
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise MediaError(
            path,
            f"its header states {n_channels} channels; 1 to {MAX_CHANNELS} are accepted.",
            "Its header is damaged: export it again.",
            value=n_channels,
        )


def check_length(path: Path, length_s: float) -> float:
    """Check the length of a recording.

    Parameters
    ----------
    path : Path
        The file.
    length_s : float
        Its length in seconds.

    Returns
    -------
    float
        The length.

    Raises
    ------
    MediaError
        If it is not above 0 or exceeds the limit.
    """
    if not 0 < length_s <= MAX_RECORDING_S:
        raise MediaError(
            path,
            f"its length is {length_s:.6g} s; more than 0 s and at most {MAX_RECORDING_S:.0f} s "
            "are accepted.",
            "Its header or its timestamps are damaged: export it again.",
            value=length_s,
        )
    return length_s


def check_stream(path: Path, stream: Any) -> None:
    """Check the properties of a track that the header of its file states.

    Parameters
    ----------
    path : Path
        The file.
    stream : av.stream.Stream
        A sound or video track that can be decoded.

    Raises
    ------
    MediaError
        If a limit is exceeded.
    """
    if stream.type == "audio":
        check_sound(path, stream.rate or 0, stream.codec_context.channels)
    elif stream.width * stream.height > MAX_FRAME_PIXELS:
        raise MediaError(
            path,
            f"its frames have {stream.width} x {stream.height} pixels; at most "
            f"{MAX_FRAME_PIXELS} are accepted.",
            "Scale the video down.",
            value=stream.width * stream.height,
        )
