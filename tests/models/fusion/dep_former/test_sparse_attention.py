"""ProbSparse attention against a loop and dense attention; sample of keys."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from depmm.models.fusion.dep_former.sparse_attention import (
    EXACT_KEYS,
    QuerySelection,
    SparseAttention,
    attend_selected,
    count_selected_queries,
)


def test_selection_equals_a_brute_force_loop():
    torch.manual_seed(0)
    q, k = torch.randn(2, 3, 40, 8), torch.randn(2, 3, 40, 8)
    mask = torch.ones(2, 40, dtype=torch.bool)
    mask[1, 29:] = False
    mask[1, 4] = False
    selected = QuerySelection(sampling_factor=2)(q, k, mask)
    for b in range(2):
        valid = mask[b].nonzero().flatten().tolist()
        for h in range(3):
            sparsity = {}
            for i in valid:
                scores = [float(q[b, h, i] @ k[b, h, j]) for j in valid]
                sparsity[i] = max(scores) - sum(scores) / len(scores)
            best = sorted(sparsity, key=sparsity.__getitem__, reverse=True)
            expected = sorted(best[: count_selected_queries(len(valid), 2)])
            assert selected[b, h].nonzero().flatten().tolist() == expected


def test_counts_of_informer_and_of_the_release():
    of_informer = [count_selected_queries(n, 5) for n in (1, 2, 15, 16, 24, 36, 72)]
    assert of_informer == [1, 2, 15, 15, 20, 20, 25]
    of_release = [count_selected_queries(n, 5, "floor") for n in (1, 2, 12, 13, 24, 72)]
    assert of_release == [1, 2, 12, 12, 15, 21]


@pytest.mark.parametrize("rounding", ["ceil", "floor"])
def test_all_queries_attend_if_they_do_in_every_shorter_session(rounding):
    """With c = 6, all queries of 1 to 18 and 21 to 24 steps attend, but only 18 of 19."""
    selection = QuerySelection(6, rounding)
    for length in range(1, 25):
        counts = [count_selected_queries(n, 6, rounding) for n in range(length + 1)]
        assert selection.selects_all(length) == (counts == list(range(length + 1)))
        mask = torch.arange(length) < torch.arange(length + 1)[:, None]
        assert selection.count_valid(mask).tolist() == counts
        q, k = torch.randn(2, length + 1, 2, length, 4)
        chosen = selection(q, k, mask)
        assert chosen.sum(-1).tolist() == [[n, n] for n in counts]
        assert torch.equal(chosen[-1:], selection(q[-1:], k[-1:], None))
    assert selection.selects_all(18 if rounding == "ceil" else 16)
    assert not selection.selects_all(24 if rounding == "ceil" else 17)


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


def test_long_sessions_share_one_key_sample_random_only_in_training():
    selection = QuerySelection(sampling_factor=5)
    length = 4 * EXACT_KEYS
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, 100:] = False
    selection.eval()
    keys, valid = selection.sample_keys(mask)
    assert valid.sum(1).tolist() == [35, 100]  # 5 ceil(ln 512), and all keys of the short session
    assert keys[1, :100].tolist() == list(range(100))
    assert torch.equal(keys, selection.sample_keys(mask)[0])
    selection.train()
    torch.manual_seed(1)
    first = selection.sample_keys(mask)[0]
    assert not torch.equal(first[0, :35], keys[0, :35])
    torch.manual_seed(1)
    assert torch.equal(first, selection.sample_keys(mask)[0])
    assert first[0, :35].unique().numel() == 35
