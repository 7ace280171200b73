"""Assignment of the sessions of an epoch to processes and forward passes."""

import numpy as np
import pytest

from depmm.data.epoch_plan import EpochBatchSampler, evaluation_micro_batches, plan_epoch


@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize("n_steps", [1, 2])
def test_an_epoch_contains_every_session_once(world_size, n_steps):
    weights = np.random.default_rng(0).uniform(0.5, 2, 11).tolist()
    plans = [plan_epoch(weights, 4, 2, 0, n_steps, rank, world_size) for rank in range(world_size)]
    assert {len(plan) for plan in plans} == {3 * n_steps}  # the same optimizer steps everywhere
    assert {sum(micro_batch.last for micro_batch in plan) for plan in plans} == {3}
    batches = []
    for batch in range(3):
        micro_batches = [
            micro_batch
            for plan in plans
            for micro_batch in plan[batch * n_steps : (batch + 1) * n_steps]
        ]
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
    sampler = EpochBatchSampler(micro_batches[0], epoch=None)
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
