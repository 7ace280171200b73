"""Specs, indexing and manifests, on folders made by hand and on the real recordings."""

import csv
import functools
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from depmm.audit.checks import label_score_mismatch
from depmm.audit.findings import AuditInput
from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import (
    Manifest,
    build_manifest,
    concat_manifests,
    read_manifest,
    validate,
    write_manifest,
)
from depmm.corpora.manifest_rules import check_id
from depmm.corpora.patterns import (
    PatternError,
    compile_pattern,
    fill_template,
    is_kept,
    natural_sort_key,
)
from depmm.corpora.spec import Spec, SpecError, load_spec, parse_spec
from depmm.schemas.manifest import STEPS

SPECS = Path(__file__).parents[2] / "data_specs"
FACTS = "name: toy\ntitle: t\ncitation: c\nlicence: l\naccess: a\n"
TOY = (
    FACTS
    + """\
recordings:
  - pattern: "{subject}_{visit}.wav"
    modalities: [audio]
session: "{subject}_{visit}"
tables:
  - file: labels.csv
    join: {subject: subject, visit: visit}
    fields: {bdi: score, gender: gender}
codes:
  gender: {names: {F: female, M: male, "?": null}}
label: {instrument: BDI-II, score: bdi}
"""
)
TOY_FILES = {
    "S1_1.wav": "",
    "S1_2.wav": "",
    "S2_1.wav": "",
    "labels.csv": "subject,visit,score,gender\nS1,1,13,F\nS1,2,14,F\nS2,1,63,M\n",
}


def lay_out(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def changed(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def fails(message_parts: list[str], function, *arguments) -> None:
    """Call, expect a refusal, and look for every part in its message."""
    with pytest.raises((SpecError, ManifestError)) as caught:
        function(*arguments)
    for part in message_parts:
        assert part in str(caught.value), f"{part!r} is not in: {caught.value}"


# ---- patterns ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("{a}_{b}.wav", "S1_2_3.wav", {"a": "S1", "b": "2_3"}),
        ("{a}_{b}.wav", "x/S1_2.wav", None),
        ("{a}_{b}.wav", "S1_2.WAV", None),
        ("**/{a}.wav", "x.wav", {"a": "x"}),
        ("**/{a}.wav", "p/q/x.wav", {"a": "x"}),
        ("v/**/{a}.wav", "v/p/q/x.wav", {"a": "x"}),
        ("v/**/{a}.wav", "w/x.wav", None),
        ("*/{a}.wav", "p/q/x.wav", None),
        ("{a:2}{b:3}{c:1}{d:1}.wav", "03a01Fa.wav", {"a": "03", "b": "a01", "c": "F", "d": "a"}),
        ("{a:2}.wav", "x/.wav", None),
        ("P{a:int}.wav", "P007.wav", {"a": "7"}),
        ("P{a:int}.wav", "P7b.wav", None),
        ("{t}/{s}_{t}.mp4", "North/1_North.mp4", {"t": "North", "s": "1"}),
        ("{t}/{s}_{t}.mp4", "North/1_South.mp4", None),
        ("a.b(c)+[d].wav", "a.b(c)+[d].wav", {}),
        ("a.wav", "abwav", None),
        ("{a}.wav", "zwei Wörter.wav", {"a": "zwei Wörter"}),
    ],
)
def test_patterns_read_fields(pattern, path, fields):
    assert compile_pattern(pattern).match(path) == fields


@pytest.mark.parametrize(
    "pattern",
    ["", "/x", "../x", "a/../b", "a\\b", "{a", "a}", "{A}", "{a:0}", "{a:x}", "a**", "**"],
)
def test_bad_patterns_are_refused_with_a_remedy(pattern):
    with pytest.raises(PatternError, match=r"[Ww]rite"):
        compile_pattern(pattern)


def test_templates_fill_only_from_known_fields():
    assert fill_template("{a}-{b}!", {"a": "1", "b": "2"}) == "1-2!"
    assert fill_template("{a}-{b}", {"a": "1", "b": None}) is None
    with pytest.raises(PatternError, match=r"'\{a.b\}' is no field"):
        fill_template("{a.b}", {"a": "1"})


def test_keep_and_drop_take_wildcards_and_the_empty_text():
    assert is_kept({"a": "grid_x.mpg"}, {"a": ["grid_*.mpg"]}, {})
    assert not is_kept({"a": "xgrid_x.mpg"}, {"a": ["grid_*.mpg"]}, {})
    assert not is_kept({"a": None}, {}, {"a": [""]})
    assert is_kept({"a": "b"}, {}, {"a": ["", "bb"]})


def test_natural_order_counts():
    assert sorted(["w10", "w2", "w1", "v3"], key=natural_sort_key) == ["v3", "w1", "w2", "w10"]
    assert sorted(["10", "9", "a", "1.5"], key=natural_sort_key) == ["1.5", "9", "10", "a"]


def test_natural_order_knows_numbers():
    """A transcript's times: 64.9 s is later than 64.84 s."""
    times = ["64.9", "64.84", "-3", "64", "-10.5", "100.25"]
    assert sorted(times, key=natural_sort_key) == sorted(times, key=float)


# ---- specs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_spec_of_the_project_is_valid_and_named_like_its_file(path):
    spec = load_spec(path)
    assert spec.name == path.stem
    assert spec.citation
    assert spec.access


def test_the_example_of_the_format_is_valid_and_uses_every_key():
    text = (SPECS / "README.md").read_text(encoding="utf-8")
    example = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0]
    spec = parse_spec(example, "README.md")
    assert spec.model_fields_set == set(Spec.model_fields)
    assert spec.steps.table is not None
    for name in type(spec.steps.table).model_fields:
        assert f"{name}:" in example
    for name in Spec.model_fields:
        assert f"`{name}`" in text, f"{name} is not documented"


def test_codes_stay_text_and_on_stays_a_key():
    spec = parse_spec(
        changed(
            TOY, ('{F: female, M: male, "?": null}', "{01: female, 2: male, no: null, on: male}")
        ),
        "toy.yaml",
    )
    names = {"01": "female", "2": "male", "no": None, "on": "male"}
    assert spec.codes["gender"].names == names


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("session:", "sesion:", ["line 9: sesion: unknown key", "'session'"]),
        ('session: "{subject}_{visit}"\n', "", ["session: required", "Add it"]),
        ('"{subject}_{visit}.wav"', '"{visit}.wav"', ["line 7", "has no {subject}", "Add it"]),
        ('"{subject}_{visit}"', '"{subject}_{vist}"', ["line 7", "has no {vist}", "Add it"]),
        ("{subject}_{visit}.wav", "{subject_{visit}.wav", ["line 7", "'{'", "Write {name}"]),
        ("[audio]", "[voice]", ["line 8", "'voice'", "'audio' or 'face'"]),
        ("score: bdi}", "score: bid}", ["line 16: label.score", "'bid'", "'bdi'"]),
        ("score: bdi}", "score: bdi, cut_off: 64}", ["line 16", "64", "0 to 63", "choose"]),
        ("score: bdi}", "score: bdi, cut_off: 0}", ["line 16", "0 lies outside", "choose"]),
        ("BDI-II, score: bdi", "BDI-2, score: bdi", ["line 16", "'BDI-2'", "'BDI-II'"]),
        ("BDI-II, score: bdi", "group, score: bdi", ["line 16", "no scores", "Drop"]),
        ("score: bdi}", "field: bdi}", ["line 16", "positive:", "together"]),
        (
            "score: bdi}",
            "field: bdi, positive: [1, 0], negative: [0]}",
            ["line 16", "['0']", "Keep one"],
        ),
        ("join: {subject: subject", "join: {subject: subjct", ["line 12", "'subjct'", "'subject'"]),
        ("join: {subject: subject", 'join: {subject: "a b"', ["line 12", "{a b}", "Write {name}"]),
        ("gender: {names", "gendr: {names", ["line 15: codes.gendr", "'gender'"]),
        ("file: labels.csv", "file: /labels.csv", ["line 11", "'/labels.csv'", "relative"]),
        ("file: labels.csv", "header: true", ["line 11: tables[0]", "file: or rows:"]),
        ("fields: {bdi", "header: false\n    fields: {bdi", ["columns", "needed"]),
        ("name: toy", "name: to/y", ["line 1", "'to/y'", "Use letters"]),
        (
            "name: toy",
            "name: toy\nname: toy",
            ["line 2: name: ", "line 1", "Keep one"],
        ),
        ("title: t", "title: 7", ["line 2: title", "got 7", "quotes"]),
        ("codes:", "columns: [subject]\ncodes:", ["columns", "'subject'", "Rename"]),
        ("codes:", "steps: {order: [tsk]}\ncodes:", ["steps.order", "'tsk'"]),
        ("codes:", "required_modalities: [face]\ncodes:", ["required_modalities", "'face'"]),
        ("title: t", "title: &x t\nunverified: [*x]", ["line 3", "aliases", "write it out"]),
        ("title: t", "title: !!python/name:os.system", ["not a YAML", "python/name:os.system"]),
        ("title: t", "title: [", ["not a YAML", "line"]),
        ("title: t", "title: a\x07", ["not a YAML", "position"]),
        ("title: t", "title: " + "[" * 500, ["not a YAML"]),
        ("title: t", "title: " + "9" * 5000, ["not a YAML"]),
    ],
)
def test_a_mistake_in_a_spec_names_line_value_and_remedy(old, new, parts):
    fails(["toy.yaml", *parts], parse_spec, changed(TOY, (old, new)), "toy.yaml")


def test_a_step_table_needs_a_start():
    text = TOY + "steps:\n  table: {file: w.csv, join: {s: subject}, fields: {text: word}}\n"
    fails(["steps.table.fields", "start:"], parse_spec, text, "toy.yaml")


def test_a_spec_that_is_not_there_is_named_with_its_neighbours():
    fails(["emodbb.yaml", "No such file", "'emodb'"], load_spec, SPECS / "emodbb.yaml")
    fails(["a mapping"], parse_spec, "- 1", "toy.yaml")


# ---- index: what becomes of files and rows ----------------------------------------------------


def test_labels_follow_the_cut_off_and_codes_are_translated(tmp_path):
    manifest, report = index_corpus(parse_spec(TOY, "toy.yaml"), lay_out(tmp_path, TOY_FILES))
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


def test_classes_as_delivered_win_and_scores_stay(tmp_path):
    text = changed(
        TOY,
        ("gender: gender}", "gender: gender, binary: score2}"),
        ("score: bdi}", "score: bdi, field: binary, positive: [1], negative: [0]}"),
    )
    table = "subject,visit,score,gender,score2\nS1,1,13,F,1\nS1,2,14,?,\nS2,1,63,M,0\n"
    root = lay_out(tmp_path, {**TOY_FILES, "labels.csv": table})
    sessions = index_corpus(parse_spec(text, "toy.yaml"), root)[0].sessions
    assert sessions["label"].tolist() == [1, pd.NA, 0]
    assert sessions["score"].tolist() == [13, 14, 63]
    assert sessions["gender"].isna().tolist() == [False, True, False]
    (finding,) = label_score_mismatch(AuditInput(Manifest(sessions, _steps(sessions))))
    assert finding.sessions == (("toy", "S1", "S1_1"), ("toy", "S2", "S2_1"))


def test_gaps_are_listed_and_nothing_else_is_lost(tmp_path):
    files = {
        **TOY_FILES,
        "S3_1.wav": "",
        "labels.csv": TOY_FILES["labels.csv"] + "S4,1,20,F\n",
    }
    manifest, report = index_corpus(parse_spec(TOY, "toy.yaml"), lay_out(tmp_path, files))
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


def test_a_missing_table_is_one_gap_not_one_for_each_session(tmp_path):
    files = {path: text for path, text in TOY_FILES.items() if path != "labels.csv"}
    report = index_corpus(parse_spec(TOY, "toy.yaml"), lay_out(tmp_path, files))[1]
    assert [(item.kind, item.where) for item in report.missing] == [("table", "labels.csv")]


def test_every_visible_file_is_accounted_for_once(tmp_path):
    text = changed(
        TOY,
        ("[audio]\nsession", "[audio]\n    drop: {visit: [9]}\nsession"),
        ("label: {", 'ignore: ["*.pdf"]\nlabel: {'),
    )
    files = {
        **TOY_FILES, "S1_9.wav": "", "notes.txt": "", "a.pdf": "", "b.pdf": "", ".hidden": "",
        ".git/x": "", "other/deep/S1_1.wav": "", "other/x": "", "more/y": "",
    }  # fmt: skip
    report = index_corpus(parse_spec(text, "toy.yaml"), lay_out(tmp_path, files))[1]
    assert report.unused == ("notes.txt",)
    assert report.unrelated_folders == {"more": 1, "other": 2}
    assert [path for path, _ in report.excluded] == ["S1_9.wav"]
    assert (report.ignored, report.hidden) == (2, 2)
    taken = sum(item.files for item in report.patterns)
    listed = len(report.unused) + sum(report.unrelated_folders.values()) + len(report.excluded)
    assert taken + listed + report.ignored == len(files) - 2
    assert "notes.txt" in report.summary()


def test_a_stray_file_beside_or_above_recordings_is_unused_by_name(tmp_path):
    text = changed(TOY, ('"{subject}_{visit}.wav"', '"**/{subject}_{visit}.wav"'))
    files = {"labels.csv": TOY_FILES["labels.csv"], "a/readme": "", "a/b/note": "", "c/d/e": ""}
    files |= {f"a/b/{name}": "" for name in TOY_FILES if name.endswith(".wav")}
    report = index_corpus(parse_spec(text, "toy.yaml"), lay_out(tmp_path, files))[1]
    assert report.unused == ("a/b/note", "a/readme")
    assert report.unrelated_folders == {"c": 1}


TWO_SOURCES = (
    FACTS
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


def test_the_first_listed_pattern_gives_a_modality_and_others_are_shadowed(tmp_path):
    names = ["v/S1_2.mp4", "a/S1_2.wav", "a/S1_10.wav", "a/copy/S1_10.wav", "f/S1_10.mp4"]
    root = lay_out(tmp_path, dict.fromkeys(names, ""))
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


def test_a_step_without_its_file_and_an_expected_step_are_missing(tmp_path):
    root = lay_out(tmp_path, {"a/S1_2.wav": "", "v/S2_2.mp4": "", "v/S2_10.mp4": ""})
    manifest, report = index_corpus(parse_spec(TWO_SOURCES, "two.yaml"), root)
    assert [(item.kind, item.where, item.message) for item in report.missing] == [
        ("file", "a/S1_2.wav", "no face file for this step"),
        ("file", "a/S1_2.wav", "session S1: no file with take=10"),
    ]
    assert len(manifest.steps) == 3


def test_the_index_does_not_depend_on_directory_order(tmp_path, monkeypatch):
    names = ["v/S1_2.mp4", "a/z/S1_10.wav", "a/y/S1_10.wav", "a/S2_2.wav", "f/S2_2.mp4", "x", "y"]
    root = lay_out(tmp_path, dict.fromkeys(names, ""))
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


def test_links_are_followed_once_and_broken_ones_listed(tmp_path):
    root = lay_out(tmp_path / "corpus", TOY_FILES)
    (root / "S9_1.wav").symlink_to("nowhere.wav")
    (root / "loop").symlink_to(root)
    report = index_corpus(parse_spec(TOY, "toy.yaml"), root)[1]
    assert [(item.kind, item.where) for item in report.missing] == [("file", "S9_1.wav")]
    assert report.counts["sessions"] == 3


WORDS = (
    FACTS
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


def test_rows_of_a_table_become_steps_in_order_and_in_seconds(tmp_path):
    spec = parse_spec(changed(WORDS, ("REQUIRED", "false")), "words.yaml")
    root = lay_out(tmp_path, {"S1.mp4": "", "S2.mp4": "", "words/S1.txt": WORD_FILE})
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


def test_missing_words_and_words_without_recording_are_listed(tmp_path):
    spec = parse_spec(changed(WORDS, ("REQUIRED", "true")), "words.yaml")
    files = {"S1.mp4": "", "S2.mp4": "", "words/S1.txt": WORD_FILE, "words/S3.txt": WORD_FILE}
    manifest, report = index_corpus(spec, lay_out(tmp_path, files))
    assert [(item.kind, item.message) for item in report.missing] == [
        ("row", "no steps in words/{subject}.txt for subject=S2"),
        ("recording", "no recording for subject=S3"),
    ]
    assert set(manifest.sessions["session"]) == {"S1"}


@pytest.mark.parametrize(
    ("files", "changes", "parts"),
    [
        ({"labels.csv": "subject,visit,bdi,gender\n"}, [], ["labels.csv", "'score'", "Correct"]),
        ({"labels.csv": ""}, [], ["labels.csv", "empty", "score"]),
        (
            {"labels.csv": "subject,visit,score,gender\nS1,1,64,F\n"},
            [],
            ["S1_1", "64", "0 to 63", "labels.csv", "Correct"],
        ),
        (
            {"labels.csv": "subject,visit,score,gender\nS1,1,nan,F\n"},
            [],
            ["S1_1", "'nan'", "not a number", "Correct labels.csv"],
        ),
        (
            {"labels.csv": "subject,visit,score,gender\nS1,1,9,X\n"},
            [],
            ["S1_1.wav", "'X'", "codes.gender", "F, M", "Add it"],
        ),
        (
            {"labels.csv": "subject,visit,score,gender\n../S1,1,9,F\n"},
            [],
            ["labels.csv, line 2", "'../S1'", "Use letters"],
        ),
        (
            {"labels.csv": "subject,visit,score,gender\nS1,1,9\n"},
            [],
            ["labels.csv, line 2", "3 cells", "Correct the row"],
        ),
        (
            {"labels.csv": "subject,visit,score,gender\nS1,1,9,F\nS1,1,8,F\n"},
            [],
            ["S1_1.wav", "bdi is '8'", "line 3", "'9'", "Correct one"],
        ),
        ({"S 1_1.wav": ""}, [], ["S 1_1.wav", "'S 1'", "Use letters"]),
        ({}, [('session: "{subject}_{visit}"', 'session: "{visit}"')], ["'1'", "S1_1.wav", "Put"]),
        (
            {},
            [('session: "{subject}_{visit}"', 'session: "{subject}"')],
            ["S1_1.wav and S1_2.wav", "differ in visit", "steps.order"],
        ),
        (
            {"labels.csv": "subject,visit,score,gender\nS1,1,9,F\nS1,2,10,F\n"},
            [('session: "{subject}_{visit}"', 'session: "{subject}"\nsteps: {order: [visit]}')],
            ["session S1", "bdi is '9'", "'10'", "labels.csv"],
        ),
        (
            {"labels.csv": "subject,visit,score,gender\nS1,1,9,F\n"},
            [('{F: female, M: male, "?": null}', "{F: woman, M: man}")],
            ["S1_1", "'woman'", "female, male", "Translate"],
        ),
        (
            {},
            [("{subject}_{visit}.wav", "{subject}_{visit}.flac")],
            ["{subject}_{visit}.flac", "give"],
        ),
    ],
)
def test_bad_input_is_refused_with_value_place_and_remedy(tmp_path, files, changes, parts):
    root = lay_out(tmp_path, {**TOY_FILES, **files})
    fails(parts, index_corpus, parse_spec(changed(TOY, *changes), "toy.yaml"), root)


def test_a_table_that_is_no_text_and_a_folder_that_is_not_there(tmp_path):
    root = lay_out(tmp_path, TOY_FILES)
    (root / "labels.csv").write_bytes("subject,visit,score,gender\nSé,1,2,F\n".encode("latin-1"))
    spec = parse_spec(TOY, "toy.yaml")
    fails(["labels.csv", "utf-8", "encoding:"], index_corpus, spec, root)
    fails(["nowhere", "no such folder", "toy"], index_corpus, spec, tmp_path / "nowhere")


def test_a_name_that_is_not_utf8_is_listed(tmp_path):
    root = lay_out(tmp_path, TOY_FILES)
    (Path(os.fsdecode(os.fsencode(root) + b"/S\xff_1.wav"))).touch()
    report = index_corpus(parse_spec(TOY, "toy.yaml"), root)[1]
    assert [item.where for item in report.missing] == [r"S\udcff_1.wav"]
    report.summary().encode()


# ---- the specs of the project -----------------------------------------------------------------


def test_ewre_simulated(tmp_path):
    words = "subject,session,step,start_s,end_s,word,valence\n"
    words += "".join(f"S001,1,{k},{k}.5,{k + 1}.25,w{k},neutral\n" for k in (10, 2, 0, 1))
    words += "S002,1,0,0.5,1.0,w0,negative\n"
    labels = "subject,session,score,gender,age,split\nS001,1,14,female,30,train\n"
    labels += "S002,1,13,male,41,test\n"
    files = {"videos/S001_1.mp4": "", "videos/S002_1.mp4": "", "words.csv": words}
    root = lay_out(tmp_path, {**files, "labels.csv": labels, "truth.json": "{}"})
    manifest, report = index_corpus(load_spec(SPECS / "ewre_simulated.yaml"), root)
    assert report.complete
    assert not report.unused
    assert not report.excluded
    columns = ["subject", "session", "score", "label", "split", "gender", "age"]
    assert manifest.sessions[columns].to_numpy().tolist() == [
        ["S001", "S001_1", 14.0, 1, "train", "female", 30.0],
        ["S002", "S002_1", 13.0, 0, "test", "male", 41.0],
    ]
    first = manifest.steps[manifest.steps["subject"] == "S001"]
    assert first["text"].tolist() == ["w0", "w1", "w2", "w10"]
    assert first["start_s"].tolist() == [0.5, 1.5, 2.5, 10.5]
    assert first["end_s"].tolist() == [1.25, 2.25, 3.25, 11.25]
    assert set(first["audio"]) == set(first["face"]) == {"videos/S001_1.mp4"}
    assert manifest.steps["face_aligned"].all()


def test_grid_as_delivered(tmp_path):
    align = "0 23750 sil\r\n23750 29500 bin\r\n29500 34000 blue\r\n34000 74500 sp\r\n"
    names = ["s1/bbaf2n.mpg", "s2/video/mpg_6000/swwp2s.mpg", "s21/lbbc2a.wav"]
    files = {**dict.fromkeys(names, ""), "s1/align/bbaf2n.align": align}
    manifest, report = index_corpus(load_spec(SPECS / "grid.yaml"), lay_out(tmp_path, files))
    assert report.complete
    assert not report.unused
    assert not report.unrelated_folders
    steps = manifest.steps
    assert steps["subject"].tolist() == ["s1", "s1", "s2", "s21"]
    assert steps["start_s"].tolist() == [0.95, 1.18, 0, 0]
    assert steps["end_s"].tolist()[:2] == [1.18, 1.36]
    assert steps["text"].tolist()[:2] == ["bin", "blue"]
    assert steps["face"].notna().tolist() == [True, True, True, False]
    columns = ["command", "colour", "preposition", "letter", "digit", "adverb"]
    assert manifest.sessions[columns].to_numpy().tolist() == [
        ["bin", "blue", "at", "f", "two", "now"],
        ["set", "white", "with", "p", "two", "soon"],
        ["lay", "blue", "by", "c", "two", "again"],
    ]


def test_ravdess_as_delivered(tmp_path):
    names = [
        "Actor_02/01-01-05-02-01-02-02.mp4",
        "Actor_02/02-01-05-02-01-02-02.mp4",
        "audio/Actor_02/03-01-05-02-01-02-02.wav",
        "audio/Actor_02/03-01-05-01-02-01-02.wav",
        "video_only/Actor_02/02-01-05-01-02-01-02.mp4",
        "song/Actor_02/03-02-05-01-01-01-02.wav",
    ]
    root = lay_out(tmp_path, dict.fromkeys(names, ""))
    manifest, report = index_corpus(load_spec(SPECS / "ravdess.yaml"), root)
    assert manifest.sessions[["session", "emotion", "gender"]].to_numpy().tolist() == [
        ["02-angry", "angry", "female"]
    ]
    # normal before strong; the silent 02 video gives the face beside the sound of 03
    assert manifest.steps[["task", "text", "audio", "face"]].to_numpy().tolist() == [
        ["normal", "Dogs are sitting by the door", names[3], names[4]],
        ["strong", "Kids are talking by the door", names[0], names[0]],
    ]
    assert report.superseded == ((names[1], names[0]), (names[2], names[0]))
    assert [path for path, _ in report.excluded] == [names[5]]


def test_emodb_as_delivered(tmp_path):
    root = lay_out(tmp_path, dict.fromkeys(["wav/03a01Fa.wav", "wav/16b10Lb.wav"], ""))
    manifest, report = index_corpus(load_spec(SPECS / "emodb.yaml"), root)
    columns = ["subject", "session", "gender", "age", "emotion", "sentence"]
    assert manifest.sessions[columns].to_numpy().tolist() == [
        ["03", "03a01Fa", "male", 31.0, "happiness", "a01"],
        ["16", "16b10Lb", "female", 31.0, "boredom", "b10"],
    ]
    assert report.complete


# ---- real recordings --------------------------------------------------------------------------


def real_table(real_data: Path) -> dict[str, dict[str, str]]:
    with open(real_data / "manifest.csv", encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def test_real_grid(real_data):
    manifest, report = index_corpus(load_spec(SPECS / "grid.yaml"), real_data)
    table = real_table(real_data)
    assert report.complete
    assert not report.unused
    assert report.counts["sessions"] == 41
    assert report.counts["subjects"] == 10
    files = manifest.steps.drop_duplicates("audio")
    assert set(files["audio"]) == {path for path in table if path.endswith(".mpg")}
    for row in files.itertuples():
        assert row.subject == table[row.audio]["speaker"]
        assert row.face == row.audio
    # the one clip of grid_10spk by the speaker of grid_s1
    same = manifest.sessions.query("subject == 'grid_A(s1)'")
    assert len(same) == 31
    assert "grid_10spk-bbaf2n" in set(same["session"])
    counts = manifest.steps.groupby("session").size()
    assert (counts[counts.index.str.startswith("grid_s1")] == 6).all()
    assert (counts[counts.index.str.startswith("grid_10spk")] == 1).all()
    assert manifest.steps["end_s"].max() <= 3.0
    assert manifest.steps["text"].isin(["sil", "sp"]).sum() == 0
    spoken = manifest.steps[manifest.steps["end_s"].notna()].groupby("session")["text"].agg(list)
    named = manifest.sessions.set_index("session").loc[spoken.index]
    for session, words in spoken.items():
        row = named.loc[session]
        parts = ["command", "colour", "preposition", "letter", "digit", "adverb"]
        assert words == [row[part] for part in parts]


def test_real_ravdess(real_data):
    spec = load_spec(SPECS / "ravdess.yaml")
    report = index_corpus(spec, real_data)[1]
    assert report.complete
    assert not report.unused
    assert [item.files for item in report.patterns] == [7, 0, 0, 448]
    assert len(report.superseded) == 4  # actor 01, neutral: as video and as sound
    assert report.counts["steps"] == 7 + 448 - 4
    assert report.counts["steps_with_face"] == 7
    assert report.counts["subjects"] == 16
    speech, _ = index_corpus(spec, real_data / "ravdess_speech")
    assert len(speech.sessions) == 64
    assert Counter(speech.sessions["emotion"]) == dict.fromkeys(
        ["neutral", "calm", "happy", "sad"], 16
    )
    assert (speech.sessions["gender"] == "male").sum() == 32
    assert set(speech.steps.groupby("session").size()) == {4, 8}
    assert speech.steps["audio"].str.contains("^Actor_").all()
    only_video, _ = index_corpus(spec, real_data / "ravdess_actor01")
    assert Counter(only_video.sessions["emotion"]) == {"neutral": 1, "surprised": 1}


def test_real_emodb(real_data):
    spec = load_spec(SPECS / "emodb.yaml")
    manifest, report = index_corpus(spec, real_data)
    table = real_table(real_data)
    assert report.complete
    assert not report.unused
    assert report.counts["sessions"] == 339
    merged = manifest.sessions.merge(manifest.steps, on=["corpus", "subject", "session"])
    for row in merged.itertuples():
        assert f"emodb_{row.subject}" == table[row.audio]["speaker"]
        assert row.emotion == table[row.audio]["label"]
    assert Counter(manifest.sessions["emotion"]) == {
        "anger": 127, "neutral": 79, "happiness": 71, "sadness": 62,
    }  # fmt: skip
    people = manifest.sessions.drop_duplicates("subject")
    assert Counter(people["gender"]) == {"male": 5, "female": 5}
    inner, _ = index_corpus(spec, real_data / "emodb_4emo")
    pd.testing.assert_frame_equal(inner.sessions, manifest.sessions)
    assert ("emodb_4emo/" + inner.steps["audio"]).tolist() == manifest.steps["audio"].tolist()


# ---- manifest ---------------------------------------------------------------------------------


def _sessions(rows: list[dict]) -> pd.DataFrame:
    base = {"corpus": "toy", "instrument": None, "score": None, "label": None, "split": None}
    return pd.DataFrame([{**base, "gender": None, "age": None, **row} for row in rows])


def _steps(sessions: pd.DataFrame, number: int = 2) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                **key,
                "step": step,
                "start_s": float(step),
                "end_s": step + 1.0,
                "audio": f"{key['session']}.wav",
                "face_aligned": False,
            }
            for key in sessions[["corpus", "subject", "session"]].to_dict("records")
            for step in range(number)
        ],
        columns=STEPS.names,
    )


def copied(build):
    """Build a manifest once and hand out copies that a test may damage."""
    kept = functools.cache(build)
    return lambda *size: Manifest(kept(*size).sessions.copy(), kept(*size).steps.copy())


@copied
def small() -> Manifest:
    sessions = _sessions(
        [
            {"subject": "01", "session": "01-a", "instrument": "BDI-II", "score": 20.0, "label": 1},
            {"subject": "01", "session": "01-b", "gender": "female", "age": 31.5, "split": "test"},
            {"subject": "Zoë", "session": "Zoë-a", "instrument": "group", "label": 0},
        ]
    )
    sessions["emotion"] = ["sad", None, "calm"]
    return build_manifest(sessions, _steps(sessions))


def test_a_manifest_survives_the_disk(tmp_path):
    manifest = small()
    write_manifest(manifest, tmp_path / "new" / "folder")
    again = read_manifest(tmp_path / "new" / "folder")
    pd.testing.assert_frame_equal(manifest.sessions, again.sessions)
    pd.testing.assert_frame_equal(manifest.steps, again.steps)
    assert again.sessions["subject"].tolist() == ["01", "01", "Zoë"]
    assert again.sessions["label"].tolist() == [1, pd.NA, 0]
    for name, column, kind in (("steps", "step", "int64"), ("sessions", "label", "int64")):
        schema = pyarrow.parquet.read_schema(tmp_path / f"new/folder/{name}.parquet")
        assert str(schema.field(column).type) == kind
    assert sorted(os.listdir(tmp_path / "new/folder")) == ["sessions.parquet", "steps.parquet"]


def test_an_interrupted_write_leaves_the_old_manifest(tmp_path, monkeypatch):
    write_manifest(small(), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    write_table, calls = pyarrow.parquet.write_table, []

    def fail_at_the_second(table, path):
        calls.append(path)
        if len(calls) == 2:
            raise OSError("disk full")
        write_table(table, path)

    monkeypatch.setattr(pyarrow.parquet, "write_table", fail_at_the_second)
    sessions = _sessions([{"subject": "9", "session": "9"}])
    with pytest.raises(OSError, match="disk full"):
        write_manifest(build_manifest(sessions, _steps(sessions)), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_a_damaged_manifest_is_named_with_a_remedy(tmp_path):
    fails(["sessions.parquet", "no such file", "depmm index"], read_manifest, tmp_path)
    write_manifest(small(), tmp_path)
    shutil.copytree(tmp_path, tmp_path / "copy")
    table = pyarrow.parquet.read_table(tmp_path / "steps.parquet")
    pyarrow.parquet.write_table(table.drop_columns(["start_s"]), tmp_path / "steps.parquet")
    fails(["steps.parquet", "'start_s'", "depmm index"], read_manifest, tmp_path)
    (tmp_path / "copy" / "sessions.parquet").write_bytes(b"no parquet")
    fails(["sessions.parquet", "Parquet", "depmm index"], read_manifest, tmp_path / "copy")


def test_corpora_are_joined_and_repeated_sessions_refused():
    one = small()
    sessions = _sessions([{"corpus": "other", "subject": "01", "session": "01-a"}])
    other = build_manifest(sessions.assign(task_name="x"), _steps(sessions))
    both = concat_manifests([one, other])
    assert len(both.sessions) == 4
    assert both.sessions["emotion"].isna().tolist() == [True, False, True, False]
    assert both.sessions["label"].dtype == "Int64"
    assert both.steps.groupby(["corpus", "session"]).size().tolist() == [2] * 4
    fails(["toy/01/01-a", "repeat", "Keep one"], concat_manifests, [one, other, one])
    fails(["no manifest"], concat_manifests, [])


@pytest.mark.parametrize(
    "value", ["01", "S1_2", "grid_A(s1)", "Zoë", "张三", "a.b", "x" * 100, "a@b=+"]
)
def test_safe_ids(value):
    assert check_id(value, "subject") == value


@pytest.mark.parametrize(
    "value", ["", "..", "a..b", "../x", "a/b", "a\\b", "-a", ".a", "a b", "a\n", "x" * 101, "a\0"]
)
def test_unsafe_ids_are_refused(value):
    fails(
        ["subject in t.csv", repr(value)[:20], "Use letters"], check_id, value, "subject in t.csv"
    )


@pytest.mark.parametrize(
    ("table", "column", "value", "parts"),
    [
        ("sessions", "session", "../x", ["'../x'", "column session"]),
        ("sessions", "label", 2, ["toy/01/01-a", "label '2'", "0, 1"]),
        ("sessions", "score", 64.0, ["toy/01/01-a", "64", "BDI-II", "0 to 63", "Correct"]),
        ("sessions", "instrument", "BDI", ["toy/01/01-a", "'BDI'", "BDI-II"]),
        ("sessions", "instrument", None, ["toy/01/01-a", "score 20"]),
        ("sessions", "split", "dev", ["toy/01/01-a", "'dev'", "validation", "codes:"]),
        ("sessions", "gender", "f", ["'f'", "female", "codes:"]),
        ("sessions", "age", 1990.0, ["toy/01/01-a", "1990", "Correct"]),
        ("sessions", "subject", "02", ["toy/02/01-a", "add their steps"]),
        ("steps", "subject", "02", ["toy/02/01-a", "not in the table sessions", "Add"]),
        ("sessions", "session", "01-b", ["toy/01/01-b", "repeat", "Keep one"]),
        ("steps", "step", 7, ["toy/01/01-a", "7", "0", "Number the steps"]),
        ("steps", "start_s", 1.0, ["toy/01/01-a", "start 1 s, end 1 s", "start < end"]),
        ("steps", "start_s", -1.0, ["toy/01/01-a", "start -1 s"]),
        ("steps", "start_s", np.nan, ["toy/01/01-a", "start nan s"]),
        ("steps", "audio", None, ["toy/01/01-a", "without any file", "Give it"]),
        ("steps", "audio", "../x.wav", ["'../x.wav'", "relative"]),
        ("steps", "audio", "/x.wav", ["'/x.wav'", "relative"]),
        ("steps", "audio", "a\\x.wav", ["x.wav'", "relative"]),
        ("steps", "face", "C:x.mp4", ["'C:x.mp4'", "relative"]),
        ("steps", "valence", "sad", ["toy/01/01-a", "'sad'", "negative"]),
    ],
)
def test_each_rule_of_the_manifest(table, column, value, parts):
    manifest = small()
    frame = getattr(manifest, table)
    frame.loc[0, column] = value
    fails(parts, validate, manifest)


def test_wrong_types_are_named():
    sessions = _sessions([{"subject": 1, "session": "1"}])
    fails(["'subject'", "1 is not text", "Correct"], build_manifest, sessions, _steps(sessions))
    sessions = _sessions([{"subject": "1", "session": "1", "label": 0.5, "instrument": "group"}])
    fails(["'label'", "int64"], build_manifest, sessions, _steps(sessions))
    sessions = _sessions([{"subject": "1", "session": "1"}])
    fails(
        ["'start_s'", "missing", "Add it"],
        build_manifest,
        sessions,
        _steps(sessions).drop(columns="start_s"),
    )
    with pytest.raises(ManifestError, match="no row"):
        build_manifest(sessions.head(0), _steps(sessions).head(0))
