"""Bilinear resizing of padded signals of different lengths."""

import torch
from torch import Tensor

from depmm.models.masking import length_mask


def bilinear_weights(n_valid: Tensor, size: int, out_size: int) -> Tensor:
    """Compute the weights of bilinear resizing of the first ``n_valid`` positions.

    As in ``torch.nn.functional.interpolate`` with ``antialias=True``, the triangle is widened when
    the size is reduced, so that every position contributes.

    Parameters
    ----------
    n_valid : Tensor, shape (B,)
        Positions to resize, at least 1.
    size : int
        Padded length.
    out_size : int
        Length after resizing.

    Returns
    -------
    Tensor, shape (B, size, out_size)
        Zero at padding; the weights of each output add up to 1.
    """
    step = (n_valid / out_size).reshape(-1, 1, 1)
    position = torch.arange(size, device=n_valid.device).reshape(1, -1, 1) + 0.5
    centre = (torch.arange(out_size, device=n_valid.device).reshape(1, 1, -1) + 0.5) * step
    weight = (1 - (position - centre).abs() / step.clamp(min=1)).clamp(min=0)
    weight = weight.masked_fill(~length_mask(n_valid, size).unsqueeze(-1), 0.0)
    return weight / weight.sum(dim=1, keepdim=True)
