"""Assignment of the sessions of an epoch to processes and forward passes."""

from collections import Counter

import numpy as np
import pytest

from depmm.data.epoch_plan import EpochBatchSampler, evaluation_micro_batches, plan_epoch


@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize("n_steps", [1, 2])
def test_an_epoch_contains_every_session_once(world_size, n_steps):
    weights = np.random.default_rng(0).uniform(0.5, 2, 11).tolist()
    plans = [plan_epoch(weights, 4, 2, 0, n_steps, rank, world_size) for rank in range(world_size)]
    # batches of 4, 4 and 3 sessions; the last one is not divided into 2 and 1
    n_passes = [n_steps, n_steps, 1]
    assert {len(plan) for plan in plans} == {sum(n_passes)}
    ends = np.cumsum(n_passes)
    for plan in plans:  # the same optimizer steps everywhere
        assert [step + 1 for step, part in enumerate(plan) if part.last] == ends.tolist()
    batches = []
    for end, n in zip(ends, n_passes, strict=True):
        micro_batches = [micro_batch for plan in plans for micro_batch in plan[end - n : end]]
        pairs = [
            (n, w)
            for micro_batch in micro_batches
            for n, w in zip(micro_batch.indices, micro_batch.weights, strict=True)
        ]
        used = [(n, w) for n, w in pairs if w > 0]
        total = sum(weights[n] for n, _ in used)
        assert sum(w for _, w in used) == pytest.approx(1)
        assert all(w == pytest.approx(weights[n] / total) for n, w in used)
        assert all(micro_batch.indices for micro_batch in micro_batches)  # with fillers
        batches.append({n for n, _ in used})
        assert len(used) == len(batches[-1])
        assert all(part.filler == (part.weights == [0.0]) for part in micro_batches)
    assert sorted(n for batch in batches for n in batch) == list(range(11))
    plan = plan_epoch(weights, 4, 2, 0)
    assert batches == [set(micro_batch.indices) for micro_batch in plan]
    other = plan_epoch(weights, 4, 3, 0)
    assert [a.indices for a in plan] != [b.indices for b in other]


def test_evaluation_has_no_fillers():
    micro_batches = [evaluation_micro_batches(range(20, 31), 4, rank, 3) for rank in range(3)]
    indices = [n for plan in micro_batches for micro_batch in plan for n in micro_batch.indices]
    assert sorted(indices) == list(range(20, 31))
    assert evaluation_micro_batches([1], 4, rank=2, world_size=3) == []
    sampler = EpochBatchSampler()
    sampler.micro_batches = micro_batches[0]
    assert next(iter(sampler)) == [(None, 20), (None, 23), (None, 26), (None, 29)]
    assert len(sampler) == 1


def test_oversampling_draws_both_classes_equally_often():
    classes = [1.0] * 9 + [0.0] * 3
    plan = plan_epoch([1.0] * 12, 4, epoch=3, seed=0, classes=classes)
    drawn = [index for micro_batch in plan for index in micro_batch.indices]
    assert sum(classes[index] for index in drawn) == 6
    assert len(drawn) == 12
    assert set(drawn) >= {9, 10, 11}  # all of the rare class, twice each
    assert plan != plan_epoch([1.0] * 12, 4, epoch=4, seed=0, classes=classes)


def union_of_passes(n_sessions, batch_size, n_steps, world_size):
    """Return the sessions of each pass of all processes together."""
    weights = [1.0] * n_sessions
    plans = [
        plan_epoch(weights, batch_size, 1, 0, n_steps, rank, world_size)
        for rank in range(world_size)
    ]
    return [
        sorted(n for part in parts if not part.filler for n in part.indices)
        for parts in zip(*plans, strict=True)
    ]


@pytest.mark.parametrize(("n_sessions", "batch_size", "n_steps"), [(13, 4, 2), (11, 8, 3)])
def test_a_pass_over_all_processes_does_not_depend_on_their_number(n_sessions, batch_size, n_steps):
    one = union_of_passes(n_sessions, batch_size, n_steps, 1)
    for world_size in (2, 3, 5):
        assert union_of_passes(n_sessions, batch_size, n_steps, world_size) == one


@pytest.mark.parametrize(
    ("n_sessions", "batch_size", "n_steps", "sizes"),
    [
        (9, 4, 1, [4, 5]),  # a last batch of one session
        (5, 4, 1, [5]),
        (10, 4, 1, [4, 4, 2]),
        (3, 1, 1, [1, 1, 1]),  # batches of one session were requested
        (1, 4, 1, [1]),
        (9, 8, 2, [5, 4]),
        (11, 8, 2, [4, 4, 3]),
        (13, 8, 4, [2, 2, 2, 2, 3, 2]),
        (6, 4, 4, [1, 1, 1, 1, 1, 1]),
    ],
)
def test_no_pass_has_a_single_session_unless_requested(n_sessions, batch_size, n_steps, sizes):
    assert [len(n) for n in union_of_passes(n_sessions, batch_size, n_steps, 1)] == sizes


def test_corpora_are_drawn_equally_often():
    corpora = ["big"] * 10 + ["small"] * 2
    plan = plan_epoch([1.0] * 12, 4, epoch=1, seed=0, corpora=corpora)
    drawn = [index for micro_batch in plan for index in micro_batch.indices]
    assert len(drawn) == 12
    assert sum(corpora[index] == "small" for index in drawn) == 6
    assert len({index for index in drawn if index < 10}) == 6  # none of the large corpus twice


def test_classes_of_each_corpus_are_drawn_equally_often():
    corpora = ["a"] * 8 + ["b"] * 4
    classes = [1.0] + [0.0] * 7 + [1.0] * 3 + [0.0]
    plan = plan_epoch([1.0] * 12, 4, epoch=1, seed=0, classes=classes, corpora=corpora)
    drawn = [index for micro_batch in plan for index in micro_batch.indices]
    counts = {(c, k): 0 for c in "ab" for k in (0.0, 1.0)}
    for index in drawn:
        counts[corpora[index], classes[index]] += 1
    assert set(counts.values()) == {3}


@pytest.mark.parametrize("n_sessions", [24, 25])
def test_a_corpus_with_one_class_is_drawn_as_often_as_the_others(n_sessions):
    corpora = ["a"] * 12 + ["b"] * (n_sessions - 12)
    classes = [0.0] * 6 + [1.0] * 6 + [1.0] * (n_sessions - 12)
    plan = plan_epoch([1.0] * n_sessions, 4, epoch=1, seed=0, classes=classes, corpora=corpora)
    drawn = [(corpora[n], classes[n]) for micro_batch in plan for n in micro_batch.indices]
    per_class = -(-n_sessions // 4)
    assert Counter(drawn) == {
        ("a", 0.0): per_class, ("a", 1.0): per_class, ("b", 1.0): 2 * per_class
    }  # fmt: skip
