"""Coverage and size for other shapes of data: a small version of other_shapes.py."""

import pytest

from experiments.benchmarks.statistics.other_shapes import CLUSTERED, measure, measure_size


@pytest.mark.slow
def test_intervals_cover_with_ties_skewed_errors_and_unequal_variances():
    table = measure(24, 200, 17, ["auroc", "accuracy", "rmse", "ccc"], share=0.3)
    assert table["coverage"].min() >= 0.89  # .92 less two standard errors of the simulation
    assert table["outside"].sum() == 0


@pytest.mark.slow
def test_runs_with_clustered_sessions_are_rarely_told_apart():
    table = measure_size(24, 60, 18, ["auroc"], correlation=CLUSTERED)
    assert table["p"].max() <= 0.11  # .05 and two standard errors
    assert table["disagree"].max() == 0
