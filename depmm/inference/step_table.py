"""Read the steps of a recording from a table."""

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from depmm.corpora.tables.csv_files import read_csv
from depmm.inference.errors import InferenceError
from depmm.schemas.manifest import VALENCES
from depmm.steps.table import OTHER, PARTICIPANT

STEP_COLUMNS = ("start_s", "end_s", "text", "valence")
# further columns of the tables of ``depmm steps``
TABLE_COLUMNS = ("path", "speaker", "confidence", "pause_before_s")
TOLERANCE_S = 0.1  # the last step may end this much after the file: a few frames


def read_steps(path: Path, duration_s: float, recording: Path | None = None) -> pd.DataFrame:
    """Read and check the table of the steps of a recording.

    Parameters
    ----------
    path : Path
        CSV in UTF-8 with the columns start_s and end_s, in seconds, and optionally text and
        valence, or a table of ``depmm steps``. An empty end_s is the end of the recording.
    duration_s : float
        Length of the recording, in seconds.
    recording : Path, optional
        The recording, whose rows are read if the table has a column path.

    Returns
    -------
    DataFrame
        Columns ``STEP_COLUMNS``, one row per step, null where empty. If the table has a column
        speaker, the turns of the other speaker are left out, and ``previous_end_s`` is the end of
        such a turn before a step, as ``other_turns`` in a data spec.

    Raises
    ------
    InferenceError
        If the table cannot be read or is empty, the participant is not chosen, a column is missing
        or unknown, a valence is unknown, a time is not a number, a step does not end after its
        start, steps are not sorted by start, a step is not inside the recording, or no row is one
        of the recording.
    """
    steps = _read_cells(path)
    if "path" in steps:
        steps = _rows_of(steps, path, recording)
    for name in STEP_COLUMNS[:2]:
        steps[name] = _to_seconds(steps[name], path)
    _check_times(steps, path, duration_s)
    if "speaker" in steps:
        steps = _leave_out_others(steps, path)
    steps = steps.drop(columns=[name for name in TABLE_COLUMNS if name in steps])
    wrong = steps["valence"].notna() & ~steps["valence"].isin(VALENCES)
    if wrong.any():
        row = _first(wrong)
        valence = steps["valence"][row]
        raise InferenceError(
            f"{path}, step {row}: valence {valence!r} is unknown.",
            file=path,
            line=row + 2,
            column="valence",
            value=valence,
            remedy=f"Use one of {', '.join(VALENCES)}.",
        )
    return steps.reset_index(drop=True)


def names_recordings(path: Path) -> bool:
    """Tell whether a table of steps has a column path, and thus rows of several recordings.

    Parameters
    ----------
    path : Path
        CSV in UTF-8.

    Returns
    -------
    bool
        Whether it has.

    Raises
    ------
    InferenceError
        If the table cannot be read.
    """
    return "path" in _read_cells(path)


def _read_cells(path: Path) -> pd.DataFrame:
    """Read the table as text, with all columns and with null for empty cells."""
    optional = (*STEP_COLUMNS[2:], *TABLE_COLUMNS)
    names, rows = read_csv(path, STEP_COLUMNS[:2], InferenceError, optional=optional)
    table = pd.DataFrame([cells for _, cells in rows], columns=names, dtype="str")
    if table.empty:
        raise InferenceError(
            f"{path}: the table has no rows.", file=path, remedy="Give one row per step."
        )
    further = [name for name in TABLE_COLUMNS if name in names]
    cells = table.reindex(columns=[*STEP_COLUMNS, *further], fill_value="")
    filled: pd.DataFrame = cells.astype(object).where(cells != "", None)
    return filled


def _rows_of(steps: pd.DataFrame, path: Path, recording: Path | None) -> pd.DataFrame:
    """Select the rows of one recording: of the longest path with which its path ends."""
    parts = () if recording is None else PurePosixPath(recording.resolve().as_posix()).parts
    paths = [str(name) for name in steps["path"].unique()]
    found = [name for name in paths if parts[-len(end := PurePosixPath(name).parts) :] == end]
    if not found:
        raise InferenceError(
            f"{path}: no row of the column path is of {recording}.",
            file=path,
            column="path",
            value=paths[0],
            remedy="Give the table of this recording, or remove the column path.",
        )
    longest = max(found, key=lambda name: len(PurePosixPath(name).parts))
    return steps[steps["path"] == longest]


def _leave_out_others(steps: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Leave out the turns of the other speaker, and keep the end of the turn before a step."""
    unknown = steps["speaker"].isna()
    if unknown.any() and not unknown.all():
        row = _first(unknown)
        raise InferenceError(
            f"{path}, step {row}: the speaker is not given, but those of other steps are.",
            file=path,
            line=row + 2,
            column="speaker",
            remedy=f"Write {PARTICIPANT} or {OTHER}, or remove the row.",
        )
    named = steps["speaker"].isin([PARTICIPANT, OTHER]) | unknown
    if not named.all():
        speakers = sorted(set(steps.loc[~named, "speaker"].astype(str)))
        raise InferenceError(
            f"{path}: the participant is not chosen among the speakers {', '.join(speakers[:5])}.",
            file=path,
            column="speaker",
            value=speakers[0],
            remedy="Choose the participant with depmm steps --by turns --participant, or write "
            f"{PARTICIPANT} and {OTHER} in the column.",
        )
    is_other = steps["speaker"] == OTHER
    if is_other.all():
        raise InferenceError(
            f"{path}: all turns are of the speaker {OTHER!r}.",
            file=path,
            column="speaker",
            value=OTHER,
            remedy="Give the turns of the participant.",
        )
    # as add_previous_ends of an index: rows that start together are one, that of the participant
    start = steps["start_s"]
    has_step = (~is_other).groupby(start).transform("any")
    ends = steps["end_s"].where(~has_step).groupby(start).last()
    return steps.assign(previous_end_s=start.map(ends.shift()))[~is_other]


def _first(wrong: pd.Series) -> int:
    """Return the index of the first row for which a condition holds."""
    return int(wrong.index[wrong.to_numpy()][0])


def _to_seconds(column: pd.Series, path: Path) -> pd.Series:
    seconds = pd.to_numeric(column, errors="coerce").astype("float64")
    wrong = pd.Series(~np.isfinite(seconds), seconds.index) & column.notna()
    if wrong.any():
        row = _first(wrong)
        raise InferenceError(
            f"{path}, step {row}: {column.name} is {column[row]!r}, which is not a number.",
            file=path,
            line=row + 2,
            column=str(column.name),
            value=column[row],
            remedy="Give seconds, for example 1.25.",
        )
    return seconds


def _check_times(steps: pd.DataFrame, path: Path, duration_s: float) -> None:
    start, end = steps["start_s"], steps["end_s"]
    after_end = f"after the end of the recording ({duration_s:.2f} s)"
    faults = [
        (start.isna(), "start_s", "start_s is empty.", "Give the start of each step."),
        (
            start < 0,
            "start_s",
            "it starts before the recording.",
            "Count times from the start of the recording.",
        ),
        (end <= start, "end_s", "it does not end after its start.", "Correct start_s or end_s."),
        (
            start < start.shift(),
            "start_s",
            "it starts before the previous step.",
            "Sort the steps by start_s.",
        ),
        (
            start >= duration_s,
            "start_s",
            f"it starts {after_end}.",
            "Check that the table belongs to this recording.",
        ),
        (
            end > duration_s + TOLERANCE_S,
            "end_s",
            f"it ends {after_end}.",
            "Check that the table belongs to this recording.",
        ),
    ]
    for wrong, column, fault, remedy in faults:
        if wrong.any():
            row = _first(wrong)
            raise InferenceError(
                f"{path}, step {row} ({start[row]:g} to {end[row]:g} s): {fault}",
                file=path,
                line=row + 2,
                column=column,
                value=float(steps[column][row]),
                remedy=remedy,
            )
