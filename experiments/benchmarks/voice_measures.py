"""Time the measures and the stream of the voice on one core, and compare pitch trackers.

    OMP_NUM_THREADS=1 python experiments/benchmarks/voice_measures.py [SOUND ...]

Printed are the gross pitch error (more than 20 % from the true pitch) and the share of frames with
a wrong voicing decision for synthetic voices with known pitch in noise; the seconds per minute of
sound and the ratio to real time of every part; and the memory of arrays that the stream of 5 and of
60 minutes needs. Without sound files, the timed sound is synthetic.
"""

import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import librosa
import numpy as np
import torch
from scipy.signal import lfilter, resample_poly
from torchaudio.functional import detect_pitch_frequency

from depmm.config import SAMPLE_RATE
from depmm.measures.voice import measure_voice
from depmm.media.sound.voice_activity import frame_levels, segments_of_levels
from depmm.media.voice.frame_spectrum import frame_spectra
from depmm.media.voice.perturbation import find_cycles
from depmm.media.voice.pitch import HOP, PITCH_MAX_HZ, PITCH_MIN_HZ, track_pitch
from depmm.store.voice_stream import compute_voice

MINUTE = 60 * SAMPLE_RATE
GLIDES_HZ = ((80, 120), (100, 180), (120, 90), (180, 260), (200, 350), (300, 420))
SILENCE_S, VOICE_S, EDGE_S = 0.3, 1.5, 0.02
Track = Callable[[np.ndarray], np.ndarray]


def synthesize(
    first_hz: float, middle_hz: float, snr_db: float, seed: int
) -> tuple[np.ndarray, ...]:
    """Make a glottal pulse train with vibrato through three formants, in pink noise.

    Returns the sound at 16 kHz and the pitch of its frames, 0 where there is no voice.
    """
    rng = np.random.default_rng(seed)
    rate = 4 * SAMPLE_RATE
    time_s = np.arange(int(VOICE_S * rate)) / rate
    glide = np.interp(time_s, [0, VOICE_S / 2, VOICE_S], np.log([first_hz, middle_hz, first_hz]))
    f0 = np.exp(glide) * (1 + 0.005 * np.sin(2 * np.pi * 5 * time_s))
    voice = np.diff(np.floor(np.cumsum(f0) / rate), prepend=0)
    for pole_hz in (100, 2000):  # the falling spectrum of the glottal source
        voice = lfilter([1], [1, -np.exp(-2 * np.pi * pole_hz / rate)], voice)
    for formant_hz, width_hz in (
        (rng.choice([300, 500, 700]), 80),
        (rng.choice([1100, 2100]), 90),
        (2600, 120),
    ):
        radius = np.exp(-np.pi * width_hz / rate)
        angle = 2 * np.pi * formant_hz / rate
        voice = lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], voice)
    voice = resample_poly(voice, 1, 4)
    seconds = np.arange(len(voice)) / SAMPLE_RATE
    voice *= np.interp(seconds, [0, EDGE_S, VOICE_S - EDGE_S, VOICE_S], [0, 1, 1, 0])
    voice = np.pad(0.5 * voice / np.abs(voice).max(), round(SILENCE_S * SAMPLE_RATE))
    noise = lfilter([1], [1, -0.9], rng.normal(size=len(voice)))
    noise *= np.sqrt(np.mean(voice**2) / np.mean(noise**2) / 10 ** (snr_db / 10))
    centre_s = (np.arange(len(voice) // HOP) + 0.5) / 100 - SILENCE_S
    voiced = (centre_s > EDGE_S) & (centre_s < VOICE_S - EDGE_S)
    return (voice + noise).astype(np.float32), np.where(voiced, np.interp(centre_s, time_s, f0), 0)


def pyin(waveform: np.ndarray) -> np.ndarray:
    """Track the pitch with probabilistic YIN; 0 where unvoiced."""
    f0, voiced, _ = librosa.pyin(
        waveform, fmin=PITCH_MIN_HZ, fmax=PITCH_MAX_HZ, sr=SAMPLE_RATE, frame_length=1024,
        hop_length=HOP,
    )  # fmt: skip
    pitch: np.ndarray = np.where(voiced, f0, 0)
    return pitch


def yin(waveform: np.ndarray) -> np.ndarray:
    """Track the pitch with YIN, which has no voicing decision."""
    pitch: np.ndarray = librosa.yin(
        waveform, fmin=PITCH_MIN_HZ, fmax=PITCH_MAX_HZ, sr=SAMPLE_RATE, frame_length=1024,
        hop_length=HOP,
    )  # fmt: skip
    return pitch


def torchaudio_pitch(waveform: np.ndarray) -> np.ndarray:
    """Track the pitch with torchaudio, which has no voicing decision."""
    sound = torch.from_numpy(waveform)[None]
    pitch: np.ndarray = detect_pitch_frequency(
        sound, SAMPLE_RATE, freq_low=round(PITCH_MIN_HZ), freq_high=round(PITCH_MAX_HZ)
    )[0].numpy()
    return pitch


def autocorrelation(waveform: np.ndarray) -> np.ndarray:
    """Track the pitch with depmm; 0 where unvoiced."""
    pitch: np.ndarray = np.nan_to_num(track_pitch(waveform).f0_hz)
    return pitch


TRACKERS: dict[str, Track] = {
    "depmm": autocorrelation,
    "librosa.pyin": pyin,
    "librosa.yin": yin,
    "torchaudio": torchaudio_pitch,
}


def compare_trackers() -> None:
    """Print gross pitch error and voicing error of the trackers, and their speed."""
    print("tracker          SNR dB   gross error %   voicing error %   x real time")
    for snr_db in (30, 15, 5):
        voices = [synthesize(*glide, snr_db, i) for i, glide in enumerate(GLIDES_HZ)]
        for name, track in TRACKERS.items():
            track(voices[0][0])  # compiles
            gross, voicing = [], []
            start = time.process_time()
            tracks = [track(sound) for sound, _ in voices]
            seconds = time.process_time() - start
            for pitch, (_, truth) in zip(tracks, voices, strict=True):
                n = min(len(pitch), len(truth))
                pitch, expected = pitch[:n], truth[:n]
                both = (pitch > 0) & (expected > 0)
                gross.append(np.mean(np.abs(pitch[both] / expected[both] - 1) > 0.2))
                voicing.append(np.mean((pitch > 0) != (expected > 0)))
            length_s = sum(len(sound) for sound, _ in voices) / SAMPLE_RATE
            print(
                f"{name:15}  {snr_db:6}   {100 * np.mean(gross):13.2f}   "
                f"{100 * np.mean(voicing):15.2f}   {length_s / seconds:11.0f}"
            )


def make_minutes(n_minutes: int) -> np.ndarray:
    """Repeat the synthetic voices to a recording."""
    voices = np.concatenate([synthesize(*glide, 25, i)[0] for i, glide in enumerate(GLIDES_HZ)])
    return np.resize(voices, n_minutes * MINUTE)


def read_files(paths: Iterable[str]) -> np.ndarray:
    """Read sound files one after the other."""
    return np.concatenate([librosa.load(Path(path), sr=SAMPLE_RATE)[0] for path in paths])


def time_parts(waveform: np.ndarray) -> None:
    """Print the time of every part."""
    length_s = len(waveform) / SAMPLE_RATE
    speech = segments_of_levels(frame_levels([waveform]), -35.0, 0.5, length_s)
    f0_hz = track_pitch(waveform).f0_hz
    steps = np.array([[0, len(waveform)]])
    parts: dict[str, Callable[[], object]] = {
        "pitch": lambda: track_pitch(waveform),
        "spectrum and MFCC": lambda: frame_spectra(waveform),
        "cycles": lambda: find_cycles(waveform, f0_hz),
        "all measures": lambda: measure_voice(waveform, speech),
        "stream": lambda: list(compute_voice(lambda a, b: waveform[a:b], steps)),
    }
    print(f"\n{length_s:.0f} s of sound; seconds per minute of sound, and ratio to real time")
    for name, part in parts.items():
        start = time.process_time()
        part()
        seconds = time.process_time() - start
        print(f"{name:18} {60 * seconds / length_s:6.2f} s {length_s / seconds:6.0f} x")


def stream_memory_mb(n_minutes: int) -> float:
    """Return the largest memory of arrays while the stream of a recording is computed."""
    minute = make_minutes(1)

    def read(first: int, end: int) -> np.ndarray:
        return np.take(minute, np.arange(first, end) % MINUTE)

    tracemalloc.start()
    for _ in compute_voice(read, np.array([[0, n_minutes * MINUTE]])):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # librosa warns of short frames
    torch.set_num_threads(1)
    compare_trackers()
    time_parts(read_files(sys.argv[1:]) if sys.argv[1:] else make_minutes(5))
    for minutes in (5, 60):
        print(f"stream of {minutes} minutes: {stream_memory_mb(minutes):.0f} MB of arrays at most")
