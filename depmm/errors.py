"""Base class of all errors that a user can repair; suggestions and lists of names for messages."""

import copyreg
import difflib
import itertools
import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any


class DepmmError(ValueError):
    """An input that cannot be used: what is wrong, where, and what to do.

    All errors of depmm that a user can repair are subclasses. The attributes locate the fault, so
    that programs and tests do not have to parse the message.

    Parameters
    ----------
    message : str
        What is wrong, where, and what to do, in that order.
    setting : str, optional
        Dotted name of the setting, for example ``training.epochs``.
    file : Path or str, optional
        File or folder with the fault.
    line : int, optional
        Line in ``file``, counted from 1.
    column : str, optional
        Column of a table.
    subject : str, optional
        Subject id.
    session : str, optional
        Session id.
    value : object, optional
        The value that cannot be used.
    remedy : str, optional
        What to do; it is appended to ``message``.
    """

    def __init__(
        self,
        message: str,
        *,
        setting: str | None = None,
        file: Path | str | None = None,
        line: int | None = None,
        column: str | None = None,
        subject: str | None = None,
        session: str | None = None,
        value: Any = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(f"{message} {remedy}" if remedy else message)
        self.setting = setting
        # a path would lose one of the slashes of a URL
        is_url = isinstance(file, str) and "://" in file
        self.file = file if file is None or is_url else Path(file)
        self.line = line
        self.column = column
        self.subject = subject
        self.session = session
        self.value = value
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the final message and the attributes, in another process too."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


def closest(value: str, known: Iterable[str]) -> str | None:
    """Find the known name that is most similar to ``value``.

    A name that differs only in case, blanks or the width of its letters comes first.

    Parameters
    ----------
    value : str
        The unknown name.
    known : iterable of str
        The known names.

    Returns
    -------
    str or None
        The closest name; None if no name is similar.
    """
    known = list(known)
    folded = fold(value)
    equal = (name for name in known if fold(name) == folded)
    return next(equal, None) or next(iter(difflib.get_close_matches(value, known, n=1)), None)


def fold(text: str) -> str:
    """Return a text without the differences that are easily overlooked.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    str
        The text in compatible composed Unicode (NFKC), without case, blanks and hyphens.
    """
    return re.sub(r"[\s_\-\u200b\ufeff]+", "", unicodedata.normalize("NFKC", text).casefold())


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Write the remedy for an unknown name: the closest known name, or all known names.

    Parameters
    ----------
    value : str
        The unknown name.
    known : iterable of str
        The known names.

    Returns
    -------
    str
        One sentence.
    """
    known = list(known)
    suggestion = closest(value, known)
    return (
        f"Did you mean {suggestion!r}?" if suggestion else f"Known: {', '.join(known) or 'none'}."
    )


def count_of(number: int, noun: str) -> str:
    """Write a number and a regular noun, ``1 session`` or ``2 sessions``.

    Parameters
    ----------
    number : int
        The number.
    noun : str
        The noun, in the singular.

    Returns
    -------
    str
        The text.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def abbreviate(names: Collection[str], at_most: int = 10, separator: str = ", ") -> str:
    """Join the first names, and append the number of the others.

    Parameters
    ----------
    names : collection of str
        All names.
    at_most : int, default 10
        Number of names in the text.
    separator : str, default ", "
        Text between two names.

    Returns
    -------
    str
        For example ``a, b, c and 4 more``.
    """
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return separator.join(itertools.islice(names, at_most)) + more


def similar_path(path: Path) -> str | None:
    """Write the remedy for a path that does not exist: the most similar path that does.

    Parameters
    ----------
    path : Path
        The path.

    Returns
    -------
    str or None
        One sentence; None if no path is similar.
    """
    current = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        name: str | None = part
        if not (current / part).exists():
            try:
                folders = [entry.name for entry in current.iterdir() if entry.is_dir()]
            except OSError:
                return None
            name = closest(part, folders)
        if name is None:
            return None
        current /= name
    return f"Did you mean {current}?" if current != path else None
