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


def selected_queries(length: int, sampling_factor: int) -> int:
    """Number of queries that attend, ``u = min(L, c * ceil(ln L))``, at least one."""
    return min(length, max(1, sampling_factor * math.ceil(math.log(max(length, 1)))))


class QuerySelection(nn.Module):
    """Choose the queries that attend; without parameters, a module so that it can be watched.

    Parameters
    ----------
    sampling_factor : `c` of ``u = c * ceil(ln L)``
    """

    def __init__(self, sampling_factor: int = 5):
        super().__init__()
        self.sampling_factor = sampling_factor

    def count(self, mask: Tensor) -> Tensor:
        """Count the queries of each session that attend: Tensor[B] of a Tensor[B, L] bool."""
        valid = mask.sum(dim=1)
        chosen = self.sampling_factor * valid.clamp(min=1).float().log().ceil().long()
        return torch.minimum(chosen.clamp(min=1), valid)

    def everyone(self, mask: Tensor) -> bool:
        """Whether all valid queries attend (with c = 5: up to 15 steps), so that none is chosen."""
        return bool((self.count(mask) == mask.sum(dim=1)).all())

    @torch.no_grad()
    def forward(self, q: Tensor, k: Tensor, mask: Tensor, scores: Tensor | None = None) -> Tensor:
        """Select per session and head.

        Parameters
        ----------
        q, k : Tensor[B, H, L, D]
        mask : Tensor[B, L] bool, True at valid steps
        scores : what ``all_scores`` gives for q and k

        Returns
        -------
        Tensor[B, H, L] bool, True at selected queries; never at an invalid step
        """
        if self.everyone(mask):
            return mask[:, None].expand(-1, q.shape[1], -1)
        sparsity = self.sparsity(q, k, mask, scores).masked_fill(~mask[:, None], -torch.inf)
        bound = selected_queries(q.shape[2], self.sampling_factor)
        # stable: of equal queries the earlier one is chosen, whatever the padding
        order = sparsity.sort(dim=-1, descending=True, stable=True).indices[..., :bound]
        kept = length_mask(self.count(mask), bound)[:, None].expand_as(order)
        return torch.zeros_like(sparsity, dtype=torch.bool).scatter(-1, order, kept)

    def sparsity(self, q: Tensor, k: Tensor, mask: Tensor, scores: Tensor | None = None) -> Tensor:
        """Measure how much each query's scores stand out, Tensor[B, H, L] (Informer, Eq. 4)."""
        keys, valid = self.key_sample(mask)
        if keys is not None:
            k = k.gather(2, keys[:, None, :, None].expand(-1, k.shape[1], -1, k.shape[-1]))
        mean_key = _mean(k, valid)
        if scores is None:
            # the largest distance of a score from their mean is the largest score of centred keys;
            # a missing key becomes the mean, which is never above the largest
            centred = k - mean_key
            if not bool(valid.all()):
                centred = centred.masked_fill(~valid[:, None, :, None], 0.0)
            sparsity = (q @ centred.transpose(-1, -2)).amax(-1)
            return sparsity / math.sqrt(q.shape[-1])
        mean = (q @ mean_key.transpose(-1, -2)).squeeze(-1)
        return scores.amax(-1) - mean / math.sqrt(q.shape[-1])

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
        wanted = self.count(mask).clamp(max=EXACT_KEYS).unsqueeze(1)
        wanted = torch.where(count <= EXACT_KEYS, count, wanted)
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


def all_scores(q: Tensor, k: Tensor, mask: Tensor, bound: int) -> Tensor | None:
    """Score all valid keys for every query, where most queries attend; otherwise None.

    The choice of queries and their attention then share these scores.

    Parameters
    ----------
    q, k : Tensor[B, H, L, D]
    mask : Tensor[B, L] bool
    bound : no session and head has more than this many selected queries

    Returns
    -------
    Tensor[B, H, L, L], -inf at missing keys; or None
    """
    length = q.shape[2]
    if 2 * bound < length or length > EXACT_KEYS:
        return None
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
    return scores.masked_fill(~_readable(mask), -torch.inf)


def _mean(x: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid of L places: Tensor[B, H, 1, D] of Tensor[B, H, L, D]; 0 without any."""
    if bool(valid.all()):
        # in this order the gradient is divided before it is spread over the places; a GPU's
        # autocast sums half precision in float32
        return (x.sum(dim=2, keepdim=True) / x.shape[2]).to(x.dtype)
    share = valid.to(x.dtype) / valid.sum(1, keepdim=True).clamp(min=1)
    return share[:, None, None].expand(-1, x.shape[1], -1, -1) @ x


def _readable(mask: Tensor) -> Tensor:
    """Keys that are read, Tensor[B, 1, 1, L]: of a session without valid steps all, for no nan."""
    return (mask | ~mask.any(dim=1, keepdim=True))[:, None, None]


def attend_selected(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    weight: Tensor | None,
    mask: Tensor,
    bound: int,
    scores: Tensor | None = None,
) -> Tensor:
    """Let selected queries attend; the others receive the mean of the values.

    ``out = mean(v) + weight * (attention(q, k, v) - mean(v))``: weight 1 attends, 0 does not, and a
    confidence between them mixes, so that it receives a gradient.

    Parameters
    ----------
    q, k, v : Tensor[B, H, L, D]
    weight : Tensor[B, H, L] in [0, 1], zero at unselected queries; None: all attend
    mask : Tensor[B, L] bool
    bound : no session and head has more than this many selected queries
    scores : what ``all_scores`` gives for q and k

    Returns
    -------
    Tensor[B, H, L, D]
    """
    readable = None if bool(mask.all()) else _readable(mask)  # a mask costs time
    if weight is None:
        return scaled_dot_product_attention(q, k, v, attn_mask=readable)
    mean = _mean(v, mask)
    if 2 * bound >= q.shape[2]:
        if scores is None:
            attended = scaled_dot_product_attention(q, k, v, attn_mask=readable)
        else:
            attended = scores.softmax(-1) @ v
        return torch.lerp(mean.expand_as(v), attended, weight.unsqueeze(-1))
    chosen = weight.detach().topk(bound, dim=-1).indices
    session = torch.arange(q.shape[0], device=q.device)[:, None, None]
    head = torch.arange(q.shape[1], device=q.device)[:, None]
    # reads whole rows, twice as fast as a gather of single numbers
    attended = scaled_dot_product_attention(q[session, head, chosen], k, v, attn_mask=readable)
    change = weight.gather(2, chosen).unsqueeze(-1) * (attended - mean)
    index = chosen.unsqueeze(-1).expand(-1, -1, -1, q.shape[-1])
    return mean.expand_as(v).scatter_add(2, index, change)


class SparseAttention(nn.Module):
    """Multi-head ProbSparse self-attention.

    Parameters
    ----------
    embed_dim : input and output size, `D`
    n_heads, head_dim : number of heads `H` and width of each
    sampling_factor : `c` of ``u = c * ceil(ln L)``; with u >= L every query attends (dense)
    """

    def __init__(
        self, embed_dim: int, n_heads: int = 8, head_dim: int = 64, sampling_factor: int = 5
    ):
        super().__init__()
        self.n_heads = n_heads
        self.project = nn.Linear(embed_dim, 3 * n_heads * head_dim)
        self.out = nn.Linear(n_heads * head_dim, embed_dim)
        self.selection = QuerySelection(sampling_factor)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split Tensor[B, L, D] into three Tensor[B, H, L, head_dim]."""
        q, k, v = (
            rearrange(part, "b l (h d) -> b h l d", h=self.n_heads)
            for part in self.project(x).chunk(3, dim=-1)
        )
        return q, k, v

    def bound(self, length: int) -> int:
        """Most queries that one session and head can select."""
        return selected_queries(length, self.selection.sampling_factor)

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
        bound = self.bound(x.shape[1])
        everyone = self.selection.everyone(mask)
        scores = None if everyone else all_scores(q, k, mask, bound)
        own = self.selection(q, k, mask, scores)
        weight = None if everyone else own.to(v.dtype)
        read = attend_selected(q, k, v, weight, mask, bound, scores)
        return self.out(rearrange(read, "b h l d -> b l (h d)")), own
