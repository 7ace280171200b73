"""The comparison on parts of RAVDESS: its configs, and the direction of the difference."""

import json

import pandas as pd
import pytest

from depmm.config import load_experiment
from experiments.benchmarks import ravdess_conditions
from experiments.benchmarks.ravdess_conditions import CONDITIONS, list_tables, make_rows
from experiments.results import RESULTS, interval


def test_both_configs_have_the_same_folds_and_targets():
    for table in list_tables().values():
        first, second = (load_experiment(row.config, row.settings) for row in table.rows)
        assert first.split == second.split
        assert first.target == second.target
        assert first.data.steps == second.data.steps
        assert first.split.repeats == 5


def test_the_rows_have_the_columns_of_the_results_file():
    metric = {"value": 0.7, "ci_low": 0.6, "ci_high": 0.8}
    contents = {
        config: {"metrics": {"auroc": metric}, "counts": {"test": {"sessions": 48}}}
        for config in ravdess_conditions.MEASURES.values()
    }
    # depmm compare lists MFCC and pitch first
    pair = {"metric": "auroc", "run_a": "ravdess_sad_mfcc_pitch", "run_b": "ravdess_sad_egemaps"}
    differences = pd.DataFrame([pair | {"difference": -0.1, "ci_low": -0.3, "ci_high": 0.1}])
    found = {
        condition: (contents, differences.assign(p=p))
        for condition, p in zip(CONDITIONS, (0.02, 0.5), strict=True)
    }
    rows = make_rows(found)
    assert rows[0]["eGeMAPS minus MFCC and pitch"] == interval(0.1, -0.1, 0.3)
    assert [row["p"] for row in rows] == pytest.approx([0.04, 0.5])
    recorded = json.loads((RESULTS / "ravdess_conditions.json").read_text(encoding="utf-8"))["rows"]
    assert [list(row) for row in rows] == [list(row) for row in recorded]
    assert [row["sessions"] for row in rows] == [row["sessions"] for row in recorded]
