"""Checkpoints of a training."""

import torch
from torch import nn

from depmm.training.checkpoint import load_optimizer, save_checkpoint


def test_the_state_of_a_fused_optimizer_is_on_the_device_of_its_parameters(tmp_path):
    model, path = nn.Linear(3, 2), tmp_path / "last.safetensors"
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    save_checkpoint(path, model, optimizer, {})
    other_device = nn.Linear(3, 2).to("meta")  # in place of a GPU
    moved = torch.optim.AdamW(other_device.parameters())
    moved.param_groups[0]["fused"] = True
    load_optimizer(path, other_device, moved)
    state = [value for entry in moved.state.values() for value in entry.values()]
    assert len(state) == 6
    assert all(value.device.type == "meta" for value in state)
