"""List the sessions of a manifest as jobs, and estimate how long each takes."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from depmm.config import TRACKS
from depmm.corpora.corpus_facts import CorpusFacts
from depmm.corpora.manifest import Manifest
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.failures import SessionKey
from depmm.store.session_job import SessionJob
from depmm.store.sessions import SessionStore

# time for a second of video relative to a second of sound, measured on GRID (360 x 288 pixels, 25
# frames per second, of which 5 are stored): 0.064 s and, aligned, 0.011 s against 0.007 s
TRACKED_COST, ALIGNED_COST = 9.0, 1.5


def list_jobs(
    manifest: Manifest,
    root: Path,
    store: SessionStore,
    landmarker: Path | None,
    allow_pickle: bool,
) -> list[SessionJob]:
    """List the sessions of a manifest.

    Parameters
    ----------
    manifest : Manifest
        Sessions and steps; paths relative to ``root``.
    root : Path
        Folder of the recordings.
    store : SessionStore
        Where they are stored.
    landmarker : Path, optional
        MediaPipe face model.
    allow_pickle : bool
        Whether pickled ``.npy`` features are read, which runs code from the file.

    Returns
    -------
    list of SessionJob
        One job per session, sorted by key.
    """
    sizes: dict[str | None, int | None] = {None: None}
    jobs = []
    for key, steps, streams in _sessions(manifest):
        paths = [step[modality] for step in steps for modality in TRACKS]
        paths += [stream["path"] for stream in streams]
        for path in paths:
            if path not in sizes:
                sizes[path] = file_size(root / path)
        # if a recording is replaced, or a time or text changes, the session is extracted again
        source_hash = _hash([steps, streams, [sizes[path] for path in paths]])
        jobs.append(
            SessionJob(
                key, steps, streams, root, store.url, store.settings, source_hash,
                _hash_steps(steps, streams), landmarker, allow_pickle,
                sum(max(0, sizes[path] or 0) for path in set(paths)),
            )
        )  # fmt: skip
    return jobs


def hash_steps(manifest: Manifest) -> pd.Series:
    """Compute a hash of the steps of each session, to compare with those of the store.

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
    hashes = {key: _hash_steps(steps, streams) for key, steps, streams in _sessions(manifest)}
    keys = pd.MultiIndex.from_tuples(list(hashes), names=SESSION_KEY)
    return pd.Series(list(hashes.values()), index=keys, dtype=str)


def _sessions(
    manifest: Manifest,
) -> Iterator[tuple[SessionKey, list[dict[str, Any]], list[dict[str, Any]]]]:
    """List key, steps and streams of each session, without texts of an unknown speaker."""
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


def _hash_steps(steps: list[dict[str, Any]], streams: list[dict[str, Any]]) -> str:
    files = {"audio", "face", "path"}
    return _hash(
        [
            {
                name: PurePosixPath(value).name if name in files else value
                for name, value in row.items()
                if value is not None
            }
            for row in [*steps, *streams]
        ]
    )


def _hash(content: list[Any]) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def estimate_costs(jobs: Sequence[SessionJob]) -> list[float]:
    """Estimate how long the extraction of each session takes.

    Parameters
    ----------
    jobs : sequence of SessionJob
        All sessions of a manifest.

    Returns
    -------
    list of float
        Seconds of sound plus ``TRACKED_COST`` or ``ALIGNED_COST`` times the seconds of video. If
        the manifest does not have the end of every step with a recording, the bytes of the files,
        for all sessions.
    """
    recorded = [step for job in jobs for step in job.steps if step["audio"] or step["face"]]
    if not recorded or any(step["end_s"] is None for step in recorded):
        return [float(job.n_bytes) for job in jobs]
    return [sum(map(_estimate_cost, job.steps)) for job in jobs]


def _estimate_cost(step: dict[str, Any]) -> float:
    factor = float(step["audio"] is not None)
    if step["face"] is not None:
        factor += ALIGNED_COST if step["face_aligned"] else TRACKED_COST
    return factor * float(step["end_s"] - step["start_s"]) if factor else 0.0


def file_size(file: Path) -> int:
    """Measure a file.

    Parameters
    ----------
    file : Path
        The file.

    Returns
    -------
    int
        Bytes; -1 for a file that cannot be read, or that is no file.
    """
    try:
        return file.stat().st_size if file.is_file() else -1
    except (OSError, ValueError):  # for example, its name is too long
        return -1


def _records(table: pd.DataFrame, columns: list[str]) -> dict[SessionKey, list[dict[str, Any]]]:
    """Convert the rows of each session to dictionaries, with None for missing values."""
    table = table.sort_values([*SESSION_KEY, "step"], kind="stable")
    keys = zip(*(_cells(table[name].astype(str)) for name in SESSION_KEY), strict=True)
    rows = zip(*(_cells(table[name]) for name in columns), strict=True)
    records: dict[SessionKey, list[dict[str, Any]]] = {}
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
