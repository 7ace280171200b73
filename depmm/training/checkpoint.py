"""Checkpoints, from which an interrupted training is resumed, as safetensors and JSON.

The main process writes one checkpoint for all processes. Random states are not saved, because all
random numbers of an epoch are seeded by (seed, epoch, process).
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from depmm.files import replacing


def trainable_state(model: nn.Module, frozen: Collection[str]) -> dict[str, Tensor]:
    """Return the state of a model without its frozen parameters.

    Parameters
    ----------
    model : nn.Module
        The model.
    frozen : collection of str
        Names of the parameters to exclude, for example those of a large backbone.

    Returns
    -------
    dict of str to Tensor
        Parameters and buffers by name.
    """
    return {
        name: value.contiguous() for name, value in model.state_dict().items() if name not in frozen
    }


def load_trainable_state(
    model: nn.Module, tensors: dict[str, Tensor], frozen: Collection[str]
) -> None:
    """Load what ``trainable_state`` returned.

    Parameters
    ----------
    model : nn.Module
        The model; its frozen parameters are not changed.
    tensors : dict of str to Tensor
        Parameters and buffers by name.
    frozen : collection of str
        Names of the parameters that ``tensors`` does not contain.

    Raises
    ------
    RuntimeError
        If names or shapes do not match the model.
    """
    model.load_state_dict({**{name: model.state_dict()[name] for name in frozen}, **tensors})


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
    frozen: Collection[str] = (),
) -> None:
    """Write weights, state of the optimizer and progress, atomically.

    Parameters
    ----------
    path : Path
        The file.
    model : nn.Module
        The model, not wrapped.
    optimizer : Optimizer
        Optimizer; its state is written under the names of the parameters.
    progress : dict of str to object
        Values that can be written as JSON.
    frozen : collection of str, optional
        Names of the parameters that are not written.
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
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(on_cpu, temporary, metadata)


def load_model(path: Path, model: nn.Module, frozen: Collection[str] = ()) -> dict[str, Any]:
    """Load the weights of a checkpoint.

    Parameters
    ----------
    path : Path
        The file.
    model : nn.Module
        The model, not wrapped.
    frozen : collection of str, optional
        Names of the parameters that were not written.

    Returns
    -------
    dict of str to object
        The saved progress.

    Raises
    ------
    RuntimeError
        If names or shapes do not match the model.
    """
    tensors, metadata = _read(path, "model.")
    load_trainable_state(model, tensors, frozen)
    progress: dict[str, Any] = json.loads(metadata["progress"])
    return progress


def load_optimizer(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load the state of the optimizer from a checkpoint.

    ``load_state_dict`` moves the state to the right device, also the step count of fused
    optimizers.

    Parameters
    ----------
    path : Path
        The file.
    model : nn.Module
        The model, not wrapped, whose parameters the optimizer updates.
    optimizer : Optimizer
        A new optimizer.
    """
    tensors, metadata = _read(path, "optimizer.")
    numbers = json.loads(metadata["numbers"])
    values: dict[str, Any] = {
        **tensors,
        **{name.removeprefix("optimizer."): value for name, value in numbers.items()},
    }
    state_by_name: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        parameter_name, _, key = name.rpartition(".")
        state_by_name.setdefault(parameter_name, {})[key] = value
    names = {parameter: name for name, parameter in model.named_parameters()}
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    state = {
        index: state_by_name[names[parameter]]
        for index, parameter in enumerate(parameters)
        if names[parameter] in state_by_name
    }
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def _read(path: Path, prefix: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors under a prefix, without the prefix, and the metadata."""
    with safe_open(str(path), framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        tensors = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
        return tensors, file.metadata()
