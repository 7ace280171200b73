"""Orient the frames of a video upright and scale them to square pixels.

Files state how their frames are displayed: a display matrix (phones that are turned, mirrored front
cameras) and the aspect ratio of a pixel (PAL and NTSC, DV, HDV). As in players, pixels are made
square first, and the result is turned.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np

from depmm.media.warnings import MediaWarning, Warn

MAX_PIXEL_ASPECT = Fraction(4)  # the ratios of the standards are between 10:11 and 128:33
MAX_TILT_DEGREES = 1.0  # a matrix is a multiple of 90 degrees up to rounding


class FrameGeometry:
    """Convert the frames of one video to upright RGB images with square pixels.

    Parameters
    ----------
    stream : av.VideoStream
        The video, before a frame is decoded.
    warn : callable
        Receives ``pixel_aspect`` if the pixel aspect ratio cannot be used, and ``rotation`` if the
        display matrix is not one of the eight orientations.
    """

    def __init__(self, stream: Any, warn: Warn) -> None:
        self._codec = stream.codec_context
        self._warn = warn
        # FFmpeg returns the ratio of the container if there is one, and otherwise that of the codec
        stated = _stated_aspect(stream)
        self._container_aspect = None if stated == _stated_aspect(self._codec) else stated

    def to_rgb(self, frame: Any) -> np.ndarray:
        """Convert a frame.

        Parameters
        ----------
        frame : av.VideoFrame
            The frame that was decoded last, or one of the last few.

        Returns
        -------
        ndarray of uint8, shape (height, width, 3)
            RGB, C-contiguous.
        """
        # FFmpeg pads rows for alignment, and MediaPipe would read the padding as pixels: copy
        image: np.ndarray = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
        image = _square_pixels(image, self._pixel_aspect())
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is not None:
            image = _oriented(image, *self._orientation(bytes(matrix)))
        return image

    def to_cells(self, frame: Any, n_cells: int) -> np.ndarray:
        """Compute the mean luma of the cells of a grid over the upright picture.

        Parameters
        ----------
        frame : av.VideoFrame
            As for :meth:`to_rgb`.
        n_cells : int
            Number of cells along each side, whatever the shape of the picture is.

        Returns
        -------
        ndarray of float32, shape (n_cells, n_cells)
            Luma of ITU-R BT.601, in the range of the file (from 0 or from 16).
        """
        import cv2

        luma = _luma_plane(frame)
        if luma is None:
            luma = cv2.cvtColor(frame.to_ndarray(format="rgb24"), cv2.COLOR_RGB2GRAY)
        # whole numbers would hide small movements
        cells: np.ndarray = cv2.resize(
            luma.astype(np.float32), (n_cells, n_cells), interpolation=cv2.INTER_AREA
        )
        matrix = frame.side_data.get("DISPLAYMATRIX")
        return cells if matrix is None else _oriented(cells, *self._orientation(bytes(matrix)))

    def _pixel_aspect(self) -> Fraction:
        for aspect in (self._container_aspect, _stated_aspect(self._codec)):
            if aspect is None:
                continue
            if 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT:
                return aspect
            self._warn(
                MediaWarning(
                    "pixel_aspect",
                    f"the file states pixels of {aspect.numerator}:{aspect.denominator} (width to "
                    f"height), which is not between 1:{MAX_PIXEL_ASPECT} and {MAX_PIXEL_ASPECT}:1 "
                    "and is ignored.",
                    "Check whether faces look stretched, and remux the file with the right ratio.",
                    float(aspect),
                )
            )
        return Fraction(1)

    def _orientation(self, matrix: bytes) -> tuple[int, bool]:
        quarter_turns, is_mirrored, tilt = orientation(matrix)
        if not tilt <= MAX_TILT_DEGREES:
            problem = (
                f"its display matrix is {tilt:.0f} degrees from a quarter turn; the frames are "
                f"turned by {90 * quarter_turns} degrees clockwise"
                if math.isfinite(tilt)
                else "its display matrix is not a rotation; the frames are not turned"
            )
            self._warn(
                MediaWarning(
                    "rotation",
                    f"{problem}.",
                    "Check that faces are upright, and remux the file without or with another "
                    "rotation.",
                    tilt,
                )
            )
        return quarter_turns, is_mirrored


def _stated_aspect(stream: Any) -> Fraction | None:
    try:
        aspect: Fraction | None = stream.sample_aspect_ratio
    except ZeroDivisionError:  # 1:0
        return None
    return aspect or None


def orientation(matrix: bytes) -> tuple[int, bool, float]:
    """Find the nearest of the eight orientations to a display matrix.

    Parameters
    ----------
    matrix : bytes
        Nine 32-bit integers ``a, b, u, c, d, v, x, y, w`` of FFmpeg: a pixel at (x, y), with y
        downwards, is displayed at (a x + c y, b x + d y).

    Returns
    -------
    quarter_turns : int
        Rotation by 90 degrees clockwise, 0 to 3 times, after the mirror.
    is_mirrored : bool
        Whether left and right are exchanged first.
    tilt : float
        Angle to the nearest orientation, in degrees; infinite if the matrix is singular.
    """
    a, b, _, c, d = (float(value) for value in np.frombuffer(matrix, "i4")[:5])
    determinant = a * d - b * c
    if determinant == 0:
        return 0, False, math.inf
    if is_mirrored := determinant < 0:
        a, b = -a, -b
    degrees = math.degrees(math.atan2(b - c, a + d))  # rotation of the polar decomposition
    quarter_turns = round(degrees / 90)
    return quarter_turns % 4, is_mirrored, abs(degrees - 90 * quarter_turns)


def _square_pixels(image: np.ndarray, aspect: Fraction) -> np.ndarray:
    """Enlarge the side whose pixels are too long, so that no detail is lost."""
    height, width = image.shape[:2]
    if aspect > 1:
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    if (height, width) == image.shape[:2]:
        return image
    import cv2

    scaled: np.ndarray = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return scaled


def _luma_plane(frame: Any) -> np.ndarray | None:
    """Return the luma of a frame that stores it in a plane of bytes, without a copy."""
    first, *others = frame.format.components
    plane = frame.planes[0]
    is_alone = all(other.plane != first.plane for other in others)
    if not (first.is_luma and first.bits == 8 and is_alone and plane.line_size > 0):
        return None
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]


def _oriented(image: np.ndarray, quarter_turns: int, is_mirrored: bool) -> np.ndarray:
    import cv2

    if is_mirrored:
        image = cv2.flip(image, 1)
    if quarter_turns:
        codes = (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE)
        image = cv2.rotate(image, codes[quarter_turns - 1])
    return image
