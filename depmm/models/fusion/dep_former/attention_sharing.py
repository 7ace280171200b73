"""Attention sharing unit: attend with the query selections of two encoders (DEP-Former, ASU).

The encoder of one modality also uses the query selection of the multimodal encoder:
``out = a * attention(selected) + (1 - a) * attention(shared_selected)`` with a confidence ``a`` per
session and head. The release ranks the confidence within the batch and never trains it; here it is
computed from summaries of the session alone and receives a gradient. If both selections contain
every step (with ``c = 5``: up to 15 steps), the output does not depend on ``a``, and ``a`` receives
no gradient.

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
    """Query selection and summary that a layer of the multimodal encoder shares.

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
    """Sparse attention that mixes the results of its query selection and of a shared one.

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
            From the corresponding layer of the multimodal encoder.

        Returns
        -------
        out : Tensor, shape (B, L, D)
            Attended steps.
        selected : Tensor, shape (B, H, L), bool
            Queries that this modality selected, without the shared ones.
        """
        q, k, v = self.attention.queries_keys_values(x)
        # the union of both selections attends
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
