"""Atomic writes: other processes read the previous file or the complete new file.

Temporary files lie in the folder of the target, are hidden (``.depmm-*``), and are created
exclusively: a link with their name is never followed. A target that is a link is replaced; the file
behind it is not changed. Permissions follow the umask.
"""

import hashlib
import os
import re
import shutil
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

TEMPORARY_PREFIX = ".depmm-"
LEFTOVER_AGE = 24 * 3600.0  # s, after which a temporary file of an unknown process is removed
_own: set[Path] = set()  # temporary files and folders of this process
_EXCLUSIVE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``, and rename it to ``path`` on success.

    On an error, the temporary file is removed and ``path`` is not changed.

    Parameters
    ----------
    path : Path
        The file to write; its folder must exist.

    Yields
    ------
    Path
        An empty new file with the same suffix; the caller writes this file.
    """
    remove_leftovers(path.parent)
    temporary = temporary_path(path.parent, path.suffix)
    mode = _create(temporary)
    _own.add(temporary)
    try:
        with _naming(path):
            yield temporary
            _rename(temporary, path, mode)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        _own.discard(temporary)


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield a new hidden folder inside ``folder``, which is removed at the end.

    Parameters
    ----------
    folder : Path
        An existing folder.

    Yields
    ------
    Path
        The new folder, which only the user can read.
    """
    remove_leftovers(folder)
    temporary = temporary_path(folder)
    temporary.mkdir(mode=0o700)
    _own.add(temporary)
    try:
        with _naming(folder):
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _own.discard(temporary)


def temporary_path(folder: Path, suffix: str = "") -> Path:
    """Make the path of a temporary file, which names the process that owns it.

    Parameters
    ----------
    folder : Path
        Folder of the file.
    suffix : str, optional
        Suffix of the file, with its dot.

    Returns
    -------
    Path
        A unique hidden path, which does not exist.
    """
    # unique: several processes and threads may write the same file at the same time
    name = f"{TEMPORARY_PREFIX}{_process_space()}-{os.getpid()}-{uuid.uuid4().hex}{suffix}"
    return folder / name


def remove_own_temporaries() -> None:
    """Remove the temporary files and folders of this process, which is about to end."""
    for path in list(_own):
        with suppress(OSError):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def remove_leftovers(folder: Path, again: bool = False) -> None:
    """Remove the temporary files that killed processes left in a folder.

    A temporary file is removed if its process has ended. If this cannot be known, because it was
    written on another computer or in another container, it is removed after `LEFTOVER_AGE`. Every
    folder is searched once per process.

    Parameters
    ----------
    folder : Path
        The folder; its subfolders are not searched.
    again : bool, default False
        Whether the folder is searched again, after the end of a worker process.
    """
    if again:
        _remove_leftovers.cache_clear()
    _remove_leftovers(folder.absolute(), os.getpid())


@cache
def _remove_leftovers(folder: Path, pid: int) -> None:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(TEMPORARY_PREFIX) and _is_leftover(entry):
                with suppress(OSError):  # another process may remove it too
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        os.unlink(entry.path)


def _is_leftover(entry: os.DirEntry[str]) -> bool:
    space, _, rest = entry.name.removeprefix(TEMPORARY_PREFIX).partition("-")
    pid = rest.partition("-")[0]
    if os.name == "posix" and space == _process_space() and pid.isascii() and pid.isdigit():
        return not _is_running(int(pid))
    with suppress(OSError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFTOVER_AGE
    return False


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # tests the existence only
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Tell whether a process has ended, but its parent has not asked for its exit status.

    The first process of a container often never asks, and orphans are its children.
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:1]
    except OSError:  # the process is gone by now, or there is no /proc
        return False
    return state == [b"Z"]


@cache
def _process_space() -> str:
    """Return a short digest of the computer and container in which process ids are valid."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # equal host names may be other containers
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:8]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the path to errors of the system while a file is written, such as a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    except Exception as error:  # safetensors has an error of its own, with a text of Rust
        if (code := re.search(r"\(os error (\d+)\)", str(error))) is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error


def _create(path: Path) -> int:
    """Create an empty file that did not exist, and return its permissions."""
    descriptor = os.open(path, _EXCLUSIVE, 0o666)  # the system subtracts the umask
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _rename(source: Path, target: Path, mode: int) -> None:
    # safetensors, for example, gives its files the permissions of private temporary files
    if stat.S_IMODE(source.lstat().st_mode) != mode:
        source.chmod(mode)
    source.replace(target)


def write_text(path: Path, text: str) -> None:
    r"""Write a text file in UTF-8, atomically.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    text : str
        Its content; line ends are not changed. Surrogates, which stand for bytes of a file name
        that are not UTF-8, are written as ``\udc..`` (in JSON, this is the same text).
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file, atomically.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    content : bytes
        Its content.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)
