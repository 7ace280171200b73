"""SE-ResNet: a small residual network with squeeze-and-excitation for faces.

The network uses group normalisation, because batches of a few subjects give poor batch statistics,
and because the features of a frame must not depend on the other frames of the batch. The feature
maps of the frames of a step are pooled to mean and standard deviation over time, position by
position; the standard deviation measures how much the face moves.

References
----------
Hu et al., "Squeeze-and-excitation networks", CVPR 2018.
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from numpy.typing import ArrayLike
from torch import Tensor, nn

from depmm.models.encoders.encoder import Encoder, GradCamLayer, parameter_dtype
from depmm.models.host import gather_valid, host_mask, scatter_valid, to_device
from depmm.models.masking import masked_mean_and_std

MIN_MOTION = 0.01  # standard deviation of feature maps of a face that does not move
PIXEL_MEAN, PIXEL_STD = 127.5, 64.0


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate computed from the means of all channels.

    Parameters
    ----------
    channels : int
        Channels of the input, `C`.
    reduction : int
        The bottleneck has ``channels / reduction`` units, at least 1.

    References
    ----------
    Hu et al., CVPR 2018, Eqs. 2-4.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden_dim = max(1, channels // reduction)
        self.gate = nn.Sequential(
            nn.Linear(channels, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels.

        Parameters
        ----------
        x : Tensor, shape (B, C, height, width)
            Feature maps.

        Returns
        -------
        Tensor, shape (B, C, height, width)
            Scaled feature maps.
        """
        gate: Tensor = self.gate(x.mean(dim=(2, 3)))
        return x * gate[:, :, None, None]


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(8 if channels % 8 == 0 else 1, channels)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions, squeeze-and-excitation, and the shortcut.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    channels : int
        Channels of the output.
    stride : int
        Stride of the first convolution; 2 halves height and width.
    reduction : int
        Reduction of squeeze-and-excitation.

    References
    ----------
    He et al., "Deep residual learning for image recognition", CVPR 2016, Fig. 5 (left).
    """

    def __init__(self, in_channels: int, channels: int, stride: int, reduction: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False),
            _norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            _norm(channels),
            SqueezeExcitation(channels, reduction),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), _norm(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Transform feature maps.

        Parameters
        ----------
        x : Tensor, shape (B, in_channels, height, width)
            Feature maps.

        Returns
        -------
        Tensor, shape (B, channels, height / stride, width / stride)
            Transformed feature maps.
        """
        return nn.functional.relu(self.body(x) + self.shortcut(x))


class SEResNet(Encoder):
    """Encode the face crops of each step.

    Parameters
    ----------
    blocks : sequence of int
        Number of blocks of each stage.
    channels : sequence of int
        Channels of each stage. The stem and every stage after the first halve height and width.
    reduction : int
        Reduction of squeeze-and-excitation.
    embed_dim : int
        Output size, `D`.
    dropout : float
        Dropout probability of the pooled statistics.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        channels: Sequence[int],
        reduction: int,
        embed_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, channels[0], 5, stride=2, padding=2, bias=False),
            _norm(channels[0]),
            nn.ReLU(),
        ]
        in_channels = channels[0]
        for stage, (n_blocks, out_channels) in enumerate(zip(blocks, channels, strict=True)):
            for block in range(n_blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(BasicBlock(in_channels, out_channels, stride, reduction))
                in_channels = out_channels
        self.backbone = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(in_channels)
        self.projection = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * in_channels, embed_dim))
        self.embed_dim = embed_dim

    def forward(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        x : Tensor, shape (N, T, 3, height, width), uint8
            RGB crops.
        lengths : array_like of int, shape (N,)
            Valid crops, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.
        """
        valid = host_mask(lengths, x.shape[1])
        pixels = (gather_valid(x, valid).float() - PIXEL_MEAN) / PIXEL_STD
        maps = self.backbone(pixels.to(parameter_dtype(self.projection)))
        frames = scatter_valid(maps.flatten(1), valid)
        # over time first, position by position: a mean over the face would hide motion
        statistics = masked_mean_and_std(
            frames, None if valid.all() else to_device(valid, x.device)
        )
        statistics = rearrange(statistics, "n (s c p) -> s n c p", s=2, c=maps.shape[1])
        appearance, motion = statistics.mean(dim=-1)
        # a logarithm instead of a norm, which would remove the amount of motion
        motion = (motion + MIN_MOTION).log()
        vectors: Tensor = self.projection(torch.cat([self.norm(appearance), motion], dim=-1))
        return vectors

    def grad_cam_layer(self) -> GradCamLayer:
        """Return the last stage of the network, to which every valid crop is passed."""
        return GradCamLayer(self.backbone, "pixels")
