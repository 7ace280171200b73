"""Extraction of one session: sound, speech and frames of its steps."""

import errno
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from recordings import (
    KEY,
    SETTINGS,
    audio_and_face,
    extract_all,
    manifest_of,
    three_subjects,
)

from depmm.config import SAMPLE_RATE
from depmm.corpora.manifest import Manifest
from depmm.media.containers.container import probe
from depmm.media.duration import duration_s
from depmm.media.sound.audio import decode_audio
from depmm.media.video.faces import FaceFrame
from depmm.media.video.video import decode_frames
from depmm.media.warnings import MediaWarning
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.errors import StoreWriteError, writing
from depmm.store.index import read_index
from depmm.store.session_writer import SessionWriter
from depmm.store.sessions import SessionStore


@pytest.fixture
def subjects(tmp_path: Path) -> tuple[Manifest, Path]:
    return three_subjects(tmp_path / "recordings")


def test_nothing_of_a_damaged_sound_file_is_stored(subjects, tmp_path):
    _, root = subjects
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * SAMPLE_RATE)
    soundfile.write(root / "a.flac", noise, SAMPLE_RATE)
    (root / "a.flac").write_bytes((root / "a.flac").read_bytes()[:-60_000])
    steps = [
        {"audio": "a.flac", "face": "1.mp4", "start_s": start, "end_s": end}
        for start, end in ((0.0, 0.5), (0.5, 1.0), (1.0, 4.9))
    ]
    report = extract_all(manifest_of({"s1": steps}), root, tmp_path / "store")
    assert report.failures["stage"].tolist() == ["audio"]
    with SessionStore(tmp_path / "store", SETTINGS).read(*KEY) as reader:
        assert not [name for name in reader.names if name.startswith("audio")]
        assert len(reader.read_waveform(0)) == 0
        assert len(reader.face_frames(0)) == 3
    assert read_index(SessionStore(tmp_path / "store", SETTINGS))["audio_s"].tolist() == [0.0]


def test_real_recordings_are_extracted_with_aligned_faces(real_data, tmp_path):
    grid, ravdess = "grid_10spk/brbk7n.mpg", "ravdess_actor01/01-01-01-01-01-01-01.mp4"
    emodb = "emodb_4emo/Neutral/03a01Nc.wav"
    manifest = manifest_of(
        {
            "s1": [audio_and_face(grid, face_aligned=False)],
            "s2": [audio_and_face(ravdess, face_aligned=False)],
            "s3": [{"audio": emodb}],
        }
    )
    landmarker = real_data / "models" / "face_landmarker.task"
    report = extract_all(manifest, real_data, tmp_path, landmarker=landmarker)
    assert report.failures.empty, report.failures["cause"].tolist()
    store = SessionStore(tmp_path, SETTINGS)
    index = read_index(store).set_index("session")
    assert (index["n_frames_with_face"] >= 0.95 * index["n_frames"]).all()
    assert index["n_frames"].tolist()[:2] == pytest.approx([15, 17], abs=2)
    for name, file in (("s1", grid), ("s2", ravdess)):
        info = probe(real_data / file)
        assert abs(info.audio_start_s - info.video_start_s) <= 1 / info.frame_rate
        with store.read("c", f"p{name[1:]}", name) as reader:
            sound, times = reader.read_waveform(0), reader.read_tensor("face.time_s")
            assert reader.read_tensor("face.landmarks").shape == (len(times), 478, 3)
        assert abs(times[0] - info.video_start_s) < 1e-3
        assert abs(len(sound) / SAMPLE_RATE - duration_s(real_data / file)) < 0.2
    wav, _ = soundfile.read(real_data / emodb, dtype="int16")
    with store.read("c", "p3", "s3") as reader:
        np.testing.assert_array_equal(reader.read_waveform(0) * 32768, wav)


def test_steps_contain_their_sound_and_frames(corpus):
    store = SessionStore(corpus.store, SETTINGS)
    checked = 0
    for key, steps in list(corpus.manifest.steps.groupby(SESSION_KEY))[:3]:
        with store.read(*key) as reader:
            assert reader.summary["n_steps"] == len(steps) == 4
            times = reader.read_tensor("face.time_s")
            for row in steps.itertuples():
                path = corpus.recordings / row.audio
                sound = np.concatenate(list(decode_audio(path, row.start_s, row.end_s)))
                np.testing.assert_allclose(reader.read_waveform(row.step), sound, atol=1 / 32768)
                part = reader.read_waveform(row.step, 100, 50)
                np.testing.assert_array_equal(part, reader.read_waveform(row.step)[100:150])
                frames = reader.face_frames(row.step)
                assert len(frames) > 0
                assert (times[frames] >= row.start_s).all()
                assert (times[frames] < row.end_s).all()
                decoded = dict(decode_frames(path, 5.0, [(row.start_s, row.end_s)]))
                assert list(decoded) == times[frames].tolist()
                crop = reader.read_crop(frames[0]).astype(int)
                assert np.abs(crop - decoded[times[frames[0]]]).mean() < 4  # JPEG
                checked += 1
    assert checked == 12


def test_samples_are_stored_exactly_and_speech_by_step(tmp_path):
    seconds = np.arange(12 * SAMPLE_RATE) / SAMPLE_RATE
    is_speech = (seconds % 4 > 1) & (seconds % 4 < 3)  # 1-3, 5-7, 9-11 s
    sound = (np.sin(seconds * 1000) * is_speech * 32767).round().astype(np.int16)
    sound[:2] = -32768, 32767
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE)
    steps = [{"audio": "a.wav", "start_s": start, "end_s": start + 4} for start in (8.0, 0.0, 4.0)]
    assert extract_all(manifest_of({"s1": steps}), tmp_path, tmp_path / "store").failures.empty
    with SessionStore(tmp_path / "store", SETTINGS).read(*KEY) as reader:
        for step, start in ((0, 8), (1, 0), (2, 4)):
            expected = sound[start * SAMPLE_RATE : (start + 4) * SAMPLE_RATE]
            np.testing.assert_array_equal(reader.read_waveform(step) * 32768, expected)
        for step in (0, 2):
            speech = reader.read_speech(step)
            assert speech.dtype.kind == "i"  # indices into the waveform
            np.testing.assert_allclose(speech, [[SAMPLE_RATE, 3 * SAMPLE_RATE]], atol=400)
        assert len(reader.face_frames(0)) == 0


def test_segments_of_speech_are_relative_to_their_step(tmp_path):
    seconds = np.arange(6 * SAMPLE_RATE) / SAMPLE_RATE
    is_speech = ((seconds > 1) & (seconds < 2)) | ((seconds > 4) & (seconds < 5))
    sound = 0.3 * np.sin(2 * np.pi * 200 * seconds) * is_speech
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE)
    manifest = manifest_of({"s1": [{"audio": "a.wav", "start_s": 0.5}]})
    extract_all(manifest, tmp_path, tmp_path / "store")
    with SessionStore(tmp_path / "store", SETTINGS).read(*KEY) as reader:
        speech_s = reader.read_speech(0) / SAMPLE_RATE
    np.testing.assert_allclose(speech_s, [[0.5, 1.5], [3.5, 4.5]], atol=0.02)


@pytest.mark.parametrize("length_s", [2.0, 8.0, 12.0, 24.0])
def test_steps_without_a_voice_have_no_speech_whatever_their_length(tmp_path, length_s):
    sound = np.random.default_rng(0).normal(0, 0.001, 24 * SAMPLE_RATE)
    time_s = np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE
    sound[8 * SAMPLE_RATE : 16 * SAMPLE_RATE] += 0.2 * np.sin(2 * np.pi * 150 * time_s)
    soundfile.write(tmp_path / "1.wav", sound, SAMPLE_RATE)
    starts = np.arange(0, 24, length_s)
    windows = [{"audio": "1.wav", "start_s": start, "end_s": start + length_s} for start in starts]
    manifest = manifest_of({"s1": windows})
    extract_all(manifest, tmp_path, tmp_path / "store")
    with SessionStore(tmp_path / "store", SETTINGS).read(*KEY) as reader:
        speech = reader.read_tensor("audio.speech")
        of_step = reader.read_tensor("audio.speech_step")
    voiced = np.flatnonzero((starts < 16) & (starts + length_s > 8))
    assert of_step.tolist() == voiced.tolist()
    assert (speech.min(), speech.max()) == pytest.approx((8.0, 16.0), abs=0.02)


def test_any_exception_of_a_decoder_is_a_failure(subjects, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise IndexError("no such packet")

    monkeypatch.setattr("depmm.media.sound.audio.decode_audio", fail)
    report = extract_all(*subjects, tmp_path / "store")
    assert (report.extracted, report.lost) == (3, 0)  # the faces are stored
    assert report.failures["stage"].tolist() == ["audio"] * 3
    assert "IndexError: no such packet" in report.failures["cause"][0]


def test_a_disk_that_cannot_be_written_ends_the_extraction(subjects, tmp_path, monkeypatch):
    store = tmp_path / "store"

    def full(self, name, rows):
        with writing(self._folder):
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SessionWriter, "append", full)
        with pytest.raises(StoreWriteError) as info:
            extract_all(*subjects, store)
    assert (info.value.file, info.value.value) == (store, errno.ENOSPC)
    assert list(store.iterdir()) == []  # no temporary file, no table
    assert extract_all(*subjects, store).extracted == 3


def test_a_store_that_is_a_file_is_refused_before_the_first_session(subjects, tmp_path):
    store = tmp_path / "store"
    store.write_text("")
    with pytest.raises(StoreWriteError) as info:
        extract_all(*subjects, store)
    assert info.value.file == store
    assert info.value.remedy


def test_warnings_of_a_decoder_are_stored_once_per_file(subjects, tmp_path, monkeypatch):
    def decode(path, *window, warn, **choice):
        for _ in range(2):
            warn(MediaWarning("digital_silence", "2 s are silent.", "Check the microphone.", 2.0))
        yield from decode_audio(path, *window, **choice)

    monkeypatch.setattr("depmm.media.sound.audio.decode_audio", decode)
    report = extract_all(*subjects, tmp_path / "store", workers=0)
    assert report.failures.empty
    assert report.warnings["stage"].tolist() == ["audio"] * 3
    assert report.warnings["problem"].unique().tolist() == ["2 s are silent."]
    table = pd.read_parquet(tmp_path / "store" / "warnings.parquet")
    pd.testing.assert_frame_equal(table, report.warnings)
    again = extract_all(*subjects, tmp_path / "store", workers=0)
    assert again.extracted == 0
    pd.testing.assert_frame_equal(again.warnings, report.warnings)


@pytest.mark.parametrize(("n_faces", "names"), [(1, []), (2, ["several_faces"])])
def test_several_faces_in_a_frame_are_a_warning(subjects, tmp_path, monkeypatch, n_faces, names):
    class Tracker:
        def track(self, time_s, frame):
            crop = np.zeros((224, 224, 3), np.uint8)
            return FaceFrame(time_s, True, crop, n_faces=n_faces)

    monkeypatch.setattr("depmm.store.face_extraction.load_tracker", lambda *_: Tracker())
    monkeypatch.setattr("depmm.store.session_extraction.load_tracker", lambda *_: Tracker())
    model = tmp_path / "face.task"
    monkeypatch.setattr("depmm.store.extract._find_landmarker", lambda *_: model)
    manifest = manifest_of({"s1": [{"face": "1.mp4", "face_aligned": False}]})
    report = extract_all(manifest, subjects[1], tmp_path / "store", landmarker=model)
    assert report.warnings["name"].tolist() == names
