"""Extraction of all sessions of a manifest into a store, in parallel.

A session that was extracted before is skipped; failures are recorded in ``failures.parquet`` and
retried by the next run. Under a launcher (``RANK`` and ``WORLD_SIZE``) each process extracts a part
of the sessions.
"""

import hashlib
import json
import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from depmm.config import MODALITIES, ExtractConfig
from depmm.corpora.manifest import Manifest
from depmm.interrupts import interrupts_for_parent_only
from depmm.media.opencv_threads import use_one_opencv_thread
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.errors import StoreError
from depmm.store.failures import Failure, SessionKey, has_failures, record_failures
from depmm.store.index import stored_summary, update_tables
from depmm.store.progress import Advance, extraction_progress
from depmm.store.session_extraction import AudioDecoder, SessionJob, extract_session
from depmm.store.sessions import SessionStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExtractReport:
    """Counts and failures of an extraction.

    Attributes
    ----------
    extracted : int
        Sessions stored by this run.
    skipped : int
        Sessions stored before.
    lost : int
        Sessions from which nothing could be read.
    failures : DataFrame
        All parts of the manifest's sessions that could not be read, with the columns of
        ``depmm.schemas.store.FAILURES``.
    warnings : DataFrame
        Properties of the extracted recordings that may make their data unsuitable, with the
        columns of ``depmm.schemas.store.WARNINGS``.
    """

    extracted: int
    skipped: int
    lost: int
    failures: pd.DataFrame
    warnings: pd.DataFrame


def extract(
    manifest: Manifest,
    root: Path,
    store_url: str | Path,
    settings: ExtractConfig,
    landmarker: Path | None = None,
    workers: int | None = None,
    show_progress: bool = False,
    allow_pickle: bool = False,
    decoder: AudioDecoder | None = None,
) -> ExtractReport:
    """Extract every session of a manifest into a store.

    Parameters
    ----------
    manifest : Manifest
        Sessions and steps; paths relative to ``root``.
    root : Path
        Folder of the recordings.
    store_url : str or Path
        Folder or URL of the store.
    settings : ExtractConfig
        Extraction settings.
    landmarker : Path, optional
        MediaPipe face model. By default, it is searched for and downloaded once if necessary.
    workers : int, optional
        Number of worker processes. By default, the number of cores divided by the number of local
        processes of the launcher.
    show_progress : bool, default False
        Whether a progress bar with rate and remaining time is drawn in the terminal.
    allow_pickle : bool, default False
        Whether pickled ``.npy`` features are read, which runs code from the file. Use it only for
        files from a source that you trust.
    decoder : callable, optional
        Replaces ``depmm.media.audio.decode_audio``, for callers that also measure the decoded
        samples. With several workers, it must be a function that can be pickled.

    Returns
    -------
    ExtractReport
        Counts and failures.

    Raises
    ------
    MediaError
        If faces must be detected and the face model is missing.
    StoreError
        If ``root`` is not a folder or contains no file of the manifest, or the tables of the store
        are of another version.
    """
    _check_root(manifest, root)
    store = SessionStore(store_url, settings)
    if manifest.steps.loc[manifest.steps["face"].notna(), "face_aligned"].eq(False).any():
        from depmm.media.face_landmarker import find_landmarker

        landmarker = find_landmarker(landmarker)
    all_jobs = [
        SessionJob(
            key, steps, streams, root, store.url, settings, source_hash, landmarker, decoder,
            allow_pickle,
        )
        for key, steps, streams, source_hash in _sources(manifest, root)
    ]  # fmt: skip
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    jobs = all_jobs[rank::world_size]
    pending = [job for job in jobs if not _is_done(store, job)]
    if workers is None:
        workers = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    logger.debug("%d of %d sessions to extract, %d workers", len(pending), len(jobs), workers)
    results = _run(pending, workers, show_progress)
    lost = sum(1 for stored in results.values() if not stored)
    source_hashes = {job.key: job.source_hash for job in all_jobs}
    failures, warnings = update_tables(store, source_hashes, single_process=world_size == 1)
    report = ExtractReport(len(results) - lost, len(jobs) - len(pending), lost, failures, warnings)
    logger.debug(
        "%s: %d sessions extracted, %d extracted before, %d lost; %d failures",
        store.url, report.extracted, report.skipped, report.lost, len(failures),
    )  # fmt: skip
    return report


def _check_root(manifest: Manifest, root: Path) -> None:
    if not root.is_dir():
        raise StoreError(
            f"{root}: not a folder.", file=root, remedy="Give the folder of the recordings."
        )
    steps = manifest.steps
    columns = (steps["audio"], steps["face"], manifest.features["path"])
    files = sorted({str(file) for column in columns for file in column.dropna()})
    if files and not any((root / file).is_file() for file in files):
        raise StoreError(
            f"{root}: none of the {len(files)} files of the manifest is in this folder, for "
            f"example {files[0]}.",
            file=root,
            remedy="Use the folder that was indexed with depmm index.",
        )


def _sources(
    manifest: Manifest, root: Path
) -> Iterator[tuple[SessionKey, list[dict[str, Any]], list[dict[str, Any]], str]]:
    """Yield key, steps, streams and source hash of each session, sorted by key."""
    step_columns = [
        "step", "start_s", "end_s", "audio", "audio_track", "audio_channel", "face", "face_aligned",
    ]  # fmt: skip
    stream_columns = ["step", "name", "path", "reader"]
    streams_of = {
        key: _records(rows, stream_columns)
        for key, rows in manifest.features.groupby(SESSION_KEY, sort=True)
    }
    sizes: dict[str | None, int | None] = {None: None}
    for key, rows in manifest.steps.groupby(SESSION_KEY, sort=True):
        steps = _records(rows.sort_values("step"), step_columns)
        streams = streams_of.get(key, [])
        paths = [step[modality] for step in steps for modality in MODALITIES]
        paths += [stream["path"] for stream in streams]
        for path in paths:
            if path not in sizes:
                file = root / path
                sizes[path] = file.stat().st_size if file.is_file() else -1
        # if a recording is replaced or step times change, the session is extracted again
        content = [steps, streams, [sizes[path] for path in paths]]
        text = json.dumps(content, sort_keys=True, default=str)
        corpus, subject, session = map(str, key)
        source_hash = hashlib.sha256(text.encode()).hexdigest()[:16]
        yield (corpus, subject, session), steps, streams, source_hash


def _records(rows: pd.DataFrame, columns: list[str]) -> list[dict[str, Any]]:
    """Convert rows to dictionaries, with None for missing values."""
    values = rows[columns].astype(object)
    return values.where(values.notna(), None).to_dict("records")  # type: ignore[return-value]


def _is_done(store: SessionStore, job: SessionJob) -> bool:
    if has_failures(store, job.key):
        return False
    return stored_summary(store, job.key, job.source_hash) is not None


def _run(pending: list[SessionJob], workers: int, show_progress: bool) -> dict[SessionKey, bool]:
    """Extract sessions; return for each whether it is stored."""
    progress: AbstractContextManager[Advance] = nullcontext(lambda failed: None)
    if show_progress:
        progress = extraction_progress(len(pending))
    results = {}
    with progress as advance:
        for job, failures, stored in _results(pending, workers):
            results[job.key] = stored
            for failure in failures:
                logger.debug("%s %s: %s", "/".join(job.key), failure.stage, failure.cause)
            advance(bool(failures))
    return results


def _results(
    pending: list[SessionJob], workers: int
) -> Iterator[tuple[SessionJob, list[Failure], bool]]:
    if workers <= 1 or len(pending) <= 1:
        for job in pending:
            yield job, *extract_session(job)
        return
    remaining = list(pending)
    while remaining:
        try:
            for job, result in _in_processes(remaining, workers):
                remaining.remove(job)
                yield job, *result
        except BrokenProcessPool:
            # a recording crashed a worker: retry the sessions that may have been running one by one
            for job in remaining[: 2 * workers]:
                remaining.remove(job)
                yield job, *_in_single_process(job)


def _in_processes(
    jobs: list[SessionJob], workers: int
) -> Iterator[tuple[SessionJob, tuple[list[Failure], bool]]]:
    # spawn: MediaPipe and FFmpeg do not work after a fork. Ctrl-C is handled by the parent
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_prepare_worker)
    with interrupts_for_parent_only():  # the first job starts the processes
        futures: dict[Future[tuple[list[Failure], bool]], SessionJob] = {
            pool.submit(extract_session, job): job for job in jobs
        }
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_single_process(job: SessionJob) -> tuple[list[Failure], bool]:
    """Extract a session in a separate process; a crash of the process is a failure."""
    try:
        return next(_in_processes([job], 1))[1]
    except BrokenProcessPool:
        files = {step[m] for step in job.steps for m in MODALITIES if step[m]}
        files |= {stream["path"] for stream in job.streams}
        failure = Failure(
            *job.key,
            stage="session",
            file=", ".join(sorted(files)),
            cause="the process that read it crashed or was ended from outside (out of memory, or "
            "a recording that crashes a decoder).",
            remedy="Check the recording, or try --workers 1.",
        )
        record_failures(SessionStore(job.store_url, job.settings), job.key, [failure])
        return [failure], False


def _prepare_worker() -> None:
    use_one_opencv_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
