"""Rules of a manifest's tables: ids, paths, keys, times, scores and labels."""

import re
import unicodedata
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from depmm.config import TRACKS, Modality, StreamConfig
from depmm.corpora.errors import ManifestError
from depmm.corpora.instruments import INSTRUMENTS, check_score, find_scale, is_instrument
from depmm.corpora.tables.typed_tables import check_columns
from depmm.errors import abbreviate
from depmm.schemas.manifest import (
    FEATURES,
    GENDERS,
    SESSION_KEY,
    SESSIONS,
    SPLITS,
    STEP_KEY,
    STEPS,
    VALENCES,
)

_MODALITY: TypeAdapter[str] = TypeAdapter(Modality)
MAX_AGE = 120  # years; above: a wrong column or a year of birth
_ID = re.compile(r"\w[\w.()+@=-]*")
_ID_LENGTH = 100  # characters; an id becomes part of a file name
_ID_BYTES = 200  # in UTF-8; file names have at most 255
# absolute, or leaves its folder
_UNSAFE_PATH = re.compile(r"^/|^[A-Za-z]:|[\\\0]|(?:^|/)\.\.(?:/|$)")


def check_id(value: str, location: str, file: str | None = None, line: int | None = None) -> str:
    """Check that a value is safe as an id and as part of a file name.

    Parameters
    ----------
    value : str
        The id.
    location : str
        Description of the value for the message, for example ``"subject in labels.csv, line 3"``.
    file : str, optional
        File that contains the value.
    line : int, optional
        Line of the file.

    Returns
    -------
    str
        ``value``.

    Raises
    ------
    ManifestError
        If the id is empty, too long, or contains ``..``, a slash, a space or another character that
        is not allowed.
    """
    problem = None
    if not isinstance(value, str) or not value:
        problem = "is empty or not text"
    elif len(value) > _ID_LENGTH:
        problem = f"has {len(value)} characters, at most {_ID_LENGTH} are allowed"
    elif len(value.encode("utf-8", "replace")) > _ID_BYTES:
        problem = f"has more than {_ID_BYTES} bytes, too many for the name of a file"
    elif ".." in value or not _ID.fullmatch(value if value.isascii() else _without_marks(value)):
        problem = "is not a safe id"
    if problem:
        raise ManifestError(
            f"{location}: {str(value)[:120]!r} {problem}. Use letters, digits and _.()+@=- without "
            "'..', starting with a letter or digit.",
            file=file,
            line=line,
            value=value,
        )
    return value


def _without_marks(value: str) -> str:
    """Remove accents and vowel signs after a letter: some scripts have no composed form of them."""
    return value[:1] + "".join(
        letter for letter in value[1:] if not unicodedata.category(letter).startswith("M")
    )


def parse_reader(text: str) -> StreamConfig:
    """Parse a cell of the column reader in ``features.parquet``.

    Parameters
    ----------
    text : str
        JSON.

    Returns
    -------
    StreamConfig
        Description of how the files of a stream are read.

    Raises
    ------
    ManifestError
        If the text is not the JSON of a ``StreamConfig``.
    """
    try:
        return StreamConfig.model_validate_json(text)
    except ValueError as error:
        raise ManifestError(
            f"features, column reader: {text[:80]!r} does not describe a stream ({error}). Run "
            "depmm index again.",
            column="reader",
            value=text,
        ) from None


def check_unique(table: pd.DataFrame, key: list[str], location: str) -> None:
    """Check that no two rows have the same key.

    Parameters
    ----------
    table : DataFrame
        The rows.
    key : list of str
        Columns of the key.
    location : str
        Name of the table, for the message.

    Raises
    ------
    ManifestError
        If a key is repeated.
    """
    repeated = table[table.duplicated(key)]
    if len(repeated):
        raise _row_error(
            repeated,
            f"{location}: {len(repeated)} rows repeat a key of {', '.join(key)}, for example "
            f"{_format_keys(repeated[key])}. Keep one row of each.",
        )


def check_tables(sessions: pd.DataFrame, steps: pd.DataFrame, features: pd.DataFrame) -> None:
    """Check every rule of the three tables of a manifest.

    Parameters
    ----------
    sessions, steps, features : DataFrame
        The tables.

    Raises
    ------
    ManifestError
        If a column is missing, an id or path is unsafe, a key is repeated, a session has no steps,
        a step has no session, the steps of a session are not 0, 1, 2, ..., times do not satisfy
        0 <= start < end, a label is not 0 or 1, a score is outside the range of its instrument, or
        a split, gender or valence is unknown.
    """
    tables = ((sessions, SESSIONS), (steps, STEPS), (features, FEATURES))
    for table, schema in tables:
        check_columns(table, schema)
    for table, schema in tables:
        name = schema.file.removesuffix(".parquet")
        for column in SESSION_KEY:
            for value in table[column].unique():
                check_id(value, f"{name}, column {column}")
    check_unique(sessions, SESSION_KEY, "sessions")
    check_unique(steps, STEP_KEY, "steps")
    _check_sessions_have_steps(sessions, steps)
    _check_sessions(sessions)
    _check_features(features, steps)
    _check_steps(steps, features)


def _check_sessions_have_steps(sessions: pd.DataFrame, steps: pd.DataFrame) -> None:
    if sessions.empty:
        raise ManifestError(
            "sessions: the table has no rows. Index a folder with recordings of the corpus."
        )
    left = pd.MultiIndex.from_frame(sessions[SESSION_KEY])
    right = pd.MultiIndex.from_frame(steps[SESSION_KEY].drop_duplicates())
    if len(unmatched := left.difference(right).to_frame()):
        raise _row_error(
            unmatched,
            f"sessions: {_format_keys(unmatched)} have no steps. Remove them or add their steps.",
        )
    if len(unmatched := right.difference(left).to_frame()):
        raise _row_error(
            unmatched,
            f"steps: {_format_keys(unmatched)} are not in the table sessions. Add or remove them.",
        )


def _check_sessions(table: pd.DataFrame) -> None:
    _check_values(table, "split", SPLITS, "sessions")
    _check_values(table, "gender", GENDERS, "sessions")
    defined = [name for name in table["instrument"].dropna().unique() if is_instrument(name)]
    _check_values(table, "instrument", (*INSTRUMENTS, *defined), "sessions")
    _check_values(table, "label", (0, 1), "sessions")
    _check_values(table, "original_label", (0, 1), "sessions")
    for name, rows in table[table["score"].notna()].groupby("instrument", dropna=False):
        scale = find_scale(str(name))
        lowest, highest = scale.lowest or 0, scale.highest or -1
        for _, row in rows[~rows["score"].between(lowest, highest)].iterrows():
            location = f"session {'/'.join(row[SESSION_KEY])}"
            check_score(row["score"], str(name), location, row["session"])
    if len(bad := table[table["label"].notna() & table["instrument"].isna()]):
        raise _row_error(
            bad,
            f"session {_format_keys(bad[SESSION_KEY])}: a label without instrument. Name the "
            "instrument (or group) in the spec.",
            "instrument",
        )
    if len(bad := table[table["age"].notna() & ~table["age"].between(0, MAX_AGE)]):
        raise _row_error(
            bad,
            f"session {_format_keys(bad[SESSION_KEY])}: age {bad['age'].iloc[0]:g} is not between "
            f"0 and {MAX_AGE} years. Correct the table of the ages.",
            "age",
        )


def _check_features(table: pd.DataFrame, steps: pd.DataFrame) -> None:
    check_unique(table, [*STEP_KEY, "name"], "features")
    unknown = [name for name in table["modality"].unique() if not _is_modality(name)]
    if unknown and len(bad := table[table["modality"].isin(unknown)]):
        raise _row_error(
            bad,
            f"features: session {_format_keys(bad[SESSION_KEY].head(1))}: "
            f"{bad['modality'].iloc[0]!r} cannot be the name of a modality. Use another name of "
            "lower-case letters, digits and _.",
            "modality",
        )
    known, keys = (pd.MultiIndex.from_frame(rows[STEP_KEY]) for rows in (steps, table))
    # the sorted difference needs a tuple per row, therefore of the unmatched rows only
    unmatched = keys[~keys.isin(known)].difference(known).to_frame()
    if len(unmatched):
        raise _row_error(
            unmatched,
            f"features: {_format_keys(unmatched)} are not in the table steps. Add or remove them.",
        )
    for path in table["path"].unique():
        _check_path(path, "features", "path")
    for (_, name), readers in table.groupby(["corpus", "name"])["reader"]:
        definitions = readers.unique()
        if len(definitions) > 1:
            raise ManifestError(
                f"features: stream {name!r} has {len(definitions)} different readers. Use one name "
                "per reader in the spec.",
                column="reader",
                value=name,
            )
        parse_reader(definitions[0])


def _is_modality(name: str) -> bool:
    try:
        _MODALITY.validate_python(name)
    except ValidationError:
        return False
    return True


def _check_steps(table: pd.DataFrame, features: pd.DataFrame) -> None:
    _check_values(table, "valence", VALENCES, "steps")
    expected = table.groupby(SESSION_KEY, sort=False).cumcount()
    if len(bad := table[table["step"] != expected]):
        raise _row_error(
            bad,
            f"steps: session {_format_keys(bad[SESSION_KEY])}: the steps must be "
            f"0, 1, 2, ...; step {bad['step'].iloc[0]} is found where {expected[bad.index[0]]} is "
            "expected. Renumber the steps.",
            "step",
        )
    start, end = table["start_s"], table["end_s"]
    wrong = ~(np.isfinite(start) & (start >= 0)) | (
        end.notna() & ~(np.isfinite(end) & (start < end))
    )
    if len(bad := table[wrong]):
        row = bad.iloc[0]
        raise _row_error(
            bad,
            f"steps: session {_format_keys(bad[SESSION_KEY].head(1))}, step {row['step']}: start "
            f"{row['start_s']:g} s, end {row['end_s']:g} s. Times need 0 <= start < end, in "
            "seconds.",
            "start_s",
        )
    has_features = pd.MultiIndex.from_frame(table[STEP_KEY]).isin(
        pd.MultiIndex.from_frame(features[STEP_KEY])
    )
    if len(bad := table[table["audio"].isna() & table["face"].isna() & ~has_features]):
        raise _row_error(
            bad,
            f"steps: session {_format_keys(bad[SESSION_KEY])}: a step without any file. Give it an "
            "audio or face file, or remove it.",
            "audio",
        )
    for column in TRACKS:
        for path in table[column].dropna().unique():
            _check_path(path, "steps", column)


def is_safe_path(path: str) -> bool:
    """Check that a path is relative, with ``/``, and stays below the corpus root.

    Parameters
    ----------
    path : str
        The path.

    Returns
    -------
    bool
        Whether a manifest may contain it.
    """
    return _UNSAFE_PATH.search(path) is None


def _check_path(path: str, table: str, column: str) -> None:
    if not path or not is_safe_path(path):
        raise ManifestError(
            f"{table}, column {column}: {path!r} must be a path below the corpus root: relative, "
            "with / between folders, without '..', backslashes and a drive letter (C:). Rename "
            "the file.",
            column=column,
            value=path,
        )


def _check_values(
    table: pd.DataFrame, column: str, allowed: tuple[Any, ...], location: str
) -> None:
    bad = table[table[column].notna() & ~table[column].isin(allowed)]
    if len(bad):
        raise _row_error(
            bad,
            f"{location}: session {_format_keys(bad[SESSION_KEY].head(1))}: {column} "
            f"{str(bad[column].iloc[0])!r} is not one of {', '.join(map(str, allowed))}. Correct "
            "it, or translate it under codes: in the spec.",
            column,
        )


def _row_error(rows: pd.DataFrame, message: str, column: str | None = None) -> ManifestError:
    """Build an error about rows, with the attributes of the first row."""
    first = rows.iloc[0]
    return ManifestError(
        message,
        column=column,
        subject=first["subject"],
        session=first["session"],
        value=first[column] if column is not None and column in rows else None,
    )


def _format_keys(keys: pd.DataFrame) -> str:
    names = ["/".join(map(str, row)) for row in keys.itertuples(index=False)]
    return abbreviate(names, at_most=5)
