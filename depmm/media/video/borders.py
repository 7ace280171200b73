"""Black borders of a video: letterbox, pillarbox, or a small image on a black background."""

from pathlib import Path

import numpy as np

from depmm.media.video.video import decode_frames
from depmm.media.warnings import Warn, ignore_warnings

BLACK = 32  # of 255; compression and limited range lift black a little
MIN_BRIGHT_SHARE = 0.01  # a row or column with more brighter pixels belongs to the image
POSITIONS = (0.1, 0.5, 0.9)  # of the measured frames, as shares of the duration


def black_border(frame: np.ndarray) -> float:
    """Measure the black border of a frame.

    Parameters
    ----------
    frame : ndarray of uint8, shape (height, width, 3)
        RGB.

    Returns
    -------
    float
        Share of the area outside of the smallest rectangle that contains the image; 1 if the frame
        is black.
    """
    bright = frame.max(axis=2) > BLACK
    rows = np.flatnonzero(bright.mean(axis=1) > MIN_BRIGHT_SHARE)
    columns = np.flatnonzero(bright.mean(axis=0) > MIN_BRIGHT_SHARE)
    if not len(rows) or not len(columns):
        return 1.0
    inside = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return float(1 - inside / bright.size)


def video_border(path: Path, length_s: float, warn: Warn = ignore_warnings) -> float | None:
    """Measure the black border that is common to a few frames of a video.

    Parameters
    ----------
    path : Path
        The recording.
    length_s : float
        Its length in seconds.
    warn : callable, optional
        Receives the warnings about the file.

    Returns
    -------
    float or None
        The smallest border of the frames, as a share of the area; None if there is no frame.

    Raises
    ------
    MediaError
        If the file has no video track, or is unreadable or truncated.
    """
    starts = [position * length_s for position in POSITIONS]
    windows = [(start, start + 0.5) for start in starts]
    borders = [black_border(frame) for _, frame in decode_frames(path, 1.0, windows, warn=warn)]
    return min(borders, default=None)
