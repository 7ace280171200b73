"""SE-ResNet: a residual network whose blocks weigh their own channels (Hu et al., CVPR 2018).

Here in a small size for aligned face crops, with group normalisation: batches of a few people make
poor batch statistics, and a frame's features must not depend on its neighbours in the batch. The
feature maps of a step's frames are pooled to mean and deviation over time, place by place; the
deviation is how much the face moves.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from depmm.models.encoders.encoder import Encoder, GradCamLayer
from depmm.models.masking import length_mask, masked_mean_and_deviation

STILL = 0.01  # deviation of feature maps below which a face counts as still


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate computed from all channels' means (Hu et al., Eqs. 2-4).

    Parameters
    ----------
    channels : width of the input
    reduction : the bottleneck is ``channels / reduction`` wide, at least 1
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        hidden = max(1, channels // reduction)
        self.gate = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Gate ``x``, Tensor[B, C, height, width]; same shape."""
        return x * self.gate(x.mean(dim=(2, 3)))[:, :, None, None]


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(8 if channels % 8 == 0 else 1, channels)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions, squeeze-and-excitation, and the shortcut (He et al. 2016, Fig. 5)."""

    def __init__(self, in_channels: int, channels: int, stride: int, reduction: int):
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
        """Transform Tensor[B, C, height, width]; a stride of 2 halves the picture."""
        return nn.functional.relu(self.body(x) + self.shortcut(x))


class SEResNet(Encoder):
    """Encode the face crops of each step.

    Parameters
    ----------
    blocks, channels : number and width of the blocks of each stage; stages after the first halve
        the picture, as does the stem
    reduction : of squeeze-and-excitation
    embed_dim : output size, `D`
    dropout : on the pooled statistics
    """

    def __init__(
        self,
        blocks: Sequence[int] = (1, 1, 1, 1),
        channels: Sequence[int] = (16, 32, 64, 128),
        reduction: int = 8,
        embed_dim: int = 128,
        dropout: float = 0.1,
    ):
        super().__init__()
        stages: list[nn.Module] = [
            nn.Conv2d(3, channels[0], 5, stride=2, padding=2, bias=False),
            _norm(channels[0]),
            nn.ReLU(),
        ]
        size = channels[0]
        for stage, (count, stage_channels) in enumerate(zip(blocks, channels, strict=True)):
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(BasicBlock(size, stage_channels, stride, reduction))
                size = stage_channels
        self.backbone = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(size)
        self.project = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * size, embed_dim))
        self.embed_dim = embed_dim

    def forward(self, crops: Tensor, length: Tensor) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        crops : Tensor[B, T, 3, height, width] uint8 RGB
        length : Tensor[B] valid frames, at least 1

        Returns
        -------
        Tensor[B, D]
        """
        valid = length_mask(length, crops.shape[1])
        pixels = (crops[valid].float() - 127.5) / 64.0
        maps = self.backbone(pixels)
        frames = maps.new_zeros(*valid.shape, maps[0].numel())
        frames = frames.masked_scatter(valid.unsqueeze(-1), maps.flatten(1))
        # over time first, place by place: motion would be lost in a mean over the face
        pooled = masked_mean_and_deviation(frames, valid).unflatten(-1, (2, maps.shape[1], -1))
        look, motion = pooled.mean(dim=-1).unbind(dim=1)
        # a logarithm and no norm: a norm would take away how much the face moves
        return self.project(torch.cat([self.norm(look), (motion + STILL).log()], dim=-1))

    def grad_cam_layer(self) -> GradCamLayer:
        """Return the last stage of the network, which sees every valid crop."""
        return GradCamLayer(self.backbone, "pixels")
