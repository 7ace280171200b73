"""The benchmark of front-end and face network compares equal results."""

from experiments.benchmarks import encoder_speed
from experiments.results import check_cell
from experiments.results_tables import meets_aims


def test_rows_state_ratio_aim_and_difference():
    rows = encoder_speed.measure(((2, 1),), n_crops=2, size=64, n_turns=1)
    for row in rows:
        for column, cell in row.items():
            check_cell(column, cell, "range")
        assert meets_aims(row) is not None
    assert rows[0]["largest difference"] < 1e-3  # decibels
    assert rows[1]["largest difference"] < 1e-5
