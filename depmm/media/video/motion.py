"""Signature of the motion in a video, which survives encoding, brightness, scaling and trimming.

The signature is the change of brightness over time in the cells of a grid over the picture. What
does not move, such as the room, is not in it: recordings of several subjects in one room differ.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from depmm.media.video.video import decode_frames
from depmm.media.warnings import Warn, ignore_warnings

READ_S = 12.0  # seconds from the start of a video that are read
READ_RATE = 25.0  # frames per second that are read
RATE = 12.5  # changes per second in a signature
N_CELLS = 24  # along each side of the picture
LIMIT = 8.0  # changes are limited to this many times their root mean square
MIN_S = 2.0  # shorter videos have no signature


@dataclass(frozen=True)
class MotionSignature:
    """Change of brightness in the cells of a grid.

    Attributes
    ----------
    changes : ndarray of int8, shape (T, 576)
        Changes from one time to the next, ``RATE`` per second, in units of ``LIMIT`` / 127 times
        their root mean square.
    """

    changes: NDArray[np.int8]


def compute_motion(path: Path, warn: Warn = ignore_warnings) -> MotionSignature | None:
    """Compute the signature of the start of a video.

    Parameters
    ----------
    path : Path
        The recording.
    warn : callable, optional
        Receives the warnings about the file.

    Returns
    -------
    MotionSignature or None
        The signature; None if the video is shorter than ``MIN_S`` or nothing moves.

    Raises
    ------
    MediaError
        If the file has no video track, or is unreadable or truncated.
    """
    times, cells = [], []
    for time_s, frame in decode_frames(path, READ_RATE, [(0.0, READ_S)], warn=warn):
        # whole numbers would hide small movements
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        small = cv2.resize(grey, (N_CELLS, N_CELLS), interpolation=cv2.INTER_AREA)
        times.append(time_s)
        cells.append(small.ravel())
    if not times or times[-1] - times[0] < MIN_S:
        return None
    return signature_of(np.array(times), np.stack(cells))


def signature_of(times: NDArray[np.float64], cells: NDArray[np.float32]) -> MotionSignature | None:
    """Compute the signature of brightness over time.

    Parameters
    ----------
    times : ndarray, shape (T,)
        Times of the frames in seconds.
    cells : ndarray of float32, shape (T, 576)
        Mean brightness of each cell.

    Returns
    -------
    MotionSignature or None
        The signature; None if nothing moves.
    """
    grid = np.arange(times[0], times[-1], 1 / RATE)
    right = np.searchsorted(times, grid, side="right").clip(1, len(times) - 1)
    weight = (grid - times[right - 1]) / (times[right] - times[right - 1])
    weight = weight.astype(np.float32)[:, None]
    resampled = cells[right - 1] * (1 - weight) + cells[right] * weight
    changes = np.diff(uniform_filter1d(resampled, 3, axis=0), axis=0)
    scale = np.sqrt(np.mean(changes**2))
    if not scale:
        return None
    limited = (changes / scale).clip(-LIMIT, LIMIT) / LIMIT
    return MotionSignature(np.round(limited * 127).astype(np.int8))
