"""Indexing: what files and rows of a small folder become in the manifest."""

import os
from pathlib import Path

import layouts
import pandas as pd
import pytest
from corpus_samples import HEAD, TOY, TOY_FILES, make_step_table, replace_text

from depmm.audit.findings import AuditInput
from depmm.audit.label_checks import label_score_mismatch
from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import Manifest
from depmm.corpora.spec import parse_spec

HEADER = "subject,visit,score,gender\n"
SESSION = 'session: "{subject}_{visit}"'
TWO_SOURCES = (
    HEAD
    + """\
recordings:
  - {pattern: "v/{subject}_{take}.mp4", modalities: [audio, face]}
  - {pattern: "a/**/{subject}_{take}.wav", modalities: [audio]}
  - {pattern: "f/{subject}_{take}.mp4", modalities: [face]}
session: "{subject}"
required_modalities: [audio, face]
steps: {order: [take], expected: {take: [2, 10]}}
"""
)
WORDS = (
    HEAD
    + """\
recordings:
  - {pattern: "{subject}.mp4", modalities: [audio, face]}
session: "{subject}"
faces: aligned
steps:
  table:
    file: "words/{subject}.txt"
    sep: "\\t"
    header: false
    columns: [n, from, to, word, class]
    join: {subject: subject}
    fields: {start: from, end: to, text: word, valence: class}
    drop: {word: ["", "<*>"]}
    order: [n]
    units_per_second: 1000.0
    required: REQUIRED
codes: {valence: {names: {neg: negative, pos: positive}}}
"""
)
WORD_FILE = '10\t2500\t3000\tdu "da\tpos\n2\t500\t\tich\tneg\n3\t700\t800\t<noise>\tneg\n'


def test_labels_follow_the_cut_off_and_codes_are_translated(tmp_path):
    manifest, report = index_corpus(parse_spec(TOY, "toy.yaml"), layouts.write(tmp_path, TOY_FILES))
    sessions = manifest.sessions.set_index("session")
    assert list(sessions.index) == ["S1_1", "S1_2", "S2_1"]
    assert list(sessions["label"]) == [0, 1, 1]
    assert list(sessions["score"]) == [13, 14, 63]
    assert list(sessions["gender"]) == ["female", "female", "male"]
    assert set(sessions["instrument"]) == {"BDI-II"}
    assert set(sessions["cut_off"]) == {14.0}
    assert list(manifest.steps["audio"]) == ["S1_1.wav", "S1_2.wav", "S2_1.wav"]
    assert manifest.steps["face"].isna().all()
    assert (manifest.steps["start_s"] == 0).all()
    assert manifest.steps["end_s"].isna().all()
    assert report.complete
    assert report.counts == {
        "subjects": 2, "sessions": 3, "steps": 3, "positive": 2, "negative": 1, "unlabelled": 0,
        "scores": 3, "steps_with_audio": 3, "steps_with_face": 0,
    }  # fmt: skip
    assert not report.unused
    assert not report.unrelated_folders


def test_classes_of_the_corpus_come_before_the_cut_off(tmp_path):
    text = replace_text(
        TOY,
        ("gender: gender}", "gender: gender, binary: score2}"),
        ("score: bdi}", "score: bdi, field: binary, positive: [1], negative: [0]}"),
    )
    table = "subject,visit,score,gender,score2\nS1,1,13,F,1\nS1,2,14,?,\nS2,1,63,M,0\n"
    root = layouts.write(tmp_path, {**TOY_FILES, "labels.csv": table})
    sessions = index_corpus(parse_spec(text, "toy.yaml"), root)[0].sessions
    assert sessions["label"].tolist() == [1, pd.NA, 0]
    assert sessions["score"].tolist() == [13, 14, 63]
    assert sessions["gender"].isna().tolist() == [False, True, False]
    (finding,) = label_score_mismatch(AuditInput(Manifest(sessions, make_step_table(sessions))))
    assert finding.sessions == (("toy", "S1", "S1_1"), ("toy", "S2", "S2_1"))


def test_gaps_are_reported(tmp_path):
    files = {
        **TOY_FILES,
        "S3_1.wav": "",
        "labels.csv": TOY_FILES["labels.csv"] + "S4,1,20,F\n",
    }
    manifest, report = index_corpus(parse_spec(TOY, "toy.yaml"), layouts.write(tmp_path, files))
    assert {(item.kind, item.where) for item in report.missing} == {
        ("row", "S3_1.wav"),
        ("recording", "labels.csv"),
    }
    assert "no recording for subject=S4, visit=1" in report.summary()
    assert "no row in labels.csv for subject=S3, visit=1" in report.to_json()
    unlabelled = manifest.sessions[manifest.sessions["label"].isna()]
    assert list(unlabelled["session"]) == ["S3_1"]
    assert unlabelled["instrument"].isna().all()
    assert not report.complete


def test_a_missing_table_is_reported_once(tmp_path):
    files = {path: text for path, text in TOY_FILES.items() if path != "labels.csv"}
    report = index_corpus(parse_spec(TOY, "toy.yaml"), layouts.write(tmp_path, files))[1]
    assert [(item.kind, item.where) for item in report.missing] == [("table", "labels.csv")]


def test_the_first_pattern_gives_a_modality_and_other_files_are_superseded(tmp_path):
    names = ["v/S1_2.mp4", "a/S1_2.wav", "a/S1_10.wav", "a/copy/S1_10.wav", "f/S1_10.mp4"]
    root = layouts.write(tmp_path, dict.fromkeys(names, ""))
    manifest, report = index_corpus(parse_spec(TWO_SOURCES, "two.yaml"), root)
    assert manifest.steps[["step", "audio", "face"]].to_numpy().tolist() == [
        [0, "v/S1_2.mp4", "v/S1_2.mp4"],
        [1, "a/S1_10.wav", "f/S1_10.mp4"],
    ]
    assert report.superseded == (
        ("a/S1_2.wav", "v/S1_2.mp4"),
        ("a/copy/S1_10.wav", "a/S1_10.wav"),
    )
    assert report.complete


def test_missing_files_and_expected_steps_are_reported(tmp_path):
    root = layouts.write(tmp_path, {"a/S1_2.wav": "", "v/S2_2.mp4": "", "v/S2_10.mp4": ""})
    manifest, report = index_corpus(parse_spec(TWO_SOURCES, "two.yaml"), root)
    assert [(item.kind, item.where, item.message) for item in report.missing] == [
        ("file", "a/S1_2.wav", "no face file for this step"),
        ("file", "a/S1_2.wav", "session S1: no file with take=10"),
    ]
    assert len(manifest.steps) == 3


def test_the_index_does_not_depend_on_directory_order(tmp_path, monkeypatch):
    names = ["v/S1_2.mp4", "a/z/S1_10.wav", "a/y/S1_10.wav", "a/S2_2.wav", "f/S2_2.mp4", "x", "y"]
    root = layouts.write(tmp_path, dict.fromkeys(names, ""))
    spec = parse_spec(TWO_SOURCES, "two.yaml")
    first, first_report = index_corpus(spec, root)
    scandir = os.scandir
    for turn in (1, -1):
        monkeypatch.setattr(
            os,
            "scandir",
            lambda path, turn=turn: sorted(scandir(path), key=lambda e: e.name)[::turn],
        )
        again, report = index_corpus(spec, root)
        pd.testing.assert_frame_equal(first.sessions, again.sessions)
        pd.testing.assert_frame_equal(first.steps, again.steps)
        assert report == first_report


def test_rows_of_a_table_become_steps_in_order_and_in_seconds(tmp_path):
    spec = parse_spec(replace_text(WORDS, ("REQUIRED", "false")), "words.yaml")
    root = layouts.write(tmp_path, {"S1.mp4": "", "S2.mp4": "", "words/S1.txt": WORD_FILE})
    manifest, report = index_corpus(spec, root)
    steps = manifest.steps
    assert steps["start_s"].tolist() == [0.5, 2.5, 0.0]
    assert steps["end_s"].fillna(-1).tolist() == [-1, 3.0, -1]
    assert steps["text"].fillna("").tolist() == ["ich", 'du "da', ""]
    assert steps["valence"].fillna("").tolist() == ["negative", "positive", ""]
    assert steps["step"].tolist() == [0, 1, 0]
    assert steps["face_aligned"].all()
    assert steps["face"].tolist() == ["S1.mp4", "S1.mp4", "S2.mp4"]
    assert report.complete


def test_missing_step_rows_and_rows_without_recording_are_reported(tmp_path):
    spec = parse_spec(replace_text(WORDS, ("REQUIRED", "true")), "words.yaml")
    files = {"S1.mp4": "", "S2.mp4": "", "words/S1.txt": WORD_FILE, "words/S3.txt": WORD_FILE}
    manifest, report = index_corpus(spec, layouts.write(tmp_path, files))
    assert [(item.kind, item.message) for item in report.missing] == [
        ("row", "no steps in words/{subject}.txt for subject=S2"),
        ("recording", "no recording for subject=S3"),
    ]
    assert set(manifest.sessions["session"]) == {"S1"}


@pytest.mark.parametrize(
    ("files", "changes", "attributes"),
    [
        (
            {"labels.csv": "subject,visit,bdi,gender\n"},
            [],
            {"file": "labels.csv", "column": "score"},
        ),
        ({"labels.csv": ""}, [], {"file": "labels.csv"}),
        ({"labels.csv": f"{HEADER}S1,1,64,F\n"}, [], {"session": "S1_1", "value": 64}),
        ({"labels.csv": f"{HEADER}S1,1,nan,F\n"}, [], {"session": "S1_1", "value": "nan"}),
        (
            {"labels.csv": f"{HEADER}S1,1,9,X\n"},
            [],
            {"setting": "codes.gender", "value": "X"},
        ),
        (
            {"labels.csv": f"{HEADER}../S1,1,9,F\n"},
            [],
            {"file": "labels.csv", "line": 2, "value": "../S1"},
        ),
        ({"labels.csv": f"{HEADER}S1,1,9\n"}, [], {"file": "labels.csv", "line": 2}),
        (
            {"labels.csv": f"{HEADER}S1,1,9,F\nS1,1,8,F\n"},
            [],
            {"file": "S1_1.wav", "column": "bdi", "value": "8"},
        ),
        ({"S 1_1.wav": ""}, [], {"file": "S 1_1.wav", "value": "S 1"}),
        ({}, [(SESSION, 'session: "{visit}"')], {"subject": "S2", "session": "1"}),
        (
            {},
            [(SESSION, 'session: "{subject}"')],
            {"setting": "steps.order", "file": "S1_2.wav", "session": "S1"},
        ),
        (
            {"labels.csv": f"{HEADER}S1,1,9,F\nS1,2,10,F\n"},
            [(SESSION, 'session: "{subject}"\nsteps: {order: [visit]}')],
            {"column": "bdi", "session": "S1", "value": "10"},
        ),
        (
            {"labels.csv": f"{HEADER}S1,1,9,F\n"},
            [('{F: female, M: male, "?": null}', "{F: woman, M: man}")],
            {"column": "gender", "session": "S1_1", "value": "woman"},
        ),
        (
            {},
            [("{subject}_{visit}.wav", "{subject}_{visit}.flac")],
            {"setting": "recordings", "file": ""},
        ),
    ],
)
def test_bad_input_is_refused(tmp_path, files, changes, attributes):
    root = layouts.write(tmp_path, {**TOY_FILES, **files})
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(replace_text(TOY, *changes), "toy.yaml"), root)
    if "file" in attributes:  # the folder itself, or a file by its path in it
        attributes = {**attributes, "file": Path(attributes["file"] or root)}
    assert {name: getattr(info.value, name) for name in attributes} == attributes


def test_text_in_another_encoding_is_refused(tmp_path):
    files = {**TOY_FILES, "labels.csv": f"{HEADER}Sé,1,2,F\n".encode("latin-1")}
    root = layouts.write(tmp_path, files)
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(TOY, "toy.yaml"), root)
    assert info.value.file == Path("labels.csv")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(TOY, "toy.yaml"), tmp_path / "missing")
    assert info.value.file == tmp_path / "missing"
