"""Compute the embeddings of the sessions of a manifest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from depmm.audit.identity.session_embeddings import Key, Modality, SessionEmbeddings, unit
from depmm.corpora.manifest import Manifest
from depmm.progress import track
from depmm.schemas.manifest import SESSION_KEY


class Source(Protocol):
    """What is embedded of a session.

    Attributes
    ----------
    modality : Modality
        The modality.
    column : str
        Column of the steps with the recordings.
    size : int
        Length of an embedding.
    """

    modality: Modality
    column: str
    size: int

    def embed(self, steps: pd.DataFrame, root: Path) -> tuple[np.ndarray, float]:
        """Embed the steps of a session.

        Parameters
        ----------
        steps : DataFrame
            Steps with a recording.
        root : Path
            Folder of the recordings.

        Returns
        -------
        embeddings : ndarray of float32, shape (n, size)
            Embeddings of windows or frames, in order.
        amount : float
            What was embedded, in the unit of the modality.
        """
        ...


def compute_session_embeddings(
    manifests: Sequence[tuple[Manifest, Path]], source: Source
) -> SessionEmbeddings:
    """Embed the steps of every session.

    Only the time intervals of the steps are read, so that an interviewer is left out where the
    steps are the turns of the participant. Memory does not grow with the length of the recordings.

    Parameters
    ----------
    manifests : sequence of tuple of (Manifest, Path)
        Manifests with the folders of their recordings.
    source : Source
        What is embedded.

    Returns
    -------
    SessionEmbeddings
        The embeddings.
    """
    steps: dict[Key, tuple[pd.DataFrame, Path]] = {}
    for manifest, root in manifests:
        recorded = manifest.steps.dropna(subset=[source.column])
        for (corpus, subject, session), rows in recorded.groupby(SESSION_KEY):
            steps[str(corpus), str(subject), str(session)] = rows, root
    known = [key for manifest, _ in manifests for key in _keys(manifest.sessions)]
    rows_of: list[dict[str, str | float]] = []
    halves: list[np.ndarray] = []
    missing: list[Key] = [key for key in known if key not in steps]
    for key in track(sorted(steps), f"compare {source.modality.name}", "sessions"):
        try:
            vectors, amount = source.embed(*steps[key])
        except (ValueError, OSError):  # a finding of its own names unreadable files
            vectors, amount = np.zeros((0, source.size), np.float32), 0.0
        if not len(vectors):
            missing.append(key)
            continue
        rows_of.append({**dict(zip(SESSION_KEY, key, strict=True)), "amount": amount})
        parts = np.array_split(vectors, 2) if len(vectors) > 1 else [vectors, vectors]
        halves.append(np.stack([unit(part.mean(axis=0)) for part in parts]))
    table = pd.DataFrame(rows_of, columns=[*SESSION_KEY, "amount"])
    array = np.stack(halves) if halves else np.zeros((0, 2, source.size), np.float32)
    return SessionEmbeddings(source.modality, table, array, tuple(sorted(missing)))


def join_intervals(starts: np.ndarray, ends: np.ndarray) -> list[tuple[float, float]]:
    """Join intervals that overlap or touch.

    Parameters
    ----------
    starts, ends : ndarray, shape (n,)
        The intervals, in any order; an end may be infinite.

    Returns
    -------
    list of tuple of float
        Ascending and disjoint intervals.
    """
    joined: list[tuple[float, float]] = []
    for start, end in sorted(zip(starts.tolist(), ends.tolist(), strict=True)):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def _keys(table: pd.DataFrame) -> list[Key]:
    return list(table[SESSION_KEY].itertuples(index=False, name=None))
