"""Optimizers, weight decay by parameter name, and learning-rate schedules."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from depmm.config import TrainingConfig


def group_parameters(
    model: nn.Module, weight_decay: float, decay_biases: bool = False
) -> list[dict[str, object]]:
    """Split the trainable parameters into those with and those without weight decay.

    Normalisation layers and gates have one dimension. Biases of several are known by their own
    name, without the modules that contain them, which may have the name of a modality.

    Parameters
    ----------
    model : nn.Module
        The model.
    weight_decay : float
        Weight decay of the first group.
    decay_biases : bool, default False
        Whether biases, normalisation layers, gates and one-dimensional parameters belong to the
        first group, as for optimizers that know one weight decay only (SGD in Caffe and PyTorch).
        The released code of DEP-Former leaves them out.

    Returns
    -------
    list of dict
        Two parameter groups for an optimizer.
    """
    decayed: list[nn.Parameter] = []
    not_decayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_bias = parameter.ndim < 2 or "bias" in name.rpartition(".")[2]
            (not_decayed if is_bias and not decay_biases else decayed).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": not_decayed, "weight_decay": 0.0},
    ]


def build_optimizer(model: nn.Module, settings: TrainingConfig) -> torch.optim.Optimizer:
    """Build the optimizer; the training loop sets its learning rate.

    DEP-Former uses ``adamw``, the attention ResNet and DepNet ``sgd``, EmoAudioNet ``rmsprop``. SGD
    and RMSprop add the weight decay to the gradient; AdamW subtracts it from the weights. The
    momentum of SGD is PyTorch's, ``v = momentum * v + gradient``, which the learning rate then
    multiplies. Caffe puts the learning rate into ``v``, which differs only while the rate changes.

    Parameters
    ----------
    model : nn.Module
        The model.
    settings : TrainingConfig
        Optimizer, momentum and weight decay.

    Returns
    -------
    Optimizer
        With two parameter groups, with and without weight decay.

    References
    ----------
    Chollet et al., Keras, ``keras.optimizers.RMSprop``: rho .9 and epsilon 1e-7 by default, which
    EmoAudioNet uses. The defaults of PyTorch are .99 and 1e-8.
    """
    groups = group_parameters(model, settings.weight_decay, settings.decay_biases)
    if settings.adversarial is not None:
        groups = _separate_heads(model, groups, settings.adversarial.learning_rate_factor)
    match settings.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=0.0, momentum=settings.momentum, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(groups, alpha=0.9, eps=1e-7)


def _separate_heads(
    model: nn.Module, groups: list[dict[str, object]], factor: float
) -> list[dict[str, object]]:
    """Move the heads of nuisance variables to groups of their own, with a higher learning rate."""
    heads = {id(p) for n, p in model.named_parameters() if n.startswith("nuisance_heads.")}
    separated: list[dict[str, object]] = []
    for group in groups:
        parameters = cast(list[nn.Parameter], group["params"])
        own = [p for p in parameters if id(p) in heads]
        others = [p for p in parameters if id(p) not in heads]
        separated += [group | {"params": others}, group | {"params": own, "lr_factor": factor}]
    return separated


def compute_schedule_factor(
    settings: TrainingConfig, step: int, warmup: int, total: int, losses: Sequence[float]
) -> float:
    """Compute the factor on the learning rate: a linear warm-up, then the schedule.

    Parameters
    ----------
    settings : TrainingConfig
        Schedule and its parameters.
    step : int
        Number of optimizer steps of the phase so far.
    warmup : int
        Number of optimizer steps of the warm-up.
    total : int
        Number of optimizer steps of the phase.
    losses : sequence of float
        Validation losses of the epochs of the phase so far, for the schedule ``plateau``.

    Returns
    -------
    float
        The factor.
    """
    if step < warmup:
        return (step + 1) / warmup
    match settings.schedule:
        case "constant":
            return 1.0
        case "cosine":
            progress = (step - warmup) / max(1, total - warmup)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        case "inverse":  # the policy "inv" of Caffe, which DepNet uses
            return float((1 + settings.inverse_gamma * step) ** -settings.inverse_power)
        case "plateau":
            return compute_plateau_factor(
                losses, settings.plateau_factor, settings.plateau_patience
            )


def compute_plateau_factor(losses: Sequence[float], factor: float, patience: int) -> float:
    """Multiply by ``factor`` after every ``patience`` epochs without a new lowest loss.

    Parameters
    ----------
    losses : sequence of float
        Validation loss of each epoch.
    factor : float
        Factor of one reduction.
    patience : int
        Number of epochs.

    Returns
    -------
    float
        Product of all reductions so far.
    """
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
    """Set the learning rate of all parameter groups, times their ``lr_factor``.

    Parameters
    ----------
    optimizer : Optimizer
        The optimizer.
    value : float
        The learning rate.
    """
    for group in optimizer.param_groups:
        group["lr"] = value * group.get("lr_factor", 1.0)
