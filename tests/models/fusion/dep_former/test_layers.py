"""Layers of the encoders: circular convolution, positions and max-pooling."""

import pytest
import torch
from torch import nn

from depmm.models.fusion.dep_former.layers import (
    CircularConvolution,
    StepEmbedding,
    Steps,
    last_steps,
    max_pool,
    sinusoidal_positions,
)


def test_circular_convolution_equals_pytorch():
    torch.manual_seed(0)
    ours = CircularConvolution(3, 5)
    reference = nn.Conv1d(3, 5, 3, padding=1, padding_mode="circular")
    kernel = ours.kernel.weight.reshape(5, 3, 3).transpose(1, 2)  # (out, tap, in) -> (out, in, tap)
    reference.weight.data, reference.bias.data = kernel, ours.kernel.bias.data
    x = torch.randn(2, 9, 3)
    mask = torch.arange(9) < torch.tensor([[9], [6]])
    out = ours(Steps(x, mask, torch.tensor([9, 6])))
    torch.testing.assert_close(out[0], reference(x[:1].transpose(1, 2))[0].T)
    torch.testing.assert_close(out[1, :6], reference(x[1:, :6].transpose(1, 2))[0].T)
    unmasked = ours(Steps(x, None, None))
    torch.testing.assert_close(unmasked, reference(x.transpose(1, 2)).transpose(1, 2))


def test_initial_weights_of_the_embedding_are_those_of_the_release():
    torch.manual_seed(0)
    weight = StepEmbedding(50, 400, 0.0).convolution.kernel.weight
    assert weight.std().item() == pytest.approx((2 / 150) ** 0.5, rel=0.02)  # fan-in 3 x 50
    assert weight.abs().max() > 3 * weight.std()  # normal, not uniform


def test_positions_by_hand():
    table = sinusoidal_positions(2, 4, torch.zeros(()))
    expected = torch.tensor([[0.0, 1, 0, 1], [0.84147, 0.54030, 0.0099998, 0.99995]])
    torch.testing.assert_close(table, expected, atol=1e-5, rtol=0)


def test_max_pool_by_hand():
    x = torch.tensor([[-5.0, -1, -2, -4, -3, -6, 9]]).unsqueeze(-1)
    assert max_pool(Steps(x, None, None)).x.flatten().tolist() == [-1, -1, -3, 9]
    mask = torch.tensor([[True, False, False, False, True, True, False]])
    # the session has 6 positions, so that the fourth window is beyond its end
    pooled = max_pool(Steps(x, mask, torch.tensor([6])))
    assert pooled.x.flatten().tolist() == [-5, 0, -3, 0]
    assert pooled.mask.tolist() == [[True, False, True, False]]
    assert pooled.lengths.tolist() == [3]
    # all sessions have 7 positions
    pooled = max_pool(Steps(x, mask, None))
    assert pooled.x.flatten().tolist() == [-5, 0, -3, -6]
    assert pooled.mask.tolist() == [[True, False, True, True]]


def test_last_steps_are_rounded_up():
    steps = Steps(torch.arange(7.0).reshape(1, 7, 1), torch.ones(1, 7, dtype=torch.bool), None)
    for divisor, first in ((1, 0), (2, 3), (4, 5)):
        kept = last_steps(steps, divisor)
        assert kept.x.flatten().tolist() == list(range(first, 7))
        assert kept.mask.shape == (1, 7 - first)
