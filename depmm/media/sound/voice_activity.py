"""Voice activity detection by the energy of short frames.

A frame is speech if its level is close to the loud level of the recording, so that the result does
not depend on the gain of the microphone.
"""

import math
from array import array
from collections.abc import Iterable

import numpy as np

from depmm.config import SAMPLE_RATE

FRAME_S, HOP_S = 0.025, 0.010
LOUD_PERCENTILE = 95.0  # of the frame levels: the level of speech in a recording
DIGITAL_SILENCE_DB = -80.0  # re full scale; a recording with a lower loud level has no sound
GRAIN = 80  # samples (5 ms): levels are computed for grains; frame and hop are multiples of it


def frame_levels(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Compute the level of frames of 25 ms every 10 ms.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (T,)
        Samples at 16 kHz, block by block.

    Returns
    -------
    ndarray of float64, shape (F,)
        dB re full scale (a full-scale square wave has 0 dB); one frame for anything shorter than a
        frame, none for no samples.
    """
    meter = FrameLevels()
    for block in blocks:
        meter.update(block)
    return meter.finish()


class FrameLevels:
    """Compute :func:`frame_levels` of a sound that is given block by block."""

    def __init__(self) -> None:
        self._grains = array("d")  # mean squares
        self._rest = np.zeros(0, np.float64)

    def update(self, block: np.ndarray) -> None:
        """Add samples that follow those of the previous call.

        Parameters
        ----------
        block : ndarray, shape (T,)
            Samples at 16 kHz.
        """
        samples = np.concatenate([self._rest, block.astype(np.float64)])
        whole = len(samples) // GRAIN * GRAIN
        self._grains.frombytes((samples[:whole].reshape(-1, GRAIN) ** 2).mean(axis=1).tobytes())
        self._rest = samples[whole:]

    def finish(self) -> np.ndarray:
        """Compute the levels of all samples.

        Returns
        -------
        ndarray of float64, shape (F,)
            As for :func:`frame_levels`.
        """
        rest = [(self._rest**2).mean()] if len(self._rest) else []
        energy = np.concatenate([np.frombuffer(self._grains), rest])
        width, hop = round(FRAME_S * SAMPLE_RATE / GRAIN), round(HOP_S * SAMPLE_RATE / GRAIN)
        if len(energy) > width:
            energy = np.lib.stride_tricks.sliding_window_view(energy, width)[::hop].mean(axis=1)
        elif len(energy):
            energy = energy.mean(keepdims=True)
        levels: np.ndarray = 10 * np.log10(np.maximum(energy, 1e-12))
        return levels


def find_loud_level(levels: np.ndarray) -> float:
    """Find the loud level of a recording, that of its speech.

    Parameters
    ----------
    levels : ndarray, shape (F,)
        :func:`frame_levels` of the whole recording, or of all parts that are used.

    Returns
    -------
    float
        Their 95th percentile, dB re full scale; minus infinity without a frame.
    """
    return float(np.percentile(levels, LOUD_PERCENTILE)) if len(levels) else -math.inf


def segments_of_levels(
    levels: np.ndarray,
    loud_db: float,
    silence_db: float,
    min_silence_s: float,
    duration_s: float,
) -> np.ndarray:
    """Find the segments of speech from the levels of :func:`frame_levels`.

    Parameters
    ----------
    levels : ndarray, shape (F,)
        dB re full scale.
    loud_db : float
        The loud level of the recording, see :func:`find_loud_level`. If less than a twentieth of a
        recording is speech, it is the level of the background, and no frame is silent.
    silence_db : float
        A frame whose level is this far (negative) below the loud level is silent.
    min_silence_s : float
        Pauses shorter than this, in seconds, are joined with the speech around them.
    duration_s : float
        Length of the part in seconds; the last frame reaches to its end.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Start and end of each segment in seconds, ascending and disjoint; no row for digital
        silence, and for a part without speech.
    """
    if loud_db < DIGITAL_SILENCE_DB:
        return np.zeros((0, 2))
    speech = np.concatenate([[False], levels > loud_db + silence_db, [False]])
    edges = np.flatnonzero(speech[1:] != speech[:-1])
    if not len(edges):
        return np.zeros((0, 2))
    # a frame represents the hop around its centre; the first and last include the edges
    times = edges * HOP_S + (FRAME_S - HOP_S) / 2
    times[edges == 0] = 0.0
    times[edges == len(levels)] = duration_s
    starts, ends = times[::2], times[1::2]
    apart = starts[1:] - ends[:-1] >= min_silence_s
    return np.stack([starts[np.r_[True, apart]], ends[np.r_[apart, True]]], axis=1)
