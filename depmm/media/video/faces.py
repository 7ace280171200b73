"""Face tracking with MediaPipe: landmarks, aligned crop, blendshapes, head pose, confidence.

Every frame is processed independently (MediaPipe's IMAGE mode). The VIDEO mode follows and smooths
a face from frame to frame, so that results would depend on the sampling rate, on the first frame of
a window and on the recording processed before. At the few frames per second that are sampled, the
VIDEO mode has no benefit.
"""

import os
import re
import sys
import tempfile
import weakref
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from depmm.media.errors import MediaError
from depmm.media.video.face_alignment import align_face
from depmm.media.video.face_landmarker import LANDMARKER_URL
from depmm.media.video.opencv import SYSTEM_LIBRARIES

N_LANDMARKS, N_BLENDSHAPES = 478, 52
MAX_FACES = 4  # per frame; the largest is the subject, faces in the background are smaller
MIN_FACE_SHARE = 0.8  # share of sampled frames with a face; the others are not used
MAX_SEVERAL_SHARE = 0.1  # of the frames with a face: a second face may be a wrong detection

_LOG_LINE = re.compile(r"[IW]\d{4} |INFO: |WARNING: Logging before InitGoogle|\s*$")


@dataclass(frozen=True)
class FaceFrame:
    """The face of one frame; without a face, ``crop`` is None and all numbers are 0.

    Attributes
    ----------
    time_s : float
        Seconds on the clock of the recording.
    detected : bool
        Whether a face was detected with at least the required confidence.
    confidence : float
        In [0, 1], MediaPipe's score of the *detection box*. The landmark model does not return a
        score, so the value does not measure the accuracy of the landmarks.
    crop : ndarray of uint8, shape (224, 224, 3), or None
        RGB, see :func:`depmm.media.video.face_alignment.align_face`.
    landmarks : ndarray of float32, shape (478, 3)
        x and y in pixels (square ones) of the frame from its upper left corner; z in the same unit,
        smaller is nearer to the camera, 0 at the centre of the head.
    blendshapes : ndarray of float32, shape (52,)
        In [0, 1], in MediaPipe's order (0 is ``_neutral``).
    pose : ndarray of float32, shape (4, 4)
        Transforms MediaPipe's canonical face (cm) into the space of the camera (x right, y up, z
        towards the viewer): rotation ``pose[:3, :3]``, translation ``pose[:3, 3]``. MediaPipe
        assumes the camera parameters, so the distance is only relative.
    n_faces : int
        Number of faces in the frame, at most 4.
    """

    time_s: float
    detected: bool = False
    confidence: float = 0.0
    crop: np.ndarray | None = None
    landmarks: np.ndarray = field(default_factory=partial(np.zeros, (N_LANDMARKS, 3), np.float32))
    blendshapes: np.ndarray = field(default_factory=partial(np.zeros, N_BLENDSHAPES, np.float32))
    pose: np.ndarray = field(default_factory=partial(np.zeros, (4, 4), np.float32))
    n_faces: int = 0


class FaceTracker:
    """Find the largest face of each frame with MediaPipe.

    A tracker has no state between frames: you can use it for any number of recordings in any order,
    but only in the process that created it.

    Parameters
    ----------
    landmarker : Path
        The ``face_landmarker.task`` bundle, see
        :func:`depmm.media.video.face_landmarker.find_landmarker`.
    min_confidence : float
        Minimum confidence of a face, for both MediaPipe's detection and landmark model.

    Raises
    ------
    MediaError
        If the bundle is missing or damaged, or MediaPipe needs a system library that is missing.
    """

    def __init__(self, landmarker: Path, min_confidence: float) -> None:
        try:
            detector = zipfile.ZipFile(landmarker).read("face_detector.tflite")
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise MediaError(
                landmarker,
                f"not a face_landmarker.task bundle ({error}).",
                f"Get {LANDMARKER_URL}",
            ) from error
        try:
            with suppress_mediapipe_log():
                self._open(landmarker, detector, min_confidence)
        except (ImportError, OSError) as error:
            raise MediaError(
                landmarker,
                f"MediaPipe, which runs this model, cannot be loaded ({error}). A system library "
                "is missing.",
                f"On Debian or Ubuntu, run {SYSTEM_LIBRARIES}",
            ) from error
        except RuntimeError as error:
            raise MediaError(
                landmarker, f"MediaPipe cannot load the model ({error}).", f"Get {LANDMARKER_URL}"
            ) from error

    def _open(self, landmarker: Path, detector: bytes, min_confidence: float) -> None:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision

        self._mediapipe = mediapipe
        self._landmarker = vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(landmarker)),
                running_mode=vision.RunningMode.IMAGE,
                num_faces=MAX_FACES,
                min_face_detection_confidence=min_confidence,
                min_face_presence_confidence=min_confidence,
                output_face_blendshapes=True,
                output_facial_transformation_matrixes=True,
            )
        )
        # the same detector as in the landmarker, which does not return its score
        self._detector = vision.FaceDetector.create_from_options(
            vision.FaceDetectorOptions(
                base_options=BaseOptions(model_asset_buffer=detector),
                running_mode=vision.RunningMode.IMAGE,
                min_detection_confidence=min_confidence,
            )
        )
        # the first call prints warnings, which are suppressed here
        self._detector.detect(self._image(np.zeros((64, 64, 3), np.uint8)))
        self._found_face = False
        # at the end of the interpreter, MediaPipe's own destructor fails
        self._finalizer = weakref.finalize(self, _close, self._landmarker, self._detector)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free MediaPipe's graphs."""
        self._finalizer()

    def track(self, time_s: float, frame: np.ndarray) -> FaceFrame:
        """Find the face of a frame.

        Parameters
        ----------
        time_s : float
            Seconds on the clock of the recording, copied to the result.
        frame : ndarray of uint8, shape (height, width, 3)
            RGB.

        Returns
        -------
        FaceFrame
            The largest face, or no face.
        """
        image = self._image(frame)
        # the first face of a tracker makes MediaPipe print a warning
        with nullcontext() if self._found_face else suppress_mediapipe_log():
            result = self._landmarker.detect(image)
        if not result.face_landmarks:
            return FaceFrame(time_s)
        self._found_face = True
        height, width = frame.shape[:2]
        faces = [
            np.array([(p.x * width, p.y * height, p.z * width) for p in face], np.float32)
            for face in result.face_landmarks
        ]
        largest = int(np.argmax([np.prod(np.ptp(face[:, :2], axis=0)) for face in faces]))
        confidence = self._confidence(image, faces[largest])
        if confidence == 0.0:
            return FaceFrame(time_s)
        return FaceFrame(
            time_s,
            detected=True,
            confidence=confidence,
            crop=align_face(frame, faces[largest]),
            landmarks=faces[largest],
            blendshapes=np.array([b.score for b in result.face_blendshapes[largest]], np.float32),
            pose=np.asarray(result.facial_transformation_matrixes[largest], np.float32),
            n_faces=len(faces),
        )

    def _image(self, frame: np.ndarray) -> Any:
        # MediaPipe ignores strides: it would read a view as a sheared image, without an error
        return self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame)
        )

    def _confidence(self, image: Any, landmarks: np.ndarray) -> float:
        """Return the best score of a detection box around the centre of the landmarks, or 0."""
        x, y = landmarks[:, :2].mean(axis=0)
        scores = [0.0]
        for detection in self._detector.detect(image).detections:
            box = detection.bounding_box
            if 0 <= x - box.origin_x <= box.width and 0 <= y - box.origin_y <= box.height:
                scores.append(detection.categories[0].score)
        return float(max(scores))


def _memory_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):  # needs no disk, which may be full
        return os.fdopen(os.memfd_create("depmm"), "w+b")
    return tempfile.TemporaryFile()


def _close(*graphs: Any) -> None:
    with suppress_mediapipe_log():
        for graph in graphs:
            try:
                graph.close()
            except RuntimeError:  # at the end of the interpreter, MediaPipe's thread has ended
                graph._lib.close()  # makes close() do nothing, which __del__ calls again
                graph.close()


@contextmanager
def suppress_mediapipe_log() -> Iterator[None]:
    """Suppress log lines that MediaPipe's C++ code writes to stderr; print other lines."""
    sys.stderr.flush()
    with _memory_file() as captured:
        stderr = os.dup(2)
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            captured.seek(0)
            for line in captured.read().decode(errors="replace").splitlines(keepends=True):
                if not _LOG_LINE.match(line):
                    sys.stderr.write(line)
