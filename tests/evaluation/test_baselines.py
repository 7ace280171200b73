"""Constant baselines come from the train rows, never from the tested rows."""

import pandas as pd
import pytest
from simulated_predictions import (
    two_fold_predictions,
)

from depmm.evaluation.baselines import add_baselines
from depmm.evaluation.prediction_checks import PredictionTableError


def test_baselines_come_from_train_rows():
    table = two_fold_predictions()
    train = table["split"] == "train"
    table.loc[train & (table["fold"] == 0), "y_true"] = [1, 1, 1, 1, 0, 0]
    with_baselines = add_baselines(table, "binary")
    first = with_baselines[with_baselines["fold"] == 0].iloc[-1]
    second = with_baselines[with_baselines["fold"] == 1].iloc[-1]
    assert first["constant_probability"] == pytest.approx(4 / 6)
    assert (first["majority"], first["always_negative"], first["always_positive"]) == (1, 0, 1)
    assert (second["majority"], second["constant_probability"]) == (0, 0.5)  # a tie is negative
    mean = add_baselines(table, "severity").groupby("fold")["constant_mean"].first()
    assert mean.tolist() == pytest.approx([5, 6])


def test_baselines_do_not_depend_on_test_rows():
    table = two_fold_predictions()
    changed = table.copy()
    changed.loc[table["split"] == "test", ["y_true", "score"]] = [1, 63.0]
    for target in ("binary", "severity"):
        before, after = add_baselines(table, target), add_baselines(changed, target)
        new = [name for name in before if name not in table]
        pd.testing.assert_frame_equal(before[new], after[new])


def test_baselines_fall_back_to_validation_rows():
    table = two_fold_predictions()
    table = table[table["split"] != "train"]
    assert set(add_baselines(table, "binary")["binary_baseline_source"]) == {"validation"}
    only_test = table[table["split"] == "test"]
    judged = add_baselines(only_test, "binary")
    assert set(judged["binary_baseline_source"]) == {"none"}
    assert not {"majority", "constant_probability"} & set(judged)
    with pytest.raises(PredictionTableError) as info:
        add_baselines(only_test.assign(score=9.0), "severity")
    assert (info.value.column, info.value.value) == ("score", (0, 0))
    of_one_fold = pd.concat([table, only_test.assign(fold=8)])
    with pytest.raises(PredictionTableError) as info:
        add_baselines(of_one_fold, "binary")
    assert (info.value.column, info.value.value) == ("y_true", (8, 0))
