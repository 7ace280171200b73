"""MFCC-CNN: a small audio encoder for corpora of tens of people.

Not a published system. It serves the demo and the proxy tasks: MFCC, strided convolutions over time
and statistics pooling (mean and deviation over the frames of a step), so that level, rate and
liveliness of the voice all reach the step's vector.
"""

import itertools

import torch
from torch import Tensor, nn

from depmm.models.encoders.acoustic import MFCC, cepstral_scale
from depmm.models.encoders.encoder import Encoder, GradCamLayer
from depmm.models.masking import length_mask, masked_mean_and_deviation


def pool_convolved(
    x: Tensor, frames: Tensor, convolutions: nn.ModuleList, norms: nn.ModuleList
) -> Tensor:
    """Mean and deviation of what strided convolutions make of the frames of each step.

    Parameters
    ----------
    x : Tensor[B, F, T], zero after the last valid frame
    frames : Tensor[B] valid frames
    convolutions, norms : of equal number; each convolution halves the frame rate, its norm goes
        over the channels of a frame

    Returns
    -------
    Tensor[B, 2 C], C channels of the last convolution
    """
    valid = length_mask(frames, x.shape[-1])
    for convolution, norm in zip(convolutions, norms, strict=True):
        x = convolution(x)
        frames = (frames + 1) // 2
        valid = length_mask(frames, x.shape[-1])
        x = nn.functional.gelu(norm(x.transpose(1, 2))).transpose(1, 2)
        # zeros after the end are what the convolution's own padding would be
        x = x.masked_fill(~valid.unsqueeze(1), 0.0)
    return masked_mean_and_deviation(x.transpose(1, 2), valid)


class MfccCnn(Encoder):
    """Encode the sound of each step.

    Parameters
    ----------
    n_mfcc, n_mels : of the MFCC front-end
    channels : width of each convolution; each halves the frame rate
    embed_dim : output size, `D`
    dropout : on the pooled statistics
    """

    def __init__(
        self,
        n_mfcc: int = 24,
        n_mels: int = 64,
        channels: list[int] | None = None,
        embed_dim: int = 128,
        dropout: float = 0.1,
    ):
        super().__init__()
        channels = channels or [64, 64, 128]
        self.mfcc = MFCC(n_mfcc, n_mels)
        self.register_buffer("scale", cepstral_scale(n_mfcc))
        sizes = [n_mfcc, *channels]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel_size=5, stride=2, padding=2)
            for a, b in itertools.pairwise(sizes)
        )
        # over channels of one frame: neither padding nor other steps take part
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in channels)
        statistics = 2 * (n_mfcc + channels[-1])
        self.project = nn.Sequential(
            nn.LayerNorm(statistics), nn.Dropout(dropout), nn.Linear(statistics, embed_dim)
        )
        self.embed_dim = embed_dim

    def forward(self, waveform: Tensor, length: Tensor) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        waveform : Tensor[B, T] in [-1, 1] at 16 kHz
        length : Tensor[B] valid samples, at least 1

        Returns
        -------
        Tensor[B, D]
        """
        cepstrum, frames = self.mfcc(waveform, length)
        x = cepstrum / self.scale
        valid = length_mask(frames, x.shape[-1])
        raw = masked_mean_and_deviation(x.transpose(1, 2), valid)
        pooled = pool_convolved(x, frames, self.convolutions, self.norms)
        return self.project(torch.cat([raw, pooled], dim=-1))

    def grad_cam_layer(self) -> GradCamLayer:
        """Return the last convolution, which has no frequency axis."""
        stride = 2 ** len(self.convolutions)
        return GradCamLayer(self.convolutions[-1], "cepstrum", self.mfcc, stride)
