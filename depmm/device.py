"""Choice of the device, and precision of float32 computations on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

TRUE = ("1", "true", "yes", "y", "on", "t")  # as Accelerate reads its variables


def choose_device(device: str | None = None) -> torch.device:
    """Choose the device on which a trained model runs.

    Parameters
    ----------
    device : str, optional
        Torch device, for example ``"cuda:1"``. By default the first CUDA GPU; the CPU if there is
        none, or if the environment variable ``ACCELERATE_USE_CPU`` is true, which also keeps a
        training on the CPU.

    Returns
    -------
    torch.device
        The device.
    """
    if device is not None:
        return torch.device(device)
    use_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() in TRUE
    return torch.device("cuda" if torch.cuda.is_available() and not use_cpu else "cpu")


@contextmanager
def float32_precision(
    precision: Literal["highest", "high"], device: torch.device
) -> Iterator[None]:
    """Set the precision of float32 matrix products and convolutions on a CUDA GPU.

    Nothing changes for other devices: on a CPU, the same setting of PyTorch would permit products
    in bfloat16.

    Parameters
    ----------
    precision : {"highest", "high"}
        ``high`` permits TensorFloat-32, with 10 instead of 23 bits of mantissa; ``highest`` does
        not. PyTorch itself permits it for convolutions only.
    device : torch.device
        Device of the computations.

    Yields
    ------
    None
        The previous precision is restored afterwards.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = precision == "high"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
