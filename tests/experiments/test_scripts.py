"""The scripts for accelerate launch: arguments, messages, and the demo without arguments."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from demo_commands import demo_commands
from trained_runs import AUDIO

from depmm.config import load_config

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "experiments"
CLASSICAL = [
    "data.modalities=[audio]",
    "model=null",
    "training=null",
    "classical={model: {kind: k_nearest}, n_mfcc: 8, n_mels: 16}",
]


@pytest.fixture
def run_script(capsys):
    """Return a function that runs a script in this process and returns its output."""

    def call(name: str, *arguments: object) -> str:
        capsys.readouterr()
        # as __main__, the script would end this process
        runpy.run_path(str(SCRIPTS / name))["main"](list(map(str, arguments)))
        return capsys.readouterr().out

    return call


def test_cross_validate_prints_the_next_command(corpus, tmp_path, run_script, depmm):
    split = "split={kind: k_fold, folds: 3, validation: 0.3}"
    out = run_script("cross_validate.py", corpus.config, *CLASSICAL, split, f"out={tmp_path}")
    assert out.splitlines()[-1] == f"next: depmm evaluate {tmp_path / 'tiny'}"
    assert depmm("evaluate", tmp_path / "tiny").code == 0
    metrics = json.loads((tmp_path / "tiny" / "metrics.json").read_text())
    assert metrics["counts"]["test"]["subjects"] == 12
    assert metrics["folds"] == [0, 1, 2]


def test_cross_validate_takes_seeds(corpus, tmp_path, run_script):
    overrides = [*AUDIO, "training.epochs=1", f"out={tmp_path}"]
    run_script("cross_validate.py", "--seeds", "1,2", corpus.config, *overrides)
    predictions = pd.read_parquet(tmp_path / "tiny" / "predictions.parquet")
    assert sorted(predictions["seed"].unique()) == [1, 2]


@pytest.mark.parametrize("name", ["train_fusion.py", "cross_validate.py"])
def test_an_unknown_setting_is_a_message_without_traceback(corpus, run_script, capsys, name):
    with pytest.raises(SystemExit) as info:
        run_script(name, corpus.config, "training.epoch=1")
    assert info.value.code == 2
    assert "training.epoch" in capsys.readouterr().err


def test_cross_validate_without_a_config_prints_its_usage(run_script):
    with pytest.raises(SystemExit) as info:
        run_script("cross_validate.py")
    assert "CONFIG" in str(info.value.code)


def test_training_the_demo_without_its_corpus_prints_the_commands_of_the_makefile(
    run_script, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as info:
        run_script("train_fusion.py")
    commands = re.findall(r"^ +depmm (.*)$", str(info.value.code), flags=re.MULTILINE)
    recipe = {words[0]: words for words in demo_commands() if "corpora/demo/recordings" in words}
    assert [command.split()[0] for command in commands] == ["simulate", "index", "extract"]
    for command in map(str.split, commands):
        # the message gives the name of the config instead of its file
        assert command == [Path(w).stem if w.endswith(".yaml") else w for w in recipe[command[0]]]


@pytest.mark.slow
def test_a_launch_without_arguments_trains_the_demo(tmp_path):
    """On fewer subjects than those of the demo."""
    environment = {
        **os.environ,
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }

    def call(*command: object) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            capture_output=True, text=True, timeout=500, check=False,
            env=environment, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    recordings, manifest = "corpora/demo/recordings", "corpora/demo/manifest"
    call("-m", "depmm", "simulate", recordings, "--subjects", 12, "--steps", 12, "--workers", 1)
    call("-m", "depmm", "index", "ewre_simulated", recordings, "--out", manifest)
    call(
        *("-m", "depmm", "extract", manifest, recordings),
        *("--out", "stores/demo", "--config", "demo", "--workers", "1"),
    )
    out = call("-m", "accelerate.commands.launch", SCRIPTS / "train_fusion.py")
    assert f"epoch   1/{load_config('demo').training.epochs}" in out
    assert len(pd.read_parquet(tmp_path / "runs" / "demo" / "predictions.parquet")) == 12
