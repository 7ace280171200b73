"""Sparse attention encoder: token counts and the use of the shared query selection."""

import pytest
import torch

from depmm.models.fusion.dep_former.layers import Steps
from depmm.models.fusion.dep_former.sparse_encoder import SparseEncoder, count_tokens


def encoder(layers: list[int], sharing: str = "none") -> SparseEncoder:
    torch.manual_seed(0)
    return SparseEncoder(6, 16, 2, 8, 16, layers, 1, 0.0, sharing).eval()


def test_blocks_of_the_figure_have_72_36_and_18_tokens():
    model = encoder([3, 3, 3])
    tokens = model(Steps(torch.randn(2, 72, 6), None, None))
    assert tokens.steps.x.shape == (2, 18, 16)
    assert [index.x.shape[1] for index in tokens.indices] == [72] * 3 + [36] * 3 + [18] * 3
    mask = torch.arange(72) < torch.tensor([[72], [9]])
    short = model(Steps(torch.randn(2, 72, 6), mask, torch.tensor([72, 9]))).steps
    assert short.mask.sum(1).tolist() == [18, 3]  # 9 -> 5 -> 3


@pytest.mark.parametrize("layers", [[3, 3, 3], [1], [2, 2]])
@pytest.mark.parametrize("length", [1, 2, 5, 12, 24, 71])
def test_count_of_tokens_is_that_of_the_encoder(length, layers):
    tokens = encoder(layers)(Steps(torch.randn(1, length, 6), None, None))
    assert tokens.steps.x.shape[1] == count_tokens(length, layers)


@torch.no_grad()
def test_sharing_unit_reads_the_last_index_of_the_other_encoder():
    x = Steps(torch.randn(2, 20, 6), None, None)
    indices = encoder([2, 2])(x).indices
    model = encoder([2, 2], "after_encoders")
    plain = encoder([2, 2])
    plain.load_state_dict(
        {n: v for n, v in model.state_dict().items() if "sharing" not in n}, strict=True
    )
    before, after = plain(x), model(x, indices)
    changed, _ = model.sharing_unit(before.steps, indices[-1])
    expected = before.steps.x + model.sharing_norm(changed.x)
    torch.testing.assert_close(after.steps.x, expected)
    earlier = [index._replace(selected=~index.selected) for index in indices[:-1]]
    torch.testing.assert_close(model(x, [*earlier, indices[-1]]).steps.x, expected)
    last = indices[-1]._replace(selected=~indices[-1].selected)
    assert (model(x, [*indices[:-1], last]).steps.x - expected).abs().max() > 1e-3


@torch.no_grad()
def test_every_layer_reads_the_index_of_its_counterpart():
    x = Steps(torch.randn(2, 20, 6), None, None)
    indices = encoder([2, 2])(x).indices
    model = encoder([2, 2], "every_layer")
    out = model(x, indices).steps.x
    for layer in range(4):
        other = [*indices]
        other[layer] = other[layer]._replace(selected=~other[layer].selected)
        assert (model(x, other).steps.x - out).abs().max() > 1e-4
