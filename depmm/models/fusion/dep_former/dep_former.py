"""DEP-Former: five parts composed (Ye et al., IEEE TCSVT 35(3), 2025).

step features -> ``ModalityAdapter`` -> three ``SparseEncoder`` (multimodal M, face F, audio A; the
index chosen by M is shared with F and A) -> ``CrossAttention`` over the three ->
``BernoulliFusion`` of four branch predictions.

The paper's text was not at hand beyond its abstract and figure; what follows the figure and what
is a decision of this project stands in each part's module. With one modality there is nothing to
share or to cross: the model is then adapter, one encoder and its prediction, the unimodal ablation.

How a branch reads its tokens is such a decision. Their mean serves sessions of any length. Where
everybody reads one list of words in one order (``fixed_steps``) each place has weights of its own,
so that a word is known by its place and need not be told from the others by what attention makes
of it: of 30 training people that costs far less (experiments/README.md).
"""

import torch
from torch import Tensor, nn

from depmm.config import DepFormerConfig
from depmm.models.fusion.dep_former.bernoulli_fusion import BernoulliFusion
from depmm.models.fusion.dep_former.cross_attention import CrossAttention
from depmm.models.fusion.dep_former.modality_adapter import ModalityAdapter
from depmm.models.fusion.dep_former.sparse_encoder import SparseEncoder, Steps, Tokens, token_count
from depmm.models.masking import masked_mean


class DepFormer(nn.Module):
    """Fuse the step features of one or two modalities into one prediction per session.

    Parameters
    ----------
    in_dims : width of each modality's step features, e.g. ``{"audio": 128, "face": 128}``
    out_features : numbers predicted per session (1: a logit or a severity)
    settings : sizes and parts; see ``DepFormerConfig``
    """

    def __init__(self, in_dims: dict[str, int], out_features: int, settings: DepFormerConfig):
        super().__init__()
        s = settings
        self.modalities = sorted(in_dims)
        self.adapter = None
        widths = in_dims
        if s.adapter:
            self.adapter = ModalityAdapter(in_dims, s.adapter_hidden_dim, s.adapter_dim)
            widths = dict.fromkeys(in_dims, s.adapter_dim)
        self.sharing = s.share_indices
        branches = list(self.modalities)
        if len(self.modalities) > 1:
            branches.insert(0, "multimodal")
        self.encoders = nn.ModuleDict(
            {
                name: SparseEncoder(
                    in_dim=sum(widths.values()) if name == "multimodal" else widths[name],
                    embed_dim=s.embed_dim,
                    n_heads=s.n_heads,
                    head_dim=s.head_dim,
                    ffn_dim=s.ffn_dim,
                    stacks=s.stacks,
                    sampling_factor=s.sampling_factor,
                    dropout=s.dropout,
                    sharing=s.share_indices and name != "multimodal" and len(branches) > 1,
                )
                for name in branches
            }
        )
        self.cross: CrossAttention | None = None
        if len(self.modalities) > 1 and s.cross_attention != "none":
            self.cross = CrossAttention(s.embed_dim, s.n_heads, s.head_dim, s.dropout)
            self.query_name = "audio" if s.cross_attention == "audio_query" else "face"
            self.key_name = "face" if s.cross_attention == "audio_query" else "audio"
            branches.append("cross")
        self.branches = branches
        self.fixed_steps = s.fixed_steps
        places = 1 if s.fixed_steps is None else token_count(s.fixed_steps, s.stacks)
        self.predict = nn.ModuleDict(
            {name: nn.Linear(places * s.embed_dim, out_features) for name in branches}
        )
        self.fusion = BernoulliFusion(branches, learned=s.fusion_weights == "bernoulli")

    def forward(
        self, features: dict[str, Tensor], masks: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Predict.

        Parameters
        ----------
        features : modality -> Tensor[B, L, in_dim]
        masks : modality -> Tensor[B, L] bool, True where the step has this modality

        Returns
        -------
        Tensor[B, out], and branch -> Tensor[B, out] before fusion

        Raises
        ------
        KeyError : a modality that the model was not built for, or one of its own lacks (pass an
            all-False mask to say that a modality is missing)
        ValueError : another number of steps than ``fixed_steps``
        """
        steps = features[self.modalities[0]].shape[1]
        if self.fixed_steps not in (None, steps):
            raise ValueError(
                f"the session has {steps} steps, but this model reads {self.fixed_steps} in one "
                "order (model.fusion.fixed_steps): give it the steps that it was trained on"
            )
        lacks = {name: ~masks[name].unsqueeze(-1) for name in self.modalities}
        # before the adapter too: what stands at a missing step must not reach a gradient
        seen = {name: _cleared(features[name], lacks[name]) for name in self.modalities}
        adapted = seen if self.adapter is None else self.adapter(seen)
        adapted = {name: _cleared(x, lacks[name]) for name, x in adapted.items()}
        tokens = self._encode(adapted, masks)
        pooled = {name: self._read(t.x, t.mask) for name, t in tokens.items()}
        present = {name: t.mask.any(dim=1) for name, t in tokens.items()}
        if self.cross is not None:
            query, key = tokens[self.query_name], tokens[self.key_name]
            crossed = self.cross(query.x, key.x, tokens["multimodal"].x, key.mask)
            pooled["cross"] = self._read(crossed, query.mask)
            present["cross"] = present["audio"] & present["face"]
        logits = {name: self.predict[name](pooled[name]) for name in self.branches}
        fused = self.fusion(
            torch.stack([logits[name] for name in self.branches], dim=1),
            torch.stack([present[name] for name in self.branches], dim=1),
        )
        return fused, logits

    def _read(self, x: Tensor, mask: Tensor) -> Tensor:
        """Mean over the tokens of a branch, or all of them side by side: what it predicts from."""
        if self.fixed_steps is None:
            return masked_mean(x, mask)
        return _cleared(x, ~mask.unsqueeze(-1)).flatten(1)

    def _encode(self, adapted: dict[str, Tensor], masks: dict[str, Tensor]) -> dict[str, Tokens]:
        there = torch.stack([masks[name] for name in self.modalities]).any(dim=0)
        place = torch.arange(1, there.shape[1] + 1, device=there.device)
        length = (place * there).amax(dim=1)
        if self.fixed_steps is not None:  # a step that lacks at the end moves no place
            length = torch.full_like(length, self.fixed_steps)
        tokens: dict[str, Tokens] = {}
        shared = None
        if "multimodal" in self.encoders:
            joined = torch.cat([adapted[name] for name in self.modalities], dim=-1)
            tokens["multimodal"] = self.encoders["multimodal"](Steps(joined, there, length))
            shared = tokens["multimodal"].shared if self.sharing else None
        for name in self.modalities:
            tokens[name] = self.encoders[name](Steps(adapted[name], masks[name], length), shared)
        return tokens


def _cleared(x: Tensor, lacks: Tensor) -> Tensor:
    """Put zeros where a step lacks; no copy of wide features where none does."""
    return x.masked_fill(lacks, 0.0) if bool(lacks.any()) else x
