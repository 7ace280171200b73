"""Pre-trained speech transformers: wav2vec 2.0, HuBERT and WavLM over the sound of each step.

Baevski et al., "wav2vec 2.0", NeurIPS 2020, arXiv:2006.11477; Hsu et al., "HuBERT", TASLP 2021,
arXiv:2106.07447; Chen et al., "WavLM", JSTSP 2022, arXiv:2110.13900. How their layers become one
vector is the recipe of Yang et al., "SUPERB", Interspeech 2021, arXiv:2105.01051, Sec. 3: a learned
softmax mix of all hidden states, the mean over frames, a linear layer. The mean is taken first
here, which is the same and lets a frozen network run once.

The networks and their weights are those of the transformers library. What is ours makes a step's
vector independent of its batch: the signal is normalised per step as the published feature
extractors do, and padding takes no part in a normalisation over time.
"""

import json
from collections.abc import Iterable
from typing import Any

import torch
from einops import rearrange
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor
from transformers.utils import logging

from depmm.models.encoders.encoder import PrecomputableEncoder
from depmm.models.masking import length_mask, masked_mean

FAMILIES = ("wav2vec2", "hubert", "wavlm")
STEPS_AT_ONCE = 16  # of similar length; bounds the memory of long sessions
VARIANCE_FLOOR = 1e-7  # of the published feature extractors
# entries of a config that say where it comes from and not what is built
PROVENANCE = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")
# A mask drawn at random and layers left out at random are for pre-training on thousands of hours; a
# layer left out would also be missing from the hidden states. The adapter is behind them.
SWITCHED_OFF = {
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "layerdrop": 0.0,
    "add_adapter": False,
}


def describe_source(source: str) -> dict[str, Any]:
    """Describe the architecture of a pre-trained model, so that it can be built without its files.

    Parameters
    ----------
    source : local folder, or name on the hub

    Returns
    -------
    the transformers config with its ``model_type``, and ``do_normalize`` of its feature extractor

    Raises
    ------
    ValueError : ``config.json`` or ``preprocessor_config.json`` cannot be read, or is of another
        family
    """
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        extractor, _ = Wav2Vec2FeatureExtractor.get_feature_extractor_dict(source)
    except (OSError, ValueError) as error:
        raise _unreadable(source, error) from None
    if config.model_type not in FAMILIES:
        raise ValueError(
            f"speech_transformer: {source} is a {config.model_type}: choose a model of "
            f"{', '.join(FAMILIES)}"
        )
    # through JSON, as a saved run has it
    values = json.loads(json.dumps(config.to_dict()))
    values = {name: value for name, value in values.items() if name not in PROVENANCE}
    return values | SWITCHED_OFF | {"do_normalize": bool(extractor.get("do_normalize", True))}


def _unreadable(source: str, error: Exception) -> ValueError:
    reason = (str(error).strip() or repr(error)).splitlines()[0]
    return ValueError(
        f"speech_transformer: the pre-trained model {source!r} cannot be read ({reason}). Give a "
        "local folder with config.json, preprocessor_config.json and model.safetensors, or the "
        "name of such a model on the hub (offline: only if it was downloaded before)."
    )


class SpeechTransformer(PrecomputableEncoder):
    """Encode the sound of each step with a pre-trained transformer.

    Built by itself it has random weights; ``load_pretrained`` takes the pre-trained ones.

    Parameters
    ----------
    source : local folder or hub name of the pre-trained model, for ``load_pretrained`` alone
    frozen : no gradient to the network, which then stays in evaluation mode; its output can be kept
    layer : hidden state to use, 0 (before the first layer) to the number of layers; None: a learned
        mix of all
    embed_dim : output size, `D`
    dropout : before the linear layer
    architecture : from ``describe_source``

    Attributes
    ----------
    precompute_dim : width of ``precompute``, `K`: one hidden state, or all of them side by side
    precompute_settings : what ``precompute`` depends on beside the weights of ``backbone``

    Raises
    ------
    ValueError : no architecture, one that cannot be computed step by step, or no such layer
    """

    def __init__(
        self,
        source: str,
        frozen: bool = True,
        layer: int | None = None,
        embed_dim: int = 128,
        dropout: float = 0.1,
        architecture: dict[str, Any] | None = None,
    ):
        super().__init__()
        if not architecture or not {"model_type", "do_normalize"} <= architecture.keys():
            raise ValueError(
                f"speech_transformer: without an architecture nothing can be built for {source!r}: "
                "use build_model, or give describe_source(source)"
            )
        values = dict(architecture)
        self.normalize = values.pop("do_normalize")
        config = AutoConfig.for_model(values.pop("model_type"), **values)
        if getattr(config, "conv_pos_batch_norm", False):
            raise ValueError(
                f"speech_transformer: {source} normalises over its batch (conv_pos_batch_norm): a "
                "step's vector would depend on the others; choose a model without"
            )
        states = config.num_hidden_layers + 1
        if layer is not None and layer >= states:
            raise ValueError(
                f"speech_transformer: layer is {layer}, but {source} has hidden states 0 to "
                f"{states - 1}"
            )
        self.source = source
        self.frozen = frozen
        self.layer = layer
        self.architecture = dict(architecture)
        self.precompute_settings = {"layer": layer, "architecture": self.architecture}
        self.convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.backbone = AutoModel.from_config(config)
        self.normalizes_time = config.feat_extract_norm == "group"
        if self.normalizes_time:
            first = self.backbone.feature_extractor.conv_layers[0]
            first.layer_norm = TimeNorm(config.conv_dim[0], eps=first.layer_norm.eps)
        mix = [LayerMix(states)] if layer is None else []
        self.projection = nn.Sequential(
            *mix, nn.Dropout(dropout), nn.Linear(config.hidden_size, embed_dim)
        )
        self.precompute_dim = config.hidden_size * (states if layer is None else 1)
        self.embed_dim = embed_dim
        self.train()

    def train(self, mode: bool = True) -> "SpeechTransformer":
        """Switch the mode, of the network only if it is not frozen."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
            # here too: transformers' from_pretrained makes every parameter trainable again
            self.backbone.requires_grad_(False)
        return self

    def load_pretrained(self) -> None:
        """Take the weights of the pre-trained model from ``source``; files with code are refused.

        Raises
        ------
        ValueError : they cannot be read, are not in safetensors, or are of another architecture
        """
        theirs = describe_source(self.source)
        for name in sorted(theirs.keys() | self.architecture.keys()):
            mine, other = self.architecture.get(name), theirs.get(name)
            if mine != other:
                raise ValueError(
                    f"speech_transformer: {self.source} has another architecture than this model "
                    f"({name} is {other!r}, not {mine!r}): give the source that the model was "
                    "built for, or leave architecture out of the config"
                )
        told = logging.get_verbosity()
        logging.set_verbosity_error()  # its report of tensors that nothing here needs
        try:
            network, report = AutoModel.from_pretrained(
                self.source,
                config=self.backbone.config,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise _unreadable(self.source, error) from None
        finally:
            logging.set_verbosity(told)
        if missing := sorted(report["missing_keys"]):
            raise ValueError(
                f"speech_transformer: {self.source} lacks {len(missing)} tensors of its own "
                f"architecture, e.g. {missing[0]}: download or convert it again"
            )
        self.backbone.load_state_dict(network.state_dict())

    def forward(self, waveform: Tensor, length: Tensor) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        waveform : Tensor[N, T] in [-1, 1] at 16 kHz
        length : Tensor[N] valid samples, at least 1

        Returns
        -------
        Tensor[N, D]
        """
        return self.project(self.precompute(waveform, length))

    def precompute(self, waveform: Tensor, length: Tensor) -> Tensor:
        """Compute the mean of the hidden states over the frames of each step: Tensor[N, K].

        Parameters as in ``forward``.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            order = length.argsort()
            parts = [
                self._precompute_part(waveform[part], length[part])
                for part in order.split(STEPS_AT_ONCE)
            ]
            return torch.cat(parts)[order.argsort()]

    def project(self, precomputed: Tensor) -> Tensor:
        """Mix the hidden states and project them."""
        return self.projection(precomputed)

    def _precompute_part(self, waveform: Tensor, length: Tensor) -> Tensor:
        # a step shorter than one frame is silent after its end
        shortest = receptive_field(self.convolutions)
        size = max(int(length.max()), shortest)
        waveform = nn.functional.pad(waveform, (0, max(0, size - waveform.shape[1])))[:, :size]
        valid = length_mask(length, size)
        if self.normalize:
            waveform = unit_variance(waveform, valid)
        waveform = waveform.masked_fill(~valid, 0.0)

        length = length.clamp(min=shortest)
        if self.normalizes_time:
            norm = self.backbone.feature_extractor.conv_layers[0].layer_norm
            norm.length = frame_count(length, self.convolutions[:1])
        output = self.backbone(
            waveform,
            attention_mask=length_mask(length, size).long(),
            output_hidden_states=True,
        )
        # the last one as SUPERB has it, behind the final norm of large models
        states = [*output.hidden_states[:-1], output.last_hidden_state]
        frames = length_mask(frame_count(length, self.convolutions), states[0].shape[1])
        chosen = states if self.layer is None else [states[self.layer]]
        return torch.cat([masked_mean(state.float(), frames) for state in chosen], dim=-1)


class TimeNorm(nn.GroupNorm):
    """The group norm of the base models, one group per channel, over the valid frames alone.

    ``nn.GroupNorm`` would count the padding. The network around it hands on no mask, so ``length``
    is set before it runs.

    Attributes
    ----------
    length : Tensor[N] valid frames of the coming input
    """

    length: Tensor

    def __init__(self, channels: int, eps: float):
        super().__init__(channels, channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise Tensor[N, channels, T] over time; zeros after the end of each row."""
        rows = zip(x.split(1), self.length.tolist(), strict=True)
        normal = [nn.GroupNorm.forward(self, row[..., :length]) for row, length in rows]
        return torch.cat(
            [nn.functional.pad(row, (0, x.shape[-1] - row.shape[-1])) for row in normal]
        )


class LayerMix(nn.Module):
    """A learned softmax mix of hidden states that lie side by side (SUPERB, Sec. 3).

    Parameters
    ----------
    states : how many
    """

    def __init__(self, states: int):
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(states))

    def forward(self, x: Tensor) -> Tensor:
        """Mix Tensor[N, states * width] to Tensor[N, width]."""
        x = rearrange(x, "n (states width) -> n states width", states=len(self.logit))
        return (self.logit.softmax(0).unsqueeze(-1) * x).sum(dim=1)


def unit_variance(waveform: Tensor, valid: Tensor) -> Tensor:
    """Shift and scale each row to mean 0 and variance 1 over its valid samples.

    Parameters
    ----------
    waveform, valid : Tensor[N, T], Tensor[N, T] bool
    """
    signal = waveform.unsqueeze(-1)
    centred = signal - masked_mean(signal, valid).unsqueeze(1)
    variance = masked_mean(centred.square(), valid).unsqueeze(1)
    return (centred / (variance + VARIANCE_FLOOR).sqrt()).squeeze(-1)


def frame_count(length: Tensor, convolutions: Iterable[tuple[int, int]]) -> Tensor:
    """Frames that come out of convolutions without padding.

    Parameters
    ----------
    length : Tensor[N] samples
    convolutions : kernel and stride of each
    """
    for kernel, stride in convolutions:
        length = (length - kernel) // stride + 1
    return length


def receptive_field(convolutions: list[tuple[int, int]]) -> int:
    """Samples that one frame sees; 400 (25 ms) in the published models."""
    samples = 1
    for kernel, stride in reversed(convolutions):
        samples = (samples - 1) * stride + kernel
    return samples
