"""Measurements of a video: light, black border and face of a few frames, motion at its start."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from depmm.media.video.borders import black_border
from depmm.media.video.faces import FaceTracker
from depmm.media.video.motion import READ_RATE, READ_S, MotionMeter, MotionSignature
from depmm.media.video.video import read_frames
from depmm.media.warnings import MediaWarning, Warn, ignore_warnings

POSITIONS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the measured frames, as shares of the duration
MAX_WINDOW_S = 0.5  # from such a position, in which one frame is measured


@dataclass(frozen=True)
class VideoMeasurement:
    """Measurements of a video.

    Attributes
    ----------
    statistics : dict of str to float
        Values of the columns ``brightness`` to ``face_size`` of
        :data:`depmm.schemas.recordings.RECORDINGS`; empty if there is no frame.
    motion : MotionSignature or None
        Signature of the motion at the start; None if the video is too short or does not move.
    """

    statistics: dict[str, float]
    motion: MotionSignature | None


def measure_video(
    path: Path,
    length_s: float,
    tracker: FaceTracker | None = None,
    warn: Warn = ignore_warnings,
) -> VideoMeasurement:
    """Measure the motion at the start of a video, and five frames that are spread evenly.

    The video is decoded once, and only where it is measured.

    Parameters
    ----------
    path : Path
        The recording.
    length_s : float
        Its length in seconds.
    tracker : FaceTracker, optional
        Finds the faces; without it, or if it fails, they are not measured.
    warn : callable, optional
        Receives the warnings about the file, among them ``face_tracker``, that the tracker failed.

    Returns
    -------
    VideoMeasurement
        The measurements.

    Raises
    ------
    MediaError
        If the file has no video track, or is unreadable or truncated.
    """
    window_s = min(MAX_WINDOW_S, length_s / len(POSITIONS))
    starts = [share * length_s for share in POSITIONS]
    windows = [(0.0, READ_S), *((start, start + window_s) for start in starts if window_s)]
    motion, frames = MotionMeter(), []
    for time_s, frame in read_frames(path, READ_RATE, windows, warn=warn):
        motion.update(time_s, frame)
        while starts and time_s >= starts[0] + window_s:
            starts.pop(0)
        if starts and time_s >= starts[0]:
            starts.pop(0)
            frames.append(frame.to_rgb())
    if not frames:
        return VideoMeasurement({}, motion.finish())
    found = _measure_light(frames)
    if tracker is not None:
        try:
            found |= _measure_faces(frames, tracker)
        except Exception as error:  # of MediaPipe: the other statistics remain
            warn(
                MediaWarning(
                    "face_tracker",
                    f"the face tracker failed ({type(error).__name__}: {error}); the face was not "
                    "measured.",
                    "Run depmm doctor, which checks MediaPipe and the face model.",
                )
            )
    return VideoMeasurement(found, motion.finish())


def _measure_light(frames: Sequence[np.ndarray]) -> dict[str, float]:
    import cv2

    light = [cv2.meanStdDev(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)) for frame in frames]
    mean, deviation = np.mean(light, axis=0).ravel() / 255
    return {
        "brightness": float(mean),
        "contrast": float(deviation),
        "black_border": min(map(black_border, frames)),
    }


def _measure_faces(frames: Sequence[np.ndarray], tracker: FaceTracker) -> dict[str, float]:
    """Measure the bounding box of the landmarks; of several frames, the median."""
    boxes = []
    for frame in frames:
        face = tracker.track(0.0, frame)
        if face.detected:
            height, width = frame.shape[:2]
            points = face.landmarks[:, :2] / (width, height)
            (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
            boxes.append(((left + right) / 2, (top + bottom) / 2, bottom - top))
    share = {"face_share": len(boxes) / len(frames)}
    if not boxes:
        return share
    x, y, size = np.median(boxes, axis=0).tolist()
    return {**share, "face_x": x, "face_y": y, "face_size": size}
