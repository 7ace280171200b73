"""Batches of sessions: padding, and reading them for prediction."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from depmm.data.dataset import SessionDataset, SessionItem
from depmm.data.epoch_plan import EpochBatchSampler, evaluation_micro_batches


def collate(items: list[SessionItem]) -> dict[str, Tensor]:
    """Pad sessions to a batch.

    Parameters
    ----------
    items : list of SessionItem, length B
        The sessions, all with the same modalities.

    Returns
    -------
    dict of str to Tensor
        ``index`` (B,), and for each modality that was read:

        - ``audio`` (B, L, T) float32 with ``audio_length`` (B, L);
        - ``face`` (B, L, T, 3, height, width) uint8 with ``face_length`` (B, L);
        - ``audio`` or ``face`` (B, L, T, F) float32 if a feature stream replaces the signal;
        - ``audio_embedding`` or ``face_embedding`` (B, L, K) float32 if precomputed embeddings
          replace the signal; the length is 1 in steps that have the modality and 0 elsewhere.
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
    """Pad with zeros to (B, L, T, ...), and return the lengths (B, L)."""
    example = next((step for session in sessions for step in session if len(step)), sessions[0][0])
    n_steps = max(len(session) for session in sessions)
    longest = max(1, *(len(step) for session in sessions for step in session))
    padded = np.zeros((len(sessions), n_steps, longest, *example.shape[1:]), example.dtype)
    length = np.zeros((len(sessions), n_steps), np.int64)
    for row, session in enumerate(sessions):
        for index, step in enumerate(session):
            if len(step):
                padded[row, index, : len(step)] = step
                length[row, index] = len(step)
    return torch.from_numpy(padded), torch.from_numpy(length)


def evaluation_batches(
    dataset: SessionDataset,
    indices: Sequence[int],
    batch_size: int,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Yield the sessions of one process for prediction, without augmentation.

    Parameters
    ----------
    dataset : SessionDataset
        The sessions.
    indices : sequence of int
        Rows of the dataset.
    batch_size : int
        Sessions per batch.
    device : torch.device
        Device of the inputs.
    rank, world_size : int
        Index of this process, and number of processes.

    Yields
    ------
    index : Tensor, shape (B,)
        Rows of the dataset, on the CPU.
    inputs : dict of str to Tensor
        Inputs of a model, named as by :func:`collate`.
    """
    loader = DataLoader(
        dataset,
        batch_sampler=EpochBatchSampler(
            evaluation_micro_batches(indices, batch_size, rank, world_size), None
        ),
        collate_fn=collate,
        num_workers=dataset.settings.workers,
    )
    for batch in loader:
        index = batch.pop("index")
        yield index, {name: value.to(device) for name, value in batch.items()}
