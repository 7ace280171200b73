"""Errors of a store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from depmm.errors import DepmmError
from depmm.files.system_errors import explain_system_error


class StoreError(DepmmError):
    """A session that is not in the store, or a store or file that cannot be read."""


class StoreWriteError(StoreError):
    """A store that cannot be written, which is not a fault of a recording."""


@contextmanager
def writing(path: str | Path | None = None) -> Iterator[None]:
    """Turn errors of the file system into errors of the store.

    Parameters
    ----------
    path : str or Path, optional
        What is written; by default, the file that the error names.

    Raises
    ------
    StoreWriteError
        If the file system refuses to write.
    """
    try:
        yield
    except OSError as error:
        target, cause, remedy = explain_system_error(error, path)
        raise StoreWriteError(
            f"{target or 'the store'}: cannot be written ({cause}).",
            file=target,
            value=error.errno,
            remedy=f"{remedy}, and run the same command again: stored sessions are kept.",
        ) from error


def damaged_file(path: str | Path, problem: str) -> StoreError:
    """Build the error of a session file with wrong content.

    Parameters
    ----------
    path : str or Path
        The file.
    problem : str
        Why it cannot be read.

    Returns
    -------
    StoreError
        The error, to be raised.
    """
    return StoreError(
        f"{path}: the file is damaged, or not a session of a store ({problem}).",
        file=path,
        remedy="Run depmm extract again, which replaces it.",
    )


def unreadable_file(path: str | Path, error: OSError) -> StoreError:
    """Build the error of a file that the system cannot read.

    Parameters
    ----------
    path : str or Path
        The file.
    error : OSError
        Why it cannot be read.

    Returns
    -------
    StoreError
        The error, to be raised.
    """
    return StoreError(
        f"{path}: cannot be read ({error.strerror or error}).",
        file=path,
        value=error.errno,
        remedy="Check the disk and the permissions of the file, or run depmm extract again.",
    )
