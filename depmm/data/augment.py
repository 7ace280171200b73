"""Augmentation of training sessions; validation and test sessions are not augmented."""

from dataclasses import dataclass

import numpy as np

from depmm.config import SAMPLE_RATE, AugmentConfig

PITCH_N_FFT = 1024  # samples; the pitch of shorter sound is not shifted


@dataclass(frozen=True)
class Augmentation:
    """Augmentation of one session in one epoch; the same for all of its steps.

    Attributes
    ----------
    step_mask : ndarray of bool, shape (L,)
        The steps that are read. Other steps are masked, so that the positions do not change.
    dropped_modalities : frozenset of str
        Modalities that are masked in all steps.
    gain : float
        Factor by which samples are multiplied.
    relative_noise : float
        Standard deviation of white noise, as a share of the RMS of each step.
    noise_amplitude : float
        Standard deviation of white noise in units of the samples, whose range is [-1, 1].
    semitones : float
        Shift of the pitch, negative to lower it; the duration does not change.
    mirrored : bool
        Whether the faces are mirrored.
    """

    step_mask: np.ndarray
    dropped_modalities: frozenset[str] = frozenset()
    gain: float = 1.0
    relative_noise: float = 0.0
    noise_amplitude: float = 0.0
    semitones: float = 0.0
    mirrored: bool = False

    def keeps(self, modality: str) -> np.ndarray:
        """Find the steps in which a modality is not masked.

        Parameters
        ----------
        modality : str
            Name of the modality.

        Returns
        -------
        ndarray of bool, shape (L,)
            Marks these steps.
        """
        return self.step_mask & (modality not in self.dropped_modalities)

    def apply_to_audio(self, waveform: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Change the sound of a step.

        Parameters
        ----------
        waveform : ndarray of float32, shape (T,)
            Samples at 16 kHz.
        rng : Generator or None
            Generator of the noise; None adds no noise.

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
        if self.relative_noise > 0 and rng is not None and len(waveform):
            level = self.relative_noise * np.sqrt(np.mean(np.square(waveform)))
            white = rng.standard_normal(len(waveform), np.float32)
            waveform = waveform + np.float32(level) * white
        if self.noise_amplitude > 0 and rng is not None:
            white = rng.standard_normal(len(waveform), np.float32)
            waveform = waveform + np.float32(self.noise_amplitude) * white
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

    At least one step with a signal is kept, and a modality is only dropped if another one remains.

    Parameters
    ----------
    settings : AugmentConfig
        Ranges and probabilities of the changes.
    present : dict of str to ndarray of bool, shape (L,)
        Which steps have each modality.
    rng : Generator or None
        Seeded by (seed, epoch, session). None, as for evaluation, applies no augmentation.

    Returns
    -------
    Augmentation
        The augmentation.
    """
    n_steps = len(next(iter(present.values())))
    if rng is None:
        return Augmentation(np.ones(n_steps, bool))
    dropped: frozenset[str] = frozenset()
    available = sorted(name for name, steps in present.items() if steps.any())
    if rng.random() < settings.modality_dropout and len(available) > 1:
        dropped = frozenset([available[rng.integers(len(available))]])
    has_signal = np.any([steps for name, steps in present.items() if name not in dropped], axis=0)
    step_mask = rng.random(n_steps) < rng.uniform(settings.keep_steps, 1.0)
    if not (step_mask & has_signal).any() and has_signal.any():
        step_mask[rng.choice(np.flatnonzero(has_signal))] = True
    gain = 10 ** (rng.uniform(-settings.gain_db, settings.gain_db) / 20)
    relative_noise = rng.uniform(0, settings.relative_noise)
    mirrored = bool(settings.flip and rng.random() < 0.5)
    noise_amplitude, semitones = _draw_copy(settings, rng)
    return Augmentation(
        step_mask=step_mask,
        dropped_modalities=dropped,
        gain=gain,
        relative_noise=relative_noise,
        noise_amplitude=noise_amplitude,
        mirrored=mirrored,
        semitones=semitones,
    )


def _draw_copy(settings: AugmentConfig, rng: np.random.Generator) -> tuple[float, float]:
    """Draw the amplitude of the noise and the pitch shift, of which at least one is zero.

    The original, each amplitude and each shift have the same probability, as if one of the copies
    was drawn that EmoAudioNet trains on (Othmani et al., Sec. III-A.5: an original, three copies
    with noise, three with a shift).
    """
    noisy = [(amplitude, 0.0) for amplitude in settings.noise_amplitudes]
    shifted = [(0.0, shift) for shift in settings.pitch_semitones]
    copies = [(0.0, 0.0), *noisy, *shifted]
    return copies[rng.integers(len(copies))] if len(copies) > 1 else copies[0]
