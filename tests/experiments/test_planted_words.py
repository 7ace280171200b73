"""Explanations recover planted words: a small version of planted_words.py."""

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "benchmarks"))
from planted_words import CONDITIONS, N_SUBJECTS, Condition, make_explained_run, measure

METHODS = ("occlusion", "shapley")


def measure_condition(folder: Path, condition: Condition) -> pd.DataFrame:
    """Measure each method on one corpus; for the condition gender also stratified by gender."""
    reading = make_explained_run(folder, condition, N_SUBJECTS, 0, METHODS, seeds=[0])
    table = pd.DataFrame(measure(folder, condition, reading, METHODS))
    return table.set_index(["condition", "method"])


@pytest.mark.slow
def test_planted_words_are_recovered(tmp_path):
    results = measure_condition(tmp_path, Condition("planted", effect=1.5)).loc["planted"]
    assert results["auroc"].min() > 0.95
    assert results.loc["shapley", "auc"] >= 0.95
    assert results.loc["shapley", "discoveries"] >= 3
    assert results.loc["occlusion", "auc"] > 0.6


@pytest.mark.slow
def test_words_that_differ_by_gender_are_not_discovered(tmp_path):
    results = measure_condition(tmp_path, CONDITIONS["gender"])
    assert results["auroc"].min() > 0.6  # the model has learned the confounder
    assert results.loc["gender, within gender", "false"].max() <= 1  # of 12 tests at q < .05
