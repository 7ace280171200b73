"""Sessions of a manifest without a prediction, and failures of their extraction."""

from typing import Any

import pandas as pd

from depmm.config import Experiment
from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest import read_manifest
from depmm.data.errors import DataError
from depmm.data.targets import labelled_sessions, no_target_reason
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.errors import StoreError
from depmm.store.index import read_failures, read_index
from depmm.store.sessions import SessionStore


def find_coverage(config: Experiment, predictions: pd.DataFrame) -> dict[str, Any]:
    """Compare the predictions of a run with the current state of its manifest and store.

    Parameters
    ----------
    config : Experiment
        Config of the run.
    predictions : DataFrame
        Columns corpus, subject and session, for every session with a prediction.

    Returns
    -------
    dict
        ``n_sessions`` of the manifest and ``n_predicted``; ``excluded``, a list with ``reason``,
        ``n_sessions`` and ``sessions`` (corpus/subject/session); ``failures`` of the extraction, a
        list with ``session``, ``stage``, ``file``, ``cause`` and ``remedy``. If manifest and store
        cannot be read, only ``not_checked`` with the reason.
    """
    try:
        sessions = read_manifest(config.data.manifest).sessions
        labelled, _ = labelled_sessions(sessions, config.target, config.data.manifest)
        store = SessionStore(config.data.store, config.extract)
        stored, failures = read_index(store), read_failures(store)
    except (ManifestError, DataError, StoreError, OSError) as error:
        return {"not_checked": str(error)}
    keys = _keys(sessions)
    failed = failures[_keys(failures).isin(keys)]
    remaining = keys.difference(_keys(predictions))
    not_stored = remaining.difference(_keys(stored))
    reasons = {
        no_target_reason(config.target): remaining.difference(_keys(labelled)),
        "not in the store: extraction failed": not_stored.intersection(_keys(failed)),
        "not in the store": not_stored,
        "in the store without a prediction: without the modalities or the steps of data.steps, or "
        "extracted after training": remaining,
    }
    excluded = []
    for reason, candidates in reasons.items():
        names = ["/".join(key) for key in candidates.intersection(remaining)]
        remaining = remaining.difference(candidates)
        if names:
            excluded.append({"reason": reason, "n_sessions": len(names), "sessions": names})
    return {
        "n_sessions": len(keys),
        "n_predicted": len(keys.intersection(_keys(predictions))),
        "excluded": excluded,
        "failures": [
            {
                "session": "/".join(key),
                **{name: str(row[name]) for name in ("stage", "file", "cause", "remedy")},
            }
            for key, (_, row) in zip(_keys(failed), failed.iterrows(), strict=True)
        ],
    }


def _keys(table: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(table[SESSION_KEY].astype(str))
