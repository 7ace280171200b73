"""Checkpoints, from which an interrupted training is resumed, as safetensors and JSON.

The main process writes one checkpoint for all processes. Random states are not saved, because all
random numbers of an epoch are seeded by (seed, epoch, process).
"""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from depmm.files.checksums import check, replacing
from depmm.files.damage import remedy_for
from depmm.models.errors import WeightsError
from depmm.models.saved import check_finite, check_tensors, tensor_types
from depmm.models.weights import add_tensors

PROGRESS_TYPES: dict[str, Any] = {
    "epoch": int,
    "best_epoch": int,
    "history": list,
    "rates": list,
    "frozen_sha256": str,
}


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


def hash_frozen(model: nn.Module, frozen: Collection[str]) -> str:
    """Compute the hash of the frozen parameters, which a checkpoint does not contain.

    Parameters
    ----------
    model : nn.Module
        The model, not wrapped.
    frozen : collection of str
        Names of the parameters.

    Returns
    -------
    str
        SHA-256 in hexadecimal digits.
    """
    digest, state = hashlib.sha256(), model.state_dict()
    add_tensors(digest, {name: state[name] for name in frozen})
    return digest.hexdigest()


def check_frozen(path: Path, before: str, now: str) -> None:
    """Check that the frozen parameters are those with which the training was begun.

    Parameters
    ----------
    path : Path
        File of the checkpoint, for the message.
    before, now : str
        ``hash_frozen`` of the checkpoint, and of the model that is to be trained.

    Raises
    ------
    WeightsError
        If they differ.
    """
    if before != now:
        raise WeightsError(
            f"{path}: the frozen weights have changed since the training was begun (their SHA-256 "
            f"was {before[:12]} and is {now[:12]}), so that it cannot be continued.",
            file=path,
            value=now,
            remedy="Restore the pre-trained weights (source of the encoder, training.weights or "
            "training.init_from), or delete the folder of the run to begin again.",
        )


def load_trainable_state(
    model: nn.Module, tensors: dict[str, Tensor], frozen: Collection[str], path: Path
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
    path : Path
        File of the tensors, for the message.

    Raises
    ------
    WeightsError
        If a tensor is missing, unexpected, of another shape or type, or not finite.
    """
    expected = tensor_types(trainable_state(model, frozen))
    check_tensors(path, expected, tensor_types(tensors))
    check_finite(path, tensors)
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
    metadata = {
        "progress": json.dumps(progress),
        "numbers": json.dumps(numbers),
        "tensors": json.dumps(sorted(tensors)),
    }
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
    DamagedFileError
        If the file does not match its checksum.
    WeightsError
        If it is not a checkpoint, or does not match the model.
    """
    tensors, metadata = _read(path, "model.")
    load_trainable_state(model, tensors, frozen, path)
    progress: dict[str, Any] = metadata["progress"]
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

    Raises
    ------
    DamagedFileError
        If the file does not match its checksum.
    WeightsError
        If it is not a checkpoint, or does not match the model.
    """
    tensors, metadata = _read(path, "optimizer.")
    values: dict[str, Any] = {
        **tensors,
        **{name.removeprefix("optimizer."): value for name, value in metadata["numbers"].items()},
    }
    state_by_name: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        parameter_name, _, key = name.rpartition(".")
        state_by_name.setdefault(parameter_name, {})[key] = value
    names = {parameter: name for name, parameter in model.named_parameters()}
    if unknown := sorted(set(state_by_name) - set(names.values())):
        raise WeightsError(
            f"{path}: the state of the optimizer is of a parameter {unknown[0]!r}, which the model "
            "does not have.",
            file=path,
            value=unknown[0],
            remedy=remedy_for(path),
        )
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    state = {
        index: state_by_name[names[parameter]]
        for index, parameter in enumerate(parameters)
        if names[parameter] in state_by_name
    }
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def _read(path: Path, prefix: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors under a prefix, without the prefix, and the parsed metadata."""
    check(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            stored = list(file.keys())
            metadata = {name: json.loads(text) for name, text in file.metadata().items()}
            if sorted(stored) != metadata["tensors"]:
                differing = sorted(set(stored) ^ set(metadata["tensors"]))
                raise ValueError(f"its tensors are not those that were written: {differing[:2]}")
            names = [name for name in stored if name.startswith(prefix)]
            tensors = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
            _check_types(metadata)
            return tensors, metadata
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{path}: not a checkpoint that can be used ({error!s:.300}).",
            file=path,
            remedy=remedy_for(path),
        ) from None


def _check_types(metadata: dict[str, Any]) -> None:
    """Raise a ValueError if the metadata have other types than were written."""
    progress, numbers = metadata["progress"], metadata["numbers"]
    if not (isinstance(progress, dict) and isinstance(numbers, dict)):
        raise ValueError("its metadata are not those of a checkpoint")
    for name, kind in PROGRESS_TYPES.items():
        if not isinstance(progress.get(name), kind):
            raise ValueError(f"{name} is {progress.get(name)!r:.80}")
    if wrong := [value for value in numbers.values() if not isinstance(value, int | float)]:
        raise ValueError(f"a number of the optimizer is {wrong[0]!r:.80}")
