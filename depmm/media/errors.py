"""The error of a file that cannot be decoded."""

from pathlib import Path
from typing import Any

from depmm.errors import DepmmError


class MediaError(DepmmError):
    """A recording, feature file or face model that cannot be used.

    Parameters
    ----------
    file : Path or str
        The file; the message begins with it.
    problem : str
        What is wrong with it, as a predicate or sentence after the file name.
    remedy : str, optional
        What to do about it, one sentence; it ends the message.
    **attributes
        Further attributes of :class:`depmm.errors.DepmmError`, for example ``column``.

    Attributes
    ----------
    problem : str
        As given, for tables that name the file in another column.
    """

    def __init__(
        self, file: Path | str, problem: str, remedy: str | None = None, **attributes: Any
    ) -> None:
        super().__init__(f"{file}: {problem}", file=file, remedy=remedy, **attributes)
        self.problem = problem
