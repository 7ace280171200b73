"""End a command on Ctrl-C or SIGTERM at any moment: one message, no traceback.

An exception (``KeyboardInterrupt``) does not end a command reliably: during the imports of compiled
modules, in destructors and in callbacks it is printed and lost. The handler below therefore ends
the process itself. It removes the temporary files of the process, ends its worker processes, and
exits with 130 (Ctrl-C) or 143 (SIGTERM). A second Ctrl-C ends it at once.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from subprocess import Popen

INTERRUPTED = (
    "interrupted; every written file is complete. Run the same command again: extract, "
    "precompute, measures, train, cross-validate and cross-corpus continue, other commands start "
    "from the beginning."
)
CLEANUP_S = 5  # s after which the process ends even if the removal of its files takes longer
ended_with_parent: set["Popen[bytes]"] = set()  # processes that are not of multiprocessing
_SHOW_CURSOR = b"\x1b[?25h\r\n"  # a progress bar hides it


def exit_on_signals() -> None:
    """Let Ctrl-C and SIGTERM end this process from now on.

    Signals that are ignored, for example after ``nohup``, stay ignored. Nothing is done outside of
    the main thread.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _Exit(os.getpid()))


def run_as_program(run: Callable[[], object]) -> NoReturn:
    """Run a program and end the process with its exit status; Ctrl-C ends it at any moment.

    The end of the interpreter, in which no handler of signals is called, takes up to a second
    after torch was imported. It is left out.

    Parameters
    ----------
    run : callable
        The program. It imports what it needs itself, because imports take seconds.
    """
    exit_on_signals()
    code: object = 0
    try:
        run()
    except SystemExit as end:
        code = end.code
    if not isinstance(code, int):
        if code is not None:
            print(code, file=sys.stderr)
        code = 0 if code is None else 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def exiting_on_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end this process inside a ``with`` block.

    Yields
    ------
    None
        The previous handlers are restored at the end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    exit_on_signals()
    try:
        yield
    finally:
        for number, handler in previous:
            signal.signal(number, handler)


@contextmanager
def interrupts_for_parent_only() -> Iterator[None]:
    """Start processes that Ctrl-C does not interrupt; the parent process ends them.

    Without it, a worker process that is interrupted during its imports prints a traceback.

    Yields
    ------
    None
        Processes that are started inside the ``with`` block never receive SIGINT.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing.resource_tracker import ensure_running

    ensure_running()  # its start, otherwise that of the first process, would unblock the signal
    # the mask is inherited by a new process. Another thread can still receive the signal: the
    # handler then waits, because a process that is started by half prints a traceback
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    exits = [handler for handler in handlers if isinstance(handler, _Exit)]
    for handler in exits:
        handler.n_waiting += 1
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for handler in exits:
            handler.n_waiting -= 1
            if handler.received is not None and not handler.n_waiting:
                handler(handler.received, None)


class _Exit:
    """A handler of signals that ends the process ``owner``."""

    def __init__(self, owner: int) -> None:
        self.owner = owner
        self.n_waiting = 0  # blocks in which processes are started
        self.received: int | None = None

    def __call__(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self.owner:  # a forked worker process inherits the handler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if self.n_waiting:
            self.received = number
            return
        code = 128 + number

        def exit_now(*_: Any) -> None:
            os._exit(code)

        for repeated in ("SIGINT", "SIGTERM", "SIGALRM"):
            if hasattr(signal, repeated):
                signal.signal(getattr(signal, repeated), exit_now)
        if hasattr(signal, "alarm"):
            signal.alarm(CLEANUP_S)
        with suppress(Exception):  # the process ends whatever happens
            sys.stdout.flush()
        with suppress(Exception):
            text = (
                INTERRUPTED
                if number == signal.SIGINT
                else INTERRUPTED.replace("interrupted", "terminated", 1)
            )
            os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + text.encode() + b"\n")
        with suppress(Exception):
            _end_workers()
        with suppress(Exception):
            _remove_temporaries()
        exit_now()


def _end_workers() -> None:
    for process in list(ended_with_parent):
        process.kill()
    if "multiprocessing.util" not in sys.modules:
        return
    import multiprocessing
    import multiprocessing.util

    for child in multiprocessing.active_children():
        child.kill()
    # removes the semaphores of the queues, which otherwise are reported as leaked
    multiprocessing.util._run_finalizers(0)  # type: ignore[attr-defined]


def _remove_temporaries() -> None:
    files: Any = sys.modules.get("depmm.files.writing")
    if files is not None:
        files.remove_own_temporaries()
