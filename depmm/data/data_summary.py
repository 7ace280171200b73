"""``data_summary.json`` of a run: its windows, how much of the recordings is read, the data flow.

Prediction divides a new recording as the recordings of the training were divided, also where
neither the manifest nor the store of the training exists.
"""

import logging
from pathlib import Path

import pandas as pd
from pydantic import Field, ValidationError

from depmm.config import Experiment, Settings
from depmm.corpora.corpus_facts import CorpusFacts, Windows
from depmm.data.data_flow import DataFlow, measure_data_flow
from depmm.data.errors import DataError
from depmm.data.experiment_data import ExperimentData
from depmm.data.signals.used import UsedSignal
from depmm.data.used_signal import list_limited_modalities, measure_used_signal
from depmm.files.checksums import read_bytes, write_text
from depmm.schemas.manifest import SESSION_KEY

logger = logging.getLogger(__name__)


class DataSummary(Settings):
    """Facts about the data of a run that its predictions depend on."""

    windows: dict[str, Windows | None] = Field(
        description="corpus -> windows that its steps were cut into; null if they were not cut"
    )
    step_s: float | None = Field(description="median length of a training step, in seconds")
    used_signal: dict[str, UsedSignal] = Field(
        description="modality -> how much of the recordings is read"
    )
    flow: DataFlow = Field(description="sessions from the corpus to the run")


def record_data_summary(config: Experiment, data: ExperimentData, path: Path) -> None:
    """Write ``data_summary.json`` of a training, and log how much of each modality is read.

    Parameters
    ----------
    config : Experiment
        The experiment.
    data : ExperimentData
        Sessions of the experiment; the amounts are those of evaluation.
    path : Path
        The file.

    Raises
    ------
    StoreError
        If a stored session is missing or damaged.
    """
    training = data.sessions.loc[data.sessions["split"] == "train", SESSION_KEY]
    corpora = sorted(training["corpus"].unique())
    steps = data.steps.merge(training, on=SESSION_KEY)
    step_s = (steps["end_s"] - steps["start_s"]).median()
    used = measure_used_signal(data.dataset, data.steps)
    summary = DataSummary(
        windows={corpus: data.facts.get(corpus, CorpusFacts()).windows for corpus in corpora},
        step_s=None if pd.isna(step_s) else float(step_s),
        used_signal={name: used[name] for name in list_limited_modalities(config)},
        flow=measure_data_flow(config, data),
    )
    for amount in summary.used_signal.values():
        logger.info("%s", amount.describe())
    write_text(path, summary.model_dump_json(indent=1) + "\n")


def read_data_summary(path: Path) -> DataSummary | None:
    """Read ``data_summary.json``.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    DataSummary or None
        The facts; None if the file does not exist.

    Raises
    ------
    DataError
        If the file cannot be read or contains something else.
    """
    if not path.exists():
        return None
    try:
        return DataSummary.model_validate_json(read_bytes(path))
    except (OSError, ValidationError) as error:
        cause = (
            str(error).splitlines()[-1] if isinstance(error, OSError) else error.errors()[0]["msg"]
        )
        raise DataError(
            f"{path}: cannot be read as the summary of the data of a run ({cause}).",
            file=path,
            remedy="Copy the file again from the original run, or delete it; prediction then needs "
            "--window or the manifest of the training.",
        ) from None
