"""Pre-trained video transformers on the face crops of each step, such as VideoMAE.

Networks, weights and preprocessing are those of the transformers library. A step is one clip of as
many crops as the network was pre-trained with, chosen by ``clip_frames``; it becomes one vector per
hidden state (``vision_states``).

References
----------
Tong et al., "VideoMAE", NeurIPS 2022, arXiv:2203.12602.
Arnab et al., "ViViT: a video vision transformer", ICCV 2021, arXiv:2103.15691.
Bertasius et al., "Is space-time attention all you need for video understanding?" (TimeSformer),
ICML 2021, arXiv:2102.05095.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from depmm.models.encoders.adaptation import Adaptation
from depmm.models.encoders.encoder import parameter_dtype
from depmm.models.encoders.image_processing import ImageProcessing, describe_image_processor
from depmm.models.encoders.pretrained import PretrainedEncoder
from depmm.models.encoders.pretrained_source import describe_network, read_config
from depmm.models.encoders.vision_states import has_class_token, state_vectors
from depmm.models.errors import ModelError
from depmm.models.host import Lengths, host_lengths, to_device

# clips per forward pass without gradients; limits the memory of long sessions
CLIPS_AT_ONCE = 8
# names of the number of frames in the configs of transformers
CLIP_LENGTHS = ("num_frames", "frames_per_clip")


class VideoTransformer(PretrainedEncoder):
    """Encode the face crops of each step, as one clip, with a pre-trained video transformer.

    Parameters
    ----------
    source : str
        As in ``PretrainedEncoder``.
    adaptation : {"frozen", "lora", "full"}
        As in ``PretrainedEncoder``.
    lora : dict
        As in ``PretrainedEncoder``.
    layer : int or None
        As in ``PretrainedEncoder``; -1 for the last hidden state.
    embed_dim : int
        As in ``PretrainedEncoder``.
    dropout : float
        As in ``PretrainedEncoder``.
    architecture : dict
        As in ``PretrainedEncoder``.

    Raises
    ------
    ModelError
        As in ``PretrainedEncoder``.
    """

    kind: ClassVar[str] = "video_transformer"

    def __init__(
        self,
        source: str,
        adaptation: Adaptation,
        lora: dict[str, Any],
        layer: int | None,
        embed_dim: int,
        dropout: float,
        architecture: dict[str, Any],
    ) -> None:
        super().__init__(source, adaptation, lora, layer, embed_dim, dropout, architecture)
        self.preprocessing = ImageProcessing(**architecture["processor"])
        self.class_token = has_class_token(self.backbone)
        self.n_frames = self.max_crops = clip_length(self.backbone.config, source)

    @classmethod
    def describe(cls, source: str) -> dict[str, Any]:
        """Describe a pre-trained video model, so that it can be built without its files.

        Parameters
        ----------
        source : str
            Local folder, or name on the hub.

        Returns
        -------
        dict
            As ``describe_network`` returns it; ``processor`` has the parameters of
            ``ImageProcessing``.

        Raises
        ------
        ModelError
            If the files cannot be read, or the model cannot be used.
        """
        config = read_config(source, cls.kind, part="vision_config")
        processor = describe_image_processor(source)
        n_frames = clip_length(config, source)

        def example(_: Any) -> dict[str, Tensor]:
            size = processor["crop_size"] or processor["size"] or [config.image_size] * 2
            return {"pixel_values": torch.zeros(1, n_frames, 3, *size)}

        return describe_network(source, cls.kind, config, processor, example)

    def pool(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Encode the clip of each step.

        Parameters
        ----------
        x : Tensor, shape (N, T, 3, height, width), uint8
            RGB crops.
        lengths : array_like of int, shape (N,)
            Valid crops, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, K)
            One hidden state, or all of them concatenated.
        """
        frames = clip_frames(lengths, self.n_frames)
        rows = np.arange(len(frames))[:, None] * x.shape[1] + frames
        size = len(rows) if torch.is_grad_enabled() else CLIPS_AT_ONCE
        crops = x.flatten(0, 1)
        parts = [
            self._encode_clips(crops.index_select(0, to_device(part.ravel(), x.device)))
            for part in np.split(rows, range(size, len(rows), size))
        ]
        return torch.cat(parts)

    def _encode_clips(self, crops: Tensor) -> Tensor:
        """Encode the crops of clips (M T, 3, height, width) to (M, S H), in float32."""
        pixels = self.preprocessing(crops).to(parameter_dtype(self.backbone))
        clips = pixels.unflatten(0, (-1, self.n_frames))
        output = self.backbone(pixel_values=clips, output_hidden_states=True)
        vectors = state_vectors(output, self.class_token)
        chosen = vectors if self.layer is None else [vectors[self.layer]]
        return torch.cat([vector.float() for vector in chosen], dim=-1)


def clip_length(config: Any, source: str) -> int:
    """Return the number of frames of a clip.

    Parameters
    ----------
    config : PreTrainedConfig
        Config of the network.
    source : str
        The model, for messages.

    Returns
    -------
    int
        Number of frames with which the network was pre-trained.

    Raises
    ------
    ModelError
        If the config does not have it, because the network reads single images.
    """
    for name in CLIP_LENGTHS:
        if (value := getattr(config, name, None)) is not None:
            return int(value)
    raise ModelError(
        f"video_transformer: {source} is a {config.model_type} model, which does not read clips. "
        "Use image_transformer for it, or choose a video model.",
        setting="source",
        value=config.model_type,
    )


def clip_frames(lengths: ArrayLike, n_frames: int) -> Lengths:
    """Choose the crops of the clip of each step, depending on the number of valid crops only.

    If there are more than ``n_frames``, they are divided into ``n_frames`` equal parts and the
    middle of each part is chosen. If there are fewer, all of them are used and the last one is
    repeated to the end of the clip, like a face that stops moving.

    Parameters
    ----------
    lengths : array_like of int, shape (N,)
        Valid crops, at least 1.
    n_frames : int
        Crops of a clip.

    Returns
    -------
    ndarray of int, shape (N, n_frames)
        Indices of crops, in order, all below ``lengths``.
    """
    position = np.arange(n_frames)
    available = host_lengths(lengths)[:, None]
    evenly_spaced = (2 * position + 1) * available // (2 * n_frames)
    return np.where(available > n_frames, evenly_spaced, np.minimum(position, available - 1))
