"""Training subjects of a run used for initialisation."""

import logging
from pathlib import Path

import pandas as pd
import pytest

from depmm.corpora.corpus_facts import CorpusFacts, RelatedCorpus, write_facts
from depmm.corpora.splits import write_split
from depmm.runs.folder import RunError, RunFolder
from depmm.runs.lineage import check_initialization, find_training_subjects


def make_run(path: Path, splits: dict[str, str], init_from: Path | None = None) -> Path:
    """Write split (subject -> split) and config of a run."""
    path.mkdir()
    run = RunFolder(path)
    source = "null" if init_from is None else init_from
    run.config.write_text(f"unknown: 1\ntraining: {{init_from: {source}}}\n")
    write_split(sessions(splits), run.split)
    return path


def sessions(splits: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame({"corpus": "c", "subject": list(splits), "split": list(splits.values())})


@pytest.fixture
def first(tmp_path) -> Path:
    return make_run(tmp_path / "first", {"a": "train", "b": "validation", "c": "test"})


def test_subjects_of_all_previous_runs_are_found(tmp_path, first):
    second = make_run(tmp_path / "second", {"d": "train", "e": "validation", "f": "test"}, first)
    subjects = find_training_subjects(second).sort_values("subject")
    assert subjects["subject"].tolist() == ["a", "b", "d", "e"]
    assert subjects["split"].tolist() == ["train", "validation", "train", "validation"]


def test_subjects_are_unknown_without_the_split_of_one_run(tmp_path, first):
    second = make_run(tmp_path / "second", {"d": "train", "e": "validation", "f": "test"}, first)
    RunFolder(first).split.unlink()
    assert find_training_subjects(second) is None


@pytest.mark.parametrize("subject", ["a", "b"])
def test_a_test_subject_that_the_weights_depend_on_is_refused(first, subject):
    with pytest.raises(RunError) as info:
        check_initialization(first, sessions({subject: "test", "x": "train", "c": "validation"}))
    assert info.value.setting == "training.init_from"
    assert info.value.file == first
    assert info.value.value == [("c", subject)]


def test_a_test_subject_of_a_related_corpus_is_refused(first):
    related = RelatedCorpus(corpus="c", same_ids=True, reason="the same study")
    facts = {"other": CorpusFacts(related_corpora=[related])}
    renamed = sessions({"1": "test", "x": "train", "y": "validation"}).assign(corpus="other")
    split = RunFolder(first).split
    split.write_text(split.read_text().replace("c,a,", "c,01,"))
    check_initialization(first, renamed)
    with pytest.raises(RunError) as info:
        check_initialization(first, renamed, facts)
    assert info.value.value == [("other", "1")]


def test_the_layout_of_a_corpus_is_known_from_the_previous_run(first):
    renamed = sessions({"301": "test", "x": "train", "y": "validation"}).assign(corpus="edaic")
    split = RunFolder(first).split
    split.write_text(split.read_text().replace("c,a,", "c,301,"))
    check_initialization(first, renamed)
    write_facts({"c": CorpusFacts(layouts=["daic_woz"])}, first)
    with pytest.raises(RunError) as info:
        check_initialization(first, renamed)
    assert info.value.value == [("edaic", "301")]


@pytest.mark.parametrize(
    ("splits", "level"),
    [
        ({"a": "validation", "x": "test", "y": "train"}, logging.WARNING),  # trained before
        ({"b": "validation", "x": "test", "y": "train"}, logging.INFO),  # validated before
        ({"a": "train", "c": "test", "x": "validation"}, logging.INFO),
    ],
)
def test_training_subjects_in_validation_are_a_warning(first, caplog, splits, level):
    caplog.set_level(logging.INFO, logger="depmm")
    check_initialization(first, sessions(splits))
    assert [record.levelno for record in caplog.records] == [level]


def test_unknown_subjects_are_a_warning(first, caplog):
    RunFolder(first).split.unlink()
    check_initialization(first, sessions({"a": "test", "x": "train", "y": "validation"}))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
