"""Sparse attention encoder: token counts, circular convolution, positions."""

import pytest
import torch

from depmm.models.fusion.dep_former.sparse_encoder import (
    CircularConvolution,
    SparseEncoder,
    Steps,
    count_tokens,
    sinusoidal_positions,
)


def test_released_layout_gives_eighteen_tokens():
    encoder = SparseEncoder(12, 16, 2, 8, 16, [3, 2, 1], 5, 0.0, sharing=False)
    x = torch.randn(2, 24, 12)
    tokens = encoder(Steps(x, torch.ones(2, 24, dtype=torch.bool), torch.tensor([24, 24])))
    assert tokens.x.shape == (2, 18, 16)
    assert [[s.selected.shape[-1] for s in stack] for stack in tokens.shared] == [
        [24, 12, 6],
        [12, 6],
        [6],
    ]
    short = encoder(Steps(x, torch.arange(24) < torch.tensor([[24], [9]]), torch.tensor([24, 9])))
    assert short.mask.sum(1).tolist() == [18, 9]  # ceil(9 / 4) tokens from each of three stacks


@pytest.mark.parametrize("stacks", [[3, 2, 1], [1], [2, 2]])
@pytest.mark.parametrize("length", [1, 2, 5, 12, 24, 71])
def test_count_of_tokens_is_that_of_the_encoder(length, stacks):
    encoder = SparseEncoder(6, 16, 2, 8, 16, stacks, 5, 0.0, sharing=False).eval()
    mask = torch.ones(1, length, dtype=torch.bool)
    tokens = encoder(Steps(torch.randn(1, length, 6), mask, torch.tensor([length])))
    assert tokens.x.shape[1] == count_tokens(length, stacks)


def test_circular_convolution_equals_pytorch():
    torch.manual_seed(0)
    ours = CircularConvolution(3, 5, bias=True)
    reference = torch.nn.Conv1d(3, 5, 3, padding=1, padding_mode="circular")
    kernel = ours.kernel.weight.reshape(5, 3, 3).transpose(1, 2)  # (out, tap, in) -> (out, in, tap)
    reference.weight.data, reference.bias.data = kernel, ours.kernel.bias.data
    x = torch.randn(2, 9, 3)
    mask = torch.arange(9) < torch.tensor([[9], [6]])
    out = ours(Steps(x, mask, torch.tensor([9, 6])))
    torch.testing.assert_close(out[0], reference(x[:1].transpose(1, 2))[0].T)
    torch.testing.assert_close(out[1, :6], reference(x[1:, :6].transpose(1, 2))[0].T)


def test_positions_by_hand():
    table = sinusoidal_positions(2, 4, torch.zeros(()))
    expected = torch.tensor([[0.0, 1, 0, 1], [0.84147, 0.54030, 0.0099998, 0.99995]])
    torch.testing.assert_close(table, expected, atol=1e-5, rtol=0)
