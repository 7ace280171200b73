"""Metrics without a value: one class, one subject, constant predictions, constant scores."""

import numpy as np
import pandas as pd
import pytest

import depmm
from depmm.evaluation.comparison import compare_runs
from depmm.evaluation.reports.content import evaluate_predictions
from depmm.evaluation.reports.tables import metrics_table
from depmm.evaluation.stats.metrics import METRICS
from depmm.reporting import summary_lines

NEED_BOTH_CLASSES = {
    "balanced_accuracy", "auroc", "auprc", "precision", "f1_positive", "f1_macro", "f1_weighted",
    "mcc",
}  # fmt: skip


def make_table(labels, probabilities, **columns):
    subjects = [f"{n:03}" for n in range(len(labels))]
    table = pd.DataFrame({"subject": subjects, "session": "1", "y_true": labels})
    return table.assign(y_prob=probabilities, **columns)


def evaluate(table):
    return evaluate_predictions(table, n_bootstrap=200, confidence=0.95)


def undefined_metrics(content):
    return {name: e["undefined"] for name, e in content["metrics"].items() if e["value"] is None}


@pytest.mark.parametrize(
    ("label", "word", "rate"), [(0, "negative", "recall"), (1, "positive", "specificity")]
)
def test_one_class(label, word, rate):
    content = evaluate(make_table([label] * 24, np.linspace(0.01, 0.9, 24)))
    undefined = undefined_metrics(content)
    assert set(undefined) == NEED_BOTH_CLASSES | {rate}
    assert set(undefined.values()) == {f"all tested sessions are {word}"}
    for name, entry in content["metrics"].items():
        if name in undefined:
            assert entry["ci_low"] is entry["ci_high"] is None
        if METRICS[name].has_baseline:  # one constant is perfect, also for accuracy and errors
            assert entry["verdict"]["outcome"] == "undefined"
            assert f"all tested sessions are {word}" in entry["verdict"]["text"]
    assert content["metrics"]["accuracy"]["value"] == pytest.approx(0.5, abs=0.1)
    assert "better" not in content["verdict"]["text"]
    lines = summary_lines(content)
    assert [line.split()[:2] for line in lines] == [
        [name, "undefined:"] for name in ("balanced_accuracy", "auroc", "f1_macro")
    ]
    text = metrics_table(content, "run").markdown()
    assert "| F1, macro | undefined |" in text
    assert f"all tested sessions are {word}" in text


def test_constant_decisions():
    labels = [0, 1] * 12
    content = evaluate(make_table(labels, [0.2] * 24))
    assert undefined_metrics(content) == {
        "precision": "all sessions are predicted negative",
        "mcc": "all sessions are predicted negative",
    }
    metrics = content["metrics"]
    assert metrics["auroc"]["value"] == metrics["balanced_accuracy"]["value"] == 0.5
    assert metrics["f1_macro"]["value"] == pytest.approx(1 / 3)  # 2 * 12 / (2 * 12 + 12) / 2
    assert metrics["auroc"]["verdict"]["outcome"] == "not shown to be better"


@pytest.mark.parametrize("labels", [[1], [0], [0, 1]])
def test_without_two_subjects_of_one_class_there_is_no_interval(labels):
    """Every bootstrap draw is the data: an interval of width 0 would be above any baseline."""
    content = evaluate(make_table(labels, [0.9 if label else 0.1 for label in labels]))
    for entry in content["metrics"].values():
        assert entry["ci_low"] is entry["ci_high"] is None
        assert (entry["verdict"] or {"outcome": "undefined"})["outcome"] == "undefined"
    assert content["metrics"]["accuracy"]["value"] == 1
    assert any("no intervals" in text for text in content["warnings"])
    assert not any("percentile, not BCa" in text for text in content["warnings"])


def make_scores(measured, predicted):
    n = len(measured)
    tested = pd.DataFrame(
        {"subject": [f"{k:03}" for k in range(n)], "session": "1", "split": "test", "fold": 0,
         "seed": 0, "score": measured, "score_pred": predicted, "instrument": "BDI-II"}
    )  # fmt: skip
    train = tested.assign(split="train", subject="t" + tested["subject"], score=np.arange(n) + 5.0)
    return pd.concat([tested, train]).assign(corpus="c")


def test_a_constant_score():
    content = evaluate(make_scores([12.0] * 24, np.linspace(8, 20, 24)))
    undefined = undefined_metrics(content)
    assert set(undefined) == {"pearson", "spearman", "ccc", "quadratic_kappa"}
    assert undefined["ccc"] == "all tested sessions have the score 12"
    assert content["metrics"]["mae"]["value"] == pytest.approx(
        np.abs(np.linspace(-4, 8, 24)).mean()
    )
    assert content["metrics"]["mae"]["verdict"]["outcome"] == "undefined"


def test_constant_predicted_scores():
    content = evaluate(make_scores(np.arange(24.0), [11.0] * 24))
    assert undefined_metrics(content) == {
        "pearson": "all predicted scores are 11", "spearman": "all predicted scores are 11"
    }  # fmt: skip
    assert content["metrics"]["ccc"]["value"] == pytest.approx(0)


def test_a_seed_in_which_a_metric_is_undefined_is_named():
    table = make_table([0, 1] * 12, [0.3, 0.7] * 12)
    both = pd.concat([table.assign(seed=0), table.assign(seed=1, y_prob=0.2)])
    content = evaluate(both)
    assert undefined_metrics(content)["mcc"] == "all sessions are predicted negative in seed 1"
    assert content["metrics"]["mcc"]["ci_low"] is None


def test_a_comparison_of_runs_on_one_class(tmp_path):
    files = []
    for name, shift in (("a", 0.0), ("b", 0.05)):
        files.append(tmp_path / f"{name}.csv")
        make_table([0] * 24, np.linspace(0.01, 0.9, 24) + shift).to_csv(files[-1], index=False)
    content = depmm.compare(files, tmp_path / "report")
    rows = content["comparison"]
    for row, line in zip(rows, summary_lines(content)[-len(rows) :], strict=True):
        assert row["undefined"] == "all tested sessions are negative"
        assert row["difference"] is row["p"] is row["p_adjusted"] is row["ci_low"] is None
        assert line.endswith("a minus b: undefined: all tested sessions are negative")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "undefined<small>all tested sessions are negative" in page


def test_comparisons_name_the_undefined_run():
    good = make_table([0, 1] * 12, np.linspace(0.1, 0.9, 24))
    runs = {"good": good, "constant": good.assign(y_prob=0.2)}
    row = compare_runs(runs, ["mcc"], n_bootstrap=100).iloc[0]
    assert row["undefined"] == "all sessions are predicted negative"
    assert np.isnan(row["difference"])
