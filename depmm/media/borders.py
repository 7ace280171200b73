"""Black borders of a video: letterbox, pillarbox, or a window in a black page."""

from pathlib import Path

import numpy as np

from depmm.media.video import decode_frames, probe

BLACK = 32  # of 255; compression and limited range lift black a little
LIT = 0.01  # share of brighter pixels from which a row or column belongs to the picture
PLACES = (0.1, 0.5, 0.9)  # of the duration, where a frame is looked at


def black_border(frame: np.ndarray) -> float:
    """Measure the black border of a frame.

    Parameters
    ----------
    frame : uint8 RGB [height, width, 3]

    Returns
    -------
    share of the area outside the smallest rectangle that holds the picture; 1 if all is black
    """
    bright = frame.max(axis=2) > BLACK
    rows = np.flatnonzero(bright.mean(axis=1) > LIT)
    columns = np.flatnonzero(bright.mean(axis=0) > LIT)
    if not len(rows) or not len(columns):
        return 1.0
    inside = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return float(1 - inside / bright.size)


def video_border(path: Path, duration_s: float | None) -> float | None:
    """Measure the border that all of a few frames of a video share: the smallest of theirs.

    Parameters
    ----------
    path : the recording
    duration_s : its length; None looks at the first frame only

    Returns
    -------
    share of the area; None where no frame was found

    Raises
    ------
    MediaError : no video track, unreadable or truncated
    """
    starts = [place * duration_s for place in PLACES] if duration_s else [0.0]
    windows = [(start, start + 0.5) for start in starts]
    borders = [black_border(frame) for _, frame in decode_frames(path, 1.0, windows)]
    return min(borders, default=None)


def look_at(path: Path, as_video: bool) -> tuple[float | None, float | None]:
    """Length of a recording in seconds and, of a video, its black border; None if unknown.

    Raises
    ------
    MediaError : the file cannot be decoded
    """
    duration_s = probe(path).duration_s
    return duration_s, video_border(path, duration_s) if as_video else None
