"""ProbSparse attention over steps (DEP-Former, part SAE).

Only the queries with the least uniform scores attend; all others receive the mean of the values.
The selection is discrete and has no gradient (`query_selection`); the gradient flows through the
attention of the selected queries.

Deviations from Informer and from the DEP-Former release make the prediction of a session
independent of the other sessions of the batch, of padding and, in evaluation, of random numbers:

- `L` in ``u = c * ceil(ln L)`` is the number of valid steps of each session, not the padded length.
- Up to ``EXACT_KEYS`` valid steps, M is exact. In longer sessions, all queries and heads share one
  sample of keys (memory B * H * L * K), random in training and evenly spaced in evaluation.
- Padded and missing steps are not used as queries or keys, nor in the mean of the values.

A mask of None means that every step is valid.

References
----------
Zhou et al., "Informer: Beyond efficient transformer for long sequence time-series forecasting",
AAAI 2021, Sec. 3.
Ye et al., "DEP-Former", IEEE TCSVT 35(3), 2025.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from depmm.models.fusion.dep_former.query_selection import (
    EXACT_KEYS,
    QuerySelection,
    Rounding,
    masked_mean_of_heads,
)


def score_all_keys(q: Tensor, k: Tensor, mask: Tensor | None, max_selected: int) -> Tensor | None:
    """Score all valid keys for every query, if at least half of the queries attend.

    Query selection and attention then share these scores.

    Parameters
    ----------
    q, k : Tensor, shape (B, H, L, D)
        Queries and keys.
    mask : Tensor, shape (B, L), bool, or None
        Valid steps.
    max_selected : int
        Largest number of queries that one session and head selects.

    Returns
    -------
    Tensor, shape (B, H, L, L), or None
        Scaled scores, minus infinity at invalid keys; None if less than half of the queries attend
        or if `L` is larger than ``EXACT_KEYS``.
    """
    length = q.shape[2]
    if 2 * max_selected < length or length > EXACT_KEYS:
        return None
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
    return scores if mask is None else scores.masked_fill(~_key_mask(mask), -torch.inf)


def attend_selected(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    weight: Tensor | None,
    mask: Tensor | None,
    max_selected: int,
    scores: Tensor | None = None,
) -> Tensor:
    """Compute the attention of selected queries; the others receive the mean of the values.

    ``out = mean(v) + weight * (attention(q, k, v) - mean(v))``: a query with weight 1 attends, a
    query with weight 0 receives the mean, and a weight between 0 and 1 mixes both and therefore
    receives a gradient.

    Parameters
    ----------
    q, k, v : Tensor, shape (B, H, L, D)
        Queries, keys and values.
    weight : Tensor, shape (B, H, L), or None
        Selected queries (bool), or weights in [0, 1], zero at unselected queries; None if all
        attend.
    mask : Tensor, shape (B, L), bool, or None
        Valid steps.
    max_selected : int
        Largest number of queries with a weight above zero in one session and head.
    scores : Tensor, shape (B, H, L, L), optional
        Output of `score_all_keys` for the same queries and keys.

    Returns
    -------
    Tensor, shape (B, H, L, D)
        Attended values.
    """
    key_mask = None if mask is None else _key_mask(mask)
    if weight is None:
        return scaled_dot_product_attention(q, k, v, attn_mask=key_mask)
    if weight.dtype == torch.bool:
        if scores is not None:
            # equal scores average the values, which takes less time than mixing with the mean
            return scores.masked_fill(_unselected(weight, mask), 0.0).softmax(-1) @ v
        weight = weight.to(v.dtype)
    mean = masked_mean_of_heads(v, mask)
    if 2 * max_selected >= q.shape[2]:
        if scores is None:
            attended = scaled_dot_product_attention(q, k, v, attn_mask=key_mask)
        else:
            attended = scores.softmax(-1) @ v
        return torch.lerp(mean.expand_as(v), attended, weight.unsqueeze(-1))
    selected = weight.detach().topk(max_selected, dim=-1).indices
    session = torch.arange(q.shape[0], device=q.device)[:, None, None]
    head = torch.arange(q.shape[1], device=q.device)[:, None]
    # indexing copies whole rows, which is twice as fast as gathering single elements
    attended = scaled_dot_product_attention(q[session, head, selected], k, v, attn_mask=key_mask)
    change = weight.gather(2, selected).unsqueeze(-1) * (attended - mean)
    index = selected.unsqueeze(-1).expand(-1, -1, -1, q.shape[-1])
    return mean.expand_as(v).scatter_add(2, index, change)


class SparseAttention(nn.Module):
    """Multi-head ProbSparse self-attention; its projections have no bias, as in the release.

    Parameters
    ----------
    embed_dim : int
        Input and output size, `D`.
    n_heads : int
        Number of heads, `H`.
    head_dim : int
        Size of each head.
    sampling_factor : int
        `c` of ``u = c * ceil(ln L)``; if u >= L, every query attends (dense attention).
    rounding : {"ceil", "floor"}, default "ceil"
        As in `count_selected_queries`.

    References
    ----------
    Zhou et al., "Informer", AAAI 2021, Sec. 3.1.
    """

    def __init__(
        self,
        embed_dim: int,
        n_heads: int,
        head_dim: int,
        sampling_factor: int,
        rounding: Rounding = "ceil",
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.project = nn.Linear(embed_dim, 3 * n_heads * head_dim, bias=False)
        self.out = nn.Linear(n_heads * head_dim, embed_dim, bias=False)
        self.selection = QuerySelection(sampling_factor, rounding)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project steps to queries, keys and values.

        Parameters
        ----------
        x : Tensor, shape (B, L, D)
            Steps.

        Returns
        -------
        q, k, v : Tensor, shape (B, H, L, head_dim)
            Projections for each head.
        """
        # b l (3 h d) -> three of b h l d; so the backward pass copies each gradient once
        q, k, v = self.project(x).unflatten(-1, (3, self.n_heads, -1)).unbind(2)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def join_heads(self, attended: Tensor) -> Tensor:
        """Project the values of all heads to steps.

        Parameters
        ----------
        attended : Tensor, shape (B, H, L, head_dim)
            Attended values.

        Returns
        -------
        Tensor, shape (B, L, D)
            Steps.
        """
        steps: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return steps

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attend.

        Parameters
        ----------
        x : Tensor, shape (B, L, D)
            Steps.
        mask : Tensor, shape (B, L), bool, or None
            Valid steps.

        Returns
        -------
        out : Tensor, shape (B, L, D)
            Attended steps.
        selected : Tensor, shape (B, H, L), bool
            Selected queries.
        """
        q, k, v = self.queries_keys_values(x)
        max_selected = self.selection.count(x.shape[1])
        selects_all = self.selection.selects_all(x.shape[1])
        scores = None if selects_all else score_all_keys(q, k, mask, max_selected)
        selected = self.selection(q, k, mask, scores)
        weight = None if selects_all else selected
        out = attend_selected(q, k, v, weight, mask, max_selected, scores)
        return self.join_heads(out), selected


def _key_mask(mask: Tensor) -> Tensor:
    """Return the valid keys, (B, 1, 1, L); all keys of a session without any, to avoid NaN."""
    return (mask | ~mask.any(dim=1, keepdim=True))[:, None, None]


def _unselected(selected: Tensor, mask: Tensor | None) -> Tensor:
    """Return the scores of unselected queries, except those of invalid keys."""
    unselected = ~selected.unsqueeze(-1)
    return unselected if mask is None else unselected & _key_mask(mask)
