"""Extraction of all sessions: resumed runs, several processes, failures, remote stores."""

import errno
import os
import shutil
import signal
import threading
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
    session_files,
    three_subjects,
    write_video,
)

from depmm.config import SAMPLE_RATE
from depmm.corpora.manifest import Manifest
from depmm.media.sound import audio
from depmm.shards import parse_shard
from depmm.store import extract as extraction
from depmm.store.index import read_failures, read_index
from depmm.store.session_extraction import extract_session
from depmm.store.sessions import SessionStore


@pytest.fixture
def subjects(tmp_path: Path) -> tuple[Manifest, Path]:
    return three_subjects(tmp_path / "recordings")


def test_broken_recordings_are_failures_and_the_others_are_stored(subjects, tmp_path):
    _, root = subjects
    intact = root / "1.mp4"
    (root / "cut.mp4").write_bytes(intact.read_bytes()[:-2000])
    write_video(root / "mute.mp4", sound=False)
    manifest = manifest_of(
        {
            "s1": [audio_and_face("1.mp4")],
            "s2": [audio_and_face("cut.mp4")],
            "s3": [audio_and_face("mute.mp4")],
            "s4": [audio_and_face("nowhere.mp4")],
            "s5": [
                audio_and_face("1.mp4", end_s=1.0),
                audio_and_face("1.mp4", start_s=5.0, end_s=6.0),
            ],
        }
    )
    store = tmp_path / "store"
    report = extract_all(manifest, root, store)
    assert (report.extracted, report.lost) == (3, 2)
    table = report.failures
    pd.testing.assert_frame_equal(pd.read_parquet(store / "failures.parquet"), table)
    assert sorted(zip(table["session"], table["stage"], table["file"], strict=True)) == [
        ("s2", "audio", "cut.mp4"),
        ("s2", "face", "cut.mp4"),
        ("s3", "audio", "mute.mp4"),
        ("s4", "audio", "nowhere.mp4"),
        ("s4", "face", "nowhere.mp4"),
        ("s5", "audio", "1.mp4"),
        ("s5", "face", "1.mp4"),
    ]
    causes = table.set_index(["session", "stage"])["cause"]
    assert "no audio track" in causes["s3", "audio"]
    assert "does not exist" in causes["s4", "face"]
    assert "1 of 2 steps starts after the end of the sound (2.0 s)" in causes["s5", "audio"]
    assert table["remedy"].ne("").all()
    extract_all(manifest_of({"s1": [audio_and_face("1.mp4")]}), root, tmp_path / "single")
    assert session_files(tmp_path / "single").items() <= session_files(store).items()
    with SessionStore(store, SETTINGS).read("c", "p5", "s5") as reader:  # step 0 is stored
        assert len(reader.read_waveform(0)) == SAMPLE_RATE
        assert [len(reader.face_frames(step)) for step in (0, 1)] == [5, 0]

    shutil.copy(intact, root / "nowhere.mp4")
    write_video(root / "mute.mp4", seconds=1.5)
    again = extract_all(manifest, root, store)
    assert (again.extracted, again.skipped, again.lost) == (3, 1, 1)
    assert sorted(set(again.failures["session"])) == ["s2", "s5"]


def tables_of(store: Path) -> list[pd.DataFrame]:
    """Read the three tables, sorted."""
    names = ("index", "failures", "warnings")
    tables = [pd.read_parquet(store / f"{name}.parquet") for name in names]
    keys = ["session", "stage"]
    return [
        table.sort_values([key for key in keys if key in table], ignore_index=True)
        for table in tables
    ]


@pytest.mark.parametrize("order", ["123", "312"])
def test_the_parts_give_the_same_store_as_one_run(subjects, tmp_path, order):
    manifest, root = subjects
    (root / "2.mp4").unlink()
    whole, store = tmp_path / "whole", tmp_path / "store"
    extract_all(manifest, root, whole)
    counts = []
    for part in order:
        report = extract_all(manifest, root, store, shard=parse_shard(f"{part}/3"))
        counts.append((report.extracted, report.lost, len(report.failures)))
    assert sorted(counts) == [(0, 1, 2), (1, 0, 0), (1, 0, 0)]
    assert session_files(store) == session_files(whole)
    expected = read_index(SessionStore(whole, SETTINGS))
    index = read_index(SessionStore(store, SETTINGS)).sort_values("session", ignore_index=True)
    pd.testing.assert_frame_equal(index, expected)
    assert read_failures(SessionStore(store, SETTINGS))["session"].tolist() == ["s2", "s2"]
    assert len(list(store.glob("index.*.parquet"))) == 3
    again = extract_all(manifest, root, store)  # joins the tables
    assert (again.extracted, again.skipped, again.lost) == (0, 2, 1)
    assert not list(store.glob("*-of-*"))
    for joined, single in zip(tables_of(store), tables_of(whole), strict=True):
        pd.testing.assert_frame_equal(joined, single)


def test_a_part_replaces_the_rows_of_its_sessions_only(subjects, tmp_path):
    manifest, root = subjects
    hidden = (root / "2.mp4").rename(tmp_path / "2.mp4")
    store = tmp_path / "store"
    assert extract_all(manifest, root, store).lost == 1
    hidden.rename(root / "2.mp4")
    (root / "1.mp4").unlink()  # of another part, which has not run yet
    assert extract_all(manifest, root, store, shard=parse_shard("2/3")).extracted == 1
    assert read_failures(SessionStore(store, SETTINGS)).empty
    assert len(read_index(SessionStore(store, SETTINGS))) == 3
    assert extract_all(manifest, root, store, shard=parse_shard("1/3")).lost == 1
    assert set(read_failures(SessionStore(store, SETTINGS))["session"]) == {"s1"}
    assert read_index(SessionStore(store, SETTINGS))["session"].tolist() == ["s3", "s2"]


@pytest.mark.slow
def test_the_store_does_not_depend_on_the_number_of_workers(subjects, tmp_path):
    (subjects[1] / "3.mp4").unlink()
    own = extract_all(*subjects, tmp_path / "own")
    for workers in (1, 2):
        store = tmp_path / f"{workers}"
        report = extract_all(*subjects, store, workers=workers)
        assert session_files(tmp_path / "own") == session_files(store)
        pd.testing.assert_frame_equal(own.failures, report.failures)


def extract_or_crash(job, progress):
    """End the process at the second session, as a crashing decoder does."""
    if job.key[2] == "s2":
        os.kill(os.getpid(), signal.SIGSEGV)
    return extract_session(job, progress)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_recording_that_crashes_its_process_is_a_failure(
    subjects, tmp_path, monkeypatch, workers
):
    monkeypatch.setattr(extraction, "extract_session", extract_or_crash)
    report = extract_all(*subjects, tmp_path / "store", workers=workers)
    assert (report.extracted, report.lost) == (2, 1)
    row = report.failures.iloc[0]
    assert (row["session"], row["stage"], row["file"]) == ("s2", "session", "2.mp4")
    assert "SIGSEGV" in row["cause"]
    monkeypatch.undo()  # the next run retries it
    again = extract_all(*subjects, tmp_path / "store")
    assert (again.extracted, again.skipped, len(again.failures)) == (1, 2, 0)


def extract_or_hang(job, progress):
    """Do not return from the second session, as a disk that does not answer."""
    if job.key[2] == "s2":
        threading.Event().wait()
    return extract_session(job, progress)


@pytest.mark.slow
def test_a_recording_that_blocks_its_process_is_a_failure(subjects, tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "extract_session", extract_or_hang)
    monkeypatch.setattr(extraction, "NO_PROGRESS_LIMIT_S", 10.0)
    report = extract_all(*subjects, tmp_path / "store", workers=2)
    assert (report.extracted, report.lost) == (2, 1)
    assert report.failures["session"].tolist() == ["s2"]
    assert "10 s" in report.failures["cause"][0]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EIO, "Input/output error"), MemoryError(), RecursionError("too deep")],
    ids=["disk", "memory", "bug"],
)
def test_any_error_of_reading_is_a_failure(subjects, tmp_path, monkeypatch, error):
    decode = audio.decode_audio

    def failing(path, *window, **choice):
        if path.name == "2.mp4":
            raise error
        return decode(path, *window, **choice)

    monkeypatch.setattr(audio, "decode_audio", failing)
    report = extract_all(*subjects, tmp_path / "store")
    assert report.extracted == 3  # the faces of the second session are stored
    row = report.failures.iloc[0]
    assert (row["session"], row["stage"], row["file"]) == ("s2", "audio", "2.mp4")
    assert row["remedy"]
    assert len(report.failures) == 1


def test_a_remote_store_equals_a_local_one(subjects, tmp_path):
    url = f"memory://{tmp_path.name}/store"
    report = extract_all(*subjects, url)
    assert (report.extracted, report.lost, len(report.failures)) == (3, 0, 0)
    assert extract_all(*subjects, url).skipped == 3
    extract_all(*subjects, tmp_path / "local")
    remote, local = SessionStore(url, SETTINGS), SessionStore(tmp_path / "local", SETTINGS)
    pd.testing.assert_frame_equal(read_index(remote), read_index(local))
    with remote.read(*KEY) as a, local.read(*KEY) as b:
        np.testing.assert_array_equal(a.read_waveform(1), b.read_waveform(1))
        np.testing.assert_array_equal(a.read_crop(0), b.read_crop(0))


def test_a_second_run_extracts_nothing(subjects, tmp_path):
    store = tmp_path / "store"
    assert extract_all(*subjects, store).extracted == 3
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.safetensors")}
    again = extract_all(*subjects, store)
    assert (again.extracted, again.skipped, again.lost) == (0, 3, 0)
    assert before == {path: path.stat().st_mtime_ns for path in store.rglob("*.safetensors")}


@pytest.mark.parametrize("when", ["between sessions", "before the rename"])
def test_an_interrupted_run_leaves_complete_files_and_is_resumed(
    subjects, tmp_path, monkeypatch, when
):
    extract_all(*subjects, tmp_path / "whole")
    store, calls = tmp_path / "store", []

    def stop_at_the_second(call):
        def stopped(*arguments):
            calls.append(arguments)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return call(*arguments)

        return stopped

    target = (extraction, "extract_session") if when == "between sessions" else (Path, "replace")
    with monkeypatch.context() as patch:
        patch.setattr(*target, stop_at_the_second(getattr(*target)))
        with pytest.raises(KeyboardInterrupt):
            extract_all(*subjects, store)
    stored = session_files(store)
    assert len(stored) == 1
    assert stored.items() <= session_files(tmp_path / "whole").items()
    again = extract_all(*subjects, store)
    assert (again.extracted, again.skipped) == (2, 1)
    assert session_files(store) == session_files(tmp_path / "whole")


def test_changed_step_times_and_recordings_are_extracted_again(subjects, tmp_path):
    manifest, root = subjects
    store = tmp_path / "store"
    extract_all(manifest, root, store)
    manifest.steps.loc[0, "end_s"] = 0.7
    write_video(root / "2.mp4", seconds=1.8)
    again = extract_all(manifest, root, store)
    assert (again.extracted, again.skipped) == (2, 1)
    with SessionStore(store, SETTINGS).read(*KEY) as reader:
        assert len(reader.read_waveform(0)) == 0.5 * SAMPLE_RATE


def test_another_sound_of_the_same_size_is_extracted_again_and_a_copy_is_not(tmp_path):
    manifest = manifest_of({"s1": [{"audio": "1.wav"}]})
    root, store = tmp_path / "recordings", tmp_path / "store"
    root.mkdir()
    tone = np.sin(np.arange(SAMPLE_RATE) / 10) / 2
    soundfile.write(root / "1.wav", tone, SAMPLE_RATE)
    extract_all(manifest, root, store)
    copied = tmp_path / "copied"
    copied.mkdir()
    shutil.copyfile(root / "1.wav", copied / "1.wav")
    os.utime(copied / "1.wav", (0, 0))
    assert extract_all(manifest, copied, store).skipped == 1
    soundfile.write(root / "1.wav", tone[::-1], SAMPLE_RATE)
    os.utime(root / "1.wav", (1, 1))
    assert extract_all(manifest, root, store).extracted == 1
    with SessionStore(store, SETTINGS).read(*KEY) as reader:
        np.testing.assert_allclose(reader.read_waveform(0), tone[::-1], atol=1e-4)
