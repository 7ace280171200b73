"""Fingerprints of sound that survive encoding, gain, trimming and noise.

Local maxima of the spectrogram are paired with the next ones, and a pair is one number: two
frequencies and the time between them [1]_. Copies of a sound have many equal pairs at one shift of
time; other sounds, also of the same speaker and with the same words, have not. Frequencies up to
3.4 kHz are used, so that copies with the bandwidth of a telephone are found.

The number of pairs is limited, and the memory therefore does not depend on the length of a
recording: pairs are kept by their value, so that two copies keep the same ones.

References
----------
.. [1] Wang, "An industrial-strength audio search algorithm", ISMIR 2003, Sec. 2.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft, signal

from depmm.config import SAMPLE_RATE

HOP = 256  # samples, 16 ms
N_FFT = 1024
LOWEST_BIN, HIGHEST_BIN = 13, 218  # 200 to 3,400 Hz
NEIGHBOURHOOD = (15, 31)  # frames and bins in which a peak is the maximum: 240 ms, 480 Hz
RANGE_DB = 40.0  # peaks more than this below the loudest one of their part are left out
N_PARTNERS = 5  # pairs of each peak with the next ones
MAX_GAP = 63  # frames between the two peaks of a pair, 1 s
MAX_PAIRS = 1024  # kept pairs of a recording
PART_S = 30  # seconds that are analysed at once
FFT_FRAMES = 128  # frames that are transformed at once: 512 KiB, which fit into a cache
_MIXER = np.uint32(2654435761)  # odd number that spreads neighbouring values (Knuth 1998, 6.4)


@dataclass(frozen=True)
class SoundFingerprint:
    """Pairs of spectral peaks of a recording.

    Attributes
    ----------
    pairs : ndarray of uint32, shape (N,)
        Two frequencies and the time between them, as one number.
    frames : ndarray of int32, shape (N,)
        Time of the first peak, in frames of 16 ms.
    stride : int
        Pairs whose mixed value is a multiple of this power of two were kept.
    """

    pairs: NDArray[np.uint32]
    frames: NDArray[np.int32]
    stride: int = 1

    def thinned(self, stride: int) -> "SoundFingerprint":
        """Keep the pairs that a fingerprint of another stride keeps.

        Parameters
        ----------
        stride : int
            Power of two, at least the stride of this fingerprint.

        Returns
        -------
        SoundFingerprint
            The fingerprint with this stride.
        """
        kept = _is_kept(self.pairs, stride)
        return SoundFingerprint(self.pairs[kept], self.frames[kept], stride)


class Fingerprinter:
    """Compute the fingerprint of a sound that is given part by part.

    Parts of ``PART_S`` seconds are analysed with the last second of the part before, in which the
    first peak of a pair may lie.
    """

    def __init__(self) -> None:
        self._waiting: list[NDArray[np.float32]] = []
        self._n_waiting = 0
        self._first_frame = 0
        self._found = SoundFingerprint(np.empty(0, np.uint32), np.empty(0, np.int32))

    def update(self, samples: NDArray[np.float32]) -> None:
        """Add samples.

        Parameters
        ----------
        samples : ndarray of float32, shape (T,)
            Sound at 16 kHz.
        """
        self._waiting.append(samples)
        self._n_waiting += len(samples)
        if self._n_waiting >= (PART_S + 2) * SAMPLE_RATE:
            self._analyse(last=False)

    def finish(self) -> SoundFingerprint:
        """Analyse the rest and return the fingerprint.

        Returns
        -------
        SoundFingerprint
            Fingerprint of all samples.
        """
        if self._n_waiting >= N_FFT:
            self._analyse(last=True)
        return self._found

    def _analyse(self, last: bool) -> None:
        samples = np.concatenate(self._waiting)
        pairs, frames = _pair_peaks(*_find_peaks(samples))
        n_frames = PART_S * SAMPLE_RATE // HOP
        if not last:
            # later pairs are found with the next part, which begins before their first peak
            pairs, frames = pairs[frames < n_frames], frames[frames < n_frames]
        found = SoundFingerprint(
            np.concatenate([self._found.pairs, pairs]),
            np.concatenate([self._found.frames, frames + np.int32(self._first_frame)]),
            self._found.stride,
        ).thinned(self._found.stride)
        while len(found.pairs) > MAX_PAIRS:
            found = found.thinned(2 * found.stride)
        self._found = found
        self._first_frame += n_frames
        self._waiting = [samples[n_frames * HOP :]]
        self._n_waiting = len(self._waiting[0])


def _is_kept(pairs: NDArray[np.uint32], stride: int) -> NDArray[np.bool_]:
    with np.errstate(over="ignore"):
        mixed = (pairs * _MIXER) >> np.uint32(8)
    return np.asarray(mixed % np.uint32(stride) == 0)


def _find_peaks(samples: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find local maxima of the spectrogram; return their frames, in order, and bins."""
    # scipy.signal.ShortTimeFFT transforms the frames one by one, which takes 7 times as long, and
    # scipy.ndimage.maximum_filter takes 15 times as long as OpenCV
    window = signal.windows.hann(N_FFT, sym=False).astype(np.float32)
    windows = sliding_window_view(samples, N_FFT)[::HOP]
    power = np.empty((len(windows), HIGHEST_BIN + 1 - LOWEST_BIN), np.float32)
    for start in range(0, len(windows), FFT_FRAMES):
        part = slice(start, start + FFT_FRAMES)
        spectrum = fft.rfft(windows[part] * window, axis=1)[:, LOWEST_BIN : HIGHEST_BIN + 1]
        power[part] = spectrum.real**2 + spectrum.imag**2
    loudest = power.max(initial=0.0)
    if not loudest:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    is_peak = power == cv2.dilate(power, np.ones(NEIGHBOURHOOD, np.uint8))
    is_peak &= power > loudest * 10 ** (-RANGE_DB / 10)
    frames, bins = np.nonzero(is_peak)
    return frames, bins


def _pair_peaks(
    frames: NDArray[np.int64], bins: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Pair each peak with the next ones at other frequencies."""
    pairs, starts = [np.empty(0, np.uint32)], [np.empty(0, np.int32)]
    for ahead in range(1, N_PARTNERS + 1):
        gap = frames[ahead:] - frames[:-ahead]
        first, second = bins[:-ahead], bins[ahead:]
        usable = (gap > 0) & (gap <= MAX_GAP) & (first != second)  # hum repeats one frequency
        value = (first << 14 | second << 6 | gap)[usable]
        pairs.append(value.astype(np.uint32))
        starts.append(frames[:-ahead][usable].astype(np.int32))
    return np.concatenate(pairs), np.concatenate(starts)
