"""Computations on the sessions of a store, in this process or in worker processes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from depmm.config import ExtractConfig
from depmm.progress import track
from depmm.store.errors import StoreError
from depmm.store.failures import SessionKey
from depmm.store.sessions import SessionStore
from depmm.store.worker_pool import Crash, Hang, Progress, run_in_processes

NO_PROGRESS_LIMIT_S = 1800.0  # the pitch of an hour of sound takes minutes


@dataclass(frozen=True)
class SessionTask:
    """One session; a worker process opens the store itself.

    Attributes
    ----------
    url : str
        Folder or URL of the store.
    settings : ExtractConfig
        Extraction settings.
    key : tuple of str
        Corpus, subject and session id.
    name : str
        What is computed.
    """

    url: str
    settings: ExtractConfig
    key: SessionKey
    name: str

    def open_store(self) -> SessionStore:
        """Open the store.

        Returns
        -------
        SessionStore
            The store.
        """
        return SessionStore(self.url, self.settings)


def run_tasks(
    function: Callable[[SessionTask, Progress], Any],
    store: SessionStore,
    keys: Sequence[SessionKey],
    name: str,
    workers: int,
) -> Iterator[tuple[SessionKey, Any]]:
    """Apply a function to sessions and show the progress.

    Parameters
    ----------
    function : callable
        Function of a module; it gets a task and a function to report progress.
    store : SessionStore
        The sessions.
    keys : sequence of tuple of str
        Corpus, subject and session id of each.
    name : str
        What is computed, for the progress and for errors.
    workers : int
        Number of processes; 0: this process.

    Yields
    ------
    key : tuple of str
        A session, in the order in which they are done.
    result : object
        Value of the function.

    Raises
    ------
    StoreError
        If a process crashes or makes no progress.
    """
    tasks = [SessionTask(store.url, store.settings, key, name) for key in keys]
    if workers == 0:
        for task in track(tasks, name, "sessions"):
            yield task.key, function(task, lambda: None)
        return
    results = run_in_processes(function, tasks, min(workers, len(tasks)), NO_PROGRESS_LIMIT_S)
    for task, result in track(results, name, "sessions", len(tasks)):
        if isinstance(result, Crash | Hang):
            corpus, subject, session = task.key
            how = "ended" if isinstance(result, Crash) else "made no progress"
            raise StoreError(
                f"session {corpus}/{subject}/{session}: the process that computed {name} {how}.",
                file=store.path(*task.key),
                subject=subject,
                session=session,
                remedy="Check the memory of the computer, and use fewer processes (--workers 1).",
            )
        yield task.key, result
