"""DEP-Former, as in the figure of the paper: predict a session from face and voice of its steps.

Step features -> ``ModalityAdapter`` -> three ``SparseEncoder`` (multimodal, face and audio; the
query selection of the first is shared with the others) -> ``CrossAttention`` over the three. The
four feature streams are added with Bernoulli weights, and one layer predicts.

The paper has these two modalities. Any others are a generalisation of this project: one encoder per
modality beside the multimodal one, cross-attention between two that are named, and one gate per
branch.

Only the abstract and the figure of the paper and the released code of its authors were available.
The docstring of each part states what follows the figure, what follows the release where the figure
is silent, and what is a decision of this project. ``release`` contains the model of the release.
Without the multimodal branch (an ablation), each modality selects its queries itself, and the
cross-attention attends to the key modality as usual.
With one modality, sharing, cross-attention and weights do not apply: the model then consists of the
adapter, one encoder and the output layer (the unimodal ablation).

The figure does not show how the tokens of a stream become one vector. With ``num_steps``, all
sessions have this many steps in the same order, and all tokens are concatenated, as in the release:
a word is identified by its position. Otherwise the tokens are averaged, which supports sessions of
any length. Both are linear, so that pooling before the addition equals pooling after it.

References
----------
Ye et al., "DEP-Former: Multimodal depression recognition based on facial expressions and audio
features via emotional changes", IEEE TCSVT 35(3), 2025.
"""

from typing import cast

import torch
from torch import Tensor, nn

from depmm.models.errors import ModelError
from depmm.models.fusion.dep_former.fusion import BernoulliFusion, CrossAttention
from depmm.models.fusion.dep_former.layers import Steps, check_num_steps, zero_missing
from depmm.models.fusion.dep_former.sparse_encoder import SparseEncoder, Tokens, count_tokens
from depmm.models.masking import masked_mean

Masks = dict[str, Tensor | None]


class ModalityAdapter(nn.Module):
    """Project every modality to the same embedding size, step by step (part MA).

    Parameters
    ----------
    in_dims : dict of str to int
        Feature size of each modality, for example ``{"audio": 512, "face": 2048}``.
    hidden_dim : int
        Size between the two linear layers (1000 in the release).
    embed_dim : int
        Output size per modality, `D` (128 in the release).

    References
    ----------
    Ye et al., IEEE TCSVT 35(3), 2025, figure, part (b). The release shares LayerNorm and second
    layer between face and voice; here the modalities have separate layers, so that one can be
    missing.
    """

    def __init__(self, in_dims: dict[str, int], hidden_dim: int, embed_dim: int) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(dim, hidden_dim),
                    nn.LayerNorm(hidden_dim),
                    nn.Linear(hidden_dim, embed_dim),
                    nn.SiLU(),
                )
                for name, dim in in_dims.items()
            }
        )

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Project the features of each modality.

        Parameters
        ----------
        features : dict of str to Tensor, shape (B, L, in_dim)
            Features of each step.

        Returns
        -------
        dict of str to Tensor, shape (B, L, D)
            One entry per input modality.

        Raises
        ------
        KeyError
            If a modality was not in ``in_dims``.
        """
        return {name: self.branches[name](x) for name, x in features.items()}


class DepFormer(nn.Module):
    """Fuse the step features of the modalities into one prediction per session.

    Parameters
    ----------
    in_dims : dict of str to int
        Feature size of each modality, for example ``{"audio": 128, "face": 128}``.
    out_features : int
        Logits per session.
    adapter_hidden_dim, adapter_dim : int
        Hidden and output size of the modality adapter.
    embed_dim, n_heads, head_dim, ffn_dim : int
        Sizes of the encoders, see ``SparseEncoder``.
    layers : list of int
        Attention layers of each block of an encoder.
    sampling_factor : int
        `c` of ``u = c * ceil(ln L)``, the queries that attend.
    dropout : float
        Dropout probability of encoders and cross-attention.
    adapter : bool
        Whether features pass through the modality adapter.
    multimodal_branch : bool
        Whether an encoder reads all modalities together. If not, ``attention_sharing`` is
        ``"none"``, and the values of the cross-attention are those of its keys.
    attention_sharing : {"after_encoders", "every_layer", "none"}
        Where the encoders of the modalities use the multimodal encoder's query selection: in the
        attention sharing unit after their blocks (figure), in every layer, or nowhere.
    cross_attention : list of str
        Modality of the query and modality of the key; empty for no such branch.
    fuse : {"features", "logits"}
        Whether the features of the branches are added and one layer predicts (figure), or each
        branch has an output layer and the logits are added.
    fusion_weights : {"bernoulli", "fixed"}
        Learned gates, or the fixed weights of the release.
    num_steps : int or None
        Number of steps of every session, if tokens are concatenated by position; None for any
        number of steps, whose tokens are averaged.

    Attributes
    ----------
    encoder_order : list of str
        Names of the encoders, in the order of their calls.
    branches : list of str
        Names of the branches.
    fusion : BernoulliFusion or None
        None with one branch, which needs no weight.

    Raises
    ------
    ModelError
        If ``cross_attention`` names other modalities.
    """

    def __init__(
        self,
        in_dims: dict[str, int],
        out_features: int,
        adapter_hidden_dim: int,
        adapter_dim: int,
        embed_dim: int,
        n_heads: int,
        head_dim: int,
        ffn_dim: int,
        layers: list[int],
        sampling_factor: int,
        dropout: float,
        adapter: bool,
        multimodal_branch: bool,
        attention_sharing: str,
        cross_attention: list[str],
        fuse: str,
        fusion_weights: str,
        num_steps: int | None,
    ) -> None:
        super().__init__()
        self.modalities = sorted(in_dims)
        self.adapter = None
        dims = in_dims
        if adapter:
            self.adapter = ModalityAdapter(in_dims, adapter_hidden_dim, adapter_dim)
            dims = dict.fromkeys(in_dims, adapter_dim)
        several = len(self.modalities) > 1
        multimodal = several and multimodal_branch
        self.encoder_order = [*(["multimodal"] if multimodal else []), *self.modalities]
        self.encoders = nn.ModuleDict(
            {
                name: SparseEncoder(
                    in_dim=sum(dims.values()) if name == "multimodal" else dims[name],
                    embed_dim=embed_dim,
                    n_heads=n_heads,
                    head_dim=head_dim,
                    ffn_dim=ffn_dim,
                    layers=layers,
                    sampling_factor=sampling_factor,
                    dropout=dropout,
                    sharing=attention_sharing if multimodal and name != "multimodal" else "none",
                )
                for name in self.encoder_order
            }
        )
        self.branches = list(self.encoder_order)
        self.cross: CrossAttention | None = None
        if several and cross_attention:
            if other := [name for name in cross_attention if name not in self.modalities]:
                raise ModelError(
                    f"model.fusion.cross_attention contains {other[0]}, but the modalities are "
                    f"{', '.join(self.modalities)}.",
                    setting="model.fusion.cross_attention",
                    value=cross_attention,
                )
            self.cross = CrossAttention(embed_dim, n_heads, head_dim, dropout)
            self.query_modality, self.key_modality = cross_attention
            self.branches.append("cross")
        self.num_steps = num_steps
        size = embed_dim * (1 if num_steps is None else count_tokens(num_steps, layers))
        self.adds_features = fuse == "features"
        outputs = ["all"] if self.adds_features else self.branches
        self.output_layers = nn.ModuleDict(
            {name: nn.Linear(size, out_features) for name in outputs}
        )
        self.fusion: BernoulliFusion | None = None
        if len(self.branches) > 1:
            self.fusion = BernoulliFusion(self.branches, learned=fusion_weights == "bernoulli")

    def forward(
        self, features: dict[str, Tensor], masks: dict[str, Tensor], complete: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Predict from encoded steps.

        Parameters
        ----------
        features : dict of str to Tensor, shape (B, L, in_dim)
            Features of each step, for each modality.
        masks : dict of str to Tensor, shape (B, L), bool
            Steps that have the modality. If it is False everywhere, the modality is missing.
        complete : bool, default False
            Whether every session has every step in every modality, so that no mask is needed.

        Returns
        -------
        fused : Tensor, shape (B, out)
            Logits of each session.
        branch_logits : dict of str to Tensor, shape (B, out)
            Logits of each branch alone. If features are added, these are the outputs of the output
            layer for each stream alone, without weight.

        Raises
        ------
        KeyError
            If a modality of the model is not given.
        ModelError
            If the number of steps differs from ``num_steps``.
        """
        check_num_steps(features[self.modalities[0]].shape[1], self.num_steps)
        used: Masks = {name: None if complete else masks[name] for name in self.modalities}
        # before the adapter as well: values at a missing step must not reach a gradient
        x = {name: zero_missing(features[name], mask) for name, mask in used.items()}
        if self.adapter is not None:
            x = self.adapter(x)
        tokens = self._encode({name: zero_missing(x[name], used[name]) for name in x}, used)
        streams = {name: self._pool(t.steps.x, t.steps.mask) for name, t in tokens.items()}
        if self.cross is not None:
            query, key = tokens[self.query_modality].steps, tokens[self.key_modality].steps
            value = tokens.get("multimodal", tokens[self.key_modality]).steps
            crossed = self.cross(query.x, key.x, value.x, key.mask)
            streams["cross"] = self._pool(crossed, query.mask)
        stacked = torch.stack([streams[name] for name in self.branches], dim=1)
        present = None if complete else self.present_branches(masks)
        return self._predict(stacked, present)

    def present_branches(self, masks: dict[str, Tensor]) -> Tensor:
        """Find the branches whose modalities each session has.

        Parameters
        ----------
        masks : dict of str to Tensor, shape (B, L), bool
            Steps that have the modality.

        Returns
        -------
        Tensor, shape (B, K), bool
            True if the session has the modality of the branch; for the cross-attention, query and
            key.
        """
        has = {name: masks[name].any(dim=1) for name in self.modalities}
        has["multimodal"] = torch.stack(list(has.values())).any(dim=0)
        if self.cross is not None:
            has["cross"] = has[self.query_modality] & has[self.key_modality]
        return torch.stack([has[name] for name in self.branches], dim=1)

    def predict(self, fused: Tensor) -> Tensor:
        """Predict from added branches.

        Parameters
        ----------
        fused : Tensor, shape (..., F)
            Output of ``fusion``: features, or logits.

        Returns
        -------
        Tensor, shape (..., out)
            Logits in float32.
        """
        if not self.adds_features:
            return fused
        layer = cast(nn.Linear, self.output_layers["all"])
        with torch.autocast(fused.device.type, enabled=False):
            logits: Tensor = layer(fused.to(layer.weight.dtype))
        return logits.float()

    def _predict(self, streams: Tensor, present: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Add the streams (B, K, F) and predict, or predict from each and add the logits."""
        if self.adds_features:
            logits, branches = self.predict(streams), streams
        else:
            parts = streams.unbind(dim=1)
            outputs = [self.output_layers[n](x) for n, x in zip(self.branches, parts, strict=True)]
            logits = branches = torch.stack(outputs, dim=1)
        fused = branches[:, 0] if self.fusion is None else self.fusion(branches, present)
        return self.predict(fused), dict(zip(self.branches, logits.unbind(dim=1), strict=True))

    def _pool(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Average the tokens of a branch, or concatenate them if ``num_steps`` is set."""
        return masked_mean(x, mask) if self.num_steps is None else zero_missing(x, mask).flatten(1)

    def _encode(self, x: dict[str, Tensor], masks: Masks) -> dict[str, Tokens]:
        given = [mask for mask in masks.values() if mask is not None]
        present = torch.stack(given).any(dim=0) if given else None
        lengths = None
        if present is not None and self.num_steps is None:
            # with num_steps, missing last steps must not shift the positions
            position = torch.arange(1, present.shape[1] + 1, device=present.device)
            lengths = (position * present).amax(dim=1)
        tokens: dict[str, Tokens] = {}
        shared = None
        if "multimodal" in self.encoders:
            joined = torch.cat([x[name] for name in self.modalities], dim=-1)
            tokens["multimodal"] = self.encoders["multimodal"](Steps(joined, present, lengths))
            shared = tokens["multimodal"].indices
        for name in self.modalities:
            tokens[name] = self.encoders[name](Steps(x[name], masks[name], lengths), shared)
        return tokens
