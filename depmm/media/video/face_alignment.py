"""Aligned face crops: similarity transform to a template, and JPEG compression."""

import math
from contextlib import suppress

import numpy as np

from depmm.config import CROP_SIZE

# Position of the subject's right eye, left eye and mouth in a crop, in pixels from the upper left
# corner. An eye is the mean of its corners (independent of gaze and lid), the mouth the mean of its
# corners. An adult face then extends from about y = 30 (hairline) to 202 (chin), x = 44 to 180.
TEMPLATE = np.array([[82.0, 82.0], [142.0, 82.0], [112.0, 151.0]])
TEMPLATE_LANDMARKS = ((33, 133), (362, 263), (61, 291))
# the eyes have more weight because the mouth moves with speech
TEMPLATE_WEIGHTS = np.array([2.0, 2.0, 1.0])
_TARGET = [complex(x, y) for x, y in TEMPLATE.tolist()]
JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"


def align_face(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Rotate, scale and shift a frame so that eyes and mouth are at ``TEMPLATE``.

    The similarity transform is the weighted least-squares fit of the three centres, with weight
    2 for each eye. A face that is at least twice as large as in the crop is first reduced by the
    largest integer factor that leaves it no smaller than in the crop (mean of the area), then
    transformed with bilinear interpolation. Pixels outside of the frame are black.

    Parameters
    ----------
    frame : ndarray of uint8, shape (height, width, 3)
        RGB.
    landmarks : ndarray, shape (478, 2 or 3)
        Pixels of the frame.

    Returns
    -------
    ndarray of uint8, shape (224, 224, 3)
        The crop, RGB.
    """
    import cv2

    rotation, shift = _fit_similarity(landmarks)
    inverse, origin = 1 / rotation, -shift / rotation
    to_frame = np.array(
        [[inverse.real, -inverse.imag, origin.real], [inverse.imag, inverse.real, origin.imag]]
    )
    if (factor := int(abs(inverse))) > 1:  # bilinear interpolation reads 2 x 2 pixels only
        height, width = frame.shape[:2]
        reduced = (math.ceil(width / factor), math.ceil(height / factor))
        frame = cv2.resize(frame, reduced, interpolation=cv2.INTER_AREA)
        to_frame *= np.array([[reduced[0] / width], [reduced[1] / height]])
    # coordinates of landmarks are 0 at the corner of the first pixel, those of OpenCV at its centre
    to_frame[:, 2] += to_frame[:, :2].sum(axis=1) / 2 - 0.5
    crop: np.ndarray = cv2.warpAffine(
        frame, to_frame, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return crop


def crop_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Transform the landmarks of a frame as :func:`align_face` transforms its pixels.

    Parameters
    ----------
    landmarks : ndarray, shape (478, 2 or 3)
        Pixels of the frame.

    Returns
    -------
    ndarray of float32, shape (478, 2)
        x and y in pixels of the 224 x 224 crop; points may be outside of the crop.
    """
    rotation, shift = _fit_similarity(landmarks)
    transformed = rotation * (landmarks[:, :2] @ [1, 1j]) + shift
    return np.stack([transformed.real, transformed.imag], axis=1).astype(np.float32)


def _fit_similarity(landmarks: np.ndarray) -> tuple[complex, complex]:
    """Fit ``crop = rotation * frame + shift`` with points as complex numbers.

    ``cv2.estimateAffinePartial2D`` has no weights, and could reject one of the points.
    """
    # complex numbers of Python: this is done for every frame, and calls of numpy on three numbers
    # take three times as long
    source = [
        complex(*((landmarks[first, :2] + landmarks[second, :2]) / 2).tolist())
        for first, second in TEMPLATE_LANDMARKS
    ]
    weights = TEMPLATE_WEIGHTS.tolist()
    source_mean, target_mean = (
        sum(w * z for w, z in zip(weights, points, strict=True)) / sum(weights)
        for points in (source, _TARGET)
    )
    product, square = 0j, 0.0
    for weight, point, target in zip(weights, source, _TARGET, strict=True):
        deviation = point - source_mean
        product += weight * deviation.conjugate() * (target - target_mean)
        square += weight * abs(deviation) ** 2
    rotation = product / square
    return rotation, target_mean - rotation * source_mean


def aligned_crop(frame: np.ndarray) -> np.ndarray:
    """Resize a frame that is already an aligned face.

    Parameters
    ----------
    frame : ndarray of uint8, shape (height, width, 3)
        RGB.

    Returns
    -------
    ndarray of uint8, shape (224, 224, 3)
        The crop, RGB.
    """
    return _resize(frame, CROP_SIZE)


def encode_jpeg(crop: np.ndarray, quality: int) -> bytes:
    """Compress a crop.

    Parameters
    ----------
    crop : ndarray of uint8, shape (height, width, 3)
        RGB.
    quality : int
        JPEG quality, 1 to 100.

    Returns
    -------
    bytes
        A JPEG file.
    """
    import cv2

    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
    ]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), options)
    jpeg: bytes = data.tobytes()
    return jpeg


def decode_jpeg(data: bytes, size: int) -> np.ndarray:
    """Decompress a crop; smaller sizes are decoded faster.

    The crop is decoded at 1, 1/2, 1/4 or 1/8 of its 224 pixels, the smallest of these that is not
    below the size, and then resized to the size: when it is reduced, by the mean of the area.

    Parameters
    ----------
    data : bytes
        A JPEG file.
    size : int
        Height and width of the result, pixels.

    Returns
    -------
    ndarray of uint8, shape (size, size, 3)
        RGB.

    Raises
    ------
    ValueError
        If the data are not a readable JPEG file of 224 x 224 pixels.
    """
    import cv2

    # OpenCV chooses a decoder by the first bytes: these admit only that of JPEG for untrusted data.
    # Versions differ in whether they decode a part of truncated data, which lack the last bytes.
    image = None
    if data.endswith(JPEG_END) and _jpeg_size(data) == (CROP_SIZE, CROP_SIZE):
        reduction = {
            1: cv2.IMREAD_COLOR_BGR,
            2: cv2.IMREAD_REDUCED_COLOR_2,
            4: cv2.IMREAD_REDUCED_COLOR_4,
            8: cv2.IMREAD_REDUCED_COLOR_8,
        }
        factor = max((factor for factor in reduction if factor * size <= CROP_SIZE), default=1)
        with suppress(cv2.error):
            # not | cv2.IMREAD_COLOR_RGB: OpenCV 5 rejects it beside the reduced flags
            image = cv2.imdecode(np.frombuffer(data, np.uint8), reduction[factor])
    if image is None:
        raise ValueError(
            f"the face crop is not a complete JPEG file of {CROP_SIZE} x {CROP_SIZE} pixels"
        )
    rgb: np.ndarray = cv2.cvtColor(_resize(image, size), cv2.COLOR_BGR2RGB)
    return rgb


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Read height and width from the frame header, before a decoder allocates the image."""
    if not data.startswith(JPEG_START):
        return None
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], data[position + 2 : position + 4]
        # 0xC4, 0xC8 and 0xCC are not frame headers
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            sizes = data[position + 5 : position + 9]
            return int.from_bytes(sizes[:2], "big"), int.from_bytes(sizes[2:], "big")
        position += 2 + max(2, int.from_bytes(length, "big"))
    return None


def _resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resize each axis: the mean of the area if it shrinks, bilinear if it grows."""
    import cv2

    height, width = image.shape[:2]
    # INTER_AREA does not take means if one axis grows
    smaller = cv2.resize(image, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
    resized: np.ndarray = cv2.resize(smaller, (size, size), interpolation=cv2.INTER_LINEAR)
    return resized
