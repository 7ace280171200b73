"""Extraction of all sessions of a manifest into a store, in parallel.

A session that was extracted before is skipped; failures are recorded in ``failures.parquet`` and
retried by the next run. Each session is decoded in a worker process, so that a recording that
crashes or blocks a decoder is a failure and the others go on. Several processes, also on several
computers, can each extract a part of the sessions (:mod:`depmm.shards`).
"""

import hashlib
import json
import logging
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from depmm.config import ExtractConfig
from depmm.cores import local_cores
from depmm.corpora.manifest import Manifest
from depmm.files.writing import remove_leftovers
from depmm.media.video.opencv import require_opencv
from depmm.progress import show, track
from depmm.shards import Shard, find_shard
from depmm.store.errors import StoreError
from depmm.store.failures import Failure, SessionKey, has_failures, record_failures
from depmm.store.index import join_parts, update_tables
from depmm.store.job_list import estimate_costs, file_size, list_jobs
from depmm.store.launch import Launch
from depmm.store.session_extraction import extract_session
from depmm.store.session_job import SessionJob
from depmm.store.sessions import SessionStore
from depmm.store.settings_file import record_settings
from depmm.store.source_files import have_changed
from depmm.store.worker_pool import Crash, Hang, run_in_processes

logger = logging.getLogger(__name__)

# Without a decoded block or frame. Decoding to a late window of a file that cannot be searched may
# take long; a session that is given up too early could never be extracted.
NO_PROGRESS_LIMIT_S = 1800.0


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
    shard : Shard
        The part of the sessions that was extracted. The failures and warnings are those of this
        part, or in the first process of a launch those of all parts.
    unfinished : list of str
        In the first process of a launch: the other processes that did not reach their end.
    """

    extracted: int
    skipped: int
    lost: int
    failures: pd.DataFrame
    warnings: pd.DataFrame
    shard: Shard
    unfinished: list[str]


def extract(
    manifest: Manifest,
    root: Path,
    store_url: str | Path,
    settings: ExtractConfig,
    landmarker: Path | None = None,
    workers: int | None = None,
    allow_pickle: bool = False,
    shard: Shard | None = None,
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
        Number of worker processes. By default, the cores that this process may use, divided by the
        number of local processes of the launcher. 0: the sessions are extracted in this process,
        which starts faster, but ends if a recording crashes a decoder.
    allow_pickle : bool, default False
        Whether pickled ``.npy`` features are read, which runs code from the file. Use it only for
        files from a source that you trust.
    shard : Shard, optional
        The part of the sessions to extract, from :func:`depmm.shards.parse_shard`. By
        default, it is read from the variables of a launcher or of SLURM; without these, all
        sessions are extracted.

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
    StoreWriteError
        If the store cannot be written, for example because the disk is full. The same call
        continues later.
    ShardError
        If the variables of a launcher contradict each other.
    SystemLibraryError
        If OpenCV is needed and a library of the system is missing.
    """
    _check_root(manifest, root)
    shard = find_shard() if shard is None else shard
    store = SessionStore(store_url, settings)
    with Launch(store, shard) as launch:
        jobs = list_jobs(
            manifest, root, store, _find_landmarker(manifest, landmarker), allow_pickle
        )
        report = _extract(store, jobs, shard, workers)
    if shard.rank == 0 and shard.world_size > 1:
        failures, warnings = _join_launch(store, jobs, shard, finished=not launch.unfinished)
        report = replace(report, failures=failures, warnings=warnings, unfinished=launch.unfinished)
    return report


def _find_landmarker(manifest: Manifest, landmarker: Path | None) -> Path | None:
    """Find the face model if faces must be detected; check that OpenCV is there if it is needed."""
    video = manifest.steps[manifest.steps["face"].notna()]
    if len(video):
        require_opencv()
    if video["face_aligned"].eq(False).any():
        from depmm.media.video.face_landmarker import find_landmarker

        return find_landmarker(landmarker)
    return landmarker


def _update_tables(
    store: SessionStore, all_jobs: list[SessionJob], shard: Shard
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the tables of a part of the sessions; return its failures and warnings."""
    hashes = {job.key: job.source_hash for job in _select(all_jobs, shard)}
    return update_tables(store, hashes, _part_name(all_jobs, shard))


def _join_launch(
    store: SessionStore, all_jobs: list[SessionJob], shard: Shard, finished: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join the tables of the processes of a launch; return its failures and warnings."""
    members = shard.of_each_process()
    hashes = {job.key: job.source_hash for one in members for job in _select(all_jobs, one)}
    part = _part_name(all_jobs, shard.of_launch())
    if not finished:  # the tables of a process that was ended are those of an earlier launch
        return update_tables(store, hashes, part)
    names = [name for one in members if (name := _part_name(all_jobs, one))]
    return join_parts(store, hashes, names, part)


def _select(all_jobs: list[SessionJob], shard: Shard) -> list[SessionJob]:
    return shard.select(all_jobs, estimate_costs(all_jobs))


def _part_name(all_jobs: list[SessionJob], shard: Shard) -> str | None:
    """Name the tables of a part; None for the whole."""
    if shard.count == 1:
        return None
    keys = json.dumps([job.key for job in all_jobs])
    return f"{hashlib.sha256(keys.encode()).hexdigest()[:8]}.{shard.name}"


def _extract(
    store: SessionStore,
    all_jobs: list[SessionJob],
    shard: Shard,
    workers: int | None,
) -> ExtractReport:
    """Extract the sessions of this process."""
    jobs = _select(all_jobs, shard)
    if shard.count > 1:
        logger.info(
            "part %s of the sessions (%s): %d of %d sessions",
            shard, shard.source, len(jobs), len(all_jobs),
        )  # fmt: skip
    if workers is None:
        workers = local_cores()
    pending = _pending(store, jobs, max(1, workers))
    if workers > 1:  # the longest sessions first, so that all workers end at about the same time
        costs = estimate_costs(pending)
        order = sorted(range(len(pending)), key=costs.__getitem__, reverse=True)
        pending = [pending[index] for index in order]
    logger.debug("%d of %d sessions to extract, %d workers", len(pending), len(jobs), workers)
    if pending and store.is_local:
        store.make_folder()
    results = _run(pending, workers)
    lost = sum(1 for stored in results.values() if not stored)
    if lost < len(jobs):
        record_settings(store)
    failures, warnings = _update_tables(store, all_jobs, shard)
    report = ExtractReport(
        len(results) - lost, len(jobs) - len(pending), lost, failures, warnings, shard, []
    )
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
    if files and not any(file_size(root / file) >= 0 for file in files):
        raise StoreError(
            f"{root}: none of the {len(files)} files of the manifest is in this folder, for "
            f"example {files[0]}.",
            file=root,
            remedy="Use the folder that was indexed with depmm index.",
        )


def _pending(store: SessionStore, jobs: list[SessionJob], n_threads: int) -> list[SessionJob]:
    """Select the sessions that are missing, incomplete, damaged or of other sources.

    Every byte of the stored sessions is read; the threads calculate checksums without the GIL.
    """
    with ThreadPoolExecutor(n_threads) as pool:
        checks = pool.map(lambda job: _is_done(store, job), jobs)
        done = list(track(checks, "check the store", "sessions", len(jobs)))
    return [job for job, is_done in zip(jobs, done, strict=True) if not is_done]


def _is_done(store: SessionStore, job: SessionJob) -> bool:
    if has_failures(store, job.key) or not store.has(*job.key):
        return False
    try:
        summary = store.read_summary(*job.key)
        if summary["source_hash"] != job.source_hash:
            return False
        if have_changed(job.root, summary["source_files"]):
            return False
        store.verify(*job.key)
    except StoreError as error:
        logger.warning("%s It is extracted again now.", error)
        return False
    return True


def _run(pending: list[SessionJob], workers: int) -> dict[SessionKey, bool]:
    """Extract sessions; return for each whether it is stored."""
    results = {}
    n_failed = 0
    with show("extract", len(pending), "sessions") as task:
        for job, failures, stored in _results(pending, workers):
            results[job.key] = stored
            for failure in failures:
                logger.debug("%s %s: %s", "/".join(job.key), failure.stage, failure.cause)
            n_failed += bool(failures)
            task.advance(note=f"{n_failed} with failures" if n_failed else "")
    return results


def _results(
    pending: list[SessionJob], workers: int
) -> Iterator[tuple[SessionJob, list[Failure], bool]]:
    if workers == 0:
        for job in pending:
            yield job, *extract_session(job)
        return
    ended = False
    for job, result in run_in_processes(extract_session, pending, workers, NO_PROGRESS_LIMIT_S):
        if isinstance(result, Crash | Hang):
            ended = True
            yield job, *_record_ended(job, result)
        else:
            yield job, *result
    if ended:
        store = SessionStore(pending[0].store_url, pending[0].settings)
        if store.is_local:
            remove_leftovers(Path(store.root), again=True)


def _record_ended(job: SessionJob, end: Crash | Hang) -> tuple[list[Failure], bool]:
    """Record that the process of a session crashed or was ended."""
    if isinstance(end, Hang):
        cause = (
            f"reading it did not get on for {end.seconds:.0f} s and was ended (a disk or network "
            "that does not answer, or a recording that blocks a decoder)."
        )
    else:
        cause = (
            f"the process that read it crashed twice ({_describe_exit(end.exit_code)}): it needs "
            "more memory than the computer has, or crashes a decoder."
        )
    failure = Failure(
        *job.key,
        stage="session",
        file=job.all_files,
        cause=cause,
        remedy="Check the recording, or re-encode it; to try it again, run the same command.",
    )
    record_failures(SessionStore(job.store_url, job.settings), job.key, [failure])
    return [failure], False


def _describe_exit(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit status {exit_code}"
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"
