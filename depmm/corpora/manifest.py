"""The manifest: sessions, steps and features of a corpus, with scores and labels.

Three Parquet tables in one folder (``depmm.schemas.manifest`` describes their columns):
``sessions.parquet``, ``steps.parquet`` and, if a corpus ships features in place of recordings,
``features.parquet``. They are joined by (corpus, subject, session), and a subject is (corpus,
subject). Paths are relative to the corpus root, which is given at run time, so that corpus and
manifest can be moved. ``corpora.json`` contains the facts of ``depmm.corpora.corpus_facts``.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from depmm.corpora.corpus_facts import CorpusFacts, read_facts, write_facts
from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest_rules import check_tables, check_unique
from depmm.corpora.tables.typed_tables import apply_schema
from depmm.files.checksums import read_bytes, remove, replacing
from depmm.schemas import TableSchema
from depmm.schemas.manifest import (
    FEATURES,
    SESSION_KEY,
    SESSIONS,
    STEP_KEY,
    STEPS,
)

_ARROW_TYPES = {
    "str": pyarrow.string(),
    "float64": pyarrow.float64(),
    "int64": pyarrow.int64(),
    "bool": pyarrow.bool_(),
}


def _empty_features() -> pd.DataFrame:
    dtypes = {column.name: column.pandas_dtype for column in FEATURES.columns}
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in dtypes.items()})


@dataclass(frozen=True)
class Manifest:
    """The tables of one or several corpora.

    Attributes
    ----------
    sessions : DataFrame
        One row per session; the columns of ``SESSIONS``, then further text columns of the spec.
    steps : DataFrame
        One row per step; the columns of ``STEPS``, sorted by session and step.
    features : DataFrame
        One row per stream of a step; the columns of ``FEATURES``. Empty if the corpus consists of
        recordings.
    facts : mapping of str to CorpusFacts
        Facts that are not in the tables, by corpus id.
    """

    sessions: pd.DataFrame
    steps: pd.DataFrame
    features: pd.DataFrame = field(default_factory=_empty_features)
    facts: Mapping[str, CorpusFacts] = field(default_factory=dict)


def build_manifest(
    sessions: pd.DataFrame,
    steps: pd.DataFrame,
    features: pd.DataFrame | None = None,
    facts: Mapping[str, CorpusFacts] | None = None,
) -> Manifest:
    """Build a validated manifest: order columns, convert types and sort rows.

    Columns of the sessions that are not in the schema are kept as text. Missing nullable columns
    are added.

    Parameters
    ----------
    sessions, steps : DataFrame
        One row per session and per step.
    features : DataFrame, optional
        One row per stream of a step.
    facts : mapping of str to CorpusFacts, optional
        Facts by corpus id.

    Returns
    -------
    Manifest
        The manifest.

    Raises
    ------
    ManifestError
        As ``validate``, and if a column cannot be converted to its type.
    """
    if features is None or features.empty:
        features = _empty_features()
    manifest = Manifest(
        _sorted(_fill_columns(sessions, SESSIONS), SESSIONS, SESSION_KEY),
        _sorted(_fill_columns(steps, STEPS), STEPS, STEP_KEY),
        _sorted(features, FEATURES, [*STEP_KEY, "name"]),
        dict(facts or {}),
    )
    validate(manifest)
    return manifest


def _fill_columns(table: pd.DataFrame, schema: TableSchema) -> pd.DataFrame:
    """Add the nullable columns that every table has."""
    optional = [column.name for column in schema.columns if column.nullable and column.required]
    return table.assign(**{name: None for name in optional if name not in table})


def _sorted(table: pd.DataFrame, schema: TableSchema, key: list[str]) -> pd.DataFrame:
    return apply_schema(table, schema).sort_values(key).reset_index(drop=True)


def write_manifest(manifest: Manifest, folder: Path | str) -> None:
    """Normalise a manifest with ``build_manifest`` and write its files.

    ``features.parquet`` is written only if there are features, and ``corpora.json`` only if there
    are facts. Every file is replaced atomically, and only after all tables are written.

    Parameters
    ----------
    manifest : Manifest
        The manifest.
    folder : Path or str
        Folder of the manifest; it is created if it does not exist.

    Raises
    ------
    ManifestError
        If the manifest is not valid.
    """
    manifest = build_manifest(manifest.sessions, manifest.steps, manifest.features, manifest.facts)
    folder = _local_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tables = [(SESSIONS, manifest.sessions), (STEPS, manifest.steps)]
    if manifest.features.empty:
        remove(folder / FEATURES.file)
    else:
        tables.append((FEATURES, manifest.features))
    with ExitStack() as renames:
        for schema, table in tables:
            temporary = renames.enter_context(replacing(folder / schema.file))
            dtypes = {column.name: column.dtype for column in schema.columns}
            arrow_schema = pyarrow.schema(
                [(name, _ARROW_TYPES[dtypes.get(name, "str")]) for name in table.columns]
            )
            arrow = pyarrow.Table.from_pandas(table, schema=arrow_schema, preserve_index=False)
            pyarrow.parquet.write_table(arrow.replace_schema_metadata(None), temporary)
    write_facts(manifest.facts, folder)


def read_manifest(folder: Path | str) -> Manifest:
    """Read and validate a manifest.

    Parameters
    ----------
    folder : Path or str
        Folder of the manifest.

    Returns
    -------
    Manifest
        The manifest.

    Raises
    ------
    ManifestError
        If a file is missing or not Parquet, a column is missing, or the content is not valid (see
        ``validate``).
    """
    folder = _local_folder(folder)
    sessions, steps = _read_table(folder, SESSIONS), _read_table(folder, STEPS)
    has_features = (folder / FEATURES.file).is_file()
    features = _read_table(folder, FEATURES) if has_features else _empty_features()
    manifest = Manifest(sessions, steps, features, read_facts(folder))
    validate(manifest)
    return manifest


def _local_folder(folder: Path | str) -> Path:
    if isinstance(folder, str) and "://" in folder:
        raise ManifestError(
            f"{folder}: a manifest must be in a folder of this computer. Copy it; only the store "
            "can be a URL.",
            file=folder,
        )
    return Path(folder)


def _read_table(folder: Path, schema: TableSchema) -> pd.DataFrame:
    path = folder / schema.file
    if not path.is_file():
        raise ManifestError(
            f"{path}: no such file. Create it with: depmm index SPEC ROOT --out {folder}", file=path
        )
    content = pyarrow.BufferReader(read_bytes(path))
    try:
        repeated = [column.name for column in schema.columns if column.few_values]
        table = pyarrow.parquet.read_table(content, read_dictionary=repeated).to_pandas()
    # a damaged file without a checksum can raise nearly anything
    except Exception as error:
        raise ManifestError(
            f"{path}: cannot be read as Parquet ({error}). Run depmm index again.", file=path
        ) from None
    return apply_schema(table, schema, str(path))


def concat_manifests(manifests: Iterable[Manifest]) -> Manifest:
    """Join the manifests of several corpora, or parts of one corpus.

    A column that a manifest does not have is null in its rows.

    Parameters
    ----------
    manifests : iterable of Manifest
        At least one.

    Returns
    -------
    Manifest
        All sessions, steps, features and facts.

    Raises
    ------
    ManifestError
        If two of them contain the same (corpus, subject, session), or the iterable is empty.
    """
    manifests = list(manifests)
    if not manifests:
        raise ManifestError("concat_manifests: no manifest given. Give at least one.")
    sessions = _concat([manifest.sessions for manifest in manifests])
    check_unique(sessions, SESSION_KEY, "manifests")
    facts: dict[str, CorpusFacts] = {}
    for manifest in manifests:
        for corpus, known in manifest.facts.items():
            facts[corpus] = facts[corpus].union(known) if corpus in facts else known
    return build_manifest(
        sessions,
        _concat([manifest.steps for manifest in manifests]),
        _concat([manifest.features for manifest in manifests]),
        facts,
    )


def _concat(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate as objects, so that an all-null column of one table does not set the type."""
    columns = list(dict.fromkeys(column for table in tables for column in table.columns))
    return pd.concat([table.reindex(columns=columns).astype(object) for table in tables])


def validate(manifest: Manifest) -> None:
    """Check every rule of the tables.

    Parameters
    ----------
    manifest : Manifest
        The manifest.

    Raises
    ------
    ManifestError
        If the tables break a rule; see ``check_tables``.
    """
    check_tables(manifest.sessions, manifest.steps, manifest.features)
