"""Reading of predictions tables, and the columns that metrics need."""

import numpy as np
import pandas as pd
import pytest
from minimal_predictions import HEADER, minimal_predictions, read_text
from report_predictions import make_predictions

from depmm.evaluation.baselines import add_baselines
from depmm.evaluation.prediction_checks import PredictionTableError, check_predictions
from depmm.evaluation.predictions import prepare_predictions, read_predictions
from depmm.evaluation.reports.content import evaluate_predictions
from depmm.evaluation.reports.report import write_report
from depmm.evaluation.units import average_sessions


def test_four_columns_are_evaluated_and_the_defaults_are_listed(tmp_path):
    table = minimal_predictions()
    content = write_report(table, tmp_path, title="minimal", n_bootstrap=50, confidence=0.95)
    assert content["counts"]["test"] == {"sessions": 6, "subjects": 6, "positive_sessions": 3}
    assert content["confusion"] == {"tn": 2, "fp": 1, "fn": 1, "tp": 2}  # threshold 0.5
    assert content["metrics"]["auroc"]["value"] == pytest.approx(8 / 9)
    assert content["metrics"]["accuracy"]["baseline"]["value"] == 0.5
    assert set(content["baselines"]) == {"always_negative", "always_positive", "even_odds"}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(content["assumed"]) == 4
    for text in content["assumed"]:
        assert text in page


def test_train_rows_add_baselines():
    half = ["train", "train", "validation", "validation", "test", "test"]
    table = minimal_predictions(split=half)
    content = evaluate_predictions(table, n_bootstrap=50, confidence=0.95)
    assert "constant_probability" in content["baselines"]
    assert [entry["source"] for entry in content["thresholds"]] == [
        "best balanced accuracy on 2 validation sessions"
    ]
    assert len(content["assumed"]) == 3


def test_severity_without_train_rows_has_no_baseline():
    severity = minimal_predictions(score=9.0, score_pred=8.0).drop(columns=["y_true", "y_prob"])
    table, targets = prepare_predictions(severity)
    assert targets == ["severity"]
    with pytest.raises(PredictionTableError) as info:
        add_baselines(table, "severity")
    assert (info.value.column, info.value.value) == ("score", (0, 0))


def test_sessions_that_no_fold_tests_are_named():
    folds = [minimal_predictions(split=s, fold=fold) for fold, s in enumerate(("test", "train"))]
    folds[0].loc[4:, "split"] = "train"
    folds[1].loc[0:1, "split"] = "test"  # p0 and p1 in both folds would be uneven
    folds[0].loc[0:1, "split"] = "train"
    content = evaluate_predictions(pd.concat(folds), n_bootstrap=20, confidence=0.95)
    assert content["untested"] == {"sessions": 2, "which": ["unnamed/p4/1", "unnamed/p5/1"]}
    assert any("unnamed/p4/1, unnamed/p5/1" in text for text in content["warnings"])


def test_ids_remain_text(tmp_path):
    text = HEADER + "01,NA,1,0.75\n1,1e3,0,0.25\n"
    table = read_text(tmp_path, "\ufeff" + text)  # with a byte order mark, as Excel writes it
    assert table["subject"].tolist() == ["01", "1"]
    assert table["session"].tolist() == ["NA", "1e3"]
    checked = check_predictions(table)
    assert checked["y_prob"].tolist() == [0.75, 0.25]
    table.to_parquet(tmp_path / "predictions.parquet")
    again = check_predictions(read_predictions(tmp_path / "predictions.parquet"))
    pd.testing.assert_frame_equal(again, checked, check_dtype=False)
    from_r = HEADER.replace("\n", ",split\n") + "a,1,1,NA,train\nb,1,0,0.5,test\n"
    checked = check_predictions(read_text(tmp_path, from_r))
    assert np.isnan(checked.set_index("subject")["y_prob"]["a"])


def test_tables_of_other_programs_are_read(tmp_path):
    from_r = '"","subject","session","y_true","y_prob"\n"1","01","a",1,0.1\n"2","02","a",0,3e-1\n'
    table = read_text(tmp_path, from_r)
    assert table["subject"].tolist() == ["01", "02"]
    assert table["y_prob"].tolist() == [0.1, 0.3]
    notes = HEADER.replace("\n", ",note\n") + 'a,1,1,0.5,"so, so,\ntired, sad"\nb,1,0,0.25,-\n'
    assert read_text(tmp_path, notes)["y_prob"].tolist() == [0.5, 0.25]
    blanks = "subject, session, y_true, y_prob\na, 1, 1, 0.30000000000000004\n"
    assert read_text(tmp_path, blanks)["y_prob"].tolist() == [0.1 + 0.2]


@pytest.mark.parametrize(
    ("text", "name", "column"),
    [
        ("", "predictions.csv", None),
        ("", "predictions.parquet", None),
        ("not Parquet", "predictions.parquet", None),
        (HEADER + "a,1,1\n", "predictions.xlsx", None),
        (HEADER.replace(",", ";") + "a;1;1;0,5\n", "predictions.csv", "subject"),
        (HEADER + 'a,1,1,"0.5\nb,1,1,0.5\nc,1,1,0.5"\n', "predictions.csv", None),
        (HEADER + '"a,1,1,0.5\nb",1,1,0.5\nc,1,1,0.5\n', "predictions.csv", None),
        (HEADER + "a,1,1,0.5\nb,1,1\n", "predictions.csv", None),
        (HEADER + "a,1,1,0.5\nb,1\0,1,0.5\n", "predictions.csv", None),
        (HEADER.replace("\n", ",y_prob \n") + "a,1,1,0.5,0.9\n", "predictions.csv", "y_prob"),
        (HEADER + "a,1,1,0.5\nb,1,1,0,5\n", "predictions.csv", None),
        ("y_prob," + HEADER + "1,a,1,1,0.5\n", "predictions.csv", "y_prob"),
    ],
)
def test_a_file_that_is_not_a_table_is_named(tmp_path, text, name, column):
    with pytest.raises(PredictionTableError) as info:
        read_text(tmp_path, text, name)
    assert info.value.file == tmp_path / name
    assert info.value.column == (column and column.strip())


def test_tested_rows_need_measured_and_predicted_values():
    table = make_predictions()
    first = table.index[table["split"] == "test"][0]
    incomplete = table.astype({"y_prob": object})
    incomplete.loc[first, "y_prob"] = None
    with pytest.raises(PredictionTableError) as info:
        prepare_predictions(incomplete)
    assert (info.value.column, info.value.subject) == ("y_prob", table.loc[first, "subject"])
    with pytest.raises(PredictionTableError) as info:
        prepare_predictions(table.assign(y_prob=np.nan, score_pred=np.nan))
    assert info.value.column == "y_true"


def test_severity_of_several_instruments_is_not_pooled():
    table = make_predictions()
    table.loc[table.index[table["split"] == "test"][0], "instrument"] = "PHQ-8"
    with pytest.raises(PredictionTableError) as info:
        prepare_predictions(table)
    assert info.value.column == "instrument"
    assert info.value.value == ["BDI-II", "PHQ-8"]


def test_averaged_sessions_have_their_common_covariates():
    first = minimal_predictions(
        task="reading", valence="negative", duration_s=10.0, gender=["f", "m", None] * 2, age=30.0
    )
    second = first.assign(session="2", duration_s=30.0, valence="positive", gender=None)
    table = average_sessions(check_predictions(pd.concat([first, second])))
    assert len(table) == len(first)
    assert (table["session"] == "mean").all()
    assert (table["duration_s"] == 20).all()
    assert (table["task"] == "reading").all()
    assert table["valence"].isna().all()
    assert table["gender"].fillna("unknown").tolist() == ["f", "m", "unknown"] * 2
    assert (table["age"] == 30).all()


def test_sessions_of_different_labels_are_not_averaged():
    first = minimal_predictions()
    second = first.assign(session="2", y_true=[0, 1, 1, 1, 0, 1])
    with pytest.raises(PredictionTableError) as info:
        average_sessions(check_predictions(pd.concat([first, second])))
    assert (info.value.column, info.value.subject) == ("y_true", "p2")
