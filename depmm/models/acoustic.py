"""Acoustic front-ends as modules: they travel with the model and run on its device.

Both are as in librosa 0.11 with ``center=True`` and zero padding: short-time Fourier transform,
decibels with an 80 dB floor below the loudest frame of the *same* step; MFCC go on with Slaney mel
bands and an orthonormal DCT-II. The floor is taken over valid frames of one step alone, so that
neither padding nor the neighbours in a batch move a value.
"""

import math
from typing import Literal

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from depmm.config import SAMPLE_RATE
from depmm.models.masking import length_mask

DYNAMIC_RANGE_DB = 80.0
SMALLEST_POWER = 1e-10
# typical deviation of coefficient k of speech in decibels: wide for the level (k = 0), then falling
LEVEL_SCALE = 150.0
SHAPE_SCALE = 40.0

Taper = Literal["hann", "hamming"]


class Spectrogram(nn.Module):
    """Log-magnitude spectrogram of padded steps, in decibels above each step's own floor.

    The absolute level is gone: the floor lies 80 dB below the loudest cell of a step, but never
    below -100 dB, so that silence is 0 everywhere.

    Parameters
    ----------
    window : length of a frame and of its Fourier transform in samples (1024: 64 ms)
    hop : distance of frames in samples (512: 32 ms)
    taper : window function
    """

    taper: Tensor

    def __init__(self, window: int = 1024, hop: int = 512, taper: Taper = "hamming"):
        super().__init__()
        self.window, self.hop = window, hop
        self.bins = window // 2 + 1
        self.register_buffer("taper", _taper(taper, window))

    def frames(self, length: Tensor) -> Tensor:
        """Count the frames whose centre lies inside ``length`` samples; none for an empty step.

        librosa counts one more when the hop divides the length: it lies on the very end.
        """
        return (length + self.hop - 1) // self.hop

    def forward(self, waveform: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Transform steps.

        Parameters
        ----------
        waveform : Tensor[B, T] in [-1, 1] at 16 kHz, zero after ``length``
        length : Tensor[B] valid samples

        Returns
        -------
        Tensor[B, F, frames] in [0, 80], F = window / 2 + 1 bins from 0 to 8 kHz, zero (the floor)
        after the last valid frame; Tensor[B] valid frames
        """
        with torch.autocast(waveform.device.type, enabled=False):
            count = self.frames(length)
            power = _power(waveform, self.taper, self.hop)[..., : -(-waveform.shape[1] // self.hop)]
            decibel = _decibel(power)
            valid = length_mask(count, decibel.shape[-1]).unsqueeze(1)
            floor = _peak(decibel, valid) - DYNAMIC_RANGE_DB
            above = decibel - floor.clamp(min=10 * math.log10(SMALLEST_POWER))
        return above.clamp(min=0).masked_fill(~valid, 0.0), count


class MFCC(nn.Module):
    """Mel-frequency cepstral coefficients of padded steps.

    Parameters
    ----------
    coefficients : number of coefficients, `F`
    mel_bands : number of mel bands, at least ``coefficients``
    window : length of a frame and of its Fourier transform in samples (512: 32 ms)
    hop : distance of frames in samples (160: 10 ms)
    taper : window function

    Raises
    ------
    ValueError : more coefficients than mel bands
    """

    mel: Tensor
    cosines: Tensor
    taper: Tensor

    def __init__(
        self,
        coefficients: int = 24,
        mel_bands: int = 64,
        window: int = 512,
        hop: int = 160,
        taper: Taper = "hann",
    ):
        super().__init__()
        if coefficients > mel_bands:
            raise ValueError(
                f"{coefficients} MFCC from {mel_bands} mel bands: raise mel_bands or lower "
                "coefficients"
            )
        self.window, self.hop = window, hop
        mel = mel_filter_bank(
            num_frequency_bins=window // 2 + 1,
            num_mel_filters=mel_bands,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE / 2,
            sampling_rate=SAMPLE_RATE,
            norm="slaney",
            mel_scale="slaney",
        )
        cosines = dct(np.eye(mel_bands), type=2, norm="ortho", axis=0)[:coefficients]
        # persistent: from_pretrained builds on the meta device and would lose them otherwise
        self.register_buffer("mel", torch.tensor(mel, dtype=torch.float32))
        self.register_buffer("cosines", torch.tensor(cosines, dtype=torch.float32))
        self.register_buffer("taper", _taper(taper, window))

    def frames(self, length: Tensor) -> Tensor:
        """Count the frames of steps of ``length`` samples; none for an empty step."""
        return torch.where(length > 0, 1 + length // self.hop, 0)

    def forward(self, waveform: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Transform steps.

        Parameters
        ----------
        waveform : Tensor[B, T] in [-1, 1] at 16 kHz, zero after ``length``
        length : Tensor[B] valid samples

        Returns
        -------
        Tensor[B, F, frames] zero after the last valid frame, Tensor[B] valid frames
        """
        # magnitudes need float32 range: half precision would lose quiet frames
        with torch.autocast(waveform.device.type, enabled=False):
            power = _power(waveform, self.taper, self.hop)
            decibel = _decibel(torch.einsum("fm,bft->bmt", self.mel, power))
            count = self.frames(length)
            valid = length_mask(count, decibel.shape[-1]).unsqueeze(1)
            decibel = torch.maximum(decibel, _peak(decibel, valid) - DYNAMIC_RANGE_DB)
            cepstrum = torch.einsum("km,bmt->bkt", self.cosines, decibel)
        return cepstrum.masked_fill(~valid, 0.0), count


def cepstral_scale(coefficients: int) -> Tensor:
    """Typical deviation of each MFCC of speech in decibels, to divide by.

    Returns
    -------
    Tensor[coefficients, 1]
    """
    scale = torch.tensor([LEVEL_SCALE] + [SHAPE_SCALE] * (coefficients - 1))
    return (scale / torch.arange(coefficients).clamp(min=1).float().sqrt()).unsqueeze(-1)


def _taper(name: Taper, window: int) -> Tensor:
    return torch.hann_window(window) if name == "hann" else torch.hamming_window(window)


def _power(waveform: Tensor, taper: Tensor, hop: int) -> Tensor:
    """Squared magnitudes, Tensor[B, T] -> Tensor[B, F, 1 + T / hop]."""
    spectrum = torch.stft(
        waveform.float(),
        n_fft=len(taper),
        hop_length=hop,
        window=taper,
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    return spectrum.real.square() + spectrum.imag.square()


def _decibel(power: Tensor) -> Tensor:
    return 10 / math.log(10) * power.clamp(min=SMALLEST_POWER).log()


def _peak(decibel: Tensor, valid: Tensor) -> Tensor:
    """Loudest valid cell of each step, Tensor[B, 1, 1]."""
    return decibel.masked_fill(~valid, -torch.inf).amax(dim=(1, 2), keepdim=True)
