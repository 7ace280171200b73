"""The decision threshold: best gap, fallbacks, validation rows only, and a set threshold."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from simulated_predictions import (
    two_fold_predictions,
)

from depmm.evaluation.thresholds import SETTING, apply_threshold, choose_threshold


def test_threshold_is_the_middle_of_the_best_gap():
    assert choose_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.8])[0] == pytest.approx(0.4)
    # gaps .2-.3 and .5-.9 are equally good (balanced accuracy .75): the wider one wins
    assert choose_threshold([0, 1, 0, 1], [0.2, 0.3, 0.5, 0.9])[0] == pytest.approx(0.7)


def test_threshold_is_optimal(rng):
    for _ in range(20):
        y, p = rng.integers(0, 2, 15), rng.random(15).round(1)
        if len(set(y)) < 2:
            continue
        chosen = sk.balanced_accuracy_score(y, p >= choose_threshold(y, p)[0])
        best = max(sk.balanced_accuracy_score(y, p >= t) for t in np.append(np.unique(p), 2))
        assert chosen == pytest.approx(best) or (best == 0.5 and choose_threshold(y, p)[0] == 0.5)


@pytest.mark.parametrize(
    ("y", "p"), [([], []), ([1, 1], [0.2, 0.9]), ([0, 1], [0.7, 0.7]), ([0, 1], [0.9, 0.1])]
)
def test_the_threshold_is_one_half_where_none_is_better(y, p):
    value, source = choose_threshold(y, p)
    assert value == 0.5
    assert source.startswith("0.5: ")


def test_threshold_separates_neighbouring_floats():
    low, high = 0.3, np.nextafter(0.3, 1)
    threshold, _ = choose_threshold([0, 1], [low, high])
    assert low < threshold <= high


def test_each_fold_decides_by_its_own_validation_rows():
    decided = apply_threshold(two_fold_predictions())
    # fold 0: negatives up to .38, positives from .77; fold 1: a tenth of it
    thresholds = decided.groupby("fold")["threshold"].unique()
    assert [t.tolist() for t in thresholds] == [[pytest.approx(0.575)], [pytest.approx(0.0575)]]
    assert (decided["y_pred"] == decided["y_true"]).all()
    assert (decided["threshold_source"].str.contains("4 validation sessions")).all()


def test_threshold_does_not_depend_on_test_rows(rng):
    table = two_fold_predictions()
    test = table["split"] == "test"
    changed = table.copy()
    changed.loc[test, "y_prob"] = rng.random(test.sum())
    changed.loc[test, "y_true"] = 1 - changed.loc[test, "y_true"]
    changed = pd.concat([changed, changed[test].assign(subject="another", y_prob=0.99)])
    before = apply_threshold(table).groupby("fold")["threshold"].first()
    after = apply_threshold(changed).groupby("fold")["threshold"].first()
    pd.testing.assert_series_equal(before, after)
    # and it does depend on validation rows
    moved = table.copy()
    moved.loc[table["split"] == "validation", "y_prob"] *= 0.5
    assert (apply_threshold(moved).groupby("fold")["threshold"].first() < before).all()


def test_rows_without_probability_have_no_decision():
    table = two_fold_predictions()
    table.loc[table["split"] == "train", "y_prob"] = np.nan
    decided = apply_threshold(table)
    assert decided.loc[table["split"] == "train", "y_pred"].isna().all()
    assert decided.loc[table["split"] != "train", "y_pred"].notna().all()


def test_a_set_threshold_decides_every_fold():
    table = two_fold_predictions()
    # between the probabilities of fold 0 and above those of fold 1, which are a tenth of them
    decided = apply_threshold(table, 0.5)
    assert set(decided["threshold"]) == {0.5}
    assert set(decided["threshold_source"]) == {SETTING}
    expected = table["y_true"].where(table["fold"] == 0, 0)
    assert decided["y_pred"].tolist() == expected.tolist()


def test_a_probability_equal_to_the_set_threshold_is_positive():
    table = two_fold_predictions().iloc[:3].assign(y_prob=[0.25, np.nextafter(0.25, 0), np.nan])
    decided = apply_threshold(table, 0.25)["y_pred"]
    assert decided.isna().tolist() == [False, False, True]
    assert decided.tolist()[:2] == [1, 0]
