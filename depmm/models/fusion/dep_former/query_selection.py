"""Selection of the queries that attend in ProbSparse attention.

The sparsity measure ``M(q) = max_j q.k_j - mean_j q.k_j`` (Eq. 4 of Zhou et al.) is computed
without gradient, because the selection of queries is discrete. `sparse_attention` lists the
deviations from Informer. A mask of None means that every step is valid.

References
----------
Zhou et al., "Informer: Beyond efficient transformer for long sequence time-series forecasting",
AAAI 2021, Sec. 3.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

EXACT_KEYS = 128
Rounding = Literal["ceil", "floor"]


def count_selected_queries(length: int, sampling_factor: int, rounding: Rounding = "ceil") -> int:
    """Compute the number of queries that attend, ``u = min(L, c * ceil(ln L))``, at least one.

    Parameters
    ----------
    length : int
        Number of steps, `L`.
    sampling_factor : int
        `c`.
    rounding : {"ceil", "floor"}, default "ceil"
        ``c * ceil(ln L)`` (Informer; 20 of 24 steps with `c` = 5), or ``floor(c * ln L)`` (release
        of DEP-Former; 15 of 24).

    Returns
    -------
    int
        Number of queries, `u`.
    """
    log = math.log(max(length, 1))
    u = sampling_factor * math.ceil(log) if rounding == "ceil" else int(sampling_factor * log)
    return min(length, max(1, u))


class QuerySelection(nn.Module):
    """Select the queries that attend; a module without parameters, for forward hooks.

    Parameters
    ----------
    sampling_factor : int
        `c`, see `count_selected_queries`.
    rounding : {"ceil", "floor"}, default "ceil"
        See `count_selected_queries`.
    """

    def __init__(self, sampling_factor: int, rounding: Rounding = "ceil") -> None:
        super().__init__()
        self.sampling_factor = sampling_factor
        self.rounding: Rounding = rounding

    def count(self, length: int) -> int:
        """Count the queries that attend in a session without missing steps.

        Parameters
        ----------
        length : int
            Number of steps.

        Returns
        -------
        int
            Number of queries, which no shorter session exceeds.
        """
        return count_selected_queries(length, self.sampling_factor, self.rounding)

    def count_valid(self, mask: Tensor) -> Tensor:
        """Count the queries of each session that attend.

        Parameters
        ----------
        mask : Tensor, shape (B, L), bool
            Valid steps.

        Returns
        -------
        Tensor, shape (B,)
            Number of queries that attend.
        """
        counts = [self.count(n) for n in range(mask.shape[1] + 1)]
        return torch.tensor(counts, device=mask.device)[mask.sum(dim=1)]

    def selects_all(self, length: int) -> bool:
        """Check whether every query attends in all sessions of up to ``length`` steps.

        Parameters
        ----------
        length : int
            Padded number of steps.

        Returns
        -------
        bool
            True if ``u(n) >= n`` for each n up to ``length``: with `c` = 5 up to 15 steps.
        """
        return all(self.count(n) == n for n in range(1, length + 1))

    @torch.no_grad()
    def forward(
        self, q: Tensor, k: Tensor, mask: Tensor | None, scores: Tensor | None = None
    ) -> Tensor:
        """Select queries for each session and head.

        Parameters
        ----------
        q, k : Tensor, shape (B, H, L, D)
            Queries and keys.
        mask : Tensor, shape (B, L), bool, or None
            Valid steps.
        scores : Tensor, shape (B, H, L, L), optional
            Output of `score_all_keys` for the same queries and keys.

        Returns
        -------
        Tensor, shape (B, H, L), bool
            Selected queries; False at invalid steps.
        """
        batch, n_heads, length, _ = q.shape
        if self.selects_all(length):
            valid = q.new_ones((), dtype=torch.bool) if mask is None else mask[:, None]
            return valid.expand(batch, n_heads, length)
        sparsity, max_selected = self.sparsity(q, k, mask, scores), self.count(length)
        if mask is not None:
            sparsity = sparsity.masked_fill(~mask[:, None], -torch.inf)
        largest = sparsity.topk(max_selected, dim=-1).values
        if mask is None:
            count: Tensor | int = max_selected
            smallest = largest[..., -1:]
        else:
            count = self.count_valid(mask)[:, None, None]
            last = (count - 1).clamp(min=0).expand(-1, n_heads, -1)
            smallest = largest.gather(-1, last)
        above = sparsity > smallest
        equal = sparsity == smallest
        # of equal queries the earlier ones are selected, independently of padding; sorting all
        # queries takes longer
        free = count - above.sum(-1, keepdim=True)
        return above | (equal & (equal.cumsum(-1) <= free))

    def sparsity(
        self, q: Tensor, k: Tensor, mask: Tensor | None, scores: Tensor | None = None
    ) -> Tensor:
        """Compute the sparsity measure M of each query (Zhou et al. 2021, Eq. 4).

        Parameters
        ----------
        q, k : Tensor, shape (B, H, L, D)
            Queries and keys.
        mask : Tensor, shape (B, L), bool, or None
            Valid steps.
        scores : Tensor, shape (B, H, L, L), optional
            Output of `score_all_keys` for the same queries and keys.

        Returns
        -------
        Tensor, shape (B, H, L)
            Sparsity measure M; large if one score of a query is far above their mean.
        """
        valid = mask
        if k.shape[2] > EXACT_KEYS:
            if mask is None:
                k = k.index_select(2, self.sample_all_keys(k.shape[2], k.device))
            else:
                key_index, valid = self.sample_keys(mask)
                k = k.gather(2, key_index[:, None, :, None].expand(*k.shape[:2], -1, k.shape[-1]))
        mean_key = masked_mean_of_heads(k, valid)
        if scores is None:
            # max_j q.k_j - mean_j q.k_j is the largest score of centred keys; a missing key is
            # replaced by the mean key, whose score never exceeds the largest
            centred = k - mean_key
            if valid is not None:
                centred = centred.masked_fill(~valid[:, None, :, None], 0.0)
            # the maximum over rows takes less time where there are many queries
            sparsity = (centred @ q.transpose(-1, -2)).amax(-2)
            return sparsity / math.sqrt(q.shape[-1])
        mean_score = (q @ mean_key.transpose(-1, -2)).squeeze(-1)
        return scores.amax(-1) - mean_score / math.sqrt(q.shape[-1])

    def sample_all_keys(self, length: int, device: torch.device) -> Tensor:
        """Choose the keys like ``sample_keys`` for sessions whose steps are all valid.

        Parameters
        ----------
        length : int
            Number of steps, more than ``EXACT_KEYS``.
        device : device
            Device of the keys.

        Returns
        -------
        Tensor, shape (K,)
            Steps whose keys are used, one from each of `K` equal parts.
        """
        n_keys = min(self.count(length), EXACT_KEYS)
        offset: Tensor | float = 0.5
        if self.training:  # as many random numbers as ``sample_keys`` draws
            offset = torch.rand(EXACT_KEYS, device=device)[:n_keys]
        spaced = (torch.arange(n_keys, device=device) + offset) * length / n_keys
        return spaced.long().clamp(max=length - 1)

    def sample_keys(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Choose the keys on which M is computed in sessions of more than ``EXACT_KEYS`` steps.

        Parameters
        ----------
        mask : Tensor, shape (B, L), bool
            Valid steps.

        Returns
        -------
        key_index : Tensor, shape (B, K)
            Steps whose keys are used.
        valid : Tensor, shape (B, K), bool
            Valid entries of ``key_index``.
        """
        batch, length = mask.shape
        n_valid = mask.sum(dim=1, keepdim=True)
        n_keys = self.count_valid(mask).clamp(max=EXACT_KEYS).unsqueeze(1)
        n_keys = torch.where(n_valid <= EXACT_KEYS, n_valid, n_keys)
        slots = torch.arange(EXACT_KEYS, device=mask.device).expand(batch, -1)
        # rank of the key among the valid steps: one from each of `n_keys` equal parts
        offset: Tensor | float = 0.5
        if self.training:
            offset = torch.rand(1, EXACT_KEYS, device=mask.device)
        spaced = ((slots + offset) * n_valid / n_keys.clamp(min=1)).long()
        rank = torch.where(n_valid <= EXACT_KEYS, slots, spaced)
        # sorted with the valid steps first: entry n is the n-th valid step
        order = (~mask).to(torch.uint8).sort(dim=1, stable=True).indices
        return order.gather(1, rank.clamp(max=length - 1)), slots < n_keys


def masked_mean_of_heads(x: Tensor, valid: Tensor | None) -> Tensor:
    """Average over the valid steps.

    Parameters
    ----------
    x : Tensor, shape (B, H, L, D)
        Keys or values of each head.
    valid : Tensor, shape (B, L), bool, or None
        Valid steps.

    Returns
    -------
    Tensor, shape (B, H, 1, D)
        Means; zero without valid steps.
    """
    if valid is None:
        # this order divides the gradient before it is expanded over the steps; autocast on a GPU
        # computes the sum of half-precision values in float32
        return (x.sum(dim=2, keepdim=True) / x.shape[2]).to(x.dtype)
    weight = valid.to(x.dtype) / valid.sum(1, keepdim=True).clamp(min=1)
    return weight[:, None, None].expand(*x.shape[:2], -1, -1) @ x
