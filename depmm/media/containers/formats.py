"""Formats of containers: which are read, and what their headers and timestamps mean."""

from dataclasses import dataclass
from typing import Any

import av

# FFmpeg's names of the formats that are read. All are recognised by their content and consist of
# one file; playlists (hls, dash, concat, sdp) and images are not among them
DEMUXERS = (
    "aac", "ac3", "aiff", "amr", "ape", "asf", "au", "av1", "avi", "caf", "dts", "dv", "eac3",
    "flac", "flv", "gxf", "h264", "hevc", "ivf", "loas", "m4v", "matroska", "mjpeg", "mov", "mp3",
    "mpeg", "mpegts", "mpegvideo", "mxf", "nistsphere", "nsv", "nut", "obu", "ogg", "rm", "sox",
    "tta", "voc", "w64", "wav", "webm", "wtv", "wv",
)  # fmt: skip


@dataclass(frozen=True)
class Format:
    """A format of containers.

    Attributes
    ----------
    name : str
        The first of FFmpeg's names, for example ``mov`` for MP4.
    states_length : bool
        Whether its header states the length of the recording; FFmpeg estimates it otherwise.
    seeks : bool
        Whether decoding can begin at a keyframe before a time, without decoding what precedes.
    lists_tracks : bool
        Whether its header lists all tracks, so that none begins in the middle of the file.
    has_timestamps : bool
        Whether it stores timestamps. In sound without them, FFmpeg counts the packets, also those
        with tags between joined files.
    stores_durations : bool
        Whether durations are stored instead of times. Edit lists may then go back, and the duration
        of a frame is the time until the next one is decoded.
    wrap_ticks : int or None
        Period of the counter of timestamps; None if it does not overflow.
    """

    name: str
    states_length: bool = False
    seeks: bool = False
    lists_tracks: bool = True
    has_timestamps: bool = True
    stores_durations: bool = False
    wrap_ticks: int | None = None


_FORMATS = {
    form.name: form
    for form in (
        Format("mov", states_length=True, seeks=True, stores_durations=True),
        Format("matroska", states_length=True, seeks=True),
        Format("avi", states_length=True),
        Format("asf", states_length=True),
        Format("flv", states_length=True, lists_tracks=False),
        Format("mpeg", lists_tracks=False, wrap_ticks=1 << 33),
        Format("mpegts", lists_tracks=False, wrap_ticks=1 << 33),
        Format("ogg", lists_tracks=False),
        *(
            Format(name, has_timestamps=False)
            for name in ("mp3", "aac", "loas", "ac3", "eac3", "dts", "amr")
        ),
    )
}


def format_of(container: Any) -> Format:
    """Return the format of a container.

    Parameters
    ----------
    container : av.container.InputContainer
        An open container.

    Returns
    -------
    Format
        Its properties.
    """
    name = str(container.format.name).split(",")[0]
    return _FORMATS.get(name) or Format(name)


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


def header_length_s(container: Any) -> float | None:
    """Return the length that FFmpeg reads from the header, or estimates, when it opens a container.

    Parameters
    ----------
    container : av.container.InputContainer
        An open container.

    Returns
    -------
    float or None
        Seconds; None if it is unknown.
    """
    return float(container.duration / av.time_base) if container.duration else None


def stated_length_s(container: Any) -> float | None:
    """Return the length that the header of a container states.

    Parameters
    ----------
    container : av.container.InputContainer
        An open container.

    Returns
    -------
    float or None
        Seconds; None if the format does not state it or the file leaves it out.
    """
    return header_length_s(container) if format_of(container).states_length else None


def can_seek(container: Any, time_s: float) -> bool:
    """Tell whether decoding can begin at a keyframe before a time, without decoding what precedes.

    Parameters
    ----------
    container : av.container.InputContainer
        An open container.
    time_s : float
        Time in seconds of the recording.

    Returns
    -------
    bool
        True for MP4 and Matroska, before the end that their header states. In a file that was
        joined of several, the times after it are not those of the file.
    """
    return format_of(container).seeks and time_s < (stated_length_s(container) or 0.0)
