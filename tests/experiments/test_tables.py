"""The tables of shipped configs: their definitions, planned differences and order of rows."""

import pandas as pd
import pytest

from depmm.config import load_experiment
from experiments.benchmarks.table_definitions import CORPORA, TABLES, Row, Table
from experiments.benchmarks.tables import metric_rows, paired_rows
from experiments.results import interval

ROWS = (Row("a"), Row("b"), Row("c"))


@pytest.mark.parametrize("name", TABLES)
def test_the_rows_of_a_table_can_be_trained_and_compared(name):
    table = TABLES[name]
    names = [row.name for row in table.rows]
    assert len(set(names)) == len(names)
    assert {run for pair in table.pairs for run in pair} <= set(names)
    assert table.corpus in CORPORA
    assert table.notes.format(subjects=10, sessions=268) != table.notes
    configs = [load_experiment(row.config, row.settings) for row in table.rows]
    # the differences are paired: the same sessions, targets and folds
    assert len({str(config.data.store) for config in configs}) == 1
    assert len({config.split.model_dump_json() for config in configs}) == 1
    targets = {(config.target.kind, tuple(config.target.positive)) for config in configs}
    assert len(targets) == 1


def test_planned_differences_have_the_stated_direction_and_an_adjusted_p():
    found = {"metric": "auroc", "ci_low": -0.1, "ci_high": 0.3, "p": 0.02}
    differences = pd.DataFrame(
        [
            {"run_a": "a", "run_b": "b", "difference": 0.1} | found,
            {"run_a": "a", "run_b": "c", "difference": 0.2} | found | {"p": float("nan")},
            {"run_a": "b", "run_b": "c", "difference": 0.3} | found | {"p": 0.03},
        ]
    )
    pairs = (("b", "a"), ("a", "c"), ("b", "c"))
    rows = paired_rows(Table("emodb", ROWS, pairs, "", ("auroc", "ccc")), differences)
    assert [row["difference"] for row in rows] == ["b minus a", "a minus c", "b minus c"]
    assert {row["metric"] for row in rows} == {"AUROC"}
    assert [row["value"] for row in rows] == [
        interval(-0.1, -0.3, 0.1),
        interval(0.2, -0.1, 0.3),
        interval(0.3, -0.1, 0.3),
    ]
    # Holm over the two tests: 2 * .02 and max(2 * .02, 1 * .03)
    assert [row["p"] for row in rows] == [pytest.approx(0.04), None, pytest.approx(0.04)]


def test_rows_are_sorted_by_auroc_and_the_covariates_come_last():
    def metric(value):
        return {"value": value, "ci_low": value - 0.1, "ci_high": value + 0.1, "per_seed": None}

    gain = {"gain": {"value": 0.2, "ci_low": 0.1, "ci_high": 0.3}}
    baselines = {
        "duration": {"metrics": {"auroc": metric(0.6) | gain}},
        "demographics": {"metrics": {"auroc": metric(0.5) | gain}},
    }
    contents = {
        name: {
            "bootstrap": {"n_trainings": 3},
            "metrics": {"auroc": metric(value)},
            "covariate_baselines": {"binary": {"baselines": baselines}},
        }
        for name, value in {"a": 0.7, "b": 0.9, "c": 0.8}.items()
    }
    rows = metric_rows(Table("emodb", ROWS, (), "", ("auroc",)), contents)
    names = ["b", "c", "a", "duration and steps alone", "gender and age alone"]
    assert [row["config"] for row in rows] == names
    assert rows[0]["auroc above duration and steps"] == interval(0.2, 0.1, 0.3)
    del baselines["duration"]  # released arrays have no duration
    rows = metric_rows(Table("ewre", ROWS, (), "", ("auroc",)), contents)
    assert [row["config"] for row in rows] == ["b", "c", "a", "gender and age alone"]
