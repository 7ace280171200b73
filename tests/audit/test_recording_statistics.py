"""Statistics of the files of a manifest: missing, empty, unreadable and duplicate files."""

import errno
from functools import partial
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pandas as pd
import pytest
from audit_manifests import balanced_manifest, find_one, run_audit
from recordings import write_video

from depmm.audit.recording_statistics import compute_recording_statistics
from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import Manifest, concat_manifests
from depmm.corpora.spec import load_spec
from depmm.media.errors import MediaError
from depmm.media.measurement import RecordingMeasurement, RecordingUse, measure_recording
from depmm.media.warnings import MediaWarning
from depmm.schemas.recordings import FACE_COLUMNS

SPECS = Path(__file__).parents[2] / "data_specs"


def measure_text(path: Path, use: RecordingUse) -> RecordingMeasurement:
    """Measure a text as if it were a recording of one second per letter."""
    text = path.read_text()
    if text == "broken":
        raise MediaError(path.name, "broken.", "Copy it again.")
    border = {"black_border": 0.25} if use.face else {}
    return RecordingMeasurement({"length_s": float(len(text)), **border})


def write_files(root: Path, manifest: Manifest, **texts: str) -> Path:
    """Write a different text for each audio file; ``texts`` are those of single subjects."""
    root.mkdir(exist_ok=True)
    for name in manifest.steps["audio"].unique():
        (root / name).write_text(name)
    for subject, text in texts.items():
        (root / f"{subject}-1.wav").write_text(text)
    return root


def test_files_with_the_same_content_are_grouped(tmp_path):
    manifest = balanced_manifest()
    root = write_files(tmp_path, manifest, P02="same", P05="same", P06="emas")
    statistics = compute_recording_statistics([(manifest, root)], measure_text)
    assert statistics.duplicates == ((("toy", "P02-1.wav"), ("toy", "P05-1.wav")),)
    finding = find_one(manifest, "duplicate_files", recordings=statistics)
    assert finding.severity == "error"
    assert finding.subjects == (("toy", "P02"), ("toy", "P05"))
    assert finding.files == statistics.duplicates[0]


def test_copies_within_a_session_are_not_a_leak(tmp_path):
    manifest = balanced_manifest()
    manifest.steps["face"] = manifest.steps["audio"].str.replace("wav", "mp4")
    root = write_files(tmp_path, manifest)
    for name in manifest.steps["face"].unique():
        (root / name).write_text(name.replace("mp4", "wav"))
    statistics = compute_recording_statistics([(manifest, root)], measure_text)
    assert len(statistics.duplicates) == 16
    assert run_audit(manifest, recordings=statistics).passed
    assert statistics.table.loc[("toy", "P00-1.mp4"), "length_s"] == len("P00-1.wav")
    assert set(statistics.table["black_border"].dropna().index) == {
        ("toy", name) for name in manifest.steps["face"]
    }


def test_feature_files_are_compared_but_not_decoded(tmp_path):
    recorded = balanced_manifest()
    features = pd.DataFrame(
        [
            {**key, "name": "landmarks", "modality": "face", "path": f"{key['session']}.npy",
             "reader": "{}"}
            for key in recorded.steps[["corpus", "subject", "session", "step"]].to_dict("records")
        ]
    )  # fmt: skip
    manifest = Manifest(
        recorded.sessions, recorded.steps.assign(audio=None, end_s=np.nan), features
    )
    for name in features["path"].unique():
        (tmp_path / name).write_text("same" if name[:3] in ("P02", "P05") else f"x{name}")
    (tmp_path / "P07-1.npy").unlink()

    def fail(path: Path, use: RecordingUse) -> RecordingMeasurement:
        raise AssertionError(f"{path} is not a recording")

    statistics = compute_recording_statistics([(manifest, tmp_path)], fail)
    assert statistics.missing == (("toy", "P07-1.npy"),)
    assert statistics.duplicates == ((("toy", "P02-1.npy"), ("toy", "P05-1.npy")),)
    features.loc[features["subject"] == "P03", "path"] = "P04-1.npy"
    assert find_one(manifest, "shared_files").subjects == (("toy", "P03"), ("toy", "P04"))


def test_duplicates_are_found_across_corpora(tmp_path):
    one, two = balanced_manifest(corpus="one"), balanced_manifest(corpus="two")
    roots = [
        write_files(tmp_path / "one", one, P02="same"),
        write_files(tmp_path / "two", two, P05="same"),
    ]
    for name in two.steps["audio"].unique():
        if "P05" not in name:
            (roots[1] / name).write_text("two " + name)
    statistics = compute_recording_statistics(
        list(zip((one, two), roots, strict=True)), measure_text
    )
    finding = find_one(concat_manifests([one, two]), "duplicate_files", recordings=statistics)
    assert finding.subjects == (("one", "P02"), ("two", "P05"))


def test_missing_empty_and_unreadable_files(tmp_path):
    manifest = balanced_manifest()
    root = write_files(tmp_path, manifest, P03="", P04="broken")
    (root / "P01-1.wav").unlink()
    statistics = compute_recording_statistics([(manifest, root)], measure_text)
    assert statistics.missing == (("toy", "P01-1.wav"), ("toy", "P03-1.wav"))
    assert statistics.unreadable == {("toy", "P04-1.wav"): "broken."}
    assert len(statistics.table) == 13


@pytest.mark.parametrize(
    "error", [RuntimeError("graph broke"), cv2.error("bad frame"), KeyError("x"), MemoryError()]
)
def test_any_exception_of_a_file_is_an_entry_of_the_unreadable_files(tmp_path, error):
    manifest = balanced_manifest()
    root = write_files(tmp_path, manifest)

    def measure(path: Path, use: RecordingUse) -> RecordingMeasurement:
        if path.name == "P02-1.wav":
            raise error
        return measure_text(path, use)

    statistics = compute_recording_statistics([(manifest, root)], measure)
    assert set(statistics.unreadable) == {("toy", "P02-1.wav")}
    if str(error):
        reason = statistics.unreadable["toy", "P02-1.wav"]
        assert type(error).__name__ in reason
        assert str(error) in reason
    assert len(statistics.table) == 15
    finding = find_one(manifest, "unreadable_files", recordings=statistics)
    assert finding.files == (("toy", "P02-1.wav"),)


def test_a_file_that_the_system_cannot_read_does_not_end_the_comparison(tmp_path, monkeypatch):
    manifest = balanced_manifest()
    root = write_files(tmp_path, manifest, P02="same", P05="same", P06="same")
    open_file = Path.open

    def fail(path: Path, mode: str = "r") -> IO[Any]:
        if path.name == "P05-1.wav" and mode == "rb":
            raise OSError(errno.EIO, "Input/output error")
        return open_file(path, mode)

    def measure(path: Path, use: RecordingUse) -> RecordingMeasurement:
        return RecordingMeasurement({"length_s": 1.0})

    monkeypatch.setattr(Path, "open", fail)
    statistics = compute_recording_statistics([(manifest, root)], measure)
    assert statistics.duplicates == ((("toy", "P02-1.wav"), ("toy", "P06-1.wav")),)
    assert set(statistics.unreadable) == {("toy", "P05-1.wav")}
    assert "Input/output error" in statistics.unreadable["toy", "P05-1.wav"]


class BrokenTracker:
    """A tracker that fails on every frame, as MediaPipe does after an error of its graph."""

    def track(self, time_s: float, frame: np.ndarray) -> None:
        raise RuntimeError("the graph has errors")


def test_a_broken_face_tracker_leaves_the_other_statistics(tmp_path: Path) -> None:
    manifest = balanced_manifest()
    manifest.steps["face"] = manifest.steps["audio"].str.replace("wav", "mp4")
    manifest.steps["audio"] = None
    files = sorted(manifest.steps["face"].unique())
    for name in files:
        write_video(tmp_path / name)
    statistics = compute_recording_statistics(
        [(manifest, tmp_path)], partial(measure_recording, tracker=BrokenTracker())
    )
    assert not statistics.unreadable
    assert statistics.table["brightness"].notna().all()
    assert statistics.table[list(FACE_COLUMNS)].isna().all(axis=None)
    finding = find_one(manifest, "face_tracker", recordings=statistics)
    assert [name for _, name in finding.files] == files
    assert finding.message.count("the graph has errors") == 1


def test_a_folder_without_any_file_of_the_manifest_is_an_error(tmp_path):
    with pytest.raises(ManifestError) as info:
        compute_recording_statistics([(balanced_manifest(), tmp_path)], measure_text)
    assert info.value.file == tmp_path


def test_real_recordings_are_complete_and_distinct(real_data):
    folder = real_data / "emodb_4emo"
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist")
    manifest, report = index_corpus(load_spec(SPECS / "emodb.yaml"), folder)
    statistics = compute_recording_statistics([(manifest, folder)], measure_recording)
    assert (statistics.missing, statistics.unreadable, statistics.duplicates) == ((), {}, ())
    assert len(statistics.table) == len(manifest.sessions)
    assert 1 < statistics.table["length_s"].median() < 5
    assert run_audit(manifest, recordings=statistics, index_reports=(report,)).passed


def test_warnings_of_recordings_are_findings(tmp_path):
    manifest = balanced_manifest()
    manifest.steps["end_s"] = manifest.steps["start_s"] + 1.0
    root = write_files(tmp_path, manifest)

    def measure(path: Path, use: RecordingUse) -> RecordingMeasurement:
        names = {"P01-1.wav": ["gap", "clipping"], "P02-1.wav": ["gap"]}.get(path.name, [])
        warnings = [MediaWarning(name, f"{name} of 2 s.", f"Check the {name}.") for name in names]
        return RecordingMeasurement({"length_s": 9.0}, 9.0, tuple(warnings))

    statistics = compute_recording_statistics([(manifest, root)], measure)
    assert set(statistics.warnings) == {("toy", "P01-1.wav"), ("toy", "P02-1.wav")}
    finding = find_one(manifest, "gap", recordings=statistics)
    assert (finding.severity, finding.remedy) == ("warning", "Check the gap.")
    assert finding.files == (("toy", "P01-1.wav"), ("toy", "P02-1.wav"))
    assert finding.sessions == (("toy", "P01", "P01-1"), ("toy", "P02", "P02-1"))
    assert finding.message == "2 files (P01-1.wav, P02-1.wav): gap of 2 s."
    assert find_one(manifest, "clipping", recordings=statistics).files == (("toy", "P01-1.wav"),)
    assert run_audit(manifest, recordings=statistics).passed


def test_steps_outside_of_the_sound_are_findings(tmp_path):
    manifest = balanced_manifest()
    manifest.steps["start_s"] = 10.0 * manifest.steps["step"]
    manifest.steps["end_s"] = manifest.steps["start_s"] + 10.0
    root = write_files(tmp_path, manifest)

    def measure(path: Path, use: RecordingUse) -> RecordingMeasurement:
        assert use == RecordingUse(audio=True)
        sound_s = {"P01-1.wav": 8.0, "P02-1.wav": 17.0}.get(path.name, 20.0)
        return RecordingMeasurement({"length_s": 20.0}, sound_s)

    statistics = compute_recording_statistics([(manifest, root)], measure)
    finding = find_one(manifest, "missing_sound", recordings=statistics)
    assert finding.files == (("toy", "P01-1.wav"), ("toy", "P02-1.wav"))
    assert "1 of 2 steps starts after the end of the sound (8.0 s): step 1" in finding.message
    assert "step 1 ends at 20.0 s, 3.0 s after the end" in finding.message
