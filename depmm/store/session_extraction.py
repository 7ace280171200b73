"""Extract one session: decode each file once and store the parts of its steps.

A step that cannot be read is masked; a session from which nothing can be read is not stored. Both
are returned as failures.
"""

import functools
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.errors import DepmmError
from depmm.media.errors import MediaError, as_media_error
from depmm.media.sound.sound_level import SoundMeter
from depmm.media.video.opencv import SystemLibraryError, require_opencv
from depmm.media.warnings import Warn
from depmm.store.errors import StoreWriteError
from depmm.store.failures import Failure, ReadingWarnings, record_failures
from depmm.store.session_job import SessionJob, watched
from depmm.store.session_writer import SessionWriter
from depmm.store.sessions import SessionStore
from depmm.store.sound_extraction import extract_sound
from depmm.store.step_coverage import Window, masked_steps
from depmm.store.streams import extract_streams
from depmm.store.worker_pool import Progress

if TYPE_CHECKING:
    from depmm.media.video.faces import FaceTracker

logger = logging.getLogger(__name__)


def extract_session(
    job: SessionJob, progress: Progress = lambda: None
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
    return Failure(
        *job.key,
        stage="session",
        file=job.all_files,
        cause=str(error)
        if isinstance(error, DepmmError)
        else f"it cannot be extracted ({type(error).__name__}: {error}).",
        remedy="Check manifest and recording; if they are correct, report this as a bug of depmm.",
    )


def _extract_parts(
    job: SessionJob, store: SessionStore, progress: Progress
) -> tuple[list[Failure], bool]:
    """Extract audio, faces and streams, and store what could be read."""
    failures: list[Failure] = []
    warnings = ReadingWarnings()
    meter = SoundMeter()
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
                        error = extract_sound(
                            job, file, steps, writer, ranges, meter, warn, progress
                        )
                    else:
                        n_faces, error = _extract_faces(
                            job, file, steps, writer, ranges, warn, progress
                        )
                        n_frames_with_face += n_faces
                except StoreWriteError:  # for example a full disk, not a fault of the recording
                    raise
                except Exception as raised:  # discard everything from a damaged file
                    writer.rewind(before)
                    ranges[steps] = 0
                    error = as_media_error(file, raised)
                if error is not None:
                    failures.append(Failure.from_error(job.key, modality, file, error))
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
                "sound": None if (level := meter.result()) is None else asdict(level),
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


@dataclass
class _FrameWriter:
    """Append frames to the tensors ``face.*`` and count them."""

    writer: SessionWriter
    jpeg_quality: int
    times: list[float] = field(default_factory=list)
    n_faces: int = 0

    def append(self, time_s: float, crop: np.ndarray | None, confidence: float) -> None:
        from depmm.media.video.face_alignment import encode_jpeg

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
    progress: Progress,
) -> tuple[int, MediaError | None]:
    """Decode a video once and store the crops of its steps; return their number and an error."""
    from depmm.media.video.face_alignment import aligned_crop
    from depmm.media.video.video import decode_frames

    windows = job.windows(steps)
    settings = job.settings.face
    frames = watched(
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
    return crops.n_faces, masked_steps(file, steps, windows, empty, "video", crops.times[-1])


@functools.cache
def _create_tracker(landmarker: Path, min_confidence: float) -> "FaceTracker":
    """Create one tracker per process: creating it takes longer than a short video."""
    from depmm.media.video.faces import FaceTracker

    return FaceTracker(landmarker, min_confidence)
