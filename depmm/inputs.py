"""Inputs of one modality, as a batch holds them and a model reads them."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Inputs:
    """Padded steps of one modality of a batch of sessions.

    Attributes
    ----------
    values : Tensor, shape (B, L, T, ...) or (B, L, K)
        Signal of each step, padded with zeros: waveforms (B, L, T) in [-1, 1] at 16 kHz, RGB crops
        (B, L, T, 3, height, width) uint8, rows of a stream (B, L, T, F) with NaN where invalid, or
        UTF-8 bytes of the text (B, L, T) uint8, which stay on the CPU. If ``embedded``, the output
        of ``PrecomputableEncoder.precompute``, (B, L, K); rows of missing steps are ignored.
    lengths : ndarray of int64, shape (B, L)
        Valid samples, crops, rows or bytes of each step, on the host; 0 if the step does not have
        this modality. Masks and indices are computed from it on the host, so that the model never
        waits for the device. Any array_like of int on the host is converted.
    embedded : bool, default False
        Whether ``values`` are precomputed embeddings instead of the signal.
    on_host : bool, default False
        Whether ``values`` stay on the CPU, because the encoder reads them there, as it does text.
    """

    values: Tensor
    lengths: NDArray[np.int64]
    embedded: bool = False
    on_host: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", np.asarray(self.lengths, dtype=np.int64))

    def to(self, device: torch.device) -> "Inputs":
        """Copy the values to a device, asynchronously if they are pinned, unless ``on_host``.

        Parameters
        ----------
        device : device
            Device of the result.

        Returns
        -------
        Inputs
            The same inputs with their values on the device.
        """
        if self.on_host:
            return self
        return replace(self, values=self.values.to(device, non_blocking=True))

    def pin_memory(self) -> "Inputs":
        """Copy the values to pinned memory; ``DataLoader`` calls this.

        Returns
        -------
        Inputs
            The same inputs with pinned values.
        """
        return self if self.on_host else replace(self, values=self.values.pin_memory())
