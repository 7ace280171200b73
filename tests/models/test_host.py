"""Lengths on the host, and gathering and scattering by indices that are computed from them."""

import numpy as np
import pytest
import torch

from depmm.models.host import gather_valid, host_lengths, host_mask, scatter_valid, to_device


@pytest.mark.parametrize("lengths", [[2, 0, 3], torch.tensor([2, 0, 3]), np.array([2, 0, 3], "i2")])
def test_lengths_are_int64_on_the_host(lengths):
    values = host_lengths(lengths)
    assert isinstance(values, np.ndarray)
    assert values.dtype == np.int64
    assert values.tolist() == [2, 0, 3]
    assert host_mask(lengths, 3).tolist() == [[True, True, False], [False] * 3, [True] * 3]


def test_a_copy_to_the_device_keeps_values_and_type():
    values = np.broadcast_to(np.array([True, False]), (2, 2))  # not writable
    copied = to_device(values, torch.device("cpu"))
    assert copied.dtype == torch.bool
    assert copied.tolist() == values.tolist()


@pytest.mark.parametrize("mask", [[[1, 0, 1], [0, 1, 0]], [[1, 1, 1], [1, 1, 1]], [[0] * 3] * 2])
def test_valid_positions_are_gathered_and_scattered_back(mask):
    valid = np.array(mask, bool)
    x = torch.arange(2 * 3 * 4.0).view(2, 3, 4).requires_grad_()
    gathered = gather_valid(x, valid)
    assert torch.equal(gathered, x[torch.from_numpy(valid)])
    transposed = x.detach().transpose(0, 1)  # not contiguous
    expected = transposed[torch.from_numpy(valid.T)]
    assert torch.equal(gather_valid(transposed, valid.T), expected)
    padded = scatter_valid(gathered, valid)
    inside = torch.from_numpy(valid).unsqueeze(-1)
    assert torch.equal(padded, x * inside)
    padded.sum().backward()
    assert torch.equal(x.grad, inside.float().expand_as(x))


def test_the_copy_to_a_gpu_is_asynchronous(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: calls.append("pinned") or x)
    monkeypatch.setattr(torch.Tensor, "to", lambda x, *args, **kwargs: calls.append((args, kwargs)))
    to_device(np.arange(3), torch.device("cuda"))
    assert calls == ["pinned", ((torch.device("cuda"),), {"non_blocking": True})]
