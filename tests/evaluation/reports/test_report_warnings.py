"""Limitations that the report lists."""

from typing import Any

import pandas as pd
from report_predictions import make_predictions, one_target

from depmm.evaluation.reports.content import evaluate_predictions
from depmm.evaluation.reports.report_warnings import FEW_SUBJECTS


def warnings(table: pd.DataFrame) -> list[str]:
    content: dict[str, Any] = evaluate_predictions(
        one_target("binary", table), n_bootstrap=50, confidence=0.95
    )
    texts: list[str] = content["warnings"]
    return texts


def test_a_complete_evaluation_has_no_warnings():
    assert warnings(make_predictions(subjects=60)) == []


def test_few_test_subjects_are_reported():
    (text,) = [
        text for text in warnings(make_predictions(subjects=12)) if "12 test subjects" in text
    ]
    assert str(FEW_SUBJECTS) in text


def test_missing_training_rows_are_reported():
    table = make_predictions(subjects=60)
    only_test = table[table["split"] == "test"]
    assert len(warnings(only_test)) == 1
    no_train = table[(table["split"] != "train") | (table["fold"] != 1)]
    (text,) = warnings(no_train)
    assert "fold(s) 1." in text
    assert text not in warnings(only_test)


def test_missing_labels_of_training_rows_are_reported():
    table = make_predictions(subjects=60).astype({"y_true": "Int64"})
    table.loc[(table["split"] == "train") & (table["fold"] == 1), "y_true"] = None
    assert len(warnings(table)) == 1


def test_missing_validation_rows_are_reported_for_each_fold():
    table = make_predictions(subjects=60)
    texts = warnings(table[table["split"] != "validation"])
    assert len(texts) == 3
    assert all(f"fold {fold}, seed 0" in text for fold, text in enumerate(texts))


def test_scores_outside_of_the_instrument_are_counted():
    table = one_target("severity", make_predictions(subjects=60, seeds=(0, 1)))
    inside = evaluate_predictions(table, n_bootstrap=50, confidence=0.95)
    limits = {"lowest": 0.0, "highest": 63.0}
    assert inside["out_of_range"] == {"rows": 0, "of": 120, **limits}
    tested = table.index[table["split"] == "test"]
    table.loc[tested[:2], "score_pred"] = [-0.5, 70.0]
    table.loc[table.index[table["split"] == "train"], "score_pred"] = 100.0
    outside = evaluate_predictions(table, n_bootstrap=50, confidence=0.95)
    assert outside["out_of_range"] == {"rows": 2, "of": 120, **limits}
    new = set(outside["warnings"]) - set(inside["warnings"])
    assert any(text.startswith("2 of 120 ") for text in new)
    assert outside["metrics"]["rmse"]["value"] > inside["metrics"]["rmse"]["value"]
    unknown = table.assign(instrument="a scale of mine")
    assert evaluate_predictions(unknown, n_bootstrap=50, confidence=0.95)["out_of_range"] is None


def test_a_set_threshold_does_not_depend_on_missing_rows():
    table = one_target("binary", make_predictions(subjects=60))
    for kept in (table["split"] != "validation", table["split"] == "test"):
        chosen = evaluate_predictions(table[kept], n_bootstrap=50, confidence=0.95)
        fixed = evaluate_predictions(table[kept], n_bootstrap=50, confidence=0.95, threshold=0.5)
        assert fixed["confusion"] == chosen["confusion"]
        assert any("threshold" in text for text in chosen["warnings"])
        assert not any("threshold" in text for text in fixed["warnings"])
