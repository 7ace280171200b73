"""Extract one session: decode each file once and store the parts of its steps.

A step that cannot be read is masked; a session from which nothing can be read is not stored. Both
are returned as failures.
"""

import logging
from dataclasses import asdict

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.errors import DepmmError
from depmm.media.video.opencv import SystemLibraryError, require_opencv
from depmm.store.errors import StoreWriteError
from depmm.store.face_extraction import extract_faces, load_tracker
from depmm.store.failures import Failure, record_failures
from depmm.store.session_job import SessionJob
from depmm.store.session_reading import SessionReading
from depmm.store.sessions import SessionStore
from depmm.store.sound_extraction import extract_sound
from depmm.store.source_files import describe_files
from depmm.store.text_extraction import store_text
from depmm.store.worker_pool import Progress

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
            load_tracker(job.landmarker, job.settings.face.min_confidence)
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
    """Extract sound, faces, text and streams, and store them if any file could be read."""
    sources = describe_files(job.root, job.source_files)
    with store.writer() as writer:
        reading = SessionReading(job, writer, progress)
        level, sound_ends_s = extract_sound(reading)
        n_frames_with_face, video_ends_s = extract_faces(reading)
        n_steps_with_text = store_text(job, writer)
        streams = {}
        if job.streams:  # readers of tables import pandas, which videos do not need
            from depmm.store.streams import extract_streams

            streams = extract_streams(reading, np.fmax(sound_ends_s, video_ends_s))
        has_media = writer.rows("audio.step_samples") + writer.rows("face.step_frames") > 0
        stored = has_media or bool(streams)
        if stored:
            summary = {
                "n_steps": len(job.steps),
                "step_start_s": [float(step["start_s"]) for step in job.steps],
                "audio_s": writer.rows("audio.waveform") / SAMPLE_RATE,
                "sound": None if level is None else asdict(level),
                "n_frames": writer.rows("face.time_s"),
                "n_frames_with_face": n_frames_with_face,
                "n_steps_with_text": n_steps_with_text,
                "streams": streams,
                "warnings": reading.warnings,
                "source_hash": job.source_hash,
                "source_files": sources,
                "steps_hash": job.steps_hash,
            }
            names = list(dict.fromkeys(step["audio"] or step["face"] for step in job.steps))
            if None not in names:
                summary["step_file"] = [
                    names.index(step["audio"] or step["face"]) for step in job.steps
                ]
            if any("previous_end_s" in step for step in job.steps):
                summary["step_previous_end_s"] = [step["previous_end_s"] for step in job.steps]
            store.put(writer.save(summary), store.path(*job.key))
    return reading.failures, stored
