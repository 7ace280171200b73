"""Comparison of the weights of two trainings up to rounding."""

import torch
from torch import Tensor


def assert_same_weights(one: dict[str, Tensor], two: dict[str, Tensor], atol: float = 2e-4) -> None:
    """Compare up to rounding, because the alignment of a batch in memory can change the kernels.

    The default tolerance is a fiftieth of one step of the tiny experiment. Kernels of another
    processor change its weights by up to 2e-5; other random draws or a lost state of the optimizer
    by more than 1e-3.
    """
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(
            _learned(name, two[name]), _learned(name, value), rtol=0, atol=atol,
            msg=lambda text, name=name: f"{name}: {text}",
        )  # fmt: skip


def _learned(name: str, value: Tensor) -> Tensor:
    """Remove the bias of keys, which softmax cancels, so that Adam follows rounding errors."""
    if name.endswith("cross.key.bias"):
        return value[:0]
    if name.endswith("attention.project.bias"):
        query, _, content = value.chunk(3)
        return torch.cat([query, content])
    return value
