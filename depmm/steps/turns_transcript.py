"""Turns from transcripts with the speaker of every turn.

A transcript is a table in a text file, one row per turn. The separator and the columns are found by
the header; the columns of DAIC-WOZ (``start_time``, ``stop_time``, ``speaker``, ``value``) are
known. Without end times, a turn ends with the last speech before the next row.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from depmm.corpora.errors import ManifestError
from depmm.corpora.tables.delimited import Line, read_rows
from depmm.corpora.tables.table_columns import check_columns, check_width
from depmm.corpora.tables.table_files import Origin, read_text
from depmm.errors import closest, fold
from depmm.steps.table import StepsError
from depmm.steps.turns import Turn

# names of columns, folded as in depmm.errors.fold: DAIC-WOZ, ELAN, Praat, lhotse, common exports
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "start": ("starttime", "starts", "start", "begin", "begintime", "onset", "tmin", "from"),
    "end": ("stoptime", "endtime", "ends", "end", "stop", "tmax", "to"),
    "speaker": ("speaker", "speakerid", "speakername", "tier", "who", "role"),
    "text": ("value", "text", "transcript", "utterance", "annotation", "words", "sentence"),
}
_ONSET_TOLERANCE_S = 0.25
_SEPARATORS = ("\t", ";", ",")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{1,2}(?:[.,]\d+)?)")  # h:mm:ss.s or mm:ss.s


@dataclass(frozen=True)
class TranscriptRow:
    """One row of a transcript.

    Attributes
    ----------
    line : int
        Line in the file, from 1.
    speaker : str
        Name of the speaker.
    text : str
        Words; empty if the file has none.
    start_s, end_s : float, optional
        Seconds; None if the transcript does not contain them.
    """

    line: int
    speaker: str
    text: str
    start_s: float | None
    end_s: float | None


def find_transcript(recording: Path, pattern: str) -> Path:
    """Find the transcript of a recording.

    Parameters
    ----------
    recording : Path
        The recording.
    pattern : str
        Glob pattern relative to the folder of the recording; ``{stem}`` is the name of the
        recording without its suffix. For example ``{stem}.tsv`` or ``*_TRANSCRIPT.csv``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StepsError
        If no file or several files match.
    """
    name = pattern.replace("{stem}", re.sub(r"([*?\[])", r"[\1]", recording.stem))
    if Path(name).is_absolute():
        raise StepsError(
            f"The pattern {pattern!r} is an absolute path.",
            setting="transcripts",
            value=pattern,
            remedy="Give a pattern relative to the folder of each recording.",
        )
    found = sorted(path for path in recording.parent.glob(name) if path.is_file())
    if len(found) != 1:
        several = f"{len(found)} transcripts match" if found else "no transcript matches"
        raise StepsError(
            f"{several} {name!r} in the folder of the recording.",
            file=recording.parent,
            setting="transcripts",
            value=pattern,
            remedy="Change --transcripts; {stem} is the name of the recording without its suffix.",
        )
    return found[0]


def read_transcript(path: Path) -> list[TranscriptRow]:
    """Read a transcript.

    Parameters
    ----------
    path : Path
        A text file in UTF-8 with a header, separated by tabs, semicolons or commas.

    Returns
    -------
    list of TranscriptRow
        Rows with a speaker, in the order of the file.

    Raises
    ------
    StepsError
        If the file is too large, is not text, has no column of speakers, has a column twice or a
        quotation mark that is not closed, a row has more or fewer cells than the header, or a time
        is not a number.
    """
    names, lines = _read_table(path)
    columns = _find_columns(names)
    rows = []
    for line, cells in lines:
        values = {field: cells[index].strip() for field, index in columns.items()}
        if not values["speaker"]:
            continue  # a mark without a speaker
        start, end = (
            _parse_time(path, line, field, values.get(field)) for field in ("start", "end")
        )
        rows.append(TranscriptRow(line, values["speaker"], values.get("text", ""), start, end))
    return rows


def _read_table(path: Path) -> tuple[list[str], list[Line]]:
    """Read the header and the rows, each with as many cells as the header."""
    try:
        text = read_text(path, path.name)
        # quotation marks are letters in transcripts that are separated by tabs
        header = re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0]
        separator = max(_SEPARATORS, key=header.count)
        lines = read_rows(text, path.name, separator)
        line, names = next(lines, (None, []))
        _check_header(path, names, separator, line)
        rows = []
        for line, cells in lines:
            check_width(Origin(path.name, line), cells, names, separator, in_spec=False)
            rows.append((line, cells))
    except ManifestError as problem:
        raise StepsError(
            str(problem),
            file=path,
            line=problem.line,
            column=problem.column,
            value=problem.value,
        ) from None
    return names, rows


def _check_header(path: Path, names: list[str], separator: str, line: int | None) -> None:
    """Check that speakers have a column, and that each column that is used appears once."""
    columns = _find_columns(names)
    if "speaker" not in columns:
        raise StepsError(
            f"{path.name}: no column of speakers; the columns are {', '.join(names) or 'none'}.",
            file=path,
            column="speaker",
            remedy="Name the column speaker.",
        )
    folded = [fold(name) for name in names]
    used = [folded[index] for index in columns.values()]
    check_columns(used, folded, path.name, separator, in_spec=False, line=line)


def _find_columns(names: Sequence[str]) -> dict[str, int]:
    folded = [fold(name) for name in names]
    return {
        field: folded.index(name)
        for field, known in COLUMNS.items()
        if (name := next((name for name in known if name in folded), None)) is not None
    }


def _parse_time(path: Path, line: int, column: str, text: str | None) -> float | None:
    """Parse seconds, or hours, minutes and seconds."""
    if not text:
        return None
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = clock.groups(default="0")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise StepsError(
            f"{path.name}, line {line}: {column} is {text!r}, not a time.",
            file=path,
            line=line,
            column=column,
            value=text,
            remedy="Times are seconds or hours:minutes:seconds.",
        )
    return value


def transcript_turns(
    rows: Sequence[TranscriptRow], duration_s: float, speech: np.ndarray | None = None
) -> tuple[list[Turn], list[tuple[TranscriptRow, str]]]:
    """Convert the rows of a transcript to turns.

    Parameters
    ----------
    rows : sequence of TranscriptRow
        Rows with start times.
    duration_s : float
        Length of the recording.
    speech : ndarray, shape (n, 2), optional
        Start and end of the segments of speech in seconds. A turn without an end time ends with
        the last speech before the next row; without ``speech``, at the next row.

    Returns
    -------
    turns : list of Turn
        In the order of time.
    unused : list of tuple of (TranscriptRow, str)
        Rows that are no turns, and why.
    """
    unused: list[tuple[TranscriptRow, str]] = []
    timed: list[TranscriptRow] = []
    for row in rows:
        if row.start_s is None:
            unused.append((row, "has no start time"))
        elif row.start_s >= duration_s:
            unused.append((row, f"starts at {row.start_s:g} s, after the end of the recording"))
        else:
            timed.append(row)
    timed.sort(key=lambda row: row.start_s or 0.0)
    turns = []
    for row, following in zip(timed, [*timed[1:], None], strict=True):
        start = row.start_s or 0.0
        end = row.end_s
        if end is None:
            limit = duration_s if following is None else following.start_s or 0.0
            end = _last_speech(start, min(limit, duration_s), speech)
        end = min(end, duration_s)
        if end <= start:
            unused.append((row, "does not end after it starts"))
        else:
            turns.append(Turn(start, end, row.speaker, None, row.text or None))
    return turns, unused


def _last_speech(start: float, limit: float, speech: np.ndarray | None) -> float:
    if speech is None:
        return limit
    # speech that starts just before the next row belongs to it: its time is not that exact
    inside = speech[(speech[:, 0] < limit - _ONSET_TOLERANCE_S) & (speech[:, 1] > start)]
    return min(limit, float(inside[-1, 1])) if len(inside) else limit


def choose_speaker(turns: Sequence[Turn], name: str, participant: str, other: str) -> list[Turn]:
    """Replace the name of the participant, and those of all others.

    Parameters
    ----------
    turns : sequence of Turn
        The turns.
    name : str
        The name of the participant in ``turns``.
    participant, other : str
        The names in the result.

    Returns
    -------
    list of Turn
        The turns.

    Raises
    ------
    StepsError
        If there is no such speaker, or another name differs from it only in case, blanks, hyphens
        or the width of its letters.
    """
    names = list(dict.fromkeys(turn.speaker for turn in turns))
    if name not in names:
        suggestion = closest(name, names)
        hint = f"Did you mean {suggestion!r}?" if suggestion else "Give one of these names."
        raise StepsError(
            f"{name!r} does not speak; speakers: {', '.join(names)}.",
            setting="participant",
            value=name,
            remedy=hint,
        )
    alike = [other for other in names if other != name and fold(other) == fold(name)]
    if alike:
        raise StepsError(
            f"The speakers {name!r} and {', '.join(map(repr, alike))} have nearly the same name, "
            "and may be one speaker.",
            setting="participant",
            value=alike[0],
            remedy="Write the names alike in the transcript, or give two speakers other names.",
        )
    return [replace(turn, speaker=participant if turn.speaker == name else other) for turn in turns]
