"""Pre-trained vision transformers on each face crop of a step, such as DINOv2 or CLIP.

Networks, weights and preprocessing are those of the transformers library. Each crop becomes one
vector per hidden state (``vision_states``); a step is described by the mean and the standard
deviation of these vectors over its crops, of which the second measures how much the face moves.

References
----------
Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021, arXiv:2010.11929.
Radford et al., "Learning transferable visual models from natural language supervision" (CLIP),
ICML 2021, arXiv:2103.00020.
Oquab et al., "DINOv2", TMLR 2024, arXiv:2304.07193.
"""

from typing import Any, ClassVar

import torch
from einops import rearrange
from numpy.typing import ArrayLike
from torch import Tensor

from depmm.models.encoders.adaptation import Adaptation
from depmm.models.encoders.encoder import parameter_dtype
from depmm.models.encoders.image_processing import ImageProcessing, describe_image_processor
from depmm.models.encoders.pretrained import PretrainedEncoder
from depmm.models.encoders.pretrained_source import describe_network, read_config
from depmm.models.encoders.vision_states import has_class_token, state_vectors
from depmm.models.host import gather_valid, host_mask, scatter_valid, to_device
from depmm.models.masking import masked_mean_and_std

# crops per forward pass without gradients; limits the memory of long steps
CROPS_AT_ONCE = 64


class ImageTransformer(PretrainedEncoder):
    """Encode the face crops of each step with a pre-trained vision transformer.

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

    kind: ClassVar[str] = "image_transformer"

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

    @classmethod
    def describe(cls, source: str) -> dict[str, Any]:
        """Describe a pre-trained vision model, so that it can be built without its files.

        Parameters
        ----------
        source : str
            Local folder, or name on the hub.

        Returns
        -------
        dict
            As ``describe_network`` returns it, with twice the size of a hidden state, for mean and
            standard deviation; ``processor`` has the parameters of ``ImageProcessing``.

        Raises
        ------
        ModelError
            If the files cannot be read, or the model cannot be used.
        """
        config = read_config(source, cls.kind, part="vision_config")
        processor = describe_image_processor(source)

        def example(_: Any) -> dict[str, Tensor]:
            size = processor["crop_size"] or processor["size"] or [config.image_size] * 2
            return {"pixel_values": torch.zeros(1, 3, *size)}

        described = describe_network(source, cls.kind, config, processor, example)
        return described | {"hidden_dim": 2 * described["hidden_dim"]}

    def pool(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Compute mean and standard deviation of the vectors of the crops of each step.

        Parameters
        ----------
        x : Tensor, shape (N, T, 3, height, width), uint8
            RGB crops.
        lengths : array_like of int, shape (N,)
            Valid crops, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, K)
            Mean and standard deviation of one hidden state, or of all of them.
        """
        valid = host_mask(lengths, x.shape[1])
        crops = gather_valid(x, valid)
        size = len(crops) if torch.is_grad_enabled() else CROPS_AT_ONCE
        vectors = torch.cat([self._encode_crops(part) for part in torch.split(crops, size)])
        frames = scatter_valid(vectors, valid)
        statistics = masked_mean_and_std(
            frames, None if valid.all() else to_device(valid, x.device)
        )
        # both statistics of a hidden state next to each other, for the mix of hidden states
        return rearrange(statistics, "n (k s h) -> n (s k h)", k=2, h=self.hidden_dim // 2)

    def _encode_crops(self, crops: Tensor) -> Tensor:
        """Encode crops (M, 3, height, width) to (M, S H), in float32."""
        pixels = self.preprocessing(crops).to(parameter_dtype(self.backbone))
        output = self.backbone(pixel_values=pixels, output_hidden_states=True)
        vectors = state_vectors(output, self.class_token)
        chosen = vectors if self.layer is None else [vectors[self.layer]]
        return torch.cat([vector.float() for vector in chosen], dim=-1)
