"""Which sessions of a manifest a run says nothing about, and what could not be read for it."""

from typing import Any

import pandas as pd

from depmm.config import Experiment
from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest import SESSION_KEY, read_manifest
from depmm.data.experiment_data import DataError, labelled_sessions
from depmm.store.extract import read_failures, read_index
from depmm.store.sessions import SessionStore, StoreError


def find_coverage(config: Experiment, predictions: pd.DataFrame) -> dict[str, Any]:
    """Compare a run's predictions with its manifest and its store, as they are now.

    Parameters
    ----------
    config : of the run
    predictions : corpus, subject, session of every session that has a prediction

    Returns
    -------
    ``sessions`` (of the manifest), ``predicted``, ``left_out`` (reason, sessions, ``which``:
    corpus/subject/session) and ``failures`` of the extraction (session, stage, file, reason); or
    ``not_checked``: why nothing of this can be said
    """
    try:
        sessions = read_manifest(config.data.manifest).sessions
        labelled, _ = labelled_sessions(sessions, config.target, config.data.manifest)
        store = SessionStore(config.data.store, config.extract)
        stored, failures = read_index(store), read_failures(store)
    except (ManifestError, DataError, StoreError, OSError) as error:
        return {"not_checked": str(error)}
    every = _keys(sessions)
    failed = failures[_keys(failures).isin(every)]
    left = every.difference(_keys(predictions))
    reasons = {
        f"no class in {config.target.column}": left.difference(_keys(labelled)),
        "not in the store: extraction failed": left.difference(_keys(stored)).intersection(
            _keys(failed)
        ),
        "not in the store": left.difference(_keys(stored)),
        "in the store, but not predicted (without the modalities or data.steps, or added since)": (
            left
        ),
    }
    left_out = []
    for reason, keys in reasons.items():
        own = keys.intersection(left)
        left = left.difference(own)
        if len(own):
            which = ["/".join(key) for key in own]
            left_out.append({"reason": reason, "sessions": len(own), "which": which})
    return {
        "sessions": len(every),
        "predicted": len(every.intersection(_keys(predictions))),
        "left_out": left_out,
        "failures": [
            {
                "session": "/".join(key),
                **{name: str(row[name]) for name in ("stage", "file", "reason")},
            }
            for key, (_, row) in zip(_keys(failed), failed.iterrows(), strict=True)
        ],
    }


def _keys(table: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(table[SESSION_KEY].astype(str))
