"""The manifest: who was recorded, when, in which files, with which score and label.

Parquet tables in one folder. ``sessions.parquet`` has one row a session, ``steps.parquet`` one row
a step, and ``features.parquet``, where a corpus ships features in place of recordings, one row for
each stream of a step; they are joined by (corpus, subject, session), and a person is (corpus,
subject). Paths are relative to the corpus root, which is given again at run time, so that both can
move.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from depmm.config import MODALITIES, StreamConfig
from depmm.corpora.corpus_facts import CorpusFacts, read_facts, write_facts
from depmm.corpora.errors import ManifestError
from depmm.corpora.instruments import INSTRUMENTS, check_score
from depmm.files import replacing

SESSION_KEY = ["corpus", "subject", "session"]
SUBJECT_KEY = ["corpus", "subject"]
SPLITS = ("train", "validation", "test")
GENDERS = ("female", "male")
VALENCES = ("negative", "neutral", "positive")
MAX_AGE = 120  # years; above: a wrong column or a year of birth

# column -> dtype, in the order of the files
SESSION_COLUMNS = {
    "corpus": "str",
    "subject": "str",
    "session": "str",
    "instrument": "str",
    "score": "float64",
    "label": "Int8",
    "split": "str",
    "gender": "str",
    "age": "float64",
}
STEP_COLUMNS = {
    "corpus": "str",
    "subject": "str",
    "session": "str",
    "step": "int32",
    "start_s": "float64",
    "end_s": "float64",
    "text": "str",
    "valence": "str",
    "task": "str",
    "audio": "str",
    "face": "str",
    "face_aligned": "bool",
}
FEATURE_COLUMNS = {
    "corpus": "str",
    "subject": "str",
    "session": "str",
    "step": "int32",
    "name": "str",
    "modality": "str",
    "path": "str",
    "reader": "str",  # a StreamConfig as JSON: how the file is read
}
_FILES = {"sessions": SESSION_COLUMNS, "steps": STEP_COLUMNS, "features": FEATURE_COLUMNS}
_ARROW = {
    "str": pyarrow.string(),
    "float64": pyarrow.float64(),
    "Int8": pyarrow.int8(),
    "int32": pyarrow.int32(),
    "bool": pyarrow.bool_(),
}
_ID = re.compile(r"\w[\w.()+@=-]*")
_UNSAFE_PATH = re.compile(
    r"^/|^[A-Za-z]:|[\\\0]|(?:^|/)\.\.(?:/|$)"
)  # absolute, or leaves its folder
_ID_LENGTH = 100  # characters; an id becomes part of a file name


@dataclass(frozen=True)
class Manifest:
    """The tables of a corpus, or of several.

    Parameters
    ----------
    sessions : one row a session, the columns of ``SESSION_COLUMNS``, then further text columns
    steps : one row a step, the columns of ``STEP_COLUMNS``, in order of session and step
    features : one row a stream of a step, the columns of ``FEATURE_COLUMNS``; none for recordings
    """

    sessions: pd.DataFrame
    steps: pd.DataFrame
    features: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=pd.Index(FEATURE_COLUMNS))
    )
    facts: Mapping[str, CorpusFacts] = field(default_factory=dict)


def check_id(value: str, what: str) -> str:
    """Return ``value`` when it is safe as an id and as part of a file name.

    Parameters
    ----------
    value : the id
    what : what and where it is, for the message, e.g. ``"subject in labels.csv, line 3"``

    Raises
    ------
    ManifestError : empty, too long, holding ``..``, a slash, a space or another such character
    """
    problem = None
    if not isinstance(value, str) or not value:
        problem = "is empty or no text"
    elif len(value) > _ID_LENGTH:
        problem = f"has {len(value)} characters, at most {_ID_LENGTH} are allowed"
    elif ".." in value or not _ID.fullmatch(value):
        problem = "is not a safe id"
    if problem:
        raise ManifestError(
            f"{what}: {str(value)[:120]!r} {problem}. Use letters, digits and _.()+@=- without "
            "'..', starting with a letter or digit."
        )
    return value


def build_manifest(
    sessions: pd.DataFrame,
    steps: pd.DataFrame,
    features: pd.DataFrame | None = None,
    facts: Mapping[str, CorpusFacts] | None = None,
) -> Manifest:
    """Bring tables into the manifest's columns, types and order, and validate them.

    Columns that ``SESSION_COLUMNS`` lacks are kept as text. Missing optional columns become null.

    Raises
    ------
    ManifestError : as ``validate``; a column that cannot have its type
    """
    sessions, steps = sessions.copy(), steps.copy()
    for table, optional in (
        (sessions, ("instrument", "score", "label", "split", "gender", "age")),
        (steps, ("end_s", "text", "valence", "task", "audio", "face")),
    ):
        for name in optional:
            if name not in table:
                table[name] = None
    manifest = Manifest(
        _typed(sessions, SESSION_COLUMNS, "sessions", further_text=True)
        .sort_values(SESSION_KEY)
        .reset_index(drop=True),
        _typed(steps, STEP_COLUMNS, "steps")
        .sort_values([*SESSION_KEY, "step"])
        .reset_index(drop=True),
        _typed(_or_empty(features), FEATURE_COLUMNS, "features")
        .sort_values([*SESSION_KEY, "step", "name"])
        .reset_index(drop=True),
        dict(facts or {}),
    )
    validate(manifest)
    return manifest


def write_manifest(manifest: Manifest, folder: Path | str) -> None:
    """Bring a manifest into form (``build_manifest``) and write its Parquet files.

    Without features there is no ``features.parquet``.

    Each file is written under a temporary name and renamed, so a reader never sees half a file.

    Raises
    ------
    ManifestError : the manifest is not valid
    """
    manifest = build_manifest(manifest.sessions, manifest.steps, manifest.features, manifest.facts)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tables = {name: getattr(manifest, name) for name in _FILES}
    if manifest.features.empty:
        del tables["features"]
        (folder / "features.parquet").unlink(missing_ok=True)
    with ExitStack() as renames:  # no table is replaced before all are written
        for name, table in tables.items():
            temporary = renames.enter_context(replacing(folder / f"{name}.parquet"))
            columns = _FILES[name]
            kinds = [(column, columns.get(column, "str")) for column in table.columns]
            schema = pyarrow.schema([(column, _ARROW[kind]) for column, kind in kinds])
            arrow = pyarrow.Table.from_pandas(table, schema=schema, preserve_index=False)
            pyarrow.parquet.write_table(arrow.replace_schema_metadata(None), temporary)
    write_facts(manifest.facts, folder)


def read_manifest(folder: Path | str) -> Manifest:
    """Read and validate a manifest.

    Raises
    ------
    ManifestError : a file is missing or not Parquet, a column is missing, or the content is not
        valid (see ``validate``)
    """
    tables = []
    for name, columns in _FILES.items():
        path = Path(folder) / f"{name}.parquet"
        if not path.is_file():
            if name == "features":
                tables.append(_typed(_or_empty(None), columns, name))
                continue
            raise ManifestError(
                f"{path}: no such file. Make it with: depmm index SPEC ROOT --out {folder}"
            )
        try:
            table = pyarrow.parquet.read_table(path).to_pandas()
        except (OSError, pyarrow.ArrowInvalid) as error:
            raise ManifestError(
                f"{path}: cannot be read as Parquet ({error}). Run depmm index again."
            ) from None
        tables.append(_typed(table, columns, str(path), further_text=name == "sessions"))
    manifest = Manifest(*tables, facts=read_facts(Path(folder)))
    validate(manifest)
    return manifest


def concat_manifests(manifests: Iterable[Manifest]) -> Manifest:
    """Join the manifests of several corpora (or parts of one) into one.

    Further columns that one of them lacks become null.

    Raises
    ------
    ManifestError : the same (corpus, subject, session) in two of them; nothing to join
    """
    manifests = list(manifests)
    if not manifests:
        raise ManifestError("concat_manifests: no manifest given. Give at least one.")
    sessions = _stack([manifest.sessions for manifest in manifests])
    steps = _stack([manifest.steps for manifest in manifests])
    features = _stack([manifest.features for manifest in manifests])
    _unique(sessions, SESSION_KEY, "manifests")
    facts: dict[str, CorpusFacts] = {}
    for manifest in manifests:
        for corpus, known in manifest.facts.items():
            facts[corpus] = facts.get(corpus, CorpusFacts()).union(known)
    return build_manifest(sessions, steps, features, facts)


def validate(manifest: Manifest) -> None:
    """Check every rule of the tables.

    Raises
    ------
    ManifestError : a missing column, an unsafe id, a repeated key, a session without steps or steps
        without a session, steps not numbered from 0, start >= end, an unsafe path, a label other
        than 0 and 1, a score outside its instrument's range, an unknown split, gender or valence
    """
    sessions, steps, features = manifest.sessions, manifest.steps, manifest.features
    _has_columns(sessions, SESSION_COLUMNS, "sessions")
    _has_columns(steps, STEP_COLUMNS, "steps")
    _has_columns(features, FEATURE_COLUMNS, "features")
    for table, name in ((sessions, "sessions"), (steps, "steps"), (features, "features")):
        for column in SESSION_KEY:
            for value in table[column].unique():
                check_id(value, f"{name}, column {column}")
    _unique(sessions, SESSION_KEY, "sessions")
    _unique(steps, [*SESSION_KEY, "step"], "steps")
    _tables_agree(sessions, steps)
    _check_sessions(sessions)
    _check_features(features, steps)
    _check_steps(steps, features)


def _or_empty(features: pd.DataFrame | None) -> pd.DataFrame:
    """No features: a table without rows, each column in its type."""
    if features is not None and len(features):
        return features
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in FEATURE_COLUMNS.items()})


def _stack(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate row by row; an all-null column of one table does not decide a type."""
    columns = list(dict.fromkeys(column for table in tables for column in table.columns))
    return pd.concat([table.reindex(columns=columns).astype(object) for table in tables])


def _typed(
    table: pd.DataFrame, columns: dict[str, str], place: str, further_text: bool = False
) -> pd.DataFrame:
    """Order the columns and give each its dtype."""
    _has_columns(table, columns, place)
    further = [column for column in table.columns if column not in columns]
    if further and not further_text:
        raise ManifestError(f"{place}: unknown columns {further}. Known: {', '.join(columns)}.")
    result = {}
    for column in [*columns, *further]:
        kind = columns.get(column, "str")
        values = table[column]
        try:
            if kind == "str" and values.dtype != "str":
                is_text = values.isna() | values.map(lambda value: isinstance(value, str))
                if not is_text.all():
                    raise ValueError(f"{values[~is_text].iloc[0]} is not text")
            elif kind == "bool" and values.isna().any():
                raise ValueError("empty cells")
            result[column] = values.astype(kind)  # type: ignore[call-overload]
        except (ValueError, TypeError) as error:
            raise ManifestError(
                f"{place}: column {column!r} must hold {kind}, but: {error}. Correct the column."
            ) from None
    return pd.DataFrame(result, index=table.index)


def _has_columns(table: pd.DataFrame, columns: dict[str, str], place: str) -> None:
    if missing := [column for column in columns if column not in table.columns]:
        raise ManifestError(
            f"{place}: column {missing[0]!r} is missing (found: "
            f"{', '.join(map(str, table.columns))}). Add it, or make the manifest again with "
            "depmm index."
        )


def _unique(table: pd.DataFrame, key: list[str], place: str) -> None:
    repeated = table[table.duplicated(key)]
    if len(repeated):
        raise ManifestError(
            f"{place}: {len(repeated)} rows repeat a key of {', '.join(key)}, for example "
            f"{_names(repeated[key])}. Keep one row each."
        )


def _tables_agree(sessions: pd.DataFrame, steps: pd.DataFrame) -> None:
    if sessions.empty:
        raise ManifestError("sessions: the table has no row. Index a corpus that holds recordings.")
    left = pd.MultiIndex.from_frame(sessions[SESSION_KEY])
    right = pd.MultiIndex.from_frame(steps[SESSION_KEY].drop_duplicates())
    if len(lonely := left.difference(right)):
        raise ManifestError(
            f"sessions: {_names(lonely.to_frame())} have no step. Remove them or add their steps."
        )
    if len(lonely := right.difference(left)):
        raise ManifestError(
            f"steps: {_names(lonely.to_frame())} are no row of sessions. Add or remove them."
        )


def _check_sessions(table: pd.DataFrame) -> None:
    _among(table, "split", SPLITS, "sessions")
    _among(table, "gender", GENDERS, "sessions")
    _among(table, "instrument", tuple(INSTRUMENTS), "sessions")
    _among(table, "label", (0, 1), "sessions")
    for name, rows in table[table["score"].notna()].groupby("instrument", dropna=False):
        scale = INSTRUMENTS.get(str(name), INSTRUMENTS["group"])
        lowest, highest = scale.lowest or 0, scale.highest or -1
        for _, row in rows[~rows["score"].between(lowest, highest)].iterrows():
            check_score(row["score"], str(name), f"session {'/'.join(row[SESSION_KEY])}")
    if len(bad := table[table["label"].notna() & table["instrument"].isna()]):
        raise ManifestError(
            f"session {_names(bad[SESSION_KEY])}: a label without instrument. Name the instrument "
            "(or group) in the spec."
        )
    if len(bad := table[table["age"].notna() & ~table["age"].between(0, MAX_AGE)]):
        raise ManifestError(
            f"session {_names(bad[SESSION_KEY])}: age {bad['age'].iloc[0]:g} is not between 0 and "
            f"{MAX_AGE} years. Correct the table that gives it."
        )


def _check_features(table: pd.DataFrame, steps: pd.DataFrame) -> None:
    key = [*SESSION_KEY, "step"]
    _unique(table, [*key, "name"], "features")
    _among(table, "modality", MODALITIES, "features")
    known = pd.MultiIndex.from_frame(steps[key])
    if len(lonely := pd.MultiIndex.from_frame(table[key]).difference(known)):
        raise ManifestError(
            f"features: {_names(lonely.to_frame())} are no row of steps. Add or remove them."
        )
    for path in table["path"].unique():
        _check_path(path, "features", "path")
    for (_, name), readers in table.groupby(["corpus", "name"])["reader"]:
        ways = readers.unique()
        if len(ways) > 1:
            raise ManifestError(
                f"features: stream {name!r} is read in {len(ways)} ways. Give each its own name in "
                "the spec."
            )
        parse_reader(ways[0])


def parse_reader(text: str) -> StreamConfig:
    """Read how a stream is read from its cell in ``features.parquet``.

    Raises
    ------
    ManifestError : not the JSON of a ``StreamConfig``
    """
    try:
        return StreamConfig.model_validate_json(text)
    except ValueError as error:
        raise ManifestError(
            f"features, column reader: {text[:80]!r} is no description of a stream ({error}). Run "
            "depmm index again."
        ) from None


def _check_steps(table: pd.DataFrame, features: pd.DataFrame) -> None:
    _among(table, "valence", VALENCES, "steps")
    expected = table.groupby(SESSION_KEY, sort=False).cumcount()
    if len(bad := table[table["step"] != expected]):
        raise ManifestError(
            f"steps: session {_names(bad[SESSION_KEY])}: steps must be 0, 1, 2, ... in order, "
            f"found {bad['step'].iloc[0]} where {expected[bad.index[0]]} belongs. Number them "
            "again."
        )
    start, end = table["start_s"], table["end_s"]
    wrong = ~(np.isfinite(start) & (start >= 0)) | (
        end.notna() & ~(np.isfinite(end) & (start < end))
    )
    if len(bad := table[wrong]):
        row = bad.iloc[0]
        raise ManifestError(
            f"steps: session {_names(bad[SESSION_KEY].head(1))}, step {row['step']}: start "
            f"{row['start_s']:g} s, end {row['end_s']:g} s. Times need 0 <= start < end, in "
            "seconds."
        )
    key = [*SESSION_KEY, "step"]
    fed = pd.MultiIndex.from_frame(table[key]).isin(pd.MultiIndex.from_frame(features[key]))
    if len(bad := table[table["audio"].isna() & table["face"].isna() & ~fed]):
        raise ManifestError(
            f"steps: session {_names(bad[SESSION_KEY])}: a step without any file. Give it an audio "
            "or face file or remove it."
        )
    for column in ("audio", "face"):
        for path in table[column].dropna().unique():
            _check_path(path, "steps", column)


def _check_path(path: str, table: str, column: str) -> None:
    if not path or _UNSAFE_PATH.search(path):
        raise ManifestError(
            f"{table}, column {column}: {path!r} must be a path below the corpus root: relative, "
            "with / between folders and without '..'."
        )


def _among(table: pd.DataFrame, column: str, allowed: tuple[Any, ...], place: str) -> None:
    bad = table[table[column].notna() & ~table[column].isin(allowed)]
    if len(bad):
        raise ManifestError(
            f"{place}: session {_names(bad[SESSION_KEY].head(1))}: {column} "
            f"{str(bad[column].iloc[0])!r} is not one of {', '.join(map(str, allowed))}. Correct "
            "it, or translate it under codes: in the spec."
        )


def _names(keys: pd.DataFrame, at_most: int = 5) -> str:
    names = ["/".join(map(str, row)) for row in keys.head(at_most).itertuples(index=False)]
    more = f" and {len(keys) - at_most} more" if len(keys) > at_most else ""
    return ", ".join(names) + more
