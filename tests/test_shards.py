"""Which part of the sessions a process extracts."""

import pytest

from depmm.shards import Shard, ShardError, find_shard, parse_shard


@pytest.mark.parametrize(
    ("environment", "index", "count", "rank", "world_size"),
    [
        ({}, 0, 1, 0, 1),
        ({"RANK": "1", "WORLD_SIZE": "4"}, 1, 4, 1, 4),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "3"}, 2, 3, 2, 3),
        # the launcher counts the processes of all tasks
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "RANK": "5", "WORLD_SIZE": "8"}, 5, 8, 5, 8),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "9", "SLURM_STEP_NUM_TASKS": "2"}, 1, 2, 1, 2),
        # a job script outside of srun
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "ENVIRONMENT": "BATCH"}, 0, 1, 0, 1),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}, 3, 4, 0, 1),
        (
            {
                "SLURM_ARRAY_TASK_ID": "14", "SLURM_ARRAY_TASK_COUNT": "3",
                "SLURM_ARRAY_TASK_MIN": "10", "SLURM_ARRAY_TASK_MAX": "14",
                "SLURM_ARRAY_TASK_STEP": "2", "RANK": "1", "WORLD_SIZE": "2",
            },
            5, 6, 1, 2,
        ),
    ],
)  # fmt: skip
def test_the_part_is_that_of_the_launcher(environment, index, count, rank, world_size):
    shard = find_shard(environment)
    assert (shard.index, shard.count) == (index, count)
    assert (shard.rank, shard.world_size) == (rank, world_size)


@pytest.mark.parametrize(
    ("environment", "setting"),
    [
        ({"RANK": "4", "WORLD_SIZE": "4"}, "RANK"),
        ({"RANK": "x", "WORLD_SIZE": "4"}, "RANK"),
        (
            {
                "SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "3",
                "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "7",
            },
            "SLURM_ARRAY_TASK_ID",
        ),
    ],
)  # fmt: skip
def test_contradicting_variables_are_an_error(environment, setting):
    with pytest.raises(ShardError) as info:
        find_shard(environment)
    assert info.value.setting == setting
    assert "--shard" in str(info.value.remedy)


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "1/0", "a/b", "1/3/5", "-1/3", "1.0/3"])
def test_a_part_that_does_not_exist_is_an_error(text):
    with pytest.raises(ShardError) as info:
        parse_shard(text)
    assert info.value.value == text


def test_the_processes_of_an_element_of_an_array_extract_its_part_together():
    sessions, costs = list(range(20)), [float(1 + k % 7) for k in range(20)]
    extracted = []
    for element in range(3):
        array = {"SLURM_ARRAY_TASK_ID": str(element), "SLURM_ARRAY_TASK_COUNT": "3"}
        shards = [find_shard({**array, "RANK": str(r), "WORLD_SIZE": "2"}) for r in range(2)]
        for shard in shards:
            of_each = shard.of_each_process()
            assert [other.index for other in of_each] == [other.index for other in shards]
            extracted += shard.select(sessions, costs)
        assert shards[1].of_launch().name == f"{element + 1}-of-3"
    assert sorted(extracted) == sessions


def test_parts_are_balanced_by_the_costs_of_the_items():
    # one interview of an hour, ten sessions of a minute
    costs = [60.0, *[60.0] * 10, 3600.0]
    parts = [Shard(index, 3).select(range(12), costs) for index in range(3)]
    assert sorted(map(len, parts)) == [1, 5, 6]
    assert [11] in parts
    assert sorted(item for part in parts for item in part) == list(range(12))


def test_the_largest_part_keeps_the_bound_of_graham():
    # Graham (1969), Theorem 2; the worst case has equality: 11 instead of 9
    costs = [5.0, 5.0, 4.0, 4.0, 3.0, 3.0, 3.0]
    sums = [sum(costs[i] for i in Shard(k, 3).select(range(7), costs)) for k in range(3)]
    assert sorted(sums) == [8.0, 8.0, 11.0]
    assert max(sums) / 9.0 == pytest.approx(4 / 3 - 1 / 9)


def test_items_without_a_cost_are_shared_too():
    assert [Shard(k, 2).select("abcd", [0.0] * 4) for k in range(2)] == [["a", "c"], ["b", "d"]]


def test_parts_are_counted_from_1():
    assert parse_shard("1/3") == Shard(0, 3, "--shard 1/3")
    assert (str(parse_shard("3/3")), parse_shard("3/3").name) == ("3/3", "3-of-3")
