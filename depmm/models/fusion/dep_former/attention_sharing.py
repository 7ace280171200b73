"""Attention sharing unit: confidence between own and shared query selection (DEP-Former, ASU).

The multimodal encoder's selection of steps is handed to the encoder of one modality:
``out = a * attention(own selection) + (1 - a) * attention(shared selection)`` with a confidence
``a`` per session and head. The release ranks the confidence within the batch and never trains it;
here it is a function of the session's own summaries and receives a gradient. Where both selections
contain every step (with ``c = 5``: up to 15 steps) the output does not depend on ``a``, and ``a``
receives no gradient.

References
----------
Ye et al., "DEP-Former", IEEE TCSVT 35(3), 2025, figure, parts (a) and (c).
"""

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from depmm.models.fusion.dep_former.sparse_attention import (
    SparseAttention,
    attend_selected,
    score_all_keys,
)
from depmm.models.masking import masked_mean


class SharedIndex(NamedTuple):
    """What one attention layer of the multimodal encoder shares.

    Attributes
    ----------
    selected : Tensor, shape (B, H, L), bool
        Queries that the layer selected.
    summary : Tensor, shape (B, D)
        Mean of the layer's valid steps.
    """

    selected: Tensor
    summary: Tensor


class AttentionSharing(nn.Module):
    """Sparse attention that weights its own query selection against a shared one.

    Parameters
    ----------
    embed_dim : int
        Input and output size, `D`.
    n_heads : int
        Number of heads, `H`.
    head_dim : int
        Size of each head.
    sampling_factor : int
        `c` of ``u = c * ceil(ln L)``.
    """

    def __init__(self, embed_dim: int, n_heads: int, head_dim: int, sampling_factor: int) -> None:
        super().__init__()
        self.attention = SparseAttention(embed_dim, n_heads, head_dim, sampling_factor)
        self.confidence = nn.Linear(2 * embed_dim, n_heads)

    def forward(self, x: Tensor, mask: Tensor, shared: SharedIndex) -> tuple[Tensor, Tensor]:
        """Attend with both selections.

        Parameters
        ----------
        x : Tensor, shape (B, L, D)
            Steps of this modality.
        mask : Tensor, shape (B, L), bool
            Valid steps of this modality.
        shared : SharedIndex
            From the layer of the multimodal encoder in the same position.

        Returns
        -------
        out : Tensor, shape (B, L, D)
            Attended steps.
        selected : Tensor, shape (B, H, L), bool
            Queries that this modality selected itself.
        """
        q, k, v = self.attention.queries_keys_values(x)
        # the union of both selections may attend
        max_selected = min(2 * self.attention.max_selected(x.shape[1]), x.shape[1])
        selects_all = self.attention.selection.selects_all(mask)
        scores = None if selects_all else score_all_keys(q, k, mask, max_selected)
        selected = self.attention.selection(q, k, mask, scores)
        shared_selected = shared.selected & mask[:, None]
        summaries = torch.cat([masked_mean(x, mask), shared.summary], dim=-1)
        a = torch.sigmoid(self.confidence(summaries)).unsqueeze(-1)
        # both terms share one attention: a query in both selections has weight a + (1 - a) = 1
        weight: Tensor | None = a * selected + (1 - a) * shared_selected
        if selects_all and torch.equal(selected, shared_selected):
            weight = None
        out = attend_selected(q, k, v, weight, mask, max_selected, scores)
        return self.attention.out(rearrange(out, "b h l d -> b l (h d)")), selected
