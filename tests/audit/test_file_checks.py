"""Checks of files, and of the report of indexing."""

from dataclasses import replace

from audit_manifests import balanced_manifest, find_one, index_report, manifest_of

from depmm.audit.findings import RecordingStatistics
from depmm.corpora.index_report import Missing
from depmm.media.warnings import MediaWarning


def test_a_file_of_two_subjects_is_an_error():
    manifest = balanced_manifest()
    manifest.steps.loc[manifest.steps["subject"] == "P03", "audio"] = "P02-1.wav"
    finding = find_one(manifest, "shared_files")
    assert finding.severity == "error"
    assert finding.subjects == (("toy", "P02"), ("toy", "P03"))
    assert "P02-1.wav by P02/P02-1 and P03/P03-1" in finding.message
    assert "1 of them by several subjects" in finding.message


def test_a_file_of_two_sessions_is_found_across_modalities():
    manifest = manifest_of([{"subject": "01", "session": "a"}, {"subject": "01", "session": "b"}])
    manifest.steps.loc[manifest.steps["session"] == "b", "face"] = "a.wav"
    finding = find_one(manifest, "shared_files")
    assert finding.sessions == (("toy", "01", "a"), ("toy", "01", "b"))
    assert "0 of them by several subjects" in finding.message


def test_missing_files_are_an_error_and_unreadable_files_a_warning():
    statistics = RecordingStatistics(
        missing=(("toy", "P01-1.wav"), ("toy", "P03-1.wav")),
        unreadable={("toy", "P04-1.wav"): "broken."},
    )
    finding = find_one(balanced_manifest(), "missing_files", recordings=statistics)
    assert finding.severity == "error"
    assert finding.files == statistics.missing
    assert finding.sessions == (("toy", "P01", "P01-1"), ("toy", "P03", "P03-1"))
    finding = find_one(balanced_manifest(), "unreadable_files", recordings=statistics)
    assert finding.severity == "warning"
    assert finding.files == (("toy", "P04-1.wav"),)
    assert finding.sessions == (("toy", "P04", "P04-1"),)


def test_the_index_report_is_part_of_the_audit():
    missing = (
        *(Missing("file", f"f{k}.wav", "no audio") for k in range(12)),
        Missing("row", "S9.wav", "no row in labels.csv"),
    )
    reports = (index_report(missing=missing, unused=("notes.txt",)),)
    finding = find_one(balanced_manifest(), "incomplete_corpus", index_reports=reports)
    assert finding.severity == "warning"
    assert "13 problems (file: 12, row: 1)" in finding.message
    assert "12 files (f0.wav, f1.wav, f2.wav, ...): no audio." in finding.message
    assert "f3.wav" not in finding.message
    assert finding.message.endswith("S9.wav: no row in labels.csv.")
    finding = find_one(balanced_manifest(), "unmatched_files", index_reports=reports)
    assert (finding.severity, finding.files) == ("warning", (("toy", "notes.txt"),))


def test_equal_warnings_of_several_files_are_told_once():
    clipped = MediaWarning("clipping", "the sound is clipped.", "Use another recording.")
    loud = replace(clipped, problem="all of the sound is clipped.")
    files = [("toy", f"P0{k}-1.wav") for k in range(1, 7)]
    warnings = dict.fromkeys(files[:5], (clipped,)) | {files[5]: (loud,)}
    finding = find_one(
        balanced_manifest(), "clipping", recordings=RecordingStatistics(warnings=warnings)
    )
    assert finding.files == tuple(files)
    assert finding.message == (
        "6 files. 5 files (P01-1.wav, P02-1.wav, P03-1.wav, ...): the sound is clipped. "
        "P06-1.wav: all of the sound is clipped."
    )
    assert finding.remedy == "Use another recording."
