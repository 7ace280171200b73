"""Augmentation of training sessions; validation and test sessions are never changed."""

from dataclasses import dataclass

import numpy as np

from depmm.config import SAMPLE_RATE, AugmentConfig

PITCH_N_FFT = 1024  # samples; shorter sound is not shifted in pitch


@dataclass(frozen=True)
class Augmentation:
    """How one session is changed in one epoch; the same for all of its steps.

    Attributes
    ----------
    kept : ndarray of bool, shape (L,)
        The steps that are shown. A hidden step is masked, so the others keep their positions.
    hidden : frozenset of str
        Modalities that are left out.
    gain : float
        Factor of the samples.
    noise : float
        Standard deviation of white noise, as a share of the RMS of each step.
    semitones : float
        Shift of the pitch; the duration does not change.
    mirrored : bool
        Whether the faces are mirrored.
    """

    kept: np.ndarray
    hidden: frozenset[str] = frozenset()
    gain: float = 1.0
    noise: float = 0.0
    semitones: float = 0.0
    mirrored: bool = False

    def apply_to_audio(self, waveform: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Change the sound of a step.

        Parameters
        ----------
        waveform : ndarray of float32, shape (T,)
            Samples at 16 kHz.
        rng : Generator or None
            Draws the noise; None adds none.

        Returns
        -------
        ndarray of float32, shape (T,)
            The changed samples.
        """
        if self.semitones and len(waveform) >= PITCH_N_FFT:
            from librosa.effects import pitch_shift

            waveform = pitch_shift(
                waveform, sr=SAMPLE_RATE, n_steps=self.semitones, n_fft=PITCH_N_FFT
            ).astype(np.float32)
        if self.noise > 0 and rng is not None and len(waveform):
            level = self.noise * np.sqrt(np.mean(np.square(waveform)))
            white = rng.standard_normal(len(waveform), np.float32)
            waveform = waveform + np.float32(level) * white
        return waveform * np.float32(self.gain)

    def apply_to_crops(self, crops: np.ndarray) -> np.ndarray:
        """Change the crops of a step.

        Parameters
        ----------
        crops : ndarray of uint8, shape (T, 3, height, width)
            RGB.

        Returns
        -------
        ndarray of uint8, shape (T, 3, height, width)
            The changed crops.
        """
        return crops[..., ::-1] if self.mirrored else crops


def draw_augmentation(
    settings: AugmentConfig, present: dict[str, np.ndarray], rng: np.random.Generator | None
) -> Augmentation:
    """Draw the augmentation of a session.

    At least one step with a signal is kept, and a modality is only hidden if another one remains.

    Parameters
    ----------
    settings : AugmentConfig
        How much may change.
    present : dict of str to ndarray of bool, shape (L,)
        Which steps have each modality.
    rng : Generator or None
        Seeded by (seed, epoch, session); None, as at evaluation, changes nothing.

    Returns
    -------
    Augmentation
        The changes.
    """
    n_steps = len(next(iter(present.values())))
    if rng is None:
        return Augmentation(np.ones(n_steps, bool))
    hidden: frozenset[str] = frozenset()
    available = sorted(name for name, steps in present.items() if steps.any())
    if rng.random() < settings.modality_dropout and len(available) > 1:
        hidden = frozenset([available[rng.integers(len(available))]])
    has_signal = np.any([steps for name, steps in present.items() if name not in hidden], axis=0)
    kept = rng.random(n_steps) < rng.uniform(settings.keep_steps, 1.0)
    if not (kept & has_signal).any() and has_signal.any():
        kept[rng.choice(np.flatnonzero(has_signal))] = True
    return Augmentation(
        kept=kept,
        hidden=hidden,
        gain=10 ** (rng.uniform(-settings.gain_db, settings.gain_db) / 20),
        noise=rng.uniform(0, settings.noise),
        mirrored=bool(settings.flip and rng.random() < 0.5),
        semitones=_draw_semitones(settings.pitch_semitones, rng),
    )


def _draw_semitones(shifts: list[float], rng: np.random.Generator) -> float:
    """Draw a shift; each one, upwards or downwards, and no shift are equally probable."""
    if not shifts:
        return 0.0
    return float(rng.choice([0.0, *shifts, *(-shift for shift in shifts)]))
