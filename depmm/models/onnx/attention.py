"""ProbSparse attention with tensor operations only, for graphs with any number of steps.

``SparseAttention`` counts the queries that attend on the host and skips work that the number of
steps makes unnecessary. A graph has no such branches: here every query attends, and those that are
not selected are replaced by the mean of the values, which is the same result. The number of
selected queries is computed from the mask.
"""

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from depmm.models.fusion.dep_former.attention_sharing import AttentionSharing, SharedIndex
from depmm.models.fusion.dep_former.query_selection import EXACT_KEYS, QuerySelection
from depmm.models.fusion.dep_former.sparse_attention import SparseAttention

MAX_STEPS = 1 << 20  # far more than a recording has; the thresholds of ``count`` end there


class ExportedSelection(nn.Module):
    """Select queries like ``QuerySelection`` in evaluation, from a mask.

    Parameters
    ----------
    selection : QuerySelection
        The selection that is replaced.
    """

    thresholds: Tensor

    def __init__(self, selection: QuerySelection) -> None:
        super().__init__()
        self.factor = selection.sampling_factor if selection.rounding == "ceil" else 1
        self.register_buffer("thresholds", torch.tensor(_thresholds(selection)))

    def count(self, n_valid: Tensor) -> Tensor:
        """Count the queries that attend, as ``count_selected_queries`` does.

        Parameters
        ----------
        n_valid : Tensor, shape (B, 1), int64
            Valid steps of each session.

        Returns
        -------
        Tensor, shape (B, 1), int64
            Number of queries.
        """
        # a comparison with whole numbers: a logarithm in float32 could be rounded across one
        log = (n_valid >= self.thresholds).to(torch.int64).sum(dim=1, keepdim=True)
        return torch.minimum(n_valid, (self.factor * log).clamp(min=1))

    def forward(self, q: Tensor, k: Tensor, mask: Tensor, scores: Tensor) -> Tensor:
        """Select queries.

        Parameters
        ----------
        q, k : Tensor, shape (B, H, L, D)
            Queries and keys.
        mask : Tensor, shape (B, L), bool
            Valid steps.
        scores : Tensor, shape (B, H, L, L)
            Scaled scores of all keys, without a mask.

        Returns
        -------
        Tensor, shape (B, H, L), bool
            Selected queries; False at invalid steps.
        """
        n_valid = mask.to(torch.int64).sum(dim=1, keepdim=True)
        sampled = self._sample(mask, n_valid)
        highest = scores.masked_fill(~sampled[:, None, None], -torch.inf).amax(-1)
        mean_score = (q @ mean_of_heads(k, sampled).transpose(-1, -2)).squeeze(-1)
        sparsity = highest - mean_score / math.sqrt(k.shape[-1])
        sparsity = sparsity.masked_fill(~mask[:, None], -torch.inf)
        # rank in descending order; of equal queries the earlier one is first
        position = torch.arange(mask.shape[1], device=mask.device)
        other, own = sparsity.unsqueeze(-2), sparsity.unsqueeze(-1)
        before = (other > own) | ((other == own) & (position < position.unsqueeze(-1)))
        rank = before.to(torch.int64).sum(-1)
        return (rank < self.count(n_valid).unsqueeze(-1)) & mask[:, None]

    def _sample(self, mask: Tensor, n_valid: Tensor) -> Tensor:
        """Mark the keys of which M is computed: all, or an even sample in long sessions."""
        n_keys = self.count(n_valid).clamp(max=EXACT_KEYS)
        slots = torch.arange(EXACT_KEYS, device=mask.device)
        spaced = ((slots + 0.5) * n_valid / n_keys.clamp(min=1)).to(torch.int64)
        spaced = torch.where(slots < n_keys, spaced, -1)
        rank = mask.to(torch.int64).cumsum(dim=1) - 1
        in_sample = (rank.unsqueeze(-1) == spaced.unsqueeze(1)).any(-1)
        return mask & (in_sample | (n_valid <= EXACT_KEYS))


def _thresholds(selection: QuerySelection) -> list[int]:
    """Return the numbers of steps at which the rounded logarithm increases by one."""
    factor = selection.sampling_factor
    if selection.rounding == "ceil":  # c * ceil(ln L)
        exponents: Sequence[float] = range(math.ceil(math.log(MAX_STEPS)))
        return [math.floor(math.exp(exponent)) + 1 for exponent in exponents]
    last = int(factor * math.log(MAX_STEPS))  # floor(c * ln L)
    return [math.ceil(math.exp(step / factor)) for step in range(1, last + 1)]


class ExportedAttention(nn.Module):
    """``SparseAttention`` with the same weights.

    Parameters
    ----------
    attention : SparseAttention
        Attention that is replaced.
    """

    def __init__(self, attention: SparseAttention) -> None:
        super().__init__()
        self.attention = attention
        self.selection = ExportedSelection(attention.selection)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Parameters
        ----------
        x : Tensor, shape (B, L, D)
            Steps.
        mask : Tensor, shape (B, L), bool
            Valid steps.

        Returns
        -------
        out : Tensor, shape (B, L, D)
            Attended steps.
        selected : Tensor, shape (B, H, L), bool
            Selected queries.
        """
        q, k, v = self.attention.queries_keys_values(x)
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
        selected = self.selection(q, k, mask, scores)
        return _attend(self.attention, scores, v, selected.to(v.dtype), mask), selected


class ExportedSharing(AttentionSharing):
    """``AttentionSharing`` with the same weights.

    Parameters
    ----------
    sharing : AttentionSharing
        Attention that is replaced.
    """

    def __init__(self, sharing: AttentionSharing) -> None:
        super().__init__(sharing.attention, sharing.confidence)
        self.selection = ExportedSelection(sharing.attention.selection)

    def forward(self, x: Tensor, mask: Tensor | None, shared: SharedIndex) -> tuple[Tensor, Tensor]:
        """Attend with both selections.

        Parameters
        ----------
        x : Tensor, shape (B, L, D)
            Steps of this modality.
        mask : Tensor, shape (B, L), bool
            Valid steps of this modality.
        shared : SharedIndex
            From the multimodal encoder.

        Returns
        -------
        out : Tensor, shape (B, L, D)
            Attended steps.
        selected : Tensor, shape (B, H, L), bool
            Queries that this modality selected, without the shared ones.
        """
        assert mask is not None  # graphs always read masks
        q, k, v = self.attention.queries_keys_values(x)
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
        selected = self.selection(q, k, mask, scores)
        a = torch.sigmoid(self.confidence(q, x, mask, shared)).unsqueeze(-1)
        shared_selected = (shared.selected & mask[:, None]).to(v.dtype)
        weight = a * selected.to(v.dtype) + (1 - a) * shared_selected
        return _attend(self.attention, scores, v, weight, mask), selected


def _attend(
    attention: SparseAttention, scores: Tensor, v: Tensor, weight: Tensor, mask: Tensor
) -> Tensor:
    """Mix attended values and their mean, as ``attend_selected`` does."""
    # all keys of a session without any, to avoid NaN
    key_mask = (mask | ~mask.any(dim=1, keepdim=True))[:, None, None]
    attended = scores.masked_fill(~key_mask, -torch.inf).softmax(-1) @ v
    mean = mean_of_heads(v, mask)
    out = mean + weight.unsqueeze(-1) * (attended - mean)
    steps: Tensor = attention.out(rearrange(out, "b h l d -> b l (h d)"))
    return steps


def mean_of_heads(x: Tensor, valid: Tensor) -> Tensor:
    """Average over the valid steps of each head.

    Parameters
    ----------
    x : Tensor, shape (B, H, L, D)
        Keys or values.
    valid : Tensor, shape (B, L), bool
        Valid steps.

    Returns
    -------
    Tensor, shape (B, H, 1, D)
        Means; zero without valid steps.
    """
    weight = valid.to(x.dtype)
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1)
    return weight[:, None, None] @ x


def replace_attention(module: nn.Module) -> None:
    """Replace every sparse attention inside a module.

    Parameters
    ----------
    module : Module
        A copy of the fusion, which is changed.
    """
    for name, child in module.named_children():
        if isinstance(child, AttentionSharing):
            setattr(module, name, ExportedSharing(child))
        elif isinstance(child, SparseAttention):
            setattr(module, name, ExportedAttention(child))
        else:
            replace_attention(child)
