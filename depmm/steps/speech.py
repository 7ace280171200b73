"""Steps from speech: one step for each segment of voice activity."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from depmm.config import SAMPLE_RATE, ExtractConfig
from depmm.media.sound.audio import decode_audio
from depmm.media.sound.silero_vad import (
    FRAME,
    MissingSileroError,
    find_weights,
    speech_probabilities,
)
from depmm.media.sound.speech_segments import (
    SegmentRules,
    add_margins,
    apply_rules,
    segments_of_probabilities,
)
from depmm.media.sound.voice_activity import (
    find_loud_level,
    frame_levels,
    segments_of_levels,
)
from depmm.steps.recordings import Recording
from depmm.steps.table import Step

BACKGROUND_PERCENTILE = 10.0  # of the frame levels: the level of pauses


@dataclass(frozen=True)
class Speech:
    """The speech of a recording.

    Attributes
    ----------
    segments : ndarray of float64, shape (n, 2)
        Start and end of each segment in seconds, without margins.
    probabilities : ndarray of float32, shape (F,), or None
        Probability of speech every 32 ms; None for the energy detector.
    duration_s : float
        Length of the sound in seconds.
    """

    segments: np.ndarray
    probabilities: np.ndarray | None
    duration_s: float


Detector = Callable[[Iterable[np.ndarray]], Speech]
"""Finds the speech in blocks of samples at 16 kHz."""


def choose_detector(name: str | None = None) -> tuple[Detector, str | None]:
    """Return a detector of speech.

    Parameters
    ----------
    name : {"silero", "energy"}, optional
        By default Silero VAD if its package is installed, otherwise energy.

    Returns
    -------
    detector : callable
        The detector.
    note : str or None
        A warning if energy replaces Silero VAD.

    Raises
    ------
    MissingSileroError
        If Silero VAD is requested and not installed.
    """
    if name == "energy":
        return detect_by_energy, None
    try:
        find_weights()
    except MissingSileroError as error:
        if name is not None:
            raise
        return detect_by_energy, (
            f"warning: {error} Speech is detected by energy, which takes loud noise for speech."
        )
    return detect_by_silero, None


def detect_by_silero(blocks: Iterable[np.ndarray]) -> Speech:
    """Detect speech by Silero VAD.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, shape (T,)
        Samples at 16 kHz.

    Returns
    -------
    Speech
        The speech.
    """
    counted = _Counted(blocks)
    probabilities = speech_probabilities(counted)
    segments = segments_of_probabilities(probabilities, counted.duration_s)
    return Speech(segments, probabilities, counted.duration_s)


def detect_by_energy(blocks: Iterable[np.ndarray]) -> Speech:
    """Detect speech by the level of frames.

    A frame is speech if it is less than 35 dB below the loud level of the recording, as in
    extraction by default, and above the middle between this level and that of the background.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, shape (T,)
        Samples at 16 kHz.

    Returns
    -------
    Speech
        The speech, without probabilities.
    """
    counted = _Counted(blocks)
    levels = frame_levels(counted)
    loud_db, threshold_db = find_loud_level(levels), ExtractConfig().audio.silence_db
    if len(levels):
        # halfway between background and speech, where the background is louder than the default
        background_db = float(np.percentile(levels, BACKGROUND_PERCENTILE))
        threshold_db = max(threshold_db, (background_db - loud_db) / 2)
    segments = segments_of_levels(levels, loud_db, threshold_db, 0.0, counted.duration_s)
    return Speech(segments, None, counted.duration_s)


class _Counted:
    """Iterate over blocks, and count their samples."""

    def __init__(self, blocks: Iterable[np.ndarray]) -> None:
        self._blocks = blocks
        self.duration_s = 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        n_samples = 0
        for block in self._blocks:
            n_samples += len(block)
            yield block
        self.duration_s = n_samples / SAMPLE_RATE


def read_speech(recording: Recording, detector: Detector) -> Speech:
    """Detect the speech of a recording.

    Parameters
    ----------
    recording : Recording
        The recording, which is decoded block by block.
    detector : callable
        From `choose_detector`.

    Returns
    -------
    Speech
        The speech.

    Raises
    ------
    MediaError
        If the sound cannot be decoded.
    """
    return detector(decode_audio(recording.file, track=recording.track, channel=recording.channel))


def find_speech(
    recording: Recording, detector: Detector, rules: SegmentRules | None = None
) -> Iterator[Step]:
    """Find the steps of a recording: its segments of speech, with pauses and confidence.

    Parameters
    ----------
    recording : Recording
        The recording.
    detector : callable
        From `choose_detector`.
    rules : SegmentRules, optional
        Shortest segments and pauses, and margins.

    Yields
    ------
    Step
        A segment with its margins. ``pause_before_s`` does not include margins; ``confidence`` is
        the mean probability of speech.

    Raises
    ------
    MediaError
        If the sound cannot be decoded.
    """
    rules = rules or SegmentRules()
    speech = read_speech(recording, detector)
    segments = apply_rules(speech.segments, rules)
    longer = add_margins(segments, rules.margin_s, speech.duration_s)
    previous_end_s = None
    for (start_s, end_s), (first_s, last_s) in zip(segments, longer, strict=True):
        yield Step(
            recording.path,
            float(first_s),
            float(last_s),
            confidence=_confidence(speech, start_s, end_s),
            pause_before_s=None if previous_end_s is None else float(start_s - previous_end_s),
        )
        previous_end_s = end_s


def _confidence(speech: Speech, start_s: float, end_s: float) -> float | None:
    if speech.probabilities is None:
        return None
    first, last = round(start_s * SAMPLE_RATE / FRAME), -(-round(end_s * SAMPLE_RATE) // FRAME)
    return float(speech.probabilities[first:last].mean())
