"""Extract the faces of a session."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from depmm.media.errors import MediaError
from depmm.media.video.faces import MAX_SEVERAL_SHARE
from depmm.media.warnings import MediaWarning, Warn
from depmm.store.session_reading import SessionReading
from depmm.store.session_writer import SessionWriter
from depmm.store.step_coverage import masked_steps, rows_end_s

if TYPE_CHECKING:
    from depmm.media.video.faces import FaceTracker


def extract_faces(reading: SessionReading) -> tuple[int, np.ndarray]:
    """Decode each video of a session once, and store the face crops of its steps.

    Parameters
    ----------
    reading : SessionReading
        The session; its writer receives the tensors ``face.*``.

    Returns
    -------
    n_faces : int
        Number of frames with a face.
    ends_s : ndarray, shape (L,)
        Where the frames of each step end in seconds of the recording; NaN without any.
    """
    job, writer = reading.job, reading.writer
    start = writer.mark()
    frames = np.zeros((len(job.steps), 2), np.int64)
    n_faces = 0
    for file, steps in job.files("face").items():
        with reading.file("face", file, steps, frames) as warn:
            n_faces += _extract_file(reading, file, steps, frames, warn)
    if has_rows := bool((frames[:, 1] > frames[:, 0]).any()):
        writer.append("face.step_frames", frames)
        writer.append("face.jpeg_offset", np.array([writer.rows("face.jpeg")]))
    else:
        writer.rewind(start)  # frames that belong to no step
    ends_s = rows_end_s(job.windows(), frames, job.settings.face.frames_per_second)
    return n_faces if has_rows else 0, ends_s


def _extract_file(
    reading: SessionReading, file: str, steps: list[int], ranges: np.ndarray, warn: Warn
) -> int:
    """Store the crops of the steps of a file; return the number of frames with a face."""
    from depmm.media.video.face_alignment import aligned_crop
    from depmm.media.video.video import decode_frames

    job, writer = reading.job, reading.writer
    windows = job.windows(steps)
    settings = job.settings.face
    frames = reading.watched(
        decode_frames(job.root / file, settings.frames_per_second, windows, warn=warn)
    )
    before, n_several = writer.rows("face.time_s"), 0
    crops = _FrameWriter(writer, settings.jpeg_quality)
    if job.steps[steps[0]]["face_aligned"]:
        for time_s, frame in frames:
            crops.append(time_s, aligned_crop(frame))
    else:
        assert job.landmarker is not None
        tracker = load_tracker(job.landmarker, settings.min_confidence)
        for time_s, frame in frames:
            face = tracker.track(time_s, frame)
            n_several += face.n_faces > 1
            crops.append(time_s, face.crop)
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
    if n_several > MAX_SEVERAL_SHARE * crops.n_faces:
        warn(_several_faces(n_several, crops.n_faces))
    clock = np.array(crops.times)
    for step, (start, end) in zip(steps, windows, strict=True):
        # a timestamp that equals the start up to rounding belongs to the step
        ranges[step] = before + np.searchsorted(clock, [start - 1e-6, end - 1e-6])
    empty = [step for step in steps if ranges[step][0] == ranges[step][1]]
    if error := masked_steps(file, steps, windows, empty, "video", crops.times[-1]):
        reading.fail("face", file, error)
    return crops.n_faces


def _several_faces(n_several: int, n_faces: int) -> MediaWarning:
    return MediaWarning(
        "several_faces",
        f"{n_several} of {n_faces} frames with a face show several faces; the largest one of each "
        "frame is used.",
        "Check the crops with depmm look; cut the video to the face of the participant if they "
        "show another one.",
        n_several / n_faces,
    )


@dataclass
class _FrameWriter:
    """Append frames to the tensors ``face.*`` and count them."""

    writer: SessionWriter
    jpeg_quality: int
    times: list[float] = field(default_factory=list)
    n_faces: int = 0

    def append(self, time_s: float, crop: np.ndarray | None) -> None:
        from depmm.media.video.face_alignment import encode_jpeg

        writer = self.writer
        writer.append("face.jpeg_offset", np.array([writer.rows("face.jpeg")]))
        if crop is not None:
            jpeg = np.frombuffer(encode_jpeg(crop, self.jpeg_quality), np.uint8)
            writer.append("face.jpeg", jpeg)
            self.n_faces += 1
        writer.append("face.time_s", np.array([time_s]))
        writer.append("face.detected", np.array([crop is not None]))
        self.times.append(time_s)


@functools.cache
def load_tracker(landmarker: Path, min_confidence: float) -> "FaceTracker":
    """Load the face model, once per process: loading it takes longer than a short video.

    Parameters
    ----------
    landmarker : Path
        MediaPipe face model.
    min_confidence : float
        Confidence of the detector below which a frame has no face.

    Returns
    -------
    FaceTracker
        The tracker.
    """
    from depmm.media.video.faces import FaceTracker

    return FaceTracker(landmarker, min_confidence)
