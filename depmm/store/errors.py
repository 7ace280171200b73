"""Errors of a store."""

from pathlib import Path

from depmm.errors import DepmmError


class StoreError(DepmmError):
    """A session that is not in the store, or a store or file that cannot be read."""


def damaged_file(path: str | Path, error: Exception) -> StoreError:
    """Build the error of a session file that cannot be read.

    Parameters
    ----------
    path : str or Path
        The file.
    error : Exception
        Why it cannot be read.

    Returns
    -------
    StoreError
        The error, to be raised.
    """
    return StoreError(
        f"{path}: not a session of a store ({error}).",
        file=path,
        remedy="Run depmm extract again.",
    )
