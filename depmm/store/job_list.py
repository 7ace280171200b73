"""List the sessions of a manifest as jobs, and estimate how long each takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from depmm.config import TRACKS
from depmm.corpora.manifest import Manifest
from depmm.store.session_job import SessionJob
from depmm.store.sessions import SessionStore
from depmm.store.source_files import file_status
from depmm.store.step_hashes import hash_content, hash_rows, list_rows

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
    for key, steps, streams in list_rows(manifest):
        paths = [step[modality] for step in steps for modality in TRACKS]
        paths += [stream["path"] for stream in streams]
        for path in paths:
            if path not in sizes:
                sizes[path] = file_size(root / path)
        # if one of them changes, the session is extracted again; so it is after another content of
        # the same size, see depmm.store.source_files
        source_hash = hash_content([steps, streams, [sizes[path] for path in paths]])
        jobs.append(
            SessionJob(
                key, steps, streams, root, store.url, store.settings, source_hash,
                hash_rows(steps, streams), landmarker, allow_pickle,
                sum(max(0, sizes[path] or 0) for path in set(paths)),
            )
        )  # fmt: skip
    return jobs


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
    status = file_status(file)
    return -1 if status is None else status.st_size
