"""ProbSparse attention against dense attention."""

import pytest
import torch
from einops import rearrange
from torch.nn.functional import scaled_dot_product_attention

from depmm.models.fusion.dep_former.query_selection import QuerySelection
from depmm.models.fusion.dep_former.sparse_attention import (
    SparseAttention,
    attend_selected,
    score_all_keys,
)


@pytest.mark.parametrize("length", [10, 300])
def test_sparse_attention_with_all_queries_is_full_attention(length):
    torch.manual_seed(0)
    layer = SparseAttention(16, n_heads=2, head_dim=8, sampling_factor=length).eval()
    x = torch.randn(2, length, 16)
    mask = torch.arange(length) < torch.tensor([[length], [length - 4]])
    out, selected = layer(x, mask)
    assert (selected == mask[:, None]).all()
    q, k, v = layer.queries_keys_values(x)
    full = scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
    expected = layer.out(full.transpose(1, 2).flatten(2))
    torch.testing.assert_close(out[mask], expected[mask], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("max_selected", [3, 20])
def test_gathered_and_dense_attention_agree(max_selected):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 2, 20, 4, requires_grad=True) for _ in range(3))
    mask = torch.ones(2, 20, dtype=torch.bool)
    mask[0, 15:] = False
    weight = torch.zeros(2, 2, 20)
    weight[..., 2], weight[..., 11] = 1.0, 0.25
    weight.requires_grad_()
    out = attend_selected(q, k, v, weight, mask, max_selected)
    unmasked = attend_selected(q[1:], k[1:], v[1:], weight[1:], None, max_selected)
    torch.testing.assert_close(unmasked, out[1:])
    for b in range(2):
        n = int(mask[b].sum())
        for h in range(2):
            full = torch.softmax(q[b, h] @ k[b, h, :n].T / 2, -1) @ v[b, h, :n]
            mean = v[b, h, :n].mean(0)
            torch.testing.assert_close(out[b, h, 2], full[2])
            torch.testing.assert_close(out[b, h, 11], 0.25 * full[11] + 0.75 * mean)
            torch.testing.assert_close(out[b, h, 0], mean)
    out.sum().backward()
    assert weight.grad is not None
    assert weight.grad[..., 11].abs().sum() > 0


def test_projections_equal_those_of_rearranged_parts():
    """Bit-equal with their gradients to the parts of the projection, rearranged one by one."""
    torch.manual_seed(0)
    layer = SparseAttention(16, n_heads=2, head_dim=8, sampling_factor=5)
    x = torch.randn(3, 7, 16, requires_grad=True)
    parts = [
        rearrange(part, "b l (h d) -> b h l d", h=2) for part in layer.project(x).chunk(3, dim=-1)
    ]
    results = []
    for q, k, v in (layer.queries_keys_values(x), parts):
        out = layer.join_heads(scaled_dot_product_attention(q, k, v))
        results.append(
            [q, k, v, out, *torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])]
        )
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    out = rearrange(scaled_dot_product_attention(*parts), "b h l d -> b l (h d)")
    assert torch.equal(layer.out(out), results[0][3])


@pytest.mark.parametrize("missing", [False, True])
def test_selected_queries_attend_as_with_weights_of_one(missing):
    """Equal scores give the mean of the values, with the same gradients."""
    torch.manual_seed(0)
    qkv = [torch.randn(3, 2, 24, 8, requires_grad=True) for _ in range(3)]
    mask = torch.rand(3, 24) < 0.8 if missing else None
    scores = score_all_keys(qkv[0], qkv[1], mask, 20)
    selected = QuerySelection(5)(qkv[0], qkv[1], mask, scores)
    results = []
    for weight in (selected, selected.float()):
        out = attend_selected(*qkv, weight, mask, 20, scores)
        gradients = torch.autograd.grad(out.square().sum(), qkv, retain_graph=True)
        results.append([out, *gradients])
    for x, y in zip(*results, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=2e-6)
