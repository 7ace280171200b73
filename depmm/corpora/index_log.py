"""Collect what concerns one file, session or row while a corpus is indexed.

An error in a file of one session concerns this session: it is left out, with one entry in the
report. An error in any other table makes the labels of several sessions doubtful, and is raised.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from depmm.corpora.errors import ManifestError
from depmm.corpora.index_report import IndexFailure, LeftOut
from depmm.errors import abbreviate, fold

_MAX_VALUES = 20  # values of which the report counts the rows


@dataclass
class IndexLog:
    """Failures of single files and sessions.

    Attributes
    ----------
    own_files : set of str
        Recordings, and tables whose name determines a subject or session.
    failures : list of IndexFailure
        One entry per file and kind of error.
    errors : list of ManifestError
        The errors of ``failures``.
    """

    own_files: set[str] = field(default_factory=set)
    failures: list[IndexFailure] = field(default_factory=list)
    errors: list[ManifestError] = field(default_factory=list)

    def raise_unless_own(self, error: ManifestError) -> None:
        """Raise an error that does not concern a single session.

        Parameters
        ----------
        error : ManifestError
            The error.

        Raises
        ------
        ManifestError
            ``error``, if its file is not one of ``own_files``.
        """
        if not self.is_own(error):
            raise error

    def is_own(self, error: ManifestError) -> bool:
        """Check that an error concerns the sessions of one file.

        Parameters
        ----------
        error : ManifestError
            The error.

        Returns
        -------
        bool
            Whether its file is one of ``own_files``.
        """
        return error.file is not None and str(error.file) in self.own_files

    def combined_error(self, root: Path) -> ManifestError:
        """Build the error of a corpus of which no session can be used.

        Parameters
        ----------
        root : Path
            Folder of the corpus.

        Returns
        -------
        ManifestError
            The first errors, with the attributes of the first.
        """
        first = self.errors[0]
        messages = [str(error) for error in self.errors[:5]]
        if len(self.errors) > 5:
            messages.append(f"... and {len(self.errors) - 5} more")
        return ManifestError(
            f"{root}: no session can be used:\n  " + "\n  ".join(messages),
            setting=first.setting,
            file=first.file,
            line=first.line,
            column=first.column,
            session=first.session,
            value=first.value,
        )

    def add(self, error: ManifestError, left_out: str) -> None:
        """Record the error of a file.

        Parameters
        ----------
        error : ManifestError
            The error.
        left_out : str
            What is not in the manifest because of it.
        """
        self.errors.append(error)
        self.failures.append(
            IndexFailure(
                file=str(error.file),
                line=error.line,
                column=error.column,
                value=None if error.value is None else str(error.value)[:200],
                message=str(error),
                left_out=left_out,
            )
        )


def describe_sessions(sessions: Iterable[str]) -> str:
    """Describe the sessions that are left out.

    Parameters
    ----------
    sessions : iterable of str
        Session ids.

    Returns
    -------
    str
        For example ``"session S1"`` or ``"3 sessions: S1, S2, S3"``.
    """
    names = sorted(set(sessions))
    if not names:
        return "no session"
    if len(names) == 1:
        return f"session {names[0]}"
    return f"{len(names)} sessions: {abbreviate(names, at_most=5)}"


def count_left_out(
    source: str,
    unit: str,
    n_total: int,
    left_out: Counter[tuple[str, str]],
    keep: Mapping[str, list[str]],
    drop: Mapping[str, list[str]],
    used: Mapping[str, set[str]],
    example: str = "",
) -> Iterator[LeftOut]:
    """Count what ``keep`` and ``drop`` exclude, per value.

    Parameters
    ----------
    source : str
        Pattern or table.
    unit : {"files", "rows", "steps"}
        What is counted.
    n_total : int
        Number of files or rows, those that are left out included.
    left_out : Counter of tuple of (str, str)
        Field or column, and value -> number.
    keep, drop : mapping of str to list of str
        The rules.
    used : mapping of str to set of str
        Column under ``drop`` -> values that are used.
    example : str, optional
        A file, or file and line, that is left out.

    Yields
    ------
    LeftOut
        The counts, if something is left out or should probably be.
    """
    n_left_out = left_out.total()
    ordered = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    values = {f"{name} {value[:80]!r}": count for (name, value), count in ordered[:_MAX_VALUES]}
    if len(ordered) > _MAX_VALUES:
        others = sum(count for _, count in ordered[_MAX_VALUES:])
        values[f"{len(ordered) - _MAX_VALUES} other values"] = others
    hints = [_hint(name, value, keep[name], "keep") for name, value in left_out if name in keep]
    hints += [_hint(name, value, drop[name], "drop") for name in used for value in used[name]]
    hints = sorted(set(filter(None, hints)))[:_MAX_VALUES]
    if n_left_out or hints:
        yield LeftOut(source, unit, n_total - n_left_out, n_left_out, values, tuple(hints), example)


def _hint(name: str, value: str, listed: list[str], rule: str) -> str:
    """Name a listed value that differs from ``value`` only in case, blanks or hyphens."""
    for other in listed:
        if value and fold(other) == fold(value):
            return (
                f"{name} {value!r} differs from {other!r} only in case, blanks or hyphens; add it "
                f"to {rule}: if it means the same"
            )
    return ""
