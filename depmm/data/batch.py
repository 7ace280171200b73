"""Sessions -> padded batches, and which process gets which session.

A batch counts sessions over all processes. Every process works out the same plan from (seed, epoch)
and takes its share; each session's share of the loss is fixed in the plan, so that one process or
many, in one part or several, add up to the same gradient.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from depmm.data.dataset import SessionDataset, SessionItem


@dataclass(frozen=True)
class MicroBatch:
    """The sessions of one process for one forward pass.

    Attributes
    ----------
    indices : rows in the dataset
    weights : each one's share of the loss of its batch; a filler (for a process that would
        otherwise have nothing to do) weighs zero
    last : whether the optimizer steps after this part
    """

    indices: list[int]
    weights: list[float]
    last: bool


def plan_epoch(
    weights: Sequence[float],
    batch_size: int,
    epoch: int,
    seed: int,
    parts: int = 1,
    rank: int = 0,
    world_size: int = 1,
    classes: Sequence[float] | None = None,
) -> list[MicroBatch]:
    """Plan one process's part of a training epoch.

    Parameters
    ----------
    weights : of each session in the loss
    batch_size : sessions per optimizer step, all processes together
    epoch, seed : what the order depends on
    parts : forward passes that a batch is cut into
    rank, world_size : this process and the number of processes
    classes : of each session, to draw every class equally often (of a large one only some, of a
        small one some again); None: everybody once

    Returns
    -------
    shares in order; every process gets equally many
    """
    rng = np.random.default_rng((seed, epoch))
    order = _order(rng, len(weights), classes)
    plan = []
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        total = sum(weights[index] for index in batch)
        mine = batch[rank::world_size]
        for part in range(parts):
            indices = mine[part::parts]
            plan.append(
                MicroBatch(
                    indices or batch[:1],
                    [weights[index] / total for index in indices] or [0.0],
                    last=part == parts - 1,
                )
            )
    return plan


def _order(rng: np.random.Generator, count: int, classes: Sequence[float] | None) -> list[int]:
    if classes is None:
        return rng.permutation(count).tolist()
    labels = np.asarray(classes)
    kinds = np.unique(labels)
    each = -(-count // len(kinds))
    drawn = [np.resize(rng.permutation(np.flatnonzero(labels == kind)), each) for kind in kinds]
    return rng.permutation(np.concatenate(drawn)).tolist()


def collate(items: list[SessionItem]) -> dict[str, Tensor]:
    """Pad sessions to a batch.

    Returns
    -------
    ``index`` Tensor[B] and, for the modalities that were read,
    ``audio`` Tensor[B, L, T] float32 with ``audio_length`` Tensor[B, L], and
    ``face`` Tensor[B, L, T, 3, height, width] uint8 with ``face_length`` Tensor[B, L];
    either is Tensor[B, L, T, F] float32 where a stream of features is read in its place;
    for those that were read embedded ``audio_embedding`` or ``face_embedding`` Tensor[B, L, K]
    float32, with a length of 1 where it is there and 0 elsewhere
    """
    batch = {"index": torch.tensor([item.index for item in items])}
    if items[0].audio is not None:
        batch["audio"], batch["audio_length"] = _pad([item.audio or [] for item in items])
    if items[0].face is not None:
        batch["face"], batch["face_length"] = _pad([item.face or [] for item in items])
    for name in items[0].embeddings:
        rows, batch[f"{name}_length"] = _pad([item.embeddings[name] for item in items])
        batch[f"{name}_embedding"] = rows.squeeze(2)
    return batch


def _pad(sessions: list[list[np.ndarray]]) -> tuple[Tensor, Tensor]:
    example = next((step for session in sessions for step in session if len(step)), sessions[0][0])
    steps = max(len(session) for session in sessions)
    longest = max(1, *(len(step) for session in sessions for step in session))
    padded = np.zeros((len(sessions), steps, longest, *example.shape[1:]), example.dtype)
    length = np.zeros((len(sessions), steps), np.int64)
    for row, session in enumerate(sessions):
        for place, step in enumerate(session):
            if len(step):
                padded[row, place, : len(step)] = step
                length[row, place] = len(step)
    return torch.from_numpy(padded), torch.from_numpy(length)


class EpochBatchSampler:
    """Feeds a plan to a ``DataLoader`` as its batch sampler, with the epoch for the draws.

    Parameters
    ----------
    shares : from ``plan_epoch``
    epoch : what training copies are drawn for; None: no draws
    """

    def __init__(self, shares: list[MicroBatch], epoch: int | None):
        self.shares = shares
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.shares)

    def __iter__(self) -> Iterator[list[tuple[int | None, int]]]:
        for share in self.shares:
            yield [(self.epoch, index) for index in share.indices]


def evaluation_micro_batches(
    sessions: Sequence[int], batch_size: int, rank: int = 0, world_size: int = 1
) -> list[MicroBatch]:
    """MicroBatch sessions out for prediction: each one exactly once, no fillers."""
    mine = list(sessions)[rank::world_size]
    return [
        MicroBatch(mine[start : start + batch_size], [], last=False)
        for start in range(0, len(mine), batch_size)
    ]


def evaluation_batches(
    dataset: SessionDataset,
    sessions: Sequence[int],
    batch_size: int,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Read this process's share of some sessions, without training draws.

    Parameters
    ----------
    dataset : where they lie
    sessions : rows of the dataset
    batch_size : sessions in a batch
    device : where the inputs are put
    rank, world_size : this process and the number of processes

    Yields
    ------
    rows of the dataset, Tensor[B] on the CPU, and the inputs of a model, as ``collate`` names them
    """
    loader = DataLoader(
        dataset,
        batch_sampler=EpochBatchSampler(
            evaluation_micro_batches(sessions, batch_size, rank, world_size), None
        ),
        collate_fn=collate,
        num_workers=dataset.settings.workers,
    )
    for batch in loader:
        index = batch.pop("index")
        yield index, {name: value.to(device) for name, value in batch.items()}
