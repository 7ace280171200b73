"""Recovery of planted bandwidth, noise and mains hum by the statistics of recordings.

Command: ``python experiments/benchmarks/statistics/recording_statistics.py RAVDESS`` with the
folder of the recordings (``*/*.flac``, 16 kHz). About 30 s on one core. Of every speaker, four
recordings are taken that were not used when the thresholds of the measurements were chosen. They
are scaled to -26 dB, changed in one way, and stored with 16 bits. Printed is, for each change, the
median and the range of the measured value.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import soxr
import torch
import torchaudio
from scipy import signal

from depmm.media.sound.source_meter import SourceMeter

RATE = 16_000
SPEECH_DB = -26.0
EDGES_HZ = (3400, 5000, 7000)
NOISE_DB = (-60.0, -50.0, -40.0)
HUM_DB = (-40.0, -30.0, -20.0)  # of the five tones together, re speech
Change = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, int]]


def measure(samples: np.ndarray, rate: int) -> dict[str, float]:
    """Measure a sound that is stored with 16 bits."""
    stored = np.round(np.clip(samples, -1, 32_767 / 32_768) * 32_768) / 32_768
    meter = SourceMeter(rate)
    meter.observe(lambda block: block[0])(stored[None].astype(np.float32))
    return meter.statistics()


def load(folder: Path, n_per_speaker: int = 4) -> list[np.ndarray]:
    """Load recordings of every speaker, scaled to the same level."""
    sounds = []
    files = sorted(folder.glob("*/*.flac"))
    # every eighth recording was used to choose how hum is measured
    unused = [path for index, path in enumerate(files) if index % 8]
    for speaker in sorted({path.parent for path in unused}):
        own = [path for path in unused if path.parent == speaker]
        for path in own[1 :: len(own) // n_per_speaker][:n_per_speaker]:
            samples = soundfile.read(path)[0]
            sounds.append(samples * 10 ** (SPEECH_DB / 20) / samples.std())
    return sounds


def filtered(coefficients: np.ndarray, is_iir: bool = False) -> Change:
    """Filter, forward and backward."""

    def change(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        if is_iir:
            return signal.sosfiltfilt(coefficients, x), RATE
        return signal.fftconvolve(x, coefficients, mode="same"), RATE

    return change


def low_passes(edge: int) -> Iterator[tuple[str, Change]]:
    """Yield low-pass filters with this edge, from steep to gradual."""
    yield "FIR, 511 taps", filtered(signal.firwin(511, edge, fs=RATE))
    yield "FIR, 101 taps", filtered(signal.firwin(101, edge, fs=RATE))
    for name, design in (
        ("elliptic, order 8", signal.ellip(8, 0.1, 60, edge, fs=RATE, output="sos")),
        ("Butterworth, order 8 twice", signal.butter(8, edge, fs=RATE, output="sos")),
        ("Butterworth, order 2 twice", signal.butter(2, edge, fs=RATE, output="sos")),
    ):
        yield name, filtered(design, is_iir=True)
    yield (
        "soxr, to a lower rate and back",
        lambda x, rng: (soxr.resample(soxr.resample(x, RATE, 2 * edge), 2 * edge, RATE), RATE),
    )


def _linear(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.interp(np.arange(6 * len(x)) / 6, np.arange(len(x)), x))


def _torchaudio(x: np.ndarray, width: int) -> np.ndarray:
    resampled = torchaudio.functional.resample(
        torch.from_numpy(x), 8_000, 48_000, lowpass_filter_width=width
    )
    return np.asarray(resampled)


TELEPHONE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    **{
        f"soxr {quality}": partial(soxr.resample, in_rate=8_000, out_rate=48_000, quality=quality)
        for quality in ("VHQ", "HQ", "MQ", "LQ", "QQ")
    },
    "scipy resample (Fourier)": lambda x: signal.resample(x, 6 * len(x)),
    "scipy resample_poly": lambda x: signal.resample_poly(x, 6, 1),
    "torchaudio, width 6": lambda x: _torchaudio(x, 6),
    "torchaudio, width 64": lambda x: _torchaudio(x, 64),
    "linear interpolation": _linear,
}


def telephone(convert: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Record at 8 kHz with 16 bits, and convert to 48 kHz."""

    def change(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        low = np.round(soxr.resample(x, RATE, 8_000) * 32_768) / 32_768
        return convert(low), 48_000

    return change


def noisy(level_db: float) -> Change:
    """Add white noise."""
    return lambda x, rng: (x + 10 ** (level_db / 20) * rng.normal(size=len(x)), RATE)


def humming(mains_hz: int, level_db: float) -> Change:
    """Add five harmonics of equal level, slightly off their frequency, with random phases."""

    def change(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        times = np.arange(len(x)) / RATE
        frequencies = mains_hz * np.arange(1, 6) * (1 + 0.0005 * rng.normal())
        phases = rng.uniform(0, 2 * np.pi, 5)
        tones = np.sin(2 * np.pi * np.outer(frequencies, times) + phases[:, None]).sum(axis=0)
        return x + tones * np.sqrt(2 / 5) * 10 ** ((SPEECH_DB + level_db) / 20), RATE

    return change


def studies() -> Iterator[tuple[str, str, Sequence[str], Change]]:
    """Yield what is planted, how, the columns that are read, and the change."""
    unchanged: Change = lambda x, rng: (x, RATE)  # noqa: E731
    yield "nothing", "", ("bandwidth_hz", "noise_floor_db", "snr_db", "hum_db"), unchanged
    for edge in EDGES_HZ:
        for how, change in low_passes(edge):
            yield f"low-pass {edge} Hz", how, ("bandwidth_hz",), change
    for how, convert in TELEPHONE.items():
        yield "8 kHz in 48 kHz", how, ("bandwidth_hz",), telephone(convert)
    for level_db in NOISE_DB:
        name = f"noise {level_db:g} dB"
        yield (
            name,
            f"{SPEECH_DB - level_db:g} dB below speech",
            ("noise_floor_db", "snr_db"),
            noisy(level_db),
        )
    for mains_hz in (50, 60):
        for level_db in HUM_DB:
            yield f"hum {mains_hz} Hz", f"{level_db:g} dB", ("hum_db",), humming(mains_hz, level_db)


def recover(sounds: Sequence[np.ndarray], seed: int = 0) -> pd.DataFrame:
    """Measure every change of every sound; one row per change and column."""
    rows = []
    for planted, how, columns, change in studies():
        rng = np.random.default_rng(seed)
        found = pd.DataFrame([measure(*change(sound, rng)) for sound in sounds])
        for column in columns:
            values = found[column]
            low, median, high = values.quantile([0, 0.5, 1]).tolist()
            p5, p95 = values.quantile([0.05, 0.95]).tolist()
            rows.append((planted, how, column, median, low, p5, p95, high))
    names = ["planted", "how", "column", "median", "min", "p5", "p95", "max"]
    return pd.DataFrame(rows, columns=names)


if __name__ == "__main__":
    recordings = load(Path(sys.argv[1]))
    print(f"{len(recordings)} recordings")
    print(recover(recordings).round(1).to_string(index=False))
