"""Detect on a CPU errors that only occur on a GPU."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from accelerate import Accelerator
from torch import nn
from torch.overrides import TorchFunctionMode

# "CUDA Ops that can autocast to float32" in the documentation of torch.amp
IN_FLOAT32 = {
    *("acos", "asin", "binary_cross_entropy_with_logits", "cdist", "cosh", "cosine_similarity"),
    *("cross_entropy", "cumprod", "cumsum", "dist", "erfinv", "exp", "expm1", "group_norm"),
    *("huber_loss", "kl_div", "l1_loss", "layer_norm", "log", "log10", "log1p", "log2"),
    *("log_softmax", "logsumexp", "mse_loss", "nll_loss", "norm", "pow", "__pow__", "__rpow__"),
    *("prod", "reciprocal", "renorm", "rsqrt", "sinh", "smooth_l1_loss", "softmax", "softplus"),
    *("sum", "tan"),
}
TENSOR_FACTORIES = {
    getattr(torch, name)
    for name in (
        *("arange", "as_tensor", "empty", "eye", "from_numpy", "full", "hamming_window"),
        *("hann_window", "linspace", "multinomial", "normal", "ones", "rand", "randint", "randn"),
        *("randperm", "tensor", "zeros"),
    )
}


class CudaAutocast(TorchFunctionMode):
    """Run operations in float32 as the autocast of CUDA does, in contrast to that of the CPU.

    It is used within ``torch.autocast("cpu")``. A model whose types match under the autocast of the
    CPU can fail under that of CUDA, for example after a sum.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        """Call the function, in float32 if it is one of ``IN_FLOAT32``."""
        if function.__name__ in IN_FLOAT32 and torch.is_autocast_enabled("cpu"):
            args = tuple(
                x.float() if isinstance(x, torch.Tensor) and x.dtype == torch.bfloat16 else x
                for x in args
            )
        return function(*args, **(kwargs or {}))


class OneDevice(TorchFunctionMode):
    """Reject tensors that are created without a device, which would be on the CPU."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        """Call the function, unless it creates a tensor on the default device."""
        kwargs = kwargs or {}
        if function in TENSOR_FACTORIES and kwargs.get("device") is None:
            raise AssertionError(f"torch.{function.__name__} without a device")
        return function(*args, **kwargs)


def imitate_fp16(accelerator: Accelerator, **scaling: Any) -> Any:
    """Scale the loss of an accelerator on the CPU as with fp16 on a GPU, but compute in float32.

    Parameters
    ----------
    accelerator : Accelerator
        An accelerator in full precision.
    **scaling : object
        Arguments of the new ``GradScaler`` of each phase.

    Returns
    -------
    context manager
        Replaces the scaler of a CUDA device, which is disabled on a CPU.
    """

    def build_scaler(*arguments: Any, **settings: Any) -> torch.amp.GradScaler:
        return torch.amp.GradScaler("cpu", **scaling)

    accelerator.scaler = build_scaler()
    accelerator.unscale_gradients = lambda optimizer: accelerator.scaler.unscale_(
        optimizer.optimizer
    )
    return mock.patch("depmm.training.phase.get_grad_scaler", build_scaler)


GPU = torch.device("meta")  # its tensors have no values


@contextmanager
def imitated_gpu(*modules: nn.Module) -> Iterator[list[tuple[int, ...]]]:
    """Use the device ``meta`` in place of a GPU.

    A computation with tensors on two devices raises an error, and so does every question about the
    values of a tensor, such as ``item()``, ``bool()`` or ``nonzero()``, for which the host would
    have to wait for a GPU. ``cpu()`` returns ones.

    Parameters
    ----------
    *modules : Module
        Modules that are moved to the device.

    Yields
    ------
    list of tuple of int
        Shapes of the tensors that were read by ``cpu()`` so far.
    """
    reads: list[tuple[int, ...]] = []
    autocast, adamw, sgd = torch.autocast, torch.optim.AdamW, torch.optim.SGD

    def read(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.device != GPU:
            return tensor
        reads.append(tuple(tensor.shape))
        return torch.ones(tensor.shape, dtype=tensor.dtype)

    with (
        mock.patch.object(torch.Tensor, "cpu", read),
        mock.patch.object(
            torch, "autocast", lambda name, **kw: autocast(name.replace("meta", "cpu"), **kw)
        ),
        # the fused optimizers support CPU and GPU only
        mock.patch.object(torch.optim, "AdamW", lambda groups, fused: adamw(groups)),
        mock.patch.object(torch.optim, "SGD", lambda groups, fused, **kw: sgd(groups, **kw)),
    ):
        for module in modules:
            module.to(GPU)
        yield reads


@contextmanager
def answering_gpu() -> Iterator[None]:
    """Let tensors without values answer questions as if they were ones.

    Explanations may wait for a GPU; with this, only errors that stop them on a GPU remain.
    """

    def on_host(name: str) -> Any:
        function = getattr(torch.Tensor, name)

        def answer(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            if tensor.device != GPU:
                return function(tensor, *args, **kwargs)
            result = function(torch.ones(tensor.shape, dtype=tensor.dtype), *args, **kwargs)
            if isinstance(result, tuple):
                return tuple(part.to(GPU) for part in result)
            return result.to(GPU) if isinstance(result, torch.Tensor) else result

        return mock.patch.object(torch.Tensor, name, answer)

    names = ("item", "tolist", "nonzero", "__bool__", "__int__", "__float__", "__index__")
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(on_host(name))
        yield
