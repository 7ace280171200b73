"""Measures of the face: hand values, and what they do not depend on."""

import numpy as np
import pytest
from face_sequences import blendshape_rows, eye_landmarks, pose_matrices, write_faces
from recordings import KEY

from depmm.measures.face import FACE_MEASURES, count_blinks, measure_face, measure_frames
from depmm.media.video.video import sample_frames
from depmm.store.derived_streams import gaze, head_pose

NAMES = [measure.name for measure in FACE_MEASURES]


def measured(
    n_frames: int = 0, rate: float = 10.0, angles=None, eyes=None, times=None, seen=None, **scores
) -> dict[str, float]:
    """Measure synthetic frames; ``scores`` are blendshapes."""
    arrays = [np.arange(n_frames) / rate if times is None else np.asarray(times)]
    shapes = blendshape_rows(n_frames, **scores)
    if seen is not None:
        shapes[~np.asarray(seen)] = np.nan
    arrays += [
        shapes,
        head_pose(pose_matrices(np.zeros((n_frames, 3)) if angles is None else angles)),
    ]
    arrays += [gaze(eye_landmarks(n_frames) if eyes is None else eyes)]
    return dict(zip(NAMES, measure_frames(*arrays), strict=True))


def pulses(n_frames: int, *frames: int) -> np.ndarray:
    """Return a score that is 0.9 in the given frames and 0.1 elsewhere."""
    score = np.full(n_frames, 0.1, np.float32)
    score[list(frames)] = 0.9
    return score


def test_hand_values_of_a_movement():
    left = np.array([0.0, 0.2, 0.4, 0.2])
    values = measured(4, rate=10.0, mouthSmileLeft=left, mouthSmileRight=left + 0.4)
    smile = left + 0.2  # 0.2, 0.4, 0.6, 0.4
    assert values["smile_mean"] == pytest.approx(0.4)
    assert values["smile_std"] == pytest.approx(smile.std(ddof=1))
    assert values["smile_velocity"] == pytest.approx(2.0)  # 0.2 in 0.1 s, three times
    assert values["smile_share"] == 0.25
    assert values["frown_mean"] == values["frown_std"] == values["frown_velocity"] == 0
    assert values["face_share"] == 1


def test_hand_values_of_head_movement():
    angles = np.array([[0.0, 0, 0], [3, 0, 0], [3, 0, 0], [3, 4, 0]])
    values = measured(4, rate=5.0, angles=angles)
    np.testing.assert_allclose(values["head_path"], 3 + 0 + 4 * np.cos(np.radians(3)), rtol=1e-3)
    assert values["head_speed"] == pytest.approx(values["head_path"] / 3 * 5)
    assert values["head_pitch_mean"] == pytest.approx(2.25, abs=1e-4)
    assert values["head_pitch_std"] == pytest.approx(1.5, abs=1e-4)
    assert values["head_yaw_mean"] == pytest.approx(1, abs=1e-4)
    assert values["head_roll_std"] == pytest.approx(0, abs=1e-4)


def test_hand_values_of_gaze_leave_out_closed_eyes():
    eyes = np.concatenate([eye_landmarks(1, x) for x in (-0.1, 0.1, 0.4)])
    values = measured(3, eyes=eyes, eyeBlinkLeft=[0, 0, 0.8], eyeBlinkRight=[0, 0, 0.8])
    assert values["gaze_x_mean"] == pytest.approx(0, abs=1e-6)
    assert values["gaze_dispersion"] == pytest.approx(0.1, abs=1e-6)


def test_blinks_are_counted_per_minute_of_face():
    score = pulses(300, 20, 21, 22, 100, 200, 201)  # 10 s at 30 frames per second
    values = measured(300, rate=30.0, eyeBlinkLeft=score, eyeBlinkRight=score)
    assert values["blink_rate"] == pytest.approx(18)
    half = np.arange(300) < 150
    values = measured(300, rate=30.0, seen=half, eyeBlinkLeft=score, eyeBlinkRight=score)
    assert values["blink_rate"] == pytest.approx(24)
    assert values["face_share"] == 0.5


@pytest.mark.parametrize(("rate", "known"), [(5.0, False), (14.0, False), (15.0, True), (30, True)])
def test_the_blink_rate_needs_enough_frames_per_second(rate, known):
    score = pulses(90, 40)
    values = measured(90, rate=rate, eyeBlinkLeft=score, eyeBlinkRight=score)
    assert np.isfinite(values["blink_rate"]) == known
    assert np.isfinite(values["eye_closure_mean"])


@pytest.mark.parametrize(
    ("score", "gap_after", "blinks"),
    [
        (pulses(40, 10, 11), None, 1),
        (pulses(40, *range(10, 32)), None, 0),  # 0.7 s: closed eyes
        (pulses(40, 0, 1), None, 0),  # the beginning was not seen
        (pulses(40, 38, 39), None, 0),  # the end was not seen
        (pulses(40, 10, 11), 10, 0),  # no face during the closure
        (np.array([0.1, 0.6, 0.4, 0.6, 0.4, 0.1]), None, 1),  # jitter around one limit
        (np.full(5, 0.45), None, 0),
    ],
)
def test_only_short_closures_that_were_seen_whole_are_blinks(score, gap_after, blinks):
    near = np.ones(len(score) - 1, bool)
    if gap_after is not None:
        near[gap_after] = False
    assert count_blinks(np.arange(len(score)) / 30, score, near) == blinks


def test_a_gap_without_a_face_is_not_a_movement():
    angles = np.array([[0.0, 0, 0], [1, 0, 0], [0, 0, 0], [50, 0, 0], [51, 0, 0]])
    seen = [True, True, False, True, True]
    values = measured(5, rate=10.0, angles=angles, seen=seen, jawOpen=[0, 0.1, 0, 0.9, 1.0])
    assert values["head_path"] == pytest.approx(2, abs=1e-3)
    assert values["head_speed"] == pytest.approx(10, abs=1e-3)
    assert values["jaw_open_velocity"] == pytest.approx(1.0, abs=1e-5)


def test_measures_do_not_depend_on_the_order_of_frames_or_on_repeated_ones():
    rng = np.random.default_rng(0)
    n_frames, rate = 60, 30.0
    arrays = [
        np.arange(n_frames) / rate,
        rng.random((n_frames, 52)).astype(np.float32),
        head_pose(pose_matrices(rng.normal(0, 5, (n_frames, 3)))),
        rng.normal(0, 0.1, (n_frames, 2)).astype(np.float32),
    ]
    arrays[1][rng.random(n_frames) < 0.2] = np.nan
    expected = measure_frames(*arrays)
    assert np.isfinite(expected).all()
    order = rng.permutation(np.r_[np.arange(n_frames), [3, 3, 17]])
    np.testing.assert_allclose(measure_frames(*[rows[order] for rows in arrays]), expected)
    later = [arrays[0] + 1000, *arrays[1:]]
    np.testing.assert_allclose(measure_frames(*later), expected, rtol=1e-6)


def test_frames_without_a_face_change_only_the_share_of_faces():
    shapes = {"jawOpen": np.linspace(0, 1, 20), "eyeBlinkLeft": pulses(20, 5)}
    values = measured(20, rate=30.0, **shapes)
    padded = {name: np.r_[rows, np.zeros(20)] for name, rows in shapes.items()}
    longer = measured(40, rate=30.0, seen=np.arange(40) < 20, **padded)
    assert longer.pop("face_share") == values.pop("face_share") / 2
    np.testing.assert_allclose(list(longer.values()), list(values.values()), atol=1e-9)


@pytest.mark.parametrize(
    ("seen", "share", "defined"),
    [([], np.nan, set()), ([False] * 4, 0, set()), ([False, True, False, False], 0.25, {"mean"})],
)
def test_measures_without_enough_frames_are_missing(seen, share, defined):
    values = measured(len(seen), seen=np.array(seen, bool))
    np.testing.assert_equal(values.pop("face_share"), share)
    values.pop("smile_share")
    known = {name for name, value in values.items() if np.isfinite(value)}
    assert known == {name for name in values if name.split("_")[-1] in defined}


def test_a_step_is_measured_from_its_own_frames(tmp_path):
    jaw = np.array([0.1, 0.2, 0.3, 0.9, 0.8, 0.7], np.float32)
    store = write_faces(
        tmp_path, [(0, 3), (3, 6), (6, 6)], {"face.blendshapes": blendshape_rows(6, jawOpen=jaw)}
    )
    with store.read(*KEY) as reader:
        rows = np.array([measure_face(reader, step) for step in range(3)])
    np.testing.assert_allclose(rows[:2, NAMES.index("jaw_open_mean")], [0.2, 0.8], rtol=1e-6)
    np.testing.assert_allclose(rows[:2, NAMES.index("jaw_open_velocity")], [1.0, 1.0], rtol=1e-5)
    assert np.isnan(rows[2]).all()


@pytest.mark.parametrize("rate", [15, 20, 25, 30])
@pytest.mark.parametrize("source", [25.0, 29.97, 30.0, 50.0, 60.0])
def test_blinks_and_movements_are_those_of_any_frame_rate_of_the_video(source, rate):
    frames = np.arange(round(60 * source)) / source
    sampled = sample_frames(((time_s, None) for time_s in frames), rate, [(0.0, 60.0)])
    times = np.array([time_s for time_s, _ in sampled])
    since_onset = (times - 1) % 3  # 20 blinks of 0.25 s
    closed = 0.5 - 0.5 * np.cos(2 * np.pi * np.minimum(since_onset / 0.25, 1))
    angles = np.zeros((len(times), 3))
    angles[:, 1] = 10 * np.sin(np.pi * times)  # 40 degrees in 2 s
    scores = {"eyeBlinkLeft": closed, "eyeBlinkRight": closed}
    values = measured(len(times), times=times, angles=angles, **scores)
    assert values["blink_rate"] == pytest.approx(20, rel=0.01)
    assert values["head_path"] == pytest.approx(1200, rel=0.01)
    assert values["head_speed"] == pytest.approx(20, rel=0.01)


def test_a_video_that_stands_still_is_not_a_movement():
    times = np.r_[0:30, 45:75] / 30.0
    angles = np.zeros((60, 3))
    angles[30:, 0] = 5
    values = measured(60, times=times, angles=angles)
    assert values["head_path"] == pytest.approx(0, abs=1e-3)
