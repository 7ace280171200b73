"""Rows of steps from files and tables, and reports of missing files."""

import layouts
from corpus_samples import HEAD, TWO_SOURCES, replace_text

from depmm.corpora.index import index_corpus
from depmm.corpora.spec import parse_spec

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
    times: milliseconds
    required: REQUIRED
codes: {valence: {names: {neg: negative, pos: positive}}}
"""
)
WORD_FILE = '10\t2500\t3000\tdu "da\tpos\n2\t500\t\tich\tneg\n3\t700\t800\t<noise>\tneg\n'


def test_missing_files_and_expected_steps_are_reported(tmp_path):
    root = layouts.write(tmp_path, {"a/S1_2.wav": "", "v/S2_2.mp4": "", "v/S2_10.mp4": ""})
    manifest, report = index_corpus(parse_spec(TWO_SOURCES, "two.yaml"), root)
    assert [(item.kind, item.where, item.message) for item in report.missing] == [
        ("file", "a/S1_2.wav", "no face file for this step"),
        ("file", "a/S1_2.wav", "session S1: no file with take=10"),
    ]
    assert len(manifest.steps) == 3


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
