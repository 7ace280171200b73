"""Labels of a run: those that were tested, also if the manifest has changed since."""

from dataclasses import replace

from depmm.data.experiment_data import ExperimentData
from depmm.files.checksums import read_table
from depmm.runs.folder import RunFolder
from depmm.schemas.manifest import SESSION_KEY


def with_tested_labels(data: ExperimentData, run: RunFolder) -> ExperimentData:
    """Replace the labels of sessions by those of the predictions of a run.

    Parameters
    ----------
    data : ExperimentData
        Sessions with the labels of the manifest of now.
    run : RunFolder
        A finished run with binary labels.

    Returns
    -------
    ExperimentData
        The sessions; one without a prediction keeps its label.

    Raises
    ------
    DamagedFileError
        If the predictions are damaged.
    """
    predictions = read_table(run.predictions)
    tested = predictions.drop_duplicates(SESSION_KEY)[[*SESSION_KEY, "y_true"]]
    merged = data.sessions[SESSION_KEY].merge(tested, on=SESSION_KEY, how="left")
    target = data.sessions["target"]
    labels = merged["y_true"].set_axis(target.index).astype(float)
    tested_or_now = labels.fillna(target.astype(float)).astype(target.dtype)
    return replace(data, sessions=data.sessions.assign(target=tested_or_now))
