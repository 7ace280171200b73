"""Means and standard deviations over valid positions, without padding and missing steps."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from depmm.models.host import Lengths, host_lengths, to_device


def masked_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """Average over the valid positions; the mean of a row without any is zero.

    Parameters
    ----------
    x : Tensor, shape (B, L, D)
        Values; those at invalid positions may be infinite or NaN.
    mask : Tensor, shape (B, L), bool, or None
        Valid positions; None if all are.

    Returns
    -------
    Tensor, shape (B, D)
        Mean of each row.
    """
    if mask is None:
        return x.mean(dim=1)
    weight = mask.unsqueeze(-1).to(x.dtype)
    # where instead of a product: infinity or NaN times zero is NaN
    total = torch.where(mask.unsqueeze(-1), x, x.new_zeros(())).sum(dim=1)
    return total / weight.sum(dim=1).clamp(min=1)


def masked_mean_and_std(x: Tensor, mask: Tensor | None) -> Tensor:
    """Concatenate mean and standard deviation over the valid positions.

    The standard deviation over one valid position is zero, and its gradient is finite.

    Parameters
    ----------
    x : Tensor, shape (B, L, D)
        Values.
    mask : Tensor, shape (B, L), bool, or None
        Valid positions; None if all are.

    Returns
    -------
    Tensor, shape (B, 2 D)
        Means, then standard deviations.
    """
    mean = masked_mean(x, mask)
    variance = masked_mean((x - mean.unsqueeze(1)).square(), mask)
    return torch.cat([mean, (variance + 1e-6).sqrt() - 1e-3], dim=-1)


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Mark the first ``lengths`` positions.

    Parameters
    ----------
    lengths : Tensor, shape (...), int
        Valid positions.
    size : int
        Padded length.

    Returns
    -------
    Tensor, shape (..., size), bool
        True at valid positions.
    """
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(-1)


def padding_mask(lengths: Lengths, size: int, device: torch.device) -> Tensor | None:
    """Mark the first ``lengths`` positions, which are known on the host.

    Parameters
    ----------
    lengths : ndarray of int, shape (N,)
        Valid positions.
    size : int
        Padded length.
    device : device
        Device of the mask.

    Returns
    -------
    Tensor, shape (N, size), bool, or None
        True at valid positions; None if all are valid, so that no mask is applied.
    """
    return None if (lengths == size).all() else length_mask(to_device(lengths, device), size)


def is_complete(lengths: Sequence[Any]) -> bool:
    """Check whether every session of a batch has every step in every modality.

    Parameters
    ----------
    lengths : sequence of array_like, shape (B, L)
        Valid samples, crops or rows of each step, for each modality.

    Returns
    -------
    bool
        True if no length is zero.
    """
    return all(bool((host_lengths(length) > 0).all()) for length in lengths)
