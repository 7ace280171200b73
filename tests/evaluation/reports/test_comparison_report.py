"""Several runs on one page, tables for papers, the model card: all say what metrics.json says."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from nearly import nearly

from depmm.config import load_config
from depmm.data.coverage import find_coverage
from depmm.evaluation.comparison import PairingError, compare_runs
from depmm.evaluation.reports import figures
from depmm.evaluation.reports.comparison_report import write_comparison
from depmm.evaluation.reports.model_card import write_model_card
from depmm.evaluation.reports.report import write_report
from depmm.evaluation.reports.tables import Table
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.store.index import read_failures, read_index
from depmm.store.sessions import SessionStore

EVIL = "_a & b|<i>$x$"
DRAWS = 100


def predictions(noise, subjects=24):
    """Two folds of half the subjects each; ``noise`` hides the labels."""
    rng = np.random.default_rng(5)
    rows = []
    for fold in (0, 1):
        for subject in range(subjects):
            label = subject % 2
            tested = subject // 2 % 2 == fold
            rows.append(
                {
                    "corpus": "c",
                    "subject": f"p{subject}",
                    "session": "1",
                    "split": "test" if tested else "validation" if subject < 8 else "train",
                    "fold": fold,
                    "seed": 0,
                    "y_true": label,
                    "y_prob": 1 / (1 + np.exp(1 - 2 * label - noise * rng.normal())),
                    "score": 5.0 + 20 * label,
                    "score_pred": 6.0 + 20 * label + noise * rng.normal(),
                    "instrument": "BDI-II",
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def runs():
    return {EVIL: predictions(0.2), "noise": predictions(30)}


@pytest.fixture(scope="module")
def compared(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("comparison") / "new"
    commands = {EVIL: "train <b>", "noise": None}
    return out, write_comparison(runs, out, commands=commands, n_bootstrap=DRAWS, confidence=0.9)


# ---- several runs ------------------------------------------------------------------------------


def test_the_comparison_is_that_of_compare_runs(runs, compared):
    out, content = compared
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == content
    assert (content["schema_version"], content["kind"]) == (1, "comparison")
    names = ["balanced_accuracy", "auroc", "rmse", "mae"]
    expected = compare_runs(runs, names, n_bootstrap=DRAWS, confidence=0.9)
    assert content["comparison"] == nearly(expected.to_dict("records"))
    assert list(content["runs"]) == [EVIL, "noise"]
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
    assert "4 of 4 differences are shown" in page
    row = content["comparison"][0]
    cells = re.findall(r'data-field="(difference|p_adjusted)">([^<]+)<', page)
    assert cells[0] == ("difference", f"{row['difference']:.3f}")
    assert float(cells[1][1]) == pytest.approx(row["p_adjusted"], abs=0.0005)
    assert not re.search(r"https?:|//\w|@import|url\((?!#)", page)
    assert page.count('id="run-') == page.count('href="#run-') == 2


def test_runs_that_cannot_be_compared_leave_nothing(runs, tmp_path):
    binary = runs["noise"].drop(columns=["score_pred", "score"])
    severity = runs["noise"].drop(columns=["y_prob", "y_true"])
    settings = {"commands": {"a": None, "b": None}, "n_bootstrap": 10, "confidence": 0.95}
    with pytest.raises(PairingError, match=r"no target in common \(a: binary; b: severity\)"):
        write_comparison({"a": binary, "b": severity}, tmp_path, **settings)
    fewer = binary[binary["subject"] != "p3"]
    with pytest.raises(PairingError, match="c/p3/1 tested in a but not in b"):
        write_comparison({"a": binary, "b": fewer}, tmp_path, **settings)
    assert not list(tmp_path.iterdir())


def test_curves_carry_the_names_of_their_runs_as_text():
    y, prob = np.array([0.0, 1, 0, 1]), np.array([0.1, 0.9, 0.4, 0.3])
    svg = figures.roc_overlay({EVIL: [(y, prob, unit_weights(4))], "b" * 50: [(y, prob, None)]})
    assert "_a &amp; b|&lt;i&gt;$x$" in svg
    assert "b" * 31 + "\N{HORIZONTAL ELLIPSIS}" in svg
    assert figures.roc_overlay({"a": [(y * 0, prob, None)]}) is None


# ---- one run -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluated(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    coverage = {
        "n_sessions": 30,
        "n_predicted": 24,
        "excluded": [
            {"reason": "label is missing", "n_sessions": 6, "sessions": ["c/<q1>/1"] * 6},
        ],
        "failures": [
            {"session": "c/q9/1", "stage": "face", "file": "x.mp4", "cause": "<none>", "remedy": ""}
        ],
    }
    settings = {"coverage": coverage, "n_bootstrap": DRAWS, "confidence": 0.9}
    return out, write_report(runs[EVIL], out, title="a_run", **settings)


def test_severity_levels_are_counted_and_shown_beside_kappa(evaluated):
    out, content = evaluated
    assert content["levels"]["names"] == ["minimal", "mild", "moderate", "severe"]
    counts = np.array(content["levels"]["counts"])
    assert counts.sum() == 24
    assert counts[0, 0] == counts[2, 2] == 12  # 5 and 25 points, predicted within a point
    page = (out / "report.html").read_text(encoding="utf-8")
    assert 'data-cell="level-2-of-moderate"' in page
    assert (
        f"Kappa with quadratic weights {content['metrics']['quadratic_kappa']['value']:.3f}" in page
    )
    assert 'aria-label="Precision-recall curve' in page


def test_what_was_left_out_stands_on_the_page(evaluated):
    out, content = evaluated
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "24 of the 30 sessions of the manifest have a prediction" in page
    assert "c/&lt;q1&gt;/1" in page
    assert "1 failure of the extraction" in page
    assert "&lt;none&gt;" in page
    assert content["coverage"]["excluded"][0]["n_sessions"] == 6


def test_tables_repeat_the_numbers_with_their_caption(evaluated):
    out, content = evaluated
    entry = content["metrics"]["auroc"]
    interval = f"{entry['ci_low']:.3f} to {entry['ci_high']:.3f}"
    markdown = (out / "tables.md").read_text(encoding="utf-8")
    assert (
        f"| AUROC | {entry['value']:.3f} | {interval} | 0.500 (any constant answer) |" in markdown
    )
    assert (
        "Table: a\\_run. Unit: session; 24 sessions of 24 subjects (BDI-II). 90 % intervals "
        "are BCa from 100 bootstrap draws of subjects."
    ) in markdown
    latex = (out / "tables.tex").read_text(encoding="utf-8")
    assert rf"AUROC & {entry['value']:.3f} & {interval} & 0.500" in latex
    assert r"90 \% intervals" in latex
    assert r"\label{tab:a-run-metrics}" in latex


def test_cells_are_text_in_both_languages():
    table = Table("t", "50 % of <b>", ["run", "x"], [[EVIL, "\N{MINUS SIGN}1"], ["a\\b{c}", "2"]])
    assert table.markdown().splitlines() == [
        "Table: 50 % of &lt;b&gt;",
        "",
        "| run | x |",
        "| :-- | --: |",
        "| \\_a &amp; b\\|&lt;i&gt;\\$x\\$ | \N{MINUS SIGN}1 |",
        "| a\\\\b{c} | 2 |",
    ]
    body = table.latex().split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert body == [
        r"\_a \& b\textbar{}\textless{}i\textgreater{}\$x\$ & $-$1 \\",
        r"a\textbackslash{}b\{c\} & 2 \\",
    ]
    assert r"\caption{50 \% of \textless{}b\textgreater{}}" in table.latex()


def test_the_model_card_is_one_of_the_hub_and_names_nobody(evaluated, corpus, tmp_path):
    from huggingface_hub import ModelCard

    content = evaluated[1]
    config = load_config(corpus.config)
    write_model_card(tmp_path, content, config, ["seed-0-fold-0", "seed-0-fold-1"])
    card = ModelCard.load(tmp_path / "README.md")
    results = {result.metric_type: result for result in card.data.eval_results}
    assert list(results) == ["balanced_accuracy", "auroc", "rmse", "mae"]
    auroc = content["metrics"]["auroc"]
    assert results["auroc"].metric_value == pytest.approx(auroc["value"], abs=1e-4)
    assert results["auroc"].metric_name == (
        f"AUROC (90 % interval {auroc['ci_low']:.2f} to {auroc['ci_high']:.2f})"
    )
    assert card.data.license == "other"
    assert card.data.tags[-2:] == ["audio", "face"]
    assert 'from_pretrained("path/to/this/folder/seed-0-fold-0")' in card.text
    for words in ("not a diagnostic device", "24 subjects with 24 sessions", "Intended use"):
        assert words in card.text
    assert not re.search(r"\bp\d+\b", card.content)  # ids of subjects
    assert str(corpus.folder) not in card.content
    head = (tmp_path / "README.md").read_text(encoding="utf-8").split("---")[1]
    assert yaml.safe_load(head)["model-index"][0]["name"] == "tiny"


# ---- what a run says nothing about -------------------------------------------------------------


def test_left_out_sessions_are_told_by_their_reason(corpus, tmp_path):
    config = load_config(corpus.config, [f"data.manifest={tmp_path}", f"data.store={tmp_path}/s"])
    sessions = corpus.manifest.sessions.copy()
    sessions.loc[0, ["label", "score"]] = None
    sessions.to_parquet(tmp_path / "sessions.parquet")
    corpus.manifest.steps.to_parquet(tmp_path / "steps.parquet")
    keys = sessions[["corpus", "subject", "session"]]
    store = SessionStore(corpus.store, config.extract)
    (tmp_path / "s").mkdir()
    index = pd.read_parquet(corpus.store / "index.parquet")
    index[~index["subject"].isin(keys["subject"][1:3])].to_parquet(tmp_path / "s" / "index.parquet")
    assert len(read_index(store)) == 12
    assert read_failures(store).empty
    failures = pd.DataFrame(
        [{**keys.loc[1], "stage": "audio", "file": "a.mp4", "cause": "broken", "remedy": ""}]
    )
    other = failures.assign(subject="of another manifest")
    pd.concat([failures, other]).to_parquet(tmp_path / "s" / "failures.parquet")
    found = find_coverage(config, keys[4:])
    assert (found["n_sessions"], found["n_predicted"]) == (12, 8)
    named = ["/".join(key) for key in keys.to_numpy()]
    assert [(entry["reason"], entry["sessions"]) for entry in found["excluded"]] == [
        ("label is missing", [named[0]]),
        ("not in the store: extraction failed", [named[1]]),
        ("not in the store", [named[2]]),
        (
            "in the store without a prediction: without the modalities or the steps of "
            "data.steps, or extracted after training",
            [named[3]],
        ),
    ]
    assert found["failures"] == [
        {"session": named[1], "stage": "audio", "file": "a.mp4", "cause": "broken", "remedy": ""}
    ]
    (tmp_path / "steps.parquet").unlink()
    assert "steps.parquet: no such file" in find_coverage(config, keys)["not_checked"]
