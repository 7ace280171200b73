"""Explanations against a planted truth, end to end: the small version of planted_words.py."""

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "benchmarks"))
from planted_words import CONDITIONS, PEOPLE, Condition, explained_run, measure

METHODS = ("occlusion", "shapley")


def measured(folder: Path, condition: Condition) -> pd.DataFrame:
    """Results of each method, rows of ``condition`` and, for gender, of the comparison within."""
    reading = explained_run(folder, condition, PEOPLE, 0, METHODS, seeds="0")
    table = pd.DataFrame(measure(folder, condition, reading, METHODS))
    return table.set_index(["condition", "method"])


@pytest.mark.slow
def test_planted_words_are_recovered(tmp_path):
    found = measured(tmp_path, Condition("planted", effect=1.5)).loc["planted"]
    assert found["auroc"].min() > 0.95
    assert found.loc["shapley", "auc"] >= 0.95
    assert found.loc["shapley", "found"] >= 3
    assert found.loc["occlusion", "auc"] > 0.6


@pytest.mark.slow
def test_gender_is_not_taken_for_depression(tmp_path):
    found = measured(tmp_path, CONDITIONS["gender"])
    assert found["auroc"].min() > 0.6  # the confound was learned
    assert found.loc["gender, within gender", "false"].max() <= 1  # of 12 tests at q < .05
