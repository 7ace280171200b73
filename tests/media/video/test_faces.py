"""The face tracker on real and artificial frames."""

import builtins
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from media_files import GRID, RAVDESS

from depmm.config import CROP_SIZE
from depmm.media.errors import MediaError
from depmm.media.video import face_alignment, faces
from depmm.media.video.faces import FaceTracker
from depmm.media.video.video import decode_frames


@pytest.fixture(scope="module")
def tracker(real_data: Path) -> Iterator[FaceTracker]:
    with FaceTracker(real_data / "models" / "face_landmarker.task", 0.5) as tracker:
        yield tracker


@pytest.mark.parametrize("name", [RAVDESS, GRID])
def test_a_face_is_detected_and_aligned(real_data: Path, tracker: FaceTracker, name: str) -> None:
    time_s, frame = next(decode_frames(real_data / name, 1, [(1.0, 2.0)]))
    face = tracker.track(time_s, frame)
    assert face.detected
    assert face.time_s == time_s
    assert face.landmarks.shape == (478, 3)
    assert face.blendshapes.shape == (52,)
    assert face.blendshapes.min() >= 0
    assert face.blendshapes.max() <= 1
    rotation = face.pose[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
    np.testing.assert_array_equal(face.pose[3], [0, 0, 0, 1])
    for array in (face.landmarks, face.blendshapes, face.pose):
        assert array.dtype == np.float32
    assert face.crop is not None
    assert face.crop.shape == (CROP_SIZE, CROP_SIZE, 3)
    assert face.crop.dtype == np.uint8
    # in the crop the eyes are at the positions of the template, and brow and chin are inside
    again = tracker.track(0.0, face.crop)
    eyes = [
        again.landmarks[list(ids), :2].mean(axis=0) for ids in face_alignment.TEMPLATE_LANDMARKS[:2]
    ]
    assert np.linalg.norm(np.array(eyes) - face_alignment.TEMPLATE[:2], axis=1).max() < 2
    assert again.landmarks[:, :2].min() > 0
    assert again.landmarks[:, :2].max() < CROP_SIZE
    # the result depends on this frame only
    same = tracker.track(time_s, frame)
    np.testing.assert_allclose(same.landmarks, face.landmarks, atol=1e-2)  # pixels
    assert np.abs(same.crop.astype(int) - face.crop).max() <= 1


def test_the_largest_of_two_faces_is_tracked_in_a_strided_view(
    real_data: Path, tracker: FaceTracker
) -> None:
    _, frame = next(decode_frames(real_data / RAVDESS, 1))
    face = frame[:, 340:940]
    two = np.full((720, 1200, 3), 90, np.uint8)
    two[:, 600:] = face
    two[100:460, 100:400] = cv2.resize(face, (300, 360), interpolation=cv2.INTER_AREA)
    single, of_two = tracker.track(0.0, face), tracker.track(0.0, two)
    shift = of_two.landmarks[:, :2] - single.landmarks[:, :2]
    np.testing.assert_allclose(shift, np.tile([600, 0], (478, 1)), atol=8)
    assert (single.n_faces, of_two.n_faces) == (1, 2)
    copied = tracker.track(0.0, face.copy())  # the strided view is read as the same image
    np.testing.assert_allclose(copied.landmarks, single.landmarks, atol=1e-2)


def test_features_of_frames_without_a_face_are_zero(tracker: FaceTracker) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    for frame in (np.zeros((48, 64, 3), np.uint8), noise):
        face = tracker.track(2.0, frame)
        assert not face.detected
        assert face.crop is None
        assert not face.landmarks.any()
        assert (face.landmarks.shape, face.blendshapes.shape) == ((478, 3), (52,))


def test_a_damaged_model_or_missing_system_library_is_an_error(
    tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.task").write_bytes(b"not a bundle")
    with pytest.raises(MediaError) as info:
        FaceTracker(tmp_path / "bad.task", 0.5)
    assert info.value.file == tmp_path / "bad.task"
    real_import = builtins.__import__

    def without_gl(name: str, *args: object, **rest: object) -> object:
        if name.startswith("mediapipe"):
            raise ImportError("libEGL.so.1: cannot open shared object file")
        return real_import(name, *args, **rest)

    monkeypatch.setattr(builtins, "__import__", without_gl)
    with pytest.raises(MediaError) as info:
        FaceTracker(real_data / "models" / "face_landmarker.task", 0.5)
    assert "libEGL.so.1" in info.value.problem
    assert faces.SYSTEM_LIBRARIES in str(info.value.remedy)


def test_log_lines_are_suppressed_and_errors_are_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with faces.suppress_mediapipe_log():
        os.write(2, b"W0000 00:00:1.2 3 x.cc:4] a warning\nE0000 00:00:1.2 3 x.cc:4] an error\n")
    assert capfd.readouterr().err == "E0000 00:00:1.2 3 x.cc:4] an error\n"


def test_the_end_of_a_process_prints_nothing(real_data: Path) -> None:
    model = real_data / "models" / "face_landmarker.task"
    program = (
        "from pathlib import Path\n"
        "from depmm.media.video.faces import FaceTracker\n"
        f"tracker = FaceTracker(Path({str(model)!r}), 0.5)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
