"""Manifest -> store: decode, align and keep every session once, in parallel.

What is done is skipped, what broke is a row in ``failures.parquet`` and tried again next time. A
step that cannot be read is masked, a session of which nothing can be read is not stored; neither
ever ends the run. Under a launcher (``RANK`` and ``WORLD_SIZE``) the processes share the sessions
out.
"""

import functools
import json
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from depmm.config import MODALITIES, SAMPLE_RATE, ExtractConfig
from depmm.corpora.manifest import SESSION_KEY, Manifest
from depmm.media.errors import MediaError
from depmm.store.sessions import SessionStore, SessionWriter, StoreError
from depmm.store.streams import extract_streams

if TYPE_CHECKING:
    from depmm.media.faces import FaceTracker

# same parameters and results as depmm.media.audio.decode_audio
AudioDecoder = Callable[[Path, float, float | None], Iterator[np.ndarray]]
INDEX = [*SESSION_KEY, "settings", "steps", "audio_s", "frames", "frames_with_face", "streams"]


@dataclass(frozen=True)
class Failure:
    """Something of a session that could not be extracted."""

    corpus: str
    subject: str
    session: str
    stage: str  # audio | face | the name of a stream of features | session
    file: str
    reason: str


@dataclass(frozen=True)
class ExtractReport:
    """What an extraction did.

    Attributes
    ----------
    extracted, skipped, lost : sessions stored now, stored before, and not stored at all
    failures : everything that could not be read, of all sessions of the manifest
    """

    extracted: int
    skipped: int
    lost: int
    failures: pd.DataFrame


@dataclass(frozen=True)
class _Job:
    corpus: str
    subject: str
    session: str
    steps: list[dict[str, Any]]
    streams: list[dict[str, Any]]
    allow_pickle: bool
    root: Path
    store: str
    settings: ExtractConfig
    landmarker: Path | None
    decoder: AudioDecoder | None
    fingerprint: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.corpus, self.subject, self.session


def extract(
    manifest: Manifest,
    root: Path,
    store_url: str | Path,
    settings: ExtractConfig,
    landmarker: Path | None = None,
    workers: int | None = None,
    show_progress: bool = True,
    allow_pickle: bool = False,
    decoder: AudioDecoder | None = None,
) -> ExtractReport:
    """Extract every session of a manifest into a store.

    Parameters
    ----------
    manifest : sessions and steps; paths relative to ``root``
    root : folder of the recordings
    store_url : folder or URL of the store
    settings : extraction settings, see ``ExtractConfig``
    landmarker : MediaPipe face model; None looks for it (and may download it once)
    workers : processes; default: the cores, shared with the launcher's other local processes
    show_progress : draw a bar with rate and time left
    allow_pickle : run the code inside pickled ``.npy`` features; only if you trust their makers
    decoder : reads sound in place of ``media.audio.decode_audio``, for callers that also measure
        the decoded samples; several workers need a function that can be pickled

    Raises
    ------
    MediaError : faces must be found but there is no face model
    ValueError : ``root`` is no folder
    """
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder: give the root of the recordings")
    store = SessionStore(store_url, settings)
    if manifest.steps.loc[manifest.steps["face"].notna(), "face_aligned"].eq(False).any():
        from depmm.media.faces import find_landmarker

        landmarker = find_landmarker(landmarker)
    every = _jobs(manifest, root, store, settings, landmarker, allow_pickle, decoder)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    jobs = every[rank::world]
    todo = [job for job in jobs if not _is_done(store, job)]
    if workers is None:
        workers = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    results = _run(todo, workers, show_progress)
    lost = sum(1 for stored in results.values() if not stored)
    failures = _write_index(every, store, alone=world == 1)
    return ExtractReport(len(results) - lost, len(jobs) - len(todo), lost, failures)


def _jobs(
    manifest: Manifest,
    root: Path,
    store: SessionStore,
    settings: ExtractConfig,
    landmarker: Path | None,
    allow_pickle: bool,
    decoder: AudioDecoder | None,
) -> list[_Job]:
    """All sessions in the order of their keys, the same in every process."""
    wanted = ["step", "start_s", "end_s", "audio", "face", "face_aligned"]
    sizes: dict[str, int] = {}
    columns = ["step", "name", "path", "reader"]
    streams = {
        key: [dict(zip(columns, row, strict=True)) for row in rows[columns].itertuples(index=False)]
        for key, rows in manifest.features.groupby(SESSION_KEY, sort=True)
    }
    jobs = []
    for key, steps in manifest.steps.groupby(SESSION_KEY, sort=True):
        rows = steps.sort_values("step")[wanted].astype(object)
        records: list[dict[str, Any]] = rows.where(rows.notna(), None).to_dict("records")  # type: ignore[assignment]
        own = streams.get(key, [])
        for path in (*(r[m] for r in records for m in MODALITIES), *(s["path"] for s in own)):
            if path is not None and path not in sizes:
                file = root / path
                sizes[path] = file.stat().st_size if file.is_file() else -1
        # a replaced recording or changed step times make the stored session stale
        print_of: list[Any] = [records, [sizes.get(r[m]) for r in records for m in MODALITIES]]
        if own:
            print_of += [own, [sizes[s["path"]] for s in own]]
        corpus, subject, session = map(str, key)
        jobs.append(
            _Job(
                corpus, subject, session, records, own, allow_pickle, root, store.url, settings,
                landmarker, decoder,
                json.dumps(print_of, sort_keys=True, default=str),
            )
        )  # fmt: skip
    return jobs


def _is_done(store: SessionStore, job: _Job) -> bool:
    failed = store.filesystem.exists(_failure_path(store, *job.key))
    return not failed and _stored(store, job) is not None


def _stored(store: SessionStore, job: _Job) -> dict[str, Any] | None:
    """Summary of the session, if the store holds it as the manifest has it now."""
    if not store.has(*job.key):
        return None
    try:
        summary = store.summary(*job.key)
    except StoreError:  # damaged: made again
        return None
    return summary if summary.get("fingerprint") == job.fingerprint else None


def _run(todo: list[_Job], workers: int, show_progress: bool) -> dict[tuple[str, str, str], bool]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("extract"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
    )
    results: dict[tuple[str, str, str], bool] = {}
    broken = 0
    with Progress(*columns, disable=not show_progress) as progress:
        task = progress.add_task("extract", total=len(todo), rate="", state="")
        for job, failures, stored in _finished(todo, workers):
            results[job.key] = stored
            broken += bool(failures)
            speed = progress.tasks[0].finished_speed or progress.tasks[0].speed or 0.0
            progress.update(
                task,
                advance=1,
                rate=f"{speed:.1f} sessions/s",
                state=f"{broken} with failures" if broken else "",
            )
    return results


def _finished(todo: list[_Job], workers: int) -> Iterator[tuple[_Job, list[Failure], bool]]:
    if workers <= 1 or len(todo) <= 1:
        for job in todo:
            yield job, *extract_session(job)
        return
    left = list(todo)
    while left:
        try:
            for job, result in _in_processes(left, workers):
                left.remove(job)
                yield job, *result
        except BrokenProcessPool:
            # somebody's recording ended a process: those that were being read are tried alone
            for job in left[: 2 * workers]:
                left.remove(job)
                yield job, *_alone(job)


def _in_processes(
    jobs: list[_Job], workers: int
) -> Iterator[tuple[_Job, tuple[list[Failure], bool]]]:
    # spawn: MediaPipe and FFmpeg do not survive a fork; children leave Ctrl-C to the parent
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_ignore_interrupt)
    waiting: dict[Future[tuple[list[Failure], bool]], _Job] = {
        pool.submit(extract_session, job): job for job in jobs
    }
    try:
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _alone(job: _Job) -> tuple[list[Failure], bool]:
    """Extract a session in a process of its own; one that ends it becomes a failure."""
    try:
        return next(_in_processes([job], 1))[1]
    except BrokenProcessPool:
        files = sorted(
            {step[m] for step in job.steps for m in MODALITIES if step[m]}
            | {row["path"] for row in job.streams}
        )
        reason = (
            "the process that read it was ended from outside or crashed (out of memory, or a "
            "recording that a decoder cannot survive). Check the recording; try --workers 1"
        )
        failure = Failure(*job.key, "session", ", ".join(files), reason)
        _note_failures(SessionStore(job.store, job.settings), job.key, [failure])
        return [failure], False


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# ---- one session -----------------------------------------------------------------------------


def extract_session(job: _Job) -> tuple[list[Failure], bool]:
    """Extract one session.

    Returns
    -------
    what could not be read, and whether anything could and was stored
    """
    store = SessionStore(job.store, job.settings)
    failures: list[Failure] = []
    faces = 0
    with SessionWriter() as writer:
        for modality, read in (("audio", _extract_audio), ("face", _extract_faces)):
            ranges = np.zeros((len(job.steps), 2), np.int64)
            for file, numbers in _by_file(job.steps, modality).items():
                before = writer.mark()
                try:
                    shown, faults = read(job, file, numbers, writer, ranges)
                    faces += shown
                except MediaError as error:  # nothing of a damaged file is trusted
                    writer.rewind(before)
                    ranges[numbers] = 0
                    faults = [error]
                failures += [Failure(*job.key, modality, file, str(fault)) for fault in faults]
            if (ranges[:, 1] > ranges[:, 0]).any():
                name = "audio.step_samples" if modality == "audio" else "face.step_frames"
                writer.append(name, ranges)
                if modality == "face":
                    writer.append("face.jpeg_offset", np.array([writer.rows("face.jpeg")]))
        windows = _windows(job, list(range(len(job.steps))))
        streams, broken = extract_streams(job.root, job.streams, windows, writer, job.allow_pickle)
        failures += [Failure(*job.key, name, file, reason) for name, file, reason in broken]
        media = writer.rows("audio.step_samples") + writer.rows("face.step_frames") > 0
        stored = media or bool(streams)
        if stored:
            store.put(writer.save(_summary(job, writer, faces, streams)), store.path(*job.key))
    _note_failures(store, job.key, failures)
    return failures, stored


def _by_file(steps: list[dict[str, Any]], modality: str) -> dict[str, list[int]]:
    files: dict[str, list[int]] = {}
    for number, step in enumerate(steps):
        if step[modality] is not None:
            files.setdefault(step[modality], []).append(number)
    return files


def _windows(job: _Job, numbers: list[int]) -> list[tuple[float, float]]:
    return [
        (float(step["start_s"]), np.inf if step["end_s"] is None else float(step["end_s"]))
        for step in (job.steps[number] for number in numbers)
    ]


def _extract_audio(
    job: _Job, file: str, numbers: list[int], writer: SessionWriter, ranges: np.ndarray
) -> tuple[int, list[MediaError]]:
    """Decode a file once and keep the sound of its steps.

    Returns
    -------
    0, as sound shows no faces, and what is wrong with single steps
    """
    from depmm.media.audio import decode_audio, speech_segments

    windows = _windows(job, numbers)
    start_s, end_s = min(w[0] for w in windows), max(w[1] for w in windows)
    decode = job.decoder or decode_audio
    blocks = decode(job.root / file, start_s, None if end_s == np.inf else end_s)
    late = []
    for place, samples in _cut(blocks, start_s, windows):
        if len(samples) == 0:
            late.append(_too_late(job, file, numbers[place], "sound"))
            continue
        # a recording of 16 bits at 16 kHz is kept bit by bit
        integers = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
        end = writer.append("audio.waveform", integers)
        ranges[numbers[place]] = end - len(samples), end
        speech = speech_segments(
            samples, job.settings.audio.silence_db, job.settings.audio.min_silence_s
        )
        speech = (speech + windows[place][0]).astype(np.float32).reshape(-1, 2)
        writer.append("audio.speech", speech)
        writer.append("audio.speech_step", np.full(len(speech), numbers[place], np.int32))
    return 0, late


def _too_late(job: _Job, file: str, step: int, what: str) -> MediaError:
    return MediaError(
        file,
        f"step {step} starts at {job.steps[step]['start_s']:.3f} s, after the end of the {what}: "
        "it is masked. Check the step times or the recording.",
    )


def _cut(
    blocks: Iterator[np.ndarray], start_s: float, windows: list[tuple[float, float]]
) -> Iterator[tuple[int, np.ndarray]]:
    """Cut windows out of a stream that starts at ``start_s``; only open windows are held."""
    first = [round((start - start_s) * SAMPLE_RATE) for start, _ in windows]
    last = [np.inf if end == np.inf else round((end - start_s) * SAMPLE_RATE) for _, end in windows]
    held: dict[int, list[np.ndarray]] = {place: [] for place in range(len(windows))}
    at = 0
    for block in blocks:
        for place in list(held):
            begin, stop = max(first[place] - at, 0), min(last[place] - at, len(block))
            if begin < stop:
                held[place].append(block[int(begin) : int(stop)])
        at += len(block)
        for place in [p for p in held if last[p] <= at]:
            yield place, np.concatenate(held.pop(place) or [np.zeros(0, np.float32)])
    for place, parts in held.items():  # the recording ended inside these
        yield place, np.concatenate(parts or [np.zeros(0, np.float32)])


def _extract_faces(
    job: _Job, file: str, numbers: list[int], writer: SessionWriter, ranges: np.ndarray
) -> tuple[int, list[MediaError]]:
    """Decode a video once and keep the aligned crops of its steps.

    Returns
    -------
    how many, and what is wrong with single steps
    """
    from depmm.media.faces import aligned_crop, encode_jpeg
    from depmm.media.video import decode_frames

    windows = _windows(job, numbers)
    settings = job.settings.face
    frames = decode_frames(job.root / file, settings.frames_per_second, windows)
    before = writer.rows("face.time_s")
    times: list[float] = []
    found = 0

    def keep(time_s: float, crop: np.ndarray | None, confidence: float) -> None:
        nonlocal found
        writer.append("face.jpeg_offset", np.array([writer.rows("face.jpeg")]))
        if crop is not None:
            jpeg = np.frombuffer(encode_jpeg(crop, settings.jpeg_quality), np.uint8)
            writer.append("face.jpeg", jpeg)
            found += 1
        writer.append("face.time_s", np.array([time_s]))
        writer.append("face.detected", np.array([crop is not None]))
        writer.append("face.confidence", np.array([confidence], np.float32))
        times.append(time_s)

    if job.steps[numbers[0]]["face_aligned"]:
        for time_s, frame in frames:
            keep(time_s, aligned_crop(frame), 1.0)
    else:
        assert job.landmarker is not None
        tracker = _tracker(job.landmarker, settings.min_confidence)
        for time_s, frame in frames:
            face = tracker.track(time_s, frame)
            keep(time_s, face.crop if face.detected else None, face.confidence)
            writer.append("face.landmarks", face.landmarks[None])
            writer.append("face.blendshapes", face.blendshapes[None])
            writer.append("face.pose", face.pose[None])
    if found == 0:
        raise MediaError(
            file,
            f"none of {len(times)} sampled frames has a face (confidence >= "
            f"{settings.min_confidence}). Check the video, or lower face.min_confidence.",
        )
    clock = np.array(times)
    for number, (start, end) in zip(numbers, windows, strict=True):
        ranges[number] = before + np.searchsorted(clock, [start - 1e-6, end - 1e-6])
    empty = [number for number in numbers if ranges[number][0] == ranges[number][1]]
    return found, [_too_late(job, file, number, "video") for number in empty]


@functools.cache
def _tracker(landmarker: Path, min_confidence: float) -> "FaceTracker":
    """One tracker per worker: opening it costs more than a short video, and it keeps no state."""
    from depmm.media.faces import FaceTracker

    return FaceTracker(landmarker, min_confidence)


def _summary(
    job: _Job, writer: SessionWriter, faces: int, streams: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    return {
        "steps": len(job.steps),
        "step_start_s": [float(step["start_s"]) for step in job.steps],
        "audio_s": writer.rows("audio.waveform") / SAMPLE_RATE,
        "frames": writer.rows("face.time_s"),
        "frames_with_face": faces,
        "streams": streams,
        "fingerprint": job.fingerprint,
    }


# ---- index and failures ----------------------------------------------------------------------


def _failure_path(store: SessionStore, corpus: str, subject: str, session: str) -> str:
    return store.path(corpus, subject, session).replace(".safetensors", ".failed.json")


def _note_failures(store: SessionStore, key: tuple[str, str, str], failures: list[Failure]) -> None:
    """Leave a note beside the session, so that processes on other machines need not be asked."""
    path = _failure_path(store, *key)
    if failures:
        store.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        with store.filesystem.open(path, "w") as file:
            json.dump([asdict(failure) for failure in failures], file)
    elif store.filesystem.exists(path):
        store.filesystem.rm(path)


def read_index(store: SessionStore) -> pd.DataFrame:
    """What the store holds with its settings: one row a session, columns of ``INDEX``.

    Raises
    ------
    StoreError : nothing was extracted there
    """
    path = f"{store.root}/index.parquet"
    if not store.filesystem.exists(path):
        raise StoreError(f"{store.url} is no store (no index.parquet): run depmm extract first")
    with store.filesystem.open(path) as file:
        index = pd.read_parquet(file).reindex(columns=INDEX)
    index["streams"] = index["streams"].fillna("")  # stores from before features had none
    return index[index["settings"] == store.hash].drop(columns="settings")


def read_failures(store: SessionStore) -> pd.DataFrame:
    """What could not be read, of all manifests extracted there; columns of ``Failure``."""
    path = f"{store.root}/failures.parquet"
    if not store.filesystem.exists(path):
        return pd.DataFrame(columns=list(Failure.__dataclass_fields__))
    with store.filesystem.open(path) as file:
        return pd.read_parquet(file)


def _write_index(jobs: list[_Job], store: SessionStore, alone: bool) -> pd.DataFrame:
    """Bring ``index.parquet`` and ``failures.parquet`` up to date; return these sessions' failures.

    What other manifests put there stays. Of several processes, one that is slow to write may
    replace a newer index: each looks again afterwards, and writes again if more is there by then.
    """
    rows, failures = _index_rows(jobs, store)
    while True:
        _merge(store, "index", pd.DataFrame(rows, columns=INDEX), jobs)
        names = list(Failure.__dataclass_fields__)
        _merge(store, "failures", pd.DataFrame(failures, columns=names), jobs)
        if alone:
            break
        now = _index_rows(jobs, store)
        if now == (rows, failures):
            break
        rows, failures = now
    return pd.DataFrame(failures, columns=names)


def _index_rows(
    jobs: list[_Job], store: SessionStore
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    rows, failures = [], []
    for job in jobs:
        if (summary := _stored(store, job)) is not None:
            row = dict(zip(SESSION_KEY, job.key, strict=True)) | {"settings": store.hash}
            streams = " ".join(sorted(summary.get("streams", {})))
            rows.append(row | {name: summary[name] for name in INDEX[4:-1]} | {"streams": streams})
        path = _failure_path(store, *job.key)
        if store.filesystem.exists(path):
            with store.filesystem.open(path) as file:
                failures += json.load(file)
    return rows, failures


def _merge(store: SessionStore, name: str, mine: pd.DataFrame, jobs: list[_Job]) -> None:
    """Replace the rows of these sessions (and settings, where the table has them)."""
    path = f"{store.root}/{name}.parquet"
    if store.filesystem.exists(path):
        with store.filesystem.open(path) as file:
            old = pd.read_parquet(file)
        own = pd.MultiIndex.from_tuples([job.key for job in jobs])
        replaced = pd.MultiIndex.from_frame(old[SESSION_KEY]).isin(own)
        if "settings" in old:
            replaced &= old["settings"] == store.hash
        others = old[~replaced]
        mine = pd.concat([others, mine], ignore_index=True) if len(others) else mine
    with tempfile.TemporaryDirectory() as scratch:
        local = Path(scratch) / f"{name}.parquet"
        mine.to_parquet(local, index=False)
        store.put(local, path)
