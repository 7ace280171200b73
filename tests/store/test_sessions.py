"""store: what is written is what was recorded, and an extraction resumes where it stopped."""

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from recordings import KEY, SETTINGS, both, files, manifest_of, run, three_people, write_video
from safetensors.numpy import load_file, save_file

from depmm.config import SAMPLE_RATE, AudioExtraction, ExtractConfig, FaceExtraction
from depmm.corpora.manifest import SESSION_KEY, Manifest
from depmm.media.audio import decode_audio
from depmm.media.video import decode_frames
from depmm.store import extract as extraction
from depmm.store.errors import StoreError
from depmm.store.index import read_index
from depmm.store.session_file import SessionReader, SessionWriter
from depmm.store.sessions import SessionStore


@pytest.fixture
def people(tmp_path: Path) -> tuple[Manifest, Path]:
    return three_people(tmp_path / "recordings")


# ---- files -------------------------------------------------------------------------------------


def test_file_is_what_the_library_writes(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        "audio.waveform": rng.integers(-9, 9, 1001).astype(np.int16),
        "audio.speech": rng.random((5, 2)).astype(np.float32),
        "audio.speech_step": np.arange(5, dtype=np.int32),
        "face.jpeg": rng.integers(0, 255, 333).astype(np.uint8),
        "face.time_s": rng.random(7),
        "face.detected": rng.random(7) < 0.5,
        "face.landmarks": np.zeros((0, 478, 3), np.float32),
        "numbers": np.array([[0, 3], [3, 7]]),
        "face.pose": rng.random((7, 4, 4)).astype(np.float32),
    }
    summary = {"steps": 2, "name": "Ünïcode"}
    with SessionWriter() as writer:
        for name, rows in tensors.items():
            assert writer.append(name, rows[:2]) == min(2, len(rows))
            assert writer.append(name, rows[2:]) == writer.rows(name) == len(rows)
        path = shutil.copy(writer.save(summary), tmp_path / "mine.safetensors")
    metadata = {"depmm": json.dumps(summary, sort_keys=True)}
    save_file(tensors, tmp_path / "library.safetensors", metadata)
    assert path.stat().st_size == (tmp_path / "library.safetensors").stat().st_size
    read = load_file(path)
    with SessionReader(path) as reader:
        assert reader.summary == summary
        for name, rows in tensors.items():
            assert read[name].dtype == rows.dtype
            np.testing.assert_array_equal(read[name], rows)
            np.testing.assert_array_equal(reader.read_tensor(name), rows)


def test_rewind_forgets_what_came_after_the_mark():
    with SessionWriter() as writer:
        writer.append("a", np.arange(6).reshape(3, 2))
        mark = writer.mark()
        writer.append("a", np.ones((5, 2), int))
        writer.append("b", np.ones(4, np.float32))
        writer.rewind(mark)
        writer.append("a", np.full((1, 2), 9))
        content = load_file(writer.save({}))
    assert content.keys() == {"a"}
    np.testing.assert_array_equal(content["a"], [[0, 1], [2, 3], [4, 5], [9, 9]])


def test_writer_holds_no_tensors():
    block = np.zeros((1000, 100), np.float32)  # 0.4 MB
    tracemalloc.start()
    with SessionWriter() as writer:
        for _ in range(100):
            writer.append("face.landmarks", block)
        size = writer.save({}).stat().st_size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 40e6
    assert peak < 4e6


# ---- content -----------------------------------------------------------------------------------


def test_steps_hold_their_sound_and_their_frames(corpus):
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
                numbers = reader.face_frames(row.step)
                assert len(numbers) > 0
                assert (times[numbers] >= row.start_s).all()
                assert (times[numbers] < row.end_s).all()
                picture = dict(decode_frames(path, 5.0, [(row.start_s, row.end_s)]))
                assert list(picture) == times[numbers].tolist()
                crop = reader.read_crop(numbers[0]).astype(int)
                assert np.abs(crop - picture[times[numbers[0]]]).mean() < 4  # JPEG
                checked += 1
    assert checked == 12


def test_sixteen_bits_are_kept_and_speech_is_found_in_its_step(tmp_path):
    seconds = np.arange(12 * SAMPLE_RATE) / SAMPLE_RATE
    speaks = (seconds % 4 > 1) & (seconds % 4 < 3)  # 1-3, 5-7, 9-11 s
    sound = (np.sin(seconds * 1000) * speaks * 32767).round().astype(np.int16)
    sound[:2] = -32768, 32767
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE)
    steps = [{"audio": "a.wav", "start_s": start, "end_s": start + 4} for start in (8.0, 0.0, 4.0)]
    assert run(manifest_of({"s1": steps}), tmp_path, tmp_path / "store").failures.empty
    with SessionStore(tmp_path / "store", SETTINGS).read(*KEY) as reader:
        for step, start in ((0, 8), (1, 0), (2, 4)):
            expected = sound[start * SAMPLE_RATE : (start + 4) * SAMPLE_RATE]
            np.testing.assert_array_equal(reader.read_waveform(step) * 32768, expected)
        for step in (0, 2):
            speech = reader.read_speech(step)
            assert speech.dtype.kind == "i"  # they cut the waveform
            np.testing.assert_allclose(speech, [[SAMPLE_RATE, 3 * SAMPLE_RATE]], atol=400)
        assert len(reader.face_frames(0)) == 0


# ---- resume ------------------------------------------------------------------------------------


def test_second_run_extracts_nothing(people, tmp_path):
    store = tmp_path / "store"
    assert run(*people, store).extracted == 3
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.safetensors")}
    again = run(*people, store)
    assert (again.extracted, again.skipped, again.lost) == (0, 3, 0)
    assert before == {path: path.stat().st_mtime_ns for path in store.rglob("*.safetensors")}


@pytest.mark.parametrize("place", ["between sessions", "before the rename"])
def test_interrupted_run_leaves_whole_files_and_goes_on(people, tmp_path, monkeypatch, place):
    run(*people, tmp_path / "whole")
    store, calls = tmp_path / "store", []

    def stop_at_the_second(call):
        def stopped(*arguments):
            calls.append(arguments)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return call(*arguments)

        return stopped

    target = (extraction, "extract_session") if place == "between sessions" else (Path, "replace")
    with monkeypatch.context() as patch:
        patch.setattr(*target, stop_at_the_second(getattr(*target)))
        with pytest.raises(KeyboardInterrupt):
            run(*people, store)
    left = files(store)
    assert len(left) == 1
    assert left.items() <= files(tmp_path / "whole").items()
    again = run(*people, store)
    assert (again.extracted, again.skipped) == (2, 1)
    assert files(store) == files(tmp_path / "whole")


@pytest.mark.parametrize(
    "damage", [b"", b"\0" * 50, b"\xff" * 50, "half"], ids=["empty", "zeros", "ones", "half"]
)
def test_damaged_file_is_reported_and_made_again(people, tmp_path, damage):
    store = tmp_path / "store"
    run(*people, store)
    whole = files(store)
    path = Path(SessionStore(store, SETTINGS).path(*KEY))
    path.write_bytes(path.read_bytes()[:-1000] if damage == "half" else damage)
    for access in ("read", "read_summary"):
        with pytest.raises(StoreError) as info:
            getattr(SessionStore(store, SETTINGS), access)(*KEY)
        assert info.value.file == path
    again = run(*people, store)
    assert (again.extracted, again.skipped) == (1, 2)
    assert files(store) == whole


def test_changed_times_and_replaced_recordings_are_extracted_again(people, tmp_path):
    manifest, root = people
    store = tmp_path / "store"
    run(manifest, root, store)
    manifest.steps.loc[0, "end_s"] = 0.7
    write_video(root / "2.mp4", seconds=1.8)
    again = run(manifest, root, store)
    assert (again.extracted, again.skipped) == (2, 1)
    with SessionStore(store, SETTINGS).read(*KEY) as reader:
        assert len(reader.read_waveform(0)) == 0.5 * SAMPLE_RATE


def test_session_that_broke_later_is_not_used_any_more(people, tmp_path):
    manifest, root = people
    run(manifest, root, tmp_path / "store")
    (root / "2.mp4").unlink()
    again = run(manifest, root, tmp_path / "store")
    assert (again.extracted, again.skipped, again.lost) == (0, 2, 1)
    assert read_index(SessionStore(tmp_path / "store", SETTINGS))["session"].tolist() == [
        "s1",
        "s3",
    ]


def test_other_settings_and_other_corpora_live_beside(people, tmp_path):
    manifest, root = people
    store = tmp_path / "store"
    run(manifest, root, store)
    first = files(store)
    faster = ExtractConfig(face=FaceExtraction(frames_per_second=10.0))
    assert run(manifest, root, store, settings=faster).extracted == 3
    other = manifest_of({"s9": [both("9.mp4")]})
    assert len(run(other, root, store).failures) == 2
    assert run(manifest, root, store).failures.empty
    assert first.items() < files(store).items()
    assert len(read_index(SessionStore(store, SETTINGS))) == 3
    assert len(read_index(SessionStore(store, faster))) == 3
    assert pd.read_parquet(store / "failures.parquet")["session"].tolist() == ["s9", "s9"]
    unknown = SessionStore(store, ExtractConfig(audio=AudioExtraction(silence_db=-20.0)))
    with pytest.raises(StoreError) as info:
        unknown.read(*KEY)
    assert (info.value.subject, info.value.session) == ("p1", "s1")
