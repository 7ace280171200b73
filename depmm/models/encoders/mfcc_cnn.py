"""MFCC-CNN: a small audio encoder for corpora with a few dozen subjects.

This is not a published system, but the encoder of the demo and of the emotion corpora: MFCC,
strided convolutions over time and statistics pooling (mean and standard deviation over the frames
of a step), so that the vector of a step represents level, rate and variation of the voice.
"""

import itertools

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from depmm.models.encoders.encoder import Encoder, GradCamLayer, parameter_dtype
from depmm.models.encoders.frontends import (
    MFCC,
    SPEECH_HOP_LENGTH,
    SPEECH_N_FFT,
    typical_mfcc_std,
)
from depmm.models.host import Lengths, to_device
from depmm.models.masking import length_mask, masked_mean_and_std


def convolve_and_pool(
    x: Tensor, n_frames: Lengths, convolutions: nn.ModuleList, norms: nn.ModuleList
) -> Tensor:
    """Apply strided convolutions over the frames of each step and pool mean and standard deviation.

    Parameters
    ----------
    x : Tensor, shape (B, F, T)
        Features, zero after the last valid frame.
    n_frames : ndarray of int, shape (B,)
        Valid frames.
    convolutions : ModuleList
        1-D convolutions that each halve the frame rate.
    norms : ModuleList
        Normalisation of each convolution's output, over the channels of a frame.

    Returns
    -------
    Tensor, shape (B, 2 C)
        ``C`` channels of the last convolution.
    """
    size = to_device(n_frames, x.device)
    for convolution, norm in zip(convolutions, norms, strict=True):
        x = convolution(x)
        size = (size + 1) // 2
        valid = length_mask(size, x.shape[-1])
        x = nn.functional.gelu(norm(x.transpose(1, 2))).transpose(1, 2)
        # zeros after the end, like the padding of the convolution
        x = x.masked_fill(~valid.unsqueeze(1), 0.0)
    return masked_mean_and_std(x.transpose(1, 2), valid)


class MfccCnn(Encoder):
    """Encode the audio of each step.

    Parameters
    ----------
    n_mfcc, n_mels : int
        Coefficients and mel bands of the MFCC.
    channels : list of int
        Output channels of each convolution; each halves the frame rate.
    embed_dim : int
        Output size, `D`.
    dropout : float
        Dropout probability of the pooled statistics.
    """

    mfcc_std: Tensor

    def __init__(
        self, n_mfcc: int, n_mels: int, channels: list[int], embed_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.mfcc = MFCC(n_mfcc, n_mels, SPEECH_N_FFT, SPEECH_HOP_LENGTH, "hann")
        self.register_buffer("mfcc_std", typical_mfcc_std(n_mfcc))
        sizes = [n_mfcc, *channels]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel_size=5, stride=2, padding=2)
            for a, b in itertools.pairwise(sizes)
        )
        # over the channels of one frame, independently of padding and other steps
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in channels)
        n_statistics = 2 * (n_mfcc + channels[-1])
        self.projection = nn.Sequential(
            nn.LayerNorm(n_statistics), nn.Dropout(dropout), nn.Linear(n_statistics, embed_dim)
        )
        self.embed_dim = embed_dim

    def forward(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        x : Tensor, shape (N, T)
            Waveforms in [-1, 1] at 16 kHz, zero after ``lengths``.
        lengths : array_like of int, shape (N,)
            Valid samples, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.
        """
        mfcc, n_frames = self.mfcc(x, lengths)
        mfcc = mfcc / self.mfcc_std
        valid = length_mask(to_device(n_frames, x.device), mfcc.shape[-1])
        statistics = masked_mean_and_std(mfcc.transpose(1, 2), valid)
        dtype = parameter_dtype(self.projection)
        pooled = convolve_and_pool(mfcc.to(dtype), n_frames, self.convolutions, self.norms)
        vectors: Tensor = self.projection(torch.cat([statistics.to(dtype), pooled], dim=-1))
        return vectors

    def grad_cam_layer(self) -> GradCamLayer:
        """Return the last convolution, which has no frequency axis."""
        stride = 2 ** len(self.convolutions)
        return GradCamLayer(self.convolutions[-1], "cepstrum", self.mfcc, stride)
