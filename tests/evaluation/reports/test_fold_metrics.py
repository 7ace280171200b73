"""Metrics of each fold beside the pooled ones."""

import numpy as np
import pytest
from report_predictions import make_predictions
from simulated_predictions import resample
from sklearn.metrics import roc_auc_score

from depmm.evaluation.reports.content import evaluate_predictions
from depmm.evaluation.reports.fold_metrics import measure_folds, pooling_warning


def test_metrics_of_folds_and_their_mean():
    table = make_predictions(folds=3, seeds=(0, 1))
    # the model of one fold gives higher probabilities: only the pooled AUROC changes
    table.loc[table["fold"] == 1, "y_prob"] = 0.5 + table["y_prob"] / 2
    measured = measure_folds(resample(table), ["binary"])
    tested = table[table["split"] == "test"]
    expected = {
        key: roc_auc_score(rows["y_true"], rows["y_prob"])
        for key, rows in tested.groupby(["seed", "fold"])
    }
    by_fold = {(row["seed"], row["fold"]): row["values"]["auroc"] for row in measured["folds"]}
    assert by_fold == pytest.approx(expected)
    summary = measured["summary"]["auroc"]
    assert summary["mean"] == pytest.approx(np.mean(list(expected.values())))
    assert summary["sd"] == pytest.approx(np.std(list(expected.values()), ddof=1))
    assert (summary["defined"], summary["pooled"] < summary["mean"]) == (6, True)
    assert pooling_warning(measured) is None


def test_folds_of_one_subject_have_no_auroc_and_a_warning():
    table = make_predictions(subjects=12, folds=6)
    assert measure_folds(resample(table[table["fold"] == 0]), ["binary"]) is None
    tested = table[table["split"] == "test"]
    alone = tested.assign(fold=tested["subject"].str[1:].astype(int))
    content = evaluate_predictions(alone.drop(columns=["score"]), n_bootstrap=20, confidence=0.95)
    summary = content["fold_metrics"]["summary"]["auroc"]
    assert (summary["mean"], summary["defined"]) == (None, 0)
    assert any("both classes" in warning for warning in content["warnings"])
