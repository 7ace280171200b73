"""ProbSparse attention over steps (Informer, Zhou et al. 2021, Sec. 3; DEP-Former, part SAE).

Only queries whose scores stand out attend; the others receive the mean of the values. Which ones
stand out, ``M(q) = max_j q.k_j - mean_j q.k_j`` (Eq. 4 of Informer), is measured without gradient:
the choice is discrete, the gradient flows through what the chosen queries then read.

What differs from Informer and from the DEP-Former release, so that a person's result depends on
nothing but that person's session:

- ``u = c * ceil(ln L)`` counts the valid steps of each session, not the padded length.
- Up to ``EXACT_KEYS`` valid steps, M is exact. Beyond, one sample of keys is shared by all queries
  and heads (memory B*H*L*K): random in training, evenly spaced in evaluation.
- Padded and missing steps are neither queries nor keys, nor part of the mean of the values.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from depmm.models.masking import length_mask

EXACT_KEYS = 128


def selected_queries(length: int, factor: int) -> int:
    """Number of queries that attend, ``u = min(L, c * ceil(ln L))``, at least one."""
    return min(length, max(1, factor * math.ceil(math.log(max(length, 1)))))


class QuerySelection(nn.Module):
    """Choose the queries that attend; without parameters, a module so that it can be watched.

    Parameters
    ----------
    factor : `c` of ``u = c * ceil(ln L)``
    """

    def __init__(self, factor: int = 5):
        super().__init__()
        self.factor = factor

    @torch.no_grad()
    def forward(self, q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
        """Select per session and head.

        Parameters
        ----------
        q, k : Tensor[B, H, L, D]
        mask : Tensor[B, L] bool, True at valid steps

        Returns
        -------
        Tensor[B, H, L] bool, True at selected queries; never at an invalid step
        """
        sparsity = self.sparsity(q, k, mask).masked_fill(~mask[:, None], -torch.inf)
        count = mask.sum(dim=1)
        chosen = self.factor * count.clamp(min=1).float().log().ceil().long()
        chosen = torch.minimum(chosen.clamp(min=1), count)
        bound = selected_queries(q.shape[2], self.factor)
        # stable: of equal queries the earlier one is chosen, whatever the padding
        order = sparsity.sort(dim=-1, descending=True, stable=True).indices[..., :bound]
        kept = length_mask(chosen, bound)[:, None].expand_as(order)
        return torch.zeros_like(sparsity, dtype=torch.bool).scatter(-1, order, kept)

    def sparsity(self, q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
        """Measure how much each query's scores stand out, Tensor[B, H, L] (Informer, Eq. 4)."""
        keys, valid = self.key_sample(mask)
        if keys is not None:
            index = keys[:, None, :, None].expand(-1, k.shape[1], -1, k.shape[-1])
            k = k.gather(2, index)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        valid = valid[:, None, None]
        mean = scores.masked_fill(~valid, 0.0).sum(-1) / valid.sum(-1).clamp(min=1)
        return scores.masked_fill(~valid, -torch.inf).amax(-1) - mean

    def key_sample(self, mask: Tensor) -> tuple[Tensor | None, Tensor]:
        """Choose the keys that M is measured on.

        Parameters
        ----------
        mask : Tensor[B, L] bool

        Returns
        -------
        Tensor[B, K] positions (None: all), Tensor[B, K] bool, which of them count
        """
        batch, length = mask.shape
        if length <= EXACT_KEYS:
            return None, mask
        count = mask.sum(dim=1, keepdim=True)
        wanted = self.factor * count.clamp(min=1).float().log().ceil().long()
        wanted = torch.where(count <= EXACT_KEYS, count, wanted.clamp(max=EXACT_KEYS))
        slots = torch.arange(EXACT_KEYS, device=mask.device).expand(batch, -1)
        # rank of the key among the valid steps: one from each of `wanted` equal parts
        offset: Tensor | float = 0.5
        if self.training:
            offset = torch.rand(1, EXACT_KEYS, device=mask.device)
        spread = ((slots + offset) * count / wanted.clamp(min=1)).long()
        rank = torch.where(count <= EXACT_KEYS, slots, spread)
        # valid steps first, in order: position of the n-th valid step
        order = (~mask).to(torch.uint8).sort(dim=1, stable=True).indices
        return order.gather(1, rank.clamp(max=length - 1)), slots < wanted


def attend_selected(
    q: Tensor, k: Tensor, v: Tensor, weight: Tensor, mask: Tensor, bound: int
) -> Tensor:
    """Let selected queries attend; the others receive the mean of the values.

    ``out = mean(v) + weight * (attention(q, k, v) - mean(v))``: weight 1 attends, 0 does not, and a
    confidence between them mixes, so that it receives a gradient.

    Parameters
    ----------
    q, k, v : Tensor[B, H, L, D]
    weight : Tensor[B, H, L] in [0, 1], zero at unselected queries
    mask : Tensor[B, L] bool
    bound : no session and head has more than this many selected queries

    Returns
    -------
    Tensor[B, H, L, D]
    """
    valid = mask[:, None, :, None].to(v.dtype)
    mean = (v * valid).sum(2, keepdim=True) / valid.sum(2, keepdim=True).clamp(min=1)
    # a session without any valid step attends to all of its (ignored) padding: no nan
    readable = (mask | ~mask.any(dim=1, keepdim=True))[:, None, None]
    length = q.shape[2]
    if 2 * bound >= length:
        attended = scaled_dot_product_attention(q, k, v, attn_mask=readable)
        return mean + weight.unsqueeze(-1) * (attended - mean)
    chosen = weight.detach().topk(bound, dim=-1).indices
    index = chosen.unsqueeze(-1).expand(-1, -1, -1, q.shape[-1])
    attended = scaled_dot_product_attention(q.gather(2, index), k, v, attn_mask=readable)
    change = weight.gather(2, chosen).unsqueeze(-1) * (attended - mean)
    return mean.expand_as(v).scatter_add(2, index, change)


class SparseAttention(nn.Module):
    """Multi-head ProbSparse self-attention.

    Parameters
    ----------
    width : input and output width, `D`
    heads, head_width : number of heads `H` and width of each
    factor : `c` of ``u = c * ceil(ln L)``; None: every query attends (dense ablation)
    """

    def __init__(self, width: int, heads: int = 8, head_width: int = 64, factor: int | None = 5):
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * heads * head_width)
        self.out = nn.Linear(heads * head_width, width)
        self.selection = QuerySelection(factor) if factor is not None else None

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split Tensor[B, L, D] into three Tensor[B, H, L, head_width]."""
        q, k, v = rearrange(self.project(x), "b l (n h d) -> n b h l d", n=3, h=self.heads)
        return q, k, v

    def select(self, q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
        """Choose the queries that attend: Tensor[B, H, L] bool."""
        if self.selection is None:
            return mask[:, None].expand(-1, self.heads, -1)
        return self.selection(q, k, mask)

    def bound(self, length: int) -> int:
        """Most queries that one session and head can select."""
        return length if self.selection is None else selected_queries(length, self.selection.factor)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Parameters
        ----------
        x : Tensor[B, L, D]
        mask : Tensor[B, L] bool, True at valid steps

        Returns
        -------
        Tensor[B, L, D], Tensor[B, H, L] bool: the selected queries
        """
        q, k, v = self.queries_keys_values(x)
        own = self.select(q, k, mask)
        read = attend_selected(q, k, v, own.to(v.dtype), mask, self.bound(x.shape[1]))
        return self.out(rearrange(read, "b h l d -> b l (h d)")), own
