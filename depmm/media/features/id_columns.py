"""Find columns that tell apart several rows of one time, for example the faces of a video frame."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

# names of columns, in lower case
ID_NAMES = ("id", "*_id", "face", "person", "track", "speaker", "subject", "participant", "object")
QUALITY_NAMES = ("confidence", "*_confidence", "score", "*_score", "prob*", "quality")
CLOCK_NAMES = ("timestamp", "time", "frametime", "frame")  # if the stream has no column of times
MAX_VALUES = 4096  # different values of an id column that are remembered
MAX_LISTED = 8


@dataclass
class _Values:
    """What is known about an id column."""

    n_differing: int = 0  # rows with the time of the row above and another value
    seen: dict[Any, None] = field(default_factory=dict)

    def recur(self, n_rows: int) -> bool:
        """Return whether the values come again from row to row, unlike the id of a row."""
        return len(self.seen) <= min(n_rows // 2, MAX_VALUES - 1)


@dataclass
class IdColumns:
    """Candidates for ``select`` of a stream, and whether they differ between rows of one time.

    A face keeps its id from time to time. Therefore a column tells apart the rows of one time if it
    has few different values; the id of a word or row, which never comes again, does not.
    """

    _ids: dict[str, _Values] = field(default_factory=dict)
    _names: list[str] = field(default_factory=list)
    _last: pd.DataFrame | None = None  # the last row of the block before

    def add(self, names: list[str], rows: pd.DataFrame, time: str | None) -> None:
        """Compare the rows of a block with the rows above.

        Parameters
        ----------
        names : list of str
            Names of the columns.
        rows : DataFrame
            Rows of the table; columns are named by their positions.
        time : str or None
            Column of the times; by default a column with the name of one.
        """
        lower = [name.lower() for name in names]
        clock = next((lower.index(name) for name in CLOCK_NAMES if name in lower), None)
        if time is not None:
            clock = names.index(time)
        self._names = names
        ids = [index for index, name in enumerate(names) if _matches(name, ID_NAMES)]
        if clock is None or not ids:
            return
        used = rows[[clock, *ids]]
        if self._last is not None:
            used = pd.concat([self._last, used])
        same_time = used[clock].to_numpy()[1:] == used[clock].to_numpy()[:-1]
        for index in ids:
            values = self._ids.setdefault(names[index], _Values())
            if same_time.any():
                cells = used[index].to_numpy()
                values.n_differing += int((same_time & (cells[1:] != cells[:-1])).sum())
            if len(values.seen) < MAX_VALUES:
                values.seen |= dict.fromkeys(used[index].unique()[:MAX_VALUES].tolist())
        self._last = used.iloc[-1:]

    def differing(self, n_rows: int) -> tuple[str, int, str] | None:
        """Find the column that tells apart the rows of one time.

        Parameters
        ----------
        n_rows : int
            Rows of the file.

        Returns
        -------
        tuple of (str, int, str), or None
            Its name, the number of rows with another value than the row above of the same time, and
            its first values.
        """
        for name, values in self._ids.items():
            if values.n_differing and values.recur(n_rows):
                return name, values.n_differing, ", ".join(list_values(values.seen))
        return None

    def several(self, n_rows: int) -> tuple[str, int, str] | None:
        """Find an id column with several values.

        Parameters
        ----------
        n_rows : int
            Rows of the file.

        Returns
        -------
        tuple of (str, int, str), or None
            Its name, the number of its values, and the first of them.
        """
        for name, values in self._ids.items():
            if len(values.seen) > 1 and values.recur(n_rows):
                return name, len(values.seen), ", ".join(list_values(values.seen))
        return None

    def several_ids_hint(self) -> str:
        """Write how to choose one of the ids of a file.

        Returns
        -------
        str
            As :meth:`selection_hint`; empty if no id column has several values.
        """
        names = tuple(name for name, values in self._ids.items() if len(values.seen) > 1)
        return self.selection_hint(names) if names else ""

    def selection_hint(self, ids: tuple[str, ...]) -> str:
        """Write how to choose one row per time.

        Parameters
        ----------
        ids : tuple of str
            Columns that tell apart the rows.

        Returns
        -------
        str
            One sentence; it lists the columns of the table if none of them is a candidate.
        """
        choices = [
            f"select: {{column: {name}, value: {list_values(self._ids[name].seen)[0]}}}"
            for name in ids
        ]
        qualities = [name for name in self._names if _matches(name, QUALITY_NAMES)]
        choices += [f"select: {{column: {name}, keep: largest}}" for name in qualities[:1]]
        remark = ""
        if not choices:
            choices = ["select: {column: ..., keep: largest}"]
            remark = f" (columns: {', '.join(self._names[:12])[:200]})"
        stream = "of the stream in the data spec"
        return f"Choose one row per time with {' or '.join(choices)} {stream}{remark}."


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in patterns)


def list_values(values: Iterable[Any]) -> list[str]:
    """Format the first values of a column for a message.

    Parameters
    ----------
    values : iterable of object
        The values.

    Returns
    -------
    list of str
        At most ``MAX_LISTED`` values, and ``"..."`` if there are more.
    """
    listed = [f"{v:g}" if isinstance(v, float) else str(v)[:40] for v in values]
    return [*listed[:MAX_LISTED], *(["..."] if len(listed) > MAX_LISTED else [])]
