"""``depmm compare``: runs beside tables of other programs, units, and tables for a paper."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from report_predictions import noisy_predictions
from simulated_predictions import paired_predictions

import depmm
from depmm.config import load_config
from depmm.errors import DepmmError
from depmm.evaluation.comparison import PairingError
from depmm.reporting import summary_lines
from depmm.run_comparison import EvaluationError, describing_run, read_runs
from depmm.runs import contents
from depmm.schemas.comparison import COMPARED_RUNS, DIFFERENCES

TABLES = ["tables.html", "tables.md", "tables.tex"]
FILES = ["SHA256SUMS", "differences.csv", "metrics.json", "report.html", "runs.csv", *TABLES]
BINARY = ["subject", "session", "y_true", "y_prob"]


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    read_run = contents.read_run
    monkeypatch.setattr(contents, "read_run", lambda path: replace(read_run(path), n_bootstrap=60))


@pytest.fixture
def tables(tmp_path) -> list[Path]:
    """Write the predictions of two runs to files."""
    paths = [tmp_path / "good.parquet", tmp_path / "poor.csv"]
    noisy_predictions(0.2).to_parquet(paths[0])
    noisy_predictions(30).to_csv(paths[1], index=False)
    return paths


@pytest.fixture
def seeds(tmp_path) -> Path:
    """Write the predictions of two seeds, whose subjects have the ids 000 to 047."""
    run = paired_predictions(1.5, seeds=(0, 1))
    ids = run["subject"].str[1:].str.zfill(3)
    path = tmp_path / "run.parquet"
    run.assign(subject=ids, emotion="sad").drop(columns=["score", "score_pred"]).to_parquet(path)
    return path


def test_the_files_have_the_same_numbers(tmp_path, tables):
    out = tmp_path / "report"
    content = depmm.compare(tables, out)
    assert content["kind"] == "comparison"
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert "balanced_accuracy  good minus poor: " in "\n".join(summary_lines(content))
    runs, differences = (pd.read_csv(out / s.file) for s in (COMPARED_RUNS, DIFFERENCES))
    assert list(runs) == COMPARED_RUNS.names
    assert list(differences) == DIFFERENCES.names
    row = runs[(runs["run"] == "good") & (runs["metric"] == "auroc")].iloc[0]
    assert row["value"] == content["runs"]["good"]["metrics"]["auroc"]["value"]
    assert differences["p"].tolist() == [row["p"] for row in content["comparison"]]
    page = (out / "tables.html").read_text()
    parser = _Cells()
    parser.feed(page)
    assert f"{row['value']:.3f} ({row['ci_low']:.3f} to {row['ci_high']:.3f})" in parser.cells
    assert "good minus poor" in parser.cells
    assert not re.search(r"<(style|script|link)|class=", page)


class _Cells(HTMLParser):
    """Collect the texts of a page, as a word processor reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def test_a_minimal_table_of_another_program_is_compared(tmp_path, seeds, depmm):
    """Four columns, ids read as numbers, one seed beside two, and test rows only."""
    theirs = pd.read_parquet(seeds).query("split == 'test' and seed == 0")
    theirs = theirs.assign(subject=theirs["subject"].astype(int), y_prob=1 - theirs["y_prob"])
    path = tmp_path / "theirs.csv"
    theirs[BINARY].to_csv(path, index=False)
    out = tmp_path / "report"
    result = depmm("compare", seeds, path, "--out", out)
    assert result.code == 0, result.err
    assert "theirs: The corpus is taken from run: c." in result.out
    assert "24 ids of the column subject are written differently" in result.out
    content = json.loads((out / "metrics.json").read_text())
    row = next(row for row in content["comparison"] if row["metric"] == "auroc")
    assert (row["seeds_a"], row["seeds_b"], row["sessions"]) == (2, 1, 24)
    (threshold,) = content["runs"]["theirs"]["thresholds"]
    assert (threshold["value"], threshold["source"]) == (0.5, "0.5: no validation rows")
    # the threshold of the other program, if it says so
    theirs.assign(threshold=0.3)[[*BINARY, "threshold"]].to_csv(path, index=False)
    assert depmm("compare", path, seeds, "--out", out).code == 0
    content = json.loads((out / "metrics.json").read_text())
    (threshold,) = content["runs"]["theirs"]["thresholds"]
    assert (threshold["value"], threshold["source"]) == (0.3, "column threshold of the table")
    assert "0.300 (column threshold of the table)" in (out / "report.html").read_text()
    decided = int((theirs["y_prob"] >= 0.3).sum())
    confusion = content["runs"]["theirs"]["confusion"]
    assert confusion["tp"] + confusion["fp"] == decided


def test_units_are_columns_of_the_run(tmp_path, seeds, depmm):
    run = pd.read_parquet(seeds)
    happy = run.assign(session="1", emotion="happy", y_prob=run["y_prob"] ** 2)
    again = run.assign(session="2", y_prob=run["y_prob"] / 2)
    pd.concat([run, happy, again]).to_parquet(seeds)
    theirs = pd.concat([run, happy, again]).query("split == 'test' and seed == 0")
    path = tmp_path / "theirs.csv"
    theirs.assign(y_prob=0.5 + theirs["y_prob"] / 3)[BINARY].to_csv(path, index=False)
    out = tmp_path / "report"
    result = depmm("compare", seeds, path, "--unit", "subject,emotion", "--out", out)
    assert result.code == 0, result.err
    content = json.loads((out / "metrics.json").read_text())
    row = content["comparison"][0]
    assert (row["unit"], row["sessions"], row["subjects"]) == ("subject,emotion", 48, 24)
    assert content["runs"]["run"]["bootstrap"]["unit"] == "subject"
    assert any("emotion of each session" in note for note in content["runs"]["theirs"]["notes"])
    result = depmm("compare", seeds, path, "--unit", "emotion", "--out", out)
    assert result.code == 2
    result = depmm("compare", seeds, path, "--unit", "subject,emotoin", "--out", out)
    assert result.code == 2
    assert "'emotion'" in result.err


def test_unlike_sessions_and_labels_are_counted(tmp_path, seeds):
    run = pd.read_parquet(seeds)
    tested = run.query("split == 'test' and seed == 0")
    path = tmp_path / "theirs.csv"

    def refused(table: pd.DataFrame) -> PairingError:
        table[BINARY].to_csv(path, index=False)
        with pytest.raises(PairingError) as info:
            depmm.compare([seeds, path], tmp_path / "report")
        return info.value

    flipped = tested["y_true"].where(tested["subject"] > "002", 1 - tested["y_true"])
    error = refused(tested.assign(y_true=flipped))
    assert (error.column, error.value) == ("y_true", 3)
    assert "3 of 24" in str(error)
    error = refused(tested.iloc[4:])
    assert (error.column, error.value) == ("session", 4)
    error = refused(run.query("seed == 0"))
    assert (error.column, error.value) == ("session", 24)
    assert "24 of them are train or validation sessions of run" in str(error)
    assert not (tmp_path / "report" / "report.html").exists()


def test_a_table_beside_a_run_follows_the_settings_of_its_config(tables, monkeypatch):
    def read_with_config(path: Path) -> contents.RunContents:
        run = read_run(path)
        if path != tables[1]:
            return run
        return replace(run, config=load_config("demo"), class_counts="fixed", confidence=0.9)

    read_run = contents.read_run
    monkeypatch.setattr(contents, "read_run", read_with_config)
    run = describing_run(read_runs(tables))
    assert (run.name, run.class_counts, run.confidence) == ("poor", "fixed", 0.9)


def test_runs_of_the_same_name_are_distinguished_by_their_path(tmp_path, tables):
    (tmp_path / "other").mkdir()
    same_name = tmp_path / "other" / "good.parquet"
    pd.read_parquet(tables[0]).to_parquet(same_name)
    assert list(read_runs([tables[0], same_name])) == [str(tables[0]), str(same_name)]


def test_a_run_that_is_given_twice_is_refused(tmp_path, tables):
    with pytest.raises(EvaluationError) as info:
        depmm.compare([tables[0], tables[0]], tmp_path / "report")
    assert info.value.file == tables[0]
    assert not (tmp_path / "report").exists()


def test_a_run_is_given_once_however_its_path_is_written(tables, tmp_path):
    with pytest.raises(EvaluationError) as info:
        read_runs([tables[0], tmp_path / "." / ".." / tmp_path.name / tables[0].name])
    assert info.value.file is not None


def test_a_missing_prediction_of_a_table_is_named_with_its_file_and_row(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text("subject,session,y_true,y_prob\nb,1,0,0.3\na,1,1,\n")
    with pytest.raises(DepmmError) as info:
        read_runs([path])
    assert (info.value.file, info.value.column, info.value.subject) == (path, "y_prob", "a")
    assert "row 2 " in str(info.value)
