"""Contours of a voice at 100 Hz: pitch, voicing, level, spectral shape and MFCC.

======================  ========  ==============================================================
column                  unit      meaning
======================  ========  ==============================================================
pitch                   semitone  12 log2(f0 / 27.5 Hz), see :mod:`depmm.media.voice.pitch`
voicing                 1         1 for voiced, 0 for unvoiced frames
harmonicity             1         autocorrelation at the period
loudness                dB        level relative to the loud level of the recording (95th
                                  percentile), so that the gain of the microphone cancels
spectral_slope_low      dB/kHz    slope of the spectrum, 0 to 500 Hz
spectral_slope_mid      dB/kHz    slope of the spectrum, 500 to 1500 Hz
alpha_ratio             dB        energy of 50 to 1000 Hz relative to 1000 to 5000 Hz
hammarberg_index        dB        peak below 2000 Hz relative to 2000 to 5000 Hz
spectral_centroid       Hz        mean frequency
mfcc_1 ... mfcc_13      dB        MFCC without the level
mfcc_1_delta ...        dB/frame  their slopes over nine frames
======================  ========  ==============================================================

Frame ``i`` is centred on sample ``160 * i + 80`` of its step. Values that are undefined are NaN,
that is, invalid: pitch and harmonicity of unvoiced frames, slopes in the first and last four
frames of a step, and all values of digital silence.
"""

from collections.abc import Callable, Iterator

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.voice.frame_spectrum import (
    N_MFCC,
    SHAPES,
    frame_levels_db,
    frame_spectra,
    mfcc_deltas,
)
from depmm.media.voice.pitch import HOP, track_pitch

CONTOURS = (
    "pitch",
    "voicing",
    "harmonicity",
    "loudness",
    *SHAPES,
    *(f"mfcc_{i}" for i in range(1, N_MFCC + 1)),
    *(f"mfcc_{i}_delta" for i in range(1, N_MFCC + 1)),
)
FRAMES_PER_SECOND = SAMPLE_RATE // HOP
SEMITONE_REFERENCE_HZ = 27.5  # as in eGeMAPS
_BLOCK = 60 * SAMPLE_RATE  # samples: the memory that is needed does not depend on the length
_CONTEXT = SAMPLE_RATE  # samples before and after a block, for the path of the pitch

ReadSamples = Callable[[int, int], np.ndarray]  # first and end sample -> float32, shape (T,)


def count_frames(n_samples: int) -> int:
    """Return the number of frames of a step.

    Parameters
    ----------
    n_samples : int
        Samples at 16 kHz.

    Returns
    -------
    int
        Number of whole frames of 10 ms.
    """
    return n_samples // HOP


def voice_contours(read: ReadSamples, n_samples: int, loud_db: float) -> Iterator[np.ndarray]:
    """Compute the contours of a step in blocks of a minute.

    Parameters
    ----------
    read : callable
        Function that returns the samples of the step from a first to an end sample, at 16 kHz.
    n_samples : int
        Length of the step.
    loud_db : float
        Loud level of the recording in dB re full scale, to which the loudness is relative.

    Yields
    ------
    ndarray of float32, shape (N, 35)
        Rows of consecutive frames, with the columns of ``CONTOURS``.
    """
    starts = range(0, count_frames(n_samples) * HOP, _BLOCK)
    peak = max(
        (np.abs(read(a, min(a + _BLOCK, n_samples))).max(initial=0) for a in starts), default=0
    )
    for start in starts:
        end = min(start + _BLOCK, n_samples)
        first, last = max(start - _CONTEXT, 0), min(end + _CONTEXT, n_samples)
        rows = _contours(read(first, last), float(peak), loud_db)
        yield rows[(start - first) // HOP : count_frames(end - first)]


def _contours(waveform: np.ndarray, peak: float, loud_db: float) -> np.ndarray:
    pitch = track_pitch(waveform, peak)
    level = frame_levels_db(waveform)
    shapes, mfcc = frame_spectra(waveform)
    rows = np.column_stack(
        [
            12 * np.log2(pitch.f0_hz / SEMITONE_REFERENCE_HZ),
            np.isfinite(pitch.f0_hz),
            pitch.harmonicity,
            level - loud_db,
            shapes,
            mfcc,
            mfcc_deltas(mfcc),
        ]
    )
    rows[np.isnan(level)] = np.nan
    return rows.astype(np.float32)
