"""Gaps between subgroups: against every permutation, under the null, and simulated."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from nearly import nearly
from subgroup_tables import find_gap, random_sessions, resample, subject_table, women_and_men

from depmm.evaluation.subgroup_gaps import permutation_p, permute_subgroups
from depmm.evaluation.subgroups import measure_subgroups, subgroup_warnings

BINARY = ["binary"]


TRIALS = 40  # simulated studies


def test_p_value_equals_the_enumeration_of_all_permutations():
    table = women_and_men()
    result = find_gap(measure_subgroups(resample(table, 4000), BINARY, seed=0), "gender")
    assert result["between"] == ["female", "male"]
    assert result["value"] == pytest.approx(2 / 3)  # women 1, men 1/3
    assert result["exchanged"] == "subjects"
    right = (table["y_true"] == table["y_pred"]).to_numpy()
    negative, positive = (np.flatnonzero(table["y_true"] == label) for label in (0, 1))
    gaps = []
    for some, others in product(combinations(negative, 3), combinations(positive, 3)):
        women = [right[list(some)].mean(), right[list(others)].mean()]
        men = [right[list(set(members) - set(chosen))].mean()
               for members, chosen in ((negative, some), (positive, others))]  # fmt: skip
        gaps.append(abs(np.mean(women) - np.mean(men)))
    exact = np.mean(np.array(gaps) >= 2 / 3 - 1e-9)
    assert 0.01 < exact < 0.2
    assert result["p"] == pytest.approx(exact, abs=4 * np.sqrt(exact / 4000))


def test_gap_of_several_subgroups_is_largest_minus_smallest():
    rng = np.random.default_rng(0)
    table = subject_table([0, 1] * 30, rng.integers(0, 2, 60), age=[20, 20, 35, 35, 50, 50] * 10)
    result = measure_subgroups(resample(table), BINARY, seed=0)
    values = {g: e["balanced_accuracy"]["value"] for g, e in result["subgroups"]["age"].items()}
    entry = find_gap(result, "age")
    best, worst = (pick(values, key=values.get) for pick in (max, min))
    assert entry["between"] == [best, worst]
    assert entry["value"] == pytest.approx(values[best] - values[worst])
    assert (entry["ci_low"], entry["ci_high"]) == (None, None)
    assert 0 < entry["p"] <= 1
    two = find_gap(measure_subgroups(resample(women_and_men(), 400), BINARY, seed=0), "gender")
    assert two["ci_low"] < two["value"] < two["ci_high"]


@pytest.mark.parametrize(("metric", "target"), [("auroc", "binary"), ("mae", "severity")])
def test_p_values_are_uniform_under_the_null(metric, target):
    """Women are positive more often and have higher scores, which is not a gap."""
    ps = []
    women = np.arange(48) % 2 == 0
    tested = resample(
        subject_table([0] * 48, [0] * 48, gender=np.where(women, "female", "male")), 1
    )
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
        codes, _ = permute_subgroups(members, "gender", ["female", "male"], target, 99, trial)
        ps.append(permutation_p(replace(tested, seeds={0: changed}), metric, codes))
    ps = np.array(ps)
    for level in (0.05, 0.1, 0.25, 0.5):
        error = np.sqrt(level * (1 - level) / len(ps))
        assert np.mean(ps <= level) == pytest.approx(level, abs=3 * error)


def test_a_simulated_gap_is_shown():
    rng = np.random.default_rng(0)
    label = np.tile([0, 1], 40)
    female = np.repeat([True, False], 40)
    logit = np.where(female, 3, 0) * (label - 0.5) + rng.normal(size=80)
    table = subject_table(label, (logit > 0).astype(int), gender=np.where(female, "female", "male"))
    table = table.assign(
        y_prob=1 / (1 + np.exp(-logit)), age=np.where(rng.random(80) < 0.5, 25, 50)
    )
    result = measure_subgroups(resample(table, 200), BINARY, seed=0)
    for metric in ("balanced_accuracy", "auroc"):
        entry = find_gap(result, "gender", metric)
        assert entry["outcome"] == "shown"
        assert entry["ci_low"] > 0
        assert find_gap(result, "age", metric)["outcome"] == "not shown"
    notes = subgroup_warnings(result["subgroup_gaps"])
    assert len(notes) == 2
    for note, metric in zip(notes, ("balanced_accuracy", "auroc"), strict=True):
        assert f"{find_gap(result, 'gender', metric)['value']:.2f} higher for female" in note
    p = sorted(entry["p"] for entry in result["subgroup_gaps"])
    adjusted = np.minimum(np.maximum.accumulate([p[k] * (4 - k) for k in range(4)]), 1)
    assert sorted(entry["p_adjusted"] for entry in result["subgroup_gaps"]) == pytest.approx(
        adjusted
    )


def members_of(table):
    return table.reset_index(drop=True).rename_axis("unit")


def test_subjects_are_permuted_with_all_sessions_within_strata():
    table = members_of(random_sessions())
    table["gender"] = np.where(table["number"] < 5, "female", "male")
    for target, stratum in (
        ("binary", table["y_true"]),
        ("severity", table["score"] >= 3),  # 12 subjects score 0 1 2 3 4 0 1 2 3 4 0 1
    ):
        codes, exchanged = permute_subgroups(table, "gender", ["female", "male"], target, 30, 0)
        assert exchanged == "subjects"
        assert codes[0].tolist() == (table["gender"] == "male").astype(int).tolist()
        assert len(np.unique(codes, axis=0)) > 10
        for row in codes:
            by_subject = table.assign(row=row).groupby("number")["row"]
            assert (by_subject.min() == by_subject.max()).all()
            for members in (stratum, ~stratum.astype(bool)):
                chosen = members.to_numpy(bool)
                assert row[chosen].sum() == codes[0][chosen].sum()


def test_sessions_are_permuted_within_subject_and_label():
    table = members_of(random_sessions(tasks=("a", "b", "c")))
    table["y_true"] = np.arange(len(table)) % 2  # both labels in every subject
    codes, exchanged = permute_subgroups(table, "task", ["a", "b"], "binary", 30, 0)
    assert exchanged == "sessions of a subject"
    assert (codes[:, table["task"] == "c"] == -1).all()  # not compared, not moved
    assert len(np.unique(codes, axis=0)) > 10
    blocks = table.groupby(["number", "y_true"]).indices
    for members in blocks.values():
        assert (np.sort(codes[:, members], axis=1) == np.sort(codes[0, members])).all()


def test_no_p_value_without_exchangeable_subjects():
    """Women have one label each, men both: no stratum has two subgroups."""
    women = subject_table([0, 1] * 5, [0, 1] * 5, gender="female")
    men = subject_table([0] * 6, [0, 1] * 3, gender="male").assign(corpus="d")
    again = men.assign(session="2", y_true=1)
    result = measure_subgroups(resample(pd.concat([women, men, again])), BINARY, seed=0)
    entry = find_gap(result, "gender")
    assert (entry["value"], entry["p"], entry["outcome"]) == (0.5, None, "undefined")
    assert "subjects of the same label" in entry["undefined"]


def test_seeds_are_averaged_and_permuted_together():
    first = women_and_men()
    second = first.assign(seed=1, y_pred=1 - first["y_pred"], y_prob=1 - first["y_prob"])
    result = find_gap(
        measure_subgroups(resample(pd.concat([first, second])), BINARY, seed=0), "gender"
    )
    assert result["value"] == pytest.approx(0)  # 2/3 and -2/3
    assert result["p"] == 1
    twice = pd.concat([first, first.assign(seed=1)])
    one, two = (
        measure_subgroups(resample(table), BINARY, seed=0)["subgroup_gaps"]
        for table in (first, twice)
    )
    for gap in (*one, *two):  # the bounds of clustered sessions differ slightly
        del gap["ci_low"], gap["ci_high"]
    assert one == nearly(two)
