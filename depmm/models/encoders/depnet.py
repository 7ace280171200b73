"""DepNet: SE-ResNet-50 features of a few face frames, aggregated over time.

The features of T = 5 frames come from a frozen network (Sec. 4.1), followed by the feature
aggregation module (Sec. 4.2, Fig. 6) and two fully connected layers, the second of which is the
prediction after the fusion. The systems on single images of Tables 2 and 3 are ``FrameMean``.

References
----------
He et al., "DepNet: An automated industrial intelligent system using deep learning for video-based
depression analysis", Int. J. Intell. Syst. 2021, doi:10.1002/int.22704.
"""

import numpy as np
import torch
from einops import rearrange, reduce
from numpy.typing import ArrayLike
from torch import Tensor, nn

from depmm.models.encoders.encoder import (
    GradCamLayer,
    PrecomputableEncoder,
    check_crop_size,
    parameter_dtype,
)
from depmm.models.encoders.resnet50 import (
    STRIDE,
    FaceBackbone,
    ResNet50,
    WeightsLayout,
    distinct_frames,
)
from depmm.models.errors import ModelError
from depmm.models.host import host_lengths, host_mask, to_device
from depmm.models.masking import masked_mean

# the paper states kernel 4 and stride 4, which gives 512 maps, but also 256 maps, which 8 gives
CHANNEL_POOL = 8
KERNELS = (3, 5, 9)
JOINED_CHANNELS = 64


def channel_max_pool(features: Tensor) -> Tensor:
    """Keep the maximum of every 8 neighbouring channels, flattened (Sec. 4.2).

    Parameters
    ----------
    features : Tensor, shape (N, 2048, 7, 7)
        Feature maps.

    Returns
    -------
    Tensor, shape (N, 12544)
        256 x 7 x 7 values.
    """
    return reduce(features, "n (c k) h w -> n (c h w)", "max", k=CHANNEL_POOL)


class FeatureAggregation(nn.Module):
    """Feature aggregation module: how each position of the maps changes over the frames.

    Three temporal convolutions (3, 5 and 9 frames), each followed by a maximum over all frames, in
    parallel with maximum and mean of the input; a 1 x 1 convolution joins them.

    The paper states a padding of 0, but a kernel of 9 does not fit into 5 frames, and its pooling
    kernel of 5 requires convolutions that keep all 5 frames: here they are padded with zeros in
    time. It does not state their channels; with 32, the 1 x 1 convolution reduces the number of
    channels (98 -> 64), as described in the paper. It describes no activations, and none are used.

    Parameters
    ----------
    channels : int
        Output channels of each temporal convolution.

    References
    ----------
    He et al. 2021, Sec. 4.2 and Fig. 6.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.temporal = nn.ModuleList(
            nn.Conv2d(1, channels, (kernel, 1), padding=(kernel // 2, 0)) for kernel in KERNELS
        )
        self.join = nn.Conv1d(len(KERNELS) * channels + 2, JOINED_CHANNELS, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Aggregate the frames.

        Parameters
        ----------
        frames : Tensor, shape (B, T, P)
            Features of each frame, for example 5 x 12544.

        Returns
        -------
        Tensor, shape (B, 64, P)
            Joined branches for each position of the maps.
        """
        image = frames.unsqueeze(1)
        kernel = (frames.shape[1], 1)
        convolved = [convolution(image) for convolution in self.temporal]
        branches = [nn.functional.max_pool2d(x, kernel) for x in (*convolved, image)]
        branches.append(nn.functional.avg_pool2d(image, kernel))
        joined: Tensor = self.join(torch.cat(branches, dim=1).squeeze(2))
        return joined


class _FrameEncoder(PrecomputableEncoder):
    """Common parts of the encoders on ``FaceBackbone``; parameters as in ``DepNet``."""

    backbone: FaceBackbone

    def __init__(
        self, squeeze_excitation: bool, weights_layout: WeightsLayout, frozen: bool, frames: int
    ) -> None:
        super().__init__()
        self.frames = self.max_crops = frames
        self.frozen = frozen
        self.backbone = FaceBackbone(squeeze_excitation, weights_layout, frozen)
        self.precompute_settings = {
            "squeeze_excitation": squeeze_excitation,
            "weights_layout": weights_layout,
            "frames": frames,
        }

    def grad_cam_layer(self) -> GradCamLayer:
        """Return the last maps of the backbone, one image for each distinct frame."""
        return GradCamLayer(
            self.backbone.resnet,
            "pixels",
            frames=lambda lengths, _: distinct_frames(lengths, self.frames),
        )


class DepNet(_FrameEncoder):
    """Encode the face crops of each step with DepNet.

    In addition to the backbone, it has 51.39 M parameters at 224 pixels, nearly all in the fully
    connected layer (64 x 12544 inputs). The paper does not state the number of its units.

    Parameters
    ----------
    squeeze_excitation : bool
        Whether the backbone is SE-ResNet-50 (the paper) or ResNet-50.
    weights_layout : {"vggface2_bgr", "vggface2_rgb", "torchvision"}
        See ``ResNet50``.
    frozen : bool
        Whether the backbone is frozen.
    face_size : int
        Height and width of the crops in pixels, a multiple of 32; the size of the fully connected
        layer depends on it.
    frames : int
        Frames per step, `T`. Longer steps are subsampled evenly; shorter steps repeat their frames
        in a cycle.
    channels : int
        Output channels of each temporal convolution.
    embed_dim : int
        Output size, `D`.
    dropout : float
        Dropout probability after the fully connected layer.

    Raises
    ------
    ModelError
        If ``face_size`` is not a multiple of 32.
    """

    def __init__(
        self,
        squeeze_excitation: bool,
        weights_layout: WeightsLayout,
        frozen: bool,
        face_size: int,
        frames: int,
        channels: int,
        embed_dim: int,
        dropout: float,
    ) -> None:
        super().__init__(squeeze_excitation, weights_layout, frozen, frames)
        if face_size % STRIDE:
            raise ModelError(
                f"face_size is {face_size}, which is not a multiple of {STRIDE}. Use 224, as in "
                f"the training of the weights, or {max(STRIDE, face_size // STRIDE * STRIDE)}.",
                setting="face_size",
                value=face_size,
            )
        self.face_size = face_size
        self.aggregate = FeatureAggregation(channels)
        n_positions = ResNet50.out_channels // CHANNEL_POOL * (face_size // STRIDE) ** 2
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(JOINED_CHANNELS * n_positions, embed_dim),
            nn.Dropout(dropout),
            nn.ReLU(),
        )
        self.precompute_dim = frames * n_positions
        self.embed_dim = embed_dim

    def precompute(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Compute the pooled features of each frame.

        Parameters
        ----------
        x : Tensor, shape (N, T, 3, face_size, face_size), uint8
            RGB crops.
        lengths : array_like of int, shape (N,)
            Valid crops, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, K)
            Concatenated features of the frames: K = 62720 for 5 frames of 224 pixels.

        Raises
        ------
        ModelError
            If the crops have another size than ``face_size``.
        """
        check_crop_size(x, self.face_size)
        features: Tensor = self.backbone(x, lengths, self.frames, channel_max_pool)
        return features.flatten(1)

    def project(self, precomputed: Tensor) -> Tensor:
        """Aggregate the frames.

        Parameters
        ----------
        precomputed : Tensor, shape (N, K)
            Output of ``precompute``.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.
        """
        frames = rearrange(precomputed, "n (t p) -> n t p", t=self.frames)
        vectors: Tensor = self.dense(self.aggregate(frames.to(parameter_dtype(self.dense))))
        return vectors


class FrameMean(_FrameEncoder):
    """Encode the face crops of each step by the mean features of one or several frames.

    ``SENet`` and ``ResNet-50 (single image)`` of the paper use one frame: the middle one of those
    that the loader gives, which is a random one in training. ``ResNet-50 (image sequence)``, which
    the paper does not describe, is ``DepNet`` with ``squeeze_excitation=False``; the mean over
    several frames is the other reading.

    Parameters
    ----------
    squeeze_excitation : bool
        Whether the backbone is SE-ResNet-50 or ResNet-50.
    weights_layout : {"vggface2_bgr", "vggface2_rgb", "torchvision"}
        See ``ResNet50``.
    frozen : bool
        Whether the backbone is frozen.
    frames : int
        Frames per step; 1 for a single image.

    References
    ----------
    He et al. 2021, Tables 2 and 3.
    """

    def __init__(
        self, squeeze_excitation: bool, weights_layout: WeightsLayout, frozen: bool, frames: int
    ) -> None:
        super().__init__(squeeze_excitation, weights_layout, frozen, frames)
        self.precompute_dim = self.embed_dim = ResNet50.out_channels

    def precompute(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Compute the mean features of each step.

        Parameters
        ----------
        x : Tensor, shape (N, T, 3, height, width), uint8
            RGB crops.
        lengths : array_like of int, shape (N,)
            Valid crops, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, 2048)
            Mean over the distinct frames of each step.
        """
        features = self.backbone(x, lengths, self.frames, _spatial_mean)
        # each distinct frame once, because some frames of a cycle are repeated more often
        distinct = host_mask(np.minimum(host_lengths(lengths), self.frames), self.frames)
        mask = None if distinct.all() else to_device(distinct, x.device)
        return masked_mean(features, mask)

    def project(self, precomputed: Tensor) -> Tensor:
        """Return the input, because this encoder has no layers after the backbone.

        Parameters
        ----------
        precomputed : Tensor, shape (N, 2048)
            Output of ``precompute``.

        Returns
        -------
        Tensor, shape (N, 2048)
            The same tensor.
        """
        return precomputed


def _spatial_mean(features: Tensor) -> Tensor:
    return features.mean(dim=(2, 3))
