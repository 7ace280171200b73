"""Formulas in exported CSV."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from cli_results import make_predictions, write_attributions

from depmm.corpora.manifest_rules import check_id
from depmm.evaluation.predictions import read_predictions
from depmm.files.csv_text import neutralize, to_csv

FORMULAS = [
    "=1+1",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\n=1",
    "=cmd|' /C calc'!A0",
    "\uff1d1",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_begin_with_an_apostrophe(text):
    expected = "'" + text.replace("\r", "\n")
    assert neutralize(text) == expected
    table = pd.DataFrame({text: [1.0, 2.0], "b": pd.Series([text, None], dtype="str")})
    (header, first, second) = csv.reader(io.StringIO(to_csv(table), newline=""))
    assert header == [expected, "b"]
    assert first == ["1.0", expected]
    assert second == ["2.0", ""]


@pytest.mark.parametrize(
    "value", ["-1", "+2.5e-3", "-.5", "P01", "", "a=b", "1-2", -1.5, None, True]
)
def test_numbers_ids_and_other_text_are_kept(value):
    assert neutralize(value) is value


def test_other_types_are_kept():
    table = pd.DataFrame(
        {"a": [-1, 2], "b": [-0.5, np.nan], "c": [True, False], "d": [["=x"], None],
         "e": pd.to_datetime(["2020-01-02", None])}
    )  # fmt: skip
    assert to_csv(table) == table.to_csv(index=False, lineterminator="\n")
    same_names = pd.DataFrame([["=1", "x"]], columns=["a", "a"])
    assert to_csv(same_names) == "a,a\n'=1,x\n"


def test_a_carriage_return_does_not_begin_a_row():
    text = to_csv(pd.DataFrame({"a": ["x\r=1+1", "y"]}))
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a"], ["x\n=1+1"], ["y"]]


def test_no_id_begins_like_a_formula():
    for text in FORMULAS:
        with pytest.raises(ValueError, match="id"):
            check_id(text, "subject")


def test_exported_tables_are_neutral_and_are_read_again(depmm, tmp_path):
    run = write_attributions(tmp_path / "run")
    attributions = pd.read_parquet(run / "attributions.parquet")
    attributions["word"] = attributions["word"].replace("joy", "=HYPERLINK(A1)")
    attributions.to_parquet(run / "attributions.parquet")
    predictions = make_predictions()
    predictions.to_parquet(run / "predictions.parquet")
    out = tmp_path / "words.csv"
    sql = "SELECT word, min(occlusion) AS low FROM attributions GROUP BY word ORDER BY word"
    assert depmm("ask", run, "--sql", sql, "--out", out).code == 0
    assert pd.read_csv(out)["word"].tolist() == ["'=HYPERLINK(A1)", "grief", "table"]
    out = tmp_path / "predictions.csv"
    assert depmm("ask", run, "--sql", "FROM predictions", "--out", out).code == 0
    pd.testing.assert_frame_equal(read_predictions(out), predictions, check_dtype=False)
