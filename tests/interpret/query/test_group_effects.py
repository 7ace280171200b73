"""Effects, intervals and tests of columns, against hand values and scipy."""

import numpy as np
import pytest
from scipy import stats
from word_tables import make_matrix

from depmm.interpret.query.group_effects import (
    compare_columns,
    compare_observed,
    compute_drawn_effects,
)


def test_interval_equals_that_of_scipy():
    """BCa against an independent implementation with two separately drawn samples."""
    rng = np.random.default_rng(3)
    labels = np.array([1] * 12 + [0] * 15)
    values = rng.gamma(2.0, size=(27, 1)) + labels[:, None]

    def g(first, second, axis=-1):
        n1, n0 = first.shape[axis], second.shape[axis]
        pooled = (n1 - 1) * first.var(axis, ddof=1) + (n0 - 1) * second.var(axis, ddof=1)
        difference = first.mean(axis) - second.mean(axis)
        return difference / np.sqrt(pooled / (n1 + n0 - 2)) * (1 - 3 / (4 * (n1 + n0 - 2) - 1))

    row = compare_columns(make_matrix(values, labels), permutations=1, draws=8000).iloc[0]
    expected = stats.bootstrap(
        (values[labels == 1, 0], values[labels == 0, 0]), g, n_resamples=8000, rng=0
    ).confidence_interval
    assert row["effect"] == pytest.approx(g(values[labels == 1, 0], values[labels == 0, 0]))
    assert row["ci_low"] == pytest.approx(expected.low, abs=0.06)
    assert row["ci_high"] == pytest.approx(expected.high, abs=0.06)


def test_p_is_uniform_without_an_effect():
    rng = np.random.default_rng(1)
    labels = np.array([1, 0] * 12)
    p = compare_columns(make_matrix(rng.normal(size=(24, 300)), labels), 500, 0)["p"]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.03)


def test_false_and_true_discoveries_of_simulated_studies():
    """48 subjects, 40 words: few false discoveries; a word with an effect of 1 comes first."""
    rng = np.random.default_rng(2)
    labels = np.arange(48) % 2
    false, first = [], []
    for _ in range(20):
        nothing = rng.normal(size=(48, 40))
        false.append((compare_columns(make_matrix(nothing, labels), 200, 0)["q"] < 0.05).any())
        nothing[:, 7] += labels
        first.append(compare_observed(make_matrix(nothing, labels)).effect.argmax() == 7)
    assert np.mean(false) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 20)
    assert np.mean(first) > 0.7


def test_draws_are_weights_of_subjects():
    rng = np.random.default_rng(0)
    labels = np.array([1, 1, 1, 0, 0, 0, 0])
    matrix = make_matrix(rng.normal(size=(7, 3)), labels)
    same = compute_drawn_effects(matrix, np.ones((300, 7)))  # more than are drawn at a time
    np.testing.assert_allclose(same, [compare_observed(matrix).effect] * 300)
    doubled = make_matrix(matrix.to_numpy()[[0, 0, 1, 3, 3, 5]], labels[[0, 0, 1, 3, 3, 5]])
    drawn = compute_drawn_effects(matrix, np.array([[2, 1, 0, 2, 0, 1, 0]]))
    np.testing.assert_allclose(drawn[0], compare_observed(doubled).effect)
