"""Masked statistics by hand."""

import numpy as np
import pytest
import torch

from depmm.models.masking import is_complete, length_mask, masked_mean, masked_mean_and_std


def test_invalid_positions_are_excluded_from_the_mean():
    x = torch.tensor([[[1.0], [3.0], [float("inf")]], [[float("nan")], [5.0], [7.0]]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert masked_mean(x, mask).flatten().tolist() == [2.0, 0.0]


def test_mean_and_standard_deviation():
    x = torch.tensor([[[1.0], [3.0], [99.0]], [[4.0], [99.0], [99.0]]], requires_grad=True)
    out = masked_mean_and_std(x, torch.tensor([[True, True, False], [True, False, False]]))
    assert out.tolist()[0] == pytest.approx([2.0, 1.0], abs=2e-3)
    assert out.tolist()[1] == pytest.approx([4.0, 0.0], abs=1e-6)
    out.sum().backward()
    assert x.grad.isfinite().all()


def test_length_mask():
    mask = length_mask(torch.tensor([[0, 2], [3, 5]]), 3)
    assert mask.sum(-1).tolist() == [[0, 2], [3, 3]]
    assert mask[0, 1].tolist() == [True, True, False]


def test_a_batch_is_complete_if_no_length_is_zero():
    full, partial = np.array([[3, 1], [2, 2]]), torch.tensor([[3, 1], [0, 2]])
    assert is_complete([full, torch.ones(2, 2)])
    assert not is_complete([full, partial])
