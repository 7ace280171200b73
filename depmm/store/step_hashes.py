"""Hashes of steps: whether the sessions of a store were extracted as the manifest says now."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from depmm.corpora.corpus_facts import CorpusFacts
from depmm.corpora.manifest import Manifest
from depmm.errors import count_of
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.errors import StoreError
from depmm.store.failures import SessionKey

Rows = list[dict[str, Any]]
_FILES = {"audio", "face", "path"}  # columns that name files


def check_stored_steps(stored: pd.DataFrame, manifest: Manifest, url: str) -> None:
    """Check that the sessions of a store were extracted with the steps of a manifest.

    Parameters
    ----------
    stored : DataFrame
        Rows of the index of the store, with the key of the session as columns.
    manifest : Manifest
        The manifest.
    url : str
        The store, for the message.

    Raises
    ------
    StoreError
        If a session was indexed again, but not extracted again.
    """
    changed = find_changed(stored, manifest)
    if changed.empty:
        return
    first = changed.iloc[0]
    n_now = int((manifest.steps[SESSION_KEY] == first[SESSION_KEY]).all(axis=1).sum())
    difference = f"it has {count_of(int(first['n_steps']), 'step')} there, and {n_now} now"
    if first["n_steps"] == n_now:
        difference = f"times, texts or files of its {count_of(n_now, 'step')} differ"
    raise StoreError(
        f"{url}: {count_of(len(changed), 'session')} of the store were extracted with other steps "
        f"than those of the manifest. The first is {first['session']}: {difference}.",
        setting="data.store",
        file=url,
        subject=str(first["subject"]),
        session=str(first["session"]),
        remedy="Run depmm extract again with this manifest.",
    )


def find_changed(stored: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """Find the sessions of a store whose steps in the manifest are others now.

    Parameters
    ----------
    stored : DataFrame
        Rows of the index of the store, with the key of the session as columns.
    manifest : Manifest
        The manifest.

    Returns
    -------
    DataFrame
        Rows of these sessions. Sessions of other manifests are not compared.
    """
    hashes = hash_steps(manifest).rename("hash_now")
    both = stored.merge(hashes, left_on=SESSION_KEY, right_index=True)
    return both[both["steps_hash"] != both["hash_now"]].drop(columns="hash_now")


def hash_steps(manifest: Manifest) -> pd.Series:
    """Compute a hash of the steps of each session.

    Times, texts, tracks, channels, the names of the files and the streams of the corpus are part of
    it; the folders of the files are not, so that a corpus may be moved.

    Parameters
    ----------
    manifest : Manifest
        Sessions and steps.

    Returns
    -------
    Series of str
        Hashes, indexed by the key of the session.
    """
    hashes = {key: hash_rows(steps, streams) for key, steps, streams in list_rows(manifest)}
    keys = pd.MultiIndex.from_tuples(list(hashes), names=SESSION_KEY)
    return pd.Series(list(hashes.values()), index=keys, dtype=str)


def hash_rows(steps: Rows, streams: Rows) -> str:
    """Compute the hash of the steps of one session.

    Parameters
    ----------
    steps, streams : list of dict
        As ``list_rows`` returns them.

    Returns
    -------
    str
        Sixteen hexadecimal digits. A missing value is the same as a missing column.
    """
    return hash_content(
        [
            {
                name: PurePosixPath(value).name if name in _FILES else value
                for name, value in row.items()
                if value is not None
            }
            for row in [*steps, *streams]
        ]
    )


def hash_content(content: list[Any]) -> str:
    """Compute the hash of values that JSON can describe.

    Parameters
    ----------
    content : list
        The values.

    Returns
    -------
    str
        Sixteen hexadecimal digits.
    """
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def list_rows(manifest: Manifest) -> Iterator[tuple[SessionKey, Rows, Rows]]:
    """List the steps and the streams of each session as an extraction uses them.

    Parameters
    ----------
    manifest : Manifest
        Sessions and steps.

    Yields
    ------
    key : tuple of str
        Corpus, subject and session id; sorted.
    steps, streams : list of dict
        Rows of ``steps.parquet``, without texts if their speaker is unknown, and of
        ``features.parquet``. Missing values are None.
    """
    columns = [
        "step", "start_s", "end_s", "audio", "audio_track", "audio_channel", "face", "face_aligned",
        "text",
    ]  # fmt: skip
    columns += [name for name in ("previous_end_s",) if name in manifest.steps]
    streams = _records(manifest.features, ["step", "name", "path", "reader"])
    for key, steps in _records(manifest.steps, columns).items():
        if manifest.facts.get(key[0], CorpusFacts()).text_speaker == "unknown":
            steps = [step | {"text": None} for step in steps]
        yield key, steps, streams.get(key, [])


def _records(table: pd.DataFrame, columns: list[str]) -> dict[SessionKey, Rows]:
    """Convert the rows of each session to dictionaries, with None for missing values."""
    table = table.sort_values([*SESSION_KEY, "step"], kind="stable")
    keys = zip(*(_cells(table[name].astype(str)) for name in SESSION_KEY), strict=True)
    rows = zip(*(_cells(table[name]) for name in columns), strict=True)
    records: dict[SessionKey, Rows] = {}
    for key, row in zip(keys, rows, strict=True):
        cells = dict(zip(columns, row, strict=True))
        records.setdefault(key, []).append(cells)
    return records


def _cells(column: pd.Series) -> list[Any]:
    """Convert a column to Python objects, of which equal texts are one: most rows repeat a file."""
    codes, values = pd.factorize(column)
    objects = np.append(np.asarray(values.astype(object)), [None])
    cells: list[Any] = objects[codes].tolist()
    return cells
