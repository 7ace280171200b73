"""The folder of a run: a trained model and everything that is needed to reproduce it.

A run contains ``config.yaml``, ``split.csv``, ``model.safetensors``, ``config.json``,
``history.parquet``, ``predictions.parquet``, ``inference.json`` (what a prediction needs, without
ids, see ``inference_facts``), ``data_summary.json`` (how much of the recordings is read, and the
sessions at each stage), ``step_reference.safetensors`` (mean steps of the training subjects, see
``step_reference``) and ``environment.json``; ``audit.json`` and
``session_properties.parquet`` if the manifest was audited; ``corpora.json`` if the manifest has
facts about its corpora; ``initialization_report.json`` if weights were loaded; and ``tuning.csv``
if settings were tuned. The run of a classical model contains ``model.skops`` and ``measures.csv``
(its inputs) instead of the files of a network. The evaluation adds ``metrics.json`` and
``report.html``. A combination of runs (``depmm combine``) has ``predictions.parquet``,
``combination.json`` and ``environment.json`` only.
"""

import io
import json
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd

from depmm.audit.saved_audit import find_current_audit, manifest_sha256
from depmm.config import ConfigError, Experiment, dump_config, load_experiment
from depmm.corpora.corpus_facts import read_facts, write_facts
from depmm.corpora.splits import format_split
from depmm.errors import DepmmError, similar_path
from depmm.files.checksums import read_json, read_table, read_text, write_table, write_text
from depmm.files.damage import damaged
from depmm.files.locks import locked_folder
from depmm.runs.environment import describe_environment
from depmm.schemas.audit import SESSION_PROPERTIES
from depmm.schemas.runs import TUNING

COMBINATION = "combination.json"
FOLDS = "seed-*-fold-*"  # folders of the runs of a cross-validation
_WRITTEN_BY = {  # what only this command writes, from its start
    "train": "split.csv",
    "cross-validate": FOLDS,
    "cross-corpus": "manifests",
    "combine": COMBINATION,
}


class RunError(DepmmError):
    """A folder that does not contain the required run."""


class RunFolder:
    """Paths of the files of a run.

    Parameters
    ----------
    path : Path
        ``<out>/<name>``, or the folder of a fold below it.
    """

    def __init__(self, path: Path):
        self.path = path
        self.config = path / "config.yaml"
        self.split = path / "split.csv"
        self.model = path / "model.safetensors"
        self.checkpoints = path / "checkpoints"
        self.step_reference = path / "step_reference.safetensors"
        self.best_checkpoint = path / "checkpoints" / "best.safetensors"
        self.last_checkpoint = path / "checkpoints" / "last.safetensors"
        self.history = path / "history.parquet"
        self.predictions = path / "predictions.parquet"
        self.environment = path / "environment.json"
        self.data_summary = path / "data_summary.json"
        self.inference = path / "inference.json"
        self.audit = path / "audit.json"
        self.properties = path / SESSION_PROPERTIES.file
        self.initialization_report = path / "initialization_report.json"
        self.tuning = path / "tuning.csv"
        self.probe = path / "probe.json"
        self.combination = path / COMBINATION
        self.classical_model = path / "model.skops"
        self.measures = path / "measures.csv"

    def locked(self) -> AbstractContextManager[None]:
        """Hold the lock of trainings; the folder is created if it does not exist.

        Returns
        -------
        context manager
            Holds the lock; a process that is killed holds it no longer.

        Raises
        ------
        LockedError
            If another process trains in this folder.
        """
        return locked_folder(self.path, "train")

    def check_command(self, command: str) -> None:
        """Check that the folder does not contain the result of another command.

        The models of both would be read as those of one run: subjects would be explained twice.

        Parameters
        ----------
        command : {"train", "cross-validate", "cross-corpus"}
            Command that is about to write into the folder.

        Raises
        ------
        ConfigError
            If another command has written into it.
        """
        for other, pattern in _WRITTEN_BY.items():
            if other != command and next(self.path.glob(pattern), None):
                raise ConfigError(
                    f"{self.path} contains the result of depmm {other}.",
                    setting="name",
                    file=self.path,
                    value=self.path.name,
                    remedy="Choose another name=..., or delete the folder.",
                )

    def write_split(self, split: pd.DataFrame) -> None:
        """Write the split of the subjects, which an interrupted training must not change.

        Parameters
        ----------
        split : DataFrame
            Columns corpus, subject and split.

        Raises
        ------
        RunError
            If the folder contains checkpoints of a training with another split.
        """
        if self.last_checkpoint.is_file() and self.split.is_file():
            self.check_split(split)
        else:
            write_text(self.split, format_split(split))

    def check_split(self, split: pd.DataFrame) -> None:
        """Check that the split of a begun or finished training is that of the data.

        The config and the manifest can be the same although the split differs: after more sessions
        were extracted, there are more subjects to assign.

        Parameters
        ----------
        split : DataFrame
            Columns corpus, subject and split.

        Raises
        ------
        RunError
            If the split differs from that of the folder.
        """
        if self.split.is_file() and read_text(self.split) != format_split(split):
            raise RunError(
                f"{self.path}: the split of the subjects has changed since this run was begun (see "
                f"{self.split}), because the store, the manifest or a file of folds has changed.",
                file=self.split,
                remedy="Choose another name=..., or delete the folder of the run with all of its "
                "folds.",
            )

    @property
    def finished(self) -> bool:
        """Whether the predictions exist, which are the last file that a training writes."""
        return self.predictions.is_file()

    def open(self, config: Experiment) -> None:
        """Create the folder, or check that it contains a run with the same config.

        A setting that is not in the config of an existing run has its default value. The current
        audit of the manifest and the facts about its corpora are copied to a new run.

        Parameters
        ----------
        config : Config or ClassicalConfig
            The experiment, one fold of it.

        Raises
        ------
        ConfigError
            If the folder contains a run with another config, or its config cannot be read.
        RunError
            If the manifest has changed since the run was begun.
        AuditError
            If the audit of the manifest cannot be read.
        ManifestError
            If the facts of the manifest cannot be read.
        """
        if self.config.is_file():
            if load_experiment(self.config) != config:
                raise ConfigError(
                    f"{self.path} contains a run with another config (see {self.config}).",
                    setting="name",
                    file=self.config,
                    value=config.name,
                    remedy="Choose another name=..., or delete the folder.",
                )
            if self.has_other_manifest(manifest := config.data.manifest):
                raise RunError(
                    f"{self.path}: the manifest {manifest} has changed since this run was begun.",
                    file=manifest,
                    remedy="Choose another name=..., or delete the folder.",
                )
            return
        audit, verdict = find_current_audit(config.data.manifest)
        self.path.mkdir(parents=True, exist_ok=True)
        if audit is not None:
            write_text(self.audit, json.dumps(audit, indent=1))
            properties = config.data.manifest / SESSION_PROPERTIES.file
            if properties.is_file():
                write_table(self.properties, read_table(properties))
        write_facts(read_facts(config.data.manifest), self.path)
        environment = {
            **describe_environment(),
            "audit": verdict,
            "manifest_sha256": manifest_sha256(config.data.manifest),
        }
        write_text(self.environment, json.dumps(environment, indent=2))
        write_text(self.config, dump_config(config))

    def has_other_manifest(self, manifest: Path) -> bool:
        """Tell whether a manifest differs from that with which the run was begun.

        Parameters
        ----------
        manifest : Path
            Folder of the manifest.

        Returns
        -------
        bool
            Whether its tables are others; False for a run that does not say which it had.
        """
        if not self.environment.is_file():
            return False
        before = read_json(self.environment).get("manifest_sha256")
        return before not in (None, manifest_sha256(manifest))


def list_model_folders(path: Path) -> list[RunFolder]:
    """List the trained networks of a run: the run itself, or the folds of a cross-validation.

    Parameters
    ----------
    path : Path
        Folder of a run.

    Returns
    -------
    list of RunFolder
        Folders that contain a trained network, sorted; empty if there are none.
    """
    return [folder for folder in _list_folders(path) if folder.model.is_file()]


def list_classical_folders(path: Path) -> list[RunFolder]:
    """List the classical models of a run: the run itself, or the folds of a cross-validation.

    Parameters
    ----------
    path : Path
        Folder of a run.

    Returns
    -------
    list of RunFolder
        Folders that contain a classical model, sorted; empty if there are none.
    """
    return [folder for folder in _list_folders(path) if folder.classical_model.is_file()]


def _list_folders(path: Path) -> list[RunFolder]:
    return [RunFolder(path), *(RunFolder(fold) for fold in sorted(path.glob(FOLDS)))]


def find_model_folders(path: Path) -> list[RunFolder]:
    """Find the trained networks of a run, at least one.

    Parameters
    ----------
    path : Path
        Folder of a run.

    Returns
    -------
    list of RunFolder
        Folders that contain a trained network, sorted.

    Raises
    ------
    RunError
        If there are none.
    """
    folders = list_model_folders(path)
    if not folders and not path.is_dir():
        raise missing_run(path)
    refuse_combination(path)
    refuse_cross_corpus(path)
    if not folders:
        raise RunError(
            f"{path} does not contain a trained network.",
            file=path,
            remedy="Check the path, or train one: depmm train CONFIG.",
        )
    return folders


def refuse_combination(path: Path) -> None:
    """Refuse a combination of runs where a model is needed.

    Parameters
    ----------
    path : Path
        Folder of a run.

    Raises
    ------
    RunError
        If the folder is one of ``depmm combine``.
    """
    if (file := RunFolder(path).combination).is_file():
        runs = ", ".join(map(str, read_json(file).get("runs", ())))
        raise RunError(
            f"{path} is a combination of the predictions of {runs}, without a model of its own.",
            file=path,
            remedy="Explain, ask, or predict recordings with, these runs.",
        )


def refuse_cross_corpus(path: Path) -> None:
    """Refuse the folder of an experiment across corpora where a run is needed.

    Parameters
    ----------
    path : Path
        Folder of a run.

    Raises
    ------
    RunError
        If the folder is one of ``depmm cross-corpus``.
    """
    if names := sorted(row.name for row in path.glob(f"{_WRITTEN_BY['cross-corpus']}/*")):
        raise RunError(
            f"{path} contains the runs of depmm cross-corpus, and is none itself.",
            file=path,
            remedy=f"Give one of them: {', '.join(str(path / name) for name in names)}.",
        )


def missing_run(path: Path) -> RunError:
    """Build the error of a path of a run that does not exist.

    Parameters
    ----------
    path : Path
        The path.

    Returns
    -------
    RunError
        The error, to be raised; its remedy names the most similar path.
    """
    remedy = "Give the folder of a run, or train one: depmm train CONFIG."
    if path.suffix in (".csv", ".parquet"):
        remedy = "Check the path of the table of predictions."
    what = "is a file, not the folder of a run" if path.exists() else "does not exist"
    return RunError(
        f"{path} {what}.",
        file=path,
        remedy=similar_path(path) or remedy,
    )


def read_tuning(path: Path) -> pd.DataFrame:
    """Read a ``tuning.csv``.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    DataFrame
        The columns of ``TUNING``, and the metric in each inner fold.

    Raises
    ------
    DamagedFileError
        If the file is damaged, or is not such a table.
    """
    text = read_text(path)
    try:
        table = pd.read_csv(io.StringIO(text))
        TUNING.check(table)
    except ValueError as error:
        raise damaged(path, f"not a table of candidates ({error})") from None
    return table
