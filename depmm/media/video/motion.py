"""Signature of the motion in a video, which survives encoding, brightness, scaling and trimming.

The signature is the change of brightness over time in the cells of a grid over the picture. What
does not move, such as the room, is not in it: recordings of several subjects in one room differ.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from depmm.media.video.video import DecodedFrame

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


class MotionMeter:
    """Collect the brightness of the frames at the start of a video."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._cells: list[NDArray[np.float32]] = []

    def update(self, time_s: float, frame: DecodedFrame) -> None:
        """Add a frame, unless it is later than ``READ_S``.

        Parameters
        ----------
        time_s : float
            Time of the frame, ascending.
        frame : DecodedFrame
            The frame.
        """
        if time_s < READ_S:
            self._times.append(time_s)
            self._cells.append(frame.to_cells(N_CELLS).ravel())

    def finish(self) -> MotionSignature | None:
        """Compute the signature.

        Returns
        -------
        MotionSignature or None
            The signature; None if the video is shorter than ``MIN_S`` or nothing moves.
        """
        if not self._times or self._times[-1] - self._times[0] < MIN_S:
            return None
        return signature_of(np.array(self._times), np.stack(self._cells))


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
