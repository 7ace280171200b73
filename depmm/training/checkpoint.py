"""Where an interrupted training stands: safetensors and JSON, nothing pickled.

Written by the main process for all: what a process draws in an epoch follows from (seed, epoch,
process), so no random state is kept.
"""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


def trainable_state(model: nn.Module, frozen: Collection[str]) -> dict[str, Tensor]:
    """State of a model without the parameters that never learn (a large backbone, say)."""
    return {
        name: value.contiguous() for name, value in model.state_dict().items() if name not in frozen
    }


def load_trainable_state(
    model: nn.Module, tensors: dict[str, Tensor], frozen: Collection[str]
) -> None:
    """Load what ``trainable_state`` gave.

    Raises
    ------
    RuntimeError : the tensors are not of this model
    """
    model.load_state_dict({**{name: model.state_dict()[name] for name in frozen}, **tensors})


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
    frozen: Collection[str] = (),
) -> None:
    """Write weights, optimizer state and progress; whole or not at all.

    Parameters
    ----------
    path : file to write
    model, optimizer : the optimizer's state is kept by parameter name
    progress : JSON values
    frozen : parameters that never learn and are not written
    """
    tensors: dict[str, Tensor] = {
        f"model.{name}": value for name, value in trainable_state(model, frozen).items()
    }
    numbers: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{name}.{key}"] = value
            else:
                numbers[f"optimizer.{name}.{key}"] = value
    metadata = {"progress": json.dumps(progress), "numbers": json.dumps(numbers)}
    part = path.with_suffix(".part")
    save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, part, metadata)
    os.replace(part, path)


def load_model(path: Path, model: nn.Module, frozen: Collection[str] = ()) -> dict[str, Any]:
    """Put the weights back and return the progress.

    Raises
    ------
    RuntimeError : the weights are not of this model
    """
    tensors, metadata = _read(path, "model.")
    load_trainable_state(model, tensors, frozen)
    return json.loads(metadata["progress"])


def load_optimizer(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put the optimizer's state back; ``model`` names its parameters.

    The optimizer itself decides what lies where: the count of steps of a fused one on its device.
    """
    tensors, metadata = _read(path, "optimizer.")
    numbers = json.loads(metadata["numbers"])
    values: dict[str, Any] = {
        **tensors, **{name.removeprefix("optimizer."): value for name, value in numbers.items()}
    }  # fmt: skip
    state_of: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        parameter_name, _, key = name.rpartition(".")
        state_of.setdefault(parameter_name, {})[key] = value
    names = {parameter: name for name, parameter in model.named_parameters()}
    learned = (parameter for group in optimizer.param_groups for parameter in group["params"])
    state = {
        number: state_of[names[parameter]]
        for number, parameter in enumerate(learned)
        if names[parameter] in state_of
    }
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def _read(path: Path, prefix: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors under a prefix, without it, and the metadata."""
    with safe_open(str(path), framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        tensors = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
        return tensors, file.metadata()
