"""A run: one trained model with everything needed to repeat it, in files that a person can open.

``config.yaml``, ``split.csv``, ``model.safetensors`` + ``config.json``, ``history.parquet``,
``predictions.parquet``, ``environment.json``, and ``audit.json`` where the manifest had passed or
failed an audit; ``tuning.csv`` where inner folds chose settings (``selection.py``); later
``metrics.json`` and ``report.html``.
"""

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from depmm.audit.audit import find_current_audit, read_audit
from depmm.config import ConfigError, Experiment, dump_config, load_experiment
from depmm.evaluation.predictions import read_predictions

LIBRARIES = (
    "depmm",
    "torch",
    "transformers",
    "accelerate",
    "numpy",
    "scikit-learn",
    "mediapipe",
    "av",
)


class RunFolder:
    """The folder of a run.

    Parameters
    ----------
    path : ``<out>/<name>``, or a fold of it
    """

    def __init__(self, path: Path):
        self.path = path
        self.config = path / "config.yaml"
        self.split = path / "split.csv"
        self.checkpoints = path / "checkpoints"
        self.best = path / "checkpoints" / "best.safetensors"
        self.history = path / "history.parquet"
        self.predictions = path / "predictions.parquet"
        self.environment = path / "environment.json"
        self.audit = path / "audit.json"
        self.carried_over = path / "carried_over.json"
        self.tuning = path / "tuning.csv"

    @property
    def finished(self) -> bool:
        """Whether predictions were written, the last thing that training does."""
        return self.predictions.is_file()

    def open(self, config: Experiment) -> None:
        """Create the folder, or check that it is of the same config.

        A setting that a run of an earlier version does not name had its default. A new run keeps
        the audit of its manifest as it is now, with what was allowed.

        Raises
        ------
        ConfigError : another config was run here, or one that cannot be read any more
        ManifestError : the manifest's audit cannot be read
        """
        if self.config.is_file():
            if load_experiment(self.config) != config:
                raise ConfigError(
                    f"{self.path} holds a run of another config (see {self.config}): choose "
                    "another name=..., or delete that folder"
                )
            return
        audit, said = find_current_audit(config.data.manifest)
        self.path.mkdir(parents=True, exist_ok=True)
        if audit is not None:
            write_text(self.audit, json.dumps(audit, indent=1))
        write_text(self.environment, json.dumps({**environment(), "audit": said}, indent=2))
        write_text(self.config, dump_config(config))


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, whole or not at all."""
    part = path.with_suffix(".part")
    table.to_parquet(part, index=False)
    os.replace(part, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def environment() -> dict[str, str]:
    """Versions, platform, commit and command of this process."""
    return {**_installed(), "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])}


@cache  # a nested cross-validation opens hundreds of runs
def _installed() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": platform.machine(),
        **{name: version(name) for name in LIBRARIES},
        "commit": commit.stdout.strip() or "unknown",
    }


def model_folders(path: Path) -> list[RunFolder]:
    """The runs below a folder: itself, or its folds.

    Raises
    ------
    ValueError : there is no finished run
    """
    finished = _trained(path)
    if not finished:
        raise ValueError(
            f"{path} holds no finished run of a network: train one first, or check the path"
        )
    return finished


def _trained(path: Path) -> list[RunFolder]:
    folders = [RunFolder(path), *(RunFolder(fold) for fold in sorted(path.glob("seed-*-fold-*")))]
    return [folder for folder in folders if (folder.path / "model.safetensors").is_file()]


@dataclass(frozen=True)
class RunContent:
    """What a report is made of; None where a predictions table came alone.

    ``models`` are the folders of trained networks, relative to ``path``.
    """

    path: Path
    name: str
    predictions: pd.DataFrame
    config_text: str | None = None
    history: pd.DataFrame | None = None
    environment: dict[str, str] | None = None
    audit: dict[str, Any] | None = None
    coverage: dict[str, Any] | None = None
    config: Experiment | None = None
    models: tuple[str, ...] = ()
    tuning: pd.DataFrame | None = None
    bootstrap: int = 2000
    confidence: float = 0.95


def read_run(path: Path) -> RunContent:
    """Read a run, a cross-validation, or just a table of predictions (.parquet or .csv).

    Raises
    ------
    ValueError : nothing of the kind is there
    """
    if not path.exists():
        raise ValueError(
            f"{path} is not there: give the folder of a run, or a table of predictions"
        )
    if path.is_file():
        return RunContent(path.parent, path.stem, read_predictions(path))
    run = RunFolder(path)
    if not run.finished:
        raise ValueError(f"{path} holds no predictions.parquet: train it to the end first")
    config = load_experiment(run.config) if run.config.is_file() else None
    predictions = pd.read_parquet(run.predictions)
    coverage = None
    if config:
        from depmm.data.coverage import find_coverage  # loads torch, which a table does not need

        coverage = find_coverage(config, predictions)
    history = run.history if run.history.is_file() else None
    return RunContent(
        path,
        path.name,
        predictions,
        run.config.read_text(encoding="utf-8") if config else None,
        pd.read_parquet(history) if history else None,
        json.loads(run.environment.read_text()) if run.environment.is_file() else None,
        read_audit(run.audit) if run.audit.is_file() else None,
        coverage,
        config,
        tuple(folder.path.relative_to(path).as_posix() for folder in _trained(path)),
        pd.read_csv(run.tuning) if run.tuning.is_file() else None,
        *((config.evaluation.n_bootstrap, config.evaluation.confidence) if config else ()),
    )
