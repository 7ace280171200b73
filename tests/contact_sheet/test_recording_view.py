"""What a page shows of a session: times, peaks, crops and places of problems."""

import numpy as np
import pytest
from recordings import write_session

from depmm.contact_sheet.recording_view import draw_recording, file_offsets, view_recording
from depmm.media.video.face_alignment import encode_jpeg
from depmm.pages.timeline import Span
from depmm.store.session_file import SessionReader

RATE = 16_000


def sound_tensors(sound: np.ndarray, speech: list[tuple[float, float]]) -> dict[str, np.ndarray]:
    return {
        "audio.waveform": sound.astype(np.int16),
        "audio.step_samples": np.array([[0, len(sound)]]),
        "audio.speech": np.array(speech, np.float32).reshape(-1, 2),
        "audio.speech_step": np.zeros(len(speech), np.int32),
    }


def face_tensors(detected: list[bool], x_cm: list[float]) -> dict[str, np.ndarray]:
    """Make five frames per second; a grey crop where a face is detected."""
    grey = encode_jpeg(np.full((224, 224, 3), 51, np.uint8), 90)
    jpegs = [np.frombuffer(grey if found else b"", np.uint8) for found in detected]
    pose = np.tile(np.eye(4, dtype=np.float32), (len(detected), 1, 1))
    pose[:, 0, 3] = x_cm
    pose[~np.array(detected)] = 0
    return {
        "face.jpeg": np.concatenate(jpegs),
        "face.jpeg_offset": np.cumsum([0, *map(len, jpegs)]),
        "face.time_s": np.arange(len(detected)) / 5,
        "face.step_frames": np.array([[0, len(detected)]]),
        "face.detected": np.array(detected),
        "face.confidence": np.array(detected, np.float32),
        "face.pose": pose,
    }


def view(folder, tensors, **summary):
    path = write_session(
        folder / "s.safetensors", tensors, n_steps=1, step_start_s=[0.0], **summary
    )
    with SessionReader(path) as reader:
        return view_recording(reader)


def test_sound_is_reduced_to_peaks_with_speech_and_places_of_clipping_and_silence(tmp_path):
    sound = np.full(4 * RATE, 3277)
    sound[RATE : 2 * RATE] = 32767
    sound[2 * RATE : 3 * RATE] = 0
    summary = {"seconds": 4.0, "clipped": 0.25, "silent_s": 1.0, "snr_db": 40.0}
    found = view(tmp_path, sound_tensors(sound, [(0.5, 2.0), (1.5, 2.5)]), sound=summary)
    assert found.duration_s == 4.0
    np.testing.assert_allclose(found.peaks[[0, 100, 299]], [0.1, 1.0, 0.1], atol=1e-3)
    assert found.speech_s == 2.0
    for name, start_s in (("Clipped", 1.0), ("Silent", 2.0)):
        (span,) = found.places[name]
        assert (span.start_s, span.end_s) == pytest.approx((start_s, start_s + 1.0), abs=0.02)
    html = draw_recording(found).render("x")
    assert html.count('class="problem"') == 2


def test_a_peak_at_full_scale_is_not_clipping_and_a_pause_is_not_silence(tmp_path):
    sound = np.full(RATE, 32767)
    sound[4000:9000] = 0
    summary = {"seconds": 1.0, "clipped": 0.0, "silent_s": 0.0, "snr_db": 40.0}
    assert view(tmp_path, sound_tensors(sound, []), sound=summary).places == {}


def test_faces_are_shown_where_they_are_and_their_jumps_are_counted(tmp_path):
    detected = [True] * 10 + [False] * 10
    found = view(
        tmp_path, face_tensors(detected, [0.0, 0.0, 20.0, 20.0, 0.0] + [0.0] * 15),
        n_frames=20, n_frames_with_face=10,
    )  # fmt: skip
    shown = [picture.jpeg is not None for picture in found.pictures]
    assert shown == sorted(shown, reverse=True)
    assert 6 <= sum(shown) <= 8
    (missing,) = found.places["No face"]
    assert (missing.start_s, missing.end_s) == pytest.approx((2.0, 4.0))
    assert found.n_jumps == 2
    assert found.brightness == pytest.approx(0.2, abs=0.01)
    assert (found.yaw, found.pitch) == (0.0, 0.0)


def test_a_session_of_streams_has_no_sound_and_no_faces(tmp_path):
    found = view(tmp_path, {}, n_frames=0)
    assert (found.peaks, found.pictures, found.duration_s) == (None, [], 0.0)
    assert "0 s" in draw_recording(found).render("x")


def test_several_files_of_a_session_follow_each_other(tmp_path):
    sound = np.repeat([3277, 16384], RATE)
    tensors = sound_tensors(sound, [(0.25, 0.75), (0.5, 1.0)])
    tensors["audio.step_samples"] = np.array([[0, RATE], [RATE, 2 * RATE]])
    tensors["audio.speech_step"] = np.int32([0, 1])
    tensors |= face_tensors([True] * 5 + [False] * 5, [0.0] * 5 + [50.0] * 5)
    tensors["face.time_s"] = np.tile(np.arange(5) / 5, 2)
    tensors["face.step_frames"] = np.array([[0, 5], [5, 10]])
    path = write_session(
        tmp_path / "s.safetensors", tensors, n_steps=2, step_start_s=[0.0, 0.0], n_frames=10
    )
    with SessionReader(path) as reader:
        found = view_recording(reader)
    assert (found.duration_s, found.n_files, found.n_jumps) == (2.0, 2, 0)
    assert [(step.start_s, step.end_s) for step in found.steps] == [(0.0, 1.0), (1.0, 2.0)]
    assert [(span.start_s, span.end_s) for span in found.speech] == [(0.25, 0.75), (1.5, 2.0)]
    np.testing.assert_allclose(found.peaks[[0, 299]], [0.1, 0.5], atol=1e-3)
    (missing,) = found.places["No face"]
    assert (missing.start_s, missing.end_s) == pytest.approx((1.0, 2.0))


def test_the_files_of_a_session_follow_each_other_on_the_axis():
    windows = [Span(start, start + 2.0) for start in (0.0, 1.0, 2.0)]
    files = np.array([0, 0, 0, 1, 1, 1])
    assert file_offsets([*windows, *windows], files).tolist() == [0.0] * 3 + [4.0] * 3
    assert file_offsets([], np.zeros(0, np.int64)).tolist() == []


def test_steps_of_one_file_may_begin_at_the_same_time(tmp_path):
    tensors = sound_tensors(np.repeat([3277, 16384], RATE), [])
    tensors["audio.step_samples"] = np.array([[0, RATE], [0, 2 * RATE]])
    path = write_session(
        tmp_path / "s.safetensors", tensors, n_steps=2, step_start_s=[0.0, 0.0], n_frames=0,
        step_file=[0, 0],
    )  # fmt: skip
    with SessionReader(path) as reader:
        found = view_recording(reader)
    assert (found.n_files, found.duration_s) == (1, 2.0)
