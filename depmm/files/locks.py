"""Locks between processes, so that two commands do not write the same files.

A lock is held by an open file and not by its existence: the system releases it when the process
ends, however it ends. The file names the process that holds the lock and is removed at the end.
"""

import errno
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from depmm.errors import DepmmError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

POLL_S = 0.02  # s, between two attempts to take a lock
_HELD: set[int] = set()  # descriptors of the locks of this process
_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NOT_SUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_TAKEN = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)

logger = logging.getLogger(__name__)


class LockedError(DepmmError):
    """Files that another process is writing."""


@contextmanager
def locked(path: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock, which one process at a time can hold.

    Parameters
    ----------
    path : Path
        File of the lock, in an existing folder.
    wait_s : float, default 0
        How long to wait for a process that holds the lock, in seconds.

    Yields
    ------
    None
        While the lock is held.

    Raises
    ------
    LockedError
        If another process holds the lock; the message names it.
    """
    if fcntl is None:
        yield
        return
    descriptor = _acquire(path, time.monotonic() + wait_s)
    _HELD.add(descriptor)
    try:
        yield
    finally:
        _HELD.discard(descriptor)
        with suppress(OSError):  # the folder may have been removed
            path.unlink()
        os.close(descriptor)


@contextmanager
def locked_folder(folder: Path, purpose: str) -> Iterator[None]:
    """Create a folder and hold a lock of it; a new folder that stays empty is removed.

    Parameters
    ----------
    folder : Path
        The folder.
    purpose : str
        Name of the lock; commands of different purposes may write at the same time.

    Yields
    ------
    None
        While the lock is held.

    Raises
    ------
    LockedError
        If another process holds the lock.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / f".depmm.{purpose}.lock"):
            yield
    finally:
        if is_new:
            with suppress(OSError):  # not empty
                folder.rmdir()


def _acquire(path: Path, deadline: float) -> int:
    while True:
        descriptor = os.open(path, _OPEN, 0o666)
        try:
            if os.fstat(descriptor).st_nlink > 1:  # writing would change the other file
                raise OSError(errno.EMLINK, "it is a link to another file", str(path))
            if _try_lock(descriptor, path):
                # the last holder may have removed the file between open and lock
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(descriptor), path.stat()):
                        os.ftruncate(descriptor, 0)
                        os.write(descriptor, _describe_process().encode())
                        return descriptor
            elif time.monotonic() >= deadline:
                raise _locked_error(path, descriptor)
            else:
                time.sleep(POLL_S)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _try_lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        if error.errno not in _NOT_SUPPORTED:
            raise
        logger.warning(
            "%s: the file system has no locks (%s). Make sure that no other process writes into "
            "this folder.",
            path.parent,
            error.strerror,
        )
    return True


def _describe_process() -> str:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()}, since {now}"


def _locked_error(path: Path, descriptor: int) -> LockedError:
    # never longer than a line; empty if the process has not yet written it
    text = os.pread(descriptor, 300, 0).decode("utf-8", "replace")
    holder = "".join(letter for letter in text if letter.isprintable()) or "another process"
    return LockedError(
        f"{path.parent}: another command is writing into this folder ({holder}).",
        file=path.parent,
        value=holder,
        remedy="Wait until it has ended, or write into another folder.",
    )


def _close_in_child() -> None:
    """Close inherited locks, so that worker processes do not hold them longer than their parent."""
    for descriptor in _HELD:
        with suppress(OSError):
            os.close(descriptor)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
