"""Extract one session: decode each file once and store the parts of its steps.

A step that cannot be read is masked; a session from which nothing can be read is not stored. Both
are returned as failures.
"""

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from depmm.config import SAMPLE_RATE, ExtractConfig
from depmm.errors import DepmmError
from depmm.media.errors import MediaError, as_media_error
from depmm.media.opencv import SystemLibraryError, require_opencv
from depmm.media.warnings import Warn
from depmm.store.errors import StoreWriteError
from depmm.store.failures import Failure, ReadingWarnings, SessionKey, record_failures
from depmm.store.session_writer import SessionWriter
from depmm.store.sessions import SessionStore
from depmm.store.streams import Window, extract_streams

if TYPE_CHECKING:
    from depmm.media.faces import FaceTracker

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
AudioDecoder = Callable[..., Iterator[np.ndarray]]
"""A function with the parameters and results of ``depmm.media.audio.decode_audio``."""


@dataclass(frozen=True)
class SessionJob:
    """Everything that a worker process needs to extract one session.

    Attributes
    ----------
    key : tuple of str
        Corpus, subject and session id.
    steps : list of dict
        Rows of ``steps.parquet`` in their order: step, start_s, end_s, audio, audio_track,
        audio_channel, face, face_aligned.
    streams : list of dict
        Rows of ``features.parquet``: step, name, path, reader.
    root : Path
        Folder of the recordings.
    store_url : str
        Folder or URL of the store.
    settings : ExtractConfig
        Extraction settings.
    source_hash : str
        Hash of the steps and of the sizes of the files.
    landmarker : Path or None
        MediaPipe face model; None if no faces have to be detected.
    decoder : callable or None
        Replaces ``depmm.media.audio.decode_audio``.
    allow_pickle : bool
        Whether pickled ``.npy`` features are read, which runs code from the file.
    """

    key: SessionKey
    steps: list[dict[str, Any]]
    streams: list[dict[str, Any]]
    root: Path
    store_url: str
    settings: ExtractConfig
    source_hash: str
    landmarker: Path | None
    decoder: AudioDecoder | None
    allow_pickle: bool

    def windows(self, steps: Sequence[int]) -> list[Window]:
        """Return start and end of some steps.

        Parameters
        ----------
        steps : sequence of int
            Indices of the steps.

        Returns
        -------
        list of tuple of float
            Seconds from the start of the recording; infinity for the end of the recording.
        """
        return [
            (float(step["start_s"]), np.inf if step["end_s"] is None else float(step["end_s"]))
            for step in (self.steps[index] for index in steps)
        ]

    def files(self, modality: str) -> dict[str, list[int]]:
        """Group the steps by the file of a modality.

        Parameters
        ----------
        modality : {"audio", "face"}
            Column of the steps that names the file.

        Returns
        -------
        dict of str to list of int
            File -> indices of its steps.
        """
        files: dict[str, list[int]] = {}
        for index, step in enumerate(self.steps):
            if step[modality] is not None:
                files.setdefault(step[modality], []).append(index)
        return files


def extract_session(
    job: SessionJob, progress: Callable[[], None] = lambda: None
) -> tuple[list[Failure], bool]:
    """Extract one session into its store.

    Parameters
    ----------
    job : SessionJob
        The session.
    progress : callable, optional
        Called after each decoded block and frame.

    Returns
    -------
    failures : list of Failure
        What could not be read.
    stored : bool
        Whether anything could be read and was stored.

    Raises
    ------
    StoreWriteError
        If the store cannot be written.
    MediaError, SystemLibraryError
        If the face model or a library cannot be loaded.
    """
    store = SessionStore(job.store_url, job.settings)
    if job.files("face"):
        require_opencv()
        if job.landmarker is not None:  # its errors are not those of a recording
            _create_tracker(job.landmarker, job.settings.face.min_confidence)
    try:
        failures, stored = _extract_parts(job, store, progress)
    except (StoreWriteError, SystemLibraryError):
        raise
    except Exception as error:  # a fault of the manifest or of depmm ends this session only
        logger.debug("%s", "/".join(job.key), exc_info=error)
        failures, stored = [_unexpected_failure(job, error)], False
    record_failures(store, job.key, failures)
    return failures, stored


def _unexpected_failure(job: SessionJob, error: Exception) -> Failure:
    files = ", ".join(sorted({*job.files("audio"), *job.files("face")}))
    return Failure(
        *job.key,
        stage="session",
        file=files or ", ".join(sorted({stream["path"] for stream in job.streams})),
        cause=str(error)
        if isinstance(error, DepmmError)
        else f"it cannot be extracted ({type(error).__name__}: {error}).",
        remedy="Check manifest and recording; if they are correct, report this as a bug of depmm.",
    )


def _extract_parts(
    job: SessionJob, store: SessionStore, progress: Callable[[], None]
) -> tuple[list[Failure], bool]:
    """Extract audio, faces and streams, and store what could be read."""
    failures: list[Failure] = []
    warnings = ReadingWarnings()
    n_frames_with_face = 0
    windows = job.windows(range(len(job.steps)))
    recorded_until = np.full(len(job.steps), np.nan)
    with store.writer() as writer:
        for modality in ("audio", "face"):
            ranges = np.zeros((len(job.steps), 2), np.int64)
            empty = writer.mark()
            for file, steps in job.files(modality).items():
                before = writer.mark()
                warn = warnings.of(modality, file)
                try:
                    if modality == "audio":
                        errors = _extract_audio(job, file, steps, writer, ranges, warn, progress)
                    else:
                        n_faces, errors = _extract_faces(
                            job, file, steps, writer, ranges, warn, progress
                        )
                        n_frames_with_face += n_faces
                except StoreWriteError:  # for example a full disk, not a fault of the recording
                    raise
                except Exception as error:  # discard everything from a damaged file
                    writer.rewind(before)
                    ranges[steps] = 0
                    errors = [as_media_error(file, error)]
                failures += [Failure.from_error(job.key, modality, file, error) for error in errors]
            if not (ranges[:, 1] > ranges[:, 0]).any():
                writer.rewind(empty)  # frames that belong to no step
                n_frames_with_face = 0
            else:
                name = "audio.step_samples" if modality == "audio" else "face.step_frames"
                writer.append(name, ranges)
                rate_hz = float(SAMPLE_RATE)
                if modality == "face":
                    rate_hz = job.settings.face.frames_per_second
                recorded_until = np.fmax(recorded_until, _ends(windows, ranges, rate_hz))
                if modality == "face":
                    writer.append("face.jpeg_offset", np.array([writer.rows("face.jpeg")]))
        streams, stream_failures = extract_streams(
            job.root, job.streams, windows, recorded_until, writer, job.allow_pickle, warnings
        )
        failures += [Failure.from_error(job.key, *failure) for failure in stream_failures]
        has_media = writer.rows("audio.step_samples") + writer.rows("face.step_frames") > 0
        stored = has_media or bool(streams)
        if stored:
            summary = {
                "n_steps": len(job.steps),
                "step_start_s": [float(step["start_s"]) for step in job.steps],
                "audio_s": writer.rows("audio.waveform") / SAMPLE_RATE,
                "n_frames": writer.rows("face.time_s"),
                "n_frames_with_face": n_frames_with_face,
                "streams": streams,
                "warnings": warnings.rows,
                "source_hash": job.source_hash,
            }
            store.put(writer.save(summary), store.path(*job.key))
    return failures, stored


def _ends(windows: list[Window], ranges: np.ndarray, rate_hz: float) -> np.ndarray:
    """Compute where the samples or frames of each step end in seconds; NaN without any."""
    seconds = (ranges[:, 1] - ranges[:, 0]) / rate_hz
    starts = np.array([start for start, _ in windows])
    return np.where(seconds > 0, starts + seconds, np.nan)


def _watched(items: Iterable[Item], progress: Callable[[], None]) -> Iterator[Item]:
    for item in items:
        progress()
        yield item


def _extract_audio(
    job: SessionJob,
    file: str,
    steps: list[int],
    writer: SessionWriter,
    ranges: np.ndarray,
    warn: Warn,
    progress: Callable[[], None],
) -> list[MediaError]:
    """Decode a file once and store the sound of its steps; return the errors of steps."""
    from depmm.media.audio import decode_audio
    from depmm.media.voice_activity import speech_segments

    windows = job.windows(steps)
    start_s, end_s = min(start for start, _ in windows), max(end for _, end in windows)
    decode = job.decoder or decode_audio
    first = job.steps[steps[0]]
    blocks = decode(
        job.root / file,
        start_s,
        None if end_s == np.inf else end_s,
        track=first["audio_track"],
        channel=first["audio_channel"],
        warn=warn,
    )
    settings = job.settings.audio
    errors = []
    for position, samples in _cut(_watched(blocks, progress), start_s, windows):
        step = steps[position]
        if len(samples) == 0:
            errors.append(_step_after_end_error(job, file, step, "sound"))
            continue
        # samples of a 16-bit recording at 16 kHz are stored without a change
        integers = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
        end = writer.append("audio.waveform", integers)
        ranges[step] = end - len(samples), end
        speech = speech_segments(samples, settings.silence_db, settings.min_silence_s)
        speech = (speech + windows[position][0]).astype(np.float32).reshape(-1, 2)
        writer.append("audio.speech", speech)
        writer.append("audio.speech_step", np.full(len(speech), step, np.int32))
    return errors


def _step_after_end_error(job: SessionJob, file: str, step: int, signal: str) -> MediaError:
    start_s = job.steps[step]["start_s"]
    return MediaError(
        file,
        f"step {step} starts at {start_s:.3f} s, after the end of the {signal}; it is masked.",
        "Check the step times or the recording.",
        session=job.key[2],
        value=step,
    )


def _cut(
    blocks: Iterator[np.ndarray], start_s: float, windows: list[Window]
) -> Iterator[tuple[int, np.ndarray]]:
    """Cut windows out of sound that starts at ``start_s``; only open windows are in memory."""
    first = [round((start - start_s) * SAMPLE_RATE) for start, _ in windows]
    last = [np.inf if end == np.inf else round((end - start_s) * SAMPLE_RATE) for _, end in windows]
    open_windows: dict[int, list[np.ndarray]] = {position: [] for position in range(len(windows))}
    offset = 0
    for block in blocks:
        for position, parts in open_windows.items():
            begin = max(first[position] - offset, 0)
            stop = min(last[position] - offset, len(block))
            if begin < stop:
                parts.append(block[int(begin) : int(stop)])
        offset += len(block)
        for position in [p for p in open_windows if last[p] <= offset]:
            yield position, np.concatenate(open_windows.pop(position) or [np.zeros(0, np.float32)])
    for position, parts in open_windows.items():  # the recording ended inside these windows
        yield position, np.concatenate(parts or [np.zeros(0, np.float32)])


@dataclass
class _FrameWriter:
    """Append frames to the tensors ``face.*`` and count them."""

    writer: SessionWriter
    jpeg_quality: int
    times: list[float] = field(default_factory=list)
    n_faces: int = 0

    def append(self, time_s: float, crop: np.ndarray | None, confidence: float) -> None:
        from depmm.media.face_alignment import encode_jpeg

        writer = self.writer
        writer.append("face.jpeg_offset", np.array([writer.rows("face.jpeg")]))
        if crop is not None:
            jpeg = np.frombuffer(encode_jpeg(crop, self.jpeg_quality), np.uint8)
            writer.append("face.jpeg", jpeg)
            self.n_faces += 1
        writer.append("face.time_s", np.array([time_s]))
        writer.append("face.detected", np.array([crop is not None]))
        writer.append("face.confidence", np.array([confidence], np.float32))
        self.times.append(time_s)


def _extract_faces(
    job: SessionJob,
    file: str,
    steps: list[int],
    writer: SessionWriter,
    ranges: np.ndarray,
    warn: Warn,
    progress: Callable[[], None],
) -> tuple[int, list[MediaError]]:
    """Decode a video once and store the crops of its steps; return their number and errors."""
    from depmm.media.face_alignment import aligned_crop
    from depmm.media.video import decode_frames

    windows = job.windows(steps)
    settings = job.settings.face
    frames = _watched(
        decode_frames(job.root / file, settings.frames_per_second, windows, warn=warn), progress
    )
    before = writer.rows("face.time_s")
    crops = _FrameWriter(writer, settings.jpeg_quality)
    if job.steps[steps[0]]["face_aligned"]:
        for time_s, frame in frames:
            crops.append(time_s, aligned_crop(frame), 1.0)
    else:
        assert job.landmarker is not None
        tracker = _create_tracker(job.landmarker, settings.min_confidence)
        for time_s, frame in frames:
            face = tracker.track(time_s, frame)
            crops.append(time_s, face.crop if face.detected else None, face.confidence)
            writer.append("face.landmarks", face.landmarks[None])
            writer.append("face.blendshapes", face.blendshapes[None])
            writer.append("face.pose", face.pose[None])
    if crops.n_faces == 0:
        raise MediaError(
            file,
            f"none of {len(crops.times)} sampled frames has a face (confidence >= "
            f"{settings.min_confidence}).",
            "Check the video, or lower face.min_confidence.",
            setting="extract.face.min_confidence",
        )
    clock = np.array(crops.times)
    for step, (start, end) in zip(steps, windows, strict=True):
        # a timestamp that equals the start up to rounding belongs to the step
        ranges[step] = before + np.searchsorted(clock, [start - 1e-6, end - 1e-6])
    empty = [step for step in steps if ranges[step][0] == ranges[step][1]]
    return crops.n_faces, [_step_after_end_error(job, file, step, "video") for step in empty]


@functools.cache
def _create_tracker(landmarker: Path, min_confidence: float) -> "FaceTracker":
    """Create one tracker per process: creating it takes longer than a short video."""
    from depmm.media.faces import FaceTracker

    return FaceTracker(landmarker, min_confidence)
