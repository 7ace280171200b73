"""Optimizers with weight decay by name, and how the learning rate changes while they work."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from depmm.config import TrainingConfig

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


def build_optimizer(model: nn.Module, settings: TrainingConfig) -> torch.optim.Optimizer:
    """Build the optimizer over ``parameter_groups``; the loop sets its learning rate.

    ``adamw`` is DEP-Former's, ``sgd`` that of the attention ResNet and DepNet, ``rmsprop``
    EmoAudioNet's. SGD and RMSprop add weight decay to the gradient, AdamW takes it off the weights.
    """
    groups = parameter_groups(model, settings.weight_decay)
    match settings.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=0.0, momentum=settings.momentum, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(groups)


def schedule_factor(
    settings: TrainingConfig, step: int, warmup: int, total: int, losses: Sequence[float]
) -> float:
    """Factor on the learning rate: a linear warm-up, then the schedule.

    Parameters
    ----------
    settings : which schedule
    step : optimizer steps taken so far in this phase
    warmup, total : steps of the warm-up and of the phase
    losses : validation losses of the epochs so far in this phase, for ``plateau``
    """
    if step < warmup:
        return (step + 1) / warmup
    match settings.schedule:
        case "constant":
            return 1.0
        case "cosine":
            progress = (step - warmup) / max(1, total - warmup)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        case "inverse":  # Caffe's "inv" policy, as DepNet uses it
            return (1 + settings.inverse_gamma * step) ** -settings.inverse_power
        case "plateau":
            return plateau_factor(losses, settings.plateau_factor, settings.plateau_patience)


def plateau_factor(losses: Sequence[float], factor: float, patience: int) -> float:
    """Multiply by ``factor`` after every ``patience`` epochs in a row without a new lowest loss."""
    scale, lowest, waited = 1.0, math.inf, 0
    for loss in losses:
        if loss < lowest:
            lowest, waited = loss, 0
            continue
        waited += 1
        if waited == patience:
            scale, waited = scale * factor, 0
    return scale


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = value
