"""Level, spectral shape and MFCC of frames of 25 ms at 100 Hz."""

import functools

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.voice.pitch import HOP

FRAME = SAMPLE_RATE // 40  # samples: 25 ms
N_FFT = 512
N_MELS = 40
N_MFCC = 13  # coefficients 1 to 13; coefficient 0 is the level, which has its own measures
DELTA_WIDTH = 9  # frames
_BLOCK = 4096  # frames that are analysed at once
_DYNAMIC_RANGE = (
    1e-8  # 80 dB: weaker mel bands of a frame are raised to this share of its strongest
)
SHAPES = (
    "spectral_slope_low",
    "spectral_slope_mid",
    "alpha_ratio",
    "hammarberg_index",
    "spectral_centroid",
)


def frame_levels_db(waveform: np.ndarray) -> np.ndarray:
    """Compute the level of frames.

    Parameters
    ----------
    waveform : ndarray of float32, shape (T,)
        Samples at 16 kHz.

    Returns
    -------
    ndarray of float64, shape (T // 160,)
        Root mean square in dB re full scale; NaN for digital silence.
    """
    parts = [(frames**2).mean(axis=1, dtype=np.float64) for frames in _frame_blocks(waveform)]
    power = np.concatenate([np.zeros(0), *parts])
    return 10 * np.log10(np.where(power > 0, power, np.nan))


def frame_spectra(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute spectral shape and MFCC of frames.

    Parameters
    ----------
    waveform : ndarray of float32, shape (T,)
        Samples at 16 kHz.

    Returns
    -------
    shapes : ndarray of float64, shape (T // 160, 5)
        The values that ``SHAPES`` names; NaN for digital silence.
    mfcc : ndarray of float64, shape (T // 160, 13)
        MFCC 1 to 13; NaN for digital silence.
    """
    shapes, mfcc = [np.zeros((0, len(SHAPES)))], [np.zeros((0, N_MFCC))]
    for frames in _frame_blocks(waveform):
        spectrum = np.fft.rfft(frames * np.hanning(FRAME + 1)[:-1], N_FFT, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        silent = ~(power.sum(axis=1) > 0)
        for values, of_block in ((_shapes(power), shapes), (_mfcc(power), mfcc)):
            values[silent] = np.nan
            of_block.append(values)
    return np.concatenate(shapes), np.concatenate(mfcc)


def mfcc_deltas(mfcc: np.ndarray) -> np.ndarray:
    """Compute the slope of the MFCC over nine frames.

    Parameters
    ----------
    mfcc : ndarray, shape (N, 13)
        One row per frame.

    Returns
    -------
    ndarray of float64, shape (N, 13)
        Change per frame, the slope of a regression line as in :func:`librosa.feature.delta`; NaN
        where one of the nine frames is NaN or outside of the sound.
    """
    half = DELTA_WIDTH // 2
    weights = np.arange(-half, half + 1) / (2 * np.square(np.arange(1, half + 1)).sum())
    deltas = np.full(mfcc.shape, np.nan)
    if len(mfcc) >= DELTA_WIDTH:
        windows = np.lib.stride_tricks.sliding_window_view(mfcc, DELTA_WIDTH, axis=0)
        deltas[half : len(mfcc) - half] = windows @ weights
    return deltas


def _frame_blocks(waveform: np.ndarray) -> list[np.ndarray]:
    """Return views of frames, (N, 400) each, centred on sample ``160 * i + 80``."""
    n_frames = len(waveform) // HOP
    if not n_frames:
        return []
    padded = np.pad(np.asarray(waveform, np.float32), FRAME)
    first = FRAME + HOP // 2 - FRAME // 2
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)
    frames = frames[first : first + n_frames * HOP : HOP]
    return [frames[start : start + _BLOCK] for start in range(0, n_frames, _BLOCK)]


def _shapes(power: np.ndarray) -> np.ndarray:
    hz = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)
    db = 10 * np.log10(np.maximum(power, 1e-20))
    total = np.maximum(power.sum(axis=1), 1e-30)

    def slope(low: float, high: float) -> np.ndarray:
        band = (hz > low) & (hz <= high)  # without the constant component
        khz = hz[band] / 1000
        weights = (khz - khz.mean()) / np.square(khz - khz.mean()).sum()
        result: np.ndarray = db[:, band] @ weights
        return result

    def band_db(low: float, high: float) -> np.ndarray:
        energy = power[:, (hz >= low) & (hz < high)].sum(axis=1)
        result: np.ndarray = 10 * np.log10(np.maximum(energy, 1e-20))
        return result

    peak_low = db[:, hz < 2000].max(axis=1)
    peak_high = db[:, (hz >= 2000) & (hz < 5000)].max(axis=1)
    return np.column_stack(
        [
            slope(0, 500),
            slope(500, 1500),
            band_db(50, 1000) - band_db(1000, 5000),
            peak_low - peak_high,
            power @ hz / total,
        ]
    )


def _mfcc(power: np.ndarray) -> np.ndarray:
    from scipy.fft import dct

    mel = power @ _mel_filters()
    lowest = np.maximum(_DYNAMIC_RANGE * mel.max(axis=1, keepdims=True), 1e-30)
    db = 10 * np.log10(np.maximum(mel, lowest))
    mfcc: np.ndarray = dct(db, axis=1, norm="ortho")[:, 1 : N_MFCC + 1]
    return mfcc


@functools.cache
def _mel_filters() -> np.ndarray:
    """Return the triangular filters of librosa (Slaney's scale and norm), (257, 40)."""
    from librosa.filters import mel

    filters: np.ndarray = mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS).T
    return filters
