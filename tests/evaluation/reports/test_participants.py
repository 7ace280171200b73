"""Subjects by split, fold and label, and the differences between them."""

import numpy as np
import pandas as pd
import pytest
from minimal_predictions import minimal_predictions
from report_predictions import make_predictions

from depmm.evaluation.prediction_checks import check_predictions
from depmm.evaluation.reports.participants import describe_participants, smallest_effects


def by_name(entries, name, fold=None):
    return next(e for e in entries if (e["name"], e["fold"]) == (name, fold))


def one_fold():
    """Eight subjects of one fold: four training, four test; one has two sessions."""
    rows = [
        ("p0", "1", "train", 0, "female", 20.0),
        ("p1", "1", "train", 1, "female", 30.0),
        ("p2", "1", "train", 0, "male", 40.0),
        ("p3", "1", "train", 1, "male", 50.0),
        ("p4", "1", "test", 0, "male", 50.0),
        ("p5", "1", "test", 1, "male", 60.0),
        ("p6", "1", "test", 0, "male", 70.0),
        ("p7", "1", "test", 1, "female", 80.0),
        ("p7", "2", "test", 0, "female", 80.0),
    ]
    names = ["subject", "session", "split", "y_true", "gender", "age"]
    return check_predictions(pd.DataFrame(rows, columns=names).assign(y_prob=0.5))


def test_groups_are_counted_and_summarised():
    content = describe_participants(one_fold())
    test = by_name(content["groups"], "test", 0)["by_label"]
    assert (test["all"]["subjects"], test["all"]["sessions"]) == (4, 5)
    assert test["positive"]["subjects"] == 2  # p7: a tie of its labels is positive
    assert test["positive"]["variables"]["age"]["mean"] == 70.0
    assert test["all"]["variables"]["age"]["std"] == pytest.approx(np.std([50, 60, 70, 80], ddof=1))
    assert test["all"]["variables"]["gender"]["shares"] == {"female": 0.25, "male": 0.75}
    assert by_name(content["groups"], "all")["by_label"]["all"]["subjects"] == 8


def test_training_and_test_are_compared():
    content = describe_participants(one_fold())
    entry = by_name(content["differences"], "train and test", 0)["variables"]
    ages = np.array([20, 30, 40, 50]), np.array([50, 60, 70, 80])
    scale = np.sqrt((ages[0].var(ddof=1) + ages[1].var(ddof=1)) / 2)
    assert entry["age"]["value"] == pytest.approx(-30 / scale)
    assert entry["age"]["chance"] == pytest.approx(1.96 * np.sqrt(1 / 4 + 1 / 4), abs=1e-3)
    assert entry["age"]["imbalanced"]
    assert not entry["gender"]["imbalanced"]  # 0.53, which chance exceeds among eight subjects


def test_labels_are_compared_over_all_subjects():
    entry = by_name(describe_participants(one_fold())["differences"], "positive and negative")
    assert set(entry["variables"]) == {"gender", "age"}


def test_every_fold_of_a_cross_validation_is_compared():
    content = describe_participants(check_predictions(make_predictions(folds=3)))
    assert [d["fold"] for d in content["differences"]] == [None, 0, 1, 2]
    assert len(content["groups"]) == 1 + 3 * 3


def test_a_category_that_differs_between_the_sessions_of_a_subject():
    table = one_fold()
    table["task"] = np.where(table["session"] == "2", "interview", "reading")
    everybody = by_name(describe_participants(table)["groups"], "all")["by_label"]["all"]
    assert everybody["variables"]["task"]["shares"] == {"reading": 7 / 8, "several": 1 / 8}


def test_ids_are_not_listed_as_categories():
    table = one_fold()
    interviewers = [f"i{index}" for index in range(len(table))]
    content = describe_participants(
        pd.concat([table.assign(interviewer=interviewers), table.assign(
            subject=table["subject"] + "b", interviewer=[name + "b" for name in interviewers]
        )])
    )  # fmt: skip
    assert content["not_described"]["interviewer"] == "18 categories"


def test_a_table_with_tested_rows_only_has_one_group():
    content = describe_participants(check_predictions(minimal_predictions()))
    assert [group["name"] for group in content["groups"]] == ["all"]
    assert content["variables"] == []
    assert [d["name"] for d in content["differences"]] == ["positive and negative"]


def test_the_smallest_effects_count_tested_subjects():
    effects = smallest_effects(one_fold(), ["binary"])
    assert (effects["subjects"], effects["positive"], effects["negative"]) == (4, 2, 2)
    assert effects["auroc"] is None
    assert effects["pearson"] is None
    table = check_predictions(make_predictions(subjects=60))
    effects = smallest_effects(table, ["binary", "severity"])
    assert (effects["positive"], effects["negative"]) == (30, 30)
    assert 0.6 < effects["auroc"] < 0.8
    assert effects["pearson"] == pytest.approx(np.tanh(2.8016 / np.sqrt(57)), abs=1e-4)
