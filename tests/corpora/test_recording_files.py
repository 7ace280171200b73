"""Files that belong together, and files that are superseded."""

import os

import layouts
import pandas as pd
from corpus_samples import TWO_SOURCES

from depmm.corpora.index import index_corpus
from depmm.corpora.spec import parse_spec


def test_the_first_pattern_provides_a_modality_and_other_files_are_superseded(tmp_path):
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
