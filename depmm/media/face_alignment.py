"""Aligned face crops: similarity transform to a template, and JPEG compression."""

import io

import numpy as np
from PIL import Image

from depmm.config import CROP_SIZE

# Position of the subject's right eye, left eye and mouth in a crop, in pixels from the upper left
# corner. An eye is the mean of its corners (independent of gaze and lid), the mouth the mean of its
# corners. An adult face then extends from about y = 30 (hairline) to 202 (chin), x = 44 to 180.
TEMPLATE = np.array([[82.0, 82.0], [142.0, 82.0], [112.0, 151.0]])
TEMPLATE_LANDMARKS = ((33, 133), (362, 263), (61, 291))
TEMPLATE_WEIGHTS = np.array(
    [2.0, 2.0, 1.0]
)  # the eyes have more weight because the mouth moves with speech


def align_face(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Rotate, scale and shift a frame so that eyes and mouth are at ``TEMPLATE``.

    The similarity transform is the weighted least-squares fit of the three centres, with weight
    2 for each eye. Pixels outside of the frame are black.

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
    rotation, shift = _fit_similarity(landmarks)
    inverse, origin = 1 / rotation, -shift / rotation
    image = Image.fromarray(frame)
    if (factor := int(abs(inverse))) > 1:  # bilinear interpolation reads 2 x 2 pixels only
        image = image.reduce(factor)
        inverse, origin = inverse / factor, origin / factor
    coefficients = (
        inverse.real, -inverse.imag, origin.real, inverse.imag, inverse.real, origin.imag,
    )  # fmt: skip
    size = (CROP_SIZE, CROP_SIZE)
    return np.asarray(
        image.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    )


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
    """Fit ``crop = rotation * frame + shift`` with points as complex numbers."""
    centres = np.array([landmarks[list(ids), :2].mean(axis=0) for ids in TEMPLATE_LANDMARKS])
    source, target = centres @ [1, 1j], TEMPLATE @ [1, 1j]
    source_mean, target_mean = (np.average(z, weights=TEMPLATE_WEIGHTS) for z in (source, target))
    deviation = source - source_mean
    rotation = np.sum(TEMPLATE_WEIGHTS * deviation.conj() * (target - target_mean)) / np.sum(
        TEMPLATE_WEIGHTS * np.abs(deviation) ** 2
    )
    return complex(rotation), complex(target_mean - rotation * source_mean)


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
    return _resize(Image.fromarray(frame), CROP_SIZE)


def encode_jpeg(crop: np.ndarray, quality: int) -> bytes:
    """Compress a crop.

    Parameters
    ----------
    crop : ndarray of uint8, shape (height, width, 3)
        RGB.
    quality : int
        JPEG quality, 1 to 95.

    Returns
    -------
    bytes
        A JPEG file.
    """
    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def decode_jpeg(data: bytes, size: int) -> np.ndarray:
    """Decompress a square crop; smaller sizes are decoded faster.

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
        If the data are not a readable JPEG file.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=["JPEG"])
        image.draft("RGB", (size, size))  # libjpeg decodes at 1/2, 1/4 or 1/8 of the size
        return _resize(image.convert("RGB"), size)
    except OSError as error:
        raise ValueError(
            f"a stored face crop is not a JPEG file ({error}). Extract the session again."
        ) from error


def _resize(image: Image.Image, size: int) -> np.ndarray:
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.array(image)
