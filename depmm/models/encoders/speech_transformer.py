"""Pre-trained speech transformers: wav2vec 2.0, HuBERT and WavLM on the audio of each step.

As in SUPERB, the hidden states are reduced to one vector by a learned softmax mix of all hidden
states, the mean over frames and a linear layer. Here the mean is computed first, which is
equivalent and allows the output of a frozen network to be precomputed.

Networks and weights are those of the transformers library. In addition, this module makes the
vector of a step independent of its batch: the signal is normalised per step, as in the published
feature extractors, and padding is excluded from normalisations over time.

References
----------
Baevski et al., "wav2vec 2.0", NeurIPS 2020, arXiv:2006.11477.
Hsu et al., "HuBERT", TASLP 2021, arXiv:2106.07447.
Chen et al., "WavLM", JSTSP 2022, arXiv:2110.13900.
Yang et al., "SUPERB", Interspeech 2021, arXiv:2105.01051, Sec. 3.
"""

import itertools
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import torch
from einops import rearrange
from numpy.typing import ArrayLike
from torch import Tensor, nn

from depmm.models.encoders.encoder import PrecomputableEncoder, parameter_dtype
from depmm.models.encoders.speech_attention import register_attention
from depmm.models.encoders.speech_source import describe_source, read_source_weights
from depmm.models.errors import ModelError
from depmm.models.host import Lengths, host_lengths, to_device
from depmm.models.masking import masked_mean, padding_mask

STEPS_AT_ONCE = 16  # steps of similar length per forward pass; limits the memory of long sessions
VARIANCE_EPS = 1e-7  # of the published feature extractors


class SpeechTransformer(PrecomputableEncoder):
    """Encode the audio of each step with a pre-trained transformer.

    A new encoder has random weights; ``load_pretrained`` loads those of ``source``.

    Parameters
    ----------
    source : str
        Local folder or hub name of the pre-trained model, used by ``load_pretrained`` only.
    frozen : bool
        Whether the network receives no gradient and stays in evaluation mode.
    layer : int or None
        Hidden state to use, from 0 (before the first layer) to the number of layers; None for a
        learned mix of all.
    embed_dim : int
        Output size, `D`.
    dropout : float
        Dropout probability before the linear layer.
    architecture : dict
        Output of `describe_source`.

    Raises
    ------
    ModelError
        If ``architecture`` is incomplete, has a normalisation over the batch, or does not have
        the given layer.
    """

    def __init__(
        self,
        source: str,
        frozen: bool,
        layer: int | None,
        embed_dim: int,
        dropout: float,
        architecture: dict[str, Any],
    ) -> None:
        from transformers import AutoConfig, AutoModel  # here because of depmm.auto_classes

        super().__init__()
        if not {"model_type", "do_normalize"} <= architecture.keys():
            raise ModelError(
                f"speech_transformer: {source!r} cannot be built without its architecture. Use "
                "build_model, or give describe_source(source).",
                setting="architecture",
                value=architecture,
            )
        values = dict(architecture)
        self.normalize = values.pop("do_normalize")
        config = AutoConfig.for_model(values.pop("model_type"), **values)
        if getattr(config, "conv_pos_batch_norm", False):
            raise ModelError(
                f"speech_transformer: {source} normalises over its batch (conv_pos_batch_norm), so "
                "that the vector of a step would depend on other steps. Choose another model.",
                setting="source",
                value=source,
            )
        n_states = config.num_hidden_layers + 1
        if layer is not None and layer >= n_states:
            raise ModelError(
                f"speech_transformer: layer is {layer}, but {source} has the hidden states 0 to "
                f"{n_states - 1}. Choose one of them, or null for a learned mix.",
                setting="layer",
                value=layer,
            )
        self.source = source
        self.frozen = frozen
        self.layer = layer
        self.architecture = dict(architecture)
        self.precompute_settings = {"layer": layer, "architecture": self.architecture}
        self.convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        options: dict[str, str] = {}
        if config.model_type != "wavlm":  # which computes its attention without the registry
            options["attn_implementation"] = register_attention()
        self.backbone = AutoModel.from_config(config, **options)
        self.normalizes_time = config.feat_extract_norm == "group"
        if self.normalizes_time:
            first = cast(Any, self.backbone).feature_extractor.conv_layers[0]
            first.layer_norm = TimeNorm(config.conv_dim[0], eps=first.layer_norm.eps)
        mix = [LayerMix(n_states)] if layer is None else []
        self.projection = nn.Sequential(
            *mix, nn.Dropout(dropout), nn.Linear(config.hidden_size, embed_dim)
        )
        self.precompute_dim = config.hidden_size * (n_states if layer is None else 1)
        self.embed_dim = embed_dim
        self.train()

    def train(self, mode: bool = True) -> "SpeechTransformer":
        """Set the mode; a frozen network stays in evaluation mode.

        Parameters
        ----------
        mode : bool, default True
            True for training mode.

        Returns
        -------
        SpeechTransformer
            The module itself.
        """
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
            # also here, because from_pretrained of transformers makes all parameters trainable
            self.backbone.requires_grad_(False)
        return self

    def load_pretrained(self) -> None:
        """Load the weights of ``source``; files that contain code are rejected.

        Raises
        ------
        ModelError
            If the weights cannot be read, are not in safetensors, or have another architecture.
        """
        described = describe_source(self.source)
        for name in sorted(described.keys() | self.architecture.keys()):
            expected, actual = self.architecture.get(name), described.get(name)
            if expected != actual:
                raise ModelError(
                    f"speech_transformer: the architecture of {self.source} differs from that of "
                    f"this model ({name} is {actual!r}, not {expected!r}). Give the source for "
                    "which the model was built, or remove architecture from the config.",
                    setting=f"architecture.{name}",
                    value=actual,
                )
        self.backbone.load_state_dict(read_source_weights(self.source, self.backbone.config))

    def precompute(self, x: Tensor, lengths: ArrayLike) -> Tensor:
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
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            n_samples = host_lengths(lengths)
            if len(n_samples) <= STEPS_AT_ONCE:
                return self._precompute_part(x, n_samples)
            order = n_samples.argsort(kind="stable")
            parts = [
                self._precompute_part(x[to_device(part, x.device)], n_samples[part])
                for part in np.split(order, range(STEPS_AT_ONCE, len(order), STEPS_AT_ONCE))
            ]
            return torch.cat(parts)[to_device(order.argsort(), x.device)]

    def project(self, precomputed: Tensor) -> Tensor:
        """Mix the hidden states and project them.

        Parameters
        ----------
        precomputed : Tensor, shape (N, K)
            Output of ``precompute``.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.
        """
        vectors: Tensor = self.projection(precomputed.to(parameter_dtype(self.projection)))
        return vectors

    def _precompute_part(self, waveform: Tensor, lengths: Lengths) -> Tensor:
        device = waveform.device
        # a step shorter than one frame is padded with silence
        shortest = receptive_field(self.convolutions)
        size = max(int(lengths.max()), shortest)
        waveform = nn.functional.pad(waveform, (0, max(0, size - waveform.shape[1])))[:, :size]
        valid = padding_mask(lengths, size, device)
        if self.normalize:
            waveform = unit_variance(waveform, valid)
        if valid is not None:
            waveform = waveform.masked_fill(~valid, 0.0)
        lengths = np.maximum(lengths, shortest)
        attention_mask = padding_mask(lengths, size, device)
        if self.normalizes_time:
            first_layer = cast(Any, self.backbone).feature_extractor.conv_layers[0]
            first_layer.layer_norm.lengths = count_frames(lengths, self.convolutions[:1])
        output = self.backbone(
            waveform.to(parameter_dtype(self.backbone)),
            attention_mask=None if attention_mask is None else attention_mask.long(),
            output_hidden_states=True,
        )
        # the last state after the final norm of large models, as in SUPERB
        states = [*output.hidden_states[:-1], output.last_hidden_state]
        n_frames = count_frames(lengths, self.convolutions)
        frames = padding_mask(n_frames, states[0].shape[1], device)
        chosen = states if self.layer is None else [states[self.layer]]
        return torch.cat([masked_mean(state.float(), frames) for state in chosen], dim=-1)


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


class LayerMix(nn.Module):
    """Learned softmax mix of concatenated hidden states.

    Parameters
    ----------
    n_states : int
        Number of hidden states.

    References
    ----------
    Yang et al., Interspeech 2021, Sec. 3.
    """

    def __init__(self, n_states: int) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(n_states))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the hidden states.

        Parameters
        ----------
        x : Tensor, shape (N, n_states * hidden_dim)
            Concatenated hidden states.

        Returns
        -------
        Tensor, shape (N, hidden_dim)
            Weighted sum of the hidden states.
        """
        x = rearrange(x, "n (s d) -> n s d", s=len(self.logit))
        return (self.logit.softmax(0).unsqueeze(-1) * x).sum(dim=1)


def unit_variance(waveform: Tensor, valid: Tensor | None) -> Tensor:
    """Shift and scale each row to mean 0 and variance 1 over its valid samples.

    Parameters
    ----------
    waveform : Tensor, shape (N, T)
        Samples.
    valid : Tensor, shape (N, T), bool, or None
        Valid samples; None if all are.

    Returns
    -------
    Tensor, shape (N, T)
        Normalised samples; values at invalid samples are not meaningful.
    """
    signal = waveform.unsqueeze(-1)
    centred = signal - masked_mean(signal, valid).unsqueeze(1)
    variance = masked_mean(centred.square(), valid).unsqueeze(1)
    return (centred / (variance + VARIANCE_EPS).sqrt()).squeeze(-1)


def count_frames(lengths: ArrayLike, convolutions: Iterable[tuple[int, int]]) -> Lengths:
    """Count the frames that convolutions without padding return.

    Parameters
    ----------
    lengths : array_like of int, shape (N,)
        Samples.
    convolutions : iterable of tuple of int
        Kernel and stride of each convolution.

    Returns
    -------
    ndarray of int, shape (N,)
        Frames of each row.
    """
    n_frames = host_lengths(lengths)
    for kernel, stride in convolutions:
        n_frames = (n_frames - kernel) // stride + 1
    return n_frames


def receptive_field(convolutions: list[tuple[int, int]]) -> int:
    """Compute the number of samples on which one frame depends, 400 (25 ms) in published models.

    Parameters
    ----------
    convolutions : list of tuple of int
        Kernel and stride of each convolution.

    Returns
    -------
    int
        Number of samples.
    """
    n_samples = 1
    for kernel, stride in reversed(convolutions):
        n_samples = (n_samples - 1) * stride + kernel
    return n_samples
