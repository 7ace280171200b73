"""Runs of the tiny experiment on the simulated corpus."""

from pathlib import Path
from typing import Any

from depmm.config import load_config
from depmm.runs.folder import RunFolder
from depmm.training.loop import build_accelerator, train

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
    train(config, RunFolder(path), build_accelerator(config), lambda line: None)
    return path
