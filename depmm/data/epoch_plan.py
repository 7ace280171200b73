"""Assign the sessions of an epoch to processes and forward passes.

Every process computes the same plan from (seed, epoch) and uses its part. The plan contains the
weight of each session in the loss, so that the gradient does not depend on the number of processes
or on gradient accumulation. A forward pass of all processes together contains the same sessions
with any number of processes, which batch normalisation over all processes requires.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler


@dataclass(frozen=True)
class MicroBatch:
    """The sessions of one process for one forward pass.

    Attributes
    ----------
    indices : list of int
        Rows of the dataset.
    weights : list of float
        Weight of each session in the loss of its batch. The weights of a batch sum to 1 over all
        processes and passes.
    last : bool
        Whether the optimizer steps after this pass.
    filler : bool
        Whether the pass has fewer sessions than there are processes, and this process, which would
        have none, reads one of them with weight 0.
    """

    indices: list[int]
    weights: list[float]
    last: bool
    filler: bool = False


def plan_epoch(
    weights: Sequence[float],
    batch_size: int,
    epoch: int,
    seed: int,
    accumulation_steps: int = 1,
    rank: int = 0,
    world_size: int = 1,
    classes: Sequence[float] | None = None,
    corpora: Sequence[str] | None = None,
) -> list[MicroBatch]:
    """Plan the forward passes of one process in a training epoch.

    A last batch of one session is merged with the batch before, because batch normalisation cannot
    use a single session: the last batch then has ``batch_size + 1`` sessions.

    Parameters
    ----------
    weights : sequence of float
        Weight of each session in the loss.
    batch_size : int
        Sessions per optimizer step, over all processes.
    epoch, seed : int
        Seed of the order of the sessions.
    accumulation_steps : int, default 1
        Forward passes per optimizer step; fewer if the passes would have a single session, although
        ``batch_size`` allows more.
    rank, world_size : int
        Index of this process, and number of processes.
    classes : sequence of float, optional
        Class of each session. If given, every class is drawn equally often: only a part of a large
        class is read, and sessions of a small class are repeated. By default, every session is read
        once.
    corpora : sequence of str, optional
        Corpus of each session. If given, every corpus is drawn equally often, and with ``classes``
        every class of a corpus equally often within the corpus, which may have one class only.

    Returns
    -------
    list of MicroBatch
        The forward passes in order; every process has the same number.
    """
    rng = np.random.default_rng((seed, epoch))
    order = _draw_order(rng, len(weights), classes, corpora)
    plan = []
    for batch in _divide_into_batches(order, batch_size):
        total = sum(weights[index] for index in batch)
        n_parts = _count_parts(len(batch), batch_size, accumulation_steps)
        for step in range(n_parts):
            part = batch[step::n_parts]
            indices = part[rank::world_size]
            plan.append(
                MicroBatch(
                    indices or part[:1],
                    [weights[index] / total for index in indices] or [0.0],
                    last=step == n_parts - 1,
                    filler=not indices,
                )
            )
    return plan


def _divide_into_batches(order: list[int], batch_size: int) -> list[list[int]]:
    """Divide the sessions into batches; a single last session belongs to the batch before."""
    starts = list(range(0, len(order), batch_size))
    if batch_size > 1 and len(starts) > 1 and len(order) - starts[-1] == 1:
        del starts[-1]
    ends = [*starts[1:], len(order)]
    return [order[start:end] for start, end in zip(starts, ends, strict=True)]


def _count_parts(n_sessions: int, batch_size: int, accumulation_steps: int) -> int:
    """Count the parts of a batch, which are not larger than those of a full batch if possible."""
    size = -(-batch_size // accumulation_steps)
    n_parts = min(accumulation_steps, -(-n_sessions // size))
    while n_parts > 1 and size > 1 and n_sessions // n_parts == 1:
        n_parts -= 1
    return n_parts


def _draw_order(
    rng: np.random.Generator,
    count: int,
    classes: Sequence[float] | None,
    corpora: Sequence[str] | None,
) -> list[int]:
    """Draw equally many sessions of each corpus, and within it of each of its classes."""
    if classes is None and corpora is None:
        order: list[int] = rng.permutation(count).tolist()
        return order
    codes = [
        np.unique(values, return_inverse=True)[1] if values is not None else np.zeros(count, int)
        for values in (corpora, classes)
    ]
    pairs, group = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    n_classes = np.bincount(pairs[:, 0])  # of each corpus: a corpus may have one class only
    multiple = int(np.lcm.reduce(n_classes))  # the classes of every corpus divide its sessions
    per_corpus = -(-count // (len(n_classes) * multiple)) * multiple
    drawn = [
        np.resize(
            rng.permutation(np.flatnonzero(group.ravel() == index)), per_corpus // n_classes[corpus]
        )
        for index, corpus in enumerate(pairs[:, 0])
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


class EpochBatchSampler(Sampler[list[tuple[int | None, int]]]):
    """Batch sampler of a ``DataLoader`` that follows a plan, which can be replaced.

    Attributes
    ----------
    micro_batches : list of MicroBatch
        The plan.
    epoch : int or None
        Epoch for which augmentation is drawn. None: no augmentation.
    """

    def __init__(self) -> None:
        self.micro_batches: list[MicroBatch] = []
        self.epoch: int | None = None

    def __len__(self) -> int:
        return len(self.micro_batches)

    def __iter__(self) -> Iterator[list[tuple[int | None, int]]]:
        for micro_batch in self.micro_batches:
            yield [(self.epoch, index) for index in micro_batch.indices]
