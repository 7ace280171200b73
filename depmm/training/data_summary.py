"""Log and record how much of the recordings a training reads."""

import logging

from depmm.data.data_summary import summarize_data, write_data_summary
from depmm.data.experiment_data import ExperimentData
from depmm.runs.folder import RunFolder

logger = logging.getLogger(__name__)


def record_data_summary(data: ExperimentData, run: RunFolder) -> None:
    """Write ``data_summary.json`` of a run, and log one line per modality.

    Parameters
    ----------
    data : ExperimentData
        Sessions of the experiment.
    run : RunFolder
        Folder of the run.

    Raises
    ------
    StoreError
        If a stored session is missing or damaged.
    """
    summary = summarize_data(data)
    for used in summary.used_signal.values():
        logger.info("%s", used.describe())
    write_data_summary(summary, run.data_summary)
