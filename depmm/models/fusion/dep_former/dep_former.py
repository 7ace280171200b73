"""DEP-Former: predict from the emotional changes of face and voice over the steps of a session.

Step features -> ``ModalityAdapter`` -> three ``SparseEncoder`` (multimodal, face and audio; the
query selection of the first is shared with the others) -> ``CrossAttention`` over the three ->
``BernoulliFusion`` of four branch predictions.

Only the abstract and the figure of the paper and the released code of its authors were available.
The docstring of each part states what follows the figure, what follows the release, and what is a
decision of this project. With one modality, sharing and cross-attention do not apply: the model
then consists of the adapter, one encoder and its prediction (the unimodal ablation).

The pooling of tokens in a branch is a decision of this project. The mean over tokens supports
sessions of any length. If all sessions have exactly the same number of steps in the same order
(``fixed_steps``), each position has separate output weights. A word is then identified by its
position, and attention does not have to distinguish it from the others. With 30 training subjects,
this needs far fewer sessions (experiments/README.md).

References
----------
Ye et al., "DEP-Former: Multimodal depression recognition based on facial expressions and audio
features via emotional changes", IEEE TCSVT 35(3), 2025.
"""

import torch
from torch import Tensor, nn

from depmm.models.errors import ModelError
from depmm.models.fusion.dep_former.fusion import BernoulliFusion, CrossAttention
from depmm.models.fusion.dep_former.sparse_encoder import SparseEncoder, Steps, Tokens, count_tokens
from depmm.models.masking import masked_mean


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
    """Fuse the step features of one or two modalities into one prediction per session.

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
    stacks : list of int
        Attention layers per stack of an encoder.
    sampling_factor : int
        `c` of ``u = c * ceil(ln L)``, the queries that attend.
    dropout : float
        Dropout probability of encoders and cross-attention.
    adapter : bool
        Whether features pass through the modality adapter.
    share_indices : bool
        Whether the face and audio encoders use the multimodal encoder's query selection.
    cross_attention : {"audio_query", "face_query", "none"}
        Which modality queries the other; "none" removes the branch.
    fusion_weights : {"bernoulli", "fixed"}
        Learned gates, or the fixed weights of the release.
    fixed_steps : int or None
        Number of steps of every session, if each position has separate output weights; None for
        any number of steps, whose tokens are averaged.
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
        stacks: list[int],
        sampling_factor: int,
        dropout: float,
        adapter: bool,
        share_indices: bool,
        cross_attention: str,
        fusion_weights: str,
        fixed_steps: int | None,
    ) -> None:
        super().__init__()
        self.modalities = sorted(in_dims)
        self.adapter = None
        dims = in_dims
        if adapter:
            self.adapter = ModalityAdapter(in_dims, adapter_hidden_dim, adapter_dim)
            dims = dict.fromkeys(in_dims, adapter_dim)
        self.share_indices = share_indices
        multimodal = len(self.modalities) > 1
        self.branches = [*(["multimodal"] if multimodal else []), *self.modalities]
        self.encoders = nn.ModuleDict(
            {
                name: SparseEncoder(
                    in_dim=sum(dims.values()) if name == "multimodal" else dims[name],
                    embed_dim=embed_dim,
                    n_heads=n_heads,
                    head_dim=head_dim,
                    ffn_dim=ffn_dim,
                    stacks=stacks,
                    sampling_factor=sampling_factor,
                    dropout=dropout,
                    sharing=share_indices and multimodal and name != "multimodal",
                )
                for name in self.branches
            }
        )
        self.cross: CrossAttention | None = None
        if multimodal and cross_attention != "none":
            self.cross = CrossAttention(embed_dim, n_heads, head_dim, dropout)
            roles = ("audio", "face") if cross_attention == "audio_query" else ("face", "audio")
            self.query_modality, self.key_modality = roles
            self.branches.append("cross")
        self.fixed_steps = fixed_steps
        n_positions = 1 if fixed_steps is None else count_tokens(fixed_steps, stacks)
        self.output_layers = nn.ModuleDict(
            {name: nn.Linear(n_positions * embed_dim, out_features) for name in self.branches}
        )
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
            Logits of each branch before they are fused.

        Raises
        ------
        KeyError
            If a modality of the model is not given.
        ModelError
            If the number of steps differs from ``fixed_steps``.
        """
        n_steps = features[self.modalities[0]].shape[1]
        if self.fixed_steps not in (None, n_steps):
            raise ModelError(
                f"The session has {n_steps} steps, but model.fusion.fixed_steps is "
                f"{self.fixed_steps}. Give the model exactly the steps on which it was trained, in "
                "the same order.",
                setting="model.fusion.fixed_steps",
                value=n_steps,
            )
        missing = {name: ~masks[name].unsqueeze(-1) for name in self.modalities}
        # before the adapter as well: values at a missing step must not reach a gradient
        x = {name: _zero_missing(features[name], missing[name]) for name in self.modalities}
        if self.adapter is not None:
            x = self.adapter(x)
        x = {name: _zero_missing(values, missing[name]) for name, values in x.items()}
        tokens = self._encode(x, masks)
        pooled = {name: self._pool(t.x, t.mask) for name, t in tokens.items()}
        present = {name: t.mask.any(dim=1) for name, t in tokens.items()}
        if self.cross is not None:
            query, key = tokens[self.query_modality], tokens[self.key_modality]
            crossed = self.cross(query.x, key.x, tokens["multimodal"].x, key.mask)
            pooled["cross"] = self._pool(crossed, query.mask)
            present["cross"] = present["audio"] & present["face"]
        logits = {name: self.output_layers[name](pooled[name]) for name in self.branches}
        fused = self.fusion(
            torch.stack([logits[name] for name in self.branches], dim=1),
            torch.stack([present[name] for name in self.branches], dim=1),
        )
        return fused, logits

    def _pool(self, x: Tensor, mask: Tensor) -> Tensor:
        """Average the tokens of a branch, or concatenate them in ``fixed_steps`` models."""
        if self.fixed_steps is None:
            return masked_mean(x, mask)
        return _zero_missing(x, ~mask.unsqueeze(-1)).flatten(1)

    def _encode(self, x: dict[str, Tensor], masks: dict[str, Tensor]) -> dict[str, Tokens]:
        present = torch.stack([masks[name] for name in self.modalities]).any(dim=0)
        position = torch.arange(1, present.shape[1] + 1, device=present.device)
        lengths = (position * present).amax(dim=1)
        if self.fixed_steps is not None:  # missing last steps must not shift the positions
            lengths = torch.full_like(lengths, self.fixed_steps)
        tokens: dict[str, Tokens] = {}
        shared = None
        if "multimodal" in self.encoders:
            joined = torch.cat([x[name] for name in self.modalities], dim=-1)
            tokens["multimodal"] = self.encoders["multimodal"](Steps(joined, present, lengths))
            shared = tokens["multimodal"].shared if self.share_indices else None
        for name in self.modalities:
            tokens[name] = self.encoders[name](Steps(x[name], masks[name], lengths), shared)
        return tokens


def _zero_missing(x: Tensor, missing: Tensor) -> Tensor:
    """Set missing steps to zero; without any, return the input, because a copy would be slow."""
    return x.masked_fill(missing, 0.0) if bool(missing.any()) else x
