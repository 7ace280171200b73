"""Duration of recordings and feature files."""

from pathlib import Path
from typing import Any

import av

from depmm.config import StreamConfig
from depmm.media.containers.container import check_file, open_container
from depmm.media.containers.decoders import check_decoders, read_packets
from depmm.media.containers.decoding import LENGTH_TOLERANCE_S
from depmm.media.containers.formats import format_of, header_length_s, origin_s
from depmm.media.containers.limits import check_length
from depmm.media.containers.mp3_header import states_its_size
from depmm.media.containers.mpeg_clock import PACK, clock_ascends
from depmm.media.containers.survey import survey_packets
from depmm.media.errors import media_errors
from depmm.media.features.feature_files import feature_duration_s
from depmm.media.sound.sound_files import choose_reader, open_sound_file

TAIL_S = 2.0  # at the end of an MPEG program stream, whose packets are read
LOW_BYTES_PER_S = 64_000  # of a program stream; a packet of 2 kB then lasts 32 ms, about a frame


def duration_s(path: Path, stream: StreamConfig | None = None, allow_pickle: bool = False) -> float:
    """Measure the duration of a recording or a feature file.

    A table of features is read completely. The length of a recording is that of its content: the
    header is only used where the index of the file, or its clock, confirms it, and otherwise all
    packets are read. Nothing is decoded.

    Parameters
    ----------
    path : Path
        The file.
    stream : StreamConfig, optional
        How the features are read. None for a recording.
    allow_pickle : bool, default False
        Whether a pickled ``.npy`` is read, which runs code from the file. Use it only for files
        from a source that you trust.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    MediaError
        If the file is unreadable or does not state its duration.
    """
    if stream is not None:
        return feature_duration_s(path, stream, allow_pickle)
    check_file(path)
    with media_errors(path):
        return check_length(path, _recording_s(path))


def _recording_s(path: Path) -> float:
    reader = choose_reader(path)
    if reader.is_sndfile:
        with open_sound_file(path) as file:
            if file is not None:
                return float(file.frames / file.samplerate)
    if (clock_s := _length_by_clock_s(path)) is not None:
        return clock_s
    with open_container(path, **reader.options) as container:
        check_decoders(path, container)
        if (confirmed_s := _confirmed_length_s(path, container)) is not None:
            return confirmed_s
        survey = survey_packets(path, container)
    # a recording is usable if one of its tracks is
    gaps = min(survey.gaps.values(), key=lambda gaps: gaps.total_s)
    gaps.check(survey.length_s)
    return survey.length_s


def _length_by_clock_s(path: Path) -> float | None:
    """Return the length of an MPEG program stream from its first and last timestamps.

    FFmpeg reads only the ends of the file, and takes the last timestamp. A packet of low bit rate
    contains several frames, of which only the first has one. None for other files, and if the clock
    of the file does not ascend between its ends.
    """
    with path.open("rb") as file:
        if file.read(len(PACK)) != PACK:
            return None
    if not clock_ascends(path):
        return None
    with open_container(path, analyzeduration="1") as container:
        check_decoders(path, container)
        length_s = header_length_s(container)
        if length_s is None or path.stat().st_size > LOW_BYTES_PER_S * length_s:
            return length_s
        return max(length_s, _end_of_packets_s(container, max(0.0, length_s - TAIL_S)))


def _end_of_packets_s(container: Any, begin_s: float) -> float:
    """Return the latest end of the packets of sound and video from a time on."""
    container.seek(int((begin_s + origin_s(container)) * av.time_base))
    return max(
        (
            float((packet.pts + (packet.duration or 0)) * packet.time_base) - origin_s(container)
            for packet in read_packets(container)
            if packet.pts is not None and packet.stream.type in ("audio", "video")
        ),
        default=0.0,
    )


def _confirmed_length_s(path: Path, container: Any) -> float | None:
    """Return the length in the header if it can be confirmed without reading all packets."""
    name, header_s = format_of(container).name, header_length_s(container)
    if header_s is None:
        return None
    if name == "mov":
        return header_s if _index_confirms(container, header_s) else None
    if name == "mp3":
        return header_s if states_its_size(path) else None
    return None


def _index_confirms(container: Any, header_s: float) -> bool:
    """Compare the header of an MP4 file with its index, which lists every packet."""
    ends = []
    for stream in (*container.streams.video, *container.streams.audio):
        entries = stream.index_entries
        if not len(entries) or not stream.time_base:
            return False  # in fragments, which have their own index
        ends.append(float(entries[-1].timestamp * stream.time_base))
        if stream.type == "audio" and not _is_dense(stream):
            return False
    return bool(abs(max(ends, default=0.0) - header_s) <= LENGTH_TOLERANCE_S)


def _is_dense(stream: Any) -> bool:
    """Tell whether the packets of a sound track cover its time."""
    samples = stream.codec_context.frame_size if stream.codec_context is not None else 0
    if not samples or not stream.rate or not stream.duration:
        return True
    covered_s = len(stream.index_entries) * samples / stream.rate
    return bool(float(stream.duration * stream.time_base) - covered_s <= LENGTH_TOLERANCE_S)
