"""Means of words by label against means and intervals by hand."""

import numpy as np
import pytest
from scipy.stats import bootstrap
from word_tables import make_readings

from depmm.interpret.query.word_means import compute_word_means, find_common_words

LABELS = [1, 1, 1, 0, 0, 0]


def test_means_by_label():
    values = {"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0], "joy": [1.0, 2.0, 0.0, 1.0, 0.0, 2.0]}
    rows = compute_word_means(make_readings(values, LABELS), "occlusion", 200, 99)
    assert [row["word"] for row in rows] == ["grief", "joy"]
    label1, label0 = rows[0]["groups"]
    assert (label1["label"], label1["n_subjects"], label1["mean"]) == (1, 3, pytest.approx(5))
    assert (label0["label"], label0["n_subjects"], label0["mean"]) == (0, 3, pytest.approx(2))
    assert label1["ci_low"] <= 5 <= label1["ci_high"]


def test_interval_equals_that_of_scipy():
    rng = np.random.default_rng(0)
    labels = [1] * 20 + [0] * 20
    x = rng.gamma(2.0, size=40)
    (row,) = compute_word_means(make_readings({"w": list(x)}, labels), "occlusion", 4000, 9)
    expected = bootstrap((x[:20],), np.mean, n_resamples=4000, rng=0).confidence_interval
    group = row["groups"][0]
    width = expected.high - expected.low
    assert [group["ci_low"], group["ci_high"]] == pytest.approx(list(expected), abs=0.05 * width)


def test_scores_form_one_group():
    table = make_readings({"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]}, LABELS)
    (row,) = compute_word_means(table.assign(label=None), "occlusion", 50, 9)
    (group,) = row["groups"]
    assert (group["label"], group["n_subjects"]) == (None, 6)
    assert group["mean"] == pytest.approx(3.5)
    assert np.isnan(row["q"])


def test_words_of_few_readers_are_left_out():
    nan = float("nan")
    values = {"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0], "rare": [1.0, 2.0, nan, 1.0, 2.0, 3.0]}
    table = make_readings(values, LABELS).dropna(subset=["occlusion"])
    assert find_common_words(table).tolist() == ["grief"]
    rows = compute_word_means(table, "occlusion", 50, 9)
    assert [row["word"] for row in rows] == ["grief"]
