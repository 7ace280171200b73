"""The stream ``voice``: contours of the voice at 100 Hz, computed from the sound of a session.

They have the columns of :mod:`depmm.media.voice.contours`. Because pitch is expensive, the
contours of a session are computed when they are first read, and stored in
``<store>/streams/voice-<version>/``, in a file with the same name and format as the session file.
It contains ``values``, (T, 35) float32, and the checksum of the session: if the session is
extracted again, its contours are computed again. You can delete the folder ``streams`` at any time.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.sound.voice_activity import LOUD_PERCENTILE, frame_levels
from depmm.media.voice.contours import (
    CONTOURS,
    FRAMES_PER_SECOND,
    ReadSamples,
    count_frames,
    voice_contours,
)
from depmm.store.tensor_file import TensorFile

VOICE = "voice"
VOICE_VERSION = 1  # increase it when a code change alters a value
_BLOCK = 60 * SAMPLE_RATE  # samples
_VERIFIED: set[str] = set()  # checksums of streams that this process has read completely


def voice_folder(url: str) -> str:
    """Return the folder of the contours of the sessions of a store.

    Parameters
    ----------
    url : str
        Folder or URL of the store.

    Returns
    -------
    str
        Folder or URL.
    """
    return f"{url.rstrip('/')}/streams/{VOICE}-{VOICE_VERSION}"


def is_voice(stream: str, names: Collection[str]) -> bool:
    """Check whether a stream is computed from the sound of a session.

    Parameters
    ----------
    stream : str
        Name of the stream.
    names : collection of str
        Names of the tensors of the session.

    Returns
    -------
    bool
        False for another or a stored stream, and for a session without sound.
    """
    return (
        stream == VOICE and f"feature.{VOICE}.values" not in names and "audio.step_samples" in names
    )


def describe_voice() -> dict[str, Any]:
    """Return the entry of the stream in the summary of a session.

    Returns
    -------
    dict
        ``rate_hz``, ``columns``, ``n_features`` and ``file``, the tensor.
    """
    return {
        "rate_hz": FRAMES_PER_SECOND,
        "columns": list(CONTOURS),
        "n_features": len(CONTOURS),
        "file": "audio.waveform",
    }


def voice_rows(step_samples: np.ndarray) -> np.ndarray:
    """Return the rows of each step.

    Parameters
    ----------
    step_samples : ndarray of int64, shape (L, 2)
        First and end sample of each step.

    Returns
    -------
    ndarray of int64, shape (L, 2)
        First and end row; equal for a step without sound.
    """
    n_frames = count_frames(step_samples[:, 1] - step_samples[:, 0])
    ends = np.cumsum(n_frames)
    return np.stack([ends - n_frames, ends], axis=1)


def compute_voice(read: ReadSamples, step_samples: np.ndarray) -> Iterator[np.ndarray]:
    """Compute the contours of all steps in blocks of at most a minute.

    Parameters
    ----------
    read : callable
        Function that returns the samples of the session from a first to an end sample.
    step_samples : ndarray of int64, shape (L, 2)
        First and end sample of each step.

    Yields
    ------
    ndarray of float32, shape (T, 35)
        Consecutive rows, those of the first step first.
    """
    n_samples = int(step_samples.max(initial=0))
    blocks = (read(a, min(a + _BLOCK, n_samples)) for a in range(0, n_samples, _BLOCK))
    levels = frame_levels(blocks)
    loud_db = float(np.percentile(levels, LOUD_PERCENTILE)) if len(levels) else 0.0
    for start, end in step_samples.tolist():

        def read_step(first: int, last: int, start: int = start) -> np.ndarray:
            return read(start + first, start + last)

        yield from voice_contours(read_step, end - start, loud_db)


def is_current_voice(file: TensorFile, session: str, n_rows: int) -> bool:
    """Check stored contours; the file is closed unless they can be used.

    Every byte of a file is read once per process.

    Parameters
    ----------
    file : TensorFile
        The open file.
    session : str
        Checksum of the session.
    n_rows : int
        Number of rows of its contours.

    Returns
    -------
    bool
        False for contours of another state of the session.

    Raises
    ------
    ValueError
        If the file has other tensors than contours of the session.
    StoreError
        If the file is damaged.
    """
    current = False
    try:
        if file.checksum not in _VERIFIED:  # a damaged file is computed again
            file.verify()
        if json.loads(file.metadata["depmm"]).get("session") == session:
            if file.shapes["values"] != ("float32", (n_rows, len(CONTOURS))):
                raise ValueError(file.shapes["values"])
            _VERIFIED.add(file.checksum)
            current = True
        return current
    finally:
        if not current:
            file.close()
