"""Splits of subjects: disjoint, complete, stratified and reproducible; refused input."""

import hashlib
from collections import Counter

import pandas as pd
import pytest
from split_samples import (
    SESSIONS_OF_23,
    largest_difference,
    make_random_corpora,
    make_sessions,
    make_splits,
    subjects_in,
)

from depmm.config import SplitConfig
from depmm.corpora.index import index_corpus
from depmm.corpora.spec import load_spec
from depmm.corpora.splits import (
    SplitError,
    check_disjoint,
    count_folds,
    make_split,
    official_overlap,
)


@pytest.mark.parametrize(
    ("kind", "seed"), [("k_fold", 0), ("k_fold", 1), ("leave_one_subject_out", 0)]
)
def test_every_subject_is_tested_once_and_is_in_one_part(kind, seed):
    config = SplitConfig(kind=kind, folds=5, seed=seed)
    all_subjects = set(zip(SESSIONS_OF_23["corpus"], SESSIONS_OF_23["subject"], strict=True))
    tested = Counter()
    for split in make_splits(SESSIONS_OF_23, config):
        check_disjoint(split)
        assert not split.duplicated(["corpus", "subject"]).any()
        assert (
            subjects_in(split, "train")
            | subjects_in(split, "validation")
            | subjects_in(split, "test")
            == all_subjects
        )
        tested.update(subjects_in(split, "test"))
    assert tested == dict.fromkeys(all_subjects, 1)


def test_k_fold_is_stratified_by_subjects():
    positive = {("toy", f"{k:02}") for k in range(0, 23, 3)}
    for split in make_splits(SESSIONS_OF_23, SplitConfig(folds=4, validation=0.25)):
        assert len(subjects_in(split, "test")) in (5, 6)
        assert len(subjects_in(split, "test") & positive) == 2
        # of the rest, a quarter of each class: 6 positive -> 2 (1.5), 11 or 12 negative -> 3
        assert len(subjects_in(split, "validation") & positive) == 2
        assert len(subjects_in(split, "validation") - positive) == 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_folds_are_balanced_in_label_gender_and_corpus(seed):
    sessions = make_random_corpora(seed)
    all_subjects = sessions.drop_duplicates(["corpus", "subject"])
    config = SplitConfig(folds=2 + seed % 5, seed=seed)
    splits = make_splits(sessions, config)
    tested = [
        all_subjects.merge(split[split["split"] == "test"].drop(columns="split"))
        for split in splits
    ]
    assert sorted(map(tuple, pd.concat(tested)[["corpus", "subject"]].to_numpy())) == sorted(
        map(tuple, all_subjects[["corpus", "subject"]].to_numpy())
    )
    for columns in (
        ["label"], ["label", "gender"], ["label", "gender", "corpus"], ["corpus"],
        ["corpus", "gender"], [],
    ):  # fmt: skip
        assert largest_difference(tested, columns) <= 1, columns
    assert largest_difference(tested, ["gender"]) <= min(2, all_subjects["corpus"].nunique())
    for split in splits:
        check_disjoint(split)
    shuffled = sessions.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(make_split(shuffled, config), splits[0])


@pytest.mark.parametrize("kind", ["k_fold", "leave_one_subject_out"])
@pytest.mark.parametrize("seed", range(5))
def test_validation_subjects_are_sampled_from_strata(kind, seed):
    sessions = make_random_corpora(seed)
    config = SplitConfig(kind=kind, seed=seed, fold=3, validation=0.25)
    all_subjects = sessions.drop_duplicates(["corpus", "subject"]).drop(columns="split")
    not_tested = all_subjects.merge(make_split(sessions, config)).query("split != 'test'")
    for _, members in not_tested.groupby("label"):
        validation = members[members["split"] == "validation"]
        assert len(validation) == max(1, round(0.25 * len(members)))
        for _, gender in members.groupby("gender", dropna=False):
            share = len(gender) * len(validation) / len(members)
            assert abs((gender["split"] == "validation").sum() - share) < 1


def test_folds_may_differ_in_gender_when_it_is_not_balanced():
    # shows that the tests above can fail
    uneven = [
        largest_difference(
            [
                sessions.drop(columns="split").merge(split).query("split == 'test'")
                for split in make_splits(sessions, SplitConfig(stratify_by=["label"], seed=seed))
            ],
            ["gender"],
        )
        for seed, sessions in (
            (k, make_random_corpora(k).drop_duplicates(["corpus", "subject"])) for k in range(5)
        )
    ]
    assert max(uneven) > 3


@pytest.mark.parametrize("stratify_by", [["label"], ["label", "gender", "corpus"]])
def test_subjects_that_differ_only_in_label_are_assigned_round_robin(stratify_by):
    # folds that were published before gender was balanced stay the same
    def rank(subject: tuple[str, str]) -> tuple[bool, bytes]:
        positive = int(subject[1]) % 3 == 0
        return positive, hashlib.sha256(repr((7, *subject)).encode()).digest()

    ordered = sorted({("toy", f"{k:02}") for k in range(23)}, key=rank)
    splits = make_splits(SESSIONS_OF_23, SplitConfig(folds=5, seed=7, stratify_by=stratify_by))
    assert [subjects_in(split, "test") for split in splits] == [
        set(ordered[k::5]) for k in range(5)
    ]


def test_repeats_assign_all_subjects_again():
    config = SplitConfig(folds=4, repeats=3, seed=1)
    splits = make_splits(SESSIONS_OF_23, config)
    assert len(splits) == count_folds(SESSIONS_OF_23, config) == 12
    all_subjects = set(zip(SESSIONS_OF_23["corpus"], SESSIONS_OF_23["subject"], strict=True))
    for repeat in range(3):
        tested = [subjects_in(split, "test") for split in splits[4 * repeat : 4 * repeat + 4]]
        assert Counter(subject for part in tested for subject in part) == dict.fromkeys(
            all_subjects, 1
        )
    assert len({frozenset(subjects_in(split, "test")) for split in splits}) == 12
    assert len({frozenset(subjects_in(split, "validation")) for split in splits}) == 12
    once = make_splits(SESSIONS_OF_23, SplitConfig(folds=4, seed=1))
    for split, same in zip(splits, once, strict=False):
        pd.testing.assert_frame_equal(split, same)  # further repeats leave the first ones unchanged
    with pytest.raises(SplitError) as info:
        make_split(SESSIONS_OF_23, config.model_copy(update={"fold": 12}))
    assert (info.value.setting, info.value.value) == ("split.fold", 12)


def test_leave_one_out_has_a_fold_per_subject():
    config = SplitConfig(kind="leave_one_subject_out", fold=4)
    assert count_folds(SESSIONS_OF_23, config) == 23
    assert subjects_in(make_split(SESSIONS_OF_23, config), "test") == {("toy", "04")}
    assert count_folds(SESSIONS_OF_23, SplitConfig(folds=7)) == 7
    assert count_folds(SESSIONS_OF_23, SplitConfig(kind="official")) == 1


def test_a_split_depends_on_the_seed_but_not_on_the_order_of_rows():
    config = SplitConfig(folds=5, seed=3)
    split = make_split(SESSIONS_OF_23, config)
    shuffled = SESSIONS_OF_23.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(split, make_split(shuffled, config))
    other = make_split(SESSIONS_OF_23, SplitConfig(folds=5, seed=4))
    assert subjects_in(split, "test") != subjects_in(other, "test")
    assert subjects_in(split, "validation") != subjects_in(other, "validation")


def test_a_split_is_the_same_on_every_machine():
    # pinned: published folds must not change with a version of any library
    split = make_split(make_sessions([[0], [1]] * 6), SplitConfig(folds=3, fold=1, seed=0))
    subjects = {
        name: "".join(sorted(p[1] for p in subjects_in(split, name)))
        for name in ("validation", "test")
    }
    assert subjects == {"validation": "0211", "test": "00010405"}


def test_the_majority_label_of_a_subject_is_the_stratum():
    # ten subjects with mostly 1, ten with mostly 0; every subject has both classes
    sessions = make_sessions([[1, 1, 0]] * 10 + [[0, 0, 1]] * 10)
    for split in make_splits(sessions, SplitConfig(folds=5)):
        positive = [int(subject) < 10 for _, subject in subjects_in(split, "test")]
        assert sorted(positive) == [False, False, True, True]


def test_given_labels_replace_those_of_the_corpus():
    sessions = make_sessions([[None, None]] * 12)
    labels = pd.Series(["sad", None] * 6 + ["calm", "calm"] * 6, index=sessions.index)
    for split in make_splits(sessions, SplitConfig(folds=3), labels=labels):
        sad = [int(subject) < 6 for _, subject in subjects_in(split, "test")]
        assert sorted(sad) == [False, False, True, True]
    with pytest.raises(SplitError):
        make_split(sessions, SplitConfig(folds=3), labels.reset_index(drop=True).iloc[1:])


def test_subjects_without_a_label_are_split_too():
    sessions = make_sessions([[1], [0]] * 6 + [[None]] * 3)
    tested = [subjects_in(split, "test") for split in make_splits(sessions, SplitConfig(folds=3))]
    assert [len(part) for part in tested] == [5, 5, 5]
    assert all(len(part & {("toy", f"{k}") for k in (12, 13, 14)}) == 1 for part in tested)


def test_the_same_id_in_two_corpora_is_two_subjects():
    both = pd.concat(
        [make_sessions([[0], [1]] * 6, "a"), make_sessions([[0], [1]] * 3, "b")], ignore_index=True
    )
    for split in make_splits(both, SplitConfig(folds=3)):
        assert len(split) == 18
        assert Counter(corpus for corpus, _ in subjects_in(split, "test")) == {"a": 4, "b": 2}


def test_the_official_split_is_kept():
    names = ["train", "train", "validation", "validation", "test", "test"]
    sessions = make_sessions([[0, 0], [1, 1], [0], [1], [0], [1]], splits=names)
    split = make_split(sessions, SplitConfig(kind="official"))
    assert split["split"].tolist() == names


def test_missing_official_validation_is_sampled_from_train_by_class():
    sessions = make_sessions([[0], [1]] * 10, splits=["train"] * 10 + ["test"] * 10)
    split = make_split(sessions, SplitConfig(kind="official", validation=0.4))
    assert subjects_in(split, "test") == {("toy", f"{k}") for k in range(10, 20)}
    assert sorted(int(subject) % 2 for _, subject in subjects_in(split, "validation")) == [
        0,
        0,
        1,
        1,
    ]
    assert len(subjects_in(split, "train")) == 6


def test_a_subject_in_two_official_splits_is_refused():
    sessions = make_sessions([[0, 1], [1], [0], [1]], splits=["train", "train", "test", "test"])
    sessions.loc[1, "split"] = "test"
    assert official_overlap(sessions) == {("toy", "00"): ["test", "train"]}
    with pytest.raises(SplitError) as info:
        make_split(sessions, SplitConfig(kind="official"))
    assert (info.value.setting, info.value.subject) == ("split.kind", "00")


@pytest.mark.parametrize(
    ("splits", "subject", "value"),
    [
        (["train", "train", None, "test"], "02", None),
        (["train"] * 4, None, "test"),
        (["test"] * 4, None, "train"),
    ],
)
def test_an_incomplete_official_split_is_refused(splits, subject, value):
    with pytest.raises(SplitError) as info:
        make_split(make_sessions([[0], [1]] * 2, splits=splits), SplitConfig(kind="official"))
    assert (info.value.setting, info.value.subject) == ("split.kind", subject)
    assert info.value.value == value


@pytest.mark.parametrize(
    ("labels", "config", "setting", "value"),
    [
        ([[0], [1]], SplitConfig(folds=2), "split", 2),
        ([[0]] * 4, SplitConfig(folds=5), "split.folds", 5),
        ([[0]] * 9 + [[1]] * 3, SplitConfig(folds=4), "split.folds", 4),
        ([[0]] * 9 + [[1]] * 2, SplitConfig(folds=2), "split.folds", 1),  # class 1
        ([[0]] * 9, SplitConfig(folds=3, fold=3), "split.fold", 3),
        ([[0]] * 9, SplitConfig(kind="official", fold=1), "split.fold", 1),
        (
            [[0]] * 5 + [[1]] * 2,
            SplitConfig(kind="leave_one_subject_out", fold=6),
            "split.validation",
            1,  # class 1
        ),
    ],
)
def test_too_few_subjects_are_refused(labels, config, setting, value):
    with pytest.raises(SplitError) as info:
        make_split(make_sessions(labels), config)
    assert (info.value.setting, info.value.value) == (setting, value)


def test_folds_of_real_recordings_are_disjoint_in_speakers(real_data):
    spec = load_spec("emodb")
    sessions = index_corpus(spec, real_data / "emodb_4emo")[0].sessions
    labels = sessions["emotion"].map({"sadness": 1, "anger": 1, "neutral": 0}).astype("Int64")
    tested = []
    for split in make_splits(sessions, SplitConfig(folds=5), labels=labels):
        merged = sessions.merge(split.drop(columns="corpus"), on="subject", suffixes=("_", ""))
        for _, rows in merged.groupby("split"):
            assert set(rows["emotion"]) >= {"sadness", "anger", "neutral"}
        tested += sorted(subjects_in(split, "test"))
    assert sorted(subject for _, subject in tested) == sorted(set(sessions["subject"]))
