"""Runs of the tiny experiment on the simulated corpus."""

from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import load_file
from torch import Tensor

from depmm.config import load_config
from depmm.runs.folder import RunFolder
from depmm.training.experiment import build_accelerator
from depmm.training.loop import train_network

AUDIO = [
    "data.modalities=[audio]",
    "model.encoders.face=null",
    "model.fusion={kind: mean_pool, dropout: 0.0}",
]


def train_tiny(corpus: Any, path: Path, *overrides: str) -> Path:
    """Train the tiny experiment for one epoch.

    Parameters
    ----------
    corpus : Corpus
        The simulated corpus of ``conftest.py``.
    path : Path
        Folder of the run.
    *overrides : str
        Settings as ``KEY=VALUE``.

    Returns
    -------
    Path
        ``path``.
    """
    config = load_config(corpus.config, ["training.epochs=1", *overrides])
    train_network(config, RunFolder(path), build_accelerator(config))
    return path


def train_run(corpus: Any, path: Path, *overrides: str) -> RunFolder:
    """Train the tiny experiment for the number of epochs of its config.

    Parameters
    ----------
    corpus : Corpus
        The simulated corpus of ``conftest.py``.
    path : Path
        Folder of the run.
    *overrides : str
        Settings as ``KEY=VALUE``.

    Returns
    -------
    RunFolder
        The finished run.
    """
    config = load_config(corpus.config, list(overrides))
    run = RunFolder(path)
    train_network(config, run, build_accelerator(config))
    return run


def read_weights(run: RunFolder) -> dict[str, Tensor]:
    """Read the weights of a finished run."""
    return load_file(run.model)


def read_history(run: RunFolder) -> pd.DataFrame:
    """Read the training curves of a run, without the times."""
    return pd.read_parquet(run.history).drop(columns="seconds")
