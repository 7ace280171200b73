"""Where an interrupted training stands: safetensors and JSON, nothing pickled.

Written by the main process for all: what a process draws in an epoch follows from (seed, epoch,
process), so no random state is kept.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]
) -> None:
    """Write weights, optimizer state and progress; whole or not at all.

    Parameters
    ----------
    path : file to write
    model, optimizer : the optimizer's state is kept by parameter name
    progress : JSON values
    """
    tensors: dict[str, Tensor] = {
        f"model.{name}": value for name, value in model.state_dict().items()
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


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Put everything back and return the progress.

    Raises
    ------
    RuntimeError : the weights are not of this model
    """
    with safe_open(str(path), framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    model.load_state_dict(
        {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    )
    values: dict[str, Any] = {**tensors, **json.loads(metadata["numbers"])}
    for name, parameter in model.named_parameters():
        prefix = f"optimizer.{name}."
        state = {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}
        if state:
            optimizer.state[parameter] = {
                key: value.to(parameter.device)
                if isinstance(value, Tensor) and value.ndim > 0
                else value
                for key, value in state.items()
            }
    return json.loads(metadata["progress"])
