"""Checks of predictions tables of any program: defaults, and the column and row of each error."""

import numpy as np
import pandas as pd
import pytest
from minimal_predictions import HEADER, minimal_predictions, read_text
from report_predictions import make_predictions
from simulated_predictions import simulated_predictions

from depmm.evaluation.prediction_checks import (
    PredictionTableError,
    check_predictions,
    describe_defaults,
)

PROBABILITIES = [0.1, 0.9, 0.2, 0.4, 0.6, 0.8]


def test_missing_columns_have_the_defaults_of_a_full_table():
    full = minimal_predictions(corpus="unnamed", split="test", fold=0, seed=0)
    assert describe_defaults(full) == []
    assert len(describe_defaults(minimal_predictions())) == 4
    pd.testing.assert_frame_equal(
        check_predictions(minimal_predictions()), check_predictions(full), check_like=True
    )


@pytest.mark.parametrize(
    ("names", "column", "similar"),
    [
        ({"y_prob": "Y_Prob"}, "y_prob", "Y_Prob"),
        ({"subject": "subject_id"}, "subject", "subject_id"),
        ({"subject": "who"}, "subject", None),
        ({"y_prob": "predicted"}, "y_true", None),
    ],
)
def test_a_missing_column_is_named_with_a_similar_one(names, column, similar):
    with pytest.raises(PredictionTableError) as info:
        check_predictions(minimal_predictions().rename(columns=names))
    assert (info.value.column, info.value.value) == (column, similar)


def test_a_misspelt_optional_column_is_an_error():
    with pytest.raises(PredictionTableError) as info:
        check_predictions(minimal_predictions(Split="test"))
    assert (info.value.column, info.value.value) == ("split", "Split")


@pytest.mark.parametrize(
    ("columns", "column", "subject"),
    [
        ({"y_prob": [10, 90, 20, 40, 60, 0.5]}, "y_prob", "p0"),
        ({"y_prob": [0.1, 1.3, 0.2, -2, 0.6, 0.8]}, "y_prob", "p1"),
        ({"y_prob": ["0,1"] * 6}, "y_prob", "p0"),
        ({"y_true": [1, 2, 1, 2, 1, 2]}, "y_true", "p1"),
        ({"y_true": ["well"] * 6}, "y_true", "p0"),
        ({"subject": ["p0"] * 6}, "session", "p0"),
        ({"subject": [1, 2, "03", 4, 5, 6]}, "subject", "03"),
        ({"subject": [1.0, 2, 3, 4, 5, 6]}, "subject", "1.0"),
        ({"session": ["1", "1 ", "1", "1", "1", "1"]}, "session", "p1"),
        ({"subject": ["", *"abcde"]}, "subject", ""),
        ({"subject": [None, *"abcde"]}, "subject", None),
    ],
)
def test_an_invalid_value_is_named_with_its_subject(columns, column, subject):
    with pytest.raises(PredictionTableError) as info:
        check_predictions(minimal_predictions(**columns))
    assert (info.value.column, info.value.subject) == (column, subject)


def test_percentages_and_logits_have_different_remedies():
    remedies = []
    for values in ([10, 90, 20, 40, 60, 0.5], [0.1, 1.3, 0.2, -2, 0.6, 0.8]):
        with pytest.raises(PredictionTableError) as info:
            check_predictions(minimal_predictions(y_prob=values))
        remedies.append(info.value.remedy)
    assert "100" in remedies[0]
    assert "sigmoid" in remedies[1]


def test_a_table_without_rows_is_an_error(tmp_path):
    for table in (minimal_predictions().iloc[:0], read_text(tmp_path, HEADER)):
        with pytest.raises(PredictionTableError):
            check_predictions(table)


def test_a_session_that_a_seed_does_not_test_is_named():
    table = pd.concat([minimal_predictions(seed=0), minimal_predictions(seed=1).iloc[2:]])
    with pytest.raises(PredictionTableError) as info:
        check_predictions(table)
    assert (info.value.column, info.value.session, info.value.value) == ("seed", "1", 1)
    assert "unnamed/p0/1, unnamed/p1/1 of 6" in str(info.value)


def change_value(column, value, row=0):
    def change(table):
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "column", "subject"),
    [
        (lambda t: t.drop(columns="fold"), "split", "p0"),
        (lambda t: t.drop(columns=["y_prob", "score_pred"]), "y_true", None),
        (change_value("y_prob", 1.2, 3), "y_prob", "p3"),
        (change_value("y_prob", "high"), "y_prob", "p0"),
        (change_value("y_prob", np.inf), "y_prob", "p0"),
        (change_value("y_true", 2), "y_true", "p0"),
        (change_value("split", "dev"), "split", "p0"),
        (change_value("fold", 0.5), "fold", "p0"),
        (change_value("session", None, 4), "session", "p4"),
        (change_value("y_true", 1), "y_true", "p0"),
        (lambda t: pd.concat([t, t.iloc[[7]]]), "session", "p7"),
        (lambda t: t[t["split"] != "test"], "split", None),
        (
            lambda t: pd.concat([t, t[t["split"] == "test"].iloc[[0]].assign(fold=9)]),
            "session",
            "p0",
        ),
        (
            lambda t: pd.concat(
                [t, t[t["split"] == "train"].iloc[[0]].assign(split="test", session="x")]
            ),
            "split",
            "p4",
        ),
    ],
)
def test_contradicting_rows_are_named_with_column_and_subject(change, column, subject):
    with pytest.raises(PredictionTableError) as info:
        check_predictions(change(make_predictions()))
    assert (info.value.column, info.value.subject) == (column, subject)


def test_the_error_of_a_table_without_folds_names_the_defaults():
    with pytest.raises(PredictionTableError) as info:
        check_predictions(make_predictions().drop(columns="fold"))
    assert "fold 0" in str(info.value)


@pytest.mark.parametrize(
    ("column", "value", "subject"),
    [("age", 1950, "p0"), ("duration_s", -1, "p0"), ("n_steps", "many", "p0")],
)
def test_an_impossible_covariate_is_an_error(column, value, subject):
    columns = {column: [value, *([20] * 5)]}
    with pytest.raises(PredictionTableError) as info:
        check_predictions(minimal_predictions(**columns))
    assert (info.value.column, info.value.subject) == (column, subject)
    assert str(info.value.value) == str(value)


def test_covariates_of_a_session_agree_between_folds():
    first = minimal_predictions(fold=0, interviewer="i1", split="test")
    second = minimal_predictions(fold=1, interviewer="i1", split="train")
    second.loc[2, "interviewer"] = "i9"
    with pytest.raises(PredictionTableError) as info:
        check_predictions(pd.concat([first, second]))
    assert (info.value.column, info.value.subject, info.value.value) == ("interviewer", "p2", "i9")


def test_validation_rows_that_are_copies_of_test_rows_are_refused():
    table = simulated_predictions(test=30)
    copies = table[table["split"] == "test"].assign(split="validation")
    copies["subject"] = "v" + copies["subject"].astype(str)
    others = table[table["split"] != "validation"]
    with pytest.raises(PredictionTableError) as info:
        check_predictions(pd.concat([others, copies]))
    assert info.value.column == "y_prob"
    assert "30 of 30" in str(info.value)
    # coarse outputs are often equal
    coarse = pd.concat([others, copies])
    coarse["y_prob"] = coarse["y_prob"].round(1)
    coarse["score_pred"] = coarse["score_pred"].round(-1)
    check_predictions(coarse)
