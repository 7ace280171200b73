"""Measures of the voice of a step."""

import warnings

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.measures.measure import Measure
from depmm.media.voice.contours import SEMITONE_REFERENCE_HZ
from depmm.media.voice.frame_spectrum import (
    N_MFCC,
    frame_levels_db,
    frame_spectra,
    mfcc_deltas,
)
from depmm.media.voice.perturbation import find_cycles, jitter_percent, shimmer_db
from depmm.media.voice.pitch import HOP, track_pitch
from depmm.media.voice.speech_rate import count_nuclei, describe_pauses

_PITCH = "Boersma 1993; semitones are 12 log2(f0 / 27.5 Hz), as in eGeMAPS (Eyben et al. 2016)."
_SPECTRUM = (
    "Mean over voiced frames of 25 ms, Hann window. Defined as in eGeMAPS (Eyben et al. 2016), "
    "whose frames have 20 ms and a Hamming window."
)
_PAUSE = "Pauses are the gaps between the stored segments of speech (extract.audio.min_silence_s)."


def _measures(group: str, *entries: tuple[str, str, str]) -> list[Measure]:
    return [Measure(name, "audio", group, unit, text) for name, unit, text in entries]


VOICE_MEASURES: tuple[Measure, ...] = (
    *_measures(
        "pitch",
        ("pitch_mean", "semitones", f"Mean pitch of voiced frames. {_PITCH}"),
        ("pitch_std", "semitones", f"Standard deviation of the pitch of voiced frames. {_PITCH}"),
        ("pitch_range", "semitones", f"80th minus 20th percentile of the pitch. {_PITCH}"),
    ),
    *_measures(
        "voicing",
        ("voiced_share", "1", "Voiced frames divided by frames of speech. Boersma 1993."),
        (
            "harmonicity",
            "dB",
            "Mean of 10 log10(r / (1 - r)) over voiced frames, where r is the autocorrelation at "
            "the period (harmonics-to-noise ratio). Boersma 1993, equation 4.",
        ),
    ),
    *_measures(
        "loudness",
        (
            "loudness_mean",
            "dB",
            "Mean level of frames of speech, root mean square of 25 ms re full scale. It depends "
            "on the gain of the microphone.",
        ),
        ("loudness_std", "dB", "Standard deviation of the level of frames of speech."),
        ("loudness_range", "dB", "80th minus 20th percentile of the level of frames of speech."),
    ),
    *_measures(
        "perturbation",
        (
            "jitter",
            "%",
            "100 mean(|T[i] - T[i-1]|) / mean(T) of neighbouring periods T, Praat's jitter "
            "(local). In running speech, it also contains intonation; norms of sustained vowels "
            "do not apply.",
        ),
        (
            "shimmer",
            "dB",
            "mean(|20 log10(A[i] / A[i-1])|) of the peak-to-peak amplitudes A of neighbouring "
            "periods, Praat's shimmer (local, dB). In running speech, it also contains changes "
            "of loudness and vowel.",
        ),
    ),
    *_measures(
        "spectrum",
        (
            "spectral_slope_low",
            "dB/kHz",
            f"Slope of the regression line of the power spectrum in dB, 0 to 500 Hz. {_SPECTRUM}",
        ),
        (
            "spectral_slope_mid",
            "dB/kHz",
            f"The same for 500 to 1500 Hz. {_SPECTRUM}",
        ),
        (
            "alpha_ratio",
            "dB",
            f"Energy of 50 to 1000 Hz relative to that of 1000 to 5000 Hz. {_SPECTRUM}",
        ),
        (
            "hammarberg_index",
            "dB",
            "Strongest bin below 2000 Hz relative to the strongest of 2000 to 5000 Hz. "
            f"{_SPECTRUM}",
        ),
        (
            "spectral_centroid",
            "Hz",
            "Mean frequency, weighted with the power of each bin, over voiced frames of 25 ms, "
            "Hann window.",
        ),
    ),
    *(
        measure
        for i in range(1, N_MFCC + 1)
        for measure in _measures(
            "mfcc",
            (f"mfcc_{i}_mean", "dB", f"Mean of MFCC {i} over frames of speech: DCT-II "
             "(orthonormal) of 40 mel bands in dB, as librosa.feature.mfcc."),
            (f"mfcc_{i}_std", "dB", f"Standard deviation of MFCC {i} over frames of speech."),
            (f"mfcc_{i}_delta_std", "dB/frame", f"Standard deviation of the slope of MFCC {i} "
             "over nine frames (librosa.feature.delta) whose frames are all speech. The mean of "
             "slopes is the difference of the ends and is left out."),
        )
    ),
    *_measures(
        "rate",
        (
            "speech_rate",
            "1/s",
            "Syllable nuclei per second from the start of the first to the end of the last "
            "segment of speech. Nuclei are voiced peaks of the level (de Jong & Wempe 2009).",
        ),
        ("articulation_rate", "1/s", "Syllable nuclei per second of speech, without pauses."),
    ),
    *_measures(
        "pauses",
        ("pause_rate", "1/s", f"Pauses per second of the time of speech_rate. {_PAUSE}"),
        ("pause_mean", "s", f"Mean length of pauses; missing without a pause. {_PAUSE}"),
        ("pause_share", "1", f"Length of all pauses divided by the time of speech_rate. {_PAUSE}"),
    ),
)  # fmt: skip


def measure_voice(waveform: np.ndarray, speech: np.ndarray) -> np.ndarray:
    """Measure the voice of a step.

    All measures but ``loudness_mean`` are the same for any gain of the microphone, and none depends
    on silence before or after the speech.

    Parameters
    ----------
    waveform : ndarray of float32, shape (T,)
        Samples at 16 kHz.
    speech : ndarray, shape (S, 2)
        Start and end of the segments of speech, seconds from the start of the step, ascending.

    Returns
    -------
    ndarray of float64, shape (K,)
        One value per entry of ``VOICE_MEASURES``; NaN where a measure is undefined, for example
        the pitch of a step without a voiced frame.
    """
    segments = np.asarray(speech, np.float64).reshape(-1, 2)
    waveform = np.asarray(waveform, np.float32)
    n_frames = len(waveform) // HOP
    is_speech = speech_frames(segments, n_frames)
    pitch = track_pitch(waveform)
    f0_hz = np.where(is_speech, pitch.f0_hz, np.nan)
    voiced = np.isfinite(f0_hz)
    level = frame_levels_db(waveform)
    shapes, mfcc = frame_spectra(waveform)
    semitones = 12 * np.log2(f0_hz[voiced] / SEMITONE_REFERENCE_HZ)
    periodic = np.clip(pitch.harmonicity[voiced], 1e-6, 1 - 1e-6)
    cycles = find_cycles(waveform, f0_hz)
    nuclei = count_nuclei(waveform, voiced, is_speech)
    speech_s = float((segments[:, 1] - segments[:, 0]).sum())
    span_s = float(segments[-1, 1] - segments[0, 0]) if len(segments) else 0.0
    with warnings.catch_warnings():  # means of nothing are NaN, as documented
        warnings.simplefilter("ignore", RuntimeWarning)
        values = [
            *_mean_std_range(semitones),
            voiced.sum() / is_speech.sum() if is_speech.any() else np.nan,
            (10 * np.log10(periodic / (1 - periodic))).mean(),
            *_mean_std_range(level[is_speech]),
            jitter_percent(cycles),
            shimmer_db(cycles),
            *np.nanmean(shapes[voiced], axis=0),
            *_mfcc_measures(mfcc, is_speech),
            nuclei / span_s if span_s > 0 else np.nan,
            nuclei / speech_s if speech_s > 0 else np.nan,
            *describe_pauses(segments),
        ]
    assert len(values) == len(VOICE_MEASURES)
    return np.array(values, np.float64)


def speech_frames(speech: np.ndarray, n_frames: int) -> np.ndarray:
    """Find the frames whose centre is inside of a segment of speech.

    Parameters
    ----------
    speech : ndarray of float64, shape (S, 2)
        Start and end of the segments in seconds.
    n_frames : int
        Number of frames of 10 ms.

    Returns
    -------
    ndarray of bool, shape (n_frames,)
        True for frames of speech.
    """
    centre_s = (np.arange(n_frames) * HOP + HOP / 2) / SAMPLE_RATE
    index = np.searchsorted(speech[:, 0], centre_s, side="right") - 1
    inside = index >= 0
    inside[inside] = centre_s[inside] < speech[index[inside], 1]
    return inside


def _mean_std_range(values: np.ndarray) -> list[float]:
    """Return mean, standard deviation, and 80th minus 20th percentile."""
    values = values[np.isfinite(values)]
    if not len(values):
        return [np.nan] * 3
    low, high = np.percentile(values, [20, 80])
    return [float(values.mean()), float(values.std()), float(high - low)]


def _mfcc_measures(mfcc: np.ndarray, is_speech: np.ndarray) -> np.ndarray:
    of_speech = mfcc[is_speech]
    slopes = mfcc_deltas(np.where(is_speech[:, None], mfcc, np.nan))
    table = [np.nanmean(of_speech, axis=0), np.nanstd(of_speech, axis=0), np.nanstd(slopes, axis=0)]
    return np.stack(table, axis=1).ravel()
