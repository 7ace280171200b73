"""Detect on a CPU errors that only occur on a GPU."""

from typing import Any

import torch
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
