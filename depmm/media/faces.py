"""Faces: MediaPipe landmarks -> aligned 224 x 224 crop, blendshapes, head pose, confidence.

Every frame is a picture of its own here (MediaPipe's IMAGE mode). Its VIDEO mode follows and
smooths a face from frame to frame, so that a result would depend on the sampling rate, on the frame
where a window begins and on the recording handled before; at the few frames per second that are
sampled, following gains nothing.
"""

import hashlib
import io
import os
import re
import sys
import tempfile
import urllib.request
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

from depmm.config import CROP_SIZE
from depmm.media.errors import MediaError

LANDMARKER_URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
    "face_landmarker.task"
)
LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
LANDMARKER_VARIABLE = "DEPMM_FACE_LANDMARKER"

LANDMARKS, BLENDSHAPES = 478, 52
MAX_FACES = 4  # per frame; the largest is the participant, someone behind is smaller

# where right eye, left eye and mouth (of the person) come to lie in a crop, pixels from its upper
# left corner; eye = mean of its corners (no gaze, no lid), mouth = mean of its corners. An adult
# face then reaches from about y = 30 (hairline) to 202 (chin), and x = 44 to 180.
TEMPLATE = np.array([[82.0, 82.0], [142.0, 82.0], [112.0, 151.0]])
TEMPLATE_LANDMARKS = ((33, 133), (362, 263), (61, 291))
TEMPLATE_WEIGHTS = np.array([2.0, 2.0, 1.0])  # the mouth moves with speech: the eyes decide

_SYSTEM_LIBRARIES = "apt-get install libegl1 libgles2 libgl1 libglib2.0-0"
_NOISE = re.compile(r"[IW]\d{4} |INFO: |WARNING: Logging before InitGoogle|\s*$")


@dataclass(frozen=True)
class FaceFrame:
    """The face of one frame; without a face ``crop`` is ``None`` and all numbers are 0.

    Attributes
    ----------
    time_s : seconds on the recording's clock
    detected : a face was found with at least the asked confidence
    confidence : in [0, 1], MediaPipe's score of the *detection box*. Its landmark model keeps its
        own score to itself, so this says that there is a face, not how exact the landmarks are.
    crop : uint8 RGB [224, 224, 3], see :func:`align_face`
    landmarks : float32 [478, 3], x and y in pixels of the frame from its upper left corner; z in
        the same unit, smaller is nearer to the camera, 0 at the centre of the head
    blendshapes : float32 [52] in [0, 1], in MediaPipe's order (0 is ``_neutral``)
    pose : float32 [4, 4], carries MediaPipe's canonical face (cm) into the camera's space (x right,
        y up, z towards the viewer): ``pose[:3, :3]`` turns, ``pose[:3, 3]`` moves. The camera is
        an assumed one, so the distance is only relative.
    """

    time_s: float
    detected: bool = False
    confidence: float = 0.0
    crop: np.ndarray | None = None
    landmarks: np.ndarray = field(default_factory=partial(np.zeros, (LANDMARKS, 3), np.float32))
    blendshapes: np.ndarray = field(default_factory=partial(np.zeros, BLENDSHAPES, np.float32))
    pose: np.ndarray = field(default_factory=partial(np.zeros, (4, 4), np.float32))


class FaceTracker:
    """Find the largest face of each frame with MediaPipe; make it and use it in one process.

    It keeps nothing between frames: one tracker serves any number of recordings, in any order.

    Parameters
    ----------
    landmarker : the ``face_landmarker.task`` bundle, see :func:`find_landmarker`
    min_confidence : below, there is no face; for MediaPipe's detection and landmark models alike

    Raises
    ------
    MediaError : no such bundle, or MediaPipe lacks a system library
    """

    def __init__(self, landmarker: Path, min_confidence: float):
        try:
            detector = zipfile.ZipFile(landmarker).read("face_detector.tflite")
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise MediaError(
                landmarker, f"is no face_landmarker.task bundle ({error}). Get {LANDMARKER_URL}"
            ) from error
        try:
            with _without_noise():
                self._open(landmarker, detector, min_confidence)
        except (ImportError, OSError) as error:
            raise MediaError(
                landmarker,
                f"MediaPipe, which runs it, cannot be loaded ({error}). It needs system libraries: "
                f"on Debian or Ubuntu {_SYSTEM_LIBRARIES}",
            ) from error
        except RuntimeError as error:
            raise MediaError(
                landmarker, f"MediaPipe refuses it ({error}). Get {LANDMARKER_URL}"
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
        # the same detector that the landmarker runs first; only alone does it tell its score
        self._detector = vision.FaceDetector.create_from_options(
            vision.FaceDetectorOptions(
                base_options=BaseOptions(model_asset_buffer=detector),
                running_mode=vision.RunningMode.IMAGE,
                min_detection_confidence=min_confidence,
            )
        )
        self._detector.detect(self._image(np.zeros((64, 64, 3), np.uint8)))  # warns when new

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
        with _without_noise():
            self._landmarker.close()
            self._detector.close()

    def track(self, time_s: float, frame: np.ndarray) -> FaceFrame:
        """Find the face of a frame.

        Parameters
        ----------
        time_s : goes into the result as it is
        frame : uint8 RGB [height, width, 3]
        """
        image = self._image(frame)
        found = self._landmarker.detect(image)
        if not found.face_landmarks:
            return FaceFrame(time_s)
        height, width = frame.shape[:2]
        faces = [
            np.array([(p.x * width, p.y * height, p.z * width) for p in face], np.float32)
            for face in found.face_landmarks
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
            blendshapes=np.array([b.score for b in found.face_blendshapes[largest]], np.float32),
            pose=np.asarray(found.facial_transformation_matrixes[largest], np.float32),
        )

    def _image(self, frame: np.ndarray) -> Any:
        # MediaPipe ignores strides: a view would be read as a sheared picture, without a word
        return self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame)
        )

    def _confidence(self, image: Any, landmarks: np.ndarray) -> float:
        """Score of the best detection box around the centre of the landmarks, 0 without one."""
        x, y = landmarks[:, :2].mean(axis=0)
        scores = [0.0]
        for detection in self._detector.detect(image).detections:
            box = detection.bounding_box
            if 0 <= x - box.origin_x <= box.width and 0 <= y - box.origin_y <= box.height:
                scores.append(detection.categories[0].score)
        return float(max(scores))


def align_face(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Turn, scale and shift a frame so that eyes and mouth lie on ``TEMPLATE``.

    The similarity transform is the weighted least-squares fit of the three centres (the eyes count
    twice); what lies outside the frame is black.

    Parameters
    ----------
    frame : uint8 RGB [height, width, 3]
    landmarks : float [478, >= 2], pixels of the frame

    Returns
    -------
    uint8 RGB [224, 224, 3]
    """
    turn, shift = _similarity(landmarks)
    back, origin = 1 / turn, -shift / turn
    image = Image.fromarray(frame)
    if (factor := int(abs(back))) > 1:  # bilinear looks at 2 x 2 pixels only
        image = image.reduce(factor)
        back, origin = back / factor, origin / factor
    coefficients = (back.real, -back.imag, origin.real, back.imag, back.real, origin.imag)
    size = (CROP_SIZE, CROP_SIZE)
    return np.asarray(
        image.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    )


def crop_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Carry the landmarks of a frame to where :func:`align_face` puts them.

    Parameters
    ----------
    landmarks : float [478, >= 2], pixels of the frame

    Returns
    -------
    float32 [478, 2], x and y in pixels of the 224 x 224 crop; may lie outside of it
    """
    turn, shift = _similarity(landmarks)
    moved = turn * (landmarks[:, :2] @ [1, 1j]) + shift
    return np.stack([moved.real, moved.imag], axis=1).astype(np.float32)


def _similarity(landmarks: np.ndarray) -> tuple[complex, complex]:
    """Fit what carries a frame to its crop: ``crop = turn * frame + shift``, points as complex."""
    centres = np.array([landmarks[list(ids), :2].mean(axis=0) for ids in TEMPLATE_LANDMARKS])
    source, target = centres @ [1, 1j], TEMPLATE @ [1, 1j]
    source_mean, target_mean = (np.average(z, weights=TEMPLATE_WEIGHTS) for z in (source, target))
    spread = source - source_mean
    turn = np.sum(TEMPLATE_WEIGHTS * spread.conj() * (target - target_mean)) / np.sum(
        TEMPLATE_WEIGHTS * np.abs(spread) ** 2
    )
    return complex(turn), complex(target_mean - turn * source_mean)


def aligned_crop(frame: np.ndarray) -> np.ndarray:
    """Resize a frame that already is an aligned face to uint8 RGB [224, 224, 3]."""
    return _resized(Image.fromarray(frame), CROP_SIZE)


def encode_jpeg(crop: np.ndarray, quality: int) -> bytes:
    """Compress a uint8 RGB crop."""
    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def decode_jpeg(data: bytes, size: int) -> np.ndarray:
    """Decompress a square crop to uint8 RGB [size, size, 3]; smaller sizes decode faster.

    Raises
    ------
    ValueError : no readable JPEG
    """
    try:
        image = Image.open(io.BytesIO(data), formats=["JPEG"])
        image.draft("RGB", (size, size))  # libjpeg decodes at 1/2, 1/4, 1/8
        return _resized(image.convert("RGB"), size)
    except OSError as error:
        raise ValueError(f"a stored face crop is no JPEG ({error}). Extract it again.") from error


def _resized(image: Image.Image, size: int) -> np.ndarray:
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.array(image)


def find_landmarker(path: Path | None = None) -> Path:
    """Find the face model: the given path, ``DEPMM_FACE_LANDMARKER``, the user's cache, the net.

    The cache is ``$XDG_CACHE_HOME/depmm`` (``~/.cache/depmm``). What is cached or downloaded must
    have the known hash; a file that the user names may be a newer model: it is used with a warning.

    Raises
    ------
    MediaError : a named file is missing, the download fails or has another hash
    """
    variable = os.environ.get(LANDMARKER_VARIABLE)
    if named := path or (Path(variable) if variable else None):
        if not named.is_file():
            source = "given path" if path else LANDMARKER_VARIABLE
            raise MediaError(named, f"is no file ({source}). Get {LANDMARKER_URL}")
        if _sha256(named.read_bytes()) != LANDMARKER_SHA256:
            warnings.warn(f"{named} is not the face model that depmm was tested with", stacklevel=2)
        return named
    cached = landmarker_candidates()[-1]
    if cached.is_file():
        if _sha256(cached.read_bytes()) == LANDMARKER_SHA256:
            return cached
        cached.unlink()
    _download(cached)
    return cached


def landmarker_candidates() -> list[Path]:
    """List where :func:`find_landmarker` looks before the net: the variable's file, the cache."""
    variable = os.environ.get(LANDMARKER_VARIABLE)
    caches = os.environ.get("XDG_CACHE_HOME")
    cache = Path(caches) if caches else Path.home() / ".cache"
    return [*([Path(variable)] if variable else []), cache / "depmm/face_landmarker.task"]


def _download(target: Path) -> None:
    remedy = (
        f"Download {LANDMARKER_URL} where there is a net and put it at this path, or name its "
        f"path (landmarker) or set {LANDMARKER_VARIABLE}."
    )
    try:
        with urllib.request.urlopen(LANDMARKER_URL, timeout=60) as response:
            data = response.read(2**26)  # 64 MiB, the model has 3.6
    except OSError as error:
        raise MediaError(
            target, f"the face model cannot be downloaded ({error}). {remedy}"
        ) from error
    if _sha256(data) != LANDMARKER_SHA256:
        raise MediaError(
            target, f"the download has another hash ({_sha256(data)[:12]}...): refused. {remedy}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(data)
    os.replace(file.name, target)  # other processes see the whole file or none


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _without_noise() -> Iterator[None]:
    """Hold back the information that MediaPipe's C++ writes to stderr; let all else through."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines(keepends=True):
                if not _NOISE.match(line):
                    sys.stderr.write(line)
