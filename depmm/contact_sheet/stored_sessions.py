"""The sessions of a store, of its failures and of a manifest, for one set of settings."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from depmm.config import ExtractConfig
from depmm.corpora.manifest import Manifest
from depmm.errors import DepmmError
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.failures import SessionKey
from depmm.store.index import read_all_settings
from depmm.store.sessions import SessionStore
from depmm.store.step_hashes import find_changed

_HAS = {"audio": "audio_s", "face": "n_frames"}  # column of the index that is above 0


class ContactSheetError(DepmmError):
    """A contact sheet that cannot be made."""


@dataclass(frozen=True)
class StoredSessions:
    """What is known of the sessions before their files are read.

    Attributes
    ----------
    store : SessionStore
        The store, with the chosen settings hash.
    hashes : dict of str to int
        Settings hash -> number of sessions, of all settings in the store.
    keys : list of tuple of str
        Corpus, subject and session id: sessions of the store, of its failures and of the manifest.
    stored : frozenset of tuple of str
        Sessions that are in the index.
    failures : dict of tuple to list of dict
        Rows of ``failures.parquet`` by session.
    warnings : dict of tuple to list of dict
        Rows of ``warnings.parquet`` by session.
    expected : dict of tuple to dict of str to str
        For each session, the modalities that it should have, with the reason.
    steps : dict of tuple to DataFrame
        Rows of ``steps.parquet`` by session, if there is a manifest.
    stale : frozenset of tuple of str
        Sessions whose steps in the manifest are others than at the extraction.
    """

    store: SessionStore
    hashes: dict[str, int]
    keys: list[SessionKey]
    stored: frozenset[SessionKey]
    failures: Mapping[SessionKey, list[dict[str, Any]]]
    warnings: Mapping[SessionKey, list[dict[str, Any]]]
    expected: Mapping[SessionKey, dict[str, str]]
    steps: Mapping[SessionKey, pd.DataFrame] = field(default_factory=dict)
    stale: frozenset[SessionKey] = frozenset()


def list_stored_sessions(
    url: str, manifest: Manifest | None = None, settings_hash: str | None = None
) -> StoredSessions:
    """List the sessions of a store, from its tables.

    Parameters
    ----------
    url : str
        Folder or URL of the store.
    manifest : Manifest, optional
        Adds sessions that are not in the store, ends and texts of the steps, and which modalities
        each session has.
    settings_hash : str, optional
        Hash of the extraction settings; default: that of most sessions.

    Returns
    -------
    StoredSessions
        The sessions.

    Raises
    ------
    ContactSheetError
        If the store has no session, or none with these settings.
    StoreError
        If a table of the store is damaged.
    """
    store = SessionStore(url, ExtractConfig())
    index, failures, warnings = read_all_settings(store)
    hashes = dict(Counter(index["settings_hash"]).most_common())
    if not hashes and failures.empty:
        raise ContactSheetError(
            f"{url}: the store has no sessions.",
            file=url,
            setting="store",
            value=url,
            remedy="Give the folder that was given to depmm extract with --out.",
        )
    if settings_hash is not None and settings_hash not in hashes:
        raise ContactSheetError(
            f"{url}: no session was extracted with the settings {settings_hash}; the store has "
            f"{', '.join(hashes) or 'no sessions'}.",
            setting="settings",
            value=settings_hash,
            remedy="Leave --settings out, or give one of these.",
        )
    store.settings_hash = settings_hash or next(iter(hashes), store.settings_hash)
    index = index[index["settings_hash"] == store.settings_hash]
    warnings = warnings[warnings["settings_hash"] == store.settings_hash]
    stored = frozenset(_keys(index))
    known = dict.fromkeys([*_keys(index), *_keys(failures)])
    steps = {} if manifest is None else _by_session(manifest.steps)
    if manifest is not None:  # a store may have sessions of other manifests
        known = dict.fromkeys(_keys(manifest.sessions))
    expected = {key: _expected_of_corpus(index, key[0]) for key in known}
    for key in known.keys() & steps.keys():
        expected[key] |= _expected_of_steps(steps[key])
    return StoredSessions(
        store,
        hashes,
        sorted(known),
        stored,
        _rows_by_session(failures),
        _rows_by_session(warnings),
        expected,
        steps,
        frozenset() if manifest is None else frozenset(_keys(find_changed(index, manifest))),
    )


def _keys(table: pd.DataFrame) -> list[SessionKey]:
    return list(zip(*(table[name].astype(str) for name in SESSION_KEY), strict=True))


def _by_session(table: pd.DataFrame) -> dict[SessionKey, pd.DataFrame]:
    return {tuple(map(str, key)): rows for key, rows in table.groupby(SESSION_KEY)}  # type: ignore[misc]


def _rows_by_session(table: pd.DataFrame) -> dict[SessionKey, list[dict[str, Any]]]:
    rows: defaultdict[SessionKey, list[dict[str, Any]]] = defaultdict(list)
    for key, row in zip(_keys(table), table.to_dict("records"), strict=True):
        rows[key].append(row)  # type: ignore[arg-type]
    return dict(rows)


def _expected_of_steps(rows: pd.DataFrame) -> dict[str, str]:
    return {name: "although the manifest has one" for name in _HAS if rows[name].notna().any()}


def _expected_of_corpus(index: pd.DataFrame, corpus: str) -> dict[str, str]:
    """Expect a modality that at least half of the sessions of the corpus have."""
    rows = index[index["corpus"].astype(str) == corpus]
    counts = {name: int((rows[column] > 0).sum()) for name, column in _HAS.items()}
    return {
        name: f"but {count} of {len(rows)} sessions of this corpus do"
        for name, count in counts.items()
        if 2 * count >= len(rows) > 0
    }
