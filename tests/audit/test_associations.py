"""Tests of associations: exact p values, and references of scipy."""

import itertools
import time
from fractions import Fraction
from math import comb
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from depmm.audit.associations import (
    associate_label,
    associate_score,
    runs_p_value,
    sequential_p_value,
)


def test_numbers_of_two_values_have_the_p_value_of_fishers_test():
    labels = pd.Series([1] * 10 + [0] * 10)
    rates = pd.Series([48_000.0] * 8 + [16_000.0] * 2 + [16_000.0] * 10)
    result = associate_label(rates, labels, "sample_rate")
    assert result.effect_size == pytest.approx(0.8)
    assert result.p_value == pytest.approx(stats.fisher_exact([[8, 0], [2, 10]]).pvalue)


def test_numbers_of_many_values_are_tested_by_rank():
    rng = np.random.default_rng(3)
    values, labels = pd.Series(rng.normal(size=40)), pd.Series([1.0, 0.0, np.nan, 1.0] * 10)
    result = associate_label(values, labels, "x")
    reference = stats.mannwhitneyu(values[labels == 1], values[labels == 0])
    assert result.p_value == pytest.approx(reference.pvalue)
    assert result.effect_size == pytest.approx(2 * reference.statistic / 200 - 1)


def test_the_chi_square_test_is_exact_for_few_subjects():
    # each of three sites has one class: 6 of 15 tables with these margins are as extreme
    sites = pd.Series(["a", "a", "b", "b", "c", "c"])
    result = associate_label(sites, pd.Series([1, 1, 0, 0, 1, 1]), "site")
    assert result.effect_size == pytest.approx(1)
    assert result.p_value == pytest.approx(3 / 15, abs=0.06)  # it stops early


def test_many_sites_with_one_class_each_are_found():
    sites = pd.Series([f"site {k // 5}" for k in range(100)])
    result = associate_label(sites, pd.Series([(k // 5) % 2 for k in range(100)]), "site")
    assert result.effect_size == pytest.approx(1)
    assert result.p_value == pytest.approx(1e-4)


@pytest.mark.parametrize("n_subjects", [40, 300])
def test_a_value_per_subject_has_no_association(n_subjects):
    names = pd.Series([f"free text {k}" for k in range(n_subjects)])
    labels = pd.Series(np.arange(n_subjects) % 2)
    assert associate_label(names, labels, "remark").p_value > 0.9
    assert associate_score(names, labels * 9.0, "remark").p_value > 0.9


def test_categories_and_scores_agree_with_kruskal_and_wallis():
    rng = np.random.default_rng(5)
    sites = pd.Series(rng.choice(list("abc"), 120))
    scores = pd.Series(rng.normal(size=120) + 0.5 * (sites == "a"))
    result = associate_score(sites, scores, "site")
    statistic, p_value = stats.kruskal(*(scores[sites == site] for site in "abc"))
    assert result.effect_size**2 == pytest.approx(statistic / 119)
    assert result.p_value == pytest.approx(p_value, rel=0.5)


def test_numbers_and_scores_have_spearmans_correlation():
    rng = np.random.default_rng(6)
    values, scores = rng.normal(size=(2, 30))
    result = associate_score(pd.Series(values), pd.Series(scores), "age")
    assert result.effect_size == pytest.approx(stats.spearmanr(values, scores).statistic)


def test_permutation_p_values_stop_early():
    rng = np.random.default_rng(0)
    sizes = []

    def draw(size):
        sizes.append(size)
        return rng.normal(size=size)

    assert sequential_p_value(draw, 0.0, 9_999) == pytest.approx(0.5, abs=0.07)
    assert sizes == [499]
    assert sequential_p_value(draw, 9.0, 9_999) == pytest.approx(1e-4)
    assert sum(sizes) == 499 + 9_999


@pytest.mark.parametrize(("n_positive", "n_negative"), [(3, 5), (4, 4), (1, 6)])
def test_exact_runs_test_against_all_orders(n_positive, n_negative):
    labels = [1] * n_positive + [0] * n_negative
    orders = set(itertools.permutations(labels))
    runs = [1 + sum(a != b for a, b in itertools.pairwise(order)) for order in orders]
    for most in range(2, max(runs) + 1):
        expected = sum(count <= most for count in runs) / len(orders)
        computed = runs_p_value(most, n_positive, n_negative)
        assert computed == pytest.approx(expected)


def test_exact_runs_test_against_sums_of_integers():
    def probability(runs: int, n_positive: int, n_negative: int) -> float:
        orders = 0
        for count in range(2, runs + 1):
            first, second = (count + 1) // 2 - 1, count // 2 - 1
            orders += comb(n_positive - 1, first) * comb(n_negative - 1, second)
            orders += comb(n_positive - 1, second) * comb(n_negative - 1, first)
        return float(Fraction(orders, comb(n_positive + n_negative, n_positive)))

    for n_positive, n_negative in itertools.product((1, 2, 3, 7, 30, 200), (1, 5, 30, 150)):
        for runs in range(2, 2 * min(n_positive, n_negative) + 2):
            computed = runs_p_value(runs, n_positive, n_negative)
            expected = probability(runs, n_positive, n_negative)
            assert computed == pytest.approx(expected, rel=1e-10, abs=1e-300)


def test_the_runs_test_of_25_000_subjects_is_fast_and_symmetric():
    n = 12_500  # the number of runs is close to normal, with this mean and variance
    mean, variance = 1 + n, n * (n - 1) / (2 * n - 1)
    began = time.perf_counter()
    for z in (-3.0, -1.0, 0.0, 2.0):
        runs = round(mean + z * np.sqrt(variance))
        normal = NormalDist(mean, np.sqrt(variance)).cdf(runs + 0.5)
        assert runs_p_value(runs, n, n) == pytest.approx(normal, rel=0.01)
    assert runs_p_value(2 * n, n, n) == pytest.approx(1.0)
    assert runs_p_value(2, n, n) == 0  # 2 orders of 10^7,500
    assert time.perf_counter() - began < 5
