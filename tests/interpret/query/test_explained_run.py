"""Reading attributions and columns of subjects from an explained run."""

import pytest
from explained_runs import make_tables, write_run

from depmm.interpret.errors import QuestionError
from depmm.interpret.query.explained_run import (
    add_subject_column,
    check_value,
    choose_default_measure,
    list_confounds,
    list_measures,
    read_attributions,
)


def test_measures_of_a_run(run, tmp_path):
    assert list_measures(run) == [
        *("occlusion", "occlusion_audio", "occlusion_face", "selected", "selected_face"),
    ]
    assert choose_default_measure(run) == "occlusion"
    tables = make_tables()
    tables["attributions"]["shapley"] = 0.0
    richer = write_run(tmp_path / "richer", tables)
    assert "shapley" in list_measures(richer)
    assert choose_default_measure(richer) == "shapley"


def test_columns_of_subjects_come_from_the_predictions(run):
    table = read_attributions(run, ["occlusion_face"], "gender")
    assert {"occlusion_face", "selected", "gender"} <= set(table)
    assert len(table) == 96
    by_subject = table.groupby("subject")["gender"].nunique()
    assert (by_subject == 1).all()
    assert add_subject_column(run, table, "gender") is table
    assert add_subject_column(run, table, None) is table


def test_unknown_values_are_rejected(run):
    with pytest.raises(QuestionError) as info:
        read_attributions(run, ["weight"], None)
    assert (info.value.setting, info.value.value) == ("rank_by", "weight")
    with pytest.raises(QuestionError) as info:
        check_value(run, "session", "p3_9", "p3")
    assert (info.value.column, info.value.subject) == ("session", "p3")
    check_value(run, "session", "p3_1", "p3")


def test_confounds_need_gender_and_no_stratification(run, tmp_path):
    tables = make_tables()
    predictions = tables["predictions"]
    tables["predictions"] = predictions.assign(
        gender=predictions["y_true"].map({1: "female", 0: "male"})
    )
    uneven = write_run(tmp_path / "uneven", tables)
    assert len(list_confounds(uneven, None)) == 1
    assert list_confounds(uneven, "gender") == []
    assert list_confounds(run, None) == []
    del tables["predictions"]
    assert list_confounds(write_run(tmp_path / "none", tables), None) == []
