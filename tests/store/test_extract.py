"""extraction: what breaks is accounted for; processes, places and real recordings."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from recordings import KEY, SETTINGS, both, files, manifest_of, run, three_people, write_video

from depmm.config import SAMPLE_RATE
from depmm.corpora.manifest import Manifest
from depmm.media.container import probe
from depmm.store import extract as extract_module
from depmm.store.index import read_index
from depmm.store.session_extraction import extract_session
from depmm.store.sessions import SessionStore


@pytest.fixture
def people(tmp_path: Path) -> tuple[Manifest, Path]:
    return three_people(tmp_path / "recordings")


# ---- what breaks -------------------------------------------------------------------------------


def test_broken_recordings_are_rows_and_do_no_harm(people, tmp_path):
    _, root = people
    whole = root / "1.mp4"
    (root / "cut.mp4").write_bytes(whole.read_bytes()[:-2000])
    write_video(root / "mute.mp4", sound=False)
    manifest = manifest_of(
        {
            "s1": [both("1.mp4")],
            "s2": [both("cut.mp4")],
            "s3": [both("mute.mp4")],
            "s4": [both("nowhere.mp4")],
            "s5": [both("1.mp4", end_s=1.0), both("1.mp4", start_s=5.0, end_s=6.0)],
        }
    )
    store = tmp_path / "store"
    report = run(manifest, root, store)
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
    assert "step 1 starts at 5.000 s, after the end of the sound" in causes["s5", "audio"]
    run(manifest_of({"s1": [both("1.mp4")]}), root, tmp_path / "alone")
    assert files(tmp_path / "alone").items() <= files(store).items()
    with SessionStore(store, SETTINGS).read("c", "p5", "s5") as reader:  # step 0 is unharmed
        assert len(reader.read_waveform(0)) == SAMPLE_RATE
        assert [len(reader.face_frames(step)) for step in (0, 1)] == [5, 0]

    shutil.copy(whole, root / "nowhere.mp4")
    write_video(root / "mute.mp4", seconds=1.5)
    again = run(manifest, root, store)
    assert (again.extracted, again.skipped, again.lost) == (3, 1, 1)
    assert sorted(set(again.failures["session"])) == ["s2", "s5"]


def test_damage_in_the_middle_leaves_no_trace_of_the_sound(people, tmp_path):
    _, root = people
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * SAMPLE_RATE)
    soundfile.write(root / "a.flac", noise, SAMPLE_RATE)
    (root / "a.flac").write_bytes((root / "a.flac").read_bytes()[:-60_000])
    steps = [
        {"audio": "a.flac", "face": "1.mp4", "start_s": start, "end_s": end}
        for start, end in ((0.0, 0.5), (0.5, 1.0), (1.0, 4.9))
    ]
    report = run(manifest_of({"s1": steps}), root, tmp_path / "store")
    assert report.failures["stage"].tolist() == ["audio"]
    with SessionStore(tmp_path / "store", SETTINGS).read(*KEY) as reader:
        assert not [name for name in reader.names if name.startswith("audio")]
        assert len(reader.read_waveform(0)) == 0
        assert len(reader.face_frames(0)) == 3
    assert read_index(SessionStore(tmp_path / "store", SETTINGS))["audio_s"].tolist() == [0.0]


# ---- many processes, many places ---------------------------------------------------------------


def test_processes_share_the_sessions_out(people, tmp_path, monkeypatch):
    manifest, root = people
    run(manifest, root, tmp_path / "whole")
    store, shares = tmp_path / "store", []
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        before = set(files(store))
        shares.append(run(manifest, root, store).extracted)
        assert len(set(files(store)) - before) == shares[rank]
    assert shares == [2, 1]
    assert files(store) == files(tmp_path / "whole")
    assert len(read_index(SessionStore(store, SETTINGS))) == 3


def test_process_that_is_slow_to_write_does_not_lose_the_others(people, tmp_path, monkeypatch):
    put, store, late = SessionStore.put, tmp_path / "store", []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")

    def slow_put(self, local, path):
        if path.endswith("index.parquet") and not late:
            late.append(path)
            with monkeypatch.context() as other:  # it finishes while this one is about to write
                other.setenv("RANK", "1")
                run(*people, store)
        put(self, local, path)

    monkeypatch.setattr(SessionStore, "put", slow_put)
    run(*people, store)
    assert late
    assert len(read_index(SessionStore(store, SETTINGS))) == 3


@pytest.mark.slow
def test_workers_change_nothing(people, tmp_path):
    (people[1] / "3.mp4").unlink()
    one = run(*people, tmp_path / "one")
    two = run(*people, tmp_path / "two", workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    pd.testing.assert_frame_equal(one.failures, two.failures)


def ended_by_second(job):
    """What a crashing decoder does to the process that reads with it."""
    if job.key[2] == "s2":
        os._exit(11)
    return extract_session(job)


@pytest.mark.slow
def test_a_recording_that_ends_its_process_is_a_failure(people, tmp_path, monkeypatch):
    monkeypatch.setattr(extract_module, "extract_session", ended_by_second)
    report = run(*people, tmp_path / "store", workers=2)
    assert (report.extracted, report.lost) == (2, 1)
    row = report.failures.iloc[0]
    assert (row["session"], row["stage"], row["file"]) == ("s2", "session", "2.mp4")
    assert "crashed" in row["cause"]
    monkeypatch.undo()  # the next run tries again
    again = run(*people, tmp_path / "store")
    assert (again.extracted, again.skipped, len(again.failures)) == (1, 2, 0)


def test_remote_store(people, tmp_path):
    url = f"memory://{tmp_path.name}/store"
    report = run(*people, url)
    assert (report.extracted, report.lost, len(report.failures)) == (3, 0, 0)
    assert run(*people, url).skipped == 3
    run(*people, tmp_path / "local")
    remote, local = SessionStore(url, SETTINGS), SessionStore(tmp_path / "local", SETTINGS)
    pd.testing.assert_frame_equal(read_index(remote), read_index(local))
    with remote.read(*KEY) as a, local.read(*KEY) as b:
        np.testing.assert_array_equal(a.read_waveform(1), b.read_waveform(1))
        np.testing.assert_array_equal(a.read_crop(0), b.read_crop(0))


# ---- real recordings ---------------------------------------------------------------------------


def test_real_recordings(real_data, tmp_path):
    grid, ravdess = "grid_10spk/brbk7n.mpg", "ravdess_actor01/01-01-01-01-01-01-01.mp4"
    emodb = "emodb_4emo/Neutral/03a01Nc.wav"
    manifest = manifest_of(
        {
            "s1": [both(grid, face_aligned=False)],
            "s2": [both(ravdess, face_aligned=False)],
            "s3": [{"audio": emodb}],
        }
    )
    landmarker = real_data / "models" / "face_landmarker.task"
    report = run(manifest, real_data, tmp_path, landmarker=landmarker)
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
        assert abs(len(sound) / SAMPLE_RATE - info.duration_s) < 0.2
    wav, _ = soundfile.read(real_data / emodb, dtype="int16")
    with store.read("c", "p3", "s3") as reader:
        np.testing.assert_array_equal(reader.read_waveform(0) * 32768, wav)
