"""Attention residual network: ResNet on MFCC with CBAM in its residual blocks.

The network has no dropout (Sec. 3). The vector of a step is the output of average pooling, which
the paper flattens; its linear layer and softmax are replaced by the fusion and the head.

Choices where the paper is silent or contradicts itself:

- MFCC "by librosa functions": the defaults of librosa (20 coefficients of 128 mel bands, frames of
  2048 every 512 samples), each coefficient divided by a fixed typical standard deviation.
- The abstract, Sec. 3.4 and Fig. 6 place CBAM inside every residual block, on the residual branch
  before the shortcut is added, as Woo et al. do. This is the default (``inside_blocks``). Sec. 3.5
  says "after each convolution module", of which there are five: with ``after_modules``, CBAM
  follows the 7 x 7 convolution (before the max-pool, which He et al. assign to the second module)
  and each of the four stages.
- "The remaining convolutional layers" cannot all have stride 2, nor 3 x 3 kernels in ResNet-50 and
  -101: strides and bottlenecks are the standard ones, with the stride of a bottleneck in its 3 x 3
  convolution.
- Shortcuts between unequal sizes "fill zero entries" (Sec. 3.5; He et al., option A). Standard
  ResNets project with 1 x 1 convolutions (option B), which ``shortcut`` selects.
- CBAM: reduction 16, no biases, as in Woo et al., Eqs. 2 and 3.

Frames after the end of a step are set to zero before every convolution, like the padding of the
convolution, and are excluded from batch statistics, pooling and attention. Padding therefore does
not change the output in training or evaluation. The other steps of a batch change the vector of a
step in training only, through batch statistics.

References
----------
Lu et al., "Speech depression recognition based on attentional residual network", Front. Biosci.
2021, Sec. 3.
He et al., "Deep residual learning for image recognition", CVPR 2016.
Woo et al., "CBAM: Convolutional block attention module", ECCV 2018.
"""

import itertools
from typing import Literal, cast

from numpy.typing import ArrayLike
from torch import Tensor, nn

from depmm.models.batch_norm import MaskedBatchNorm2d
from depmm.models.encoders.cbam import CBAM, mean_valid, zero_invalid
from depmm.models.encoders.encoder import Encoder, GradCamLayer
from depmm.models.encoders.frontends import MFCC, typical_mfcc_std
from depmm.models.errors import ModelError
from depmm.models.masking import padding_mask

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
BOTTLENECK_FROM = 50
EXPANSION = 4  # output channels of a bottleneck, in multiples of its inner channels
CBAM_REDUCTION = 16
ShortcutKind = Literal["zero_padding", "projection"]
AttentionPlace = Literal["inside_blocks", "after_modules", "none"]
FRAMES_PER_COLUMN = 32  # MFCC frames per column of the last feature maps


class AttentionResNet(Encoder):
    """Encode the MFCC of each step.

    Parameters
    ----------
    depth : {18, 34, 50, 101}
        Number of layers.
    attention : {"inside_blocks", "after_modules", "none"}
        Place of CBAM: on the residual branch of every block, after each of the five modules, or
        nowhere (a plain ResNet).
    shortcut : {"zero_padding", "projection"}
        How shortcuts change the number of channels: additional channels are zero, or 1 x 1
        convolutions with batch normalisation.
    channels : int
        Channels of the first module; each stage after the second doubles them.
    n_mfcc, n_mels, n_fft, hop_length : int
        See ``MFCC``.
    reduction : int, default 16
        Reduction of channel attention.

    Raises
    ------
    ModelError
        If ``depth`` is not one of the four.
    """

    mfcc_std: Tensor

    def __init__(
        self,
        depth: int,
        attention: AttentionPlace,
        shortcut: ShortcutKind,
        channels: int,
        n_mfcc: int,
        n_mels: int,
        n_fft: int,
        hop_length: int,
        reduction: int = CBAM_REDUCTION,
    ) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ModelError(
                f"depth is {depth}. Set it to one of {', '.join(map(str, BLOCKS))}.",
                setting="depth",
                value=depth,
            )
        self.mfcc = MFCC(n_mfcc, n_mels, n_fft, hop_length, "hann")
        self.register_buffer("mfcc_std", typical_mfcc_std(n_mfcc))
        self.convolution = nn.Conv2d(1, channels, 7, stride=2, padding=3, bias=False)
        self.norm = MaskedBatchNorm2d(channels)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = nn.ModuleList()
        in_channels, module_channels = channels, [channels]
        for stage, n_blocks in enumerate(BLOCKS[depth]):
            blocks = nn.ModuleList()
            for index in range(n_blocks):
                stride = 2 if stage > 0 and index == 0 else 1
                block = ResidualBlock(
                    in_channels,
                    channels * 2**stage,
                    stride,
                    depth >= BOTTLENECK_FROM,
                    shortcut,
                    reduction if attention == "inside_blocks" else None,
                )
                blocks.append(block)
                in_channels = block.out_channels
            self.stages.append(blocks)
            module_channels.append(in_channels)
        self.attention = (
            nn.ModuleList(CBAM(n, reduction) for n in module_channels)
            if attention == "after_modules"
            else None
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.out_channels > 1:
                # He et al. 2015, as in the paper; not for spatial attention, which has no ReLU
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.embed_dim = in_channels

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
            Mean of the last maps over valid positions.
        """
        mfcc, n_frames = self.mfcc(x, lengths)
        valid = padding_mask(n_frames, mfcc.shape[-1], x.device)
        image = (mfcc / self.mfcc_std).unsqueeze(1).to(self.convolution.weight.dtype)
        maps = self.convolution(image)
        valid = _subsample(valid, 2)
        maps = self._attend(0, self.norm(maps, valid).relu(), valid)
        # after ReLU the zeros beyond the end cannot exceed a valid frame, but the max-pool copies
        # the last valid frame beyond the end if its position is even
        valid = _subsample(valid, 2)
        maps = zero_invalid(self.pool(maps), valid)
        for index, stage in enumerate(self.stages, start=1):
            for block in cast(nn.ModuleList, stage):
                maps, valid = block(maps, valid)
            maps = self._attend(index, maps, valid)
        return mean_valid(maps, valid)

    def grad_cam_layer(self) -> GradCamLayer:
        """Return the last residual block; each column of its maps spans 32 frames."""
        last_block = cast(nn.ModuleList, self.stages[-1])[-1]
        return GradCamLayer(last_block, "cepstrum", self.mfcc, FRAMES_PER_COLUMN)

    def _attend(self, index: int, maps: Tensor, valid: Tensor | None) -> Tensor:
        return maps if self.attention is None else self.attention[index](maps, valid)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, or a 1 x 1, 3 x 3, 1 x 1 bottleneck, CBAM, and the shortcut.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    channels : int
        Channels of the block; the output of a bottleneck has four times as many.
    stride : int
        2 halves height and width.
    bottleneck : bool
        Whether the block is a bottleneck.
    shortcut : {"zero_padding", "projection"}
        As for ``AttentionResNet``.
    reduction : int or None
        Reduction of the channel attention on the residual branch; None: no attention.

    References
    ----------
    He et al., CVPR 2016, Fig. 5. Lu et al., 2021, Fig. 6. Woo et al., ECCV 2018, Fig. 3.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        bottleneck: bool,
        shortcut: ShortcutKind,
        reduction: int | None,
    ) -> None:
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
        self.norms = nn.ModuleList(MaskedBatchNorm2d(size) for size in sizes[1:])
        self.attention = None if reduction is None else CBAM(self.out_channels, reduction)
        self.projection: nn.Module | None = None
        self.projection_norm: nn.Module | None = None
        self.stride = stride
        resized = stride != 1 or in_channels != self.out_channels
        if resized and shortcut == "projection":
            self.projection = nn.Conv2d(in_channels, self.out_channels, 1, stride, bias=False)
            self.projection_norm = MaskedBatchNorm2d(self.out_channels)

    def forward(self, x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Transform feature maps and the mask of their frames.

        Parameters
        ----------
        x : Tensor, shape (B, C, F, T)
            Feature maps, zero after the valid frames.
        valid : Tensor, shape (B, T), bool, or None
            Valid frames; None if all are.

        Returns
        -------
        maps : Tensor, shape (B, C_out, F / stride, T / stride)
            Feature maps, zero after the valid frames.
        valid : Tensor, shape (B, T / stride), bool, or None
            Valid frames; None if all are.
        """
        shortcut = x
        last = len(self.norms) - 1
        layers = zip(self.convolutions, self.norms, self.strides, strict=True)
        for index, (convolution, norm, stride) in enumerate(layers):
            valid = _subsample(valid, stride)
            x = norm(convolution(x), valid)
            x = x if index == last else x.relu()
        if self.attention is not None:
            x = self.attention(x, valid)
        if self.projection is not None and self.projection_norm is not None:
            shortcut = self.projection_norm(self.projection(shortcut), valid)
        else:  # unchanged if the sizes are equal
            shortcut = shortcut[:, :, :: self.stride, :: self.stride]
            new_channels = self.out_channels - shortcut.shape[1]
            shortcut = nn.functional.pad(shortcut, (0, 0, 0, 0, 0, new_channels))
        return (x + shortcut).relu(), valid


def _subsample(valid: Tensor | None, stride: int) -> Tensor | None:
    return None if valid is None else valid[:, ::stride]
