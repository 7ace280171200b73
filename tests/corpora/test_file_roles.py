"""Roles of files: every visible file of a folder is accounted for."""

import os
from pathlib import Path

import layouts
from corpus_samples import TOY, TOY_FILES, replace_text

from depmm.corpora.index import index_corpus
from depmm.corpora.spec import parse_spec


def test_every_visible_file_has_one_role(tmp_path):
    text = replace_text(
        TOY,
        ("[audio]\nsession", "[audio]\n    drop: {visit: [9]}\nsession"),
        ("label: {", 'ignore: ["*.pdf"]\nlabel: {'),
    )
    files = {
        **TOY_FILES, "S1_9.wav": "", "notes.txt": "", "a.pdf": "", "b.pdf": "", ".hidden": "",
        ".git/x": "", "other/deep/S1_1.wav": "", "other/x": "", "more/y": "",
    }  # fmt: skip
    report = index_corpus(parse_spec(text, "toy.yaml"), layouts.write(tmp_path, files))[1]
    assert report.unused == ("notes.txt",)
    assert report.unrelated_folders == {"more": 1, "other": 2}
    assert [path for path, _ in report.excluded] == ["S1_9.wav"]
    assert (report.ignored, report.hidden) == (2, 2)
    n_matched = sum(item.files for item in report.patterns)
    listed = len(report.unused) + sum(report.unrelated_folders.values()) + len(report.excluded)
    assert n_matched + listed + report.ignored == len(files) - 2
    assert "notes.txt" in report.summary()


def test_a_stray_file_near_recordings_is_unused(tmp_path):
    text = replace_text(TOY, ('"{subject}_{visit}.wav"', '"**/{subject}_{visit}.wav"'))
    files = {"labels.csv": TOY_FILES["labels.csv"], "a/readme": "", "a/b/note": "", "c/d/e": ""}
    files |= {f"a/b/{name}": "" for name in TOY_FILES if name.endswith(".wav")}
    report = index_corpus(parse_spec(text, "toy.yaml"), layouts.write(tmp_path, files))[1]
    assert report.unused == ("a/b/note", "a/readme")
    assert report.unrelated_folders == {"c": 1}


def test_links_are_followed_once_and_broken_ones_reported(tmp_path):
    root = layouts.write(tmp_path / "corpus", TOY_FILES)
    (root / "S9_1.wav").symlink_to("nowhere.wav")
    (root / "loop").symlink_to(root)
    report = index_corpus(parse_spec(TOY, "toy.yaml"), root)[1]
    assert [(item.kind, item.where) for item in report.missing] == [("file", "S9_1.wav")]
    assert report.counts["sessions"] == 3


def test_a_name_that_is_not_utf8_is_reported(tmp_path):
    root = layouts.write(tmp_path, TOY_FILES)
    (Path(os.fsdecode(os.fsencode(root) + b"/S\xff_1.wav"))).touch()
    report = index_corpus(parse_spec(TOY, "toy.yaml"), root)[1]
    assert [item.where for item in report.missing] == [r"S\udcff_1.wav"]
    report.summary().encode()
