"""Choose the sound or video track of a recording that has several."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av

from depmm.media.containers.decoders import can_decode, codec_name, video_streams
from depmm.media.containers.limits import check_stream
from depmm.media.errors import MediaError
from depmm.media.warnings import MediaWarning, Warn, ignore_warnings

CHOOSE_TRACK = (
    "To use another track, set track: of this recording in the spec; for depmm predict, save the "
    "track as a file."
)


def choose_audio_track(
    path: Path, container: Any, track: int | None = None, warn: Warn = ignore_warnings
) -> Any:
    """Choose a sound track of an open file.

    Parameters
    ----------
    path : Path
        The file, for messages.
    container : av.container.InputContainer
        The open file.
    track : int, optional
        Index of the sound track, from 0. By default, the first track that is marked as default and
        can be decoded, or else the first that can be decoded.
    warn : callable, optional
        Receives ``skipped_track`` if a track cannot be decoded, and ``other_tracks`` if the file
        has tracks that could also be used and ``track`` does not choose.

    Returns
    -------
    av.AudioStream
        The track.

    Raises
    ------
    MediaError
        If the file has no sound track, no such track, or the track cannot be decoded.
    """
    streams = container.streams.audio
    if not streams:
        raise MediaError(
            path, "the file has no audio track.", "Use another file for the audio modality."
        )
    if track is not None:
        return _chosen(path, container, track)
    usable = _usable(path, container, streams, "Convert the sound to AAC or WAV.")
    is_default = [
        index for index in usable if streams[index].disposition & av.stream.Disposition.default
    ]
    used = (is_default or usable)[0]
    _warn_of_skipped(container, streams, usable, used, warn)
    if others := [index for index in usable if index != used]:
        reason = "the default" if is_default else "the first; none is marked as default"
        warn(
            MediaWarning(
                "other_tracks",
                f"the file has {len(streams)} sound tracks. Used: "
                f"{_describe(container, streams, [used])} ({reason}). Not used: "
                f"{_describe(container, streams, others)}.",
                CHOOSE_TRACK,
                float(len(streams)),
            )
        )
    return streams[used]


def choose_video_track(path: Path, container: Any, warn: Warn = ignore_warnings) -> Any:
    """Choose the first video track that can be decoded.

    Parameters
    ----------
    path : Path
        The file, for messages.
    container : av.container.InputContainer
        The open file.
    warn : callable, optional
        Receives ``skipped_track`` if a track cannot be decoded.

    Returns
    -------
    av.VideoStream
        The track.

    Raises
    ------
    MediaError
        If the file has no video track, or none can be decoded, or its frames are too large.
    """
    streams = video_streams(container)
    if not streams:
        raise MediaError(
            path, "the file has no video track.", "Use another file for the face modality."
        )
    for stream in streams:
        if stream.codec_context is not None:
            check_stream(path, stream)
    usable = _usable(path, container, streams, "Convert the video to H.264.")
    _warn_of_skipped(container, streams, usable, usable[0], warn)
    return streams[usable[0]]


def check_single_track(path: Path, track: int | None) -> None:
    """Check the choice of a track for a format that has one track, such as WAV.

    Parameters
    ----------
    path : Path
        The file, for messages.
    track : int, optional
        Index of the sound track.

    Raises
    ------
    MediaError
        If it is not 0.
    """
    if track:
        raise _no_such_track(path, track, 1)


def _usable(path: Path, container: Any, streams: Sequence[Any], remedy: str) -> list[int]:
    """Return the indices of the tracks that can be decoded, at least one."""
    usable = [index for index, stream in enumerate(streams) if can_decode(stream)]
    if not usable:
        raise MediaError(
            path,
            f"no {_signal(streams)} track can be decoded: "
            f"{_describe(container, streams, range(len(streams)))}.",
            remedy,
        )
    return usable


def _warn_of_skipped(
    container: Any, streams: Sequence[Any], usable: Sequence[int], used: int, warn: Warn
) -> None:
    skipped = [index for index in range(len(streams)) if index not in usable]
    if not skipped:
        return
    has = "has the voice of" if streams[0].type == "audio" else "shows"
    warn(
        MediaWarning(
            "skipped_track",
            f"{len(skipped)} of {len(streams)} {_signal(streams)} tracks cannot be decoded and are "
            f"not used: {_describe(container, streams, skipped)}. Used: "
            f"{_describe(container, streams, [used])}.",
            f"Check that the track that is used {has} the participant.",
            float(len(skipped)),
        )
    )


def _signal(streams: Sequence[Any]) -> str:
    return "sound" if streams[0].type == "audio" else "video"


def _chosen(path: Path, container: Any, track: int) -> Any:
    streams = container.streams.audio
    if not 0 <= track < len(streams):
        raise _no_such_track(path, track, len(streams))
    if not can_decode(streams[track]):
        raise MediaError(
            path,
            f"the sound cannot be decoded: {_describe(container, streams, [track])}.",
            "Set track: of this recording in the spec to another track, or convert the sound.",
            setting="track",
            value=track,
        )
    return streams[track]


def _no_such_track(path: Path, track: int, n_tracks: int) -> MediaError:
    count = "one sound track" if n_tracks == 1 else f"{n_tracks} sound tracks"
    return MediaError(
        path,
        f"sound track {track} does not exist: the file has {count}, counted from 0.",
        f"Set track: of this recording in the spec to a number from 0 to {n_tracks - 1}."
        if n_tracks > 1
        else "Remove track: of this recording from the spec; for depmm predict, save the sound as "
        f"track {track} of a file.",
        setting="track",
        value=track,
    )


def _describe(container: Any, streams: Sequence[Any], indices: Sequence[int]) -> str:
    """Name tracks by index, codec, number of channels, language and title."""
    tracks = []
    for index in indices:
        stream = streams[index]
        context, metadata = stream.codec_context, stream.metadata
        facts = [codec_name(container, stream)]
        if context is not None and stream.type == "audio" and context.channels:
            facts.append(f"{context.channels} channel{'s' if context.channels > 1 else ''}")
        facts += [metadata[name] for name in ("language", "title") if metadata.get(name)]
        tracks.append(f"track {index} ({', '.join(facts)})")
    return ", ".join(tracks)
