"""Feature streams that are computed from the tensors of a session when they are read.

Every session whose faces were tracked has the streams of the face, one row per sampled video frame.
Nothing is stored for them. A frame without a face is an invalid row, NaN in every column. Sessions
of aligned faces (``faces: aligned`` in the data spec) do not have them, because aligned crops have
no landmarks. Every session with sound has the stream ``voice``, which is stored when it is first
read. A stream of the same name that the corpus provides takes precedence.

===============  ==========================================================================
stream           columns
===============  ==========================================================================
``blendshapes``  the 52 blendshapes of MediaPipe, in [0, 1]
``head_pose``    pitch, yaw and roll in degrees; x, y and z in cm, see :func:`head_pose`
``gaze``         position of the iris between the eye corners, see :func:`gaze`
``voice``        contours of the voice, see :mod:`depmm.store.voice_stream`
===============  ==========================================================================
"""

from collections.abc import Collection
from typing import Any, Literal, get_args

import numpy as np

from depmm.store.session_layout import Shapes
from depmm.store.tensor_file import TensorFile
from depmm.store.voice_stream import VOICE, describe_voice, is_voice

FaceStream = Literal["blendshapes", "head_pose", "gaze"]
FACE_STREAMS: tuple[FaceStream, ...] = get_args(FaceStream)

# order of MediaPipe, mediapipe.tasks.python.vision.face_landmarker.Blendshapes
BLENDSHAPES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft",
    "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft",
    "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen",
    "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight",
    "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower",
    "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
HEAD_POSE = ("pitch", "yaw", "roll", "x", "y", "z")
GAZE = ("x", "y")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "blendshapes": BLENDSHAPES, "head_pose": HEAD_POSE, "gaze": GAZE,
}  # fmt: skip
_TENSORS = {
    "blendshapes": "face.blendshapes", "head_pose": "face.pose", "gaze": "face.landmarks",
}  # fmt: skip

# landmarks of MediaPipe's face mesh: iris, and the corners of the eye from image left to right
_RIGHT_EYE, _LEFT_EYE = (468, 33, 133), (473, 362, 263)


def track_of(stream: str) -> Literal["audio", "face"] | None:
    """Return the track of a recording that a derived stream is computed from.

    Parameters
    ----------
    stream : str
        Name of a stream.

    Returns
    -------
    {"audio", "face"} or None
        None for a stream that only a corpus can provide.
    """
    if stream == VOICE:
        return "audio"
    return "face" if stream in FACE_STREAMS else None


def with_derived_streams(summary: dict[str, Any], shapes: Shapes) -> dict[str, Any]:
    """Add the derived streams of a session to its summary.

    Parameters
    ----------
    summary : dict
        Summary in the header of the session file.
    shapes : dict of str to tuple
        Type and shape of each tensor of the session.

    Returns
    -------
    dict
        The summary, in which ``streams`` has further entries with ``columns``, ``n_features`` and
        ``file``, the tensor.
    """
    derived: dict[str, dict[str, Any]] = {
        name: {"columns": list(_COLUMNS[name]), "n_features": len(_COLUMNS[name]), "file": tensor}
        for name, tensor in _TENSORS.items()
        if is_derived(name, shapes)
    }
    if is_voice(VOICE, shapes):
        derived[VOICE] = describe_voice()
    return {**summary, "streams": {**summary["streams"], **derived}}


def is_derived(stream: str, names: Collection[str]) -> bool:
    """Check whether a stream is computed from the tensors of a session.

    Parameters
    ----------
    stream : str
        Name of the stream.
    names : collection of str
        Names of the tensors of the session.

    Returns
    -------
    bool
        False for a stored stream, and for one that the session does not have.
    """
    return (
        f"feature.{stream}.values" not in names
        and _TENSORS.get(stream) in names
        and "face.step_frames" in names
    )


def read_derived(file: TensorFile, stream: str, first: int, end: int) -> np.ndarray:
    """Compute rows of a derived stream.

    Parameters
    ----------
    file : TensorFile
        The session, which has the tensor of the stream.
    stream : str
        One of `FACE_STREAMS`.
    first, end : int
        First frame, and the frame after the last one.

    Returns
    -------
    ndarray of float32, shape (T, F)
        One row per frame, NaN without a face.
    """
    tensor = file.read_rows(_TENSORS[stream], first, end)
    detected = file.read_rows("face.detected", first, end)
    rows = np.full((len(tensor), len(_COLUMNS[stream])), np.nan, np.float32)
    match stream:
        case "blendshapes":
            rows[detected] = tensor[detected]
        case "head_pose":
            rows[detected] = head_pose(tensor[detected])
        case "gaze":
            rows[detected] = gaze(tensor[detected])
    return rows


def head_pose(pose: np.ndarray) -> np.ndarray:
    """Compute the angles and the position of the head.

    The rotation is split as ``R = Ry(yaw) Rx(-pitch) Rz(roll)`` in the space of the camera (x to
    the right of the image, y up, z towards the viewer). With the matrix divided by its scale,
    ``pitch = asin(R[1, 2])``, ``yaw = atan2(R[0, 2], R[2, 2])`` and ``roll = atan2(R[1, 0],
    R[1, 1])``. The position is relative, because MediaPipe assumes the parameters of the camera.

    Parameters
    ----------
    pose : ndarray, shape (T, 4, 4)
        The tensor ``face.pose``.

    Returns
    -------
    ndarray of float32, shape (T, 6)
        Pitch (positive: nose up), yaw (positive: nose to the right of the image) and roll
        (positive: anticlockwise in the image) in degrees; x, y and z in cm. NaN for a matrix that
        is not a rotation with a positive scale.
    """
    matrix = pose.astype(np.float64)
    determinant = np.linalg.det(matrix[:, :3, :3])
    scale = np.cbrt(np.where(determinant > 0, determinant, np.nan))
    rotation = matrix[:, :3, :3] / scale[:, None, None]
    angles = np.degrees(
        np.stack(
            [
                np.arcsin(rotation[:, 1, 2].clip(-1, 1)),
                np.arctan2(rotation[:, 0, 2], rotation[:, 2, 2]),
                np.arctan2(rotation[:, 1, 0], rotation[:, 1, 1]),
            ],
            axis=1,
        )
    )
    position = np.where(np.isnan(scale)[:, None], np.nan, matrix[:, :3, 3])
    return np.concatenate([angles, position], axis=1).astype(np.float32)


def gaze(landmarks: np.ndarray) -> np.ndarray:
    """Compute the position of the irises between the corners of the eyes.

    For each eye, with iris centre ``c`` and corners ``a`` (image left) and ``b`` (image right)::

        x = (c - (a + b) / 2) . u / |b - a|     u = (b - a) / |b - a|
        y = (c - (a + b) / 2) . v / |b - a|     v = u turned anticlockwise, up in the image

    and the mean of both eyes. The position is in eye widths: 0 is halfway between the corners, and
    the corners are at x = -0.5 and 0.5. It is relative to the head, does not change when the head
    tilts in the plane of the image or moves, and depends on the shape of the eyes. It is not an
    angle of gaze, and has no meaning while the eyes are closed.

    Parameters
    ----------
    landmarks : ndarray, shape (T, 478, 3)
        The tensor ``face.landmarks``.

    Returns
    -------
    ndarray of float32, shape (T, 2)
        x (positive: the eyes look to the right of the image) and y (positive: up), eye widths. NaN
        if the corners of an eye coincide.
    """
    points = landmarks[:, :, :2].astype(np.float64)
    eyes = []
    for iris, left, right in (_RIGHT_EYE, _LEFT_EYE):
        axis = points[:, right] - points[:, left]
        offset = points[:, iris] - (points[:, left] + points[:, right]) / 2
        square = (axis**2).sum(axis=1)
        square = np.where(square > 0, square, np.nan)
        along = (offset * axis).sum(axis=1) / square
        # in pixels y grows downwards: (y, -x) is the axis turned anticlockwise as seen
        up = (offset[:, 0] * axis[:, 1] - offset[:, 1] * axis[:, 0]) / square
        eyes.append(np.stack([along, up], axis=1))
    mean: np.ndarray = np.mean(eyes, axis=0).astype(np.float32)
    return mean
