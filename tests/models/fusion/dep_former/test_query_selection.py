"""Selected queries against a loop; sample of keys of long sessions."""

import pytest
import torch

from depmm.models.fusion.dep_former.query_selection import (
    EXACT_KEYS,
    QuerySelection,
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


@pytest.mark.parametrize("length", [24, 300])
@pytest.mark.parametrize("training", [False, True])
def test_selection_equals_a_stable_sort_with_equal_queries(length, training):
    torch.manual_seed(0)
    q, k = torch.randn(3, 2, length, 8), torch.randn(3, 2, length, 8)
    q[:, :, 3:9] = q[:, :, 3:4]
    mask = torch.rand(3, length) < 0.8
    mask[1, 10:], mask[2] = False, False
    selection = QuerySelection(2).train(training)
    for valid in (mask, torch.ones_like(mask), None):
        torch.manual_seed(1)
        chosen = selection(q, k, valid)
        drawn = torch.rand(1)
        torch.manual_seed(1)
        given = torch.ones_like(mask) if valid is None else valid
        sparsity = selection.sparsity(q, k, given).masked_fill(~given[:, None], -torch.inf)
        assert torch.equal(torch.rand(1), drawn)  # as many random numbers with and without a mask
        order = sparsity.sort(dim=-1, descending=True, stable=True).indices
        for b, count in enumerate(selection.count_valid(given).tolist()):
            for h in range(2):
                expected = sorted(order[b, h, :count].tolist())
                assert chosen[b, h].nonzero().flatten().tolist() == expected
