"""The report of indexing as text and as JSON."""

import json

import layouts
import pytest
from corpus_samples import TOY, TOY_FILES

from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.index_report import (
    IndexFailure,
    IndexReport,
    list_failures,
    read_index_report,
    separate_unrelated_folders,
)
from depmm.corpora.spec import parse_spec


def test_a_report_is_unchanged_by_a_json_round_trip(tmp_path):
    root = layouts.write(tmp_path, {**TOY_FILES, "S9_1.wav": "", "notes.txt": "", "x/y": ""})
    report = index_corpus(parse_spec(TOY, "toy.yaml"), root)[1]
    assert not report.complete
    assert IndexReport.from_json(report.to_json()) == report


def test_patterns_of_ignore_without_a_file_are_shown(tmp_path):
    root = layouts.write(tmp_path, {**TOY_FILES, "notes.txt": ""})
    ignoring = f'{TOY}ignore: ["notes.txt", "Notes/S1*"]\n'
    report = index_corpus(parse_spec(ignoring, "toy.yaml"), root)[1]
    assert report.unused_ignores == ("Notes/S1*",)
    summary = report.summary()
    assert "ignored by the spec: 1" in summary
    assert "patterns of ignore that match no file: 1\n  Notes/S1*" in summary


def test_a_report_of_an_earlier_version_has_no_near_misses(tmp_path):
    root = layouts.write(tmp_path, TOY_FILES)
    report = index_corpus(parse_spec(TOY, "toy.yaml"), root)[1]
    content = json.loads(report.to_json())
    del content["near_misses"]
    for item in content["left_out"]:
        del item["example"]
    earlier = IndexReport.from_json(json.dumps(content))
    assert earlier.near_misses == ()
    assert earlier.patterns == report.patterns


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"corpus": "toy"}'])
def test_other_json_is_refused(text):
    with pytest.raises(ManifestError):
        IndexReport.from_json(text)


def test_the_report_in_the_folder_of_a_manifest_is_read(tmp_path):
    assert read_index_report(tmp_path) is None
    root = layouts.write(tmp_path / "root", TOY_FILES)
    report = index_corpus(parse_spec(TOY, "toy.yaml"), root)[1]
    path = tmp_path / "index.json"
    path.write_text(report.to_json())
    assert read_index_report(tmp_path) == report
    path.write_text('{"patterns": []}')
    with pytest.raises(ManifestError) as info:
        read_index_report(tmp_path)
    assert info.value.file == path


def test_the_summary_shows_ten_entries_of_a_list(tmp_path):
    files = {f"note{k:02}.txt": "" for k in range(12)}
    root = layouts.write(tmp_path, {**TOY_FILES, **files})
    lines = index_corpus(parse_spec(TOY, "toy.yaml"), root)[1].summary().splitlines()
    first = lines.index("unused files: 12")
    assert lines[first + 1 : first + 12] == [
        *(f"  note{k:02}.txt" for k in range(10)), "  ... and 2 more",
    ]  # fmt: skip


def test_a_folder_without_files_of_the_corpus_is_unrelated():
    unmatched, matched = ["a/readme", "a/b/note", "c/d/e", "c/f", "top"], ["a/b/S1.wav"]
    assert separate_unrelated_folders(unmatched, matched) == (
        ["a/readme", "a/b/note", "top"], {"c": 2},
    )  # fmt: skip


def test_failures_that_differ_only_in_file_and_values_are_one_kind():
    failures = [
        IndexFailure(f"P{k}.csv", 3, "end", f"{k}", f"P{k}.csv, line {k}: end is '{k}'. Fix.", "a")
        for k in range(5)
    ]
    failures.insert(2, IndexFailure("Q.csv", 1, "start", "x", "Q.csv: start is 'x'. Fix.", "b"))
    assert list_failures(failures, at_most=2) == [
        "P0.csv, line 0: end is '0'. Fix. Left out: a.",
        "P1.csv, line 1: end is '1'. Fix. Left out: a.",
        "... and 3 more of this kind.",
        "Q.csv: start is 'x'. Fix. Left out: b.",
    ]
