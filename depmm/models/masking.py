"""Masked statistics: padding and missing steps take no part in any mean or deviation."""

import torch
from torch import Tensor


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the valid positions; zero where a row has none.

    Parameters
    ----------
    x : Tensor[B, L, D]
    mask : Tensor[B, L] bool, True where valid

    Returns
    -------
    Tensor[B, D]
    """
    weight = mask.unsqueeze(-1).to(x.dtype)
    # where, not a product: a padded position may hold inf or nan
    total = torch.where(mask.unsqueeze(-1), x, x.new_zeros(())).sum(dim=1)
    return total / weight.sum(dim=1).clamp(min=1)


def masked_mean_and_deviation(x: Tensor, mask: Tensor) -> Tensor:
    """Mean and standard deviation over the valid positions, side by side.

    The deviation over one valid position is zero (and its gradient finite).

    Parameters
    ----------
    x : Tensor[B, L, D]
    mask : Tensor[B, L] bool

    Returns
    -------
    Tensor[B, 2 D]
    """
    mean = masked_mean(x, mask)
    variance = masked_mean((x - mean.unsqueeze(1)).square(), mask)
    return torch.cat([mean, (variance + 1e-6).sqrt() - 1e-3], dim=-1)


def length_mask(length: Tensor, size: int) -> Tensor:
    """True at the first ``length`` positions.

    Parameters
    ----------
    length : Tensor[...] int
    size : padded length

    Returns
    -------
    Tensor[..., size] bool
    """
    return torch.arange(size, device=length.device) < length.unsqueeze(-1)
