"""Synthetic voices with known cycles, for tests of voice measures and contours."""

from pathlib import Path

import numpy as np
from recordings import KEY, SETTINGS

from depmm.store.sessions import SessionStore

SR = 16_000


def pulses(periods_s, amplitudes=None, peak=0.0, n_harmonics=12):
    """Return a voice with exactly these periods, whose harmonics fall by 6 dB per octave.

    The largest sample of a cycle is at its start (``peak`` 0) or middle (0.5).
    """
    ends = np.concatenate([[0], np.cumsum(periods_s)])
    time_s = np.arange(int(ends[-1] * SR)) / SR
    cycle = np.searchsorted(ends, time_s, side="right") - 1
    phase = 2 * np.pi * ((time_s - ends[cycle]) / np.asarray(periods_s)[cycle] - peak)
    wave = sum(np.cos(k * phase) / k for k in range(1, n_harmonics + 1))
    if amplitudes is not None:
        wave = wave * np.asarray(amplitudes)[cycle]
    return (0.1 * wave).astype(np.float32)


def write_voices(
    root: Path, voices: list[np.ndarray], key: tuple[str, str, str] = KEY, **changes: object
) -> SessionStore:
    """Write a session with one step per voice, all of it speech."""
    store = SessionStore(root, SETTINGS)
    ends = np.cumsum([len(voice) for voice in voices])
    samples = np.stack([ends - [len(voice) for voice in voices], ends], axis=1)
    is_long = samples[:, 1] > samples[:, 0]
    summary = {
        "n_steps": len(voices), "step_start_s": (samples[:, 0] / SR).tolist(),
        "audio_s": int(ends[-1]) / SR, "n_frames": 0, "n_frames_with_face": 0,
        "n_steps_with_text": 0,
        "streams": {}, "warnings": [], "source_hash": "", "source_files": {},
        "steps_hash": "", **changes,
    }  # fmt: skip
    with store.writer() as writer:
        sound = np.concatenate(voices)
        writer.append("audio.waveform", (sound * 32767).astype(np.int16))
        writer.append("audio.step_samples", samples.astype(np.int64))
        writer.append("audio.speech", (samples[is_long] / SR).astype(np.float32))
        writer.append("audio.speech_step", np.flatnonzero(is_long).astype(np.int32))
        store.put(writer.save(summary), store.path(*key))
    return store
