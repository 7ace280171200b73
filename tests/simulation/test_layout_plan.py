"""Planned sessions and files: ids, split folders, and paths that indexing reads as intended."""

import numpy as np
import pytest
from simulated_layouts import AUDIO_SPEC, HEAD, shipped_spec, simulate_and_index

from depmm.corpora.patterns import compile_pattern, fill_pattern
from depmm.corpora.spec import parse_spec
from depmm.simulation.layout import simulate_layout
from depmm.simulation.layout_plan import Planner
from depmm.simulation.layout_units import LayoutError


def test_avec2014_has_two_tasks_and_one_label_file_per_session(tmp_path):
    truth, _, _ = simulate_and_index(shipped_spec("avec2014"), tmp_path / "c", subjects=2, words=1)
    for name, session in truth["sessions"].items():
        folders = {"train": "Training", "validation": "Development", "test": "Testing"}
        part = folders[session["split"]]
        assert sorted(session["files"]) == sorted(
            f"AVEC2014_AudioVisual/{kind}/{part}/{task}/{name}_{task}_{end}"
            for task in ("Freeform", "Northwind")
            for kind, end in (("Video", "video.mp4"), ("Audio", "audio.wav"))
        )
        label = tmp_path / f"c/AVEC2014_AudioVisual/Final_Labels/{name}_Depression.csv"
        assert float(label.read_text()) == session["score"]


def test_rows_of_the_spec_determine_the_gender_of_a_subject(tmp_path):
    truth = simulate_layout(tmp_path / "c", shipped_spec("emodb"), subjects=10, words=1)
    women = {name for name, known in truth["subjects"].items() if known["gender"] == "female"}
    assert women == {"08", "09", "13", "14", "16"}


def test_ids_are_counted_and_cannot_be_exceeded(tmp_path):
    spec = shipped_spec("emodb")
    assert Planner(spec, {}, np.random.default_rng(0)).count_ids() == 10
    with pytest.raises(LayoutError) as info:
        simulate_layout(tmp_path / "c", spec, subjects=11, words=1)
    assert (info.value.setting, info.value.value) == ("subjects", 11)
    assert not (tmp_path / "c").exists()


def test_sessions_per_subject_are_planned(tmp_path):
    spec = parse_spec(AUDIO_SPEC + "simulate: {sessions_per_subject: 3}\n", "toy")
    truth, manifest, report = simulate_and_index(spec, tmp_path / "c", subjects=2, words=1)
    assert report.complete
    assert manifest.sessions.groupby("subject")["session"].nunique().tolist() == [3, 3]
    assert len(truth["sessions"]) == 6


@pytest.mark.parametrize(
    ("pattern", "simulate", "path"),
    [
        ("{subject:2}.wav", "{fields: {subject: [a, bcd]}}", "a.wav"),
        ("{subject}-{x}.wav", "{fields: {subject: [a-b, c-d]}}", "a-b-1.wav"),
    ],
)
def test_paths_that_indexing_would_misread_are_errors(pattern, simulate, path, tmp_path):
    text = f'recordings: [{{pattern: "{pattern}", modalities: [audio]}}]\nsession: "{{subject}}"\n'
    spec = parse_spec(f"{HEAD}{text}simulate: {simulate}\n", "toy")
    with pytest.raises(LayoutError) as info:
        simulate_layout(tmp_path / "c", spec, subjects=2)
    assert (info.value.setting, info.value.value) == ("simulate.fields", path)
    assert not (tmp_path / "c").exists()


def test_filled_patterns_are_matched_with_the_same_fields():
    text = "**/s{n:int}/**/{a:1}{b:2}_{n}*.wav"
    path = fill_pattern(text, {"n": "7", "a": "x", "b": "yz"}, "deep/er")
    assert path == "deep/er/s7/xyz_7.wav"
    assert compile_pattern(text).match(path) == {"n": "7", "a": "x", "b": "yz"}
    for text in ("a/*.csv", "*", "*/b.csv", "a*.csv"):
        path = fill_pattern(text, {})
        assert compile_pattern(text).match(path) == {}
        assert not any(part.startswith(".") or not part for part in path.split("/"))
