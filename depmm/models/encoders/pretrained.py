"""Encoders that are a pre-trained model of the transformers library, for any modality.

``PretrainedEncoder`` builds the network, loads its weights, freezes or adapts it, and mixes its
hidden states. A subclass adds the preprocessing and the mean over frames, patches or tokens.

As in SUPERB, the hidden states are reduced to one vector by a learned softmax mix of all hidden
states, a mean and a linear layer. Here the mean is computed first, which is equivalent and allows
the output of a frozen network to be precomputed.

References
----------
Yang et al., "SUPERB", Interspeech 2021, arXiv:2105.01051, Sec. 3.
Hu et al., "LoRA", ICLR 2022, arXiv:2106.09685.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from einops import rearrange
from numpy.typing import ArrayLike
from torch import Tensor, nn

from depmm.models.encoders.adaptation import (
    Adaptation,
    add_low_rank_updates,
    is_update,
    require_updates,
)
from depmm.models.encoders.encoder import PrecomputableEncoder, parameter_dtype
from depmm.models.encoders.pretrained_source import build_network, read_network_weights
from depmm.models.errors import ModelError


class PretrainedEncoder(PrecomputableEncoder):
    """A pre-trained network, a mix of its hidden states, and a linear layer.

    A new encoder has random weights; ``load_pretrained`` loads those of ``source``. A subclass sets
    ``kind`` and implements ``describe`` and ``pool``.

    Parameters
    ----------
    source : str
        Local folder or hub name of the pre-trained model, used by ``load_pretrained`` only.
    adaptation : {"frozen", "lora", "full"}
        Training of the network. A frozen network receives no gradient and stays in evaluation mode.
    lora : dict
        Settings of ``LoraConfig``, used with ``adaptation="lora"``.
    layer : int or None
        Hidden state to use, from 0 (before the first layer) to the number of layers; None for a
        learned mix of all.
    embed_dim : int
        Output size, `D`.
    dropout : float
        Dropout probability before the linear layer.
    architecture : dict
        Output of ``describe``.

    Attributes
    ----------
    kind : str
        The kind in the settings, for messages.
    hidden_dim : int
        Size of a hidden state, `H`.

    Raises
    ------
    ModelError
        If ``architecture`` is incomplete, the network does not have the given layer, or
        low-rank updates cannot be added.
    """

    kind: ClassVar[str]

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
        super().__init__()
        if not {"network", "processor", "n_states", "hidden_dim"} <= architecture.keys():
            raise ModelError(
                f"{self.kind}: {source!r} cannot be built without its architecture. Use "
                "build_model, or give the output of describe(source).",
                setting="architecture",
                value=architecture,
            )
        n_states = architecture["n_states"]
        if layer is not None and layer >= n_states:
            raise ModelError(
                f"{self.kind}: layer is {layer}, but {source} has the hidden states 0 to "
                f"{n_states - 1}. Choose one of them, or null for a learned mix.",
                setting="layer",
                value=layer,
            )
        self.source = source
        self.adaptation = adaptation
        self.frozen = adaptation == "frozen"
        self.layer = layer
        self.architecture = dict(architecture)
        self.hidden_dim = architecture["hidden_dim"]
        self.precompute_settings = {"layer": layer, "architecture": self.architecture}
        self.backbone = build_network(architecture)
        self.updates_are_used = adaptation != "lora"  # checked in the first forward pass
        if adaptation == "lora":
            add_low_rank_updates(self.backbone, self.kind, **lora)
        mix = [LayerMix(n_states)] if layer is None else []
        self.projection = nn.Sequential(
            *mix, nn.Dropout(dropout), nn.Linear(self.hidden_dim, embed_dim)
        )
        self.precompute_dim = self.hidden_dim * (n_states if layer is None else 1)
        self.embed_dim = embed_dim
        self.train()

    @classmethod
    @abstractmethod
    def describe(cls, source: str) -> dict[str, Any]:
        """Describe a pre-trained model, so that it can be built without its files.

        Parameters
        ----------
        source : str
            Local folder, or name on the hub.

        Returns
        -------
        dict
            As ``depmm.models.encoders.pretrained_source.describe_network`` returns it.

        Raises
        ------
        ModelError
            If its files cannot be read, or the model cannot be used.
        """

    @abstractmethod
    def pool(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Run the network and average its hidden states over the valid positions of each step.

        Parameters
        ----------
        x : Tensor, shape (N, T, ...)
            Padded signal of each step.
        lengths : array_like of int, shape (N,)
            Valid samples, crops or bytes of each step, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, K)
            Means of the states that ``chosen_states`` returns, concatenated, in float32.
        """

    def chosen_states(self, output: Any) -> list[Tensor]:
        """Choose the hidden states that are used.

        Parameters
        ----------
        output : ModelOutput
            Output of the network with ``output_hidden_states=True``.

        Returns
        -------
        list of Tensor, shape (N, T', H)
            The state ``layer``, or all. The last one is that after the final normalisation, as in
            SUPERB.
        """
        states = [*output.hidden_states[:-1], output.last_hidden_state]
        return states if self.layer is None else [states[self.layer]]

    def train(self, mode: bool = True) -> "PretrainedEncoder":
        """Set the mode; what is not trained stays in evaluation mode.

        Parameters
        ----------
        mode : bool, default True
            True for training mode.

        Returns
        -------
        PretrainedEncoder
            The module itself.
        """
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        for module in self.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()  # batches of a few sessions do not give usable statistics
        # also here, because from_pretrained of transformers makes all parameters trainable
        for name, parameter in self.backbone.named_parameters():
            if self.frozen or (self.adaptation == "lora" and not is_update(name)):
                parameter.requires_grad_(False)
        return self

    def load_pretrained(self) -> None:
        """Load the weights of ``source``; files that contain code are rejected.

        Raises
        ------
        ModelError
            If the weights cannot be read, are not in safetensors, or have another architecture.
        """
        described = self.describe(self.source)
        if described != self.architecture:
            name, value = _first_difference(self.architecture, described)
            raise ModelError(
                f"{self.kind}: the architecture of {self.source} differs from that of this model "
                f"({name} is {value!r:.80}). Give the source for which the model was built, or "
                "remove architecture from the config.",
                setting=f"architecture.{name}",
                value=value,
            )
        weights = read_network_weights(self.source, self.architecture, self.kind)
        # with low-rank updates, the published weights are in base_layer of the adapted layers
        state = self.backbone.state_dict()
        with torch.no_grad():
            for name, value in state.items():
                if not is_update(name):
                    value.copy_(weights[name.replace(".base_layer.", ".")])

    def precompute(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Run the network.

        Parameters
        ----------
        x : Tensor, shape (N, T, ...)
            As in ``forward``.
        lengths : array_like of int, shape (N,)
            As in ``forward``.

        Returns
        -------
        Tensor, shape (N, K)
            One hidden state, or all of them concatenated.

        Raises
        ------
        ModelError
            If the network does not use a layer that has a low-rank update.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            if self.updates_are_used:
                return self.pool(x, lengths)
            with require_updates(self.backbone, self.kind):
                pooled = self.pool(x, lengths)
            self.updates_are_used = True
            return pooled

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


def _first_difference(expected: dict[str, Any], actual: dict[str, Any]) -> tuple[str, Any]:
    """Return the dotted name of the first entry that differs, and its actual value."""
    names = sorted(expected.keys() | actual.keys())
    name = next(name for name in names if expected.get(name) != actual.get(name))
    one, other = expected.get(name), actual.get(name)
    if isinstance(one, dict) and isinstance(other, dict):
        rest, value = _first_difference(one, other)
        return f"{name}.{rest}", value
    return name, other


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
        # a product per row: no weighted copy of all states, neither forward nor backward
        weights = self.logit.softmax(0).to(x.dtype).expand(len(x), 1, -1)
        return torch.bmm(weights, x).squeeze(1)
