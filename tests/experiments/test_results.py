"""Results files: what they contain, and what ``record`` refuses."""

import json
import os
import platform
import runpy
from pathlib import Path

import numpy as np
import pytest

from depmm.config import load_experiment
from experiments.results import aim, interval, record
from experiments.run_results import describe_split, record_runs

ROOT = Path(__file__).parents[2]
ROWS = [{"system": "both", "AUROC": interval(0.9, 0.8, 1.0), "sessions": 12, "reference": None}]


def test_a_results_file_names_its_source(tmp_path):
    path = record("both", ROWS, command="depmm x", seeds=(0, 1), interval="95 %", out=tmp_path)
    content = json.loads(path.read_text())
    assert content["rows"] == ROWS
    assert (content["seeds"], content["command"]) == ([0, 1], "depmm x")
    assert content["versions"]["python"] == platform.python_version()
    assert f"{os.cpu_count()} cores" in content["machine"]
    assert platform.node() not in path.read_text()
    assert len(content["commits"]) == 1


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("Both", ROWS),
        ("../both", ROWS),
        ("both", []),
        ("both", [{"AUROC": np.float32(0.9)}]),
        ("both", [{"AUROC": [0.9, 0.8, 1.0]}]),
        ("both", [{"AUROC": {"value": 0.9, "ci_low": 0.8, "ci_high": 1.0}}]),
        ("both", [{"ratio": float("nan")}]),
        ("both", ROWS),  # bounds, but no interval method
    ],
)
def test_record_refuses(name, rows, tmp_path):
    with pytest.raises(ValueError):  # noqa: PT011
        record(name, rows, command="x", out=tmp_path / "results")
    assert not list(tmp_path.glob("*/*.json"))


def test_an_aim_has_one_limit():
    assert aim(at_most=1.2) == {"of": "ratio", "at_most": 1.2}
    with pytest.raises(ValueError, match="at_most"):
        aim(at_most=1.0, at_least=1.0)


@pytest.fixture
def run(tmp_path):
    """A run with the keys that a results file is made of."""
    folder = tmp_path / "run"
    folder.mkdir()
    split = {"kind": "k_fold", "folds": 5, "repeats": 1}
    auroc = {"value": 0.7, "ci_low": 0.6, "ci_high": 0.8, "method": "Newcombe"}
    (folder / "config.yaml").write_text(json.dumps({"name": "svm", "split": split}))
    environment = {
        "commit": "a" * 40,
        "started": "2026-01-02T03:04:05+00:00",
        "processor": "a processor",
        "python": "3.11.0",
        "torch": "2.13.0",
        "numpy": "2.4.0",
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    metrics = {
        "metrics": {"auroc": auroc | {"per_seed": {"0": 0.75, "1": 0.65}}},
        "counts": {"test": {"subjects": 16}},
        "seeds": [0, 1],
        "bootstrap": {"confidence": 0.95, "unit": "subject", "n_trainings": 2},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_rows_of_runs_have_the_source_of_the_trainings(run, tmp_path):
    path = record_runs(
        "runs", [(None, run), ("again", run)], ["auroc", "auroc.seeds"], command="x", out=tmp_path
    )
    content = json.loads(path.read_text())
    assert [row["config"] for row in content["rows"]] == ["svm", "again"]
    row = content["rows"][0]
    assert row["auroc"] == {"value": 0.7, "low": 0.6, "high": 0.8}
    assert (row["split"], row["subjects"]) == ("5 folds", 16)
    assert row["auroc of each seed"] == "0.750, 0.650"
    assert content["commits"] == ["a" * 40]
    assert (content["date"], content["machine"]) == ("2026-01-02", "a processor")
    assert content["interval"] == "95 % over subjects and seeds: AUROC by Newcombe"
    assert content["seeds"] == [0, 1]


def test_splits_are_described_in_words():
    assert describe_split({"kind": "leave_one_subject_out"}) == "leave one subject out"
    assert describe_split({"kind": "k_fold", "folds": 3, "repeats": 10}) == "3 folds, 10 times"


def test_configs_of_the_comparison_of_systems_are_valid(tmp_path):
    systems = runpy.run_path(str(ROOT / "experiments" / "benchmarks" / "systems.py"))
    corpora = [systems["design_corpus"]("congruence", tmp_path)]
    corpora.append(
        systems["speech_corpus"]("emodb", tmp_path, {"positive": ["a"], "negative": ["b"]})
    )
    for corpus in corpora:
        texts = [
            systems["write_config"](corpus, name, fusion, None)
            for name, fusion in systems["FUSIONS"].items()
        ]
        texts += [systems["write_classical"](corpus, *row) for row in corpus.classical.items()]
        for text in texts:
            path = tmp_path / "row.yaml"
            path.write_text(text)
            assert load_experiment(path).name
