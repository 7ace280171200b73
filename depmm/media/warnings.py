"""Warnings of readers: a recording was read, but a user must know something about it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

MAX_NAMED_FILES = 3  # files with the same problem that are named in one line


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


class PendingWarnings:
    """Keep warnings until it is certain that they concern what is read.

    Parameters
    ----------
    warn : callable
        Receives the warnings after :meth:`release`.
    """

    def __init__(self, warn: Warn) -> None:
        self._warn = warn
        self._kept: list[MediaWarning] = []
        self._is_released = False

    def __call__(self, warning: MediaWarning) -> None:
        """Receive a warning.

        Parameters
        ----------
        warning : MediaWarning
            The warning.
        """
        if self._is_released:
            self._warn(warning)
        else:
            self._kept.append(warning)

    def release(self) -> None:
        """Pass on the warnings that were kept, and the later ones."""
        self._is_released = True
        for warning in self._kept:
            self._warn(warning)


def group_problems(problems: Iterable[tuple[str, str]]) -> list[str]:
    """Write one line per problem, with the files that have it.

    Parameters
    ----------
    problems : iterable of tuple of (str, str)
        File and problem.

    Returns
    -------
    list of str
        For example ``"3 files (a.wav, b.wav, c.wav): the sound is clipped."``, in the order of the
        first file with each problem.
    """
    files: dict[str, dict[str, None]] = {}
    for file, problem in problems:
        files.setdefault(problem, {})[file] = None
    return [f"{_describe_files(list(names))}: {problem}" for problem, names in files.items()]


def _describe_files(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    more = ", ..." if len(names) > MAX_NAMED_FILES else ""
    return f"{len(names)} files ({', '.join(names[:MAX_NAMED_FILES])}{more})"
