"""Splits that keep groups of subjects together."""

from pathlib import Path

import pandas as pd
import pytest
from audit_manifests import balanced_manifest

from depmm.config import SplitConfig
from depmm.corpora.splits import SplitError, count_folds, make_folds, make_split, write_split
from depmm.corpora.subject_groups import add_groups, group_subjects
from depmm.files.checksums import write_table
from depmm.schemas.manifest import SESSION_KEY

GROUPED = SplitConfig(folds=3, group_by="pseudo_subject")


def grouped_sessions() -> pd.DataFrame:
    """Return 24 subjects; three are one pseudo-subject, two have none."""
    sessions = balanced_manifest(24).sessions
    names = [f"V{k}" for k in range(24)]
    names[5] = names[9] = names[1]
    return sessions.assign(pseudo_subject=names).assign(
        pseudo_subject=lambda table: table["pseudo_subject"].mask(table.index < 1)
    )


def test_groups_stay_together_in_every_fold() -> None:
    sessions = grouped_sessions()
    folds = make_folds(sessions, GROUPED)
    group = folds[folds["subject"].isin(["P01", "P05", "P09"])]
    assert group.groupby("fold")["split"].agg(set).map(len).tolist() == [1] * 3
    assert folds.groupby("fold").size().tolist() == [24] * 3
    tested = folds[folds["split"] == "test"]["subject"]
    assert sorted(tested) == sorted(sessions["subject"])  # every subject once
    apart = make_folds(sessions, SplitConfig(folds=3))
    before = apart[apart["subject"].isin(["P01", "P05", "P09"])]
    assert max(before.groupby("fold")["split"].agg(set).map(len)) > 1


def test_one_group_is_left_out() -> None:
    sessions = grouped_sessions()
    config = SplitConfig(kind="leave_one_subject_out", group_by="pseudo_subject", fold=1)
    assert count_folds(sessions, config) == 22
    split = make_split(sessions, config)
    assert set(split[split["split"] == "test"]["subject"]) == {"P01", "P05", "P09"}


def test_two_groups_are_too_few() -> None:
    with pytest.raises(SplitError) as info:
        make_split(grouped_sessions(), SplitConfig(group_by="label"))
    assert (info.value.setting, info.value.value) == ("split.group_by", "label")


def test_a_file_that_separates_a_group_is_refused(tmp_path: Path) -> None:
    sessions = grouped_sessions()
    write_split(make_folds(sessions, GROUPED), tmp_path / "good.csv")
    config = SplitConfig(kind="file", file=tmp_path / "good.csv", group_by="pseudo_subject")
    assert len(make_split(sessions, config)) == 24
    write_split(make_folds(sessions, SplitConfig(folds=3)), tmp_path / "bad.csv")
    config = config.model_copy(update={"file": tmp_path / "bad.csv"})
    with pytest.raises(SplitError) as info:
        make_folds(sessions, config)
    assert (info.value.setting, info.value.subject) == ("split.group_by", "P01")


def test_validation_groups_of_a_file_without_validation_subjects_stay_together(tmp_path) -> None:
    """As the files of training on one corpus and testing on another."""
    sessions = balanced_manifest(24).sessions
    sessions["family"] = [f"F{k // 4}-{k % 2}" for k in range(24)]  # two subjects of one label
    sets = ["train"] * 16 + ["test"] * 8
    split = sessions[["corpus", "subject"]].assign(fold=0, split=sets)
    split.to_csv(tmp_path / "split.csv", index=False)
    config = SplitConfig(kind="file", file=tmp_path / "split.csv", group_by="family")
    for seed in range(5):
        made = make_split(sessions, config.model_copy(update={"seed": seed}))
        assert set(made["split"][16:]) == {"test"}
        by_family = made["split"].groupby(sessions["family"].to_numpy()).agg(set)
        assert by_family.map(len).tolist() == [1] * 12
        # one of four families of each class
        assert made["split"].value_counts().to_dict() == {"train": 12, "test": 8, "validation": 4}
    with pytest.raises(SplitError) as info:
        make_split(sessions, config.model_copy(update={"fold": 1}))
    assert info.value.setting == "split.fold"


def test_groups_of_several_sessions_are_joined() -> None:
    table = pd.DataFrame(
        {"corpus": "toy", "subject": list("abbcd"), "group": ["1", "1", "2", "2", None]}
    )
    first = group_subjects(table, "group")
    assert [first["toy", name][1] for name in "abcd"] == ["a", "a", "a", "d"]


def test_pseudo_subjects_are_read_from_the_folder_of_the_manifest(tmp_path: Path) -> None:
    sessions = grouped_sessions()
    plain = sessions.drop(columns="pseudo_subject")
    with pytest.raises(SplitError) as info:
        add_groups(plain, tmp_path, GROUPED)
    assert info.value.setting == "split.group_by"
    assert "--identity" in str(info.value)
    table = sessions.dropna(subset=["pseudo_subject"])[[*SESSION_KEY, "pseudo_subject"]]
    write_table(tmp_path / "pseudo_subjects.parquet", table.reset_index(drop=True))
    pd.testing.assert_frame_equal(add_groups(plain, tmp_path, GROUPED), sessions, check_dtype=False)
    assert add_groups(plain, tmp_path, SplitConfig()) is plain
    with pytest.raises(SplitError):
        add_groups(plain, tmp_path, SplitConfig(group_by="site"))


def test_clusters_of_an_earlier_manifest_are_refused(tmp_path: Path, caplog) -> None:
    sessions = grouped_sessions().drop(columns="pseudo_subject")
    clusters = sessions[SESSION_KEY].assign(pseudo_subject="V1")
    write_table(tmp_path / "pseudo_subjects.parquet", clusters[2:])
    grouped = add_groups(sessions, tmp_path, GROUPED)
    assert grouped["pseudo_subject"].isna().sum() == 2
    assert "2 of 24 sessions are in no cluster" in caplog.text
    renamed = sessions.assign(subject="0" + sessions["subject"])
    with pytest.raises(SplitError, match="earlier manifest") as info:
        add_groups(renamed, tmp_path, GROUPED)
    assert info.value.setting == "split.group_by"


@pytest.mark.parametrize(("kind", "setting"), [("official", "split.kind"), ("file", "split.file")])
def test_remedies_of_a_set_without_a_class_fit_the_split(tmp_path, kind, setting) -> None:
    sessions = balanced_manifest(24).sessions
    official = ["train"] * 20 + ["validation"] * 2 + ["test"] * 2
    sessions = sessions.assign(split=official, label=[0, 1] * 10 + [0, 0, 0, 1])
    table = sessions[["corpus", "subject", "split"]].assign(fold=0)
    table.to_csv(tmp_path / "split.csv", index=False)
    file = {"file": tmp_path / "split.csv"} if kind == "file" else {}
    with pytest.raises(SplitError, match="validation has no session of class 1") as info:
        make_split(sessions, SplitConfig(kind=kind, **file))
    assert info.value.setting == setting
    assert "folds" not in str(info.value)
