"""Standardised differences: hand values, Austin's formula for proportions, and chance."""

import numpy as np
import pandas as pd
import pytest

from depmm.evaluation.stats.standardised_differences import (
    categorical_difference,
    chance_bound,
    numeric_difference,
)


def test_a_number_is_compared_in_standard_deviations():
    one, two = pd.Series([1.0, 2.0, 3.0]), pd.Series([2.0, 4.0, 6.0, np.nan])
    assert numeric_difference(one, two) == pytest.approx(-2 / np.sqrt((1 + 4) / 2))
    assert numeric_difference(two, one) == pytest.approx(2 / np.sqrt((1 + 4) / 2))
    assert numeric_difference(10 * one + 3, 10 * two + 3) == pytest.approx(-2 / np.sqrt(2.5))


def test_numbers_without_variance():
    assert numeric_difference(pd.Series([1.0, 1.0]), pd.Series([1.0, 1.0])) == 0
    assert np.isnan(numeric_difference(pd.Series([1.0, 1.0]), pd.Series([2.0, 2.0])))
    assert np.isnan(numeric_difference(pd.Series([1.0]), pd.Series([2.0, 3.0])))


def test_two_categories_are_compared_as_proportions():
    one, two = pd.Series(["a"] * 5 + ["b"] * 5), pd.Series(["a"] * 3 + ["b"] * 7)
    expected = 0.2 / np.sqrt((0.5 * 0.5 + 0.3 * 0.7) / 2)  # Austin (2009), Sec. 3.1
    assert categorical_difference(one, two) == pytest.approx(expected)
    assert categorical_difference(two, one) == pytest.approx(expected)


def test_three_categories_are_compared_by_the_mahalanobis_distance():
    shares = {"a": (0.5, 0.3), "b": (0.3, 0.3), "c": (0.2, 0.4)}
    one, two = (
        pd.Series([name for name, pair in shares.items() for _ in range(round(10 * pair[group]))])
        for group in (0, 1)
    )
    # shares of b and c by hand, Yang and Dalton (2012)
    covariance = np.array([[0.21, -(0.06 + 0.12) / 2], [-(0.06 + 0.12) / 2, (0.16 + 0.24) / 2]])
    difference = np.array([0.0, -0.2])
    expected = np.sqrt(difference @ np.linalg.inv(covariance) @ difference)
    assert categorical_difference(one, two) == pytest.approx(expected)
    renamed = {"a": "z", "b": "y", "c": "x"}  # another category is left out
    assert categorical_difference(one.map(renamed), two.map(renamed)) == pytest.approx(expected)


def test_categories_without_variance():
    constant = pd.Series(["a", "a"])
    assert categorical_difference(constant, constant) == 0
    assert np.isnan(categorical_difference(constant, pd.Series(["b", "b"])))
    assert np.isnan(categorical_difference(constant, pd.Series([], dtype=object)))
    assert np.isfinite(categorical_difference(constant, pd.Series(["a", "b", "c"])))


@pytest.mark.parametrize(("n_one", "n_two", "categories"), [(60, 30, 2), (80, 50, 4)])
def test_chance_exceeds_the_bound_in_5_per_cent_of_samples(n_one, n_two, categories):
    rng = np.random.default_rng(3)
    bound = chance_bound(n_one, n_two, categories)
    exceeded = []
    for _ in range(400):
        values = rng.integers(0, categories, n_one + n_two)
        one, two = pd.Series(values[:n_one]), pd.Series(values[n_one:])
        exceeded.append(categorical_difference(one, two) > bound)
    assert 0.02 < np.mean(exceeded) < 0.1
    assert chance_bound(0, 10) == np.inf
