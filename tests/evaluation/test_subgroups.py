"""Metrics by subgroup, and the the reasons for missing values."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from subgroup_tables import find_gap, random_sessions, resample, subject_table, women_and_men

from depmm.evaluation.subgroup_gaps import UNKNOWN
from depmm.evaluation.subgroups import measure_subgroups, subgroup_warnings

BINARY = ["binary"]


def test_subgroup_metrics_equal_those_of_the_subgroup_alone():
    table = random_sessions().assign(age=lambda t: 25 + 15 * (t["number"] % 2))
    result = measure_subgroups(resample(table), ["binary", "severity"], seed=0)
    assert list(result["subgroups"]["age"]) == ["<30", "30-44"]
    assert list(result["subgroups"]["valence"]) == ["negative", "positive"]
    for grouping in ("task", "valence"):
        for name, members in table.groupby(grouping):
            entry = result["subgroups"][grouping][name]
            assert (entry["sessions"], entry["subjects"], entry["positive_sessions"]) == (
                24,
                12,
                12,
            )
            auroc = sk.roc_auc_score(members["y_true"], members["y_prob"])
            assert entry["auroc"]["value"] == pytest.approx(auroc)
            mae = sk.mean_absolute_error(members["score"], members["score_pred"])
            assert entry["mae"]["value"] == pytest.approx(mae)
            assert entry["mae"]["ci_low"] < mae < entry["mae"]["ci_high"]


def test_metrics_by_task_and_valence():
    table = random_sessions()
    table = table[(table["task"] != "reading") | (table["valence"] != "positive")]
    cells = measure_subgroups(resample(table), BINARY, seed=0)["task_by_valence"]
    assert [list(row) for row in cells.values()] == [["negative", "positive"]] * 2
    members = table[(table["task"] == "interview") & (table["valence"] == "positive")]
    entry = cells["interview"]["positive"]
    assert entry["balanced_accuracy"]["value"] == pytest.approx(
        sk.balanced_accuracy_score(members["y_true"], members["y_pred"])
    )
    assert (entry["sessions"], entry["subjects"]) == (12, 12)
    assert cells["reading"]["positive"]["sessions"] == 0
    assert cells["reading"]["positive"]["auroc"]["undefined"] == "no session"
    one_task = measure_subgroups(resample(table.assign(task="reading")), BINARY, seed=0)
    assert one_task["task_by_valence"] is None


def test_metrics_by_gender_and_task_or_valence():
    table = random_sessions(subjects=24)
    table["gender"] = np.where(table["number"] % 4 < 2, "female", "male")
    result = measure_subgroups(resample(table), BINARY, seed=0)
    for column in ("task", "valence"):
        for (gender, value), members in table.groupby(["gender", column]):
            entry = result[f"gender_by_{column}"][gender][value]
            y_true, y_pred = members["y_true"], members["y_pred"]
            assert entry["accuracy"]["value"] == pytest.approx(np.mean(y_true == y_pred))
            assert entry["recall"]["value"] == pytest.approx(sk.recall_score(y_true, y_pred))
            assert entry["precision"]["value"] == pytest.approx(sk.precision_score(y_true, y_pred))
            assert entry["f1_positive"]["value"] == pytest.approx(sk.f1_score(y_true, y_pred))
            assert entry["subjects"] == 12
    assert "accuracy" not in result["subgroups"]["gender"]["female"]  # headline metrics only


def test_undefined_subgroups_have_a_reason():
    few = subject_table([0, 1] * 2, [0, 1] * 2, gender="male")
    one_class = subject_table([1] * 6, [1] * 6, gender="female").assign(corpus="d")
    unknown = subject_table([0, 1] * 5, [0, 0] * 5).assign(corpus="e", gender=None)
    table = pd.concat([few, one_class, unknown])
    result = measure_subgroups(resample(table), BINARY, seed=0)
    groups = result["subgroups"]["gender"]
    assert list(groups) == ["female", "male", UNKNOWN]
    assert sum(entry["sessions"] for entry in groups.values()) == len(table)
    for name, reason in (("male", "fewer than 5 subjects"), ("female", "no negative session")):
        for metric in ("balanced_accuracy", "auroc"):
            assert groups[name][metric]["value"] is None
            assert groups[name][metric]["undefined"] == reason
    assert groups[UNKNOWN]["balanced_accuracy"]["value"] == 0.5
    assert find_gap(result, "gender")["undefined"]
    assert find_gap(result, "gender")["outcome"] == "undefined"


def test_a_single_subgroup_is_not_grouped():
    table = women_and_men().assign(gender="female", task=None, age=70)
    table.loc[3, "age"] = np.nan
    result = measure_subgroups(resample(table), BINARY, seed=0)
    assert (result["subgroups"], result["subgroup_gaps"], result["task_by_valence"]) == (
        {},
        [],
        None,
    )
    assert result["not_grouped"] == {
        "gender": "all tested sessions are female",
        "age": "all tested sessions are >=60 (1 of 12 not known)",
        "task": "not known for any tested session",
        "valence": "the predictions have no column valence",
        "corpus": "all tested sessions are c",
    }


def test_the_warning_of_a_larger_error_names_the_worse_subgroup():
    table = random_sessions(subjects=20)
    table["score_pred"] = table["score"] + np.where(table["task"] == "reading", 5.0, 0.1)
    result = measure_subgroups(resample(table, 200), ["severity"], seed=0)
    notes = subgroup_warnings(result["subgroup_gaps"])
    assert "4.90 higher (worse) for reading than for interview (task;" in notes[0]
