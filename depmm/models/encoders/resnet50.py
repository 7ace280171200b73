"""ResNet-50 and SE-ResNet-50 on single face crops, in the layouts of published weights.

Unlike the small ``SEResNet``, these networks have the batch normalisation, the order of operations
and the pixel scale of the published checkpoints, so that their features are reproduced after
``load_weights``.

References
----------
He et al., "Deep residual learning for image recognition", CVPR 2016.
Hu et al., "Squeeze-and-excitation networks", CVPR 2018.
Cao et al., "VGGFace2: A dataset for recognising faces across pose and age", FG 2018.
"""

from collections.abc import Callable
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from depmm.models.batch_norm import MaskedBatchNorm2d
from depmm.models.encoders.encoder import parameter_dtype
from depmm.models.encoders.folded_resnet import FoldedResNet, can_fold
from depmm.models.encoders.se_resnet import SqueezeExcitation
from depmm.models.host import Lengths, host_lengths, host_mask, to_device

WeightsLayout = Literal["vggface2_bgr", "vggface2_rgb", "torchvision"]

BLOCKS = (3, 4, 6, 3)
CHANNELS = (64, 128, 256, 512)
EXPANSION = 4
SE_REDUCTION = 16
STRIDE = 32  # pixels of a crop per position of the last maps
VGGFACE2_BGR_MEAN = (91.4953, 103.8827, 131.0912)  # of pixels in 0-255
IMAGENET_RGB_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_RGB_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
PIXEL_STD = 64.0  # approximate standard deviation of a face crop
# frames per forward pass in evaluation mode; limits the memory to about 0.5 GB
FRAMES_AT_ONCE = 32


class PixelNormalisation(nn.Module):
    """Convert RGB crops to the channel order and scale for which the weights were trained.

    Parameters
    ----------
    weights_layout : {"vggface2_bgr", "vggface2_rgb", "torchvision"}
        See ``ResNet50``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights_layout: WeightsLayout) -> None:
        super().__init__()
        self.to_bgr = weights_layout == "vggface2_bgr"
        mean, std = torch.tensor(VGGFACE2_BGR_MEAN), torch.ones(3)
        if weights_layout == "vggface2_rgb":
            mean = mean.flip(0)
        elif weights_layout == "torchvision":
            mean, std = torch.tensor(IMAGENET_RGB_MEAN), torch.tensor(IMAGENET_RGB_STD)
        self.register_buffer("mean", mean[:, None, None])
        self.register_buffer("std", std[:, None, None])

    def forward(self, crops: Tensor) -> Tensor:
        """Normalise crops.

        Parameters
        ----------
        crops : Tensor, shape (N, 3, height, width), uint8
            RGB crops.

        Returns
        -------
        Tensor, shape (N, 3, height, width)
            Normalised pixels in the channel order of the weights.
        """
        pixels = (crops.flip(1) if self.to_bgr else crops).to(self.mean.dtype)
        return (pixels - self.mean) / self.std


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution, optional squeeze-and-excitation, and the shortcut.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    channels : int
        Channels between the convolutions; the output has four times as many.
    strides : tuple of int
        Strides of the first 1 x 1 and of the 3 x 3 convolution; one of them is 1.
    squeeze_excitation : bool
        Whether the channels are weighted before the shortcut is added (Hu et al., Fig. 3).
    """

    def __init__(
        self, in_channels: int, channels: int, strides: tuple[int, int], squeeze_excitation: bool
    ) -> None:
        super().__init__()
        out_channels = EXPANSION * channels
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, strides[0], bias=False),
            MaskedBatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, strides[1], 1, bias=False),
            MaskedBatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, out_channels, 1, bias=False),
            MaskedBatchNorm2d(out_channels),
        )
        self.excite = (
            SqueezeExcitation(out_channels, SE_REDUCTION) if squeeze_excitation else nn.Identity()
        )
        self.shortcut: nn.Module = nn.Identity()
        stride = strides[0] * strides[1]
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                MaskedBatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Transform feature maps.

        Parameters
        ----------
        x : Tensor, shape (N, in_channels, height, width)
            Feature maps.

        Returns
        -------
        Tensor, shape (N, 4 channels, height / stride, width / stride)
            Transformed feature maps.
        """
        return nn.functional.relu(self.excite(self.body(x)) + self.shortcut(x))


class ResNet50(nn.Module):
    """The convolutional part of (SE-)ResNet-50, with 2048 output maps of 1/32 of the input size.

    Without a classifier it has 23.51 M parameters, with squeeze-and-excitation 26.04 M. (The
    26.05 M that are usually quoted include a classifier of 3 to 7 outputs with 2049 parameters
    each, such as the four BDI-II bands; the 8631 identities of VGGFace2 would make 43.72 M.)

    Parameters
    ----------
    squeeze_excitation : bool
        Whether the network is SE-ResNet-50 with reduction 16; otherwise ResNet-50.
    weights_layout : {"vggface2_bgr", "vggface2_rgb", "torchvision"}
        How the weights were trained, which cannot be derived from the names of their tensors.

        - ``vggface2_bgr``: the Caffe models of VGGFace2 and direct conversions. The stride of a
          stage is in its first 1 x 1 convolution, the stem pooling rounds up instead of padding,
          and pixels are BGR in 0-255 minus their mean.
        - ``vggface2_rgb``: the same with RGB, as in the PyTorch files of the VGGFace2 authors.
        - ``torchvision``: ImageNet weights, the stride in the 3 x 3 convolution, standardised RGB.
    """

    out_channels = EXPANSION * CHANNELS[-1]

    def __init__(self, squeeze_excitation: bool, weights_layout: WeightsLayout) -> None:
        super().__init__()
        caffe = weights_layout != "torchvision"
        first = nn.Conv2d(3, CHANNELS[0], 7, 2, 3, bias=False)
        self.stem = nn.Sequential(
            first,
            MaskedBatchNorm2d(CHANNELS[0]),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, ceil_mode=True) if caffe else nn.MaxPool2d(3, 2, padding=1),
        )
        stages = []
        in_channels = CHANNELS[0]
        for stage, (n_blocks, channels) in enumerate(zip(BLOCKS, CHANNELS, strict=True)):
            blocks = []
            for block in range(n_blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                strides = (stride, 1) if caffe else (1, stride)
                blocks.append(Bottleneck(in_channels, channels, strides, squeeze_excitation))
                in_channels = EXPANSION * channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Bottleneck) and not squeeze_excitation:
                # In evaluation mode, new normalisation layers do nothing, and 16 sums of two equal
                # branches would scale the maps by about 40. The gates of squeeze-and-excitation
                # are 0.5 at first.
                nn.init.constant_(cast(nn.BatchNorm2d, module.body[-1]).weight, 0.5)
        if caffe:
            # Caffe does not divide pixels by their standard deviation: scale the new stem instead
            with torch.no_grad():
                first.weight.div_(PIXEL_STD)

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute features.

        Parameters
        ----------
        pixels : Tensor, shape (N, 3, height, width)
            Output of ``PixelNormalisation`` with the same layout.

        Returns
        -------
        Tensor, shape (N, 2048, height / 32, width / 32)
            7 x 7 maps for crops of 224 pixels.
        """
        maps: Tensor = self.stages(self.stem(pixels))
        return maps


class FaceBackbone(nn.Module):
    """(SE-)ResNet-50 with its pixel normalisation on the frames of each step, optionally frozen.

    If frozen, its parameters receive no gradient and it stays in evaluation mode during training,
    so that its batch statistics remain those of the checkpoint.

    Parameters
    ----------
    squeeze_excitation : bool
        See ``ResNet50``; load weights into the attribute ``resnet``.
    weights_layout : {"vggface2_bgr", "vggface2_rgb", "torchvision"}
        See ``ResNet50``.
    frozen : bool
        Whether parameters and batch statistics stay unchanged in training.
    """

    def __init__(
        self, squeeze_excitation: bool, weights_layout: WeightsLayout, frozen: bool
    ) -> None:
        super().__init__()
        self.pixels = PixelNormalisation(weights_layout)
        self.resnet = ResNet50(squeeze_excitation, weights_layout)
        self.frozen = frozen
        self.folded = FoldedResNet()
        self.train()

    def train(self, mode: bool = True) -> "FaceBackbone":
        """Set the mode, unless the network is frozen.

        Parameters
        ----------
        mode : bool, default True
            True for training mode.

        Returns
        -------
        FaceBackbone
            The module itself.
        """
        super().train(mode and not self.frozen)
        if self.frozen:
            # also here, because from_pretrained of transformers makes all parameters trainable
            self.requires_grad_(False)
        return self

    def forward(
        self, crops: Tensor, lengths: ArrayLike, n_frames: int, pool: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Encode the same number of frames of every step.

        Only distinct valid frames pass through the network; a step with fewer than ``n_frames``
        repeats their features in a cycle.

        Parameters
        ----------
        crops : Tensor, shape (B, T, 3, height, width), uint8
            RGB crops.
        lengths : array_like of int, shape (B,)
            Valid crops, at least 1, on the host.
        n_frames : int
            Frames per step, chosen by `choose_frames`.
        pool : callable
            Reduction of the maps, from (N, 2048, h, w) to (N, ...).

        Returns
        -------
        Tensor, shape (B, n_frames, ...)
            Pooled features of each chosen frame.
        """
        lengths = host_lengths(lengths)
        available = np.minimum(lengths, n_frames)
        complete = bool((available == n_frames).all())
        chosen = _gather_frames(crops, lengths, n_frames)
        # in training the batch is not split, because batch statistics are over all of its frames
        parts = (chosen,) if self.training else torch.split(chosen, FRAMES_AT_ONCE)
        features = torch.cat([pool(self.maps(part)) for part in parts])
        if complete:
            return features.view(-1, n_frames, *features.shape[1:])
        first = available.cumsum() - available
        cycle = np.arange(n_frames) % available[:, None]
        return features[to_device(first[:, None] + cycle, features.device)]

    def maps(self, crops: Tensor) -> Tensor:
        """Compute the last feature maps of crops.

        Parameters
        ----------
        crops : Tensor, shape (N, 3, height, width), uint8
            RGB crops.

        Returns
        -------
        Tensor, shape (N, 2048, height / 32, width / 32)
            Last feature maps, 7 x 7 for crops of 224 pixels.
        """
        pixels = self.pixels(crops).to(parameter_dtype(self.resnet))
        if can_fold(self.resnet, pixels):
            return self.folded(self.resnet, pixels)
        # channels last is a fifth faster on a CPU, and more on a GPU in bfloat16
        maps: Tensor = self.resnet(pixels.contiguous(memory_format=torch.channels_last))
        return maps


def choose_frames(lengths: ArrayLike, n_frames: int) -> Lengths:
    """Choose frames of each step, depending on the number of valid frames only.

    If there are more than ``n_frames``, they are divided into ``n_frames`` equal parts and the
    middle of each part is chosen; fewer frames are repeated in a cycle. (The random choice in
    training is made by the data loader.)

    Parameters
    ----------
    lengths : array_like of int, shape (B,)
        Valid frames, at least 1.
    n_frames : int
        Frames to choose per step.

    Returns
    -------
    ndarray of int, shape (B, n_frames)
        Frame indices, all below ``lengths``.
    """
    position = np.arange(n_frames)
    available = host_lengths(lengths)[:, None]
    evenly_spaced = (2 * position + 1) * available // (2 * n_frames)
    return np.where(available > n_frames, evenly_spaced, position % available)


def distinct_frames(lengths: ArrayLike, n_frames: int) -> tuple[Lengths, Lengths]:
    """Index the frames that pass through the network, without repetitions.

    Parameters
    ----------
    lengths : array_like of int, shape (B,)
        Valid frames of each step, at least 1.
    n_frames : int
        Frames to choose per step.

    Returns
    -------
    step_index : ndarray of int, shape (M,)
        Step of each frame.
    frame_index : ndarray of int, shape (M,)
        Index of the frame within its step.
    """
    lengths = host_lengths(lengths)
    used = host_mask(np.minimum(lengths, n_frames), n_frames)
    return used.nonzero()[0], choose_frames(lengths, n_frames)[used]


def _gather_frames(crops: Tensor, lengths: Lengths, n_frames: int) -> Tensor:
    """Select the distinct frames of (B, T, ...), shape (M, ...)."""
    if crops.shape[1] == n_frames and (lengths == n_frames).all():
        return crops.flatten(0, 1)
    step, frame = distinct_frames(lengths, n_frames)
    index = to_device(step * crops.shape[1] + frame, crops.device)
    return crops.flatten(0, 1).index_select(0, index)
