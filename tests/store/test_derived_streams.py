"""Streams of the face that are computed when they are read."""

import numpy as np
import pytest
from face_sequences import blendshape_rows, eye_landmarks, pose_matrices, write_faces
from recordings import KEY, SETTINGS, extract_all, three_subjects

from depmm.store.derived_streams import BLENDSHAPES, gaze, head_pose
from depmm.store.sessions import SessionStore

STREAMS = ["blendshapes", "gaze", "head_pose"]


def test_blendshapes_have_the_names_of_mediapipe():
    enum = pytest.importorskip("mediapipe.tasks.python.vision.face_landmarker").Blendshapes
    names = [name.replace("_", "").lower() for name in BLENDSHAPES]
    assert [member.name.replace("_", "").lower() for member in enum] == names


def test_head_pose_returns_the_angles_of_the_matrix_at_any_scale():
    angles = np.array([[10.0, 0, 0], [0, 20, 0], [0, 0, 30], [15, -40, 5]])
    for scale in (1.0, 2.5):
        rows = head_pose(pose_matrices(angles, scale))
        np.testing.assert_allclose(rows[:, :3], angles, atol=1e-4)
        np.testing.assert_array_equal(rows[:, 3:], np.tile([1, 2, -40], (4, 1)))


def test_the_signs_of_head_pose_are_those_of_the_picture():
    """The nose points to (sin, ...) in a space with x to the right and y up."""
    pitch, yaw, roll = pose_matrices(np.array([[30.0, 0, 0], [0, 30, 0], [0, 0, 30]]))[:, :3, :3]
    np.testing.assert_allclose(pitch @ [0, 0, 1], [0, 0.5, np.sqrt(0.75)], atol=1e-6)
    np.testing.assert_allclose(yaw @ [0, 0, 1], [0.5, 0, np.sqrt(0.75)], atol=1e-6)
    np.testing.assert_allclose(roll @ [1, 0, 0], [np.sqrt(0.75), 0.5, 0], atol=1e-6)


def test_a_matrix_that_is_no_rotation_has_no_angles():
    mirrored = np.eye(4, dtype=np.float32)
    mirrored[0, 0] = -1
    assert np.isnan(head_pose(np.stack([mirrored, np.zeros((4, 4), np.float32)]))).all()


def test_gaze_is_in_eye_widths_and_follows_the_tilt_of_the_head():
    landmarks = eye_landmarks(1, x=0.1, y=0.05)
    np.testing.assert_allclose(gaze(landmarks), [[0.1, 0.05]], atol=1e-6)
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = landmarks.copy()
    moved[:, :, :2] = 1.7 * landmarks[:, :, :2] @ turn.T + [30, -12]
    np.testing.assert_allclose(gaze(moved), [[0.1, 0.05]], atol=1e-5)
    assert np.isnan(gaze(np.zeros((1, 478, 3), np.float32))).all()


def test_a_session_of_tracked_faces_has_the_streams_and_stores_none(tmp_path):
    detected = np.array([True, True, False, True, True])
    tensors = {
        "face.detected": detected,
        "face.blendshapes": blendshape_rows(5, jawOpen=np.arange(5) / 10),
        "face.pose": pose_matrices(np.outer(np.arange(5), [1.0, 2, 3])),
        "face.landmarks": eye_landmarks(5, x=0.2),
    }
    store = write_faces(tmp_path, [(0, 2), (2, 5)], tensors)
    assert sorted(store.read_summary(*KEY)["streams"]) == STREAMS
    with store.read(*KEY) as reader:
        assert sorted(reader.summary["streams"]) == STREAMS
        assert not [name for name in reader.names if name.startswith("feature.")]
        assert reader.summary["streams"]["blendshapes"]["columns"] == list(BLENDSHAPES)
        for name, n_features in (("blendshapes", 52), ("head_pose", 6), ("gaze", 2)):
            assert reader.step_rows(name).tolist() == [[0, 2], [2, 5]]
            rows = reader.read_features(name, 1, 5)
            assert (rows.dtype, rows.shape) == (np.float32, (4, n_features))
            assert np.isnan(rows).all(axis=1).tolist() == [False, True, False, False]
            np.testing.assert_array_equal(rows[2], reader.read_features(name, 3, 4)[0])
        np.testing.assert_allclose(reader.read_features("blendshapes", 3, 5)[:, 25], [0.3, 0.4])
        pose = reader.read_features("head_pose", 3, 5)[:, :3]
        np.testing.assert_allclose(pose, [[3, 6, 9], [4, 8, 12]], atol=1e-4)


def test_a_stream_of_the_corpus_takes_precedence(tmp_path):
    store = write_faces(tmp_path, [(0, 2)], {})
    with store.read(*KEY) as reader:
        tensors = {name: reader.read_tensor(name) for name in reader.names}
        summary = {**reader.summary, "streams": {"gaze": {"columns": ["a"], "n_features": 1,
                   "rate_hz": 1.0, "file": "gaze.csv"}}}  # fmt: skip
    tensors |= {
        "feature.gaze.values": np.full((3, 1), 7, np.float32),
        "feature.gaze.time_s": np.arange(3.0),
        "feature.gaze.step_rows": np.array([[0, 3]]),
    }
    with store.writer() as writer:
        for name, rows in tensors.items():
            writer.append(name, rows)
        store.put(writer.save(summary), store.path(*KEY))
    with store.read(*KEY) as reader:
        assert reader.summary["streams"]["gaze"]["n_features"] == 1
        assert reader.step_rows("gaze").tolist() == [[0, 3]]
        assert reader.read_features("gaze", 0, 3).tolist() == [[7.0]] * 3
        assert sorted(reader.summary["streams"]) == STREAMS


def test_aligned_faces_have_no_streams(tmp_path):
    manifest, root = three_subjects(tmp_path / "recordings")
    extract_all(manifest, root, tmp_path / "store")
    store = SessionStore(tmp_path / "store", SETTINGS)
    with store.read("c", "p1", "s1") as reader:
        assert "face.jpeg" in reader.names
        assert list(reader.summary["streams"]) == ["voice"]  # from the sound
        assert reader.step_rows("blendshapes").tolist() == [[0, 0], [0, 0]]
