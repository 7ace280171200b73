"""Pooled runs of one task and valence each: the table of the cells."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

import depmm
from depmm.evaluation.pooling import PoolingError, pool_runs

CELLS = list(product(("interview", "words"), ("negative", "positive")))


def predictions(task: str | None, valence: str | None, seed: int = 0) -> pd.DataFrame:
    """Make two folds of 20 subjects with one session each; subject 0 lacks one task."""
    rng = np.random.default_rng(sum(map(ord, f"{task}{valence}{seed}")))
    rows = []
    for subject, fold in product(range(20), (0, 1)):
        split = "test" if subject % 2 == fold else "train" if subject % 3 else "validation"
        if subject == 0 and task == "words":
            continue
        rows.append(
            {
                "corpus": "c", "subject": f"{subject:02}", "session": f"{subject:02}",
                "split": split, "fold": fold, "seed": seed, "y_true": subject // 10,
                "y_prob": rng.random(), "gender": "female" if subject % 4 < 2 else "male",
                "task": task, "valence": valence,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def test_cells_of_pooled_runs_are_those_of_the_single_runs():
    runs = {f"{task}-{valence}": predictions(task, valence) for task, valence in CELLS}
    pooled = pool_runs(runs)
    assert len(pooled) == sum(map(len, runs.values()))
    assert sorted(pooled["fold"].unique()) == list(range(8))
    assert not pooled.duplicated(["subject", "session", "fold"]).any()
    assert "01 words negative" in set(pooled["session"])
    content = depmm.evaluate(pooled)
    assert content["counts"]["test"] == {"sessions": 78, "subjects": 20, "positive_sessions": 40}
    for task, valence in CELLS:
        single = depmm.evaluate(runs[f"{task}-{valence}"])
        cell = content["task_by_valence"][task][valence]
        assert cell["subjects"] == single["counts"]["test"]["subjects"]
        for metric in ("accuracy", "precision", "recall", "f1_positive", "auroc"):
            assert cell[metric]["value"] == pytest.approx(single["metrics"][metric]["value"])
    assert set(content["gender_by_task"]) == {"female", "male"}


def test_one_of_the_two_columns_may_be_empty():
    pooled = pool_runs({"a": predictions("words", None), "b": predictions("interview", None)})
    assert set(pooled["session"].str.split().str[1]) == {"words", "interview"}


def test_two_runs_of_one_cell_are_refused():
    runs = {"a": predictions("words", "negative"), "b": predictions("words", "negative", 1)}
    with pytest.raises(PoolingError) as info:
        pool_runs(runs)
    assert (info.value.setting, info.value.value) == ("data.steps", "words negative")


def test_pooled_report_has_the_tables_of_the_paper(tmp_path):
    paths = []
    for task, valence in CELLS:
        paths.append(tmp_path / f"{task}-{valence}.csv")
        predictions(task, valence).to_csv(paths[-1], index=False)
    content = depmm.evaluate(paths, tmp_path / "cells", pool=True)
    tables = (tmp_path / "cells" / "tables.md").read_text()
    value = content["task_by_valence"]["words"]["negative"]["accuracy"]["value"]
    row = next(line for line in tables.splitlines() if line.startswith("| words | Accuracy"))
    assert row.split("|")[3].strip().startswith(f"{value:.3f} (")
    assert "| Gender | Metric | interview | words |" in tables
    page = (tmp_path / "cells" / "report.html").read_text()
    for key in ("task_by_valence", "gender_by_task", "gender_by_valence"):
        assert f'data-cells="{key} auroc"' in page


def test_training_sessions_of_pooled_runs_with_one_split_are_not_untested():
    runs = {task: predictions(task, None).query("fold == 0") for task in ("interview", "words")}
    content = depmm.evaluate(pool_runs(runs))
    assert content["folds"] == [0, 1]
    assert content["untested"] == {"sessions": 0, "which": []}
    folds = predictions("words", None)  # a cross-validation in which a session is never tested
    folds.loc[folds["subject"] == "05", "split"] = "train"
    pooled = pool_runs({"interview": runs["interview"], "words": folds})
    assert depmm.evaluate(pooled)["untested"] == {"sessions": 1, "which": ["c/05/05 words"]}
