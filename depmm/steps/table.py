"""The table of steps: its rows, its writer, and the lines of a spec that read it."""

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from depmm.errors import DepmmError
from depmm.files.csv_text import to_csv
from depmm.files.writing import write_text
from depmm.schemas import TableSchema
from depmm.schemas.steps import STEP_PROBLEMS, STEP_TABLE

PARTICIPANT, OTHER = "participant", "other"
LOW_CONFIDENCE = 0.5  # steps below it are counted, and coloured in pages
_DECIMALS = 3  # of seconds and confidences in the file
_PATTERN_LETTERS = re.compile(r'[{}*\\"]')  # not literal in a pattern or in quoted YAML


class StepsError(DepmmError):
    """An input of ``depmm steps`` that cannot be used."""


@dataclass(frozen=True)
class Step:
    """One row of the table: a step of a recording.

    Attributes
    ----------
    path : str
        The recording, relative to the folder of the recordings.
    start_s, end_s : float
        Seconds from the start of the recording.
    text : str, optional
        Words spoken.
    speaker : str, optional
        ``PARTICIPANT``, ``OTHER``, or the name of a cluster of voices.
    confidence : float, optional
        Confidence of the method, 0 to 1.
    pause_before_s : float, optional
        Silence in seconds between the speech of the step before and that of this step.
    """

    path: str
    start_s: float
    end_s: float
    text: str | None = None
    speaker: str | None = None
    confidence: float | None = None
    pause_before_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < self.end_s < math.inf:
            raise ValueError(f"{self.path}: no step from {self.start_s} to {self.end_s} s")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"{self.path}: confidence {self.confidence} is not in [0, 1]")


@dataclass(frozen=True)
class StepProblem:
    """A recording, or a word of it, for which no step was found.

    Attributes
    ----------
    path : str
        The recording, relative to the folder of the recordings.
    problem : str
        What is wrong, and what to do.
    text : str, optional
        The word; None if the whole recording is meant.
    """

    path: str
    problem: str
    text: str | None = None


def problems_path(out: Path) -> Path:
    """Return the path of the table of problems.

    Parameters
    ----------
    out : Path
        The table of steps, for example ``words.csv``.

    Returns
    -------
    Path
        For example ``words.problems.csv``, in the same folder.
    """
    return out.with_name(f"{out.stem}.problems.csv")


def check_output(out: Path) -> None:
    """Check where the table is written, before the recordings are read.

    Parameters
    ----------
    out : Path
        The table.

    Raises
    ------
    StepsError
        If the name does not end with ``.csv``, or the folder does not exist.
    """
    if out.suffix != ".csv":
        raise StepsError(
            f"{out}: the table is a CSV file.", file=out, remedy="Give a name that ends with .csv."
        )
    if not out.parent.is_dir():
        raise StepsError(
            f"{out.parent}: not a folder.", file=out.parent, remedy="Make it, or correct --out."
        )


def write_steps(
    steps: Iterable[Step], problems: Iterable[StepProblem], out: Path
) -> tuple[list[str], Path | None]:
    """Write the table of steps, and next to it the table of problems if there are any.

    Both files are replaced atomically. A table of problems of an earlier run is removed. A table of
    steps with other rows, which may have been corrected by hand, is renamed.

    Parameters
    ----------
    steps : iterable of Step
        The steps, in any order; rows are sorted by recording and start.
    problems : iterable of StepProblem
        What has no step.
    out : Path
        The CSV file, see `check_output`.

    Returns
    -------
    columns : list of str
        The columns of the table; a column without a value in any row is left out.
    kept : Path or None
        New name of a table that had other rows, for example ``words.1.csv``.
    """
    ordered = sorted(steps, key=lambda step: (step.path, step.start_s, step.end_s))
    columns, text = _format(STEP_TABLE, [asdict(step) for step in ordered])
    kept = None
    if out.is_file() and out.read_bytes() != text.encode("utf-8", "backslashreplace"):
        kept = _rename(out)
    write_text(out, text)
    rows = [asdict(problem) for problem in problems]
    if rows:
        write_text(problems_path(out), _format(STEP_PROBLEMS, rows)[1])
    else:
        problems_path(out).unlink(missing_ok=True)
    return columns, kept


def _format(schema: TableSchema, rows: Sequence[dict[str, object]]) -> tuple[list[str], str]:
    """Return the names of the columns that have values, and the table as CSV."""
    optional = [column.name for column in schema.columns if not column.required]
    empty = {name for name in optional if all(row[name] is None for row in rows)}
    table = schema.build(
        [{name: value for name, value in row.items() if name not in empty} for row in rows]
    )
    return [str(name) for name in table.columns], to_csv(table.round(_DECIMALS))


def _rename(table: Path) -> Path:
    """Rename a table to the first free name of ``words.1.csv``, ``words.2.csv`` ..."""
    names = (table.with_name(f"{table.stem}.{number}.csv") for number in itertools.count(1))
    return table.rename(next(name for name in names if not name.exists()))


def spec_lines(out: Path, root: Path, columns: Sequence[str]) -> str:
    """Write the lines of a data spec that read the table.

    Parameters
    ----------
    out : Path
        The table.
    root : Path
        Folder of the recordings, which is indexed.
    columns : sequence of str
        The columns of the table.

    Returns
    -------
    str
        YAML, several lines.
    """
    resolved, folder = out.resolve(), root.resolve()
    inside = resolved.is_relative_to(folder)
    name = resolved.relative_to(folder).as_posix() if inside else out.name
    fields = {"start": "start_s", "end": "end_s", "text": "text"}
    used = ", ".join(f"{field}: {column}" for field, column in fields.items() if column in columns)
    lines = [
        "steps:",
        "  table:",
        f'    file: "{_PATTERN_LETTERS.sub("*", name)}"',
        "    join: {path: path}",
        f"    fields: {{{used}}}",
    ]
    if not inside:
        lines[2] += f"  # move the table into {root}"
    if "speaker" in columns:
        lines.append(f"    keep: {{speaker: [{PARTICIPANT}]}}")
        lines.append(f"    other_turns: {{speaker: [{OTHER}]}}  # give response latencies")
    return "\n".join(lines)
