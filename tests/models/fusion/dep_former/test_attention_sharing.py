"""Attention sharing: the confidence mixes the results of two query selections."""

import torch

from depmm.models.fusion.dep_former.attention_sharing import (
    AttentionSharing,
    QueryConfidence,
    SharedIndex,
    SummaryConfidence,
)
from depmm.models.fusion.dep_former.query_selection import count_selected_queries
from depmm.models.fusion.dep_former.sparse_attention import SparseAttention, attend_selected


def test_confidence_mixes_both_query_selections():
    torch.manual_seed(0)
    layer = AttentionSharing(SparseAttention(16, 2, 8, 1), SummaryConfidence(16, 2)).eval()
    x, mask = torch.randn(3, 12, 16), torch.ones(3, 12, dtype=torch.bool)
    shared = SharedIndex(torch.zeros(3, 2, 12, dtype=torch.bool), torch.randn(3, 12, 16), mask)
    shared.selected[..., 5] = True
    unshared, selected = layer.attention(x, mask)
    mixtures = []
    for bias in (30.0, -30.0, 0.0):
        torch.nn.init.zeros_(layer.confidence.linear.weight)
        torch.nn.init.constant_(layer.confidence.linear.bias, bias)
        mixtures.append(layer(x, mask, shared)[0])
    torch.testing.assert_close(mixtures[0], unshared)
    q, k, v = layer.attention.queries_keys_values(x)
    attended = attend_selected(q, k, v, shared.selected.float(), mask, 1)
    torch.testing.assert_close(
        mixtures[1], layer.attention.out(attended.transpose(1, 2).flatten(2))
    )
    torch.testing.assert_close(mixtures[2], (mixtures[0] + mixtures[1]) / 2)
    assert selected.sum(-1).eq(count_selected_queries(12, 1)).all()


def test_confidence_by_hand():
    torch.manual_seed(0)
    q, x, other = torch.randn(2, 2, 3, 4), torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    shared = SharedIndex(torch.ones(2, 2, 3, dtype=torch.bool), other, None)
    of_steps = SummaryConfidence(5, n_heads=2)
    summary = torch.cat([x[0, :2].mean(0), other[0].mean(0)])
    expected = of_steps.linear.weight @ summary + of_steps.linear.bias
    torch.testing.assert_close(of_steps(q, x, mask, shared)[0], expected)
    of_queries = QueryConfidence(2 * 3 * 4)
    changed = q.clone()
    changed[0, :, 2] = torch.nan  # a missing step
    changed = of_queries(changed, x, mask, shared)
    q[0, :, 2] = 0.0
    expected = of_queries.linear.weight @ q[0].flatten() + of_queries.linear.bias
    torch.testing.assert_close(changed[0], expected)
    assert changed.shape == (2, 1)
