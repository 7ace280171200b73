"""Means and standard deviations over valid positions, without padding and missing steps."""

import torch
from torch import Tensor


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Average over the valid positions; the mean of a row without any is zero.

    Parameters
    ----------
    x : Tensor, shape (B, L, D)
        Values; those at invalid positions may be infinite or NaN.
    mask : Tensor, shape (B, L), bool
        Valid positions.

    Returns
    -------
    Tensor, shape (B, D)
        Mean of each row.
    """
    weight = mask.unsqueeze(-1).to(x.dtype)
    # where instead of a product: infinity or NaN times zero is NaN
    total = torch.where(mask.unsqueeze(-1), x, x.new_zeros(())).sum(dim=1)
    return total / weight.sum(dim=1).clamp(min=1)


def masked_mean_and_std(x: Tensor, mask: Tensor) -> Tensor:
    """Concatenate mean and standard deviation over the valid positions.

    The standard deviation over one valid position is zero, and its gradient is finite.

    Parameters
    ----------
    x : Tensor, shape (B, L, D)
        Values.
    mask : Tensor, shape (B, L), bool
        Valid positions.

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
