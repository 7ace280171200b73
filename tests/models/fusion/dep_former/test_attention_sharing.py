"""Attention sharing: the confidence mixes the results of two query selections."""

import torch

from depmm.models.fusion.dep_former.attention_sharing import AttentionSharing, SharedIndex
from depmm.models.fusion.dep_former.sparse_attention import (
    attend_selected,
    count_selected_queries,
)


def test_confidence_mixes_both_query_selections():
    torch.manual_seed(0)
    layer = AttentionSharing(16, n_heads=2, head_dim=8, sampling_factor=1).eval()
    x, mask = torch.randn(3, 12, 16), torch.ones(3, 12, dtype=torch.bool)
    shared = SharedIndex(torch.zeros(3, 2, 12, dtype=torch.bool), torch.randn(3, 16))
    shared.selected[..., 5] = True
    unshared, selected = layer.attention(x, mask)
    mixtures = []
    for bias in (30.0, -30.0, 0.0):
        torch.nn.init.zeros_(layer.confidence.weight)
        torch.nn.init.constant_(layer.confidence.bias, bias)
        mixtures.append(layer(x, mask, shared)[0])
    torch.testing.assert_close(mixtures[0], unshared)
    q, k, v = layer.attention.queries_keys_values(x)
    attended = attend_selected(q, k, v, shared.selected.float(), mask, 1)
    torch.testing.assert_close(
        mixtures[1], layer.attention.out(attended.transpose(1, 2).flatten(2))
    )
    torch.testing.assert_close(mixtures[2], (mixtures[0] + mixtures[1]) / 2)
    assert selected.sum(-1).eq(count_selected_queries(12, 1)).all()
