"""Ranks of runs over bootstrap draws."""

import numpy as np
import pytest
from simulated_predictions import paired_predictions, resample

from depmm.evaluation.stats.ranks import rank_runs


def test_ranks_of_equal_and_of_very_different_runs():
    good, bad = paired_predictions(6), paired_predictions(0)
    runs = {"good": resample(good), "bad": resample(bad), "same": resample(good)}
    for name in ("auroc", "mae"):  # higher is better, lower is better
        ranks = rank_runs(runs, name, 0)
        assert ranks["good"] == ranks["same"]
        assert ranks["good"].first_share == pytest.approx(0.5)
        assert ranks["good"].mean_rank == pytest.approx(1.5)
        assert (ranks["bad"].first_share, ranks["bad"].mean_rank) == (0, 3)


def test_seeds_make_the_order_less_certain():
    table = paired_predictions(1.5, seeds=(0, 1, 2, 3))
    steady = resample(table.query("seed == 0"))
    scattered = resample(table)
    both = rank_runs({"steady": steady, "scattered": scattered}, "auroc", 0)
    assert sum(rank.first_share for rank in both.values()) == pytest.approx(1)
    assert np.mean([rank.mean_rank for rank in both.values()]) == pytest.approx(1.5)
