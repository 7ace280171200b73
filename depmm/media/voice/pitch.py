"""Pitch, voicing and harmonicity by autocorrelation.

The method is that of Praat: P. Boersma, "Accurate short-term analysis of the fundamental frequency
and the harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17, 1993, 97-110. It replaces
:func:`librosa.pyin` because it has the same gross pitch errors at about forty times the speed and
also gives the harmonics-to-noise ratio; ``docs/reference/measures.md`` contains the comparison.
"""

from dataclasses import dataclass

import numpy as np

from depmm.config import SAMPLE_RATE

HOP = SAMPLE_RATE // 100  # samples: frames at 100 Hz
PITCH_MIN_HZ, PITCH_MAX_HZ = 60.0, 500.0
_WINDOW = round(3 * SAMPLE_RATE / PITCH_MIN_HZ)  # samples; three periods of the lowest pitch
_N_FFT = 2048  # at least one and a half windows
# Boersma 1993, p. 105 ("costs" per 10 ms); the voicing threshold is the default of Praat
_VOICING_THRESHOLD = 0.45
_SILENCE_THRESHOLD = 0.03
_OCTAVE_COST = 0.01
_JUMP_COST = 0.35
_VOICING_COST = 0.14
_N_CANDIDATES = 6  # the unvoiced one included
_BLOCK = 512  # frames that are analysed at once


@dataclass(frozen=True)
class Pitch:
    """Pitch of the frames of a sound.

    Attributes
    ----------
    f0_hz : ndarray of float64, shape (N,)
        Fundamental frequency; NaN in unvoiced frames.
    harmonicity : ndarray of float64, shape (N,)
        Height of the peak of the autocorrelation at the period, the share of the energy that is
        periodic; NaN in unvoiced frames.
    """

    f0_hz: np.ndarray
    harmonicity: np.ndarray


def track_pitch(waveform: np.ndarray, peak: float | None = None) -> Pitch:
    """Find the pitch of frames of 10 ms.

    Parameters
    ----------
    waveform : ndarray of float32, shape (T,)
        Samples at 16 kHz.
    peak : float, optional
        Largest absolute value of the recording that the sound is a part of, against which silence
        is judged; by default that of the sound.

    Returns
    -------
    Pitch
        ``T // 160`` frames; frame ``i`` is centred on sample ``160 * i + 80``.

    References
    ----------
    Boersma 1993, equations 9 (division by the autocorrelation of the window), 23 and 24 (strengths
    of the candidates) and 27 (cost of a path).
    """
    n_frames = len(waveform) // HOP
    largest = float(np.abs(waveform).max(initial=0)) if peak is None else peak
    if not n_frames or not largest:
        return Pitch(np.full(n_frames, np.nan), np.full(n_frames, np.nan))
    padded = np.pad(np.asarray(waveform, np.float32), _WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)
    first = HOP // 2 + _WINDOW - _WINDOW // 2
    frames = frames[first : first + n_frames * HOP : HOP]
    parts = [
        _find_candidates(frames[start : start + _BLOCK], largest)
        for start in range(0, n_frames, _BLOCK)
    ]
    hz, strength, height = (np.concatenate(part) for part in zip(*parts, strict=True))
    best = _best_path(hz, strength)
    rows = np.arange(n_frames)
    voiced = hz[rows, best] > 0
    return Pitch(
        np.where(voiced, hz[rows, best], np.nan), np.where(voiced, height[rows, best], np.nan)
    )


def _find_candidates(frames: np.ndarray, peak: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frequency (0: unvoiced), strength and height of the candidates, each (N, C)."""
    lowest, highest = round(SAMPLE_RATE / PITCH_MAX_HZ), round(SAMPLE_RATE / PITCH_MIN_HZ)
    centred = frames - frames.mean(axis=1, keepdims=True)
    half = highest // 2
    middle = centred[:, _WINDOW // 2 - half : _WINDOW // 2 + half]
    level = np.abs(middle).max(axis=1) / peak
    correlation = _autocorrelation(centred, highest + 2)
    centre, left, right = correlation[:, 1:-1], correlation[:, :-2], correlation[:, 2:]
    lags = np.arange(1, highest + 1)
    is_peak = (centre > left) & (centre >= right) & (lags >= lowest)
    slope, bend = (right - left) / 2, np.where(is_peak, 2 * centre - left - right, 1)
    bend = np.maximum(bend, 1e-9)
    height = np.where(is_peak, centre + slope**2 / (2 * bend), 0)
    height = np.where(height > 1, 1 / np.maximum(height, 1), height)  # as Praat does for short lags
    lag = lags + np.where(is_peak, slope / bend, 0)
    is_candidate = height > _VOICING_THRESHOLD / 2
    strength = np.where(
        is_candidate, height - _OCTAVE_COST * np.log2(PITCH_MIN_HZ * lag / SAMPLE_RATE), -np.inf
    )
    chosen = np.argpartition(-strength, _N_CANDIDATES - 2, axis=1)[:, : _N_CANDIDATES - 1]
    unvoiced = _VOICING_THRESHOLD + np.maximum(
        0, 2 - level / (_SILENCE_THRESHOLD / (1 + _VOICING_THRESHOLD))
    )
    zeros = np.zeros((len(frames), 1))
    hz = np.where(is_candidate, SAMPLE_RATE / lag, 0)
    return (
        np.hstack([zeros, np.take_along_axis(hz, chosen, 1)]),
        np.hstack([unvoiced[:, None], np.take_along_axis(strength, chosen, 1)]),
        np.hstack([zeros, np.take_along_axis(height, chosen, 1)]),
    )


def _autocorrelation(frames: np.ndarray, n_lags: int) -> np.ndarray:
    """Compute the autocorrelation of windowed frames, divided by that of the window."""
    from scipy.fft import irfft, rfft

    window = np.hanning(_WINDOW + 2)[1:-1].astype(np.float32)
    of_window = irfft(np.abs(rfft(window, _N_FFT)) ** 2)[:n_lags]
    spectrum = rfft(frames * window, _N_FFT, axis=1)
    raw = irfft(spectrum.real**2 + spectrum.imag**2, _N_FFT, axis=1)[:, :n_lags]
    energy = raw[:, :1]
    normalised = raw / np.where(energy > 0, energy, 1)
    correlation: np.ndarray = normalised / (of_window / of_window[0])
    return correlation


def _best_path(hz: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Return the index of a candidate per frame, the path of largest strength minus cost."""
    voiced = hz > 0
    octaves = np.log2(np.where(voiced, hz, 1))
    total = strength[0]
    previous = np.zeros(hz.shape, np.int64)
    for i in range(1, len(hz)):
        both = voiced[i - 1][:, None] & voiced[i]
        jump = _JUMP_COST * np.abs(octaves[i - 1][:, None] - octaves[i])
        change = _VOICING_COST * (voiced[i - 1][:, None] != voiced[i])
        options = total[:, None] - np.where(both, jump, change)
        previous[i] = options.argmax(axis=0)
        total = options.max(axis=0) + strength[i]
    path = np.zeros(len(hz), np.int64)
    path[-1] = total.argmax()
    for i in range(len(hz) - 1, 0, -1):
        path[i - 1] = previous[i, path[i]]
    return path
