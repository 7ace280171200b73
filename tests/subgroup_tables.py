"""Tested sessions with subgroups, for tests of subgroups and their gaps."""

from itertools import product

import numpy as np
import pandas as pd

from depmm.evaluation.stats.resampled_sessions import resample_sessions


def subject_table(labels, decided, **columns):
    """Make one tested session per subject, with a probability that leads to the decision."""
    table = pd.DataFrame({"y_true": labels, "y_pred": decided, **columns})
    return table.assign(
        corpus="c",
        subject=[f"p{number:03d}" for number in range(len(table))],
        session="1",
        split="test",
        fold=0,
        seed=0,
        y_prob=0.1 + 0.8 * table["y_pred"],
    )


def resample(table, n_bootstrap=50):
    return resample_sessions(table, n_bootstrap, 0.95, 0)


def find_gap(result, grouping, metric="balanced_accuracy"):
    matching = [
        e for e in result["subgroup_gaps"] if (e["grouping"], e["metric"]) == (grouping, metric)
    ]
    assert len(matching) == 1
    return matching[0]


def women_and_men():
    """Make six women, all classified correctly, and six men, one of three correct per class."""
    labels = [0, 0, 0, 1, 1, 1] * 2
    decided = [0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0]
    return subject_table(labels, decided, gender=["female"] * 6 + ["male"] * 6)


def random_sessions(tasks=("interview", "reading"), subjects=12, seed=0):
    """Make a session per subject, task and valence, with random predictions."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        product(range(subjects), tasks, ("positive", "negative")),
        columns=["number", "task", "valence"],
    )
    n = len(rows)
    return rows.assign(
        corpus="c",
        subject="p" + rows["number"].astype(str),
        session=rows["task"] + "-" + rows["valence"],
        split="test",
        fold=0,
        seed=0,
        y_true=rows["number"] % 2,
        y_pred=rng.integers(0, 2, n),
        y_prob=rng.random(n),
        score=rows["number"] % 5,
        score_pred=rng.random(n),
    )
