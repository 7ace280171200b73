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
    n_fft : length of a frame and of its Fourier transform in samples (1024: 64 ms)
    hop_length : distance of frames in samples (512: 32 ms)
    taper : window function
    """

    taper: Tensor

    def __init__(self, n_fft: int = 1024, hop_length: int = 512, taper: Taper = "hamming"):
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.bins = n_fft // 2 + 1
        self.register_buffer("taper", _taper(taper, n_fft))

    def frames(self, length: Tensor) -> Tensor:
        """Count the frames whose centre lies inside ``length`` samples; none for an empty step.

        librosa counts one more when the hop divides the length: it lies on the very end.
        """
        return (length + self.hop_length - 1) // self.hop_length

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
            power = _power(waveform, self.taper, self.hop_length)[
                ..., : -(-waveform.shape[1] // self.hop_length)
            ]
            decibel = _decibel(power)
            valid = length_mask(count, decibel.shape[-1]).unsqueeze(1)
            floor = _peak(decibel, valid) - DYNAMIC_RANGE_DB
            above = decibel - floor.clamp(min=10 * math.log10(SMALLEST_POWER))
        return above.clamp(min=0).masked_fill(~valid, 0.0), count


class MFCC(nn.Module):
    """Mel-frequency cepstral coefficients of padded steps.

    Parameters
    ----------
    n_mfcc : number of coefficients, `F`
    n_mels : number of mel bands, at least ``n_mfcc``
    n_fft : length of a frame and of its Fourier transform in samples (512: 32 ms)
    hop_length : distance of frames in samples (160: 10 ms)
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
        n_mfcc: int = 24,
        n_mels: int = 64,
        n_fft: int = 512,
        hop_length: int = 160,
        taper: Taper = "hann",
    ):
        super().__init__()
        if n_mfcc > n_mels:
            raise ValueError(f"{n_mfcc} MFCC from {n_mels} mel bands: raise n_mels or lower n_mfcc")
        self.n_fft, self.hop_length = n_fft, hop_length
        mel = mel_filter_bank(
            num_frequency_bins=n_fft // 2 + 1,
            num_mel_filters=n_mels,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE / 2,
            sampling_rate=SAMPLE_RATE,
            norm="slaney",
            mel_scale="slaney",
        )
        cosines = dct(np.eye(n_mels), type=2, norm="ortho", axis=0)[:n_mfcc]
        # persistent: from_pretrained builds on the meta device and would lose them otherwise
        self.register_buffer("mel", torch.tensor(mel, dtype=torch.float32))
        self.register_buffer("cosines", torch.tensor(cosines, dtype=torch.float32))
        self.register_buffer("taper", _taper(taper, n_fft))

    def frames(self, length: Tensor) -> Tensor:
        """Count the frames of steps of ``length`` samples; none for an empty step."""
        return torch.where(length > 0, 1 + length // self.hop_length, 0)

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
            power = _power(waveform, self.taper, self.hop_length)
            decibel = _decibel(torch.einsum("fm,bft->bmt", self.mel, power))
            count = self.frames(length)
            valid = length_mask(count, decibel.shape[-1]).unsqueeze(1)
            decibel = torch.maximum(decibel, _peak(decibel, valid) - DYNAMIC_RANGE_DB)
            cepstrum = torch.einsum("km,bmt->bkt", self.cosines, decibel)
        return cepstrum.masked_fill(~valid, 0.0), count


def cepstral_scale(n_mfcc: int) -> Tensor:
    """Typical deviation of each MFCC of speech in decibels, to divide by.

    Returns
    -------
    Tensor[n_mfcc, 1]
    """
    scale = torch.tensor([LEVEL_SCALE] + [SHAPE_SCALE] * (n_mfcc - 1))
    return (scale / torch.arange(n_mfcc).clamp(min=1).float().sqrt()).unsqueeze(-1)


def _taper(name: Taper, n_fft: int) -> Tensor:
    return torch.hann_window(n_fft) if name == "hann" else torch.hamming_window(n_fft)


def _power(waveform: Tensor, taper: Tensor, hop_length: int) -> Tensor:
    """Squared magnitudes, Tensor[B, T] -> Tensor[B, F, 1 + T / hop]."""
    spectrum = torch.stft(
        waveform.float(),
        n_fft=len(taper),
        hop_length=hop_length,
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
