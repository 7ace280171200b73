"""Face tracking with MediaPipe: landmarks, aligned crop, blendshapes, head pose, confidence.

Every frame is processed independently (MediaPipe's IMAGE mode). The VIDEO mode follows and smooths
a face from frame to frame, so that results would depend on the sampling rate, on the first frame of
a window and on the recording processed before. At the few frames per second that are sampled, the
VIDEO mode has no benefit.

The landmarker detects faces itself and does not return the score of the detection. A detector
beside it would return the score, but takes a sixth of the time of the landmarker again.
"""

import os
import re
import sys
import tempfile
import weakref
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from operator import attrgetter
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

_COORDINATES = attrgetter("x", "y", "z")
_LOG_LINE = re.compile(r"[IW]\d{4} |INFO: |WARNING: Logging before InitGoogle|\s*$")


@dataclass(frozen=True)
class FaceFrame:
    """The face of one frame; without a face, ``crop`` is None and all numbers are 0.

    Attributes
    ----------
    time_s : float
        Seconds on the clock of the recording.
    detected : bool
        Whether a face was detected with at least the required confidence. MediaPipe's landmarker
        does not return the confidence.
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
        if not zipfile.is_zipfile(landmarker):
            raise MediaError(
                landmarker, "not a face_landmarker.task bundle.", f"Get {LANDMARKER_URL}"
            )
        try:
            with suppress_mediapipe_log():
                self._open(landmarker, min_confidence)
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

    def _open(self, landmarker: Path, min_confidence: float) -> None:
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
        # the first call prints warnings, which are suppressed here
        self._landmarker.detect(self._image(np.zeros((64, 64, 3), np.uint8)))
        self._found_face = False
        # at the end of the interpreter, MediaPipe's own destructor fails
        self._finalizer = weakref.finalize(self, _close, self._landmarker)

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
        faces = [_pixels(face, frame) for face in result.face_landmarks]
        largest = int(np.argmax([np.prod(np.ptp(face[:, :2], axis=0)) for face in faces]))
        return FaceFrame(
            time_s,
            detected=True,
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


def _pixels(face: Sequence[Any], frame: np.ndarray) -> np.ndarray:
    """Convert MediaPipe's landmarks, shares of width and height, to pixels."""
    height, width = frame.shape[:2]
    shares = np.fromiter(chain.from_iterable(map(_COORDINATES, face)), float, 3 * len(face))
    pixels: np.ndarray = (shares.reshape(-1, 3) * (width, height, width)).astype(np.float32)
    return pixels


def _memory_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):  # needs no disk, which may be full
        return os.fdopen(os.memfd_create("depmm"), "w+b")
    return tempfile.TemporaryFile()


def _close(graph: Any) -> None:
    with suppress_mediapipe_log():
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
