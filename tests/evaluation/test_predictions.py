"""Tables of any program: what is assumed, what is refused, and what each refusal says to do."""

import numpy as np
import pandas as pd
import pytest
from report_predictions import make_predictions

from depmm.evaluation.predictions import (
    PredictionTableError,
    assumptions,
    check_predictions,
    read_predictions,
)
from depmm.evaluation.reports.content import evaluate_predictions
from depmm.evaluation.reports.report import write_report

LEAST = "subject,session,y_true,y_prob\n"


def table(**columns):
    """Six tested subjects in the four columns that are needed."""
    least = {
        "subject": [f"p{number}" for number in range(6)],
        "session": ["1"] * 6,
        "y_true": [0, 1, 0, 1, 0, 1],
        "y_prob": [0.1, 0.9, 0.2, 0.4, 0.6, 0.8],
    }
    return pd.DataFrame({**least, **columns})


def read(tmp_path, text, name="theirs.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_predictions(path)


# ---- four columns are enough -------------------------------------------------------------------


def test_four_columns_are_evaluated_and_what_is_assumed_is_said(tmp_path):
    content = write_report(table(), tmp_path, title="theirs", n_bootstrap=50, confidence=0.95)
    assert content["counts"]["test"] == {"sessions": 6, "subjects": 6, "positive_sessions": 3}
    assert content["confusion"] == {"tn": 2, "fp": 1, "fn": 1, "tp": 2}  # decided at 0.5
    assert content["metrics"]["auroc"]["value"] == pytest.approx(8 / 9)
    assert content["metrics"]["accuracy"]["baseline"]["value"] == 0.5
    assert set(content["baselines"]) == {"always_negative", "always_positive", "even_odds"}
    assert content["assumed"] == [
        "all subjects are of one corpus (no column corpus)",
        "all rows are tested sessions, of subjects nobody trained on (no column split)",
        "all rows are of one fold (no column fold)",
        "all rows are of one training (no column seed)",
    ]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in (*content["assumed"], "test rows only", "0.5, because there are no validation"):
        assert text in page
    assert "No test subject was used to train" not in page


def test_the_defaults_are_those_of_the_full_table():
    full = table(corpus="unnamed", split="test", fold=0, seed=0)
    assert assumptions(full) == []
    pd.testing.assert_frame_equal(
        check_predictions(table()), check_predictions(full), check_like=True
    )


def test_train_rows_bring_their_baselines():
    half = ["train", "train", "validation", "validation", "test", "test"]
    content = evaluate_predictions(table(split=half), n_bootstrap=50, confidence=0.95)
    assert "constant_probability" in content["baselines"]
    assert [entry["source"] for entry in content["thresholds"]] == [
        "best balanced accuracy on 2 validation sessions"
    ]
    assert len(content["assumed"]) == 3


def test_severity_without_train_rows_has_no_baseline_and_says_what_to_add():
    severity = table(score=9.0, score_pred=8.0).drop(columns=["y_true", "y_prob"])
    with pytest.raises(ValueError, match=r"score.* no baseline .* add its train rows"):
        evaluate_predictions(severity, n_bootstrap=10, confidence=0.95)


# ---- refusals ----------------------------------------------------------------------------------


def renamed(**names):
    return table().rename(columns=names)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (renamed(y_prob="Y_Prob"), "column 'y_prob' is missing, and there is 'Y_Prob': rename it"),
        (renamed(subject="subject_id"), "'subject' is missing, and there is 'subject_id'"),
        (table(Split="test"), "column 'split' is missing, and there is 'Split'"),
        (renamed(subject="who"), r"column\(s\) \['subject'\] missing; add them \(present: \['who'"),
        (renamed(y_prob="answer"), "neither y_true and y_prob nor score and score_pred"),
        (table().iloc[:0], "no rows; give one a tested session"),
        (table(y_prob=[10, 90, 20, 40, 60, 0.5]), r"is 10.*percentages: divide by 100 \(5 of 6"),
        (table(y_prob=[0.1, 1.3, 0.2, -2, 0.6, 0.8]), "y_prob is 1.3 in row 1.*apply the sigmoid"),
        (table(y_prob=["0,1"] * 6), "y_prob is 0,1 in row 0.*decimal point"),
        (table(y_true=[1, 2, 1, 2, 1, 2]), "y_true is 2 .*labels are 0 .negative. or 1 .positive."),
        (table(y_true=["well"] * 6), "y_true is well in row 0.*labels are 0 .negative. or 1"),
        (table(y_prob=[0.1, None, 0.2, 0.4, 0.6, 0.8]), "y_prob is nan in row .*p1.*rows need it"),
        (table(subject=["p0"] * 6), "session is 1 in row 1 .*duplicate.*Assumed .*split test"),
        (table(subject=[1, 2, "03", 4, 5, 6]), "subject is 03 in row 2 .*01 may be 1 or not"),
        (table(subject=[1.0, 2, 3, 4, 5, 6]), "subject is 1.0 in row 0 .*text or a whole number"),
        (table(session=["1", "1 ", "1", "1", "1", "1"]), "session is 1  in row 1 .*trim it"),
        (table(subject=["", *"abcde"]), "subject is  in row 0 .*or is empty"),
        (table(subject=[None, *"abcde"]), "subject is .* in row 0 .*every row needs one"),
        (
            pd.concat([table(seed=0), table(seed=1).iloc[2:]]),
            r"\(s\) unnamed/p0/1, unnamed/p1/1 of 6 tested are missing in seed 1; test every",
        ),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_trusted_is_refused(given, message):
    with pytest.raises(PredictionTableError, match=message):
        evaluate_predictions(given, n_bootstrap=10, confidence=0.95)


def test_sessions_that_no_fold_tests_are_named():
    folds = [table(split=split, fold=fold) for fold, split in enumerate(("test", "train"))]
    folds[0].loc[4:, "split"] = "train"
    folds[1].loc[0:1, "split"] = "test"  # p0 and p1 twice would be uneven
    folds[0].loc[0:1, "split"] = "train"
    content = evaluate_predictions(pd.concat(folds), n_bootstrap=20, confidence=0.95)
    assert content["untested"] == {"sessions": 2, "which": ["unnamed/p4/1", "unnamed/p5/1"]}
    assert any("unnamed/p4/1, unnamed/p5/1" in text for text in content["warnings"])


# ---- files -------------------------------------------------------------------------------------


def test_ids_stay_text_whatever_they_look_like(tmp_path):
    text = LEAST + "01,NA,1,0.75\n1,1e3,0,0.25\n"
    given = read(tmp_path, "\ufeff" + text)  # as Excel writes it
    assert given["subject"].tolist() == ["01", "1"]
    assert given["session"].tolist() == ["NA", "1e3"]
    checked = check_predictions(given)
    assert checked["y_prob"].tolist() == [0.75, 0.25]
    given.to_parquet(tmp_path / "theirs.parquet")
    again = check_predictions(read_predictions(tmp_path / "theirs.parquet"))
    pd.testing.assert_frame_equal(again, checked, check_dtype=False)
    r_writes = read(tmp_path, LEAST.replace("\n", ",split\n") + "a,1,1,NA,train\nb,1,0,0.5,test\n")
    assert np.isnan(check_predictions(r_writes).set_index("subject")["y_prob"]["a"])


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("", "theirs.csv", "theirs.csv is empty: write a header"),
        ("", "theirs.parquet", "theirs.parquet is empty"),
        ("no parquet", "theirs.parquet", "cannot be read as parquet"),
        (LEAST + "a,1,1\n", "theirs.xlsx", "neither .csv nor .parquet: save the table"),
        (LEAST.replace(",", ";") + "a;1;1;0,5\n", "theirs.csv", "separate columns by commas"),
        (LEAST + "a,1,1,0.5\nb,1,1,0,5\n", "theirs.csv", "cannot be read as csv .*line 3"),
        ("y_prob," + LEAST + "1,a,1,1,0.5\n", "theirs.csv", "has column 'y_prob' twice"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, text, name, message):
    with pytest.raises(PredictionTableError, match=message):
        read(tmp_path, text, name)


def test_a_csv_of_nothing_but_a_header_has_no_rows(tmp_path):
    with pytest.raises(PredictionTableError, match="no rows"):
        check_predictions(read(tmp_path, LEAST))


def spoil(column, value, row=0):
    def change(table):
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.drop(columns="fold"),
            "another split .* Assumed .* columns are missing: fold 0",
        ),
        (lambda t: t.drop(columns=["y_prob", "score_pred"]), "neither y_true and y_prob nor"),
        (spoil("y_prob", 1.2, 3), r"y_prob is 1.2 in row 3 \(corpus c, subject p3.*\[0, 1\]"),
        (spoil("y_prob", "high"), "y_prob is high in row 0.*finite numbers"),
        (spoil("y_prob", np.inf), "y_prob is inf in row 0.*finite numbers"),
        (spoil("y_true", 2), "y_true is 2 in row 0.*labels are 0 .negative. or 1 .positive."),
        (spoil("split", "dev"), "split is dev in row 0.*train, validation, test"),
        (spoil("fold", 0.5), "fold is 0.5 in row 0.*whole numbers"),
        (spoil("session", None, 4), "session is .* in row 4.*every row needs one"),
        (spoil("y_true", 1), "y_true is .* another row of this session says otherwise"),
        (lambda t: pd.concat([t, t.iloc[[7]]]), "session is 0 in row 90 .*duplicate"),
        (lambda t: t[t["split"] != "test"], "no rows with split 'test'"),
        (
            lambda t: pd.concat([t, t[t["split"] == "test"].iloc[[0]].assign(fold=9)]),
            "row 90 .*tested in several folds of one seed",
        ),
        (
            lambda t: pd.concat(
                [t, t[t["split"] == "train"].iloc[[0]].assign(split="test", session="x")]
            ),
            "also in another split of the fold",
        ),
    ],
)
def test_bad_tables_are_refused_with_value_row_and_remedy(change, message):
    with pytest.raises(PredictionTableError, match=message):
        check_predictions(change(make_predictions()))


def test_tested_rows_need_answers_of_one_instrument():
    table = make_predictions()
    tested = table.index[table["split"] == "test"]
    with pytest.raises(PredictionTableError, match="tested rows need it"):
        evaluate_predictions(
            spoil("y_prob", None, tested[0])(table.copy()), n_bootstrap=10, confidence=0.95
        )
    with pytest.raises(PredictionTableError, match="no tested row has both"):
        evaluate_predictions(
            table.assign(y_prob=np.nan, score_pred=np.nan), n_bootstrap=10, confidence=0.95
        )
    with pytest.raises(PredictionTableError, match=r"\['BDI-II', 'PHQ-8'\]"):
        evaluate_predictions(
            spoil("instrument", "PHQ-8", tested[0])(table.copy()), n_bootstrap=10, confidence=0.95
        )
