"""Warnings of readers: a recording was read, but a user must know something about it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class MediaWarning:
    """A property of a file that may make its data unsuitable, although the file can be read.

    Attributes
    ----------
    name : str
        Identifier, for example ``digital_silence``.
    problem : str
        What was found, with the measured numbers: a predicate or sentence after the file name.
    remedy : str
        What to do about it, one sentence.
    value : float, optional
        The number that was measured.
    """

    name: str
    problem: str
    remedy: str
    value: float | None = None


Warn = Callable[[MediaWarning], None]
"""Called by a reader with each warning about the file, before the file is closed."""


def ignore_warnings(warning: MediaWarning) -> None:
    """Ignore a warning, for callers that only need the data.

    Parameters
    ----------
    warning : MediaWarning
        The warning.
    """


def once_per_name(warn: Warn) -> Warn:
    """Pass on the first warning of each name.

    Parameters
    ----------
    warn : callable
        Receives the warnings.

    Returns
    -------
    callable
        A function for the warnings about one file, which may be read several times.
    """
    names: set[str] = set()

    def warn_once(warning: MediaWarning) -> None:
        if warning.name not in names:
            names.add(warning.name)
            warn(warning)

    return warn_once
