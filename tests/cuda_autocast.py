"""CUDA's autocast to half precision, imitated on a CPU.

It computes some operations in float32 that the CPU's autocast leaves in half precision (a sum, for
one): a model whose types fit together here may be refused there.
"""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# "CUDA Ops that can autocast to float32", PyTorch's documentation of torch.amp
IN_FLOAT32 = {
    *("acos", "asin", "binary_cross_entropy_with_logits", "cdist", "cosh", "cosine_similarity"),
    *("cross_entropy", "cumprod", "cumsum", "dist", "erfinv", "exp", "expm1", "group_norm"),
    *("huber_loss", "kl_div", "l1_loss", "layer_norm", "log", "log10", "log1p", "log2"),
    *("log_softmax", "logsumexp", "mse_loss", "nll_loss", "norm", "pow", "__pow__", "__rpow__"),
    *("prod", "reciprocal", "renorm", "rsqrt", "sinh", "smooth_l1_loss", "softmax", "softplus"),
    *("sum", "tan"),
}


class CudaAutocast(TorchFunctionMode):
    """Within ``torch.autocast("cpu")``: float32 where CUDA's autocast has it."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        """Call the function, on float32 if it is one of those."""
        if function.__name__ in IN_FLOAT32 and torch.is_autocast_enabled("cpu"):
            args = tuple(
                x.float() if isinstance(x, torch.Tensor) and x.dtype == torch.bfloat16 else x
                for x in args
            )
        return function(*args, **(kwargs or {}))
