"""Pre-trained speech models of transformers on the audio of each step, such as HuBERT or Whisper.

Networks, weights and preprocessing are those of the transformers library. In addition, this module
makes the vector of a step independent of its batch: padding is excluded from normalisations over
time, and networks that do not exclude padding themselves get steps of one length at a time.

References
----------
Baevski et al., "wav2vec 2.0", NeurIPS 2020, arXiv:2006.11477.
Hsu et al., "HuBERT", TASLP 2021, arXiv:2106.07447.
Chen et al., "WavLM", JSTSP 2022, arXiv:2110.13900.
"""

import itertools
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from depmm.config import SAMPLE_RATE
from depmm.models.encoders.adaptation import Adaptation
from depmm.models.encoders.encoder import parameter_dtype
from depmm.models.encoders.pretrained import PretrainedEncoder
from depmm.models.encoders.pretrained_source import describe_network, read_config, unreadable
from depmm.models.encoders.speech_features import SpeechFeatures, build_preprocessing
from depmm.models.errors import ModelError
from depmm.models.host import Lengths, host_lengths, to_device
from depmm.models.masking import masked_mean, padding_mask

STEPS_AT_ONCE = 16  # steps of similar length per forward pass; limits the memory of long sessions
# networks that exclude padding in every layer if they get a mask
MASKED = {"wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", "wav2vec2-bert"}


class SpeechTransformer(PretrainedEncoder):
    """Encode the audio of each step with a pre-trained speech model.

    Parameters
    ----------
    source : str
        As in ``PretrainedEncoder``.
    adaptation : {"frozen", "lora", "full"}
        As in ``PretrainedEncoder``.
    lora : dict
        As in ``PretrainedEncoder``.
    layer : int or None
        As in ``PretrainedEncoder``.
    embed_dim : int
        As in ``PretrainedEncoder``.
    dropout : float
        As in ``PretrainedEncoder``.
    architecture : dict
        As in ``PretrainedEncoder``.

    Raises
    ------
    ModelError
        As in ``PretrainedEncoder``, or if the preprocessing is not supported.
    """

    kind: ClassVar[str] = "speech_transformer"

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
        config: Any = self.backbone.config
        self.preprocessing = build_preprocessing(source, architecture["processor"])
        if hasattr(config, "conv_kernel"):
            self.preprocessing.shortest = shortest_input(config)
        self.masks_padding = config.model_type in MASKED
        if getattr(config, "conv_pos_batch_norm", False):
            self.masks_padding = False  # the batch norm changes the zeros of the padding
        self.normalizes_time = (
            self.masks_padding and getattr(config, "feat_extract_norm", "") == "group"
        )
        if self.normalizes_time:
            first = cast(Any, self.backbone).feature_extractor.conv_layers[0]
            first.layer_norm = TimeNorm(config.conv_dim[0], eps=first.layer_norm.eps)
            self.train()

    @classmethod
    def describe(cls, source: str) -> dict[str, Any]:
        """Describe a pre-trained speech model, so that it can be built without its files.

        Parameters
        ----------
        source : str
            Local folder, or name on the hub.

        Returns
        -------
        dict
            As ``describe_network`` returns it; ``processor`` is the config of the feature
            extractor.

        Raises
        ------
        ModelError
            If the files cannot be read, or the model cannot be used.
        """
        from transformers import AutoFeatureExtractor  # here because of depmm.auto_classes

        config = read_config(source, cls.kind)
        try:
            extractor = AutoFeatureExtractor.from_pretrained(source, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise unreadable(source, cls.kind, error) from None
        processor = {
            name: value for name, value in extractor.to_dict().items() if name not in DERIVED
        }
        preprocessing = build_preprocessing(source, processor)
        short, long = (
            preprocessing(torch.arange(n)[None].square().sin(), np.array([n]))
            for n in (SAMPLE_RATE, 40 * SAMPLE_RATE)
        )
        if short.values.shape == long.values.shape:
            raise ModelError(
                f"speech_transformer: {source} reads a fixed length of sound, so that the "
                "rest of longer steps would be lost. Choose another model.",
                setting="source",
                value=config.model_type,
            )

        def example(_: Any) -> dict[str, Tensor]:
            return {preprocessing.input_name: torch.empty_like(short.values, device="meta")}

        return describe_network(source, cls.kind, config, processor, example)

    def pool(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Average the hidden states over the frames of each step.

        Parameters
        ----------
        x : Tensor, shape (N, T)
            Waveforms in [-1, 1] at 16 kHz.
        lengths : array_like of int, shape (N,)
            Valid samples, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, K)
            One hidden state, or all of them concatenated.
        """
        n_samples = host_lengths(lengths)
        order = n_samples.argsort(kind="stable")
        parts = self._parts(n_samples[order])
        if len(parts) == 1:
            return self._pool_part(x, n_samples)
        pooled = [
            self._pool_part(x[to_device(order[part], x.device)], n_samples[order[part]])
            for part in parts
        ]
        return torch.cat(pooled)[to_device(order.argsort(), x.device)]

    def _parts(self, n_samples: Lengths) -> list[NDArray[np.int64]]:
        """Split steps, which are sorted by length, into those of each forward pass."""
        index = np.arange(len(n_samples))
        groups = [index]
        if not (self.masks_padding or self.preprocessing.one_size):
            used = np.maximum(n_samples, self.preprocessing.shortest)
            groups = np.split(index, np.flatnonzero(np.diff(used)) + 1)
        return [
            part
            for group in groups
            for part in np.split(group, range(STEPS_AT_ONCE, len(group), STEPS_AT_ONCE))
        ]

    def _pool_part(self, waveform: Tensor, lengths: Lengths) -> Tensor:
        features = self.preprocessing(waveform, lengths)
        starts = range(0, len(features.lengths), STEPS_AT_ONCE)  # a long step has many windows
        parts = [self._pool_rows(features, slice(i, i + STEPS_AT_ONCE)) for i in starts]
        means = torch.cat([mean for mean, _ in parts])
        if len(means) == len(lengths):
            return means
        n_frames = np.concatenate([counts for _, counts in parts])
        weights = (features.step == np.arange(len(lengths))[:, None]) * n_frames
        weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
        return to_device(weights, means.device) @ means

    def _pool_rows(self, features: SpeechFeatures, rows: slice) -> tuple[Tensor, Lengths]:
        """Run the network on some rows; return the means and the frames of the last state."""
        values, lengths = features.values[rows], features.lengths[rows]
        network, config = cast(Any, self.backbone), cast(Any, self.backbone.config)
        inputs: dict[str, Tensor | None]
        inputs = {self.preprocessing.input_name: values.to(parameter_dtype(self.backbone))}
        if features.mask is not None:
            inputs["attention_mask"] = features.mask[rows]
        elif self.masks_padding:
            mask = padding_mask(lengths, features.n_positions, values.device)
            inputs["attention_mask"] = None if mask is None else mask.long()
        if self.normalizes_time:
            first = network.feature_extractor.conv_layers[0]
            first.layer_norm.lengths = (lengths - config.conv_kernel[0]) // config.conv_stride[
                0
            ] + 1
        means = []
        for state in self.chosen_states(network(**inputs, output_hidden_states=True)):
            size = state.shape[1]
            n_frames = count_frames(lengths, features.n_positions, size, config)
            means.append(masked_mean(state.float(), padding_mask(n_frames, size, values.device)))
        return torch.cat(means, dim=-1), n_frames


# attributes of feature extractors that follow from the others
DERIVED = ("n_samples", "nb_max_frames")


def count_frames(lengths: Lengths, n_positions: int, n_frames: int, config: Any) -> Lengths:
    """Count the frames of a hidden state that belong to the sound of each row.

    Parameters
    ----------
    lengths : ndarray of int, shape (M,)
        Valid positions of the input.
    n_positions : int
        Padded positions of the input.
    n_frames : int
        Padded frames of the hidden state.
    config : PreTrainedConfig
        Config of the network. Convolutions over samples have no padding; other networks reduce the
        positions by a constant factor, for example 2 in Whisper.

    Returns
    -------
    ndarray of int, shape (M,)
        Frames of each row, at least 1.
    """
    if hasattr(config, "conv_kernel") and n_frames != n_positions:
        counts = lengths
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            counts = (counts - kernel) // stride + 1
    else:
        counts = -(-lengths * n_frames // n_positions)
    return np.clip(counts, 1, n_frames)


def shortest_input(config: Any) -> int:
    """Compute the number of samples that a network needs, 400 (25 ms) in wav2vec 2.0.

    Parameters
    ----------
    config : PreTrainedConfig
        Config of a network that starts with convolutions over samples.

    Returns
    -------
    int
        Samples of one frame, or of the frames that are averaged (``squeeze_factor`` of SEW).
    """
    n_samples = getattr(config, "squeeze_factor", 1)
    convolutions = zip(config.conv_kernel, config.conv_stride, strict=True)
    for kernel, stride in reversed(list(convolutions)):
        n_samples = (n_samples - 1) * stride + kernel
    return n_samples


class TimeNorm(nn.GroupNorm):
    """The group norm of the base models, one group per channel, over the valid frames only.

    ``nn.GroupNorm`` would include the padding. The surrounding network does not pass a mask, so
    ``lengths`` is set before the forward pass.

    Parameters
    ----------
    channels : int
        Number of channels.
    eps : float
        Constant added to the variance.

    Attributes
    ----------
    lengths : ndarray of int, shape (N,)
        Valid frames of the next input, on the host.
    """

    lengths: Lengths

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__(channels, channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over time.

        Parameters
        ----------
        x : Tensor, shape (N, channels, T)
            Frames.

        Returns
        -------
        Tensor, shape (N, channels, T)
            Zero after the end of each row.
        """
        # several calls of the kernel are three times as fast on a CPU as sums over masked frames
        starts = [0, *(np.flatnonzero(np.diff(self.lengths)) + 1).tolist(), len(x)]
        normalised = [
            nn.GroupNorm.forward(self, x[start:stop, :, : int(self.lengths[start])])
            for start, stop in itertools.pairwise(starts)
        ]
        return torch.cat(
            [nn.functional.pad(row, (0, x.shape[-1] - row.shape[-1])) for row in normalised]
        )
