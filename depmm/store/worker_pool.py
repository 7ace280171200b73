"""Worker processes for jobs that may crash, hang or need too much memory.

``concurrent.futures`` ends all of its processes when one of them crashes, and does not tell which
job it ran. Here every process has a connection of its own: a crash or hang belongs to one job.
"""

import atexit
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, NoReturn, TypeVar

from depmm.cores import stay_on_core, worker_cores
from depmm.interrupts import interrupts_for_parent_only
from depmm.media.video.opencv import use_one_opencv_thread
from depmm.processes import end_with_parent
from depmm.store.errors import StoreError

Job = TypeVar("Job")
Progress = Callable[[], None]
"""Called by a job whenever it gets on, for example after each decoded block."""

MESSAGE_INTERVAL_S = 1.0  # between two messages of a job about its progress
END_S = 5.0  # that a process has to remove its temporary files before it is killed


@dataclass(frozen=True)
class Crash:
    """A job whose process ended twice, the second time without other jobs beside it.

    Attributes
    ----------
    exit_code : int
        Exit status of the process; minus the signal if a signal ended it.
    """

    exit_code: int


@dataclass(frozen=True)
class Hang:
    """A job that was ended because it made no progress.

    Attributes
    ----------
    seconds : float
        Time without progress.
    """

    seconds: float


@dataclass
class _Worker(Generic[Job]):
    """A process, and the job that it runs."""

    process: BaseProcess
    connection: Connection
    core: int | None
    ready: bool = False
    job: Job | None = None
    last_progress: float = field(default_factory=time.monotonic)

    def assign(self, job: Job) -> bool:
        """Send a job; return False if the process was ended while it had none."""
        try:
            self.connection.send(job)
        except OSError:
            self.kill()
            return False
        self.job, self.last_progress = job, time.monotonic()
        return True

    def receive(self) -> tuple[str, Any] | None:
        """Return a message, or None if the process has ended."""
        try:
            message: tuple[str, Any] = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return None
        self.last_progress = time.monotonic()
        return message

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def run_in_processes(
    function: Callable[[Job, Progress], Any],
    jobs: Iterable[Job],
    n_workers: int,
    time_limit_s: float,
) -> Iterator[tuple[Job, Any]]:
    """Run a function on jobs in worker processes.

    A job whose process ends unexpectedly runs a second time when all other jobs are done, in the
    only process, because the system may have ended it for the memory that all needed together.

    Parameters
    ----------
    function : callable
        Function of a module. It gets a job and a function to report progress.
    jobs : iterable
        The jobs, which are pickled.
    n_workers : int
        Number of processes.
    time_limit_s : float
        Time without progress after which a job is ended, in seconds.

    Yields
    ------
    job
        A job, in the order in which they are done.
    result
        Value of the function, :class:`Crash` or :class:`Hang`.

    Raises
    ------
    StoreError
        If the processes cannot be started.
    Exception
        If the function raises it; the other jobs are ended.
    """
    queue, crashed = deque(jobs), deque[Job]()
    cores = worker_cores(min(n_workers, len(queue)))
    pool: list[_Worker[Job]] = []
    finished = False
    try:
        for waiting, alone in ((queue, False), (crashed, True)):
            if alone:
                _end(pool, at_once=False)
            limit = 1 if alone else n_workers
            while waiting or any(worker.job is not None for worker in pool):
                busy = sum(worker.job is not None for worker in pool)
                while len(pool) < min(limit, busy + len(waiting)):
                    free = [core for core in cores if core not in {w.core for w in pool}]
                    pool.append(_start(function, free[0] if free and not alone else None))
                for worker in [w for w in pool if w.ready and w.job is None]:
                    if waiting and worker.assign(waiting[0]):
                        waiting.popleft()
                    elif waiting:
                        pool.remove(worker)
                if not pool:
                    continue
                for job, result in _collect(pool, time_limit_s):
                    if isinstance(result, Crash) and not alone:
                        crashed.append(job)
                    else:
                        yield job, result
        finished = True
    finally:
        _end(pool, at_once=not finished)


def _start(function: Callable[[Job, Progress], Any], core: int | None) -> _Worker[Job]:
    # spawn: MediaPipe and FFmpeg do not work after a fork
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, function, core), name="depmm-worker")
    with interrupts_for_parent_only():
        process.start()
    there.close()  # so that the end of the process is the end of the connection
    return _Worker(process, here, core)


def _collect(pool: list[_Worker[Job]], time_limit_s: float) -> list[tuple[Job, Any]]:
    """Wait for messages; return the jobs that are done, and remove processes that ended."""
    now = time.monotonic()
    waited_for = {w.connection: w for w in pool if w.job is not None or not w.ready}
    deadline = min(worker.last_progress for worker in waited_for.values()) + time_limit_s
    done: list[tuple[Job, Any]] = []
    for connection in wait(list(waited_for), max(0.0, deadline - now)):
        worker = waited_for[connection]  # type: ignore[index]
        message = worker.receive()
        if message is None:
            pool.remove(worker)
            connection.close()  # type: ignore[union-attr]
            exit_code = worker.process.exitcode or 0
            if worker.job is None:
                raise _not_started(exit_code)
            done.append((worker.job, Crash(exit_code)))
        elif message[0] == "ready":
            worker.ready = True
        elif message[0] == "error":
            raise message[1]
        elif message[0] == "result":
            assert worker.job is not None
            done.append((worker.job, message[1]))
            worker.job = None
    for worker in [w for w in pool if w.job is not None or not w.ready]:
        if time.monotonic() - worker.last_progress >= time_limit_s:
            pool.remove(worker)
            worker.kill()
            if worker.job is None:
                raise _not_started(worker.process.exitcode or 0)
            done.append((worker.job, Hang(time_limit_s)))
    return done


def _not_started(exit_code: int) -> StoreError:
    return StoreError(
        f"a worker process ended before its first session (exit status {exit_code}).",
        setting="workers",
        value=exit_code,
        remedy='Put the code of a script below if __name__ == "__main__":, check the memory of the '
        "computer, or extract without worker processes (workers=0 in Python).",
    )


def _end(pool: list[_Worker[Job]], at_once: bool) -> None:
    """End all processes: idle ones by closing their connection, others by a signal."""
    for worker in pool:
        worker.connection.close()
        if at_once:
            worker.process.terminate()
    for worker in pool:
        worker.process.join(END_S)
        worker.process.kill()
        worker.process.join()
    pool.clear()


def _serve(
    connection: Connection, function: Callable[[Job, Progress], Any], core: int | None
) -> NoReturn:
    """Run jobs until the connection is closed, also if that is before the first job."""
    if core is not None:
        stay_on_core(core)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        _run_jobs(connection, function)
    atexit._run_exitfuncs()  # remove temporary folders
    sys.stdout.flush()
    sys.stderr.flush()
    # no job is left; the end of the interpreter, with MediaPipe's graphs, takes another 0.2 s
    os._exit(0)


def _run_jobs(connection: Connection, function: Callable[[Job, Progress], Any]) -> None:
    end_with_parent()
    use_one_opencv_thread()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # removes temporary files
    last = 0.0

    def report_progress() -> None:
        nonlocal last
        if time.monotonic() - last >= MESSAGE_INTERVAL_S:
            last = time.monotonic()
            connection.send(("progress", None))

    connection.send(("ready", None))
    while True:
        job = connection.recv()
        try:
            message = ("result", function(job, report_progress))
        except Exception as error:
            message = ("error", _picklable(error))
        connection.send(message)


def _picklable(error: Exception) -> Exception:
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
