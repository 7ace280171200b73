"""Durations of the sound and speech of a stored session; the overlap of steps counts once."""

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.corpora.step_durations import count_restarts, covered_s
from depmm.store.session_file import SessionReader


def step_files(reader: SessionReader) -> np.ndarray:
    """Return the file of each step.

    Parameters
    ----------
    reader : SessionReader
        An open session.

    Returns
    -------
    ndarray of int64, shape (L,)
        Index of the file. Sessions that were extracted by an earlier version do not state it; a
        file then ends before a step that does not start after the step before.
    """
    known = reader.summary.get("step_file")
    if known is not None:
        return np.array(known, np.int64)
    files = np.zeros(reader.summary["n_steps"], np.int64)
    if "audio.step_samples" in reader.names:
        start_s, end_s = step_sound(reader)
        has_sound = end_s > start_s
        files[has_sound] = count_restarts(start_s[has_sound])
    return files


def step_sound(reader: SessionReader) -> tuple[np.ndarray, np.ndarray]:
    """Return the time of the sound of each step.

    Parameters
    ----------
    reader : SessionReader
        An open session with sound.

    Returns
    -------
    start_s, end_s : ndarray of float64, shape (L,)
        Seconds from the start of the file; equal for a step without sound.
    """
    start_s = np.array(reader.summary["step_start_s"], np.float64)
    return start_s, start_s + np.diff(reader.step_samples, axis=1)[:, 0] / SAMPLE_RATE


def speech_segments(reader: SessionReader) -> np.ndarray:
    """Return the segments of speech of all steps.

    Parameters
    ----------
    reader : SessionReader
        An open session.

    Returns
    -------
    ndarray of float64, shape (K, 3)
        File, start and end in seconds of each segment; segments of overlapping steps overlap.
    """
    if "audio.speech" not in reader.names:
        return np.zeros((0, 3))
    files = step_files(reader)[reader.read_tensor("audio.speech_step")]
    return np.column_stack([files, reader.read_tensor("audio.speech").astype(np.float64)])


def speech_duration_s(reader: SessionReader) -> float:
    """Measure the speech of a stored session.

    Parameters
    ----------
    reader : SessionReader
        An open session.

    Returns
    -------
    float
        Seconds of speech inside the steps; what is in several steps counts once.
    """
    segments = speech_segments(reader)
    return float(covered_s(segments[:, 0], segments[:, 1], segments[:, 2]).sum())
