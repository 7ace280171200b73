"""Optimizer and learning rate: AdamW with weight decay by name, warm-up, then cosine."""

import math

import torch
from torch import nn

NOT_DECAYED = ("bias", "norm", "gate_logit")  # part of a parameter's name


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Split the trainable parameters by name into decayed and not.

    Biases, normalisation, gates and everything one-dimensional is not decayed (DEP-Former release).
    """
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            skip = parameter.ndim < 2 or any(part in name for part in NOT_DECAYED)
            (free if skip else decayed).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]


def build_optimizer(
    model: nn.Module, learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over ``parameter_groups``."""
    return torch.optim.AdamW(parameter_groups(model, weight_decay), lr=learning_rate)


def warmup_cosine(step: int, warmup_steps: int, total_steps: int) -> float:
    """Factor on the learning rate: linear up to 1, then a cosine down to 0.

    Parameters
    ----------
    step : optimizer steps taken so far
    warmup_steps, total_steps : of the run
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = value
