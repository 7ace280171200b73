"""Trainings that are interrupted, killed, damaged, or started twice."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from interrupted_runs import LONG, assert_same_run, interrupt
from trained_runs import AUDIO, train_run

from depmm.corpora.manifest import write_manifest
from depmm.files.damage import DamagedFileError
from depmm.files.locks import LockedError
from depmm.runs.folder import RunError, RunFolder

ROOT = Path(__file__).parents[2]


KILLED = """
import os, sys
from pathlib import Path
import depmm.files.writing
from depmm.config import load_config
from depmm.files.locks import LockedError
from depmm.runs.folder import RunError, RunFolder
from depmm.training.experiment import build_accelerator
from depmm.training.loop import train_network

renames, rename = [], depmm.files.writing._rename

def counted(*arguments):
    renames.append(arguments)
    if len(renames) == int(sys.argv[1]):
        os.kill(os.getpid(), 9)
    rename(*arguments)

depmm.files.writing._rename = counted
config = load_config(sys.argv[2], sys.argv[4:])
train_network(config, RunFolder(Path(sys.argv[3])), build_accelerator(config))
"""


@pytest.mark.slow  # a process for each kill
def test_a_run_that_is_killed_between_its_writes_is_resumed_exactly(
    corpus, uninterrupted, tmp_path
):
    path = tmp_path / "killed"
    killed = 0
    # the files and the lines of their checksums are written by many renames; the folder stays the
    # same, so that every process continues after a kill at another write
    for rename in (2, 5, 14, 4, 5, 6, 7, 8, 9):
        arguments = [str(rename), str(corpus.config), str(path), *LONG]
        done = subprocess.run(
            [sys.executable, "-c", KILLED, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"},
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, -9), done.stderr
        killed += done.returncode == -9
        if done.returncode == 0:
            break
    assert killed >= 5
    run = train_run(corpus, path, *LONG)
    assert_same_run(run, uninterrupted)
    assert not list(path.rglob(".*"))


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors"])
def test_a_damaged_checkpoint_is_refused_and_the_training_begins_again_without_it(
    corpus, tmp_path, monkeypatch, name
):
    settings = [*AUDIO, "training.epochs=2"]
    with monkeypatch.context() as patch:
        interrupt(patch, "save_and_predict", 1)
        with pytest.raises(KeyboardInterrupt):
            train_run(corpus, tmp_path, *settings)
    path = RunFolder(tmp_path).checkpoints / name
    content = bytearray(path.read_bytes())
    content[-5] ^= 4  # in a weight
    path.write_bytes(content)
    with pytest.raises(DamagedFileError) as info:
        train_run(corpus, tmp_path, *settings)
    assert info.value.file == path
    assert "delete the folder of the checkpoints" in info.value.remedy
    shutil.rmtree(path.parent)
    assert train_run(corpus, tmp_path, *settings).finished


def test_two_trainings_into_one_folder_are_refused(corpus, tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.locked():
        with pytest.raises(LockedError) as info:
            train_run(corpus, run.path, *AUDIO, "training.epochs=1")
        assert info.value.file == run.path
        assert f"process {os.getpid()}" in str(info.value)
    train_run(corpus, run.path, *AUDIO, "training.epochs=1")
    with run.locked():  # a finished run is only read
        train_run(corpus, run.path, *AUDIO, "training.epochs=1")


def test_an_interrupted_run_whose_manifest_has_changed_is_refused(corpus, tmp_path, monkeypatch):
    write_manifest(corpus.manifest, tmp_path / "manifest")
    settings = [*AUDIO, "training.epochs=2", f"data.manifest={tmp_path / 'manifest'}"]
    with monkeypatch.context() as patch:
        interrupt(patch, "validate", 2)
        with pytest.raises(KeyboardInterrupt):
            train_run(corpus, tmp_path / "run", *settings)
    sessions = corpus.manifest.sessions.copy()
    swapped = {"train": "validation", "validation": "train", "test": "test"}
    sessions["split"] = sessions["split"].map(swapped)
    write_manifest(replace(corpus.manifest, sessions=sessions), tmp_path / "manifest")
    with pytest.raises(RunError) as info:
        train_run(corpus, tmp_path / "run", *settings)
    assert info.value.file == tmp_path / "manifest"
