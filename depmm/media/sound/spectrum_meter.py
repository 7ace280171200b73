"""Bandwidth of a sound and mains hum, from its spectrum at the original sample rate."""

import functools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft, signal

BAND_HZ = 100
BANDS_BELOW = 4  # bands below an edge, whose median is compared with everything above it
EDGE_DB = 15.0  # natural slopes of a voice are below, steps of resamplers and codecs above
MIN_EDGE_HZ = 2_000  # the spectrum of a voice can have such a step below
EDGE_WIDTH = 0.05  # of the frequency of an edge
RANGE_DB = 120.0  # below the strongest band, a level is rounding noise
MAINS_HZ = (50, 60)
HARMONICS = np.arange(1, 6)
NEIGHBOURS_HZ = np.array([-12, -9, -6, 6, 9, 12])  # from the tone; each of them is 3 Hz wide


class SpectrumMeter:
    """Accumulate the power spectrum of a sound in windows of 1 s with an overlap of half.

    Parameters
    ----------
    rate : int
        Sample rate in Hz, at least 1000.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._hop = rate // 2
        self._window = _hann(rate)
        self._rest = np.zeros(0, np.float32)
        self._power = np.zeros(rate // 2 + 1)
        self._hum_db = np.zeros((len(MAINS_HZ), len(HARMONICS)))
        self._n_windows = self._n_hum = 0

    def update(self, samples: np.ndarray) -> None:
        """Add samples that follow those of the previous call.

        Parameters
        ----------
        samples : ndarray of float32, shape (T,)
            One channel.
        """
        samples = np.concatenate([self._rest, samples])
        n_windows = max(0, (len(samples) - self._rate) // self._hop + 1)
        self._rest = samples[n_windows * self._hop :]
        if n_windows:
            windows = sliding_window_view(samples, self._rate)[:: self._hop]
            self._add(windows * self._window)

    def _add(self, windows: np.ndarray) -> None:
        # bins of 1 Hz separate hum from the harmonics of a voice
        spectrum = fft.rfft(windows, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        self._n_windows += len(power)
        self._power += power.sum(axis=0, dtype=float)
        centres = np.outer(MAINS_HZ, HARMONICS)
        tones = _three_bins(power, centres)
        around = np.median(_three_bins(power, centres[..., None] + NEIGHBOURS_HZ), axis=-1)
        audible = (around > 0).all(axis=(1, 2)) & (tones > 0).all(axis=(1, 2))
        self._n_hum += int(audible.sum())
        self._hum_db += 10 * np.log10(tones[audible] / around[audible]).sum(axis=0, dtype=float)

    def hum_db(self) -> float | None:
        """Compute the prominence of mains hum.

        The level at each of the first five multiples of 50 and 60 Hz is compared with the median
        level of equal bands 6 to 12 Hz away. These differences are averaged over windows, which
        suppresses what is not stationary (a voice), and over the multiples. The larger of both
        means counts.

        Returns
        -------
        float or None
            dB, about 0 without hum; None for a sound shorter than 1 s or digital silence.
        """
        if not self._n_hum:
            return None
        return float((self._hum_db / self._n_hum).mean(axis=1).max())

    def bandwidth_hz(self) -> float | None:
        """Find the frequency at which the long-term spectrum ends.

        That is the highest frequency, from 2 kHz on, at which the level of the 400 Hz below is at
        least 15 dB above every band of 100 Hz that is more than 5 % higher; half the sample rate
        without such a step.

        Returns
        -------
        float or None
            Hz; None for digital silence.
        """
        power = self._power
        if not self._n_windows and len(self._rest) > 1:
            part = self._rest * _hann(len(self._rest))
            power = np.abs(fft.rfft(part, self._rate)) ** 2
        if not power.any():
            return None
        bands = power[: len(power) // BAND_HZ * BAND_HZ].reshape(-1, BAND_HZ).mean(axis=1)
        level_db = 10 * np.log10(np.maximum(bands, bands.max() * 10 ** (-RANGE_DB / 10)))
        above_db = np.maximum.accumulate(level_db[::-1])[::-1]
        below_db = np.median(sliding_window_view(level_db, BANDS_BELOW), axis=1)
        edges = np.arange(MIN_EDGE_HZ // BAND_HZ, len(level_db))  # number of bands below the edge
        first_above = np.ceil(edges * (1 + EDGE_WIDTH)).astype(int)
        edges = edges[first_above < len(level_db)]
        steps_db = below_db[edges - BANDS_BELOW] - above_db[first_above[: len(edges)]]
        ends = edges[steps_db >= EDGE_DB]
        return float(ends[-1] * BAND_HZ) if len(ends) else self._rate / 2


@functools.lru_cache(maxsize=2)  # for a corpus of short recordings
def _hann(length: int) -> np.ndarray:
    window: np.ndarray = signal.windows.hann(length, sym=False).astype(np.float32)
    return window


def _three_bins(power: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Sum the power of three bins, which contain a tone after a Hann window."""
    total: np.ndarray = power[:, centres - 1] + power[:, centres] + power[:, centres + 1]
    return total
