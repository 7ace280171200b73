"""Pairwise comparison of runs."""

import numpy as np
import pandas as pd
import pytest
from simulated_predictions import (
    paired_predictions,
)

from depmm.evaluation.comparison import PairingError, compare_runs
from depmm.evaluation.stats.binary_metrics import auroc
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.multiple_testing import benjamini_hochberg, holm


def test_runs_are_compared_in_pairs():
    seeds = tuple(range(6))
    runs = {"good": paired_predictions(2, seeds), "fair": paired_predictions(0.5, seeds)}
    runs["same"] = runs["good"].sample(frac=1, random_state=0)
    table = compare_runs(runs, ["auroc", "mae", "quadratic_kappa"], n_bootstrap=300)
    assert len(table) == 3 * 3
    assert table["p_adjusted"].tolist() == pytest.approx(holm(table["p"]).tolist())
    assert set(table["subjects"]) == {24}
    by_pair = table.set_index(["metric", "run_a", "run_b"])
    same = by_pair.loc["auroc", "good", "same"]
    assert same[["difference", "ci_low", "ci_high", "p"]].tolist() == pytest.approx(
        [0, 0, 0, 1], abs=1e-12
    )
    row = by_pair.loc["auroc", "good", "fair"]
    tested = runs["good"].query("split == 'test'")
    each = [
        auroc(rows["y_true"], rows["y_prob"], unit_weights(24))[0]
        for _, rows in tested.groupby("seed")
    ]
    assert row["value_a"] == pytest.approx(np.mean(each))
    assert row["difference"] == pytest.approx(row["value_a"] - row["value_b"])
    assert row["ci_low"] < row["difference"] < row["ci_high"]
    assert row["method"] == "t, subjects and seeds"
    assert row["p"] < 0.05
    assert by_pair.loc["mae", "good", "fair"]["difference"] < 0  # a smaller error
    several = {name: paired_predictions(skill, sessions=2) for name, skill in (("a", 1), ("b", 2))}
    result = compare_runs(several, ["auroc"], n_bootstrap=50, unit="subject")
    assert result.loc[0, ["unit", "sessions", "subjects"]].tolist() == ["subject", 24, 24]
    result = compare_runs(several, ["auroc"], n_bootstrap=50)
    assert result.loc[0, ["unit", "sessions", "subjects"]].tolist() == ["session", 48, 24]
    result = compare_runs(runs, ["auroc"], n_bootstrap=300, adjustment="benjamini_hochberg")
    adjusted = benjamini_hochberg(result["p"])
    assert result["p_adjusted"].tolist() == pytest.approx(adjusted.tolist())


def test_several_seeds_beside_a_deterministic_system():
    runs = {"network": paired_predictions(1.2, seeds=(0, 1, 2)), "rules": paired_predictions(1)}
    row = compare_runs(runs, ["auroc"], n_bootstrap=300).iloc[0]
    assert row[["seeds_a", "seeds_b"]].tolist() == [3, 1]
    assert row["method"].startswith("t, subjects and seeds")
    assert (row["ci_low"] > 0 or row["ci_high"] < 0) == (row["p"] <= 0.05)
    repeated = runs["rules"].assign(fold=1)
    runs["repeated"] = pd.concat([runs["rules"], repeated])
    row = compare_runs(runs, ["auroc"], n_bootstrap=300).iloc[-1]
    assert row[["seeds_a", "seeds_b"]].tolist() == [1, 1]
    assert row["method"].startswith("t, subjects")


def test_two_perfect_runs_have_an_interval():
    table = paired_predictions(1)
    perfect = [table.assign(y_prob=0.2 + 0.5 * table["y_true"] + s * 0.01) for s in (0, 1)]
    perfect[1]["y_prob"] += 0.001 * np.arange(len(table)) / len(table)
    runs = dict(zip("ab", perfect, strict=True))
    for row in compare_runs(runs, ["auroc", "balanced_accuracy"], n_bootstrap=300).itertuples():
        assert (row.difference, row.p) == (0, 1)
        assert "MOVER" in row.method
        assert row.ci_low < -0.05 < 0.05 < row.ci_high
    equal = compare_runs({"a": table, "b": table}, ["auroc"], n_bootstrap=50).iloc[0]
    assert (equal["ci_low"], equal["ci_high"], equal["method"]) == (0, 0, "exact")


def without(table, subject):
    return table[table["subject"] != subject]


@pytest.mark.parametrize(
    ("change", "column", "in_message"),
    [
        (lambda t: without(t, "p3"), "session", "c/p3/0"),
        (lambda t: t[t["subject"].str.len() > 2], "session", "c/p0/0, c/p1/0, c/p2/0 and 7 more"),
        (
            lambda t: t.assign(y_true=t["y_true"].where(t["subject"] != "p4", 1)),
            "y_true",
            "c/p4/0",
        ),
    ],
)
def test_runs_on_other_sessions_or_labels_are_named(change, column, in_message):
    table = paired_predictions(1)
    with pytest.raises(PairingError) as info:
        compare_runs({"a": table, "b": change(table)}, ["auroc"], n_bootstrap=10)
    assert info.value.column == column
    assert in_message in str(info.value)


def test_runs_that_cannot_be_compared():
    table = paired_predictions(1)
    with pytest.raises(PairingError) as info:
        compare_runs({"a": table}, ["auroc"])
    assert info.value.value == ["a"]
    with pytest.raises(PairingError) as info:
        compare_runs({"a": table, "b": table}, ["auc"])
    assert info.value.value == "auc"
    binary = table.drop(columns=["score_pred", "score"])
    with pytest.raises(PairingError) as info:
        compare_runs({"a": table, "b": binary}, ["mae"], n_bootstrap=10)
    assert info.value.column == "score_pred"
    unlabelled = table.drop(columns=["y_true", "y_prob"])
    with pytest.raises(PairingError) as info:
        compare_runs({"a": table, "b": unlabelled}, ["mae"], n_bootstrap=10, class_counts="fixed")
    assert info.value.column == "y_true"
