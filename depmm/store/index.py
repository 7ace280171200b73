"""Tables of a store: ``index.parquet``, ``failures.parquet`` and ``warnings.parquet``.

They are computed from the session files and from the files ``<session>.<hash>.failed.json`` of
sessions that could not be extracted completely. Therefore processes on several computers do not
need to communicate, and the next run rebuilds a lost table.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from depmm.schemas.manifest import SESSION_KEY
from depmm.schemas.store import FAILURES, INDEX, WARNINGS
from depmm.schemas.table import SchemaError, TableSchema
from depmm.store.errors import StoreError
from depmm.store.failures import SessionKey, recorded_failures
from depmm.store.sessions import SessionStore
from depmm.store.stream_columns import find_different_columns

_FROM_SUMMARY = ("n_steps", "audio_s", "n_frames", "n_frames_with_face")


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
        If nothing was extracted into the store, or ``index.parquet`` has other columns.
    """
    index = _read_table(store, INDEX)
    if index is None:
        raise StoreError(
            f"{store.url}: not a store (it has no {INDEX.file}).",
            file=store.url,
            remedy="Run depmm extract, or correct data.store.",
        )
    same_settings = index["settings_hash"] == store.settings_hash
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
        If ``failures.parquet`` has other columns.
    """
    table = _read_table(store, FAILURES)
    return FAILURES.build([]) if table is None else table


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
    store: SessionStore, source_hashes: Mapping[SessionKey, str], single_process: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bring ``index.parquet``, ``failures.parquet`` and ``warnings.parquet`` up to date.

    Rows of other manifests are kept. With several processes, a slow one may overwrite a newer
    index. Therefore each process reads the sessions again after writing, and repeats the update if
    they have changed.

    Parameters
    ----------
    store : SessionStore
        The store.
    source_hashes : mapping of tuple to str
        Key of each session of the manifest, and the hash of its steps and recordings.
    single_process : bool
        Whether no other process writes to the store.

    Returns
    -------
    failures : DataFrame
        The failures of these sessions, with the columns of ``FAILURES``.
    warnings : DataFrame
        The warnings about these sessions, with the columns of ``WARNINGS``.
    """
    rows, failures, warnings = _collect_rows(store, source_hashes)
    while True:
        failure_table, warning_table = FAILURES.build(failures), WARNINGS.build(warnings)
        _merge(store, INDEX, INDEX.build(rows), source_hashes)
        _merge(store, FAILURES, failure_table, source_hashes)
        _merge(store, WARNINGS, warning_table, source_hashes)
        if single_process:
            return failure_table, warning_table
        current = _collect_rows(store, source_hashes)
        if current == (rows, failures, warnings):
            return failure_table, warning_table
        rows, failures, warnings = current


def _collect_rows(
    store: SessionStore, source_hashes: Mapping[SessionKey, str]
) -> tuple[list[dict[str, Any]], list[dict[str, str]], list[dict[str, str]]]:
    """Read the rows of index, failures and warnings from the files of the sessions."""
    rows, failures, warnings = [], [], []
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
    for found in find_different_columns(summaries):
        identity = dict(zip(SESSION_KEY, found.key, strict=True))
        warning = {"stage": found.stream, "file": found.file, "name": "columns_differ"}
        warning |= {"problem": found.problem, "remedy": found.remedy}
        warnings.append({**identity, "settings_hash": store.settings_hash, **warning})
    return rows, failures, warnings


def _read_table(store: SessionStore, schema: TableSchema) -> pd.DataFrame | None:
    path = f"{store.root}/{schema.file}"
    if not store.filesystem.exists(path):
        return None
    with store.filesystem.open(path) as file:
        table = pd.read_parquet(file)
    try:
        schema.check(table)
    except SchemaError as error:
        raise StoreError(
            f"{store.url}/{error}",
            file=path,
            column=error.column,
            remedy="The store is of another version of depmm: extract into a new folder.",
        ) from None
    return table


def _merge(
    store: SessionStore,
    schema: TableSchema,
    table: pd.DataFrame,
    source_hashes: Mapping[SessionKey, str],
) -> None:
    """Replace the rows of the given sessions, only those of the same settings if known."""
    present = _read_table(store, schema)
    if present is not None and source_hashes:
        updated = pd.MultiIndex.from_tuples(list(source_hashes))
        replaced = pd.MultiIndex.from_frame(present[SESSION_KEY]).isin(updated)
        if "settings_hash" in present:
            replaced &= present["settings_hash"] == store.settings_hash
        others = present[~replaced]
        table = pd.concat([others, table], ignore_index=True) if len(others) else table
    schema.check(table)
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / schema.file
        table.to_parquet(local, index=False)
        store.put(local, f"{store.root}/{schema.file}")
