"""Acoustic front-ends as modules: they are saved with the model and run on its device.

Both follow librosa 0.11 with ``center=True`` and zero padding. The power of a short-time Fourier
transform (for MFCC: in Slaney mel bands) is converted to decibels, limited to 80 dB below the peak
of the *same* step; MFCC are the orthonormal DCT-II of these decibels. The limit is computed from
the valid frames of one step only, so that the values of a step do not depend on padding or on the
other steps of a batch.

References
----------
McFee et al., "librosa: Audio and music signal analysis in Python", SciPy 2015.
"""

import math
from typing import Literal

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from depmm.config import SAMPLE_RATE
from depmm.models.errors import ModelError
from depmm.models.masking import length_mask

TOP_DB = 80.0
MIN_POWER = 1e-10
# typical standard deviation of MFCC k of speech in decibels: 150 for the level (k = 0), then
# 40 divided by the square root of k
LEVEL_STD_DB = 150.0
SHAPE_STD_DB = 40.0
# frames of the MFCC where no paper prescribes them, in samples: 32 ms every 10 ms
SPEECH_N_FFT = 512
SPEECH_HOP_LENGTH = 160

Window = Literal["hann", "hamming"]


class Spectrogram(nn.Module):
    """Log-magnitude spectrogram of padded steps, in decibels above the lower limit of each step.

    The absolute level is removed: the lower limit is 80 dB below the loudest bin of a step, but at
    least -100 dB, so that silence is 0 everywhere.

    Parameters
    ----------
    n_fft : int
        Length of a frame and of its Fourier transform in samples.
    hop_length : int
        Distance of frames in samples.
    window : {"hann", "hamming"}
        Window function.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop_length: int, window: Window) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.n_bins = n_fft // 2 + 1
        # persistent: from_pretrained builds on the meta device and would lose it otherwise
        self.register_buffer("window", _window(window, n_fft))

    def count_frames(self, lengths: Tensor) -> Tensor:
        """Count the frames whose centre is inside a step; none for an empty step.

        If the hop divides the length, librosa returns one more frame, centred on the end.

        Parameters
        ----------
        lengths : Tensor, shape (B,)
            Valid samples.

        Returns
        -------
        Tensor, shape (B,)
            Valid frames of each step.
        """
        return (lengths + self.hop_length - 1) // self.hop_length

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Transform steps.

        Parameters
        ----------
        waveform : Tensor, shape (B, T)
            Samples in [-1, 1] at 16 kHz, zero after ``lengths``.
        lengths : Tensor, shape (B,)
            Valid samples.

        Returns
        -------
        spectrogram : Tensor, shape (B, F, frames)
            Decibels in [0, 80], ``F = n_fft / 2 + 1`` bins from 0 to 8 kHz; zero after the last
            valid frame.
        n_frames : Tensor, shape (B,)
            Valid frames.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            n_frames = self.count_frames(lengths)
            power = _power(waveform, self.window, self.hop_length)[
                ..., : -(-waveform.shape[1] // self.hop_length)
            ]
            decibels = _power_to_db(power)
            valid = length_mask(n_frames, decibels.shape[-1]).unsqueeze(1)
            limit = _peak(decibels, valid) - TOP_DB
            above = decibels - limit.clamp(min=10 * math.log10(MIN_POWER))
        return above.clamp(min=0).masked_fill(~valid, 0.0), n_frames


class LogMel(nn.Module):
    """Log-mel spectrogram of padded steps, in decibels.

    Parameters
    ----------
    n_mels : int
        Number of mel bands between 0 and 8 kHz.
    n_fft : int
        Length of a frame and of its Fourier transform in samples.
    hop_length : int
        Distance of frames in samples.
    window : {"hann", "hamming"}
        Window function.
    """

    mel_filters: Tensor
    window: Tensor

    def __init__(self, n_mels: int, n_fft: int, hop_length: int, window: Window) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        mel_filters = mel_filter_bank(
            num_frequency_bins=n_fft // 2 + 1,
            num_mel_filters=n_mels,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE / 2,
            sampling_rate=SAMPLE_RATE,
            norm="slaney",
            mel_scale="slaney",
        )
        # persistent: from_pretrained builds on the meta device and would lose them otherwise
        self.register_buffer("mel_filters", torch.tensor(mel_filters, dtype=torch.float32))
        self.register_buffer("window", _window(window, n_fft))

    def count_frames(self, lengths: Tensor) -> Tensor:
        """Count the frames of steps; none for an empty step.

        Parameters
        ----------
        lengths : Tensor, shape (B,)
            Valid samples.

        Returns
        -------
        Tensor, shape (B,)
            Valid frames of each step.
        """
        return torch.where(lengths > 0, 1 + lengths // self.hop_length, 0)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Transform steps.

        Parameters
        ----------
        waveform : Tensor, shape (B, T)
            Samples in [-1, 1] at 16 kHz, zero after ``lengths``.
        lengths : Tensor, shape (B,)
            Valid samples.

        Returns
        -------
        decibels : Tensor, shape (B, n_mels, frames)
            Power of the bands in decibels, at least -100 and at most 80 below the loudest value of
            the step; zero after the last valid frame.
        n_frames : Tensor, shape (B,)
            Valid frames.
        """
        # power needs the range of float32: half precision would set quiet frames to zero
        with torch.autocast(waveform.device.type, enabled=False):
            power = _power(waveform, self.window, self.hop_length)
            decibels = _power_to_db(torch.einsum("fm,bft->bmt", self.mel_filters.float(), power))
            n_frames = self.count_frames(lengths)
            valid = length_mask(n_frames, decibels.shape[-1]).unsqueeze(1)
            decibels = torch.maximum(decibels, _peak(decibels, valid) - TOP_DB)
        return decibels.masked_fill(~valid, 0.0), n_frames


class MFCC(LogMel):
    """Mel-frequency cepstral coefficients of padded steps.

    Parameters
    ----------
    n_mfcc : int
        Number of coefficients.
    n_mels : int
        Number of mel bands, at least ``n_mfcc``.
    n_fft : int
        Length of a frame and of its Fourier transform in samples.
    hop_length : int
        Distance of frames in samples.
    window : {"hann", "hamming"}
        Window function.

    Raises
    ------
    ModelError
        If there are more coefficients than mel bands.
    """

    dct: Tensor

    def __init__(
        self, n_mfcc: int, n_mels: int, n_fft: int, hop_length: int, window: Window
    ) -> None:
        super().__init__(n_mels, n_fft, hop_length, window)
        if n_mfcc > n_mels:
            raise ModelError(
                f"n_mfcc is {n_mfcc}, but there are only {n_mels} mel bands. Raise n_mels or lower "
                "n_mfcc.",
                setting="n_mfcc",
                value=n_mfcc,
            )
        matrix = dct(np.eye(n_mels), type=2, norm="ortho", axis=0)[:n_mfcc]
        self.register_buffer("dct", torch.tensor(matrix, dtype=torch.float32))

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Transform steps.

        Parameters
        ----------
        waveform : Tensor, shape (B, T)
            Samples in [-1, 1] at 16 kHz, zero after ``lengths``.
        lengths : Tensor, shape (B,)
            Valid samples.

        Returns
        -------
        mfcc : Tensor, shape (B, n_mfcc, frames)
            Coefficients, zero after the last valid frame.
        n_frames : Tensor, shape (B,)
            Valid frames.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            decibels, n_frames = super().forward(waveform, lengths)
            return torch.einsum("km,bmt->bkt", self.dct.float(), decibels), n_frames


def typical_mfcc_std(n_mfcc: int) -> Tensor:
    """Return the typical standard deviation of each MFCC of speech, used for scaling.

    Parameters
    ----------
    n_mfcc : int
        Number of coefficients.

    Returns
    -------
    Tensor, shape (n_mfcc, 1)
        Standard deviations in decibels.
    """
    std = torch.tensor([LEVEL_STD_DB] + [SHAPE_STD_DB] * (n_mfcc - 1))
    return (std / torch.arange(n_mfcc).clamp(min=1).float().sqrt()).unsqueeze(-1)


def _window(name: Window, n_fft: int) -> Tensor:
    return torch.hann_window(n_fft) if name == "hann" else torch.hamming_window(n_fft)


def _power(waveform: Tensor, window: Tensor, hop_length: int) -> Tensor:
    """Compute squared magnitudes of shape (B, F, 1 + T / hop) from samples of shape (B, T)."""
    spectrum = torch.stft(
        waveform.float(),
        n_fft=len(window),
        hop_length=hop_length,
        window=window.float(),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    return spectrum.real.square() + spectrum.imag.square()


def _power_to_db(power: Tensor) -> Tensor:
    return 10 / math.log(10) * power.clamp(min=MIN_POWER).log()


def _peak(decibels: Tensor, valid: Tensor) -> Tensor:
    """Return the loudest valid bin of each step, shape (B, 1, 1)."""
    return decibels.masked_fill(~valid, -torch.inf).amax(dim=(1, 2), keepdim=True)
