"""Splits of people: disjoint, complete, stratified, repeatable; and their refusals."""

import hashlib
import random
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from depmm.config import SplitConfig
from depmm.corpora.index import index_corpus
from depmm.corpora.spec import load_spec
from depmm.corpora.splits import (
    SplitError,
    check_disjoint,
    count_folds,
    make_folds,
    make_split,
    official_overlap,
    read_split,
    write_split,
)


def people(labels: list[list[int | None]], corpus: str = "toy", splits: list | None = None):
    """A sessions table: one person for each list, one session for each label in it."""
    rows = [
        {
            "corpus": corpus, "subject": f"{number:02}", "session": f"{number:02}-{k}",
            "label": label, "split": splits[number] if splits else None, "gender": None,
        }
        for number, own in enumerate(labels)
        for k, label in enumerate(own)
    ]  # fmt: skip
    table = pd.DataFrame(rows).astype({"label": "Int8"})
    return table.assign(split=table["split"].astype("str"))


def folds(sessions: pd.DataFrame, config: SplitConfig, **more) -> list[pd.DataFrame]:
    return [
        make_split(sessions, config.model_copy(update={"fold": fold}), **more)
        for fold in range(count_folds(sessions, config))
    ]


def of(split: pd.DataFrame, name: str) -> set[tuple[str, str]]:
    chosen = split[split["split"] == name]
    return set(zip(chosen["corpus"], chosen["subject"], strict=True))


TWENTY_THREE = people([[k % 3 == 0] * (1 + k % 4) for k in range(23)])  # 8 of 23 positive


@pytest.mark.parametrize(
    ("kind", "seed"), [("k_fold", 0), ("k_fold", 1), ("leave_one_subject_out", 0)]
)
def test_every_person_is_tested_once_and_never_on_two_sides(kind, seed):
    config = SplitConfig(kind=kind, folds=5, seed=seed)
    everyone = set(zip(TWENTY_THREE["corpus"], TWENTY_THREE["subject"], strict=True))
    tested = Counter()
    for split in folds(TWENTY_THREE, config):
        check_disjoint(split)
        assert not split.duplicated(["corpus", "subject"]).any()
        assert of(split, "train") | of(split, "validation") | of(split, "test") == everyone
        tested.update(of(split, "test"))
    assert tested == dict.fromkeys(everyone, 1)


def test_k_fold_is_stratified_by_people():
    positive = {("toy", f"{k:02}") for k in range(0, 23, 3)}
    for split in folds(TWENTY_THREE, SplitConfig(folds=4, validation=0.25)):
        assert len(of(split, "test")) in (5, 6)
        assert len(of(split, "test") & positive) == 2
        # of the rest, a quarter of each class: 6 positive -> 2 (1.5), 11 or 12 negative -> 3
        assert len(of(split, "validation") & positive) == 2
        assert len(of(split, "validation") - positive) == 3


def random_corpora(seed: int) -> pd.DataFrame:
    """Up to three corpora that share ids; people of several sessions, labels and genders mixed."""
    draw = random.Random(seed)
    rows = []
    for corpus in ["a", "b", "c"][: draw.randint(1, 3)]:
        women, depressed, unknown = draw.random(), draw.uniform(0.2, 0.8), draw.choice([0, 0, 0.3])
        for number in range(draw.randint(12, 60)):
            gender = None if draw.random() < unknown else ["male", "female"][draw.random() < women]
            label = int(draw.random() < depressed)
            rows += [
                (corpus, f"{number:02}", f"{number:02}-{k}", label, gender, None)
                for k in range(draw.randint(1, 3))
            ]
    names = ["corpus", "subject", "session", "label", "gender", "split"]
    return pd.DataFrame(rows, columns=names).astype({"label": "Int8"})


def spread(tested: list[pd.DataFrame], columns: list[str]) -> int:
    """By how many people of one kind two folds differ at most."""
    counts = pd.DataFrame(
        [Counter(map(tuple, fold[columns].fillna("?").to_numpy().tolist())) for fold in tested]
    ).fillna(0)
    return int((counts.max() - counts.min()).max())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_folds_share_out_label_gender_and_corpus(seed):
    sessions = random_corpora(seed)
    everyone = sessions.drop_duplicates(["corpus", "subject"])
    config = SplitConfig(folds=2 + seed % 5, seed=seed)
    splits = folds(sessions, config)
    tested = [
        everyone.merge(split[split["split"] == "test"].drop(columns="split")) for split in splits
    ]
    assert sorted(map(tuple, pd.concat(tested)[["corpus", "subject"]].to_numpy())) == sorted(
        map(tuple, everyone[["corpus", "subject"]].to_numpy())
    )
    for columns in (
        ["label"], ["label", "gender"], ["label", "gender", "corpus"], ["corpus"],
        ["corpus", "gender"], [],
    ):  # fmt: skip
        assert spread(tested, columns) <= 1, columns
    assert spread(tested, ["gender"]) <= min(2, everyone["corpus"].nunique())
    for split in splits:
        check_disjoint(split)
    shuffled = sessions.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(make_split(shuffled, config), splits[0])


@pytest.mark.parametrize("kind", ["k_fold", "leave_one_subject_out"])
@pytest.mark.parametrize("seed", range(5))
def test_validation_people_are_drawn_in_strata(kind, seed):
    sessions = random_corpora(seed)
    config = SplitConfig(kind=kind, seed=seed, fold=3, validation=0.25)
    everyone = sessions.drop_duplicates(["corpus", "subject"]).drop(columns="split")
    rest = everyone.merge(make_split(sessions, config)).query("split != 'test'")
    for _, own in rest.groupby("label"):
        chosen = own[own["split"] == "validation"]
        assert len(chosen) == max(1, round(0.25 * len(own)))
        for _, gender in own.groupby("gender", dropna=False):
            share = len(gender) * len(chosen) / len(own)
            assert abs((gender["split"] == "validation").sum() - share) < 1


def test_without_gender_in_the_balance_women_may_gather_in_a_fold():
    # the two designs differ: otherwise the tests above would say nothing about gender
    uneven = [
        spread(
            [
                sessions.drop(columns="split").merge(split).query("split == 'test'")
                for split in folds(sessions, SplitConfig(stratify_by=["label"], seed=seed))
            ],
            ["gender"],
        )
        for seed, sessions in (
            (k, random_corpora(k).drop_duplicates(["corpus", "subject"])) for k in range(5)
        )
    ]
    assert max(uneven) > 3


@pytest.mark.parametrize("stratify_by", [["label"], ["label", "gender", "corpus"]])
def test_people_who_differ_in_their_label_alone_are_dealt_in_turn(stratify_by):
    # so were all folds before gender was balanced: published ones stay what they were
    def place(person: tuple[str, str]) -> tuple[bool, bytes]:
        positive = int(person[1]) % 3 == 0
        return positive, hashlib.sha256(repr((7, *person)).encode()).digest()

    dealt = sorted({("toy", f"{k:02}") for k in range(23)}, key=place)
    splits = folds(TWENTY_THREE, SplitConfig(folds=5, seed=7, stratify_by=stratify_by))
    assert [of(split, "test") for split in splits] == [set(dealt[k::5]) for k in range(5)]


def test_repeats_deal_everybody_anew():
    config = SplitConfig(folds=4, repeats=3, seed=1)
    splits = folds(TWENTY_THREE, config)
    assert len(splits) == count_folds(TWENTY_THREE, config) == 12
    everyone = set(zip(TWENTY_THREE["corpus"], TWENTY_THREE["subject"], strict=True))
    for repeat in range(3):
        tested = [of(split, "test") for split in splits[4 * repeat : 4 * repeat + 4]]
        assert Counter(person for part in tested for person in part) == dict.fromkeys(everyone, 1)
    assert len({frozenset(of(split, "test")) for split in splits}) == 12
    assert len({frozenset(of(split, "validation")) for split in splits}) == 12
    once = folds(TWENTY_THREE, SplitConfig(folds=4, seed=1))
    for split, same in zip(splits, once, strict=False):
        pd.testing.assert_frame_equal(split, same)  # more repeats change none of those there are
    with pytest.raises(SplitError, match=r"split\.fold is 12, but there are 12 folds"):
        make_split(TWENTY_THREE, config.model_copy(update={"fold": 12}))


def test_leave_one_out_counts_people():
    config = SplitConfig(kind="leave_one_subject_out", fold=4)
    assert count_folds(TWENTY_THREE, config) == 23
    assert of(make_split(TWENTY_THREE, config), "test") == {("toy", "04")}
    assert count_folds(TWENTY_THREE, SplitConfig(folds=7)) == 7
    assert count_folds(TWENTY_THREE, SplitConfig(kind="official")) == 1


def test_a_split_depends_on_the_seed_but_not_on_the_order_of_rows():
    config = SplitConfig(folds=5, seed=3)
    split = make_split(TWENTY_THREE, config)
    shuffled = TWENTY_THREE.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(split, make_split(shuffled, config))
    other = make_split(TWENTY_THREE, SplitConfig(folds=5, seed=4))
    assert of(split, "test") != of(other, "test")
    assert of(split, "validation") != of(other, "validation")


def test_a_split_is_the_same_on_every_machine():
    # pinned: folds that others have published must not change with a version of anything
    split = make_split(people([[0], [1]] * 6), SplitConfig(folds=3, fold=1, seed=0))
    named = {
        name: "".join(sorted(p[1] for p in of(split, name))) for name in ("validation", "test")
    }
    assert named == {"validation": "0211", "test": "00010405"}


def test_a_persons_majority_label_is_the_stratum():
    # ten people with mostly 1, ten with mostly 0; every person has both classes
    sessions = people([[1, 1, 0]] * 10 + [[0, 0, 1]] * 10)
    for split in folds(sessions, SplitConfig(folds=5)):
        numbers = [int(subject) < 10 for _, subject in of(split, "test")]
        assert sorted(numbers) == [False, False, True, True]


def test_labels_of_the_task_replace_those_of_the_corpus():
    sessions = people([[None, None]] * 12)
    labels = pd.Series(["sad", None] * 6 + ["calm", "calm"] * 6, index=sessions.index)
    for split in folds(sessions, SplitConfig(folds=3), labels=labels):
        sad = [int(subject) < 6 for _, subject in of(split, "test")]
        assert sorted(sad) == [False, False, True, True]
    with pytest.raises(SplitError, match="one label for each row"):
        make_split(sessions, SplitConfig(folds=3), labels.reset_index(drop=True).iloc[1:])


def test_people_without_a_label_are_split_too():
    sessions = people([[1], [0]] * 6 + [[None]] * 3)
    tested = [of(split, "test") for split in folds(sessions, SplitConfig(folds=3))]
    assert [len(part) for part in tested] == [5, 5, 5]
    assert all(len(part & {("toy", f"{k}") for k in (12, 13, 14)}) == 1 for part in tested)


def test_one_name_in_two_corpora_is_two_people():
    both = pd.concat([people([[0], [1]] * 6, "a"), people([[0], [1]] * 3, "b")], ignore_index=True)
    for split in folds(both, SplitConfig(folds=3)):
        assert len(split) == 18
        assert Counter(corpus for corpus, _ in of(split, "test")) == {"a": 4, "b": 2}


def test_the_official_split_is_kept():
    names = ["train", "train", "validation", "validation", "test", "test"]
    sessions = people([[0, 0], [1, 1], [0], [1], [0], [1]], splits=names)
    split = make_split(sessions, SplitConfig(kind="official"))
    assert split["split"].tolist() == names


def test_official_validation_is_drawn_from_train_by_class_when_absent():
    sessions = people([[0], [1]] * 10, splits=["train"] * 10 + ["test"] * 10)
    split = make_split(sessions, SplitConfig(kind="official", validation=0.4))
    assert of(split, "test") == {("toy", f"{k}") for k in range(10, 20)}
    assert sorted(int(subject) % 2 for _, subject in of(split, "validation")) == [0, 0, 1, 1]
    assert len(of(split, "train")) == 6


def test_a_person_in_two_official_splits_is_named():
    sessions = people([[0, 1], [1], [0], [1]], splits=["train", "train", "test", "test"])
    sessions.loc[1, "split"] = "test"
    assert official_overlap(sessions) == {("toy", "00"): ["test", "train"]}
    with pytest.raises(SplitError, match=r"1 people .* toy/00 in test and train.*k_fold"):
        make_split(sessions, SplitConfig(kind="official"))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            ["train", "train", None, "test"],
            "1 people have no official split: toy/02. Give the spec",
        ),
        (["train"] * 4, "no test people. Use split.kind k_fold"),
        (["test"] * 4, "no train people"),
    ],
)
def test_an_incomplete_official_split_is_refused(splits, message):
    with pytest.raises(SplitError, match=re.escape(message)):
        make_split(people([[0], [1]] * 2, splits=splits), SplitConfig(kind="official"))


@pytest.mark.parametrize(
    ("labels", "config", "message"),
    [
        ([[0], [1]], SplitConfig(folds=2), "2 people: .* at least 3. Add"),
        ([[0]] * 4, SplitConfig(folds=5), "4 people for 5 folds. Lower split.folds to at most 4"),
        ([[0]] * 9 + [[1]] * 3, SplitConfig(folds=4), "class 1: 3 people for 4 folds.*at most 3"),
        ([[0]] * 9 + [[1]] * 2, SplitConfig(folds=2), "validation has no session of class 1"),
        ([[0]] * 9, SplitConfig(folds=3, fold=3), "split.fold is 3.*choose 0 to 2"),
        ([[0]] * 9, SplitConfig(kind="official", fold=1), "split.fold is 1.*choose 0 to 0"),
        (
            [[0]] * 5 + [[1]] * 2,
            SplitConfig(kind="leave_one_subject_out", fold=6),
            "has no session of class 1, which 2 people have",
        ),
    ],
)
def test_too_few_people_are_refused_with_a_remedy(labels, config, message):
    with pytest.raises(SplitError, match=message):
        make_split(people(labels), config)


def test_a_saved_split_keeps_ids_as_text(tmp_path):
    sessions = people([[0], [1]] * 4).replace({"subject": {"03": "NA", "04": "null"}})
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
def test_folds_from_a_file_are_those_that_were_written(tmp_path, config):
    sessions = random_corpora(4)
    path = tmp_path / "folds.csv"
    write_split(make_folds(sessions, config), path)
    filed = SplitConfig(kind="file", file=path, seed=9)
    for split, same in zip(folds(sessions, config), folds(sessions, filed), strict=True):
        pd.testing.assert_frame_equal(split, same)
    # a corpus of which some recordings are lost: those who are left stay where they were
    some = sessions[sessions["subject"] != "05"]
    split = make_split(some, filed.model_copy(update={"fold": 1}))
    pd.testing.assert_frame_equal(
        split,
        make_split(sessions, config.model_copy(update={"fold": 1})).merge(
            some[["corpus", "subject"]].drop_duplicates()
        ),
    )


def test_the_split_of_a_run_is_a_file_too(tmp_path):
    split = make_split(TWENTY_THREE, SplitConfig(fold=2))
    write_split(split, tmp_path / "split.csv")
    filed = SplitConfig(kind="file", file=tmp_path / "split.csv")
    assert count_folds(TWENTY_THREE, filed) == 1
    pd.testing.assert_frame_equal(make_split(TWENTY_THREE, filed), split)


def test_a_file_without_validation_people_leaves_them_to_be_drawn(tmp_path):
    path = tmp_path / "folds.csv"
    full = make_folds(TWENTY_THREE, SplitConfig(folds=3))
    full.replace({"split": {"validation": "train"}}).to_csv(path, index=False)
    filed = SplitConfig(kind="file", file=path, validation=0.3)
    for fold, split in enumerate(folds(TWENTY_THREE, filed)):
        own = full[full["fold"] == fold]
        assert of(split, "test") == of(own, "test")
        assert len(of(split, "validation")) == 5  # of 15 or 16: 0.3 of each class


FILE = "corpus,subject,fold,split\n" + "".join(
    f"toy,{k:02},{fold},{('train', 'validation', 'test')[(k // 2 + fold) % 3]}\n"
    for fold in range(2)
    for k in range(6)
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("toy,03,1,test\n", ""), "fold 1: 1 people of the manifest are not in it: toy/03. Add"),
        (("toy,03,1,test", "toy,3,1,test"), "not in it: toy/03"),
        (("toy,03,1,test", "toy,02,1,test"), "fold 1: 1 people stand more than once: toy/02 in"),
        (("toy,03,1,test", "toy,03,1,dev"), "fold 1: split: 'dev' is unknown. Use train"),
        (("toy,03,1,test", "toy,03,one,test"), "folds.csv: fold is 'one'. Number the folds from 0"),
        (("toy,03,1,test", "toy,03,3,test"), "the folds are [0, 1, 3], not 0, 1, 2"),
        (("1,test", "1,train"), "fold 1: split: test is empty"),
        ((FILE, "corpus,subject,fold,split\n"), "the folds are [], not 0"),
        (("", ""), "split.fold is 2, but there are 2 folds: choose 0 to 1"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused(tmp_path, change, message):
    path = tmp_path / "folds.csv"
    path.write_text(FILE.replace(*change) if change[0] else FILE)
    config = SplitConfig(kind="file", file=path, fold=1 if change[0] else 2)
    with pytest.raises(SplitError, match=re.escape(message)):
        make_split(people([[0], [1]] * 3), config)


def test_a_file_of_other_people_is_refused(tmp_path):
    path = tmp_path / "folds.csv"
    path.write_text(FILE)
    sessions = people([[0], [1]] * 3)
    some = sessions[sessions["subject"].isin(["00", "01", "02", "03"])]
    with pytest.raises(SplitError, match="fold 0: none of its test people takes part"):
        make_split(some, SplitConfig(kind="file", file=path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("corpus,subject\na,1\n", "column 'split' is missing. Add it"),
        ("corpus,subject,split\na,1,dev\n", "'dev' is unknown. Use train"),
        (
            "corpus,subject,split\na,1,train\na,1,test\na,2,validation\n",
            "1 people stand more than once: a/1 in train and test. Keep",
        ),
        ("corpus,subject,split\na,1,train\na,2,test\n", "validation is empty"),
        ("", "cannot be read as CSV"),
    ],
)
def test_a_bad_split_file_is_refused(tmp_path, text, message):
    path = tmp_path / "fold.csv"
    path.write_text(text)
    with pytest.raises(SplitError, match=re.escape(message)) as caught:
        read_split(path)
    assert "fold.csv" in str(caught.value)


def test_a_split_with_a_person_twice_is_not_written(tmp_path):
    split = make_split(TWENTY_THREE, SplitConfig())
    with pytest.raises(SplitError, match="stand more than once: toy/00"):
        write_split(pd.concat([split, split.head(1)]), tmp_path / "fold.csv")
    assert not (tmp_path / "fold.csv").exists()


def test_folds_of_the_real_emotional_speakers_are_speaker_disjoint(real_data):
    spec = load_spec(Path(__file__).parents[2] / "data_specs" / "emodb.yaml")
    sessions = index_corpus(spec, real_data / "emodb_4emo")[0].sessions
    labels = sessions["emotion"].map({"sadness": 1, "anger": 1, "neutral": 0}).astype("Int8")
    tested = []
    for split in folds(sessions, SplitConfig(folds=5), labels=labels):
        sides = sessions.merge(split.drop(columns="corpus"), on="subject", suffixes=("_", ""))
        for _, rows in sides.groupby("split"):
            assert set(rows["emotion"]) >= {"sadness", "anger", "neutral"}
        tested += sorted(of(split, "test"))
    assert sorted(subject for _, subject in tested) == sorted(set(sessions["subject"]))
