"""Attention residual network: ResNet on MFCC with CBAM after each of its five modules.

Lu et al., "Speech depression recognition based on attentional residual network", Front. Biosci.
2021, Sec. 3; ResNet of He et al. (CVPR 2016), CBAM of Woo et al. (ECCV 2018). No dropout. The
vector here is what the paper flattens after average pooling; softmax and its linear layer are the
head.

Where the paper is silent or contradicts itself:

- MFCC "by librosa functions": librosa's own defaults (20 coefficients of 128 mel bands, frames of
  2048 every 512 samples), each coefficient divided by a fixed typical deviation.
- Fig. 6 puts CBAM inside every residual block, Sec. 3.5 "after each convolution module", of which
  there are five. The text is followed: after the 7 x 7 convolution (before the max-pool, which He
  et al. count to the second module) and after each of the four stages.
- "The remaining convolutional layers" cannot all have stride 2, nor 3 x 3 kernels in ResNet-50 and
  -101: strides and bottlenecks are the standard ones, the stride of a bottleneck on its 3 x 3.
- Shortcuts between unequal sizes: the text fills up with zeros, standard ResNets project by 1 x 1
  convolutions (He et al., option B). The latter, so that parameters are those of known networks.
- CBAM: reduction 16, no biases, as in Woo et al., Eqs. 2 and 3.

Padding: frames after a step's end are zero before every convolution, as the convolution's own
border is, and take part in no batch statistic, pooling or attention. So padding moves nothing, in
training or evaluation; other steps do so in training alone, by batch statistics.
"""

import itertools
from typing import cast

import torch
from torch import Tensor, nn

from depmm.models.encoders.acoustic import MFCC, cepstral_scale
from depmm.models.encoders.encoder import Encoder, GradCamLayer
from depmm.models.masking import length_mask

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
BOTTLENECK_FROM = 50
EXPANSION = 4  # output of a bottleneck, in multiples of its width


class AttentionResNet(Encoder):
    """Encode the MFCC of each step.

    Parameters
    ----------
    depth : 18, 34, 50 or 101 layers
    attention : CBAM after each of the five modules; without it the plain ResNet
    channels : width of the first module; each stage after the second doubles it
    reduction : bottleneck of channel attention
    n_mfcc, n_mels, n_fft, hop_length : of the MFCC front-end

    Raises
    ------
    ValueError : a depth that is not one of the four
    """

    scale: Tensor

    def __init__(
        self,
        depth: int = 18,
        attention: bool = True,
        channels: int = 64,
        reduction: int = 16,
        n_mfcc: int = 20,
        n_mels: int = 128,
        n_fft: int = 2048,
        hop_length: int = 512,
    ):
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"no ResNet-{depth} here: set depth to one of {sorted(BLOCKS)}")
        self.mfcc = MFCC(n_mfcc, n_mels, n_fft, hop_length)
        self.register_buffer("scale", cepstral_scale(n_mfcc))
        self.convolution = nn.Conv2d(1, channels, 7, stride=2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = nn.ModuleList()
        size, sizes = channels, [channels]
        for stage, count in enumerate(BLOCKS[depth]):
            blocks = nn.ModuleList()
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(
                    ResidualBlock(size, channels * 2**stage, stride, depth >= BOTTLENECK_FROM)
                )
                size = cast(ResidualBlock, blocks[-1]).out_channels
            self.stages.append(blocks)
            sizes.append(size)
        self.attention = nn.ModuleList(CBAM(n, reduction) for n in sizes) if attention else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.out_channels > 1:
                # He et al. 2015, as the paper says; the gate of spatial attention is no ReLU layer
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.embed_dim = size

    def forward(self, waveform: Tensor, length: Tensor) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        waveform : Tensor[B, T] in [-1, 1] at 16 kHz, zero after ``length``
        length : Tensor[B] valid samples, at least 1

        Returns
        -------
        Tensor[B, D]
        """
        cepstrum, frames = self.mfcc(waveform, length)
        valid = length_mask(frames, cepstrum.shape[-1])
        x = self.convolution((cepstrum / self.scale).unsqueeze(1))
        valid = valid[:, ::2]
        x = self._attend(0, normalise(self.norm, x, valid).relu(), valid)
        # ReLU left nothing below zero: a zero after the end cannot win against a valid frame, but
        # the last valid frame spreads past an end at an even place
        valid = valid[:, ::2]
        x = self.pool(x).masked_fill(~valid[:, None, None, :], 0.0)
        for number, stage in enumerate(self.stages, start=1):
            for block in cast(nn.ModuleList, stage):
                x, valid = block(x, valid)
            x = self._attend(number, x, valid)
        return x.sum(dim=(2, 3)) / (valid.sum(dim=1, keepdim=True) * x.shape[2])

    def grad_cam_layer(self) -> GradCamLayer:
        """Return the last residual block; each column of its maps spans 32 frames."""
        last_block = cast(nn.ModuleList, self.stages[-1])[-1]
        return GradCamLayer(last_block, "cepstrum", self.mfcc, stride=32)

    def _attend(self, module: int, x: Tensor, valid: Tensor) -> Tensor:
        return x if self.attention is None else self.attention[module](x, valid)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, or a 1 x 1, 3 x 3, 1 x 1 bottleneck, and the shortcut (He et al.).

    Parameters
    ----------
    in_channels : width of the input
    channels : width of the block; a bottleneck gives four times as much
    stride : 2 halves the picture
    bottleneck : which of the two blocks
    """

    def __init__(self, in_channels: int, channels: int, stride: int, bottleneck: bool):
        super().__init__()
        self.out_channels = EXPANSION * channels if bottleneck else channels
        kernels, strides = ((1, 3, 1), (1, stride, 1)) if bottleneck else ((3, 3), (stride, 1))
        self.strides = strides
        sizes = [in_channels, *[channels] * (len(kernels) - 1), self.out_channels]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False)
            for (a, b), kernel, step in zip(
                itertools.pairwise(sizes), kernels, strides, strict=True
            )
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in sizes[1:])
        self.projection: nn.Module | None = None
        self.projection_norm: nn.Module | None = None
        if stride != 1 or in_channels != self.out_channels:
            self.projection = nn.Conv2d(in_channels, self.out_channels, 1, stride, bias=False)
            self.projection_norm = nn.BatchNorm2d(self.out_channels)

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Transform a picture and the mask of its frames.

        Parameters
        ----------
        x : Tensor[B, C, F, T], zero after the valid frames
        valid : Tensor[B, T] bool

        Returns
        -------
        Tensor[B, C, F, T] zero after the valid frames, Tensor[B, T]; F and T over the stride
        """
        shortcut = x
        last = len(self.norms) - 1
        layers = zip(self.convolutions, self.norms, self.strides, strict=True)
        for number, (convolution, norm, stride) in enumerate(layers):
            valid = valid[:, ::stride]
            x = normalise(norm, convolution(x), valid)
            x = x if number == last else x.relu()
        if self.projection is not None and self.projection_norm is not None:
            shortcut = normalise(self.projection_norm, self.projection(shortcut), valid)
        return (x + shortcut).relu(), valid


class ChannelAttention(nn.Module):
    """Scale channels by what their average and their maximum say (Woo et al., Eq. 2).

    Parameters
    ----------
    channels : width of the input
    reduction : the shared hidden layer is ``channels / reduction`` wide, at least 1
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        hidden = max(1, channels // reduction)
        self.shared = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, channels, bias=False),
        )

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Gate ``x``, Tensor[B, C, F, T] with ``valid``, Tensor[B, T]; same shape."""
        inside = valid[:, None, None, :]
        cells = valid.sum(dim=1, keepdim=True) * x.shape[2]
        average = x.masked_fill(~inside, 0.0).sum(dim=(2, 3)) / cells
        highest = x.masked_fill(~inside, -torch.inf).amax(dim=(2, 3))
        gate = torch.sigmoid(self.shared(average) + self.shared(highest))
        return x * gate[:, :, None, None]


class SpatialAttention(nn.Module):
    """Scale places by the average and the maximum over their channels (Woo et al., Eq. 3).

    Parameters
    ----------
    kernel : size of the convolution over places
    """

    def __init__(self, kernel: int = 7):
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Gate ``x``, Tensor[B, C, F, T] with ``valid``, Tensor[B, T]; same shape."""
        maps = torch.stack([x.mean(dim=1), x.amax(dim=1)], dim=1)
        maps = maps.masked_fill(~valid[:, None, None, :], 0.0)
        return x * torch.sigmoid(self.convolution(maps))


class CBAM(nn.Module):
    """Channel attention, then spatial attention (Woo et al., Eq. 1); arguments as there."""

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention()

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Gate ``x``, Tensor[B, C, F, T] with ``valid``, Tensor[B, T]; same shape."""
        return self.spatial(self.channel(x, valid), valid)


def normalise(norm: nn.Module, x: Tensor, valid: Tensor) -> Tensor:
    """Batch normalisation whose statistics come from valid frames alone.

    Parameters
    ----------
    norm : a BatchNorm2d over C channels
    x : Tensor[B, C, F, T]
    valid : Tensor[B, T] bool

    Returns
    -------
    Tensor[B, C, F, T], zero after the valid frames
    """
    if not norm.training:
        return norm(x).masked_fill(~valid[:, None, None, :], 0.0)
    frames = x.permute(0, 3, 1, 2)
    normal = norm(frames[valid].unsqueeze(-1)).squeeze(-1)  # N valid frames of the batch: N C F
    inside = valid[:, :, None, None]
    return torch.zeros_like(frames).masked_scatter(inside, normal.to(x.dtype)).permute(0, 2, 3, 1)
