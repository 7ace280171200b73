"""Feature-CNN: an encoder of features that a corpus provides instead of recordings.

This is not a published system. DAIC-WOZ, E-DAIC, D-Vlog and others provide COVAREP, OpenFace or
landmark features but no video. The scales of the features differ, so each feature is standardised
by its mean and standard deviation over the training subjects. An invalid value is replaced by the
mean, and the fraction of valid values of each frame is an additional input of the convolutions.
Statistics pooling over the frames of a step follows, as in ``MfccCnn``.
"""

import itertools

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from depmm.models.encoders.encoder import Encoder, parameter_dtype
from depmm.models.encoders.mfcc_cnn import convolve_and_pool
from depmm.models.errors import ModelError
from depmm.models.host import host_lengths, to_device
from depmm.models.masking import length_mask, masked_mean_and_std

MAX_ABS = 10.0  # standard deviations to which values are clipped


class FeatureCnn(Encoder):
    """Encode the feature rows of each step.

    Parameters
    ----------
    features : int
        Features per row, `F`.
    channels : list of int
        Output channels of each convolution; each halves the frame rate.
    embed_dim : int
        Output size, `D`.
    dropout : float
        Dropout probability of the pooled statistics.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, features: int, channels: list[int], embed_dim: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        sizes = [features + 1, *channels]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel_size=5, stride=2, padding=2)
            for a, b in itertools.pairwise(sizes)
        )
        # over the channels of one frame, independently of padding and other steps
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in channels)
        n_statistics = 2 * (sizes[0] + channels[-1])
        self.projection = nn.Sequential(
            nn.LayerNorm(n_statistics), nn.Dropout(dropout), nn.Linear(n_statistics, embed_dim)
        )
        self.embed_dim = embed_dim

    def set_scale(self, mean: Tensor, std: Tensor) -> None:
        """Set the standardisation; a constant feature is only centred.

        Parameters
        ----------
        mean, std : Tensor, shape (F,)
            Mean and standard deviation of the valid values of the training subjects only.
        """
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 0, std, 1.0))

    def check_n_features(self, x: Tensor) -> None:
        """Check the number of features per row.

        Parameters
        ----------
        x : Tensor, shape (..., F)
            Feature rows.

        Raises
        ------
        ModelError
            If the rows have another number of features than the encoder.
        """
        if x.shape[-1] != len(self.mean):
            raise ModelError(
                f"The rows have {x.shape[-1]} features, but feature_cnn was built for "
                f"{len(self.mean)}. Set features of the encoder to {x.shape[-1]}, or choose "
                "another stream.",
                setting="features",
                value=x.shape[-1],
            )

    def forward(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        x : Tensor, shape (N, T, F)
            Feature rows, NaN where invalid.
        lengths : array_like of int, shape (N,)
            Rows of each step, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.

        Raises
        ------
        ModelError
            If the rows have another number of features than the encoder.
        """
        self.check_n_features(x)
        n_rows = host_lengths(lengths)
        inside = length_mask(to_device(n_rows, x.device), x.shape[1]).unsqueeze(-1)
        valid = x.isfinite() & inside
        standardised = torch.where(valid, (x - self.mean) / self.std, 0.0)
        valid_fraction = valid.float().mean(-1, keepdim=True)
        rows = torch.cat([standardised.clamp(-MAX_ABS, MAX_ABS), valid_fraction], dim=-1)
        dtype = parameter_dtype(self.projection)
        statistics = masked_mean_and_std(rows, inside.squeeze(-1)).to(dtype)
        frames = rows.to(dtype).transpose(1, 2)
        pooled = convolve_and_pool(frames, n_rows, self.convolutions, self.norms)
        vectors: Tensor = self.projection(torch.cat([statistics, pooled], dim=-1))
        return vectors
