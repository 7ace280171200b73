"""Appearance and motion of simulated faces, which move with speech by a known amount.

Coordinates and lengths are pixels of the 224 x 224 image, with the origin at its centre and y
pointing down.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depmm.simulation.voice import TRACK_HZ, Utterance, smooth

FRAMES_PER_SECOND = 25
MOUTH_LIMIT = 38.0  # opening of the mouth, pixels; a wider mouth would reach the chin
MOTION_PER_UNIT = float(np.exp(-0.8))  # factor on all motion per unit of bluntness

Array = NDArray[np.float64]
Colour = tuple[int, int, int]

SKIN = np.array([[246, 214, 190], [228, 185, 150], [198, 148, 112], [150, 104, 74], [104, 70, 50]])
HAIR = np.array([[28, 24, 24], [62, 42, 30], [104, 72, 44], [176, 138, 84], [142, 140, 140]])
IRIS = np.array([[70, 46, 30], [104, 78, 44], [92, 112, 76], [84, 118, 150]])


@dataclass(frozen=True)
class Face:
    """Appearance of a subject at bluntness 0.

    Attributes
    ----------
    skin, hair, iris, background : tuple of int
        Colours, RGB.
    width, height : float
        Half width and half height of the head.
    jaw : float
        Share by which the head narrows downwards.
    eye_gap : float
        Distance from the middle of the face to the middle of an eye.
    eye_y : float
        Vertical position of the eyes.
    eye_size : float
        Half width of an eye.
    brow : float
        Thickness of the brows.
    nose_y : float
        Lower end of the nose.
    nose_width : float
        Width of the nose.
    mouth_y : float
        Vertical position of the mouth.
    mouth_width : float
        Half width of the mouth.
    lip : float
        Thickness of the lips.
    hairline : float
        Vertical position of the hairline.
    long_hair : bool
        Whether the hair reaches the shoulders.
    light : float
        Direction of the light from -1 (left) to 1 (right).
    liveliness : float
        Factor on all motion.
    """

    skin: Colour
    hair: Colour
    iris: Colour
    background: Colour
    width: float
    height: float
    jaw: float
    eye_gap: float
    eye_y: float
    eye_size: float
    brow: float
    nose_y: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip: float
    hairline: float
    long_hair: bool
    light: float
    liveliness: float


@dataclass(frozen=True)
class Motion:
    """Motion of a face, one value per video frame.

    Attributes
    ----------
    mouth : ndarray of float64, shape (T,)
        Opening of the mouth, pixels.
    brow : ndarray of float64, shape (T,)
        Raise of the brows, pixels.
    blink : ndarray of float64, shape (T,)
        Closure of the eyes from 0 (open) to 1 (closed).
    gaze : ndarray of float64, shape (T,)
        Horizontal shift of the irises, pixels.
    x, y : ndarray of float64, shape (T,)
        Shift of the head, pixels.
    roll : ndarray of float64, shape (T,)
        Rotation of the head, radians.
    """

    mouth: Array
    brow: Array
    blink: Array
    gaze: Array
    x: Array
    y: Array
    roll: Array


def sample_face(rng: np.random.Generator, gender: str) -> Face:
    """Sample a face; only hair length, brows and lips depend (in part) on the gender.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    gender : {"female", "male"}
        Gender of the subject.

    Returns
    -------
    Face
        The appearance.
    """
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


def animate(
    face: Face,
    utterance: Utterance,
    bluntness: Array,
    rng: np.random.Generator,
    mouth_size: Array | None = None,
) -> Motion:
    """Compute the motion of a face while it speaks.

    Parameters
    ----------
    face : Face
        The appearance.
    utterance : Utterance
        Spoken words; mouth and gestures follow them.
    bluntness : ndarray, shape (L,)
        Bluntness of each word. Each unit multiplies the motion of mouth, brows and head by
        `MOTION_PER_UNIT`.
    rng : Generator
        Source of randomness.
    mouth_size : ndarray, shape (L,), optional
        Factor on the opening of the mouth during each word, instead of that of the bluntness.

    Returns
    -------
    Motion
        Motion at 25 frames per second.
    """
    per_frame = TRACK_HZ // FRAMES_PER_SECOND
    opening = utterance.opening.reshape(-1, per_frame).mean(axis=1)
    frames = len(opening)
    time = (np.arange(frames) + 0.5) / FRAMES_PER_SECOND
    middle = (utterance.start_s + utterance.end_s) / 2
    nearest = np.abs(time[:, None] - middle).argmin(axis=1)
    size = face.liveliness * MOTION_PER_UNIT ** bluntness[nearest]
    size = smooth(size, 1.0)
    mouth = size if mouth_size is None else face.liveliness * smooth(mouth_size[nearest], 1.0)
    accent = rng.uniform(0.85, 1.15, len(middle))
    span = 0.4 * (utterance.end_s - utterance.start_s)
    gesture = (accent * np.exp(-(((time[:, None] - middle) / span) ** 2))).sum(axis=1)

    def sway() -> Array:
        slow: Array = smooth(rng.standard_normal(frames + 100), 0.5 * FRAMES_PER_SECOND)
        slow /= slow.std()
        return slow[50:-50]

    blink = np.zeros(frames)
    at = rng.uniform(0.5, 4)
    while at < time[-1]:
        blink = np.maximum(blink, np.exp(-(((time - at) / 0.07) ** 4)))
        at += rng.uniform(1.5, 5)
    return Motion(
        mouth=np.clip(26 * opening * mouth, 0, MOUTH_LIMIT),
        brow=np.clip(9 * gesture * size, 0, 18),
        blink=blink,
        gaze=1.2 * sway(),
        x=np.clip(2.2 * sway() * size, -8, 8),  # within the margin of the drawing
        y=np.clip((1.5 * sway() + 5 * gesture) * size, -14, 14),
        roll=np.clip(np.deg2rad(1.2) * sway() * size, -0.07, 0.07),
    )
