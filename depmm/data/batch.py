"""Batches of sessions: padding, and reading them for prediction."""

import gc
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from depmm.data.dataset import SessionDataset
from depmm.data.epoch_plan import EpochBatchSampler, MicroBatch, evaluation_micro_batches
from depmm.data.errors import DataError
from depmm.data.loader_workers import (
    BATCH_LIMIT_S,
    WorkerDataset,
    start_worker,
    waiting_for_a_batch,
)
from depmm.data.session_item import SessionItem
from depmm.data.step_dataset import StepDataset
from depmm.errors import DepmmError
from depmm.inputs import Inputs

logger = logging.getLogger(__name__)

Batch = dict[str, Inputs]  # by modality


def collate(items: list[SessionItem]) -> tuple[Tensor, Batch]:
    """Pad sessions to a batch.

    Parameters
    ----------
    items : list of SessionItem, length B
        The sessions, all with the same modalities.

    Returns
    -------
    index : Tensor, shape (B,)
        Rows of the dataset.
    inputs : dict of str to Inputs
        Padded signals of each modality that was read. The length of an embedding is 1 in steps
        that have the modality and 0 elsewhere.
    """
    first = items[0]
    inputs = {}
    for name in first.signals:
        values, lengths = _pad([item.signals[name] for item in items])
        embedded = name in first.embedded
        inputs[name] = Inputs(
            values.squeeze(2) if embedded else values, lengths, embedded, name in first.on_host
        )
    return torch.tensor([item.index for item in items]), inputs


def _pad(sessions: list[list[np.ndarray]]) -> tuple[Tensor, NDArray[np.int64]]:
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
    return torch.from_numpy(padded), length


class SharedMemoryError(RuntimeError):
    """A worker process could not put a batch into shared memory."""


def collate_in_worker(
    items: list[SessionItem | DepmmError],
) -> tuple[Tensor, Batch] | DepmmError:
    """Pad sessions to a batch and, in a worker process, move it to shared memory.

    ``DataLoader`` would do the same in a thread of the worker, where an error is lost and the
    training waits forever.

    Parameters
    ----------
    items : list of SessionItem or DepmmError, length B
        As in ``collate``, or why an item cannot be read.

    Returns
    -------
    tuple of (Tensor, dict of str to Inputs), or DepmmError
        As ``collate`` returns it, or the first error.

    Raises
    ------
    SharedMemoryError
        If there is not enough shared memory.
    """
    for item in items:
        if isinstance(item, DepmmError):
            return item
    index, inputs = collate(cast(list[SessionItem], items))
    if get_worker_info() is not None:
        try:
            for tensor in (index, *(part.values for part in inputs.values())):
                tensor.share_memory_()  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError) as error:
            raise SharedMemoryError(str(error)) from None
    return index, inputs


class SessionLoader:
    """Read batches of sessions, with the same worker processes for all epochs.

    What is read depends on the plan and the epoch only, not on the number of worker processes. The
    worker processes end when the loader is deleted.

    Parameters
    ----------
    dataset : SessionDataset or StepDataset
        The sessions, with the number of worker processes in its settings.
    device : torch.device
        Device of the inputs.
    """

    def __init__(self, dataset: SessionDataset | StepDataset, device: torch.device) -> None:
        self.dataset, self.device = dataset, device
        self._sampler = EpochBatchSampler()
        self._loader = self._open(dataset.settings.workers)

    def _open(self, workers: int) -> DataLoader[Any]:
        if workers:
            gc.collect()  # the workers inherit the rest, see start_worker
        return DataLoader(
            WorkerDataset(self.dataset),
            batch_sampler=self._sampler,
            collate_fn=collate_in_worker,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=start_worker,
            timeout=BATCH_LIMIT_S if workers else 0,
            # copies to a GPU are asynchronous only from pinned memory
            pin_memory=self.device.type == "cuda",
            # by default, each start of the workers draws from the random numbers of dropout, which
            # would change a resumed training
            generator=torch.Generator(),
        )

    def read(
        self, micro_batches: list[MicroBatch], epoch: int | None
    ) -> Iterator[tuple[Tensor, Batch]]:
        """Yield the batches of a plan.

        If worker processes do not have enough shared memory, the other batches are read in this
        process, with a warning.

        Parameters
        ----------
        micro_batches : list of MicroBatch
            The plan; its indices are rows of the dataset.
        epoch : int or None
            Epoch for which augmentation is drawn. None: no augmentation.

        Yields
        ------
        index : Tensor, shape (B,)
            Rows of the dataset, on the CPU.
        inputs : dict of str to Inputs
            Inputs of a model by modality, on the device.

        Raises
        ------
        DataError
            If a worker process is ended from outside, for example for lack of memory, or does not
            answer, for example because the store does not.
        DepmmError
            If a session cannot be read.
        """
        done, failure = 0, None
        try:
            for batch in self._iterate(micro_batches, epoch):
                yield batch
                done += 1
        except SharedMemoryError as error:
            logger.warning(
                "data.workers: the worker processes do not have enough shared memory for the "
                "batches (%s), which are now read in this process. Give the container more shared "
                "memory (for example docker run --shm-size=8g), or set data.workers to 0.",
                str(error).strip().splitlines()[-1],
            )
            self._loader = self._open(workers=0)
            yield from self._iterate(micro_batches[done:], epoch)
        except (RuntimeError, ConnectionError, EOFError) as error:
            if not self._is_ended_worker(error):
                raise
            failure = str(error).strip() or type(error).__name__
        if failure is not None:
            # ends the other workers, which PyTorch would otherwise report again and again
            self._loader = self._open(workers=0)
            if failure.startswith("DataLoader timed out"):
                store = getattr(getattr(self.dataset, "store", None), "url", None)
                raise DataError(
                    f"data.store: no batch was read from {store or 'the store'} within "
                    f"{BATCH_LIMIT_S:.0f} s.",
                    setting="data.store",
                    file=store,
                    value=store,
                    remedy="Check the disk or network of the store, and start the training again: "
                    "it continues.",
                )
            raise DataError(
                f"data.workers: a process that loads the data ended: {failure}",
                setting="data.workers",
                value=self.dataset.settings.workers,
                remedy="The system ends processes that need too much memory: lower "
                "data.workers, or set it to 0.",
            )

    def _is_ended_worker(self, error: Exception) -> bool:
        if isinstance(error, RuntimeError):
            return str(error).startswith(("DataLoader worker", "DataLoader timed out"))
        # DataLoader begins the message of an error that was raised in a worker with "Caught"
        return self._loader.num_workers > 0 and not str(error).startswith("Caught")

    def _iterate(
        self, micro_batches: list[MicroBatch], epoch: int | None
    ) -> Iterator[tuple[Tensor, Batch]]:
        self._sampler.micro_batches, self._sampler.epoch = micro_batches, epoch
        batches = iter(self._loader)
        while True:
            try:
                with waiting_for_a_batch():
                    batch = next(batches, None)
            except (ConnectionError, EOFError) as error:
                if self._is_ended_worker(error):
                    # a worker that is about to end no longer sends its tensors; the error of
                    # DataLoader, which the signal of its end raises here, says which one and why
                    with waiting_for_a_batch():
                        time.sleep(5)
                raise
            if batch is None:
                return
            if isinstance(batch, DepmmError):
                raise batch
            index, inputs = batch
            yield index, {name: part.to(self.device) for name, part in inputs.items()}

    def evaluate(
        self, indices: Sequence[int], batch_size: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[tuple[Tensor, Batch]]:
        """Yield the sessions of one process for prediction, without augmentation.

        Parameters
        ----------
        indices : sequence of int
            Rows of the dataset.
        batch_size : int
            Sessions per batch.
        rank, world_size : int
            Index of this process, and number of processes.

        Returns
        -------
        iterator of (Tensor, dict of str to Inputs)
            As in ``read``.
        """
        return self.read(evaluation_micro_batches(indices, batch_size, rank, world_size), None)


def evaluation_batches(
    dataset: SessionDataset,
    indices: Sequence[int],
    batch_size: int,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[tuple[Tensor, Batch]]:
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
    inputs : dict of str to Inputs
        Inputs of a model by modality.
    """
    yield from SessionLoader(dataset, device).evaluate(indices, batch_size, rank, world_size)
