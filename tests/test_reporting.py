"""``depmm.evaluate`` of runs and predictions tables."""

import json
from pathlib import Path

import pandas as pd
import pytest
from report_predictions import noisy_predictions
from trained_runs import AUDIO, train_tiny

import depmm
from depmm.evaluation.prediction_checks import PredictionTableError
from depmm.evaluation.thresholds import SETTING
from depmm.reporting import summary_lines
from depmm.run_comparison import EvaluationError

FILES = ["SHA256SUMS", "metrics.json", "report.html", "tables.md", "tables.tex"]


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


def test_errors_during_the_evaluation_of_a_file_name_it(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("subject,session,score,score_pred\na,a1,3,4\nb,b1,9,8\n")
    with pytest.raises(PredictionTableError) as info:  # no train rows for the baselines
        depmm.evaluate(path, tmp_path / "report")
    assert (info.value.file, info.value.column) == (path, "score")
    path.write_text("subject,session,y_true,y_prob\na,a1,0,0.4\nb,b1,1,\n")
    with pytest.raises(PredictionTableError) as info:
        depmm.evaluate(path, tmp_path / "report")
    assert (info.value.file, info.value.column) == (path, "y_prob")


def test_several_runs_are_compared_by_another_command(tmp_path, tables):
    with pytest.raises(EvaluationError) as info:
        depmm.evaluate(tables, tmp_path / "report")
    assert (info.value.setting, info.value.value) == ("run", [str(table) for table in tables])
    with pytest.raises(EvaluationError) as info:
        depmm.evaluate(tables, pool=True)
    assert info.value.setting == "out"
    assert not (tmp_path / "report").exists()


def test_no_run_and_unknown_checklists_are_refused_before_anything_is_written(tmp_path, tables):
    with pytest.raises(EvaluationError) as info:
        depmm.evaluate([], out=tmp_path / "report", pool=True)
    assert info.value.setting == "run"
    for names in (["tripod"], "reforms"):  # a text is no sequence of names
        with pytest.raises(EvaluationError) as info:
            depmm.evaluate(tables[0], out=tmp_path / "report", checklists=names)
        assert info.value.setting == "checklists"
    assert not (tmp_path / "report").exists()


def test_an_undefined_metric_is_in_the_summary():
    entry = {"value": None, "undefined": "all tested sessions are negative"}
    (line,) = summary_lines({"kind": "run", "metrics": {"auroc": entry}})
    assert line.split(maxsplit=1) == ["auroc", "undefined: all tested sessions are negative"]


CLASSICAL = ["model=null", "training=null", "data.modalities=[audio]"]
CLASSICAL += ["classical={model: {kind: svm}, n_mfcc: 8, n_mels: 16}"]
NETWORK = [*AUDIO, "training.epochs=1"]
TWO_FOLDS = "split={kind: k_fold, folds: 2, validation: 0.4}"


def count_positive(run: Path, threshold: float) -> int:
    test = pd.read_parquet(run / "predictions.parquet").query("split == 'test'")
    return int((test["y_prob"] >= threshold).sum())


@pytest.mark.parametrize("kind", [NETWORK, CLASSICAL], ids=["network", "classical"])
def test_a_cross_validation_decides_by_the_threshold_of_its_config(corpus, tmp_path, kind):
    overrides = [*kind, TWO_FOLDS, f"out={tmp_path}"]
    run = depmm.cross_validate(corpus.config, [*overrides, "evaluation.threshold=0.5"])
    content = depmm.evaluate(run)
    assert content == json.loads((run / "metrics.json").read_text())
    assert content["threshold_setting"] == 0.5
    assert content["thresholds"] == [
        {"fold": fold, "seed": 0, "value": 0.5, "source": SETTING} for fold in (0, 1)
    ]
    assert content["confusion"]["tp"] + content["confusion"]["fp"] == count_positive(run, 0.5)
    assert SETTING in (run / "report.html").read_text()


def test_each_run_has_its_threshold_in_single_reports_and_comparisons(corpus, tmp_path):
    runs = {}
    for name, threshold in (("low", "0.001"), ("high", "0.999"), ("chosen", "validation")):
        runs[name] = train_tiny(
            corpus, tmp_path / name, *AUDIO, f"evaluation.threshold={threshold}"
        )
    low, high, chosen = (depmm.evaluate(run) for run in runs.values())
    assert low["confusion"]["tn"] + low["confusion"]["fn"] == 0
    assert high["confusion"]["tp"] + high["confusion"]["fp"] == 0
    assert low["metrics"]["auroc"] == high["metrics"]["auroc"] == chosen["metrics"]["auroc"]
    assert chosen["threshold_setting"] == "validation"
    assert chosen["thresholds"][0]["source"] != SETTING
    card = (runs["low"] / "README.md").read_text()
    assert "The decision threshold is 0.001" in card
    assert "The decision threshold is" not in (runs["chosen"] / "README.md").read_text()

    compared = depmm.compare(list(runs.values()), tmp_path / "compared")
    for name, content in (("low", low), ("high", high), ("chosen", chosen)):
        assert compared["runs"][name]["confusion"] == content["confusion"]
        assert compared["runs"][name]["thresholds"] == content["thresholds"]
    rows = {(row["run_a"], row["run_b"], row["metric"]): row for row in compared["comparison"]}
    row = rows["low", "high", "balanced_accuracy"]
    assert row["value_a"] == row["value_b"] == 0.5  # all positive, all negative

    with pytest.raises(EvaluationError) as info:
        depmm.evaluate([runs["low"], runs["chosen"]], tmp_path / "pooled", pool=True)
    assert info.value.setting == "evaluation.threshold"
    assert info.value.value == {"low": 0.001, "chosen": "validation"}
