"""Checkpoints of a training: damage, renamed tensors, and the state of the optimizer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bit_flips import flip_bits
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from depmm.files.damage import DamagedFileError
from depmm.models.errors import WeightsError
from depmm.training.checkpoint import load_model, load_optimizer, save_checkpoint

PROGRESS: dict[str, Any] = {
    "epoch": 3,
    "best_epoch": 1,
    "history": [],
    "rates": [0.01],
    "frozen_sha256": "0",
}


def make_trained() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    return model, optimizer


@pytest.fixture
def path(tmp_path) -> Path:
    model, optimizer = make_trained()
    save_checkpoint(tmp_path / "last.safetensors", model, optimizer, PROGRESS)
    return tmp_path / "last.safetensors"


def read(path: Path) -> dict[str, Any]:
    model, optimizer = make_trained()
    progress = load_model(path, model)
    load_optimizer(path, model, optimizer)
    return progress


def test_a_checkpoint_is_read_back(path):
    assert read(path) == PROGRESS


def test_every_flipped_bit_is_refused(path):
    for _ in flip_bits(path, 100):
        with pytest.raises(DamagedFileError) as info:
            read(path)
        assert info.value.file == path
        assert "checkpoints" in info.value.remedy
    assert read(path) == PROGRESS


def rename_weight(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    tensors["model.0.weighs"] = tensors.pop("model.0.weight")


def rename_weight_everywhere(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    rename_weight(tensors, metadata)
    metadata["tensors"] = json.dumps(sorted(tensors))


def rename_state_everywhere(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    tensors["optimizer.0.weighs.exp_avg"] = tensors.pop("optimizer.0.weight.exp_avg")
    metadata["tensors"] = json.dumps(sorted(tensors))


def drop_state(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    del tensors["optimizer.1.bias.exp_avg"]


def reshape(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    tensors["model.0.bias"] = torch.zeros(3)


def change_type(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    tensors["model.0.bias"] = tensors["model.0.bias"].half()


def make_infinite(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    tensors["model.1.running_var"] = torch.full((2,), torch.inf)


def no_progress(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    del metadata["progress"]


def odd_progress(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    metadata["progress"] = json.dumps({**PROGRESS, "epoch": "3"})


def progress_is_a_list(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    metadata["progress"] = "[]"


def not_json(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    metadata["numbers"] = "{"


@pytest.mark.parametrize(
    "change",
    [
        rename_weight,
        rename_weight_everywhere,
        rename_state_everywhere,
        drop_state,
        reshape,
        change_type,
        make_infinite,
        no_progress,
        odd_progress,
        progress_is_a_list,
        not_json,
    ],
)
def test_a_checkpoint_with_another_content_is_refused(
    path, change: Callable[[dict[str, Tensor], dict[str, str]], None]
):
    with safe_open(str(path), framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    change(tensors, metadata)
    save_file(tensors, path, metadata)
    (path.parent / "SHA256SUMS").unlink()
    with pytest.raises(WeightsError) as info:
        read(path)
    assert info.value.file == path
    assert "checkpoints" in info.value.remedy


@pytest.mark.parametrize("content", [b"", b"no header", b"\xff" * 100])
def test_a_file_that_is_no_checkpoint_is_refused(path, content):
    path.write_bytes(content)
    (path.parent / "SHA256SUMS").unlink()
    with pytest.raises(WeightsError) as info:
        read(path)
    assert info.value.file == path


def test_the_state_of_a_fused_optimizer_is_on_the_device_of_its_parameters(tmp_path):
    model, path = nn.Linear(3, 2), tmp_path / "last.safetensors"
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    save_checkpoint(path, model, optimizer, PROGRESS)
    other_device = nn.Linear(3, 2).to("meta")  # in place of a GPU
    moved = torch.optim.AdamW(other_device.parameters())
    moved.param_groups[0]["fused"] = True
    load_optimizer(path, other_device, moved)
    state = [value for entry in moved.state.values() for value in entry.values()]
    assert len(state) == 6
    assert all(value.device.type == "meta" for value in state)
