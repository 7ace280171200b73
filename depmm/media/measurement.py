"""Measure a recording for the audit: its statistics, and the warnings of its readers."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.containers.container import MediaInfo, probe
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.sound.audio import decode_audio
from depmm.media.sound.channel_choice import unobserved
from depmm.media.sound.fingerprint import Fingerprinter, SoundFingerprint
from depmm.media.sound.sound_files import choose_reader
from depmm.media.sound.sound_level import SoundMeter, sound_warnings
from depmm.media.sound.source_meter import SourceMeter
from depmm.media.sound.voice_activity import frame_levels
from depmm.media.video.faces import FaceTracker
from depmm.media.video.frame_statistics import measure_video
from depmm.media.video.motion import MotionSignature
from depmm.media.warnings import MediaWarning, Warn

PART_S = 30  # seconds of sound that are measured at once
HEADER_ONLY = {"probesize": "4096"}  # bytes; of WAV, FFmpeg reads 1 MB by default, in 4 ms


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
    fingerprint : SoundFingerprint or None
        Fingerprint of the sound; None if it is not used.
    motion : MotionSignature or None
        Signature of the picture; None if it is not used, too short or does not move.
    """

    statistics: dict[str, float | str]
    sound_s: float | None = None
    warnings: tuple[MediaWarning, ...] = ()
    fingerprint: SoundFingerprint | None = None
    motion: MotionSignature | None = None


def measure_recording(
    path: Path, use: RecordingUse, tracker: FaceTracker | None = None
) -> RecordingMeasurement:
    """Measure a recording; its sound is decoded once, of its video the start and a few frames.

    Parameters
    ----------
    path : Path
        The recording.
    use : RecordingUse
        What is measured.
    tracker : FaceTracker, optional
        Finds the faces; without it they are not measured.

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
    info = None
    options = HEADER_ONLY if choose_reader(path).is_sndfile else {}
    with suppress(MediaError):  # libsndfile has some codecs that FFmpeg does not have
        info = probe(path, use.track, **options)
    statistics: dict[str, float | str] = {"length_s": length_s}
    if length_s > 0:
        statistics["bit_rate"] = 8 * path.stat().st_size / length_s
    sound_s, fingerprint, motion = None, None, None
    if use.face:
        video = measure_video(path, length_s, tracker, warn)
        motion = video.motion
        statistics |= _describe_video(info) | video.statistics
    if use.audio:
        source = SourceMeter(info.sample_rate, use.channel) if info and info.sample_rate else None
        sound_s, fingerprint = _measure_sound(path, use, warn, source)
        statistics |= _describe_sound(info) | (source.statistics() if source else {})
    if info is not None:
        statistics["container"] = info.container
    return RecordingMeasurement(statistics, sound_s, tuple(warnings), fingerprint, motion)


def _describe_sound(info: MediaInfo | None) -> dict[str, float | str]:
    if info is None:
        return {}
    return _known(
        audio_codec=info.audio_codec,
        sample_rate=info.sample_rate,
        channels=info.n_channels,
        bit_depth=info.bit_depth,
    )


def _describe_video(info: MediaInfo | None) -> dict[str, float | str]:
    if info is None:
        return {}
    return _known(
        video_codec=info.video_codec,
        width=info.width,
        height=info.height,
        frame_rate=info.frame_rate,
    )


def _known(**values: float | str | None) -> dict[str, float | str]:
    return {
        name: value if isinstance(value, str) else float(value)
        for name, value in values.items()
        if value is not None
    }


def _measure_sound(
    path: Path, use: RecordingUse, warn: Warn, source: SourceMeter | None
) -> tuple[float, SoundFingerprint]:
    meter, fingerprinter, part, n_part = SoundMeter(), Fingerprinter(), [], 0
    observe = source.observe if source else unobserved
    for block in decode_audio(
        path, track=use.track, channel=use.channel, warn=warn, observe=observe
    ):
        fingerprinter.update(block)
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
    return meter.seconds, fingerprinter.finish()


def _update(meter: SoundMeter, part: list[np.ndarray]) -> None:
    samples = np.concatenate(part)
    meter.update(samples, frame_levels([samples]))
