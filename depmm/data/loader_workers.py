"""Worker processes of a data loader: their errors, their end, and their time limit."""

import gc
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from torch.utils.data import Dataset, get_worker_info

from depmm.data.session_item import SessionItem
from depmm.errors import DepmmError
from depmm.processes import end_with_parent

BATCH_LIMIT_S = 900.0  # in which a batch must be read: a disk or network may not answer


class WorkerDataset(Dataset[SessionItem | DepmmError]):
    """A dataset whose errors are passed from a worker process as values.

    ``DataLoader`` would raise an error of the same class whose only attribute is a traceback.

    Parameters
    ----------
    dataset : Dataset
        The sessions.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> SessionItem | DepmmError:
        """Read an item; in a worker process, return the error that reading it raises."""
        if get_worker_info() is None:
            item: SessionItem = self.dataset[index]
            return item
        try:
            item = self.dataset[index]
            return item
        except DepmmError as error:
            return error


def start_worker(worker: int) -> None:
    """Prepare a worker process; it ends when the training process is killed.

    Parameters
    ----------
    worker : int
        Index of the worker, which PyTorch gives.
    """
    # garbage of the parent must not be collected in a fork: FFmpeg's scaler would wait for threads
    # that only the parent has
    gc.freeze()
    end_with_parent()


class _WorkerEnd:
    """Handler of SIGCHLD that keeps the error of an ended worker until a batch is read.

    The handler of PyTorch raises it in whatever code runs at that moment.
    """

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.handler = handler
        self.waiting = False
        self.error: RuntimeError | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            self.handler(number, frame)
        except RuntimeError as error:
            if self.waiting:
                raise
            self.error = error


@contextmanager
def waiting_for_a_batch() -> Iterator[None]:
    """Raise the error of an ended worker inside the ``with`` block, and nowhere else.

    Yields
    ------
    None
        The block waits for the next batch.

    Raises
    ------
    RuntimeError
        If a worker ended earlier, or ends in the block.
    """
    handler = _worker_end()
    if handler is None:
        yield
        return
    error, handler.error = handler.error, None
    if error is not None:
        raise error
    handler.waiting = True
    try:
        yield
    finally:
        handler.waiting = False


def _worker_end() -> _WorkerEnd | None:
    """Return the handler, after replacing that of PyTorch, which it installs with its workers."""
    if not hasattr(signal, "SIGCHLD"):  # Windows
        return None
    handler = signal.getsignal(signal.SIGCHLD)
    if isinstance(handler, _WorkerEnd):
        return handler
    of_torch = getattr(handler, "__module__", None) == "torch.utils.data._utils.signal_handling"
    if not of_torch or threading.current_thread() is not threading.main_thread():
        return None
    assert callable(handler)
    replaced = _WorkerEnd(handler)
    signal.signal(signal.SIGCHLD, replaced)
    return replaced
