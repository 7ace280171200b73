"""Tables of a store: ``index.parquet``, ``failures.parquet`` and ``warnings.parquet``.

They are computed from the session files and from the files ``<session>.<hash>.failed.json`` of
sessions that could not be extracted completely. Processes that share the sessions write tables of
their own, for example ``index.<hash>.<manifest>.2-of-3.parquet``, which readers add to the others.
Therefore no two processes write the same file, and the next run rebuilds a lost table.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from depmm.schemas.manifest import SESSION_KEY
from depmm.schemas.store import FAILURES, INDEX, WARNINGS
from depmm.schemas.table import TableSchema
from depmm.store.derived_streams import track_of
from depmm.store.errors import StoreError, writing
from depmm.store.failures import SessionKey, recorded_failures
from depmm.store.sessions import SessionStore
from depmm.store.settings_file import other_settings_error
from depmm.store.stream_columns import find_different_columns
from depmm.store.tables import DamagedTableError, read_table, write_table

logger = logging.getLogger(__name__)

Row = dict[str, Any]
_TABLES = (WARNINGS, FAILURES, INDEX)
_FROM_SUMMARY = (
    "steps_hash", "n_steps", "audio_s", "n_frames", "n_frames_with_face", "n_steps_with_text",
)  # fmt: skip


def read_index(store: SessionStore) -> pd.DataFrame:
    """Read the index of the sessions that were extracted with the settings of the store.

    Parameters
    ----------
    store : SessionStore
        The store.

    Returns
    -------
    DataFrame
        One row per session, with the columns of ``INDEX`` without ``settings_hash``.

    Raises
    ------
    StoreError
        If nothing was extracted into the store, or only with other settings, or ``index.parquet``
        is damaged or has other columns.
    """
    parts = _read_parts(store, _part_names(store), (INDEX,))
    index = _merge(INDEX, read_table(store, INDEX, INDEX.file), parts)
    if index is None:
        raise StoreError(
            f"{store.url}: not a store (it has no {INDEX.file}).",
            file=store.url,
            remedy="Run depmm extract, or correct data.store.",
        )
    same_settings = index["settings_hash"] == store.settings_hash
    if len(index) and not same_settings.any():
        raise other_settings_error(store, sorted(index["settings_hash"].unique()))
    return index[same_settings].drop(columns="settings_hash")


def read_failures(store: SessionStore) -> pd.DataFrame:
    """Read the failures of all manifests that were extracted into the store.

    Parameters
    ----------
    store : SessionStore
        The store.

    Returns
    -------
    DataFrame
        One row per failure, with the columns of ``FAILURES``; empty if there is no such table.

    Raises
    ------
    StoreError
        If ``failures.parquet`` is damaged or has other columns.
    """
    parts = _read_parts(store, _part_names(store), (FAILURES,))
    table = _merge(FAILURES, read_table(store, FAILURES, FAILURES.file), parts)
    return FAILURES.build([]) if table is None else table


def read_all_settings(store: SessionStore) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read the tables of a store, whatever the extraction settings of their sessions.

    Parameters
    ----------
    store : SessionStore
        The store; its settings are not used.

    Returns
    -------
    index, failures, warnings : DataFrame
        The columns of ``INDEX``, ``FAILURES`` and ``WARNINGS``; empty for tables that do not exist.

    Raises
    ------
    StoreError
        If a table is damaged or has other columns.
    """
    schemas = (INDEX, FAILURES, WARNINGS)
    parts = _read_parts(store, _part_names(store), schemas)
    tables = []
    for schema in schemas:
        table = _merge(schema, read_table(store, schema, schema.file), parts)
        tables.append(schema.build([]) if table is None else table)
    return tables[0], tables[1], tables[2]


def stored_summary(store: SessionStore, key: SessionKey, source_hash: str) -> dict[str, Any] | None:
    """Read the summary of a session if its file is complete and up to date.

    Parameters
    ----------
    store : SessionStore
        The store.
    key : tuple of str
        Corpus, subject and session id.
    source_hash : str
        Hash of the current steps and recordings of the session.

    Returns
    -------
    dict or None
        The summary; None if the session is missing, damaged or was extracted from other sources.
    """
    if not store.has(*key):
        return None
    try:
        summary = store.read_summary(*key)
    except StoreError:  # damaged: it is extracted again
        return None
    return summary if summary.get("source_hash") == source_hash else None


def update_tables(
    store: SessionStore, source_hashes: Mapping[SessionKey, str], part: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bring ``index.parquet``, ``failures.parquet`` and ``warnings.parquet`` up to date.

    Rows of other manifests are kept. A table that has not changed is not written.

    Parameters
    ----------
    store : SessionStore
        The store.
    source_hashes : mapping of tuple to str
        Key of each session that this process extracted, and the hash of its steps and recordings.
    part : str, optional
        Name of the part of the sessions that these are, if other processes may write the same
        store. The rows are then written to tables of this part, which readers add. Without it,
        the tables of all parts are joined to one.

    Returns
    -------
    failures : DataFrame
        The failures of these sessions, with the columns of ``FAILURES``.
    warnings : DataFrame
        The warnings about these sessions, with the columns of ``WARNINGS``.

    Raises
    ------
    StoreWriteError
        If the store cannot be written.
    """
    rows, failures, warnings, summaries = _collect_rows(store, source_hashes)
    warnings += _differing_columns(store, summaries)
    tables = {
        WARNINGS: WARNINGS.build(warnings),
        FAILURES: FAILURES.build(failures),
        INDEX: INDEX.build(rows),  # the last one: a part without an index is not complete
    }
    _write(store, tables, source_hashes, part)
    return tables[FAILURES], tables[WARNINGS]


def join_parts(
    store: SessionStore,
    source_hashes: Mapping[SessionKey, str],
    parts: Sequence[str],
    part: str | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join the tables that the processes of one launch have just written, and remove them.

    Each table is read once. A session file is read only if it has streams of the corpus, whose
    columns are compared between all sessions.

    Parameters
    ----------
    store : SessionStore
        The store.
    source_hashes : mapping of tuple to str
        Key of each session of the launch, and the hash of its steps and recordings.
    parts : sequence of str
        Names of the parts of the processes, all of which have reached their end.
    part : str, optional
        As in :func:`update_tables`, for the sessions of the whole launch.

    Returns
    -------
    failures, warnings : DataFrame
        As :func:`update_tables` returns.

    Raises
    ------
    StoreWriteError
        If the store cannot be written.
    """
    names = [f"{store.settings_hash}.{name}" for name in parts]
    read = _read_parts(store, names, _TABLES, skip_damaged=True)
    if len(read) < len(names):  # a table was lost or is damaged
        return update_tables(store, source_hashes, part)
    tables = {
        schema: schema.build([row for one in read for row in _list_rows(one.tables[schema])])
        for schema in _TABLES
    }
    index = tables[INDEX]
    provided = index["streams"].map(lambda names: any(track_of(name) is None for name in names))
    if provided.any():
        keys = index.loc[provided, SESSION_KEY].itertuples(index=False, name=None)
        summaries = {key: {"streams": store.read_summary(*key)["streams"]} for key in keys}
        warnings = tables[WARNINGS][tables[WARNINGS]["name"] != "columns_differ"]
        rows = _list_rows(warnings) + _differing_columns(store, summaries)
        tables[WARNINGS] = WARNINGS.build(rows)
    _write(store, tables, source_hashes, part)
    if part is not None:
        _remove_parts(store, names)
    return tables[FAILURES], tables[WARNINGS]


def _write(
    store: SessionStore,
    tables: Mapping[TableSchema, pd.DataFrame],
    source_hashes: Mapping[SessionKey, str],
    part: str | None,
) -> None:
    """Write the tables of a part, or join them with the others to those of the store."""
    if part is not None:
        for schema, table in tables.items():
            write_table(store, table, _part_file(schema, f"{store.settings_hash}.{part}"))
        return
    names = _part_names(store)
    parts = _read_parts(store, names, _TABLES, skip_damaged=True)
    keys = pd.MultiIndex.from_tuples(list(source_hashes), names=SESSION_KEY)
    for schema, table in tables.items():
        present = _read_or_none(store, schema, schema.file)
        merged = _replace(_merge(schema, present, parts), table, keys, store.settings_hash)
        schema.check(merged)
        if present is None or not merged.reset_index(drop=True).equals(present):
            write_table(store, merged, schema.file)
    _remove_parts(store, names)


def _list_rows(table: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _remove_parts(store: SessionStore, names: Sequence[str]) -> None:
    for name in names:
        for schema in _TABLES:
            path = f"{store.root}/{_part_file(schema, name)}"
            if store.filesystem.exists(path):
                with writing(path):
                    store.filesystem.rm(path)


def _collect_rows(
    store: SessionStore, source_hashes: Mapping[SessionKey, str]
) -> tuple[list[Row], list[Row], list[Row], dict[SessionKey, dict[str, Any]]]:
    """Read rows of index, failures and warnings, and the streams, from the files of sessions."""
    rows: list[Row] = []
    failures: list[Row] = []
    warnings: list[Row] = []
    summaries = {}
    for key, source_hash in source_hashes.items():
        if (summary := stored_summary(store, key, source_hash)) is not None:
            identity = {
                **dict(zip(SESSION_KEY, key, strict=True)),
                "settings_hash": store.settings_hash,
            }
            counts = {name: summary[name] for name in _FROM_SUMMARY}
            rows.append({**identity, **counts, "streams": sorted(summary["streams"])})
            warnings += [{**identity, **warning} for warning in summary["warnings"]]
            summaries[key] = {"streams": summary["streams"]}
        failures += recorded_failures(store, key)
    return rows, failures, warnings, summaries


def _differing_columns(
    store: SessionStore, summaries: Mapping[SessionKey, dict[str, Any]]
) -> list[Row]:
    """Compare the columns of the streams of sessions; return the warnings about them."""
    warnings: list[Row] = []
    for found in find_different_columns(summaries):
        identity = dict(zip(SESSION_KEY, found.key, strict=True))
        warning = {"stage": found.stream, "file": found.file, "name": "columns_differ"}
        warning |= {"problem": found.problem, "remedy": found.remedy}
        warnings.append({**identity, "settings_hash": store.settings_hash, **warning})
    return warnings


def _part_file(schema: TableSchema, name: str) -> str:
    return schema.file.replace(".parquet", f".{name}.parquet")


def _part_names(store: SessionStore) -> list[str]:
    """List the parts whose tables are in the store, from the oldest to the newest."""
    prefix, suffix = INDEX.file.split(".")
    try:
        store.filesystem.invalidate_cache()
        entries = store.filesystem.ls(store.root, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    parts = []
    for entry in entries:
        name = str(entry["name"]).rpartition("/")[2]
        if name.startswith(f"{prefix}.") and name.endswith(f".{suffix}") and name != INDEX.file:
            times = (
                entry.get(key) for key in ("mtime", "LastModified", "last_modified", "created")
            )
            modified = next((str(time) for time in times if time is not None), "")
            parts.append((modified, name.removeprefix(f"{prefix}.").removesuffix(f".{suffix}")))
    return [name for _, name in sorted(parts)]


class _Part(NamedTuple):
    """The tables of a part of the sessions, and the keys of these sessions."""

    settings_hash: str
    tables: dict[TableSchema, pd.DataFrame]
    keys: pd.MultiIndex


def _read_parts(
    store: SessionStore,
    names: Iterable[str],
    schemas: Iterable[TableSchema],
    skip_damaged: bool = False,
) -> list[_Part]:
    """Read tables of parts, each once; an incomplete part is left out."""
    read = _read_or_none if skip_damaged else read_table
    parts = []
    for name in names:
        # every session of the part is in the index or has failures
        tables = {
            schema: read(store, schema, _part_file(schema, name))
            for schema in {INDEX: None, FAILURES: None} | dict.fromkeys(schemas)
        }
        complete = {schema: table for schema, table in tables.items() if table is not None}
        if len(complete) == len(tables):
            both = [complete[schema][SESSION_KEY] for schema in (INDEX, FAILURES)]
            keys = pd.MultiIndex.from_frame(pd.concat(both, ignore_index=True))
            parts.append(_Part(name.partition(".")[0], complete, keys))
    return parts


def _merge(
    schema: TableSchema, table: pd.DataFrame | None, parts: list[_Part]
) -> pd.DataFrame | None:
    """Add the rows of parts to a table; a part replaces all rows of its sessions."""
    for part in parts:
        table = _replace(table, part.tables[schema], part.keys, part.settings_hash)
    return table


def _read_or_none(store: SessionStore, schema: TableSchema, name: str) -> pd.DataFrame | None:
    try:
        return read_table(store, schema, name)
    except DamagedTableError as error:
        logger.warning(
            "%s: the table is damaged and is computed again. Rows of other manifests return when "
            "these are extracted again.",
            error.file,
        )
        return None


def _replace(
    present: pd.DataFrame | None, rows: pd.DataFrame, keys: pd.MultiIndex, settings_hash: str
) -> pd.DataFrame:
    """Replace the rows of the given sessions, only those of the same settings if known."""
    if present is None or not len(present) or not len(keys):
        return rows if present is None or not len(present) else present
    replaced = pd.MultiIndex.from_frame(present[SESSION_KEY]).isin(keys)
    if "settings_hash" in present:
        replaced &= (present["settings_hash"] == settings_hash).to_numpy()
    # a table without rows has no types of its own
    tables = [table for table in (present[~replaced], rows) if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else rows
