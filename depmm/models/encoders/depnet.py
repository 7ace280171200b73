"""DepNet: SE-ResNet-50 features of a few face frames, aggregated over time.

He et al., "DepNet: An automated industrial intelligent system using deep learning for video-based
depression analysis", Int. J. Intell. Syst. 2021, doi:10.1002/int.22704. Features of T = 5 frames
from a frozen network (Sec. 4.1), the feature aggregation module (Sec. 4.2, Fig. 6) and two fully
connected layers, the second of which is the prediction after the fusion. The comparison systems of
Tables 2 and 3 are ``FrameMean``.
"""

import torch
from torch import Tensor, nn

from depmm.models.encoders.encoder import GradCamLayer, PrecomputableEncoder
from depmm.models.encoders.resnet50 import (
    STRIDE,
    FaceBackbone,
    Layout,
    ResNet50,
    distinct_frames,
)
from depmm.models.masking import length_mask, masked_mean

# the paper's kernel 4, stride 4 would leave 512 maps; 8 leaves the 256 that it states
CHANNEL_POOL = 8
KERNELS = (3, 5, 9)
MAPS = 64


def channel_max_pool(features: Tensor) -> Tensor:
    """Keep the largest of every 8 neighbouring channels, flattened.

    Parameters
    ----------
    features : Tensor[N, 2048, 7, 7]

    Returns
    -------
    Tensor[N, 12544]: 256 x 7 x 7
    """
    return features.unflatten(1, (-1, CHANNEL_POOL)).amax(dim=2).flatten(1)


class FeatureAggregation(nn.Module):
    """FAM: how each position of the feature maps moves over the frames (Sec. 4.2, Fig. 6).

    Three temporal convolutions (3, 5 and 9 frames), each followed by a maximum over all frames,
    beside the maximum and the mean of the input; a 1 x 1 convolution joins them.

    The paper pads nowhere, but a kernel of 9 does not fit into 5 frames, and its pooling kernel of
    5 only fits convolutions that keep all 5: they are padded with zeros in time here. It does not
    state their width; 32 needs the 1 x 1 convolution to make the channels fewer (98 -> 64), as the
    paper says it does. It names no activation inside, so there is none beside the maxima.

    Parameters
    ----------
    channels : width of each temporal convolution
    """

    def __init__(self, channels: int = 32):
        super().__init__()
        self.temporal = nn.ModuleList(
            nn.Conv2d(1, channels, (kernel, 1), padding=(kernel // 2, 0)) for kernel in KERNELS
        )
        self.join = nn.Conv1d(len(KERNELS) * channels + 2, MAPS, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Aggregate.

        Parameters
        ----------
        frames : Tensor[B, T, P] features of each frame, e.g. 5 x 12544

        Returns
        -------
        Tensor[B, 64, P]
        """
        signal = frames.unsqueeze(1)
        window = (frames.shape[1], 1)
        convolved = [convolution(signal) for convolution in self.temporal]
        branches = [nn.functional.max_pool2d(x, window) for x in (*convolved, signal)]
        branches.append(nn.functional.avg_pool2d(signal, window))
        return self.join(torch.cat(branches, dim=1).squeeze(2))


class DepNet(PrecomputableEncoder):
    """Encode the face crops of each step with DepNet.

    51.39 M parameters beside the network at 224 pixels, nearly all in the fully connected layer
    (64 x 12544 inputs), whose width the paper does not state.

    Parameters
    ----------
    squeeze_excitation, weights_layout, frozen : the network, see ``FaceBackbone``
    face_size : pixels of the crops, a multiple of 32; the fully connected layer depends on it
    frames : T; steps with more are thinned evenly, those with fewer repeat theirs in a cycle
    channels : width of each temporal convolution
    embed_dim : output size, `D`
    dropout : after the fully connected layer

    Attributes
    ----------
    precompute_dim, precompute_settings : see ``PrecomputableEncoder``

    Raises
    ------
    ValueError : ``face_size`` is no multiple of 32
    """

    def __init__(
        self,
        squeeze_excitation: bool = True,
        weights_layout: Layout = "vggface2_bgr",
        frozen: bool = True,
        face_size: int = 224,
        frames: int = 5,
        channels: int = 32,
        embed_dim: int = 64,
        dropout: float = 0.5,
    ):
        super().__init__()
        if face_size % STRIDE:
            raise ValueError(
                f"face_size {face_size} is no multiple of {STRIDE}: use 224, as the weights did, "
                f"or {max(STRIDE, face_size // STRIDE * STRIDE)}"
            )
        self.face_size = face_size
        self.frames = frames
        self.frozen = frozen
        self.backbone = FaceBackbone(squeeze_excitation, weights_layout, frozen)
        self.aggregate = FeatureAggregation(channels)
        positions = ResNet50.out_channels // CHANNEL_POOL * (face_size // STRIDE) ** 2
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(MAPS * positions, embed_dim), nn.Dropout(dropout), nn.ReLU()
        )
        self.precompute_dim = frames * positions
        self.precompute_settings = {
            "squeeze_excitation": squeeze_excitation,
            "weights_layout": weights_layout,
            "frames": frames,
        }
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

        Raises
        ------
        ValueError : crops of another size than ``face_size``
        """
        return self.project(self.precompute(crops, length))

    def precompute(self, crops: Tensor, length: Tensor) -> Tensor:
        """Compute the part before anything trainable, if frozen, frame after frame.

        Parameters and errors as in ``forward``.

        Returns
        -------
        Tensor[B, frames x P], 62720 wide for 5 frames of 224 pixels
        """
        if crops.shape[-2:] != (self.face_size, self.face_size):
            raise ValueError(
                f"DepNet was built for crops of {self.face_size} pixels, but got "
                f"{tuple(crops.shape[-2:])}: give data.face_size and the encoder the same size"
            )
        return self.backbone(crops, length, self.frames, channel_max_pool).flatten(1)

    def project(self, embedding: Tensor) -> Tensor:
        """Compute Tensor[B, D] from what ``precompute`` gives."""
        return self.dense(self.aggregate(embedding.unflatten(1, (self.frames, -1))))

    def grad_cam_layer(self) -> GradCamLayer:
        """Return the last maps of the backbone, one image for each distinct frame."""
        return GradCamLayer(
            self.backbone.resnet,
            "pixels",
            frames=lambda lengths, _: distinct_frames(lengths, self.frames),
        )


class FrameMean(PrecomputableEncoder):
    """The comparison systems: pooled features of one frame, or their mean over several.

    ``SENet`` and ``ResNet-50 (single image)`` are one frame, the middle one of those given;
    ``ResNet-50 (image sequence)``, which the paper does not describe, is read as the mean over
    frames. (Read as the aggregation on ResNet-50 it is ``DepNet(squeeze_excitation=False)``.)

    Parameters
    ----------
    squeeze_excitation, weights_layout, frozen : the network, see ``FaceBackbone``
    frames : per step; 1 is the single image

    Attributes
    ----------
    precompute_dim, precompute_settings : as of ``DepNet``
    """

    def __init__(
        self,
        squeeze_excitation: bool = False,
        weights_layout: Layout = "vggface2_bgr",
        frozen: bool = False,
        frames: int = 5,
    ):
        super().__init__()
        self.frames = frames
        self.frozen = frozen
        self.backbone = FaceBackbone(squeeze_excitation, weights_layout, frozen)
        self.precompute_dim = self.embed_dim = ResNet50.out_channels
        self.precompute_settings = {
            "squeeze_excitation": squeeze_excitation,
            "weights_layout": weights_layout,
            "frames": frames,
        }

    def forward(self, crops: Tensor, length: Tensor) -> Tensor:
        """Encode steps; arguments as in ``DepNet.forward``, crops of any size.

        Returns
        -------
        Tensor[B, 2048]
        """
        return self.project(self.precompute(crops, length))

    def precompute(self, crops: Tensor, length: Tensor) -> Tensor:
        """Compute the part before anything trainable, if frozen: everything, as in ``forward``."""
        features = self.backbone(crops, length, self.frames, _spatial_mean)
        # each distinct frame once: a cycle may end halfway
        distinct = length_mask(length.clamp(max=self.frames), self.frames)
        return masked_mean(features, distinct)

    def project(self, precomputed: Tensor) -> Tensor:
        """Return the mean features themselves: nothing here is trainable."""
        return precomputed

    def grad_cam_layer(self) -> GradCamLayer:
        """Return the last maps of the backbone, one image for each distinct frame."""
        return GradCamLayer(
            self.backbone.resnet,
            "pixels",
            frames=lambda lengths, _: distinct_frames(lengths, self.frames),
        )


def _spatial_mean(features: Tensor) -> Tensor:
    return features.mean(dim=(2, 3))
