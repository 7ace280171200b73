"""ResNet-50 and SE-ResNet-50 in the layouts of their published weights, over single face crops.

He et al. (CVPR 2016), Hu et al. (CVPR 2018), Cao et al. (VGGFace2, FG 2018). Unlike the small
``SEResNet`` these keep batch normalisation, the ordering of operations and the pixel scale of the
checkpoints they exist for, so that ``weights.load_weights`` gives the published features.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from depmm.models.encoders.se_resnet import SqueezeExcitation
from depmm.models.masking import length_mask

Layout = Literal["vggface2_bgr", "vggface2_rgb", "torchvision"]

BLOCKS = (3, 4, 6, 3)
CHANNELS = (64, 128, 256, 512)
EXPANSION = 4
STRIDE = 32  # pixels of a crop per position of the last maps
VGGFACE2_BGR_MEAN = (91.4953, 103.8827, 131.0912)  # of pixels in 0-255
IMAGENET_RGB_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_RGB_DEVIATION = (0.229 * 255, 0.224 * 255, 0.225 * 255)
PIXEL_DEVIATION = 64.0  # about that of a face crop
# frames that go through a network in evaluation mode at once: bounds its memory to about 0.5 GB
FRAMES_AT_ONCE = 32


class FacePixels(nn.Module):
    """Bring RGB crops into the channel order and scale that the weights were trained with.

    Parameters
    ----------
    weights_layout : see ``ResNet50``
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, weights_layout: Layout = "vggface2_bgr"):
        super().__init__()
        self.flip = weights_layout == "vggface2_bgr"
        mean, deviation = torch.tensor(VGGFACE2_BGR_MEAN), torch.ones(3)
        if weights_layout == "vggface2_rgb":
            mean = mean.flip(0)
        elif weights_layout == "torchvision":
            mean, deviation = torch.tensor(IMAGENET_RGB_MEAN), torch.tensor(IMAGENET_RGB_DEVIATION)
        self.register_buffer("mean", mean[:, None, None])
        self.register_buffer("deviation", deviation[:, None, None])

    def forward(self, crops: Tensor) -> Tensor:
        """Normalise Tensor[N, 3, height, width] uint8 RGB to float of the same shape."""
        pixels = (crops.flip(1) if self.flip else crops).to(self.mean.dtype)
        return (pixels - self.mean) / self.deviation


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution, optional squeeze-and-excitation, and the shortcut.

    Parameters
    ----------
    in_channels : of the input; the output has ``4 channels``
    strides : of the first 1 x 1 and of the 3 x 3 convolution; one of them is 1
    squeeze_excitation : weigh the channels before the shortcut is added (Hu et al., Fig. 3)
    """

    def __init__(
        self, in_channels: int, channels: int, strides: tuple[int, int], squeeze_excitation: bool
    ):
        super().__init__()
        out_channels = EXPANSION * channels
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, strides[0], bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, strides[1], 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.excite = SqueezeExcitation(out_channels) if squeeze_excitation else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        stride = strides[0] * strides[1]
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Transform Tensor[N, C, height, width]; a stride of 2 halves the picture."""
        return nn.functional.relu(self.excite(self.body(x)) + self.shortcut(x))


class ResNet50(nn.Module):
    """The convolutional part of (SE-)ResNet-50: pixels -> 2048 maps of 1/32 the size.

    Without a classifier 23.51 M parameters, with squeeze-and-excitation 26.04 M. (The 26.05 M
    usually quoted include a classifier of 3 to 7 outputs, 2049 parameters each, such as the four
    BDI-II bands; the 8631 identities of VGGFace2 would make 43.72 M.)

    Parameters
    ----------
    squeeze_excitation : SE-ResNet-50 with reduction 16, else ResNet-50
    weights_layout : how the weights to come were trained. ``vggface2_bgr``: the Caffe models of
        VGGFace2
        and direct conversions: the stride of a stage in its first 1 x 1 convolution, a stem
        pooling that rounds up instead of padding, BGR less its mean on 0-255. ``vggface2_rgb``: the
        same, but RGB, as in the PyTorch files that the VGGFace2 authors give out: the names of the
        tensors do not tell them apart. ``torchvision``: ImageNet weights, stride in the 3 x 3
        convolution, RGB standardised.
    """

    out_channels = EXPANSION * CHANNELS[-1]

    def __init__(self, squeeze_excitation: bool = True, weights_layout: Layout = "vggface2_bgr"):
        super().__init__()
        caffe = weights_layout != "torchvision"
        first = nn.Conv2d(3, CHANNELS[0], 7, 2, 3, bias=False)
        self.stem = nn.Sequential(
            first,
            nn.BatchNorm2d(CHANNELS[0]),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, ceil_mode=True) if caffe else nn.MaxPool2d(3, 2, padding=1),
        )
        stages = []
        size = CHANNELS[0]
        for stage, (count, channels) in enumerate(zip(BLOCKS, CHANNELS, strict=True)):
            blocks = []
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                strides = (stride, 1) if caffe else (1, stride)
                blocks.append(Bottleneck(size, channels, strides, squeeze_excitation))
                size = EXPANSION * channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if caffe:
            # Caffe's pixels are not divided: an untrained stem is that much smaller instead
            with torch.no_grad():
                first.weight.div_(PIXEL_DEVIATION)

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute features.

        Parameters
        ----------
        pixels : Tensor[N, 3, height, width] from ``FacePixels`` of the same layout

        Returns
        -------
        Tensor[N, 2048, height / 32, width / 32], 7 x 7 for crops of 224
        """
        return self.stages(self.stem(pixels))


class FaceBackbone(nn.Module):
    """(SE-)ResNet-50 with its pixel scale, over the frames of each step, optionally frozen.

    Frozen, its parameters get no gradient and it stays in evaluation mode when the model around it
    trains, so that its batch statistics stay those of the checkpoint.

    Parameters
    ----------
    squeeze_excitation, weights_layout : see ``ResNet50``; load weights into ``resnet``
    frozen : keep parameters and batch statistics
    """

    def __init__(self, squeeze_excitation: bool, weights_layout: Layout, frozen: bool):
        super().__init__()
        self.pixels = FacePixels(weights_layout)
        self.resnet = ResNet50(squeeze_excitation, weights_layout)
        self.frozen = frozen
        self.train()

    def train(self, mode: bool = True) -> "FaceBackbone":
        """Switch the mode, unless frozen."""
        super().train(mode and not self.frozen)
        if self.frozen:
            # here too: transformers' from_pretrained makes every parameter trainable again
            self.requires_grad_(False)
        return self

    def forward(
        self, crops: Tensor, length: Tensor, frames: int, keep: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Encode the same number of frames of every step.

        Only distinct valid frames pass through the network: a step with fewer than ``frames``
        repeats their features in a cycle.

        Parameters
        ----------
        crops : Tensor[B, T, 3, height, width] uint8 RGB
        length : Tensor[B] valid frames, at least 1
        frames : number per step, chosen by ``choose_frames``
        keep : Tensor[N, 2048, h, w] -> Tensor[N, ...], what is kept of the maps

        Returns
        -------
        Tensor[B, frames, ...]
        """
        available = length.clamp(max=frames)
        chosen = crops[distinct_frames(length, frames)]
        # batch statistics are over all frames of a batch: no parts while training
        parts = (chosen,) if self.training else chosen.split(FRAMES_AT_ONCE)
        features = torch.cat([keep(self.maps(part)) for part in parts])
        first = available.cumsum(0) - available
        cycle = torch.arange(frames, device=length.device) % available.unsqueeze(1)
        return features[first.unsqueeze(1) + cycle]

    def maps(self, crops: Tensor) -> Tensor:
        """Compute Tensor[N, 2048, h, w] from Tensor[N, 3, height, width] uint8 RGB."""
        # channels last: a fifth faster on CPU, more on GPU in bf16
        pixels = self.pixels(crops).contiguous(memory_format=torch.channels_last)
        return self.resnet(pixels)


def choose_frames(length: Tensor, frames: int) -> Tensor:
    """Choose frames by the number of valid ones alone.

    More than ``frames``: the middles of as many equal parts. Fewer: all of them, again and again.
    (Random choice in training is the data loader's.)

    Parameters
    ----------
    length : Tensor[B] valid frames, at least 1
    frames : number to choose

    Returns
    -------
    Tensor[B, frames] int, all below ``length``
    """
    position = torch.arange(frames, device=length.device)
    length = length.unsqueeze(1)
    spread = (2 * position + 1) * length // (2 * frames)
    return torch.where(length > frames, spread, position % length)


def distinct_frames(lengths: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Index the frames that pass through the network, each of a step once.

    Parameters
    ----------
    lengths : Tensor, shape (B,)
        Valid frames of each step, at least 1.
    frames : int
        Frames to choose per step.

    Returns
    -------
    step_index : Tensor, shape (M,)
        Step of each frame.
    frame_index : Tensor, shape (M,)
        Index of the frame within its step.
    """
    used = length_mask(lengths.clamp(max=frames), frames)
    return used.nonzero()[:, 0], choose_frames(lengths, frames)[used]
