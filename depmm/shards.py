"""The part of the sessions that one of several processes works on.

The first of these that is given decides: the argument ``i/n``; the launcher (``RANK`` and
``WORLD_SIZE`` of torchrun and accelerate); the process of a SLURM step (``SLURM_PROCID``). Each
element of a SLURM array (``SLURM_ARRAY_TASK_ID``) has a part of its own, which its processes share,
unless ``i/n`` is given. Parts are balanced by the duration of the sessions.
"""

import heapq
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from depmm.errors import DepmmError

Item = TypeVar("Item")


class ShardError(DepmmError):
    """A part of the sessions that does not exist."""


@dataclass(frozen=True)
class Shard:
    """A part of the sessions.

    Attributes
    ----------
    index : int
        Index of the part, from 0.
    count : int
        Number of parts.
    source : str
        Where the numbers are from, for messages.
    rank : int
        Index of this process among those of one launch.
    world_size : int
        Number of processes of the launch, which may end all if one of them fails; 1 for processes
        that do not know each other.
    """

    index: int = 0
    count: int = 1
    source: str = ""
    rank: int = 0
    world_size: int = 1

    @property
    def name(self) -> str:
        """The part as a part of file names, for example ``2-of-3``."""
        return f"{self.index + 1}-of-{self.count}"

    def of_launch(self) -> "Shard":
        """Return the part that all processes of the launch extract together.

        Returns
        -------
        Shard
            An element of a SLURM array, or the whole.
        """
        count = self.count // self.world_size
        return Shard(self.index % count, count, self.source)

    def of_each_process(self) -> list["Shard"]:
        """Return the parts of all processes of the launch.

        Returns
        -------
        list of Shard
            One part per process, that of this process included.
        """
        array_count = self.count // self.world_size
        element = self.index % array_count
        return [
            replace(self, index=rank * array_count + element, rank=rank)
            for rank in range(self.world_size)
        ]

    def select(self, items: Sequence[Item], costs: Sequence[float]) -> list[Item]:
        """Select the items of this part, so that all parts take about the same time.

        The longest item is assigned first, each to the part with the lowest sum of costs (longest
        processing time first). The result depends on the items and costs only, so that all
        processes that know them assign alike.

        Parameters
        ----------
        items : sequence
            The items of all parts, in the same order in all processes.
        costs : sequence of float
            Expected time of each item, in any unit; equal to or above 0.

        Returns
        -------
        list
            The items of this part in their order. The largest sum of costs is at most
            ``4/3 - 1/(3 count)`` times that of the best assignment.

        References
        ----------
        Graham, "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17(2), 1969,
        Theorem 2.
        """
        # of parts with the same sum, the one with fewer items: costs may all be 0
        loads = [(0.0, 0, part) for part in range(self.count)]
        chosen = []
        for index in sorted(range(len(items)), key=lambda i: (-costs[i], i)):
            load, n_items, part = loads[0]
            heapq.heapreplace(loads, (load + costs[index], n_items + 1, part))
            if part == self.index:
                chosen.append(index)
        return [items[index] for index in sorted(chosen)]

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"


WHOLE = Shard()


def parse_shard(text: str) -> Shard:
    """Read a part such as ``2/3``, the second of three.

    Parameters
    ----------
    text : str
        Number of the part, from 1, and number of parts.

    Returns
    -------
    Shard
        The part.

    Raises
    ------
    ShardError
        If it is not a part.
    """
    number, _, count = text.partition("/")
    digits = all(part.strip().isascii() and part.strip().isdigit() for part in (number, count))
    if not digits or not 1 <= int(number) <= int(count) or len(text) > 20:
        raise ShardError(
            f"--shard {text[:40]}: not a part.",
            setting="--shard",
            value=text,
            remedy="Give number and count, from 1/n to n/n, for example 2/3.",
        )
    return Shard(int(number) - 1, int(count), f"--shard {text}")


def find_shard(environment: Mapping[str, str] = os.environ) -> Shard:
    """Find the part of this process in the variables of its launcher.

    Parameters
    ----------
    environment : mapping of str to str, optional
        The environment variables.

    Returns
    -------
    Shard
        The part; the whole without a launcher.

    Raises
    ------
    ShardError
        If the variables contradict each other.
    """
    array_index, array_count, array_source = _array_part(environment)
    rank, world_size, source = 0, 1, ""
    # the script of a job, outside of srun, has the variables of a task too
    in_script = environment.get("ENVIRONMENT") == "BATCH" and "SLURM_STEP_ID" not in environment
    if "WORLD_SIZE" in environment and "RANK" in environment:
        rank, world_size, source = _numbers(environment, "RANK", "WORLD_SIZE")
    elif "SLURM_PROCID" in environment and not in_script:
        step = "SLURM_STEP_NUM_TASKS"
        tasks = step if step in environment else "SLURM_NTASKS"
        if tasks in environment:
            rank, world_size, source = _numbers(environment, "SLURM_PROCID", tasks)
    return Shard(
        rank * array_count + array_index,
        world_size * array_count,
        ", ".join(part for part in (array_source, source) if part),
        rank,
        world_size,
    )


def _array_part(environment: Mapping[str, str]) -> tuple[int, int, str]:
    """Return index, count and source of the element of a SLURM array."""
    name, count_name = "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"
    if name not in environment or count_name not in environment:
        return 0, 1, ""
    value, count = _integer(environment, name), _integer(environment, count_name)
    first = _integer(environment, "SLURM_ARRAY_TASK_MIN", default=0)
    step = max(1, _integer(environment, "SLURM_ARRAY_TASK_STEP", default=1))
    index, rest = divmod(value - first, step)
    last = _integer(environment, "SLURM_ARRAY_TASK_MAX", default=first + (count - 1) * step)
    if rest or not 0 <= index < count or last != first + (count - 1) * step:
        raise ShardError(
            f"{name}={value}: the {count} elements of the array are not numbered evenly from "
            f"{first} to {last}, so that its part is not known.",
            setting=name,
            value=value,
            remedy="Give the part with --shard, for example --shard 2/3, or --shard 1/1 for all.",
        )
    return index, count, f"{name}={value} of {count}"


def _numbers(environment: Mapping[str, str], name: str, count_name: str) -> tuple[int, int, str]:
    value, count = _integer(environment, name), _integer(environment, count_name)
    if not 0 <= value < count:
        raise ShardError(
            f"{name}={value} is not below {count_name}={count}.",
            setting=name,
            value=value,
            remedy="Correct the variables, or give the part with --shard, for example 2/3.",
        )
    return value, count, f"{name}={value} of {count}"


def _integer(environment: Mapping[str, Any], name: str, default: int | None = None) -> int:
    text = environment.get(name)
    if text is None and default is not None:
        return default
    try:
        return int(str(text))
    except ValueError:
        raise ShardError(
            f"{name}={text} is not a number.",
            setting=name,
            value=text,
            remedy="Correct the variable, or give the part with --shard, for example 2/3.",
        ) from None
