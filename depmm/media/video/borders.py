"""Black borders of a video: letterbox, pillarbox, or a small image on a black background."""

import numpy as np

BLACK = 32  # of 255; compression and limited range lift black a little
MIN_BRIGHT_SHARE = 0.01  # a row or column with more brighter pixels belongs to the image


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
