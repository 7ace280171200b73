"""The report of several runs."""

import json
import re

import pytest
from nearly import nearly
from report_predictions import noisy_predictions

from depmm.evaluation.comparison import PairingError, compare_runs
from depmm.evaluation.reports.comparison_report import write_comparison

HOSTILE = "_a & b|<i>$x$"
DRAWS = 100
COSTS = {
    HOSTILE: {"parameters": 12345, "trainable": 45, "training_s": 61.23, "trainings": 2},
    "noise": None,
}


@pytest.fixture(scope="module")
def runs():
    return {HOSTILE: noisy_predictions(0.2), "noise": noisy_predictions(30)}


@pytest.fixture(scope="module")
def compared(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("comparison") / "new"
    commands = {HOSTILE: "train <b>", "noise": None}
    return out, write_comparison(
        runs, out, commands=commands, costs=COSTS, n_bootstrap=DRAWS, confidence=0.9
    )


def test_the_content_is_that_of_compare_runs(runs, compared):
    out, content = compared
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == content
    assert (content["schema_version"], content["kind"]) == (2, "comparison")
    names = ["balanced_accuracy", "auroc", "rmse", "mae"]
    expected = compare_runs(runs, names, n_bootstrap=DRAWS, confidence=0.9)
    assert content["comparison"] == nearly(expected.to_dict("records"))
    assert list(content["runs"]) == [HOSTILE, "noise"]
    assert content["runs"]["noise"]["metrics"]["auroc"]["verdict"]["outcome"] != "better"


def test_the_page_names_the_better_run_and_escapes_it(compared):
    out, content = compared
    page = (out / "report.html").read_text(encoding="utf-8")
    for text in ("<i>", "train <b>"):
        assert text not in page
    assert "train &lt;b&gt;" in page
    name = "_a &amp; b|&lt;i&gt;$x$"
    for metric in ("Balanced accuracy", "AUROC", "RMSE", "MAE"):
        assert f"<li>{metric}: {name} is better ({name} minus noise:" in page
    assert "4 of 4 differences are significant" in page
    row = content["comparison"][0]
    cells = re.findall(r'data-field="(difference|p_adjusted)">([^<]+)<', page)
    assert cells[0] == ("difference", f"{row['difference']:.3f}")
    assert float(cells[1][1]) == pytest.approx(row["p_adjusted"], abs=0.0005)
    assert not re.search(r"https?:|//\w|@import|url\((?!#)", page)
    assert page.count('id="run-') == page.count('href="#run-') == 2


def test_a_comparison_of_pooled_folds_says_that_their_dependence_is_not_covered(
    runs, compared, tmp_path
):
    page = (compared[0] / "report.html").read_text(encoding="utf-8")
    assert page.count('id="pooled-folds"') == 1
    one_split = {name: table[table["fold"] == table["fold"].min()] for name, table in runs.items()}
    given = {"commands": dict.fromkeys(runs), "costs": COSTS}
    write_comparison(one_split, tmp_path / "split", n_bootstrap=DRAWS, confidence=0.9, **given)
    page = (tmp_path / "split" / "report.html").read_text(encoding="utf-8")
    assert 'id="pooled-folds"' not in page


def test_parameters_and_seconds_are_in_the_page_and_in_the_table(compared):
    out, content = compared
    assert content["runs"][HOSTILE]["cost"] == COSTS[HOSTILE]
    assert content["runs"]["noise"]["cost"] is None
    page = (out / "report.html").read_text(encoding="utf-8")
    cells = re.findall(r'data-field="(parameters|training_s)">([^<]+)<', page)
    known, unknown = cells[:2], cells[2:]
    assert known == [("parameters", "12,345"), ("training_s", "61.2")]
    assert {ascii(text) for _, text in unknown} == {ascii("\N{EN DASH}")}
    rows = (out / "tables.md").read_text(encoding="utf-8").splitlines()
    assert any(row.endswith("| 12,345 | 61.2 |") for row in rows)


def test_runs_that_cannot_be_compared_leave_no_files(runs, tmp_path):
    binary = runs["noise"].drop(columns=["score_pred", "score"])
    severity = runs["noise"].drop(columns=["y_prob", "y_true"])
    unknown = {"a": None, "b": None}
    settings = {"commands": unknown, "costs": unknown, "n_bootstrap": 10, "confidence": 0.95}
    with pytest.raises(PairingError) as info:
        write_comparison({"a": binary, "b": severity}, tmp_path, **settings)
    assert info.value.setting == "target"
    fewer = binary[binary["subject"] != "p3"]
    with pytest.raises(PairingError) as info:
        write_comparison({"a": binary, "b": fewer}, tmp_path, **settings)
    assert (info.value.column, info.value.session) == ("session", "1")
    assert "c/p3/1" in str(info.value)
    assert not list(tmp_path.iterdir())
