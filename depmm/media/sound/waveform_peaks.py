"""The largest samples of equal parts of a recording, for drawings of its sound."""

import numpy as np

from depmm.config import SAMPLE_RATE


class WaveformPeaks:
    """Collect the largest absolute sample of each of equal parts of a recording.

    Parameters
    ----------
    duration_s : float
        Length of the recording, in seconds.
    n_parts : int
        Number of parts.

    Attributes
    ----------
    values : ndarray of float32, shape (n_parts,)
        Largest absolute sample of each part; NaN for parts without samples.

    Examples
    --------
    >>> peaks = WaveformPeaks(2.0, 2)
    >>> peaks.update(np.array([0.5, -0.75]), start_s=0.0)
    >>> peaks.values.tolist()
    [0.75, nan]
    """

    def __init__(self, duration_s: float, n_parts: int) -> None:
        self.values = np.full(n_parts, np.nan, np.float32)
        self._parts_per_second = n_parts / max(duration_s, 1e-3)

    def update(self, samples: np.ndarray, start_s: float) -> None:
        """Add a part of the sound; parts may overlap and come in any order.

        Parameters
        ----------
        samples : ndarray, shape (T,)
            Samples at 16 kHz.
        start_s : float
            Time of the first sample, in seconds.
        """
        n_parts = len(self.values)
        if not len(samples) or not n_parts:
            return
        per_sample = self._parts_per_second / SAMPLE_RATE
        first = start_s * self._parts_per_second
        last = first + per_sample * (len(samples) - 1)
        parts = np.arange(int(np.floor(first)), int(np.floor(last)) + 1)
        starts = np.ceil((parts - first) / per_sample).clip(0, len(samples) - 1).astype(np.int64)
        largest = np.maximum.reduceat(np.abs(samples), starts).astype(np.float32)
        inside = (parts >= 0) & (parts < n_parts)
        np.fmax.at(self.values, parts[inside], largest[inside])
