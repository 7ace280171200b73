"""Attention sharing: the multimodal encoder's choice of steps, handed to one modality (ASU).

``out = a * attention(own index) + (1 - a) * attention(shared index)`` with a confidence ``a`` per
session and head. The release ranks the confidence inside the batch and never trains it; here it is
a function of the session's own summaries and receives a gradient. Where both indices hold every
step (with ``c = 5``: up to 15 steps), there is nothing to weigh: the output does not depend on
``a``, nor ``a`` on the loss.
"""

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from depmm.models.fusion.dep_former.sparse_attention import (
    SparseAttention,
    all_scores,
    attend_selected,
)
from depmm.models.masking import masked_mean


class SharedIndex(NamedTuple):
    """What one attention layer of the multimodal encoder shares.

    Attributes
    ----------
    selected : Tensor[B, H, L] bool, the queries that it chose
    summary : Tensor[B, D], mean of its valid steps
    """

    selected: Tensor
    summary: Tensor


class AttentionSharing(nn.Module):
    """Sparse attention that weighs its own choice of steps against a shared one.

    Parameters
    ----------
    embed_dim : input and output size, `D`
    n_heads, head_dim, sampling_factor : as in ``SparseAttention``
    """

    def __init__(
        self, embed_dim: int, n_heads: int = 8, head_dim: int = 64, sampling_factor: int = 5
    ):
        super().__init__()
        self.attention = SparseAttention(embed_dim, n_heads, head_dim, sampling_factor)
        self.confidence = nn.Linear(2 * embed_dim, n_heads)

    def forward(self, x: Tensor, mask: Tensor, shared: SharedIndex) -> tuple[Tensor, Tensor]:
        """Attend by both indices.

        Parameters
        ----------
        x : Tensor[B, L, D]
        mask : Tensor[B, L] bool, the valid steps of this modality
        shared : from the multimodal encoder's layer of the same place and length

        Returns
        -------
        Tensor[B, L, D], Tensor[B, H, L] bool: this modality's own choice
        """
        q, k, v = self.attention.queries_keys_values(x)
        bound = min(2 * self.attention.bound(x.shape[1]), x.shape[1])
        everyone = self.attention.selection.everyone(mask)
        scores = None if everyone else all_scores(q, k, mask, bound)
        own = self.attention.selection(q, k, mask, scores)
        other = shared.selected & mask[:, None]
        summaries = torch.cat([masked_mean(x, mask), shared.summary], dim=-1)
        a = torch.sigmoid(self.confidence(summaries)).unsqueeze(-1)
        # both terms share one attention: a query in both indices has weight a + (1 - a) = 1
        weight: Tensor | None = a * own + (1 - a) * other
        if everyone and torch.equal(own, other):
            weight = None
        read = attend_selected(q, k, v, weight, mask, bound, scores)
        return self.attention.out(rearrange(read, "b h l d -> b l (h d)")), own
