"""Tables that a user gives for ``--by words``: word lists with onsets, and transcripts."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath

from depmm.corpora.tables.csv_files import read_csv
from depmm.corpora.tables.table_files import read_text
from depmm.errors import abbreviate
from depmm.steps.table import StepProblem, StepsError


@dataclass(frozen=True)
class Entry:
    """A word of a list, or a part of a transcript.

    Attributes
    ----------
    text : str
        The word, or the words.
    start_s : float or None
        Time at which the word was shown, or at which the part starts.
    end_s : float or None
        End; None if it is not known.
    """

    text: str
    start_s: float | None
    end_s: float | None


@dataclass
class Entries:
    """Rows of a table by recording.

    Attributes
    ----------
    source : Path
        The table or folder.
    by_path : dict of str to list of Entry
        Recording as the table names it -> its rows; the empty name is every recording.
    shared : dict of str to list of str
        File name without folders -> paths of the recordings, if several have this name.
    used : set of str
        Names that belong to a recording.
    """

    source: Path
    by_path: dict[str, list[Entry]]
    shared: dict[str, list[str]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def of(self, path: str) -> list[Entry]:
        """Return the rows of a recording.

        Parameters
        ----------
        path : str
            Path of the recording. The table may name it without its ending, and without its
            folders if no other recording has the same file name.

        Returns
        -------
        list of Entry
            The rows, in their order.

        Raises
        ------
        StepsError
            If there is none, or the table has only a file name that several recordings have.
        """
        bare = PurePosixPath(path).with_suffix("")
        exact = (path, str(bare))
        for name in (*exact, PurePosixPath(path).name, bare.name, ""):
            if name not in self.by_path:
                continue
            self.used.add(name)
            if name not in exact and name in self.shared:
                raise StepsError(
                    f"{name!r} in {self.source} may be any of {abbreviate(self.shared[name], 5)}.",
                    file=self.source,
                    column="path",
                    value=name,
                    remedy="Name each of them with its path relative to the folder of the "
                    "recordings.",
                )
            return self.by_path[name]
        raise StepsError(
            f"no row in {self.source}.",
            file=self.source,
            column="path",
            value=path,
            remedy="Add it, with the path relative to the folder of the recordings.",
        )

    def unused(self) -> Iterator[StepProblem]:
        """Yield a problem for each name that belongs to no recording.

        Yields
        ------
        StepProblem
            The problem.
        """
        for name in sorted(set(self.by_path) - self.used):
            yield StepProblem(name, f"no recording for this path of {self.source}. Correct it.")


def _shared_names(recordings: Iterable[str]) -> dict[str, list[str]]:
    """Find the file names, with and without ending, that recordings in several folders have."""
    by_name: defaultdict[str, set[str]] = defaultdict(set)
    for path in map(PurePosixPath, recordings):
        by_name[path.name].add(str(path))
        if path.suffix:  # the sound and the video of one name in a folder belong together
            by_name[path.stem].add(str(path.with_suffix("")))
    return {name: sorted(paths) for name, paths in by_name.items() if len(paths) > 1}


def read_word_list(path: Path, recordings: Iterable[str]) -> Entries:
    """Read a word list: which word was shown when.

    Parameters
    ----------
    path : Path
        CSV in UTF-8 with the columns ``text`` and ``onset_s``, optionally ``end_s``, and ``path``
        of the recording; without ``path``, the list holds for every recording.
    recordings : iterable of str
        Paths of the recordings.

    Returns
    -------
    Entries
        The rows, sorted by onset.

    Raises
    ------
    StepsError
        If the table cannot be read, a column is missing, a text is empty, or a time is not a
        number, not after the start, or given twice.
    """
    entries = _read_entries(path, "onset_s", ("text", "onset_s"), recordings)
    for name, rows in entries.by_path.items():
        rows.sort(key=lambda entry: entry.start_s or 0.0)
        for first, second in pairwise(rows):
            if first.start_s == second.start_s:
                where = f" of {name}" if name else ""
                raise StepsError(
                    f"{path}: {first.text!r} and {second.text!r}{where} have the same onset.",
                    file=path,
                    column="onset_s",
                    value=second.start_s,
                    remedy="Correct it; a recording has one word at a time.",
                )
    return entries


def read_transcripts(path: Path, recordings: Iterable[str]) -> Entries:
    """Read transcripts without the times of words.

    Parameters
    ----------
    path : Path
        CSV in UTF-8 with the columns ``path`` and ``text``, and optionally ``start_s`` and
        ``end_s`` of each row, for example of a turn; or a folder with one text file for each
        recording, with the same path but for the ending ``.txt``.
    recordings : iterable of str
        Paths of the recordings.

    Returns
    -------
    Entries
        The rows.

    Raises
    ------
    StepsError
        If the table cannot be read, a column is missing, or a time is not a number.
    """
    if not path.is_dir():
        return _read_entries(path, "start_s", ("path", "text"), recordings)
    files = sorted(file for file in path.rglob("*.txt") if not file.name.startswith("."))
    by_path = {
        file.relative_to(path).with_suffix("").as_posix(): [
            Entry(" ".join(read_text(file, str(file)).split()), None, None)
        ]
        for file in files
    }
    if not by_path:
        raise StepsError(
            f"{path}: no text file.", file=path, remedy="Give one NAME.txt for each recording."
        )
    return Entries(path, by_path, _shared_names(recordings))


def _read_entries(
    path: Path, start: str, needed: tuple[str, ...], recordings: Iterable[str]
) -> Entries:
    names, rows = read_csv(path, needed, StepsError)
    by_path: dict[str, list[Entry]] = {}
    for line, cells in rows:
        row = dict(zip(names, cells, strict=True))
        if not row["text"]:
            raise _error(path, line, "text", "", "it is empty.")
        start_s, end_s = (
            _seconds(path, line, name, row.get(name, "")) for name in (start, "end_s")
        )
        if start in needed and start_s is None:
            raise _error(path, line, start, "", "it is empty.")
        if end_s is not None and end_s <= (start_s or 0.0):
            raise _error(path, line, "end_s", row["end_s"], "it is not after the start.")
        by_path.setdefault(row.get("path", ""), []).append(Entry(row["text"], start_s, end_s))
    if not by_path:
        raise StepsError(f"{path}: no row.", file=path, remedy="Give one row per word or turn.")
    return Entries(path, by_path, _shared_names(recordings))


def _seconds(path: Path, line: int, column: str, cell: str) -> float | None:
    if not cell:
        return None
    try:
        seconds = float(cell)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise _error(path, line, column, cell, "it is not a number of seconds.")
    return seconds


def _error(path: Path, line: int, column: str, cell: str, problem: str) -> StepsError:
    return StepsError(
        f"{path}, line {line}: {column} is {cell!r}: {problem}",
        file=path,
        line=line,
        column=column,
        value=cell,
        remedy="Correct the row.",
    )
