"""Measures of the sessions of a store, computed once per session.

The measures of a session are in ``<store>/measures/<key>/``, in a file with the same name and
format as the session file. It contains ``values``, (L, K) float64. The key identifies the set, its
measures, their version and the extraction settings. The file also contains the checksum of the
session: if the session is extracted again, its measures are computed again, and so are those of a
damaged file. You can delete the folder ``measures`` at any time.
"""

import hashlib
import json
import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from depmm.measures.measure import MeasureError
from depmm.measures.sets import (
    MEASURES_VERSION,
    SESSION_SETS,
    SetName,
    measure_session,
    measures_of,
    parse_sets,
)
from depmm.schemas.manifest import SESSION_KEY, STEP_KEY
from depmm.store.errors import StoreError
from depmm.store.failures import SessionKey
from depmm.store.session_tasks import SessionTask, run_tasks
from depmm.store.sessions import SessionStore
from depmm.store.worker_pool import Progress

logger = logging.getLogger(__name__)


def read_step_measures(
    store: SessionStore, session_keys: Sequence[SessionKey], sets: Sequence[str], workers: int = 0
) -> pd.DataFrame:
    """Read the measures of each step, and compute those that are missing.

    Parameters
    ----------
    store : SessionStore
        The sessions.
    session_keys : sequence of tuple of str
        Corpus, subject and session id of each session.
    sets : sequence of str
        Names of sets that describe steps.
    workers : int, default 0
        Number of processes that compute; 0: this process.

    Returns
    -------
    DataFrame
        One column of float64 per measure, NaN where it is undefined, and one row per step, with the
        index corpus, subject, session, step.

    Raises
    ------
    MeasureError
        If a set is unknown or describes whole sessions.
    StoreError
        If a session is not in the store, or its file is damaged.
    """
    names = parse_sets(sets)
    for name in names:
        if name in SESSION_SETS:
            raise MeasureError(
                f"The set {name} describes whole sessions, not steps.",
                setting="set",
                value=name,
                remedy="Use read_session_measures.",
            )
    tables = [_read_set(store, session_keys, name, workers) for name in names]
    return _join(tables, STEP_KEY)


def read_session_measures(
    store: SessionStore, session_keys: Sequence[SessionKey], sets: Sequence[str], workers: int = 0
) -> pd.DataFrame:
    """Read the measures of each session, and compute those that are missing.

    Parameters
    ----------
    store : SessionStore
        The sessions.
    session_keys : sequence of tuple of str
        Corpus, subject and session id of each session.
    sets : sequence of str
        Names of sets.
    workers : int, default 0
        Number of processes that compute; 0: this process.

    Returns
    -------
    DataFrame
        One row per session, with the index corpus, subject, session. A measure of steps has the
        columns of :func:`aggregate_steps`; a measure of sessions has a column with its name.

    Raises
    ------
    MeasureError
        If a set is unknown.
    StoreError
        If a session is not in the store, or its file is damaged.
    """
    tables = []
    for name in parse_sets(sets):
        table = _read_set(store, session_keys, name, workers)
        if name in SESSION_SETS:
            tables.append(table.droplevel("step"))
        else:
            tables.append(aggregate_steps(table).reindex(_index(session_keys, SESSION_KEY)))
    return _join(tables, SESSION_KEY)


def aggregate_steps(steps: pd.DataFrame) -> pd.DataFrame:
    """Summarise the steps of each session.

    Parameters
    ----------
    steps : DataFrame
        As :func:`read_step_measures` returns, or some of its rows.

    Returns
    -------
    DataFrame
        One row per session in the order of ``steps``. For each measure, the column
        ``<measure>_mean`` is the mean of the steps, and ``<measure>_std`` the standard deviation
        (divided by n - 1; NaN for fewer than two steps). Steps without a value are left out.
    """
    groups = steps.groupby(level=SESSION_KEY, sort=False)
    mean, std = groups.mean(), groups.std()
    columns: dict[str, pd.Series] = {}
    for name in steps.columns:
        columns[f"{name}_mean"], columns[f"{name}_std"] = mean[name], std[name]
    return pd.DataFrame(columns, index=mean.index)


def _index(keys: Sequence[tuple[object, ...]], names: list[str]) -> pd.MultiIndex:
    if not keys:  # from_tuples needs a row
        return pd.MultiIndex.from_arrays([[] for _ in names], names=names)
    return pd.MultiIndex.from_tuples(list(keys), names=names)


def _join(tables: list[pd.DataFrame], names: list[str]) -> pd.DataFrame:
    return pd.concat(tables, axis=1) if tables else pd.DataFrame(index=_index([], names))


def _read_set(
    store: SessionStore, session_keys: Sequence[SessionKey], name: SetName, workers: int
) -> pd.DataFrame:
    """Read one set, one row per step (or per session, as its step 0)."""
    found = {key: _read_cached(store, name, key) for key in session_keys}
    missing = [key for key, values in found.items() if values is None]
    if missing:
        logger.info("measure %s: %d sessions, %d of them computed before", name, len(found),
                    len(found) - len(missing))  # fmt: skip
        found |= dict(run_tasks(_compute_session, store, missing, name, workers))
    blocks = [(key, values) for key in session_keys if (values := found[key]) is not None]
    rows = [(*key, step) for key, values in blocks for step in range(len(values))]
    columns = [measure.name for measure in measures_of(name)]
    index = _index(rows, STEP_KEY)
    empty = np.zeros((0, len(columns)))
    stacked = np.concatenate([empty, *(values for _, values in blocks)])
    return pd.DataFrame(stacked, index=index, columns=columns)


def _compute_session(task: SessionTask, progress: Progress) -> np.ndarray:
    store = task.open_store()
    (name,) = parse_sets([task.name])
    checksum = store.read_summary(*task.key)["checksum"]
    with store.read(*task.key) as reader:
        values = measure_session(name, reader)
    progress()
    files = _files(store, name)
    with files.writer() as writer:
        writer.append("values", values)
        file = writer.save({"session": checksum})
        files.put(file, files.path(*task.key))
    return values


def _files(store: SessionStore, name: SetName) -> SessionStore:
    """Return the folder of the measures of a set, which has the file names of the store."""
    measures = [measure.name for measure in measures_of(name)]
    content = [MEASURES_VERSION, name, measures, store.settings_hash]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    return SessionStore(f"{store.url.rstrip('/')}/measures/{key}", store.settings)


def _read_cached(store: SessionStore, name: SetName, key: SessionKey) -> np.ndarray | None:
    """Read the measures of a session; None if they have to be computed."""
    summary = store.read_summary(*key)
    files = _files(store, name)
    if not files.has(*key):
        return None
    n_rows = 1 if name in SESSION_SETS else summary["n_steps"]
    expected = ("float64", (n_rows, len(measures_of(name))))
    try:
        with files.read_tensors(*key) as file:
            stored = json.loads(file.metadata["depmm"])["session"]
            if stored != summary["checksum"]:
                return None
            if file.shapes["values"] != expected:  # before memory is allocated
                raise ValueError(file.shapes["values"])
            return file.read("values")
    except (StoreError, KeyError, TypeError, ValueError):
        logger.warning("%s: damaged; its measures are computed again.", files.path(*key))
        return None
