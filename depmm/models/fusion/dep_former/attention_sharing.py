"""Attention sharing unit: attend with the query selections of two encoders (DEP-Former, ASU).

The encoder of one modality also uses the query selection of the multimodal encoder:
``out = a * attention(selected) + (1 - a) * attention(shared_selected)`` with a confidence ``a`` per
session. The release ranks the confidence within the batch and never trains it; here it is computed
from the session alone and receives a gradient. If both selections contain every step (with
``c = 5``: up to 15 steps), the output does not depend on ``a``, and ``a`` receives no gradient.

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
    """Query selection that a layer of the multimodal encoder shares, with the input of the layer.

    Attributes
    ----------
    selected : Tensor, shape (B, H, L), bool
        Queries that the layer selected.
    x : Tensor, shape (B, L, D)
        Steps from which the layer selected.
    mask : Tensor, shape (B, L), bool, or None
        Valid steps.
    """

    selected: Tensor
    x: Tensor
    mask: Tensor | None


class SummaryConfidence(nn.Module):
    """Compute the confidence of each head from the mean steps of both encoders.

    It supports any number of steps.

    Parameters
    ----------
    embed_dim : int
        Size of the steps, `D`.
    n_heads : int
        Number of heads, `H`.
    """

    def __init__(self, embed_dim: int, n_heads: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * embed_dim, n_heads)

    def forward(self, q: Tensor, x: Tensor, mask: Tensor | None, shared: SharedIndex) -> Tensor:
        """Compute the logit of the confidence.

        Parameters
        ----------
        q : Tensor, shape (B, H, L, head_dim)
            Queries, which are not used.
        x : Tensor, shape (B, L, D)
            Steps of this modality.
        mask : Tensor, shape (B, L), bool, or None
            Valid steps of this modality.
        shared : SharedIndex
            Selection and steps of the multimodal encoder.

        Returns
        -------
        Tensor, shape (B, H)
            Logits.
        """
        summaries = [masked_mean(x, mask), masked_mean(shared.x, shared.mask)]
        logit: Tensor = self.linear(torch.cat(summaries, dim=-1))
        return logit


class QueryConfidence(nn.Module):
    """Compute the confidence of a session from all queries, as the release does (``alpha``).

    Parameters
    ----------
    n_features : int
        Number of heads x tokens x size of a head (3072 in the release).
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, 1)

    def forward(self, q: Tensor, x: Tensor, mask: Tensor | None, shared: SharedIndex) -> Tensor:
        """Compute the logit of the confidence.

        Parameters
        ----------
        q : Tensor, shape (B, H, N, head_dim)
            Queries.
        x : Tensor, shape (B, N, D)
            Tokens, which are not used.
        mask : Tensor, shape (B, N), bool, or None
            Valid tokens.
        shared : SharedIndex
            Selection of the multimodal encoder, which is not used.

        Returns
        -------
        Tensor, shape (B, 1)
            Logit.
        """
        if mask is not None:
            q = q.masked_fill(~mask[:, None, :, None], 0.0)
        logit: Tensor = self.linear(rearrange(q, "b h n d -> b (h n d)"))
        return logit


class AttentionSharing(nn.Module):
    """Sparse attention that mixes the results of its query selection and of a shared one.

    Parameters
    ----------
    attention : SparseAttention
        Attention of this modality.
    confidence : Module
        Maps queries, steps, mask and ``SharedIndex`` to the logit of the confidence of each head,
        shape (B, H), or of each session, shape (B, 1).
    """

    def __init__(self, attention: SparseAttention, confidence: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.confidence = confidence

    def forward(self, x: Tensor, mask: Tensor | None, shared: SharedIndex) -> tuple[Tensor, Tensor]:
        """Attend with both selections.

        Parameters
        ----------
        x : Tensor, shape (B, L, D)
            Steps of this modality.
        mask : Tensor, shape (B, L), bool, or None
            Valid steps of this modality, which the multimodal encoder also has.
        shared : SharedIndex
            From a layer of the multimodal encoder with as many steps.

        Returns
        -------
        out : Tensor, shape (B, L, D)
            Attended steps.
        selected : Tensor, shape (B, H, L), bool
            Queries that this modality selected, without the shared ones.
        """
        q, k, v = self.attention.queries_keys_values(x)
        selection = self.attention.selection
        length = x.shape[1]
        max_selected = min(2 * selection.count(length), length)  # the union of both selections
        selects_all = selection.selects_all(length)
        scores = None if selects_all else score_all_keys(q, k, mask, max_selected)
        selected = selection(q, k, mask, scores)
        a = torch.sigmoid(self.confidence(q, x, mask, shared)).unsqueeze(-1)
        weight: Tensor | None = None
        if not selects_all:
            # both terms share one attention: a query in both selections has weight a + (1 - a) = 1
            shared_selected = shared.selected if mask is None else shared.selected & mask[:, None]
            weight = a * selected + (1 - a) * shared_selected
        out = attend_selected(q, k, v, weight, mask, max_selected, scores)
        return self.attention.join_heads(out), selected
