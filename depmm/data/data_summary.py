"""``data_summary.json`` of a run: how much of the recordings is read, and the data flow."""

import logging
from pathlib import Path

from pydantic import Field, ValidationError

from depmm.config import Experiment, Settings
from depmm.data.data_flow import DataFlow, measure_data_flow
from depmm.data.errors import DataError
from depmm.data.experiment_data import ExperimentData
from depmm.data.signals.used import UsedSignal
from depmm.data.used_signal import list_limited_modalities, measure_used_signal
from depmm.files.checksums import read_bytes, write_text

logger = logging.getLogger(__name__)


class DataSummary(Settings):
    """Facts about the data of a run, for its report."""

    used_signal: dict[str, UsedSignal] = Field(
        description="modality -> how much of the recordings is read"
    )
    flow: DataFlow = Field(description="sessions from the corpus to the run")


def record_data_summary(
    config: Experiment, data: ExperimentData, path: Path, log: bool = True
) -> None:
    """Write ``data_summary.json`` of a training, and log how much of each modality is read.

    Parameters
    ----------
    config : Experiment
        The experiment.
    data : ExperimentData
        Sessions of the experiment; the amounts are those of evaluation.
    path : Path
        The file.
    log : bool, default True
        Whether to log the amounts.

    Raises
    ------
    StoreError
        If a stored session is missing or damaged.
    """
    used = measure_used_signal(data.dataset, data.steps)
    summary = DataSummary(
        used_signal={name: used[name] for name in list_limited_modalities(config)},
        flow=measure_data_flow(config, data),
    )
    for amount in summary.used_signal.values() if log else ():
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
            remedy="Copy the file again from the original run, or delete it; the report is then "
            "without its content.",
        ) from None
