"""Lengths on the host, and copies to the device of the indices that are computed from them.

Which steps, frames and windows exist is known when a batch is collated. Masks and indices are
therefore computed with numpy and copied to the device of the signals. A forward pass that read them
back from a GPU would have to wait until the GPU has finished all previous work.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Lengths = NDArray[np.int64]


def host_lengths(lengths: ArrayLike) -> Lengths:
    """Return lengths as an array on the host.

    Parameters
    ----------
    lengths : array_like of int
        Valid samples, frames, rows or steps. A tensor on a GPU is copied to the host, for which
        the host waits.

    Returns
    -------
    ndarray of int64
        The same numbers.
    """
    values = lengths.detach().cpu().numpy() if isinstance(lengths, Tensor) else lengths
    return np.asarray(values, dtype=np.int64)


def to_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to a device without waiting for the device.

    Parameters
    ----------
    values : ndarray
        Lengths, indices or a mask.
    device : device
        Device of the result.

    Returns
    -------
    Tensor
        A copy of the values.
    """
    tensor = torch.tensor(values, device="cpu")
    if device.type == "cuda":
        tensor = tensor.pin_memory()  # only a copy from pinned memory is asynchronous
    return tensor.to(device, non_blocking=True)


def host_mask(lengths: ArrayLike, size: int) -> NDArray[np.bool_]:
    """Mark the first ``lengths`` positions, on the host.

    Parameters
    ----------
    lengths : array_like of int, shape (...)
        Valid positions.
    size : int
        Padded length.

    Returns
    -------
    ndarray of bool, shape (..., size)
        True at valid positions.
    """
    mask: NDArray[np.bool_] = np.arange(size) < host_lengths(lengths)[..., None]
    return mask


def gather_valid(x: Tensor, mask: NDArray[np.bool_]) -> Tensor:
    """Select the valid positions of padded rows.

    Parameters
    ----------
    x : Tensor, shape (B, L, ...)
        Padded rows.
    mask : ndarray of bool, shape (B, L)
        Valid positions, `M` in all.

    Returns
    -------
    Tensor, shape (M, ...)
        Valid positions, row by row; a view of ``x`` if possible where all positions are valid.
    """
    if mask.all():
        return x.flatten(0, 1)
    if x.is_contiguous():  # copies whole rows
        return x.flatten(0, 1).index_select(0, to_device(np.flatnonzero(mask), x.device))
    row, position = np.nonzero(mask)
    return x[to_device(row, x.device), to_device(position, x.device)]


def scatter_valid(values: Tensor, mask: NDArray[np.bool_]) -> Tensor:
    """Put values to the valid positions of padded rows; the inverse of ``gather_valid``.

    Parameters
    ----------
    values : Tensor, shape (M, ...)
        Values of the valid positions, row by row.
    mask : ndarray of bool, shape (B, L)
        Valid positions, `M` in all.

    Returns
    -------
    Tensor, shape (B, L, ...)
        Zero at invalid positions.
    """
    if mask.all():
        return values.view(*mask.shape, *values.shape[1:])
    index = to_device(np.flatnonzero(mask), values.device)
    padded = values.new_zeros(mask.size, *values.shape[1:])
    return padded.index_copy(0, index, values).view(*mask.shape, *values.shape[1:])
