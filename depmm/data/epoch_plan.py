"""Assign the sessions of an epoch to processes and forward passes.

Every process computes the same plan from (seed, epoch) and uses its part. The plan contains the
weight of each session in the loss, so that the gradient does not depend on the number of processes
or on gradient accumulation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MicroBatch:
    """The sessions of one process for one forward pass.

    Attributes
    ----------
    indices : list of int
        Rows of the dataset.
    weights : list of float
        Weight of each session in the loss of its batch. The weights of a batch sum to 1 over all
        processes and passes. A process that would have no session reads a filler of weight 0.
    last : bool
        Whether the optimizer steps after this pass.
    """

    indices: list[int]
    weights: list[float]
    last: bool


def plan_epoch(
    weights: Sequence[float],
    batch_size: int,
    epoch: int,
    seed: int,
    accumulation_steps: int = 1,
    rank: int = 0,
    world_size: int = 1,
    classes: Sequence[float] | None = None,
) -> list[MicroBatch]:
    """Plan the forward passes of one process in a training epoch.

    Parameters
    ----------
    weights : sequence of float
        Weight of each session in the loss.
    batch_size : int
        Sessions per optimizer step, over all processes.
    epoch, seed : int
        Seed of the order of the sessions.
    accumulation_steps : int, default 1
        Forward passes per optimizer step.
    rank, world_size : int
        Index of this process, and number of processes.
    classes : sequence of float, optional
        Class of each session. If given, every class is drawn equally often: only a part of a large
        class is read, and sessions of a small class are repeated. By default, every session is read
        once.

    Returns
    -------
    list of MicroBatch
        The forward passes in order; every process has the same number.
    """
    rng = np.random.default_rng((seed, epoch))
    order = _draw_order(rng, len(weights), classes)
    plan = []
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        total = sum(weights[index] for index in batch)
        of_rank = batch[rank::world_size]
        for step in range(accumulation_steps):
            indices = of_rank[step::accumulation_steps]
            plan.append(
                MicroBatch(
                    indices or batch[:1],
                    [weights[index] / total for index in indices] or [0.0],
                    last=step == accumulation_steps - 1,
                )
            )
    return plan


def _draw_order(rng: np.random.Generator, count: int, classes: Sequence[float] | None) -> list[int]:
    if classes is None:
        order: list[int] = rng.permutation(count).tolist()
        return order
    labels = np.asarray(classes)
    values = np.unique(labels)
    per_class = -(-count // len(values))
    drawn = [
        np.resize(rng.permutation(np.flatnonzero(labels == value)), per_class) for value in values
    ]
    order = rng.permutation(np.concatenate(drawn)).tolist()
    return order


def evaluation_micro_batches(
    indices: Sequence[int], batch_size: int, rank: int = 0, world_size: int = 1
) -> list[MicroBatch]:
    """Plan the forward passes of one process for prediction, without fillers.

    Parameters
    ----------
    indices : sequence of int
        Rows of the dataset.
    batch_size : int
        Sessions per forward pass.
    rank, world_size : int
        Index of this process, and number of processes.

    Returns
    -------
    list of MicroBatch
        Every session once, without weights; may be empty.
    """
    of_rank = list(indices)[rank::world_size]
    return [
        MicroBatch(of_rank[start : start + batch_size], [], last=False)
        for start in range(0, len(of_rank), batch_size)
    ]


class EpochBatchSampler:
    """Batch sampler of a ``DataLoader`` that follows a plan.

    Parameters
    ----------
    micro_batches : list of MicroBatch
        The plan.
    epoch : int or None
        Epoch for which augmentation is drawn. None: no augmentation.
    """

    def __init__(self, micro_batches: list[MicroBatch], epoch: int | None) -> None:
        self.micro_batches = micro_batches
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.micro_batches)

    def __iter__(self) -> Iterator[list[tuple[int | None, int]]]:
        for micro_batch in self.micro_batches:
            yield [(self.epoch, index) for index in micro_batch.indices]
