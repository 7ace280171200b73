"""Statistics of videos with known frames."""

from pathlib import Path

import av
import numpy as np
import pytest
from recordings import write_video

from depmm.media.errors import MediaError
from depmm.media.measurement import RecordingUse, measure_recording
from depmm.media.video.face_landmarker import find_local_landmarker
from depmm.media.video.faces import FaceTracker
from depmm.media.video.frame_statistics import measure_video
from depmm.media.video.video import decode_frames


def write_frames(path: Path, frames: list[np.ndarray], rate: int = 10) -> Path:
    """Write RGB frames nearly without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "1"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv444p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_brightness_contrast_and_border_of_known_frames(tmp_path: Path) -> None:
    frame = np.full((48, 64, 3), 60, np.uint8)
    frame[:, 32:] = 200
    path = write_frames(tmp_path / "a.mp4", [frame] * 20)
    found = measure_video(path, 2.0).statistics
    assert found["brightness"] == pytest.approx(130 / 255, abs=0.01)
    assert found["contrast"] == pytest.approx(70 / 255, abs=0.01)
    assert found["black_border"] == 0
    assert "face_share" not in found
    green = np.zeros((48, 64, 3), np.uint8)
    green[:, 16:, 1] = 255
    found = measure_video(write_frames(tmp_path / "b.mp4", [green] * 20), 2.0).statistics
    assert found["brightness"] == pytest.approx(0.587 * 0.75, abs=0.01)  # ITU-R BT.601
    assert found["black_border"] == pytest.approx(0.25, abs=0.02)
    # three of the five frames, at 0.2, 0.6, 1.0, 1.4 and 1.8 s, are not black
    both = write_frames(tmp_path / "c.mp4", [0 * frame] * 10 + [frame] * 10)
    assert measure_video(both, 2.0).statistics["brightness"] == pytest.approx(
        0.6 * 130 / 255, abs=0.01
    )


def test_black_frames_are_no_border(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4")  # the first frame of every second is black
    assert measure_video(path, 2.0).statistics["black_border"] == 0
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(MediaError) as info:
        measure_video(path, 2.0)
    assert info.value.file == path


def test_format_of_a_video(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.mkv", [np.full((48, 64, 3), 60, np.uint8)] * 25, rate=25)
    found = measure_recording(path, RecordingUse(face=True)).statistics
    assert (found["container"], found["video_codec"]) == ("matroska", "h264")
    assert (found["width"], found["height"], found["frame_rate"]) == (64, 48, 25)
    assert found["length_s"] == pytest.approx(1, abs=0.01)
    assert found["bit_rate"] == pytest.approx(8 * path.stat().st_size, rel=0.01)
    assert "audio_codec" not in found


def test_place_and_size_of_a_real_face(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "grid_10spk" / "brbk7n.mpg"
    landmarker = real_data / "models" / "face_landmarker.task"
    if not (source.is_file() and landmarker.is_file()):
        pytest.skip(f"{source} or {landmarker} does not exist")
    (frame,) = [frame for _, frame in decode_frames(source, 1.0, [(0.0, 0.5)])]
    height, width = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
    frame = frame[:height, :width]
    empty = np.full_like(frame, 90)
    shifted = np.full((height * 3 // 2 // 2 * 2, width * 2, 3), 90, np.uint8)
    shifted[-height:, -width:] = frame
    with FaceTracker(landmarker, 0.5) as tracker:
        whole, moved, half, none = (
            measure_video(write_frames(tmp_path / f"{name}.mp4", frames), 2.0, tracker).statistics
            for name, frames in (
                ("whole", [frame] * 20),
                ("moved", [shifted] * 20),
                ("half", [frame] * 12 + [empty] * 8),
                ("none", [empty] * 20),
            )
        )
    assert 0.3 < whole["face_x"] < 0.7
    assert 0.3 < whole["face_size"] < 0.7
    tall, wide = shifted.shape[0] / height, shifted.shape[1] / width
    assert moved["face_x"] == pytest.approx((wide - 1 + whole["face_x"]) / wide, abs=0.02)
    assert moved["face_y"] == pytest.approx((tall - 1 + whole["face_y"]) / tall, abs=0.02)
    assert moved["face_size"] == pytest.approx(whole["face_size"] / tall, abs=0.02)
    assert (whole["face_share"], half["face_share"], none["face_share"]) == (1, 0.6, 0)
    assert half["face_x"] == pytest.approx(whole["face_x"], abs=0.01)
    assert "face_x" not in none


def test_the_face_model_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("DEPMM_FACE_LANDMARKER", str(tmp_path / "missing.task"))
    assert find_local_landmarker() is None
