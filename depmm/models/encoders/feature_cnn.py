"""Feature-CNN: an encoder for features that a corpus ships in place of recordings.

Not a published system. DAIC-WOZ, E-DAIC, D-Vlog and others give COVAREP, OpenFace or landmarks and
no video. Their numbers lie on scales of their own, so each is standardised by the training people's
mean and deviation; what is not valid becomes the mean, and convolutions see beside every frame
which share of it was valid. Statistics pooling over the frames of a step follows, as in
``MfccCnn``.
"""

import itertools

import torch
from torch import Tensor, nn

from depmm.models.encoders.encoder import Encoder
from depmm.models.encoders.mfcc_cnn import pool_convolved
from depmm.models.masking import length_mask, masked_mean_and_deviation


class FeatureCnn(Encoder):
    """Encode the rows of features of each step.

    Parameters
    ----------
    features : numbers per row, `F`
    channels : width of each convolution; each halves the rate
    embed_dim : output size, `D`
    dropout : on the pooled statistics
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int, channels: list[int], embed_dim: int, dropout: float):
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        sizes = [features + 1, *channels]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel_size=5, stride=2, padding=2)
            for a, b in itertools.pairwise(sizes)
        )
        # over channels of one frame: neither padding nor other steps take part
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in channels)
        statistics = 2 * (sizes[0] + channels[-1])
        self.project = nn.Sequential(
            nn.LayerNorm(statistics), nn.Dropout(dropout), nn.Linear(statistics, embed_dim)
        )
        self.embed_dim = embed_dim

    def set_scale(self, mean: Tensor, deviation: Tensor) -> None:
        """Standardise by these from now on; a feature that never changes is only centred.

        Parameters
        ----------
        mean, deviation : Tensor[F], over valid values of training people alone
        """
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))

    def check_width(self, rows: Tensor) -> None:
        """Raise ``ValueError`` unless the last axis of ``rows`` has as many features."""
        if rows.shape[-1] != len(self.mean):
            raise ValueError(
                f"rows have {rows.shape[-1]} features, feature_cnn expects {len(self.mean)}: set "
                f"the encoder's features to {rows.shape[-1]}, or name another stream"
            )

    def forward(self, rows: Tensor, length: Tensor) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        rows : Tensor[N, T, F], NaN where not valid
        length : Tensor[N] rows of each step, at least 1

        Returns
        -------
        Tensor[N, D]

        Raises
        ------
        ValueError : rows of another width
        """
        self.check_width(rows)
        there = length_mask(length, rows.shape[1]).unsqueeze(-1)
        valid = rows.isfinite() & there
        standard = torch.where(valid, (rows - self.mean) / self.scale, 0.0).clamp(-10, 10)
        share = valid.float().mean(-1, keepdim=True)
        x = torch.cat([standard, share], dim=-1)
        pooled = [masked_mean_and_deviation(x, there.squeeze(-1))]
        pooled.append(pool_convolved(x.transpose(1, 2), length, self.convolutions, self.norms))
        return self.project(torch.cat(pooled, dim=-1))
