"""Measures of the face of a step: blendshapes, blinks, gaze and head movement.

All measures are computed from the frames that show a face, sorted by time; frames of one time count
once. A change is measured between two neighbouring frames whose distance is at most 1.5 times the
sampling interval of the step, so that a gap without a face is not a movement.

The left and right blendshape of one movement are averaged, because most movements of interest are
symmetric; the 52 blendshapes one by one are the stream ``blendshapes``. Blendshapes are
estimates in [0, 1] of a network, not calibrated intensities of action units. Velocities and speeds
contain the jitter of the tracker, which grows with the sampling rate: compare only recordings that
were sampled at the same rate (``face.frames_per_second``).

References
----------
Cohn et al., "Detecting depression from facial actions and vocal prosody", ACII 2009: means,
variability and velocity of facial movement. Girard et al., "Nonverbal social withdrawal in
depression: Evidence from manual and automatic analyses", Image and Vision Computing 32(10), 2014:
smiles, lip corner depression and head movement.
"""

import numpy as np

from depmm.measures.measure import Measure
from depmm.store.derived_streams import BLENDSHAPES
from depmm.store.session_file import SessionReader

SMILE = 0.5  # blendshape score from which a frame shows a smile
CLOSED = 0.5  # score of eye closure from which the eyes count as closed
OPEN = 0.35  # score below which they are open again: jitter around one limit is not several blinks
MAX_BLINK_S = 0.5  # a longer closure is not a blink
# A blink closes the eyes for 0.1 to 0.4 s (Caffier et al., European Journal of Applied Physiology
# 89, 2003: 0.2 s on average, most of which is opening and closing), so that at fewer frames per
# second many blinks fall between two frames.
MIN_BLINK_RATE_HZ = 15.0
# median intervals between two sampled frames that are neighbours: 25 of 30 frames per second are
# one or two frames of the video apart, and a video that stands still leaves a larger gap
MAX_GAP = 2.5

# behaviour -> its blendshapes, group and what it shows (action units of the Facial Action Coding
# System, after the names of ARKit's blendshapes)
_MOVEMENTS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "brow_lower": (("browDownLeft", "browDownRight"), "brows", "lowered brows (AU 4)"),
    "brow_raise": (
        ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), "brows", "raised brows (AU 1, 2)",
    ),
    "eye_closure": (("eyeBlinkLeft", "eyeBlinkRight"), "eyes", "closed eyes (AU 43, 45)"),
    "eye_squint": (("eyeSquintLeft", "eyeSquintRight"), "eyes", "tightened lids (AU 6, 7)"),
    "smile": (("mouthSmileLeft", "mouthSmileRight"), "mouth", "raised mouth corners (AU 12)"),
    "frown": (("mouthFrownLeft", "mouthFrownRight"), "mouth", "lowered mouth corners (AU 15)"),
    "lip_press": (("mouthPressLeft", "mouthPressRight"), "mouth", "pressed lips (AU 24)"),
    "lip_stretch": (("mouthStretchLeft", "mouthStretchRight"), "mouth", "stretched lips (AU 20)"),
    "upper_lip_raise": (
        ("mouthUpperUpLeft", "mouthUpperUpRight"), "mouth", "raised upper lip (AU 10)",
    ),
    "jaw_open": (("jawOpen",), "jaw", "open jaw (AU 26)"),
}  # fmt: skip
_COLUMNS = {
    name: [BLENDSHAPES.index(shape) for shape in shapes]
    for name, (shapes, _, _) in _MOVEMENTS.items()
}
_ANGLES = ("pitch", "yaw", "roll")


def _list_measures() -> tuple[Measure, ...]:
    measures = []
    for name, (shapes, group, meaning) in _MOVEMENTS.items():
        score = f"{meaning}, mean of {' and '.join(shapes)}" if len(shapes) > 1 else meaning
        for statistic, unit, formula in (
            ("mean", "1", "mean over the frames"),
            ("std", "1", "standard deviation over the frames (n - 1)"),
            ("velocity", "1/s", "mean absolute change between neighbouring frames per second"),
        ):
            measures.append(
                Measure(f"{name}_{statistic}", "face", group, unit, f"{score}: {formula}")
            )
    for name, group, unit, description in (
        (
            "smile_share", "mouth", "1",
            f"Share of the frames in which the mean of mouthSmileLeft and -Right is >= {SMILE}",
        ),
        (
            "blink_rate", "eyes", "1/min",
            f"Closures of the eyes (mean of eyeBlinkLeft and -Right >= {CLOSED}, until < {OPEN}) "
            f"of at most {MAX_BLINK_S} s, per minute with a face; missing below "
            f"{MIN_BLINK_RATE_HZ:g} frames per second, at which many blinks fall between frames",
        ),
        ("gaze_x_mean", "gaze", "eye widths", "Mean horizontal gaze, positive: image right"),
        ("gaze_y_mean", "gaze", "eye widths", "Mean vertical gaze, positive: up"),
        (
            "gaze_dispersion", "gaze", "eye widths",
            "Root mean square distance of the gaze from its mean; frames with closed eyes are left "
            "out in all measures of gaze",
        ),
        *(
            (f"head_{angle}_{statistic}", "head", "degrees", f"{words} of the {angle} of the head")
            for angle in _ANGLES
            for statistic, words in (("mean", "Mean"), ("std", "Standard deviation (n - 1)"))
        ),
        (
            "head_speed", "head", "degrees/s",
            "Mean angle of the rotation between neighbouring frames per second",
        ),
        (
            "head_path", "head", "degrees",
            "Sum of the angles of the rotations between neighbouring frames; grows with the length "
            "of the step",
        ),
        ("face_share", "tracking", "1", "Share of the sampled frames in which a face was found"),
    ):  # fmt: skip
        measures.append(Measure(name, "face", group, unit, description))
    return tuple(measures)


FACE_MEASURES: tuple[Measure, ...] = _list_measures()


def measure_face(reader: SessionReader, step: int) -> np.ndarray:
    """Measure the face of a step.

    Parameters
    ----------
    reader : SessionReader
        The session.
    step : int
        Index of the step.

    Returns
    -------
    ndarray of float64, shape (K,)
        The values of `FACE_MEASURES`; NaN where a measure is undefined, and everywhere if the step
        has no video or the recording shows aligned faces.
    """
    if "face.landmarks" not in reader.names:
        return np.full(len(FACE_MEASURES), np.nan)
    first, end = reader.step_frames[step]
    return measure_frames(
        reader.read_tensor("face.time_s")[first:end],
        reader.read_features("blendshapes", first, end),
        reader.read_features("head_pose", first, end),
        reader.read_features("gaze", first, end),
    )


def measure_frames(
    time_s: np.ndarray, blendshapes: np.ndarray, head_pose: np.ndarray, gaze: np.ndarray
) -> np.ndarray:
    """Measure the face in some frames, which are NaN where they show no face.

    Parameters
    ----------
    time_s : ndarray, shape (T,)
        Time of each frame, in any order.
    blendshapes : ndarray, shape (T, 52)
        Stream ``blendshapes``.
    head_pose : ndarray, shape (T, 6)
        Stream ``head_pose``.
    gaze : ndarray, shape (T, 2)
        Stream ``gaze``.

    Returns
    -------
    ndarray of float64, shape (K,)
        As :func:`measure_face`.
    """
    values = dict.fromkeys((measure.name for measure in FACE_MEASURES), np.nan)
    time_s, order = np.unique(time_s, return_index=True)
    if len(time_s) == 0:
        return np.array(list(values.values()))
    spacing = np.diff(time_s)
    regular = spacing <= MAX_GAP * np.median(spacing) if len(spacing) else np.zeros(0, bool)
    interval = _mean(spacing[regular])
    seen = np.flatnonzero(np.isfinite(blendshapes[order]).all(axis=1))
    values["face_share"] = len(seen) / len(time_s)
    time_s, order = time_s[seen], order[seen]
    if len(seen) == 0:
        return np.array(list(values.values()))
    shapes = blendshapes[order].astype(np.float64)
    scores = {name: shapes[:, columns].mean(axis=1) for name, columns in _COLUMNS.items()}
    elapsed = np.diff(time_s)
    near = (np.diff(seen) == 1) & regular[seen[:-1]]
    for name, score in scores.items():
        values[f"{name}_mean"] = score.mean()
        values[f"{name}_std"] = _std(score)
        values[f"{name}_velocity"] = _mean(np.abs(np.diff(score))[near] / elapsed[near])
    values["smile_share"] = (scores["smile"] >= SMILE).mean()
    closure = scores["eye_closure"]
    if interval <= 1 / MIN_BLINK_RATE_HZ * (1 + 1e-3):  # times of frames are rounded
        minutes = len(seen) * interval / 60
        values["blink_rate"] = count_blinks(time_s, closure, near) / minutes
    looking = gaze[order][closure < CLOSED].astype(np.float64)
    looking = looking[np.isfinite(looking).all(axis=1)]
    if len(looking):
        center = looking.mean(axis=0)
        values["gaze_x_mean"], values["gaze_y_mean"] = center
        spread = ((looking - center) ** 2).sum(axis=1)
        values["gaze_dispersion"] = np.sqrt(spread.mean()) if len(looking) > 1 else np.nan
    values |= _measure_head(head_pose[order, :3].astype(np.float64), elapsed, near)
    return np.array(list(values.values()))


def count_blinks(time_s: np.ndarray, closure: np.ndarray, near: np.ndarray) -> int:
    """Count short closures of the eyes.

    A closure begins in a frame with a score of at least `CLOSED` and ends before the next frame
    with a score below `OPEN`. It counts if the frames from the one before to the one after it are
    neighbours, and its first and last frame are at most `MAX_BLINK_S` apart.

    Parameters
    ----------
    time_s : ndarray, shape (T,)
        Times of the frames with a face, ascending.
    closure : ndarray, shape (T,)
        Score of eye closure.
    near : ndarray of bool, shape (T - 1,)
        Whether each frame and the next one are neighbours.

    Returns
    -------
    int
        Number of blinks.
    """
    blinks, start = 0, None
    for frame, score in enumerate(closure):
        if start is not None and not near[frame - 1]:
            start = None  # the end was not seen
        if start is None:
            # the beginning must be seen: the frame before shows open eyes
            if score >= CLOSED and frame > 0 and near[frame - 1] and closure[frame - 1] < CLOSED:
                start = frame
        elif score < OPEN:
            blinks += bool(time_s[frame - 1] - time_s[start] <= MAX_BLINK_S)
            start = None
    return blinks


def _measure_head(angles: np.ndarray, elapsed: np.ndarray, near: np.ndarray) -> dict[str, float]:
    """Measure pitch, yaw and roll (T, 3), and the rotations between neighbouring frames."""
    valid = np.isfinite(angles).all(axis=1)
    values = {}
    for index, angle in enumerate(_ANGLES):
        values[f"head_{angle}_mean"] = _mean(angles[valid, index])
        values[f"head_{angle}_std"] = _std(angles[valid, index])
    moved = near & valid[1:] & valid[:-1]
    turned = _rotations_between(np.nan_to_num(angles))[moved]
    values["head_speed"] = _mean(turned / elapsed[moved])
    values["head_path"] = float(turned.sum()) if len(turned) else np.nan
    return values


def _rotations_between(angles: np.ndarray) -> np.ndarray:
    """Return the angle of the rotation from each pose (T, 3) to the next one, degrees (T - 1,)."""
    from scipy.spatial.transform import Rotation

    # as in depmm.store.derived_streams.head_pose: R = Ry(yaw) Rx(-pitch) Rz(roll)
    rotation = Rotation.from_euler("YXZ", angles[:, [1, 0, 2]] * [1, -1, 1], degrees=True)
    turned: np.ndarray = np.degrees((rotation[:-1].inv() * rotation[1:]).magnitude())
    return turned


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else np.nan
