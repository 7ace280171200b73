"""Acoustic front-ends as modules: they travel with the model and run on its device.

MFCC as in librosa 0.11 with ``center=True`` and zero padding: Hann window, Slaney mel bands,
decibels with an 80 dB floor below the loudest frame of the *same* step, orthonormal DCT-II. The
floor is taken over valid frames of one step alone, so that neither padding nor the neighbours in a
batch move a value.
"""

import math

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from depmm.config import SAMPLE_RATE
from depmm.models.masking import length_mask

DYNAMIC_RANGE_DB = 80.0
SMALLEST_POWER = 1e-10


class MFCC(nn.Module):
    """Mel-frequency cepstral coefficients of padded steps.

    Parameters
    ----------
    coefficients : number of coefficients, `F`
    mel_bands : number of mel bands, at least ``coefficients``
    window : length of a frame and of its Fourier transform in samples (512: 32 ms)
    hop : distance of frames in samples (160: 10 ms)

    Raises
    ------
    ValueError : more coefficients than mel bands
    """

    mel: Tensor
    cosines: Tensor
    taper: Tensor

    def __init__(
        self, coefficients: int = 24, mel_bands: int = 64, window: int = 512, hop: int = 160
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
        self.register_buffer("taper", torch.hann_window(window))

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
            spectrum = torch.stft(
                waveform.float(),
                n_fft=self.window,
                hop_length=self.hop,
                window=self.taper,
                center=True,
                pad_mode="constant",
                return_complex=True,
            )
            power = spectrum.real.square() + spectrum.imag.square()
            mel = torch.einsum("fm,bft->bmt", self.mel, power)
            decibel = 10 / math.log(10) * mel.clamp(min=SMALLEST_POWER).log()
            count = self.frames(length)
            valid = length_mask(count, decibel.shape[-1]).unsqueeze(1)
            peak = decibel.masked_fill(~valid, -torch.inf).amax(dim=(1, 2), keepdim=True)
            decibel = torch.maximum(decibel, peak - DYNAMIC_RANGE_DB)
            cepstrum = torch.einsum("km,bmt->bkt", self.cosines, decibel)
        return cepstrum.masked_fill(~valid, 0.0), count
