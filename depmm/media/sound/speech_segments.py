"""Segments of speech in a recording, from Silero VAD or from the energy of frames."""

from dataclasses import dataclass

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.sound.silero_vad import FRAME

THRESHOLD = 0.5  # probability at which speech starts, as in the package silero-vad
END_THRESHOLD = 0.35  # and below which it ends


@dataclass(frozen=True)
class SegmentRules:
    """Shortest segments and pauses, and margins.

    Attributes
    ----------
    min_speech_s : float
        Segments shorter than this are left out.
    min_pause_s : float
        Pauses shorter than this are part of the segment around them.
    margin_s : float
        Seconds added before and after each segment; the margins of two segments meet in the
        middle of a shorter pause.
    """

    min_speech_s: float = 0.25
    min_pause_s: float = 0.3
    margin_s: float = 0.05


def segments_of_probabilities(probabilities: np.ndarray, duration_s: float) -> np.ndarray:
    """Find segments of speech in the probabilities of `silero_vad.speech_probabilities`.

    Parameters
    ----------
    probabilities : ndarray, shape (F,)
        Probability of speech of every 512 samples at 16 kHz.
    duration_s : float
        Length of the recording in seconds.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Start and end of each segment in seconds, ascending and disjoint. A segment starts with a
        probability of at least 0.5 and ends before the first that is below 0.35.
    """
    # a frame between the thresholds continues the state before it
    state = np.where(probabilities >= THRESHOLD, 1, np.where(probabilities < END_THRESHOLD, 0, -1))
    known = np.maximum.accumulate(np.where(state >= 0, np.arange(len(state)), -1))
    speech = np.concatenate([[0], np.where(known >= 0, state[np.maximum(known, 0)], 0), [0]])
    edges = np.flatnonzero(np.diff(speech)) * (FRAME / SAMPLE_RATE)
    segments: np.ndarray = np.minimum(edges.reshape(-1, 2), duration_s)
    return segments


def apply_rules(segments: np.ndarray, rules: SegmentRules) -> np.ndarray:
    """Join segments over short pauses, then leave out short segments.

    Parameters
    ----------
    segments : ndarray of float64, shape (n, 2)
        Start and end in seconds, ascending and disjoint.
    rules : SegmentRules
        Shortest pause and segment; margins are not added.

    Returns
    -------
    ndarray of float64, shape (m, 2)
        The remaining segments.
    """
    if not len(segments):
        return segments
    starts, ends = segments[:, 0], segments[:, 1]
    apart = starts[1:] - ends[:-1] >= rules.min_pause_s
    joined = np.stack([starts[np.r_[True, apart]], ends[np.r_[apart, True]]], axis=1)
    long: np.ndarray = joined[joined[:, 1] - joined[:, 0] >= rules.min_speech_s]
    return long


def add_margins(segments: np.ndarray, margin_s: float, duration_s: float) -> np.ndarray:
    """Add margins that neither overlap nor leave the recording.

    Parameters
    ----------
    segments : ndarray of float64, shape (n, 2)
        Start and end in seconds, ascending and disjoint.
    margin_s : float
        Seconds before and after each segment.
    duration_s : float
        Length of the recording in seconds.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        The longer segments.
    """
    if not len(segments):
        return segments
    half_s = (segments[1:, 0] - segments[:-1, 1]) / 2
    before = np.minimum(margin_s, np.r_[segments[0, 0], half_s])
    after = np.minimum(margin_s, np.r_[half_s, max(0.0, duration_s - segments[-1, 1])])
    return np.stack([segments[:, 0] - before, segments[:, 1] + after], axis=1)
