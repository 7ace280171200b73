"""The report of the matrix of training and test corpora, from tables of predictions."""

import pandas as pd
import pytest
from report_predictions import make_predictions

from depmm.evaluation.comparison import compare_runs
from depmm.evaluation.reports.cross_corpus_report import Cell, Evaluation, write_cross_corpus

EVALUATION = Evaluation(200, 0.95, "session", "validation", "random")


def cells_of(within: pd.DataFrame) -> list[Cell]:
    """Return the cells of the test corpus: training inside of it, and on another one."""
    across = make_predictions(folds=1, separation=1.0)  # tests all 30 subjects
    training = across.assign(corpus="other", split=["train"] * 20 + ["validation"] * 10)
    crossed = pd.concat([across, training], ignore_index=True)
    test_corpus = str(within["corpus"].iloc[0])
    return [
        Cell((test_corpus,), test_corpus, within, "within"),
        Cell(("other",), test_corpus, crossed, "train-other"),
    ]


def write(cells: list[Cell], folder):
    """Write the report and return its content."""
    return write_cross_corpus(
        cells, folder, EVALUATION, title="Matrix", labels=[], notes=[], audits={}
    )


def test_the_difference_to_an_official_split_is_on_the_common_sessions(tmp_path):
    folds = make_predictions()
    official = folds[folds["fold"] == 0].reset_index(drop=True)  # tests 10 of 30 subjects
    cells = cells_of(official)
    content = write(cells, tmp_path)
    tested = {cell["kind"]: cell["counts"]["test"]["sessions"] for cell in content["cells"]}
    assert tested == {"within": 10, "cross": 30}
    row = next(row for row in content["differences"] if row["metric"] == "auroc")
    assert (row["sessions"], row["subjects"]) == (10, 10)
    subjects = set(official.loc[official["split"] == "test", "subject"])
    crossed = cells[1].predictions
    left_out = (crossed["split"] == "test") & ~crossed["subject"].isin(subjects)
    runs = {"a": crossed[~left_out], "b": official}
    expected = compare_runs(runs, ["auroc"], n_bootstrap=200).iloc[0]
    assert row["difference"] == pytest.approx(expected["difference"])
    assert row["p"] == pytest.approx(expected["p"])
    page = (tmp_path / "cross_corpus.html").read_text()
    assert '<td class="num" data-label="sessions">10 (10)</td>' in page


def test_the_difference_to_a_cross_validation_is_on_all_sessions(tmp_path):
    content = write(cells_of(make_predictions()), tmp_path)
    assert {(row["sessions"], row["subjects"]) for row in content["differences"]} == {(30, 30)}
    assert content["notes"] == []


def test_repetitions_of_the_folds_are_not_trainings(tmp_path):
    folds = make_predictions()
    within = pd.concat([folds, folds.assign(fold=folds["fold"] + 3)], ignore_index=True)
    content = write(cells_of(within)[:1], tmp_path)
    assert len(content["cells"][0]["seeds"]) == 2
    assert set(pd.read_csv(tmp_path / "cross_corpus.csv")["seeds"]) == {1}


def test_cells_without_a_common_session_are_named(tmp_path):
    within = make_predictions()
    cells = cells_of(within.assign(subject="other" + within["subject"]))
    content = write(cells, tmp_path)
    assert content["differences"] == []
    assert len(content["notes"]) == 1
    assert cells[1].name in content["notes"][0]
