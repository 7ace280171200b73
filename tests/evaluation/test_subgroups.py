"""Metrics by group and their gaps: by hand, against every exchange, under the null, planted."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from nearly import nearly

from depmm.evaluation.covariates import age_bands
from depmm.evaluation.stats.bootstrap import resample_sessions
from depmm.evaluation.subgroups import (
    UNKNOWN,
    _exchanges,
    exchange_p,
    measure_subgroups,
    subgroup_warnings,
)

BINARY = ["binary"]
TRIALS = 40  # simulated studies


def subjects(labels, decided, **columns):
    """One tested session a subject, whose probability says what was decided."""
    table = pd.DataFrame({"y_true": labels, "y_pred": decided, **columns})
    return table.assign(
        corpus="c",
        subject=[f"p{number:03d}" for number in range(len(table))],
        session="1",
        split="test",
        fold=0,
        seed=0,
        y_prob=0.1 + 0.8 * table["y_pred"],
    )


def draw(table, draws=50):
    return resample_sessions(table, draws, 0.95, 0)


def gap(found, grouping, metric="balanced_accuracy"):
    own = [e for e in found["subgroup_gaps"] if (e["grouping"], e["metric"]) == (grouping, metric)]
    assert len(own) == 1
    return own[0]


def women_and_men():
    """Six women, all decided right; six men, of whom one in three of each label is."""
    labels = [0, 0, 0, 1, 1, 1] * 2
    decided = [0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0]
    return subjects(labels, decided, gender=["female"] * 6 + ["male"] * 6)


def random_sessions(tasks=("interview", "reading"), subjects=12, seed=0):
    """Each subject in every task and valence; scores and answers at random."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        product(range(subjects), tasks, ("positive", "negative")),
        columns=["number", "task", "valence"],
    )
    n = len(rows)
    return rows.assign(
        corpus="c",
        subject="p" + rows["number"].astype(str),
        session=rows["task"] + "-" + rows["valence"],
        split="test",
        fold=0,
        seed=0,
        y_true=rows["number"] % 2,
        y_pred=rng.integers(0, 2, n),
        y_prob=rng.random(n),
        score=rows["number"] % 5,
        score_pred=rng.random(n),
    )


# ---- groups ------------------------------------------------------------------------------------


def test_ages_are_cut_to_bands():
    age = pd.Series([29.9, 30, 44, 45, 59.5, 60, 101, np.nan])
    bands = ["<30", "30-44", "30-44", "45-59", "45-59", ">=60", ">=60", None]
    assert age_bands(age).tolist() == bands
    assert age_bands(pd.Series(["31", None])).tolist() == ["30-44", None]
    words = pd.Series(["18-25", "young", None])
    pd.testing.assert_series_equal(age_bands(words), words)


def test_groups_are_measured_as_if_they_were_alone():
    table = random_sessions().assign(age=lambda t: 25 + 15 * (t["number"] % 2))
    found = measure_subgroups(draw(table), ["binary", "severity"], seed=0)
    assert list(found["subgroups"]["age"]) == ["<30", "30-44"]
    assert list(found["subgroups"]["valence"]) == ["negative", "positive"]
    for grouping in ("task", "valence"):
        for name, own in table.groupby(grouping):
            entry = found["subgroups"][grouping][name]
            assert (entry["sessions"], entry["subjects"], entry["positive_sessions"]) == (
                24,
                12,
                12,
            )
            auroc = sk.roc_auc_score(own["y_true"], own["y_prob"])
            assert entry["auroc"]["value"] == pytest.approx(auroc)
            mae = sk.mean_absolute_error(own["score"], own["score_pred"])
            assert entry["mae"]["value"] == pytest.approx(mae)
            assert entry["mae"]["ci_low"] < mae < entry["mae"]["ci_high"]


def test_task_and_valence_are_crossed():
    table = random_sessions()
    table = table[(table["task"] != "reading") | (table["valence"] != "positive")]
    cells = measure_subgroups(draw(table), BINARY, seed=0)["task_by_valence"]
    assert [list(row) for row in cells.values()] == [["negative", "positive"]] * 2
    own = table[(table["task"] == "interview") & (table["valence"] == "positive")]
    entry = cells["interview"]["positive"]
    assert entry["balanced_accuracy"]["value"] == pytest.approx(
        sk.balanced_accuracy_score(own["y_true"], own["y_pred"])
    )
    assert (entry["sessions"], entry["subjects"]) == (12, 12)
    assert cells["reading"]["positive"]["sessions"] == 0
    assert cells["reading"]["positive"]["auroc"]["undefined"] == "no session"
    one_task = measure_subgroups(draw(table.assign(task="reading")), BINARY, seed=0)
    assert one_task["task_by_valence"] is None


def test_what_cannot_be_measured_says_why_and_stays():
    few = subjects([0, 1] * 2, [0, 1] * 2, gender="male")
    one_class = subjects([1] * 6, [1] * 6, gender="female").assign(corpus="d")
    unknown = subjects([0, 1] * 5, [0, 0] * 5).assign(corpus="e", gender=None)
    table = pd.concat([few, one_class, unknown])
    found = measure_subgroups(draw(table), BINARY, seed=0)
    groups = found["subgroups"]["gender"]
    assert list(groups) == ["female", "male", UNKNOWN]
    assert sum(entry["sessions"] for entry in groups.values()) == len(table)
    for name, why in (("male", "fewer than 5 subjects"), ("female", "no negative session")):
        for metric in ("balanced_accuracy", "auroc"):
            assert groups[name][metric]["value"] is None
            assert groups[name][metric]["undefined"] == why
    assert groups[UNKNOWN]["balanced_accuracy"]["value"] == 0.5
    assert gap(found, "gender")["undefined"] == "fewer than two groups have a value"
    assert gap(found, "gender")["outcome"] == "undefined"


def test_a_single_group_is_said_not_shown():
    table = women_and_men().assign(gender="female", task=None, age=70)
    table.loc[3, "age"] = np.nan
    found = measure_subgroups(draw(table), BINARY, seed=0)
    assert (found["subgroups"], found["subgroup_gaps"], found["task_by_valence"]) == ({}, [], None)
    assert found["not_grouped"] == {
        "gender": "all tested sessions are female",
        "age": "all tested sessions are >=60 (1 of 12 not known)",
        "task": "not known of any tested session",
        "valence": "the predictions have no column valence",
        "corpus": "all tested sessions are c",
    }


# ---- gaps --------------------------------------------------------------------------------------


def test_gap_and_p_against_every_exchange():
    table = women_and_men()
    found = gap(measure_subgroups(draw(table, 4000), BINARY, seed=0), "gender")
    assert found["between"] == ["female", "male"]
    assert found["value"] == pytest.approx(2 / 3)  # women 1, men 1/3
    assert found["exchanged"] == "subjects"
    right = (table["y_true"] == table["y_pred"]).to_numpy()
    negative, positive = (np.flatnonzero(table["y_true"] == label) for label in (0, 1))
    gaps = []
    for some, others in product(combinations(negative, 3), combinations(positive, 3)):
        women = [right[list(some)].mean(), right[list(others)].mean()]
        men = [right[list(set(own) - set(chosen))].mean()
               for own, chosen in ((negative, some), (positive, others))]  # fmt: skip
        gaps.append(abs(np.mean(women) - np.mean(men)))
    exact = np.mean(np.array(gaps) >= 2 / 3 - 1e-9)
    assert 0.01 < exact < 0.2
    assert found["p"] == pytest.approx(exact, abs=4 * np.sqrt(exact / 4000))


def test_several_groups_differ_by_largest_less_smallest():
    rng = np.random.default_rng(0)
    table = subjects([0, 1] * 30, rng.integers(0, 2, 60), age=[20, 20, 35, 35, 50, 50] * 10)
    found = measure_subgroups(draw(table), BINARY, seed=0)
    values = {g: e["balanced_accuracy"]["value"] for g, e in found["subgroups"]["age"].items()}
    entry = gap(found, "age")
    best, worst = (pick(values, key=values.get) for pick in (max, min))
    assert entry["between"] == [best, worst]
    assert entry["value"] == pytest.approx(values[best] - values[worst])
    assert (entry["ci_low"], entry["ci_high"]) == (None, None)
    assert 0 < entry["p"] <= 1
    two = gap(measure_subgroups(draw(women_and_men(), 400), BINARY, seed=0), "gender")
    assert two["ci_low"] < two["value"] < two["ci_high"]


@pytest.mark.parametrize(("metric", "task"), [("auroc", "binary"), ("mae", "severity")])
def test_p_is_uniform_where_groups_do_not_matter(metric, task):
    """Women are positive more often and score higher: that they do is no gap."""
    ps = []
    women = np.arange(48) % 2 == 0
    tested = draw(subjects([0] * 48, [0] * 48, gender=np.where(women, "female", "male")), 1)
    for trial in range(TRIALS):
        rng = np.random.default_rng(trial)
        label = (rng.random(48) < np.where(women, 0.6, 0.3)).astype(int)
        score = rng.normal(np.where(women, 18, 12), 7)
        changed = tested.seeds[0].assign(
            y_true=label,
            y_prob=label + rng.normal(size=48),
            score=score,
            score_pred=12 + 0.3 * (score - 12) + rng.normal(0, 3, 48),  # wrong far from the mean
        )
        members = changed.set_index("unit")
        codes, _ = _exchanges(members, "gender", ["female", "male"], task, 99, trial)
        ps.append(exchange_p(replace(tested, seeds={0: changed}), metric, codes))
    ps = np.array(ps)
    for level in (0.05, 0.1, 0.25, 0.5):
        error = np.sqrt(level * (1 - level) / len(ps))
        assert np.mean(ps <= level) == pytest.approx(level, abs=3 * error)


def test_a_planted_gap_is_found_and_said():
    rng = np.random.default_rng(0)
    label = np.tile([0, 1], 40)
    female = np.repeat([True, False], 40)
    logit = np.where(female, 3, 0) * (label - 0.5) + rng.normal(size=80)
    table = subjects(label, (logit > 0).astype(int), gender=np.where(female, "female", "male"))
    table = table.assign(
        y_prob=1 / (1 + np.exp(-logit)), age=np.where(rng.random(80) < 0.5, 25, 50)
    )
    found = measure_subgroups(draw(table, 200), BINARY, seed=0)
    for metric in ("balanced_accuracy", "auroc"):
        entry = gap(found, "gender", metric)
        assert entry["outcome"] == "shown"
        assert entry["ci_low"] > 0
        assert gap(found, "age", metric)["outcome"] == "not shown"
    notes = subgroup_warnings(found["subgroup_gaps"])
    assert len(notes) == 2
    assert "higher for female than for male (gender; p = " in notes[0]
    assert "adjusted for 4 tests" in notes[0]
    p = sorted(entry["p"] for entry in found["subgroup_gaps"])
    adjusted = np.minimum(np.maximum.accumulate([p[k] * (4 - k) for k in range(4)]), 1)
    assert sorted(entry["p_adjusted"] for entry in found["subgroup_gaps"]) == pytest.approx(
        adjusted
    )


def test_an_error_that_is_larger_is_called_worse():
    table = random_sessions(subjects=20)
    table["score_pred"] = table["score"] + np.where(table["task"] == "reading", 5.0, 0.1)
    found = measure_subgroups(draw(table, 200), ["severity"], seed=0)
    notes = subgroup_warnings(found["subgroup_gaps"])
    assert "RMSE is 4.90 higher (worse) for reading than for interview (task;" in notes[0]


# ---- what is exchanged -------------------------------------------------------------------------


def members_of(table):
    return table.reset_index(drop=True).rename_axis("unit")


def test_subjects_are_exchanged_with_all_sessions_within_their_label():
    table = members_of(random_sessions())
    table["gender"] = np.where(table["number"] < 5, "female", "male")
    for task, stratum in (
        ("binary", table["y_true"]),
        ("severity", table["score"] >= 3),  # 12 subjects score 0 1 2 3 4 0 1 2 3 4 0 1
    ):
        codes, what = _exchanges(table, "gender", ["female", "male"], task, 30, 0)
        assert what == "subjects"
        assert codes[0].tolist() == (table["gender"] == "male").astype(int).tolist()
        assert len(np.unique(codes, axis=0)) > 10
        for row in codes:
            of_subject = table.assign(row=row).groupby("number")["row"]
            assert (of_subject.min() == of_subject.max()).all()
            for own in (stratum, ~stratum.astype(bool)):
                chosen = own.to_numpy(bool)
                assert row[chosen].sum() == codes[0][chosen].sum()


def test_sessions_are_exchanged_within_their_subject_and_label():
    table = members_of(random_sessions(tasks=("a", "b", "c")))
    table["y_true"] = np.arange(len(table)) % 2  # both labels in every subject
    codes, what = _exchanges(table, "task", ["a", "b"], "binary", 30, 0)
    assert what == "sessions of a subject"
    assert (codes[:, table["task"] == "c"] == -1).all()  # not compared, not moved
    assert len(np.unique(codes, axis=0)) > 10
    blocks = table.groupby(["number", "y_true"]).indices
    for places in blocks.values():
        assert (np.sort(codes[:, places], axis=1) == np.sort(codes[0, places])).all()


def test_nothing_to_exchange_is_no_test():
    """Women have one label each, men both: no two of a stratum are of different groups."""
    women = subjects([0, 1] * 5, [0, 1] * 5, gender="female")
    men = subjects([0] * 6, [0, 1] * 3, gender="male").assign(corpus="d")
    again = men.assign(session="2", y_true=1)
    found = measure_subgroups(draw(pd.concat([women, men, again])), BINARY, seed=0)
    entry = gap(found, "gender")
    assert (entry["value"], entry["p"], entry["outcome"]) == (0.5, None, "undefined")
    assert entry["undefined"] == "no subjects of the same label are of different groups"


def test_seeds_are_averaged_and_exchanged_together():
    first = women_and_men()
    second = first.assign(seed=1, y_pred=1 - first["y_pred"], y_prob=1 - first["y_prob"])
    found = gap(measure_subgroups(draw(pd.concat([first, second])), BINARY, seed=0), "gender")
    assert found["value"] == pytest.approx(0)  # 2/3 and -2/3
    assert found["p"] == 1
    twice = pd.concat([first, first.assign(seed=1)])
    one, two = (
        measure_subgroups(draw(table), BINARY, seed=0)["subgroup_gaps"] for table in (first, twice)
    )
    assert one == nearly(two)
