"""Measure a recording for the audit: length, black border, and the warnings of its readers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.sound.audio import decode_audio
from depmm.media.sound.sound_level import SoundMeter, sound_warnings
from depmm.media.sound.voice_activity import frame_levels
from depmm.media.video.borders import video_border
from depmm.media.warnings import MediaWarning, Warn

PART_S = 30  # seconds of sound that are measured at once


@dataclass(frozen=True)
class RecordingUse:
    """What a manifest uses of a file.

    Attributes
    ----------
    audio, face : bool
        Whether its sound and its video are used.
    track, channel : int or None
        Sound track and channel that the spec chooses.
    """

    audio: bool = False
    face: bool = False
    track: int | None = None
    channel: int | None = None


@dataclass(frozen=True)
class RecordingMeasurement:
    """Measurements of a recording.

    Attributes
    ----------
    statistics : dict of str to float or str
        Values of columns of :data:`depmm.schemas.recordings.RECORDINGS`; what was not measured is
        left out.
    sound_s : float or None
        Length of the sound in seconds; None if it is not used.
    warnings : tuple of MediaWarning
        What the readers report.
    """

    statistics: dict[str, float | str]
    sound_s: float | None = None
    warnings: tuple[MediaWarning, ...] = ()


def measure_recording(path: Path, use: RecordingUse) -> RecordingMeasurement:
    """Measure a recording; its sound is decoded once, of its video a few frames.

    Parameters
    ----------
    path : Path
        The recording.
    use : RecordingUse
        What is measured.

    Returns
    -------
    RecordingMeasurement
        The measurements.

    Raises
    ------
    MediaError
        If the file cannot be decoded.
    """
    warnings: list[MediaWarning] = []

    def warn(warning: MediaWarning) -> None:
        if warning not in warnings:
            warnings.append(warning)

    length_s = duration_s(path)
    statistics: dict[str, float | str] = {"length_s": length_s}
    if use.face and (border := video_border(path, length_s, warn)) is not None:
        statistics["black_border"] = border
    sound_s = _measure_sound(path, use, warn) if use.audio else None
    return RecordingMeasurement(statistics, sound_s, tuple(warnings))


def _measure_sound(path: Path, use: RecordingUse, warn: Warn) -> float:
    meter, part, n_part = SoundMeter(), [], 0
    for block in decode_audio(path, track=use.track, channel=use.channel, warn=warn):
        part.append(block)
        n_part += len(block)
        if n_part >= PART_S * SAMPLE_RATE:
            _update(meter, part)
            part, n_part = [], 0
    if part:
        _update(meter, part)
    if not meter.seconds:
        raise MediaError(path, "the sound track has no samples.", "Leave this session out.")
    for warning in sound_warnings(meter, "the whole sound"):
        warn(warning)
    return meter.seconds


def _update(meter: SoundMeter, part: list[np.ndarray]) -> None:
    samples = np.concatenate(part)
    meter.update(samples, frame_levels([samples]))
