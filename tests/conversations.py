"""Synthetic conversations: two voices of pulses that take turns, and the times of the turns."""

from pathlib import Path

import numpy as np
import soundfile
import torch
from voices import SR, pulses

PITCH_HZ = (110.0, 220.0)
TURNS = [  # start, end, speaker
    (0.5, 2.5, 1), (3.0, 7.0, 0), (7.6, 9.4, 1), (10.0, 14.0, 0), (14.5, 16.5, 1), (17.0, 21.0, 0),
    (21.5, 23.5, 1), (24.0, 28.0, 0),
]  # fmt: skip


def voice(speaker: int, seconds: float, seed: int = 0) -> np.ndarray:
    """Generate syllables of a pitch that varies by some percent."""
    rng = np.random.default_rng(seed)
    period_s = 1 / PITCH_HZ[speaker]
    wave = pulses(period_s * rng.normal(1, 0.02, int(seconds / period_s) + 3), n_harmonics=8)
    time_s = np.arange(round(seconds * SR)) / SR
    syllables = 0.6 + 0.4 * np.cos(2 * np.pi * 4 * time_s)
    return (0.5 * wave[: len(time_s)] * syllables[: len(wave)]).astype(np.float32)


def conversation(
    turns: list[tuple[float, float, int]] = TURNS, seconds: float = 29.0, noise: float = 1e-4
) -> np.ndarray:
    """Generate a conversation, shape (2, T): the voice of each speaker, with noise."""
    rng = np.random.default_rng(0)
    sound = noise * rng.standard_normal((2, round(seconds * SR)))
    for index, (start, end, speaker) in enumerate(turns):
        first = round(start * SR)
        part = voice(speaker, end - start, index)
        sound[speaker, first : first + len(part)] += part
    return np.asarray(sound, np.float32)


def crosstalk(sound: np.ndarray, decibels: float) -> np.ndarray:
    """Add the other voice to each channel, more quietly."""
    return np.asarray(sound + 10 ** (decibels / 20) * sound[::-1], np.float32)


def write_sound(path: Path, sound: np.ndarray) -> Path:
    """Write mono (T,) or several channels (C, T) at 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound.T, SR)
    return path


def matches(turns, expected=TURNS, tolerance_s=0.2):
    """Tell whether turns have these times; names of speakers are compared up to exchange."""
    if len(turns) != len(expected):
        return False
    near = all(
        abs(turn.start_s - start) <= tolerance_s and abs(turn.end_s - end) <= tolerance_s
        for turn, (start, end, _) in zip(turns, expected, strict=True)
    )
    pairs = {(turn.speaker, speaker) for turn, (_, _, speaker) in zip(turns, expected, strict=True)}
    return near and len(pairs) == len({speaker for _, _, speaker in expected})


def write_speaker_model(folder: Path) -> Path:
    """Write a tiny model with an x-vector head and random weights."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForXVector

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8, 8), conv_kernel=(10, 8), conv_stride=(8, 40), num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2, tdnn_dim=(16, 16), tdnn_kernel=(3, 1),
        tdnn_dilation=(1, 1), xvector_output_dim=12,
    )  # fmt: skip
    Wav2Vec2ForXVector(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    return folder
