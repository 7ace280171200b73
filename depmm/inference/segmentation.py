"""One recording that belongs to no corpus -> a manifest of one session.

Its steps come from a table with their times, or are windows of equal length.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from depmm.config import MODALITIES
from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest import VALENCES, Manifest, build_manifest

# the session's own name stays out: sampled gates are seeded by the key, not by a file's name
KEY = ("recording", "recording", "recording")
STEP_TABLE = ("start_s", "end_s", "text", "valence")
ROUNDING_S = 0.1  # a table may end this much after the file: a few frames of video or codec
MAX_WINDOWS = 100_000


def read_steps(path: Path, duration_s: float) -> pd.DataFrame:
    """Read and check the steps of a recording.

    Parameters
    ----------
    path : CSV in UTF-8 with the columns start_s, end_s and, if known, text and valence; an empty
        end_s is the end of the recording
    duration_s : of the recording

    Returns
    -------
    columns of ``STEP_TABLE``, one row a step, null where empty

    Raises
    ------
    ManifestError : no such table, a missing or unknown column, no step, a time that is no number,
        negative, not before its end, before the step above, or after the end of the recording
    """
    try:
        table = pd.read_csv(path, dtype="str", keep_default_na=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ManifestError(f"{path}: cannot be read as CSV ({error}). Check the file.") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes spare cells as names of the rows
        raise ManifestError(f"{path}: rows have more cells than the header. Correct them.")
    table.columns = table.columns.str.strip()
    if missing := [name for name in STEP_TABLE[:2] if name not in table]:
        raise ManifestError(
            f"{path}: column {missing[0]!r} is missing (found: {', '.join(table.columns)}). Give "
            "start_s and end_s in seconds."
        )
    if unknown := [name for name in table if name not in STEP_TABLE]:
        raise ManifestError(
            f"{path}: column {unknown[0]!r} is unknown. Known: {', '.join(STEP_TABLE)}."
        )
    if table.empty:
        raise ManifestError(f"{path}: no step in it. Give one row a step.")
    cells = table.apply(lambda column: column.str.strip())
    cells = cells.reindex(columns=list(STEP_TABLE), fill_value="")
    steps = cells.astype(object).where(cells != "", None)
    for name in STEP_TABLE[:2]:
        steps[name] = _seconds(steps[name], path)
    _check_times(steps, path, duration_s)
    wrong = steps["valence"].notna() & ~steps["valence"].isin(VALENCES)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ManifestError(
            f"{path}, step {row}: valence {steps['valence'][row]!r} is not one of "
            f"{', '.join(VALENCES)}."
        )
    return steps


def _seconds(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    wrong = ~np.isfinite(numbers) & column.notna()
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ManifestError(
            f"{path}, step {row}: {column.name} is {column[row]!r}, no number. Give seconds, as "
            "1.25."
        )
    return numbers


def _check_times(steps: pd.DataFrame, path: Path, duration_s: float) -> None:
    start, end = steps["start_s"], steps["end_s"]
    faults = [
        (start.isna(), "it has no start_s: give one"),
        (start < 0, "it starts before the recording: times count from its start"),
        (end <= start, "it ends before it starts: exchange the two, or correct one"),
        (start < start.shift(), "it starts before the step above: put the steps in order"),
        (start >= duration_s, f"it starts after the end of the recording ({duration_s:.2f} s)"),
        (
            end > duration_s + ROUNDING_S,
            f"it ends after the end of the recording ({duration_s:.2f} s): is this its table?",
        ),
    ]
    for wrong, fault in faults:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ManifestError(f"{path}, step {row} ({start[row]:g} to {end[row]:g} s): {fault}")


def window_steps(duration_s: float, window_s: float) -> pd.DataFrame:
    """Cut a recording into windows, one after the other.

    What is left at the end is a window of its own from half a window on, else the last window is
    longer; a recording shorter than a window is one step.

    Returns
    -------
    as ``read_steps``; the last step has no end, so that the recording is read to its end

    Raises
    ------
    ManifestError : a window that is not longer than 0, or so short that there would be too many
    """
    if not window_s > 0 or not np.isfinite(window_s):
        raise ManifestError(f"a window of {window_s:g} s: give a length above 0 seconds")
    if duration_s / window_s > MAX_WINDOWS:
        raise ManifestError(
            f"a window of {window_s:g} s cuts {duration_s:.2f} s into more than {MAX_WINDOWS} "
            "steps: give a longer one"
        )
    # half a window counts up; exactly what a multiple gives must not be lost to rounding
    count = max(1, int(np.floor(duration_s / window_s + 0.5 + 1e-9)))
    start = np.arange(count) * window_s
    steps = pd.DataFrame({"start_s": start, "end_s": np.append(start[1:], np.nan)})
    return steps.reindex(columns=list(STEP_TABLE)).astype({"text": object, "valence": object})


def recording_manifest(
    file: str, steps: pd.DataFrame, modalities: Sequence[str], aligned: bool
) -> Manifest:
    """Make the manifest of one recording.

    Parameters
    ----------
    file : its name; its folder is the root
    steps : as ``read_steps`` or ``window_steps``
    modalities : what of the file is used: audio, face or both
    aligned : the frames are aligned faces

    Raises
    ------
    ManifestError : a file name that a manifest cannot hold
    """
    key = dict(zip(("corpus", "subject", "session"), KEY, strict=True))
    files = {name: file if name in modalities else None for name in MODALITIES}
    rows = steps.assign(**key, **files, step=range(len(steps)), face_aligned=aligned)
    return build_manifest(pd.DataFrame([key]), rows.where(rows.notna(), None))
