"""Metrics by split, and sessions with an indeterminate outcome."""

import numpy as np
import pytest
from minimal_predictions import minimal_predictions
from report_predictions import make_predictions
from sklearn.metrics import roc_auc_score

from depmm.evaluation.predictions import prepare_predictions
from depmm.evaluation.reports.content import evaluate_predictions
from depmm.evaluation.reports.indeterminate import count_indeterminate
from depmm.evaluation.reports.split_gap import measure_split_gap
from depmm.evaluation.stats.resampled_sessions import resample_sessions

SETTINGS = {"n_bootstrap": 20, "confidence": 0.9}


def test_metrics_of_training_are_means_over_folds():
    table = make_predictions(folds=3)
    content = evaluate_predictions(table, **SETTINGS)
    train = table[table["split"] == "train"]
    expected = np.mean(
        [roc_auc_score(rows["y_true"], rows["y_prob"]) for _, rows in train.groupby("fold")]
    )
    entry = content["split_gap"]["auroc"]
    assert entry["train"] == pytest.approx(expected)
    assert entry["test"] == content["metrics"]["auroc"]["value"]
    assert entry["gap"] == pytest.approx(entry["train"] - entry["test"])
    assert set(content["split_gap"]) == set(content["metrics"])


def test_severity_bands_of_training_sessions_are_computed():
    content = evaluate_predictions(make_predictions(folds=3), **SETTINGS)
    assert content["split_gap"]["quadratic_kappa"]["train"] is not None


def test_a_table_without_training_predictions_has_no_gap():
    content = evaluate_predictions(minimal_predictions(), **SETTINGS)
    assert content["split_gap"]["auroc"]["train"] is None
    assert content["split_gap"]["auroc"]["gap"] is None
    table = make_predictions(folds=2)
    table.loc[table["split"] == "train", "y_prob"] = np.nan
    prepared, _ = prepare_predictions(table)
    gap = measure_split_gap(prepared, ["binary"], {"auroc": 0.8}, None)
    assert np.isnan(gap["auroc"]["train"])
    assert np.isnan(gap["accuracy"]["train"])
    assert gap["auroc"]["validation"] > 0.5


def test_sessions_with_both_labels_in_their_set_are_indeterminate():
    table, _ = prepare_predictions(make_predictions(subjects=90, folds=3, separation=1.0))
    tested = resample_sessions(table, 20, 0.9, 0)
    content = count_indeterminate(table, tested)
    counts = content["counts"]
    assert sum(counts["negative"].values()) == pytest.approx(45)
    assert sum(counts["positive"].values()) == pytest.approx(45)
    assert 0.2 < content["share"] < 1
    # at 90 % coverage, few sessions are decided against their label
    assert counts["negative"]["positive"] <= 0.2 * 45
    assert counts["positive"]["negative"] <= 0.2 * 45
    sharp, _ = prepare_predictions(make_predictions(subjects=90, folds=3, separation=8.0))
    decided = count_indeterminate(sharp, resample_sessions(sharp, 20, 0.9, 0))
    assert decided["counts"]["positive"]["positive"] > counts["positive"]["positive"]


def test_the_counts_need_validation_sessions():
    content = evaluate_predictions(minimal_predictions(), **SETTINGS)
    assert set(content["indeterminate"]) == {"unavailable"}
