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

from depmm.data.dataset import SessionItem


@dataclass(frozen=True)
class Share:
    """The sessions of one process for one forward pass.

    Attributes
    ----------
    numbers : rows in the dataset
    weights : each one's share of the loss of its batch; a filler (for a process that would
        otherwise have nothing to do) weighs zero
    last : whether the optimizer steps after this part
    """

    numbers: list[int]
    weights: list[float]
    last: bool


def plan_epoch(
    weights: Sequence[float],
    batch_size: int,
    epoch: int,
    seed: int,
    parts: int = 1,
    rank: int = 0,
    world: int = 1,
) -> list[Share]:
    """Plan one process's part of a training epoch.

    Parameters
    ----------
    weights : of each session in the loss
    batch_size : sessions per optimizer step, all processes together
    epoch, seed : what the order depends on
    parts : forward passes that a batch is cut into
    rank, world : this process and their number

    Returns
    -------
    shares in order; every process gets equally many
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(weights)).tolist()
    plan = []
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        total = sum(weights[number] for number in batch)
        mine = batch[rank::world]
        for part in range(parts):
            numbers = mine[part::parts]
            plan.append(
                Share(
                    numbers or batch[:1],
                    [weights[number] / total for number in numbers] or [0.0],
                    last=part == parts - 1,
                )
            )
    return plan


def collate(items: list[SessionItem]) -> dict[str, Tensor]:
    """Pad sessions to a batch.

    Returns
    -------
    ``number`` Tensor[B] and, for the modalities that were read,
    ``audio`` Tensor[B, L, T] float32 with ``audio_length`` Tensor[B, L], and
    ``face`` Tensor[B, L, T, 3, height, width] uint8 with ``face_length`` Tensor[B, L]
    """
    batch = {"number": torch.tensor([item.number for item in items])}
    if items[0].audio is not None:
        batch["audio"], batch["audio_length"] = _pad([item.audio or [] for item in items])
    if items[0].face is not None:
        batch["face"], batch["face_length"] = _pad([item.face or [] for item in items])
    return batch


def _pad(sessions: list[list[np.ndarray]]) -> tuple[Tensor, Tensor]:
    example = sessions[0][0]
    steps = max(len(session) for session in sessions)
    longest = max(1, *(len(step) for session in sessions for step in session))
    padded = np.zeros((len(sessions), steps, longest, *example.shape[1:]), example.dtype)
    length = np.zeros((len(sessions), steps), np.int64)
    for row, session in enumerate(sessions):
        for place, step in enumerate(session):
            padded[row, place, : len(step)] = step
            length[row, place] = len(step)
    return torch.from_numpy(padded), torch.from_numpy(length)


class ShareSampler:
    """Feeds a plan to a ``DataLoader`` as its batch sampler, with the epoch for the draws.

    Parameters
    ----------
    shares : from ``plan_epoch``
    epoch : what training copies are drawn for; None: no draws
    """

    def __init__(self, shares: list[Share], epoch: int | None):
        self.shares = shares
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.shares)

    def __iter__(self) -> Iterator[list[tuple[int | None, int]]]:
        for share in self.shares:
            yield [(self.epoch, number) for number in share.numbers]


def evaluation_shares(
    sessions: Sequence[int], batch_size: int, rank: int = 0, world: int = 1
) -> list[Share]:
    """Share sessions out for prediction: each one exactly once, no fillers."""
    mine = list(sessions)[rank::world]
    return [
        Share(mine[start : start + batch_size], [], last=False)
        for start in range(0, len(mine), batch_size)
    ]
