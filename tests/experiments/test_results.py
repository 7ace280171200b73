"""Results files: what they contain, and what ``record`` refuses."""

import argparse
import json
import os
import platform
import runpy
from pathlib import Path

import numpy as np
import pytest

from depmm.config import load_experiment
from experiments.results import aim, interval, publish, record, refuse_settings
from experiments.results_source import describe_origin
from experiments.run_results import describe_intervals, metric_cells

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


def test_the_source_of_trained_rows_is_that_of_the_trainings(tmp_path):
    for name, day in (("a", "02"), ("b", "01"), ("c", "01")):
        environment = {
            "commit": name * 40 if name != "c" else "b" * 40,
            "started": f"2026-01-{day}T03:04:05+00:00",
            "processor": "a processor",
            "python": "3.11.0",
            "torch": "2.13.0",
            "numpy": "2.4.0",
        }
        (tmp_path / name).mkdir()
        (tmp_path / name / "environment.json").write_text(json.dumps(environment))
    (tmp_path / "a" / "seed-0-fold-1").mkdir()
    environment |= {"commit": "d" * 40, "started": "2026-01-01T00:00:00+00:00"}
    (tmp_path / "a" / "seed-0-fold-1" / "environment.json").write_text(json.dumps(environment))
    origin = describe_origin([tmp_path / name for name in "abc"])
    assert origin["commits"] == ["d" * 40, "b" * 40, "a" * 40]  # by the start
    assert (origin["date"], origin["machine"]) == ("2026-01-02", "a processor")
    assert origin["versions"] == {"python": "3.11.0", "torch": "2.13.0", "numpy": "2.4.0"}


def test_options_that_the_command_does_not_name_are_not_recorded(capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--record", action="store_true")
    for words in ([], ["--record"], ["--rounds", "3"], ["--record", "--rounds", "2"]):
        refuse_settings(parser, parser.parse_args(words), "rounds")
    with pytest.raises(SystemExit):
        refuse_settings(parser, parser.parse_args(["--record", "--rounds", "3"]), "rounds")
    assert "--record needs the defaults of: rounds" in capsys.readouterr().err


def test_cells_and_intervals_of_an_evaluated_run():
    auroc = {"value": 0.7, "ci_low": 0.6, "ci_high": 0.8, "method": "Newcombe"}
    content = {
        "metrics": {"auroc": auroc, "f1": auroc | {"value": None}},
        "bootstrap": {"confidence": 0.95, "unit": "subject", "n_trainings": 2},
    }
    cells = metric_cells(content, ["auroc", "f1"])
    assert cells == {"auroc": interval(0.7, 0.6, 0.8), "f1": None}
    described = "95 % over subjects and seeds: AUROC by Newcombe"
    assert describe_intervals([content], ["auroc"]) == described


def test_a_table_is_printed_and_written_only_if_asked_for(tmp_path, capsys):
    for write in (False, True):
        source = {"command": "x", "interval": "95 %", "out": tmp_path}
        publish("both", ROWS, write, **source)
        printed = capsys.readouterr().out
        assert "| `both` | .900 [.800, 1.000] | 12 |  |" in printed
        assert (str(tmp_path / "both.json") in printed) is write
        assert (tmp_path / "both.json").exists() is write


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
