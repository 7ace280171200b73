"""The error of a file that cannot be decoded."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from depmm.errors import DepmmError

logger = logging.getLogger(__name__)


class MediaError(DepmmError):
    """A recording, feature file or face model that cannot be used.

    Parameters
    ----------
    file : Path or str
        The file; the message begins with it.
    problem : str
        What is wrong, as a predicate or sentence after the file name.
    remedy : str, optional
        What to do about it, one sentence at the end of the message.
    **attributes
        Further attributes of :class:`depmm.errors.DepmmError`, for example ``column``.

    Attributes
    ----------
    problem : str
        The parameter, for tables that have the file in another column.
    """

    def __init__(
        self, file: Path | str, problem: str, remedy: str | None = None, **attributes: Any
    ) -> None:
        super().__init__(f"{file}: {problem}", file=file, remedy=remedy, **attributes)
        self.problem = problem


def as_media_error(file: Path | str, error: Exception) -> MediaError:
    """Turn any exception of a decoder or reader into a media error.

    Parameters
    ----------
    file : Path or str
        The file that was read.
    error : Exception
        The exception.

    Returns
    -------
    MediaError
        ``error`` itself if it is one.
    """
    if isinstance(error, MediaError):
        return error
    if isinstance(error, OSError):
        return MediaError(
            file,
            f"the system cannot read it ({error.strerror or error}).",
            "Check the disk and the permissions of the file, or copy it to another place.",
            value=error.errno,
        )
    if isinstance(error, MemoryError):
        return MediaError(
            file,
            "its reader needs more memory than this computer has.",
            "Check the file, or extract it with fewer workers.",
        )
    logger.debug("%s: unexpected error of a decoder", file, exc_info=error)
    return MediaError(
        file,
        f"the decoder failed unexpectedly ({type(error).__name__}: {error}).",
        "Check the file, and report this as a bug of depmm.",
    )


@contextmanager
def media_errors(file: Path | str) -> Iterator[None]:
    """Turn every exception inside the context into a media error.

    Parameters
    ----------
    file : Path or str
        The file that is read.

    Yields
    ------
    None

    Raises
    ------
    MediaError
        In place of any exception.
    """
    try:
        yield
    except Exception as error:
        raised = as_media_error(file, error)
        if raised is error:
            raise
        raise raised from error
