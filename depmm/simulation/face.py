"""Drawn faces of people who do not exist, moving with their speech by a known amount.

What stands still (skin, hair, nose, light) is shaded once per person with numpy; what moves (eyes,
brows, mouth) is drawn on a copy of it with Pillow at twice the size, and the head's motion is one
affine map. Lengths are pixels of the 224 x 224 picture, from its centre, y downwards.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from depmm.config import CROP_SIZE
from depmm.simulation.voice import TRACK_HZ, Utterance, smooth

FRAMES_PER_SECOND = 25
MOTION_PER_UNIT = float(np.exp(-0.8))

SCALE = 2  # the drawing is this much larger than the picture
HALF = 136  # half the drawing's side: a margin around the picture, which the head moves in

Array = NDArray[np.float64]
Colour = tuple[int, int, int]

SKIN = np.array([[246, 214, 190], [228, 185, 150], [198, 148, 112], [150, 104, 74], [104, 70, 50]])
HAIR = np.array([[28, 24, 24], [62, 42, 30], [104, 72, 44], [176, 138, 84], [142, 140, 140]])
IRIS = np.array([[70, 46, 30], [104, 78, 44], [92, 112, 76], [84, 118, 150]])

PUPIL, GLINT = (14, 12, 12), (250, 250, 250)
SCLERA, TEETH, CAVITY = (236, 234, 230), (230, 224, 214), (52, 16, 20)

ALONG = np.linspace(-1, 1, 21)  # points along a lid, a brow or a lip
ARCH = 1 - ALONG**2
CUPIDS_BOW = 0.25 * np.exp(-((ALONG / 0.18) ** 2))


@dataclass(frozen=True)
class Face:
    """A person's looks, apart from any effect."""

    skin: Colour
    hair: Colour
    iris: Colour
    background: Colour
    width: float  # half of the head's
    height: float  # half of the head's
    jaw: float  # how much the head narrows downwards
    eye_gap: float  # from the middle of the face to the middle of an eye
    eye_y: float
    eye_size: float  # half an eye's width
    brow: float  # thickness
    nose_y: float  # lower end
    nose_width: float
    mouth_y: float
    mouth_width: float  # half
    lip: float  # thickness
    hairline: float
    long_hair: bool
    light: float  # direction from -1 (left) to 1 (right)
    liveliness: float  # factor on all motion


@dataclass(frozen=True)
class Motion:
    """How a face moves: one value a frame, float64[T] each."""

    mouth: Array  # opening, pixels
    brow: Array  # raise, pixels
    blink: Array  # 0 open ... 1 closed
    gaze: Array  # sideways, pixels
    x: Array  # of the head, pixels
    y: Array
    roll: Array  # radians


def sample_face(rng: np.random.Generator, gender: str) -> Face:
    """Draw a face; only hair length, brows and lips depend (in part) on the gender."""
    female = gender == "female"

    def tint(palette: NDArray[np.int64], spread: float) -> Colour:
        colour = palette[rng.integers(len(palette))] * np.exp(rng.normal(0, spread))
        r, g, b = (int(value) for value in np.clip(colour + rng.normal(0, 4, 3), 12, 250))
        return r, g, b

    return Face(
        skin=tint(SKIN, 0.04),
        hair=tint(HAIR, 0.1),
        iris=tint(IRIS, 0.1),
        background=tint(np.array([[150, 160, 170], [190, 186, 176], [120, 128, 120]]), 0.1),
        width=float(rng.uniform(70, 80)),
        height=float(rng.uniform(96, 104)),
        jaw=float(rng.uniform(0.12, 0.26)),
        eye_gap=float(rng.uniform(30, 35)),
        eye_y=float(rng.uniform(-16, -10)),
        eye_size=float(rng.uniform(13.5, 17)),
        brow=float(rng.uniform(2.5, 4.5) + (0 if female else 1)),
        nose_y=float(rng.uniform(23, 31)),
        nose_width=float(rng.uniform(11, 16)),
        mouth_y=float(rng.uniform(51, 58)),
        mouth_width=float(rng.uniform(24, 31)),
        lip=float(rng.uniform(4, 6.5) + (1 if female else 0)),
        hairline=float(rng.uniform(-74, -60)),
        long_hair=bool(rng.uniform() < (0.8 if female else 0.1)),
        light=float(rng.uniform(-0.8, 0.8)),
        liveliness=float(np.exp(rng.normal(0, 0.08))),
    )


def animate(face: Face, recording: Utterance, bluntness: Array, rng: np.random.Generator) -> Motion:
    """Move a face with its speech.

    Parameters
    ----------
    recording : whose mouth opening and word limits the face follows
    bluntness : float64[L]; per unit the motion of mouth, brows and head is `MOTION_PER_UNIT` times
        as large
    """
    per_frame = TRACK_HZ // FRAMES_PER_SECOND
    opening = recording.opening.reshape(-1, per_frame).mean(axis=1)
    frames = len(opening)
    time = (np.arange(frames) + 0.5) / FRAMES_PER_SECOND
    middle = (recording.start_s + recording.end_s) / 2
    nearest = np.abs(time[:, None] - middle).argmin(axis=1)
    size = face.liveliness * MOTION_PER_UNIT ** bluntness[nearest]
    size = smooth(size, 1.0)
    accent = rng.uniform(0.85, 1.15, len(middle))
    span = 0.4 * (recording.end_s - recording.start_s)
    gesture = (accent * np.exp(-(((time[:, None] - middle) / span) ** 2))).sum(axis=1)

    def sway() -> Array:
        slow = smooth(rng.standard_normal(frames + 100), 0.5 * FRAMES_PER_SECOND)
        return (slow / slow.std())[50:-50]

    blink = np.zeros(frames)
    at = rng.uniform(0.5, 4)
    while at < time[-1]:
        blink = np.maximum(blink, np.exp(-(((time - at) / 0.07) ** 4)))
        at += rng.uniform(1.5, 5)
    return Motion(
        mouth=np.clip(26 * opening * size, 0, 38),  # then the lip meets the chin
        brow=np.clip(9 * gesture * size, 0, 18),
        blink=blink,
        gaze=1.2 * sway(),
        x=np.clip(2.2 * sway() * size, -8, 8),  # the limits keep the drawing's edge out of sight
        y=np.clip((1.5 * sway() + 5 * gesture) * size, -14, 14),
        roll=np.clip(np.deg2rad(1.2) * sway() * size, -0.07, 0.07),
    )


class FaceRenderer:
    """Paint the frames of one person: the resting face once, its moving parts for every frame."""

    def __init__(self, face: Face, rng: np.random.Generator):
        self.face = face
        self._rest = Image.fromarray(_shade(face, rng))
        lips = np.array(face.skin) * 0.62 + np.array([58, 14, 18])
        self._lips, self._upper_lip, self._lip_line = (_darker(lips, f) for f in (1, 0.82, 0.5))
        self._lip_shadow, self._lid = _darker(face.skin, 0.86), _darker(face.skin, 0.35)
        self._brow_hair = _darker(face.hair, 0.85)

    def render(self, motion: Motion, frame: int) -> NDArray[np.uint8]:
        """Paint a frame of a motion: uint8[224, 224, 3], RGB."""
        picture = self._rest.copy()
        draw = ImageDraw.Draw(picture)
        for side in (-1, 1):
            self._eye(picture, side, float(motion.blink[frame]), float(motion.gaze[frame]))
            self._brow(draw, side, float(motion.brow[frame]))
        self._mouth(draw, float(motion.mouth[frame]))
        angle, half = motion.roll[frame], CROP_SIZE * SCALE / 2
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        # Pillow asks where each pixel comes from: the inverse of the head's motion
        dx, dy = half + SCALE * motion.x[frame], half + SCALE * motion.y[frame]
        centre = HALF * SCALE
        left, top = float(centre - cos * dx - sin * dy), float(centre + sin * dx - cos * dy)
        # nearest neighbours at twice the size, then a mean: as smooth as bilinear, 4 times as fast
        moved = picture.transform(
            (CROP_SIZE * SCALE, CROP_SIZE * SCALE),
            Image.Transform.AFFINE,
            (cos, sin, left, -sin, cos, top),
            Image.Resampling.NEAREST,
        )
        return np.asarray(moved.reduce(SCALE))

    def _eye(self, picture: Image.Image, side: int, blink: float, gaze: float) -> None:
        face, size = self.face, self.face.eye_size
        x, y = side * face.eye_gap, face.eye_y
        upper = y + 2 - (0.52 * size + 2) * ARCH * (1 - blink) + 1.5 * blink * ARCH
        lower = y + 2 + 0.26 * size * ARCH
        lid = _points(x + size * ALONG, upper)
        if blink < 0.85:
            # the ball is drawn on a tile of its own and shows through the opening of the lids
            left, top, right, bottom = (round(edge) for edge in _box(x, y, size + 2))
            tile = Image.new("RGB", (right - left, bottom - top), SCLERA)
            opened = Image.new("L", tile.size)
            outline = lid + _points(x + size * ALONG, lower)[::-1]
            ImageDraw.Draw(opened).polygon([(px - left, py - top) for px, py in outline], fill=255)
            paint, radius = ImageDraw.Draw(tile), 0.46 * size
            glint = (x + gaze + 2, y - 3.5, 0.2 * radius)
            balls = [((x + gaze, y - 1, radius), face.iris), ((x + gaze, y - 1, radius / 2), PUPIL)]
            for (ball_x, ball_y, ball_radius), colour in [*balls, (glint, GLINT)]:
                x0, y0, x1, y1 = _box(ball_x, ball_y, ball_radius)
                paint.ellipse((x0 - left, y0 - top, x1 - left, y1 - top), fill=colour)
            picture.paste(tile, (left, top), opened)
        ImageDraw.Draw(picture).line(lid, fill=self._lid, width=2 * SCALE, joint="curve")

    def _brow(self, draw: ImageDraw.ImageDraw, side: int, up: float) -> None:
        face = self.face
        x = side * (face.eye_gap + 1.25 * face.eye_size * ALONG)
        y = face.eye_y - 1.25 * face.eye_size - up + 3 * (ALONG - 0.2) ** 2
        thick = face.brow * (1 - 0.6 * np.maximum(ALONG, 0))
        draw.polygon(_points(x, y - thick) + _points(x, y)[::-1], fill=self._brow_hair)

    def _mouth(self, draw: ImageDraw.ImageDraw, opening: float) -> None:
        face = self.face
        x = (face.mouth_width - 0.15 * opening) * ALONG
        upper = face.mouth_y - 0.25 * opening * ARCH
        lower = face.mouth_y + 0.75 * opening * ARCH
        below = lower + 1.25 * face.lip * ARCH
        bow = _points(x, upper - face.lip * (ARCH - CUPIDS_BOW))
        above, under = _points(x, upper), _points(x, lower)[::-1]
        draw.polygon(_points(x, below + 3) + under, fill=self._lip_shadow)
        draw.polygon(bow + _points(x, below)[::-1], fill=self._lips)
        draw.polygon(bow + above[::-1], fill=self._upper_lip)
        if opening > 1:
            draw.polygon(above + under, fill=CAVITY)
            teeth = _points(x, np.minimum(upper + 5 * ARCH, lower))
            draw.polygon(above[3:-3] + teeth[3:-3][::-1], fill=TEETH)
        else:
            draw.line(under, fill=self._lip_line, width=SCALE, joint="curve")


def _shade(face: Face, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shade the face without its moving parts: uint8[2 HALF SCALE, 2 HALF SCALE, 3]."""
    axis = (np.arange(2 * HALF * SCALE) + 0.5) / SCALE - HALF
    y, x = axis[:, None], axis[None, :]

    def spot(cx: float, cy: float, rx: float, ry: float) -> Array:
        return np.exp(-(((x - cx) / rx) ** 2)) * np.exp(-(((y - cy) / ry) ** 2))

    def half_width(grow: float) -> Array:
        down = np.clip(y / (face.height + grow), -1, 1)
        return (
            (face.width + grow) * np.sqrt(1 - down**2) * (1 - face.jaw * np.clip(down, 0, 1) ** 2)
        )

    def cover(distance: Array) -> Array:
        return np.clip(distance * SCALE + 0.5, 0, 1)[..., None]

    background = np.array(face.background) * (1.08 - 0.0012 * (y + HALF) + 0 * x)[..., None]
    strands = _texture(rng, len(axis), down=24, across=2)
    hair_light = 1 + 0.15 * np.clip(2 * strands, -1, 1) + 0.25 * spot(40 * face.light, -95, 50, 18)
    hair = np.array(face.hair) * hair_light[..., None]
    bottom, volume = (HALF, 13) if face.long_hair else (-12, 6)
    mane = np.where(y < 0, half_width(volume), face.width + volume) - np.abs(x)
    picture = background + (hair - background) * cover(np.minimum(mane, bottom - y))

    skin = np.array(face.skin, dtype=float)
    neck = cover(np.minimum(0.55 * face.width - np.abs(x), y - 40))
    picture += (0.68 * skin - picture) * neck
    ears = 1 - ((np.abs(x) - face.width) / 9) ** 2 - ((y - 2) / 20) ** 2
    if not face.long_hair:
        picture += (0.85 * skin - picture) * cover(6 * ears)

    across, down = x / face.width, y / face.height
    depth = np.sqrt(np.clip(1 - across**2 - down**2, 0.02, 1))
    light = 0.62 + 0.42 * depth + 0.16 * face.light * across - 0.05 * down
    nose_x = face.nose_width
    for side in (-1, 1):
        light -= 0.16 * spot(side * face.eye_gap, face.eye_y - 3, 19, 13)
        light -= 0.13 * spot(side * 0.75 * nose_x, face.nose_y - 8, 5, 16)
        light -= 0.45 * spot(side * 0.42 * nose_x, face.nose_y, 3.2, 2.2)
        light += 0.05 * spot(side * 38, 22, 16, 13)
    light += 0.13 * spot(0, face.nose_y - 18, 5, 26) + 0.1 * spot(0, face.nose_y - 8, 8, 6)
    light -= 0.14 * spot(0, face.nose_y + 4, nose_x, 3)
    light += 0.06 * spot(0, 84, 16, 9)
    light += 0.012 * np.clip(_texture(rng, len(axis), down=4, across=4), -2, 2)
    flesh = skin * light[..., None]
    blush = sum(spot(side * 40, 24, 18, 14) for side in (-1, 1))
    flesh += np.array([10, -6, -4]) * np.asarray(blush)[..., None]
    picture += (flesh - picture) * cover(half_width(0) - np.abs(x))

    fringe = face.hairline - y + 4 * np.cos(x / 18 + 6 * face.light) + 0.004 * x**2
    picture += (hair - picture) * cover(np.minimum(fringe, half_width(volume) - np.abs(x)))
    return np.clip(picture, 0, 255).astype(np.uint8)


def _texture(rng: np.random.Generator, size: int, down: int, across: int) -> Array:
    """Smooth noise of standard deviation about 1, its grains ``down`` x ``across`` points."""
    grains = rng.standard_normal((size // down, size // across)).astype(np.float32)
    image = Image.fromarray(grains).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float64)


def _points(x: Array, y: Array) -> list[tuple[float, float]]:
    """Face coordinates to points of the drawing."""
    return list(zip(((x + HALF) * SCALE).tolist(), ((y + HALF) * SCALE).tolist(), strict=True))


def _box(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    left, top, size = (x - radius + HALF) * SCALE, (y - radius + HALF) * SCALE, 2 * radius * SCALE
    return left, top, left + size, top + size


def _darker(colour: Colour | Array, factor: float) -> Colour:
    r, g, b = (int(value) for value in np.clip(np.array(colour) * factor, 0, 255))
    return r, g, b
