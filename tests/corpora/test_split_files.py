"""Splits and folds as CSV files."""

import pandas as pd
import pytest
from split_samples import (
    SESSIONS_OF_23,
    make_random_corpora,
    make_sessions,
    make_splits,
    subjects_in,
)

from depmm.config import SplitConfig
from depmm.corpora.split_files import SplitError, read_split, write_split
from depmm.corpora.splits import count_folds, make_folds, make_split
from depmm.schemas.manifest import FOLDS, SPLIT


def test_a_saved_split_keeps_ids_as_text(tmp_path):
    sessions = make_sessions([[0], [1]] * 4).replace({"subject": {"03": "NA", "04": "null"}})
    split = make_split(sessions, SplitConfig(folds=2))
    write_split(split, tmp_path / "sub" / "fold.csv")
    again = read_split(tmp_path / "sub" / "fold.csv")
    pd.testing.assert_frame_equal(split, again.drop(columns="fold"))
    assert {"01", "NA", "null"} <= set(again["subject"])
    assert [file.name for file in (tmp_path / "sub").iterdir()] == ["fold.csv"]


@pytest.mark.parametrize(
    "config",
    [SplitConfig(folds=3, repeats=2, seed=5), SplitConfig(kind="leave_one_subject_out")],
    ids=lambda config: config.kind,
)
def test_folds_are_read_back_as_written(tmp_path, config):
    sessions = make_random_corpora(4)
    path = tmp_path / "folds.csv"
    write_split(make_folds(sessions, config), path)
    from_file = SplitConfig(kind="file", file=path, seed=9)
    for split, same in zip(
        make_splits(sessions, config), make_splits(sessions, from_file), strict=True
    ):
        pd.testing.assert_frame_equal(split, same)
    # without some recordings of the corpus, the other subjects remain in their split
    subset = sessions[sessions["subject"] != "05"]
    split = make_split(subset, from_file.model_copy(update={"fold": 1}))
    pd.testing.assert_frame_equal(
        split,
        make_split(sessions, config.model_copy(update={"fold": 1})).merge(
            subset[["corpus", "subject"]].drop_duplicates()
        ),
    )


def test_a_split_without_folds_is_one_fold(tmp_path):
    split = make_split(SESSIONS_OF_23, SplitConfig(fold=2))
    write_split(split, tmp_path / "split.csv")
    from_file = SplitConfig(kind="file", file=tmp_path / "split.csv")
    assert count_folds(SESSIONS_OF_23, from_file) == 1
    pd.testing.assert_frame_equal(make_split(SESSIONS_OF_23, from_file), split)


def test_validation_subjects_are_sampled_when_a_file_has_none(tmp_path):
    path = tmp_path / "folds.csv"
    full = make_folds(SESSIONS_OF_23, SplitConfig(folds=3))
    full.replace({"split": {"validation": "train"}}).to_csv(path, index=False)
    from_file = SplitConfig(kind="file", file=path, validation=0.3)
    for fold, split in enumerate(make_splits(SESSIONS_OF_23, from_file)):
        rows = full[full["fold"] == fold]
        assert subjects_in(split, "test") == subjects_in(rows, "test")
        assert len(subjects_in(split, "validation")) == 5  # of 15 or 16: 0.3 of each class


FILE = "corpus,subject,fold,split\n" + "".join(
    f"toy,{k:02},{fold},{('train', 'validation', 'test')[(k // 2 + fold) % 3]}\n"
    for fold in range(2)
    for k in range(6)
)


@pytest.mark.parametrize(
    ("change", "attributes"),
    [
        (("toy,03,1,test\n", ""), {"subject": "03", "setting": "split.file"}),
        (("toy,03,1,test", "toy,3,1,test"), {"subject": "03", "setting": "split.file"}),
        (("toy,03,1,test", "toy,02,1,test"), {"subject": "02"}),
        (("toy,03,1,test", "toy,03,1,dev"), {"column": "split", "value": "dev"}),
        (("toy,03,1,test", "toy,03,one,test"), {"column": "fold", "value": "one"}),
        (("toy,03,1,test", "toy,03,3,test"), {"column": "fold", "value": [0, 1, 3]}),
        (("1,test", "1,train"), {"column": "split", "value": "test"}),
        ((FILE, "corpus,subject,fold,split\n"), {"column": "split"}),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, change, attributes):
    path = tmp_path / "folds.csv"
    path.write_text(FILE.replace(*change))
    config = SplitConfig(kind="file", file=path, fold=1)
    with pytest.raises(SplitError) as info:
        make_split(make_sessions([[0], [1]] * 3), config)
    assert info.value.file == path
    assert {name: getattr(info.value, name) for name in attributes} == attributes


def test_a_fold_that_is_not_in_the_file_is_refused(tmp_path):
    path = tmp_path / "folds.csv"
    path.write_text(FILE)
    with pytest.raises(SplitError) as info:
        make_split(make_sessions([[0], [1]] * 3), SplitConfig(kind="file", file=path, fold=2))
    assert (info.value.setting, info.value.value) == ("split.fold", 2)


def test_a_file_with_other_test_subjects_is_refused(tmp_path):
    path = tmp_path / "folds.csv"
    path.write_text(FILE)
    sessions = make_sessions([[0], [1]] * 3)
    subset = sessions[sessions["subject"].isin(["00", "01", "02", "03"])]
    with pytest.raises(SplitError) as info:
        make_split(subset, SplitConfig(kind="file", file=path))
    assert (info.value.file, info.value.value) == (path, "test")


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("corpus,subject\na,1\n", {"column": "split"}),
        ("corpus,subject,split\na,1,dev\n", {"column": "split", "value": "dev"}),
        ("corpus,subject,split\na,,train\n", {"line": 2, "column": "subject"}),
        ("corpus,subject,split\n", {"column": "split"}),
        (
            "corpus,subject,split\na,1,train\na,1,test\na,2,validation\n",
            {"subject": "1"},
        ),
        ("corpus,subject,split\na,1,train\na,2,test\n", {"value": "validation"}),
        ("", {}),
    ],
)
def test_a_bad_split_file_is_refused(tmp_path, text, attributes):
    path = tmp_path / "fold.csv"
    path.write_text(text)
    with pytest.raises(SplitError) as info:
        read_split(path)
    assert info.value.file == path
    assert {name: getattr(info.value, name) for name in attributes} == attributes


def test_a_split_with_a_repeated_subject_is_not_written(tmp_path):
    split = make_split(SESSIONS_OF_23, SplitConfig())
    with pytest.raises(SplitError) as info:
        write_split(pd.concat([split, split.head(1)]), tmp_path / "fold.csv")
    assert info.value.subject == "00"
    assert not (tmp_path / "fold.csv").exists()


def test_written_files_fit_their_schemas(tmp_path):
    folds = make_folds(SESSIONS_OF_23, SplitConfig(folds=3))
    write_split(folds, tmp_path / "folds.csv")
    write_split(folds[folds["fold"] == 0].drop(columns="fold"), tmp_path / "split.csv")
    for schema in (FOLDS, SPLIT):
        table = pd.read_csv(tmp_path / schema.file, dtype={"subject": "str"})
        assert list(table) == schema.names
        schema.check(table)
