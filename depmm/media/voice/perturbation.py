"""Perturbation of period and amplitude from one cycle of the voice to the next."""

from dataclasses import dataclass

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.voice.pitch import HOP, PITCH_MIN_HZ

MAX_PERIOD_FACTOR = 1.3  # Praat's defaults: neighbours that differ more are not compared
MAX_AMPLITUDE_FACTOR = 1.6
_MIN_CORRELATION = 0.3  # of a cycle with the next; below it, the chain of cycles ends
_PADDING = round(SAMPLE_RATE / PITCH_MIN_HZ)  # samples
_MIN_LAG, _MAX_LAG = 0.8, 1.25  # periods: where the next cycle is searched


@dataclass(frozen=True)
class Cycles:
    """Cycles of the voice.

    Attributes
    ----------
    period_s : ndarray of float64, shape (N,)
        Length of each cycle in seconds.
    amplitude : ndarray of float64, shape (N,)
        Distance between the highest and the lowest sample within half a period of each mark.
    follows : ndarray of bool, shape (N,)
        Whether a cycle starts where the previous one ends.
    """

    period_s: np.ndarray
    amplitude: np.ndarray
    follows: np.ndarray


def find_cycles(waveform: np.ndarray, f0_hz: np.ndarray) -> Cycles:
    """Find the cycles of voiced frames.

    The first mark of a voiced stretch is its largest sample within one period. Each further mark is
    where the waveform around the previous one correlates best with itself, one period later
    (Praat's "To PointProcess (cc)"), interpolated by a parabola between samples.

    Parameters
    ----------
    waveform : ndarray of float32, shape (T,)
        Samples at 16 kHz.
    f0_hz : ndarray, shape (T // 160,)
        Fundamental frequency of the frames; NaN where unvoiced.

    Returns
    -------
    Cycles
        The cycles, in order.
    """
    padded = np.pad(waveform, _PADDING)  # so that the first cycle has half a period before it
    voiced = np.isfinite(f0_hz)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], voiced, [False]]).astype(int)))
    periods: list[float] = []
    amplitudes: list[float] = []
    follows: list[bool] = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        _follow_cycles(padded, f0_hz, (start, end), periods, amplitudes, follows)
    return Cycles(
        np.array(periods) / SAMPLE_RATE, np.array(amplitudes, float), np.array(follows, bool)
    )


def _follow_cycles(
    waveform: np.ndarray,
    f0_hz: np.ndarray,
    frames: tuple[int, int],
    periods: list[float],
    amplitudes: list[float],
    follows: list[bool],
) -> None:
    """Append the cycles of one voiced stretch."""
    first, end = _PADDING + frames[0] * HOP, _PADDING + frames[1] * HOP
    period = SAMPLE_RATE / f0_hz[frames[0]]
    mark = first + float(np.abs(waveform[first : first + int(period) + 1]).argmax())
    connected = False
    while True:
        period = SAMPLE_RATE / f0_hz[min((int(mark) - _PADDING) // HOP, frames[1] - 1)]
        half = int(period / 2)
        centre = round(mark)
        lowest, highest = int(_MIN_LAG * period), int(_MAX_LAG * period) + 1
        if centre + highest + half + 1 > end:
            return
        template = waveform[centre - half : centre + half + 1].astype(np.float64)
        other = waveform[centre + lowest - half : centre + highest + half + 1].astype(np.float64)
        energy = np.cumsum(np.concatenate([[0.0], other**2]))
        energy = energy[len(template) :] - energy[: -len(template)]
        scale = np.sqrt(np.maximum(energy * (template @ template), 1e-30))
        correlation = np.correlate(other, template, "valid") / scale
        best = int(correlation.argmax())
        inside = 0 < best < len(correlation) - 1
        if not inside or correlation[best] < _MIN_CORRELATION:
            connected = False
            mark += period
            continue
        left, top, right = correlation[best - 1 : best + 2]
        lag = lowest + best + (right - left) / 2 / max(2 * top - left - right, 1e-12)
        cycle = waveform[centre - half : centre + half + 1]
        periods.append(lag)
        amplitudes.append(float(cycle.max() - cycle.min()))
        follows.append(connected)
        connected = True
        mark = centre + lag  # the template is at whole samples, and the lag relative to it


def jitter_percent(cycles: Cycles) -> float:
    """Compute the mean difference of neighbouring periods relative to the mean period.

    Parameters
    ----------
    cycles : Cycles
        Cycles of the voice.

    Returns
    -------
    float
        Per cent, ``100 * mean(abs(T[i] - T[i - 1])) / mean(T)`` as "Jitter (local)" of Praat; NaN
        without two neighbouring cycles.
    """
    before, after = _neighbours(cycles, cycles.period_s, MAX_PERIOD_FACTOR)
    if not len(before):
        return float("nan")
    return float(100 * np.abs(after - before).mean() / ((before + after) / 2).mean())


def shimmer_db(cycles: Cycles) -> float:
    """Compute the mean difference of neighbouring amplitudes.

    Parameters
    ----------
    cycles : Cycles
        Cycles of the voice.

    Returns
    -------
    float
        dB, ``mean(abs(20 * log10(A[i] / A[i - 1])))`` as "Shimmer (local, dB)" of Praat; NaN
        without two neighbouring cycles.
    """
    before, after = _neighbours(cycles, cycles.amplitude, MAX_AMPLITUDE_FACTOR)
    if not len(before):
        return float("nan")
    return float(np.abs(20 * np.log10(after / before)).mean())


def _neighbours(
    cycles: Cycles, values: np.ndarray, max_factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return values of neighbouring cycles that differ by less than a factor."""
    follows = cycles.follows[1:]
    before, after = values[:-1][follows], values[1:][follows]
    low, high = np.minimum(before, after), np.maximum(before, after)
    close = (low > 0) & (high < max_factor * low)
    return before[close], after[close]
