"""Which part of the sessions a process extracts."""

import pytest

from depmm.store.shards import Shard, ShardError, find_shard, parse_shard


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
    sessions = list(range(20))
    for element in range(3):
        array = {"SLURM_ARRAY_TASK_ID": str(element), "SLURM_ARRAY_TASK_COUNT": "3"}
        shards = [find_shard({**array, "RANK": str(r), "WORLD_SIZE": "2"}) for r in range(2)]
        together = [session for shard in shards for session in shard.select(sessions)]
        assert sorted(together) == shards[0].of_launch().select(sessions) == sessions[element::3]


def test_parts_are_counted_from_1():
    assert parse_shard("1/3") == Shard(0, 3, "--shard 1/3")
    assert (str(parse_shard("3/3")), parse_shard("3/3").name) == ("3/3", "3-of-3")
