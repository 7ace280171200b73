"""``depmm.evaluate`` of runs, predictions tables and comparisons."""

import json
from pathlib import Path

import pandas as pd
import pytest
from report_predictions import noisy_predictions

import depmm
from depmm.reporting import EvaluationError, summary_lines

FILES = ["metrics.json", "report.html", "tables.md", "tables.tex"]


@pytest.fixture
def tables(tmp_path) -> list[Path]:
    """Write the predictions of two runs to files."""
    paths = [tmp_path / "good.parquet", tmp_path / "poor.csv"]
    noisy_predictions(0.2).to_parquet(paths[0])
    noisy_predictions(30).to_csv(paths[1], index=False)
    return paths


def test_a_table_is_evaluated_with_or_without_a_report(tmp_path, tables):
    table = noisy_predictions(0.2)
    content = depmm.evaluate(table)
    assert content["kind"] == "run"
    assert content["metrics"]["auroc"]["value"] == 1
    assert sorted(tmp_path.iterdir()) == sorted(tables)
    written = depmm.evaluate(table, tmp_path / "report")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == FILES
    assert json.loads((tmp_path / "report" / "metrics.json").read_text()) == written


def test_a_file_is_evaluated_like_its_table(tmp_path, tables):
    content = depmm.evaluate(str(tables[0]), tmp_path / "report", unit="subject")
    assert content["unit"] == "subject"
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == FILES
    alone = depmm.evaluate([tables[0]], tmp_path / "alone", unit="subject")
    assert alone == content


def test_several_runs_are_compared(tmp_path, tables):
    content = depmm.evaluate(tables, tmp_path / "report")
    assert content["kind"] == "comparison"
    assert list(content["runs"]) == ["good", "poor"]
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == FILES
    assert summary_lines(content)[0].startswith("balanced_accuracy  good minus poor: ")


def test_runs_of_the_same_name_are_distinguished_by_their_path(tmp_path, tables):
    (tmp_path / "other").mkdir()
    same_name = tmp_path / "other" / "good.parquet"
    pd.read_parquet(tables[0]).to_parquet(same_name)
    content = depmm.evaluate([tables[0], same_name], tmp_path / "report")
    assert list(content["runs"]) == [str(tables[0]), str(same_name)]


def test_comparisons_without_out_or_with_one_run_twice_are_refused(tmp_path, tables):
    with pytest.raises(EvaluationError) as info:
        depmm.evaluate(tables)
    assert info.value.setting == "out"
    with pytest.raises(EvaluationError) as info:
        depmm.evaluate([tables[0], tables[0]], tmp_path / "report")
    assert info.value.file == tables[0]
    assert not (tmp_path / "report").exists()


def test_an_undefined_metric_is_in_the_summary():
    entry = {"value": None, "ci_low": None, "ci_high": 0.5, "baseline": {"value": None}}
    (line,) = summary_lines({"kind": "run", "metrics": {"auroc": entry}})
    assert line.split() == ["auroc", "undefined", "[undefined,", "0.500]", "baseline", "undefined"]
