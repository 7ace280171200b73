"""Rendering of simulated faces.

The static parts (skin, hair, nose, shading) are computed once per subject with numpy. The moving
parts (eyes, brows, mouth) are drawn on a copy with OpenCV at twice the size, and the motion of the
head is one affine map.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depmm.config import CROP_SIZE
from depmm.simulation.face import Array, Colour, Face, Motion

SCALE = 2  # size of the drawing relative to the image
HALF = 136  # half the side of the drawing, with a margin for the motion of the head
FRACTION_BITS = 4  # OpenCV draws at integer coordinates: here in units of 1/16 pixel

PUPIL, GLINT = (14, 12, 12), (250, 250, 250)
SCLERA, TEETH, CAVITY = (236, 234, 230), (230, 224, 214), (52, 16, 20)

ALONG = np.linspace(-1, 1, 21)  # points along a lid, a brow or a lip
ARCH = 1 - ALONG**2
CUPIDS_BOW = 0.25 * np.exp(-((ALONG / 0.18) ** 2))


@dataclass(frozen=True)
class _Eye:
    """What does not move of an eye: its side, the lower lid, and the tile around it."""

    side: int  # -1 or 1
    lower: Array
    rows: slice
    columns: slice
    start: Array  # first point of the tile
    sclera: NDArray[np.uint8]  # a tile without iris


class FaceRenderer:
    """Renderer of the video frames of one subject.

    Parameters
    ----------
    face : Face
        The appearance.
    rng : Generator
        Source of randomness for the texture of skin and hair.
    """

    def __init__(self, face: Face, rng: np.random.Generator) -> None:
        self.face = face
        self._rest = _shade(face, rng)
        lips = np.array(face.skin) * 0.62 + np.array([58, 14, 18])
        self._lips, self._upper_lip, self._lip_line = (_darker(lips, f) for f in (1, 0.82, 0.5))
        self._lip_shadow, self._lid = _darker(face.skin, 0.86), _darker(face.skin, 0.35)
        self._brow_hair = _darker(face.hair, 0.85)
        self._eyes = [_place_eye(face, side) for side in (-1, 1)]

    def render(self, motion: Motion, frame: int) -> NDArray[np.uint8]:
        """Render one frame.

        Parameters
        ----------
        motion : Motion
            Motion of the face.
        frame : int
            Index of the frame.

        Returns
        -------
        ndarray of uint8, shape (224, 224, 3)
            RGB image.
        """
        image = self._rest.copy()
        for eye in self._eyes:
            self._eye(image, eye, float(motion.blink[frame]), float(motion.gaze[frame]))
            self._brow(image, eye.side, float(motion.brow[frame]))
        self._mouth(image, float(motion.mouth[frame]))
        # the map from a frame of twice the size to the drawing, the inverse of the head's motion
        angle, centre = motion.roll[frame], HALF * SCALE
        shift = SCALE * np.array([motion.x[frame], motion.y[frame]])
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        # coordinates of OpenCV are 0 at the centre of the first pixel
        middle = (CROP_SIZE * SCALE - 1) / 2
        origin = centre - 0.5 - turn @ (middle + shift)
        moved = cv2.warpAffine(
            image,
            np.column_stack([turn, origin]),
            (CROP_SIZE * SCALE, CROP_SIZE * SCALE),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        )
        frame_rgb: NDArray[np.uint8] = cv2.resize(
            moved, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA
        )
        return frame_rgb

    def _eye(self, image: NDArray[np.uint8], eye: _Eye, blink: float, gaze: float) -> None:
        face, size = self.face, self.face.eye_size
        x, y = eye.side * face.eye_gap, face.eye_y
        upper = y + 2 - (0.52 * size + 2) * ARCH * (1 - blink) + 1.5 * blink * ARCH
        lid = _points(x + size * ALONG, upper)
        if blink < 0.85:
            # the eyeball is drawn on a separate tile and copied through the opening of the lids
            tile = eye.sclera.copy()
            radius = 0.46 * size
            for ball_x, ball_y, ball_radius, colour in (
                (x + gaze, y - 1, radius, face.iris),
                (x + gaze, y - 1, radius / 2, PUPIL),
                (x + gaze + 2, y - 3.5, 0.2 * radius, GLINT),
            ):
                centre = _fixed_point(_points(ball_x, ball_y) - eye.start).tolist()
                cv2.circle(
                    tile, centre, round(ball_radius * SCALE * 2**FRACTION_BITS), colour,
                    thickness=cv2.FILLED, shift=FRACTION_BITS,
                )  # fmt: skip
            opened = np.zeros(tile.shape[:2], np.uint8)
            _fill(opened, np.concatenate([lid, eye.lower[::-1]]) - eye.start, 255)
            cv2.copyTo(tile, opened, image[eye.rows, eye.columns])
        _line(image, lid, self._lid, 2 * SCALE)

    def _brow(self, image: NDArray[np.uint8], side: int, up: float) -> None:
        face = self.face
        x = side * (face.eye_gap + 1.25 * face.eye_size * ALONG)
        y = face.eye_y - 1.25 * face.eye_size - up + 3 * (ALONG - 0.2) ** 2
        thick = face.brow * (1 - 0.6 * np.maximum(ALONG, 0))
        _fill_between(image, _points(x, y - thick), _points(x, y), self._brow_hair)

    def _mouth(self, image: NDArray[np.uint8], opening: float) -> None:
        face = self.face
        x = (face.mouth_width - 0.15 * opening) * ALONG
        upper = face.mouth_y - 0.25 * opening * ARCH
        lower = face.mouth_y + 0.75 * opening * ARCH
        below = lower + 1.25 * face.lip * ARCH
        bow = _points(x, upper - face.lip * (ARCH - CUPIDS_BOW))
        above, under = _points(x, upper), _points(x, lower)
        _fill_between(image, _points(x, below + 3), under, self._lip_shadow)
        _fill_between(image, bow, _points(x, below), self._lips)
        _fill_between(image, bow, above, self._upper_lip)
        if opening > 1:
            _fill_between(image, above, under, CAVITY)
            teeth = _points(x, np.minimum(upper + 5 * ARCH, lower))
            _fill_between(image, above[3:-3], teeth[3:-3], TEETH)
        else:
            _line(image, under, self._lip_line, SCALE)


def _place_eye(face: Face, side: int) -> _Eye:
    """Place the eye of one side, -1 or 1."""
    size, x, y = face.eye_size, side * face.eye_gap, face.eye_y
    start = np.floor(_points(x - size - 2, y - size - 2)).astype(int)
    length = int(np.ceil(2 * (size + 2) * SCALE))
    lower = _points(x + size * ALONG, y + 2 + 0.26 * size * ARCH)
    columns, rows = (slice(first, first + length) for first in start.tolist())
    return _Eye(side, lower, rows, columns, start, np.full((length, length, 3), SCLERA, np.uint8))


def _shade(face: Face, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shade the static parts of the face; return uint8 (2 HALF SCALE, 2 HALF SCALE, 3).

    Until the end, the channels are the first dimension: numpy is several times slower if the last
    dimension has three elements.
    """
    axis = (np.arange(2 * HALF * SCALE) + 0.5) / SCALE - HALF
    y, x = axis[:, None], axis[None, :]

    def half_width(grow: float) -> Array:
        down = np.clip(y / (face.height + grow), -1, 1)
        return (
            (face.width + grow) * np.sqrt(1 - down**2) * (1 - face.jaw * np.clip(down, 0, 1) ** 2)
        )

    def cover(distance: Array) -> Array:
        return np.clip(distance * SCALE + 0.5, 0, 1)

    background = _planes(face.background) * (1.08 - 0.0012 * (y + HALF) + 0 * x)
    strands = _texture(rng, len(axis), down=24, across=2)
    shine = 0.25 * _spot(x, y, 40 * face.light, -95, 50, 18)
    hair = _planes(face.hair) * (1 + 0.15 * np.clip(2 * strands, -1, 1) + shine)
    bottom, volume = (HALF, 13) if face.long_hair else (-12, 6)
    mane = np.where(y < 0, half_width(volume), face.width + volume) - np.abs(x)
    image = background + (hair - background) * cover(np.minimum(mane, bottom - y))

    skin = _planes(face.skin)
    neck = cover(np.minimum(0.55 * face.width - np.abs(x), y - 40))
    image += (0.68 * skin - image) * neck
    ears = 1 - ((np.abs(x) - face.width) / 9) ** 2 - ((y - 2) / 20) ** 2
    if not face.long_hair:
        image += (0.85 * skin - image) * cover(6 * ears)

    pores = np.clip(_texture(rng, len(axis), down=4, across=4), -2, 2)
    rows, columns = (
        slice(*np.searchsorted(axis, (-n - 1, n + 1))) for n in (face.height, face.width)
    )
    box = (slice(None), rows, columns)  # around the skin of the face
    flesh = _shade_skin(face, x[:, columns], y[rows], pores[box[1:]])
    image[box] += (flesh - image[box]) * cover(half_width(0) - np.abs(x))[box[1:]]

    fringe = face.hairline - y + 4 * np.cos(x / 18 + 6 * face.light) + 0.004 * x**2
    image += (hair - image) * cover(np.minimum(fringe, half_width(volume) - np.abs(x)))
    return np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _shade_skin(face: Face, x: Array, y: Array, pores: Array) -> Array:
    """Shade the skin at some columns and rows; return the colours, (3, len(y), len(x))."""
    across, down = x / face.width, y / face.height
    depth = np.sqrt(np.clip(1 - across**2 - down**2, 0.02, 1))
    light = 0.62 + 0.42 * depth + 0.16 * face.light * across - 0.05 * down
    nose_x = face.nose_width
    for side in (-1, 1):
        light -= 0.16 * _spot(x, y, side * face.eye_gap, face.eye_y - 3, 19, 13)
        light -= 0.13 * _spot(x, y, side * 0.75 * nose_x, face.nose_y - 8, 5, 16)
        light -= 0.45 * _spot(x, y, side * 0.42 * nose_x, face.nose_y, 3.2, 2.2)
        light += 0.05 * _spot(x, y, side * 38, 22, 16, 13)
    light += 0.13 * _spot(x, y, 0, face.nose_y - 18, 5, 26)
    light += 0.1 * _spot(x, y, 0, face.nose_y - 8, 8, 6)
    light -= 0.14 * _spot(x, y, 0, face.nose_y + 4, nose_x, 3)
    light += 0.06 * _spot(x, y, 0, 84, 16, 9)
    light += 0.012 * pores
    blush = _spot(x, y, -40, 24, 18, 14) + _spot(x, y, 40, 24, 18, 14)
    return _planes(face.skin) * light + _planes((10, -6, -4)) * blush


def _spot(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float) -> Array:
    """Compute a round patch, 1 at its centre."""
    patch: Array = np.exp(-(((x - cx) / rx) ** 2)) * np.exp(-(((y - cy) / ry) ** 2))
    return patch


def _planes(colour: Colour) -> Array:
    """Return a colour as (3, 1, 1), for arithmetic with images of the shape (3, H, W)."""
    return np.array(colour, dtype=np.float64)[:, None, None]


def _texture(rng: np.random.Generator, size: int, down: int, across: int) -> Array:
    """Generate smooth noise with a standard deviation of about 1 and grains of the given size."""
    grains = rng.standard_normal((size // down, size // across)).astype(np.float32)
    texture = cv2.resize(grains, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(texture, dtype=np.float64)


def _points(x: Array | float, y: Array | float) -> Array:
    """Convert face coordinates to points of the drawing; return (..., 2)."""
    points: Array = (np.array([x, y]).T + HALF) * SCALE
    return points


def _fixed_point(points: Array) -> NDArray[np.int32]:
    """Convert points to OpenCV's integers; its pixel k is centred at k, ours at k + 1/2."""
    integers: NDArray[np.int32] = np.round((points - 0.5) * 2**FRACTION_BITS).astype(np.int32)
    return integers


def _fill(image: NDArray[np.uint8], outline: Array, colour: Colour | int) -> None:
    cv2.fillPoly(image, [_fixed_point(outline)], colour, shift=FRACTION_BITS)


def _fill_between(image: NDArray[np.uint8], upper: Array, lower: Array, colour: Colour) -> None:
    _fill(image, np.concatenate([upper, lower[::-1]]), colour)


def _line(image: NDArray[np.uint8], points: Array, colour: Colour, thickness: int) -> None:
    cv2.polylines(
        image, [_fixed_point(points)], False, colour, thickness=thickness, shift=FRACTION_BITS
    )


def _darker(colour: Colour | Array, factor: float) -> Colour:
    r, g, b = (int(value) for value in np.clip(np.array(colour) * factor, 0, 255))
    return r, g, b
