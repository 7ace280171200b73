"""Changes to training copies of a session; never to validation or test sessions."""

from dataclasses import dataclass

import numpy as np

from depmm.config import SAMPLE_RATE, AugmentConfig

PITCH_WINDOW = 1024  # samples; a shorter sound has no pitch to shift


@dataclass(frozen=True)
class Augmentation:
    """What one epoch does to one session; the same for all of its steps.

    Attributes
    ----------
    kept : [L] bool, the steps that are shown; a hidden step keeps its place
    hidden : modalities that are left out
    gain : factor on the sound
    noise : white noise in shares of each step's RMS
    semitones : shift of the pitch; durations stay
    mirrored : whether the faces are mirrored
    """

    kept: np.ndarray
    hidden: frozenset[str] = frozenset()
    gain: float = 1.0
    noise: float = 0.0
    semitones: float = 0.0
    mirrored: bool = False

    def sound(self, waveform: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Change the sound of a step, float32 [T]."""
        if self.semitones and len(waveform) >= PITCH_WINDOW:
            from librosa.effects import pitch_shift

            waveform = pitch_shift(
                waveform, sr=SAMPLE_RATE, n_steps=self.semitones, n_fft=PITCH_WINDOW
            ).astype(np.float32)
        if self.noise > 0 and rng is not None and len(waveform):
            level = self.noise * np.sqrt(np.mean(np.square(waveform)))
            white = rng.standard_normal(len(waveform), np.float32)
            waveform = waveform + np.float32(level) * white
        return waveform * np.float32(self.gain)

    def picture(self, crops: np.ndarray) -> np.ndarray:
        """Change the crops of a step, uint8 [T, 3, height, width]."""
        return crops[..., ::-1] if self.mirrored else crops


def draw_augmentation(
    settings: AugmentConfig, present: dict[str, np.ndarray], rng: np.random.Generator | None
) -> Augmentation:
    """Draw a session's changes; none without a generator.

    At least one step that has a signal is kept, and only a modality beside which another one
    remains is hidden.

    Parameters
    ----------
    settings : how much may change
    present : modality -> [L] bool, which steps have it
    rng : seeded by (seed, epoch, session); None at evaluation
    """
    count = len(next(iter(present.values())))
    if rng is None:
        return Augmentation(np.ones(count, bool))
    hidden: frozenset[str] = frozenset()
    available = sorted(name for name, there in present.items() if there.any())
    if rng.random() < settings.modality_dropout and len(available) > 1:
        hidden = frozenset([available[rng.integers(len(available))]])
    useful = np.any([there for name, there in present.items() if name not in hidden], axis=0)
    kept = rng.random(count) < rng.uniform(settings.keep_steps, 1.0)
    if not (kept & useful).any() and useful.any():
        kept[rng.choice(np.flatnonzero(useful))] = True
    return Augmentation(
        kept=kept,
        hidden=hidden,
        gain=10 ** (rng.uniform(-settings.gain_db, settings.gain_db) / 20),
        noise=rng.uniform(0, settings.noise),
        mirrored=bool(settings.flip and rng.random() < 0.5),
        semitones=_semitones(settings.pitch_semitones, rng),
    )


def _semitones(shifts: list[float], rng: np.random.Generator) -> float:
    """Each shift, up or down, and no shift at all are equally probable."""
    if not shifts:
        return 0.0
    return float(rng.choice([0.0, *shifts, *(-shift for shift in shifts)]))
