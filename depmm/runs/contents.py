"""Read runs: predictions, config, training curves and the other contents of a report."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from depmm.audit.saved_audit import AuditContent, read_audit
from depmm.config import EvaluationConfig, Experiment, load_experiment
from depmm.corpora.corpus_facts import CorpusFacts, read_facts
from depmm.errors import DepmmError
from depmm.evaluation.prediction_checks import PredictionTableError, check_in_order
from depmm.evaluation.predictions import find_targets, read_predictions
from depmm.evaluation.stats.bootstrap import ClassCounts
from depmm.evaluation.thresholds import Threshold
from depmm.files.checksums import read_json, read_table, read_text
from depmm.files.damage import damaged
from depmm.runs.folder import (
    RunError,
    RunFolder,
    list_classical_folders,
    list_model_folders,
    missing_run,
    read_tuning,
    refuse_cross_corpus,
)
from depmm.runs.ledger import list_runs_on_manifest

if TYPE_CHECKING:
    from depmm.data.data_summary import DataSummary

# settings of the evaluation that a combination of runs keeps, see ``RunContents``
EVALUATION_SETTINGS = ("n_bootstrap", "confidence", "class_counts")


@dataclass(frozen=True)
class RunContents:
    """Contents of a run; most are None for a table of predictions without a run.

    Attributes
    ----------
    path : Path
        Folder of the run, or of the table.
    name : str
        Name of the run, or of the table.
    predictions : DataFrame
        Predictions of every session.
    config : Config or ClassicalConfig or None
        The experiment.
    config_text : str or None
        Text of ``config.yaml``.
    history : DataFrame or None
        Training curves, one row per epoch.
    environment : dict of str to str or None
        Versions, platform, commit and command.
    audit : AuditContent or None
        Audit of the manifest at the time of the training.
    coverage : dict of str to object or None
        Sessions without a prediction, and the reasons; how much of the recordings is read.
    models : tuple of str
        Folders of trained networks, relative to ``path``.
    classical_models : tuple of str
        Folders of classical models, relative to ``path``.
    tuning : DataFrame or None
        Candidates of the hyper-parameter tuning.
    properties : DataFrame or None
        Properties of the sessions, from the audit of the manifest.
    flow : dict of str to object or None
        Sessions at each stage, from the corpus to the run.
    facts : dict of str to CorpusFacts or None
        Facts about the corpora of the run.
    ledger : dict of str to object or None
        Runs on the same manifest in the same folder.
    probe : dict of str to object or None
        Content of ``probe.json``, as ``depmm probe`` writes it.
    n_bootstrap : int
        Number of bootstrap samples.
    confidence : float
        Level of confidence intervals.
    threshold : float or "validation"
        Decision threshold, or that it is chosen on validation rows.
    class_counts : {"fixed", "random"}
        Whether the class counts were fixed by the design of the study.
    """

    path: Path
    name: str
    predictions: pd.DataFrame
    config: Experiment | None = None
    config_text: str | None = None
    history: pd.DataFrame | None = None
    environment: dict[str, str] | None = None
    audit: AuditContent | None = None
    coverage: dict[str, Any] | None = None
    models: tuple[str, ...] = ()
    classical_models: tuple[str, ...] = ()
    tuning: pd.DataFrame | None = None
    properties: pd.DataFrame | None = None
    flow: dict[str, Any] | None = None
    facts: dict[str, CorpusFacts] | None = None
    ledger: dict[str, Any] | None = None
    probe: dict[str, Any] | None = None
    n_bootstrap: int = 2000
    confidence: float = 0.95
    threshold: Threshold = "validation"
    class_counts: ClassCounts = "random"


def read_run(path: Path) -> RunContents:
    """Read a run, a cross-validation, or a table of predictions.

    Parameters
    ----------
    path : Path
        Folder of a run, or a table of predictions (Parquet or CSV) from any program.

    Returns
    -------
    RunContents
        Contents of the run.

    Raises
    ------
    RunError
        If the path does not exist, or the training of the run is not finished.
    PredictionTableError
        If a table cannot be read, or does not contain predictions.
    """
    if not path.exists():
        raise missing_run(path)
    if path.is_file():
        return RunContents(path.parent, path.stem, _read_checked(path))
    run = RunFolder(path)
    if not run.finished:
        refuse_cross_corpus(path)
        raise RunError(
            f"{path} does not contain predictions.parquet. Finish its training, or check the path.",
            file=run.predictions,
        )
    contents = RunContents(
        path,
        path.name,
        read_table(run.predictions),
        history=read_table(run.history) if run.history.exists() else None,
        environment=_read_json(run.environment),
        audit=read_audit(run.audit) if run.audit.exists() else None,
        models=_relative(path, list_model_folders(path)),
        classical_models=_relative(path, list_classical_folders(path)),
        tuning=read_tuning(run.tuning) if run.tuning.exists() else None,
        properties=read_table(run.properties) if run.properties.exists() else None,
        facts=read_facts(path),
        probe=read_json(run.probe) if run.probe.exists() else None,
    )
    if not run.config.exists():
        ledger = list_runs_on_manifest(path, contents.predictions)
        return replace(contents, ledger=ledger, **_read_evaluation(run))
    from depmm.data.coverage import find_coverage  # imports torch, which is slow

    config = load_experiment(run.config)
    summary = _read_summary(run)
    used = {} if summary is None else summary.used_signal
    return replace(
        contents,
        config=config,
        config_text=read_text(run.config),
        coverage={
            **find_coverage(config, contents.predictions),
            "used_signal": {
                name: {**asdict(amounts), "text": amounts.describe()}
                for name, amounts in used.items()
            },
        },
        flow=None if summary is None else summary.flow.model_dump(),
        ledger=list_runs_on_manifest(path, contents.predictions),
        n_bootstrap=config.evaluation.n_bootstrap,
        confidence=config.evaluation.confidence,
        threshold=config.evaluation.threshold,
        class_counts=config.evaluation.class_counts,
    )


def _relative(path: Path, folders: list[RunFolder]) -> tuple[str, ...]:
    return tuple(folder.path.relative_to(path).as_posix() for folder in folders)


def _read_checked(path: Path) -> pd.DataFrame:
    """Read a table of another program, and name the file in the errors of its content."""
    table = read_predictions(path)
    with naming_file(path):
        find_targets(check_in_order(table))
    return table


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Name the file of a table in the errors of its content.

    Parameters
    ----------
    path : Path
        The file, or the folder of a run.

    Yields
    ------
    None
        The table is checked or evaluated in this context.

    Raises
    ------
    PredictionTableError
        Any such error raised in the context, with ``file=path``.
    """
    try:
        yield
    except PredictionTableError as error:
        if error.file is not None:
            raise
        problem = str(error).removeprefix("predictions: ").removesuffix(f" {error.remedy}")
        raise PredictionTableError(
            f"{path}: {problem}",
            file=path,
            column=error.column,
            subject=error.subject,
            session=error.session,
            value=error.value,
            remedy=error.remedy,
        ) from None


def read_threshold(path: Path) -> Threshold:
    """Read the decision threshold of a run from its config.

    Parameters
    ----------
    path : Path
        Folder of a run.

    Returns
    -------
    float or "validation"
        Setting ``evaluation.threshold``; "validation" if the folder has no config.
    """
    config = RunFolder(path).config
    return load_experiment(config).evaluation.threshold if config.exists() else "validation"


def _read_summary(run: RunFolder) -> "DataSummary | None":
    from depmm.data.data_summary import read_data_summary

    return read_data_summary(run.data_summary)


def _read_evaluation(run: RunFolder) -> dict[str, Any]:
    """Read the settings of the evaluation of a combination of runs."""
    if not run.combination.is_file():
        return {}
    try:
        given = read_json(run.combination)["evaluation"]
        settings = EvaluationConfig.model_validate(given).model_dump()
        return {name: settings[name] for name in EVALUATION_SETTINGS if name in given}
    except (DepmmError, ValueError, KeyError, TypeError) as error:
        raise damaged(run.combination, f"not a combination of runs ({error})") from None


def _read_json(path: Path) -> dict[str, str] | None:
    if not path.exists():
        return None
    content = read_json(path)
    if wrong := [name for name, value in content.items() if not isinstance(value, str)]:
        raise damaged(path, f"{wrong[0]} is {content[wrong[0]]!r:.80}, not text")
    return content
