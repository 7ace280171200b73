"""Rates of the test of words: a small version of statistics/words.py."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "experiments" / "benchmarks" / "statistics"))
from words import Setting, run


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        Setting("ridge", 1),
        Setting("ridge", 5),
        Setting("ridge", 10),
        Setting("network", 10),
        Setting("nearest mean", 5, subjects=24, share=0.3, reference="training"),
        Setting("nearest mean", 5, reference="training", dim=32),
    ],
)
def test_discoveries_without_an_effect(setting):
    assert run(setting, 200, seed=5).loc["now", "any"] <= 0.07


@pytest.mark.slow
def test_the_permutation_test_is_invalid_across_folds():
    assert run(Setting("ridge", 10), 200, seed=5).loc["before", "any"] > 0.1
    assert run(Setting("ridge", 0), 100, seed=5).loc["before", "any"] > 0.3


@pytest.mark.slow
def test_planted_words_are_found():
    apart, folds = (run(Setting("ridge", k, "balanced"), 60, seed=5).loc["now"] for k in (1, 5))
    assert folds["power"] > max(0.3, apart["power"] - 0.05)
    assert folds["false"] <= 0.05
    assert run(Setting("network", 5, "interacting"), 60, seed=5).loc["now", "power"] > 0.2
