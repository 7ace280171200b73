"""Rates of the test of words: a small version of statistics/words.py."""

import pytest

from experiments.benchmarks.statistics.words import Setting, run


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        Setting("ridge", 1),
        Setting("ridge", 5, dim=2, independent=True),
        Setting("ridge", 10, independent=True, dim=1),
        Setting("ridge", 0, independent=True, dim=1),
        Setting("ridge", 0, subjects=24, share=0.2, reference="relative", word_sd=10.0),
        Setting("network", 10),
        Setting("nearest mean", 5, subjects=24, share=0.3),
        Setting("nearest mean", 5, dim=32),
    ],
)
def test_discoveries_without_an_effect(setting):
    assert run(setting, 200, seed=5).loc["now", "any"] <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folds", "dim", "before"),
    [(5, 2, 0.12), (10, 1, 0.25), (0, 1, 0.6)],  # 0: leave one out; measured .20, .38 and .83
)
def test_the_permutation_test_is_invalid_across_folds(folds, dim, before):
    setting = Setting("ridge", folds, dim=dim, independent=True)
    assert run(setting, 200, seed=5).loc["before", "any"] > before


@pytest.mark.slow
def test_planted_words_are_found():
    apart, folds, single = (
        run(Setting("ridge", k, "one-sided"), 60, seed=5).loc["now"] for k in (1, 5, 0)
    )
    assert min(folds["power"], single["power"]) > max(0.35, apart["power"])
    assert max(folds["false"], single["false"]) <= 0.05
    assert run(Setting("network", 5, "interacting"), 60, seed=5).loc["now", "power"] > 0.3
