"""Labels and sessions of a run: those that were tested, also if the data have changed since."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from depmm.data.experiment_data import ExperimentData
from depmm.files.checksums import read_table
from depmm.runs.folder import RunFolder
from depmm.schemas.manifest import SESSION_KEY

logger = logging.getLogger(__name__)


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


def warn_of_lost_sessions(data: ExperimentData, run: RunFolder, splits: Sequence[str]) -> None:
    """Warn of sessions that a run has predicted, and that its data no longer contain.

    Parameters
    ----------
    data : ExperimentData
        Sessions of now, with the split of the training.
    run : RunFolder
        A finished run.
    splits : sequence of str
        Splits that are read.

    Raises
    ------
    DamagedFileError
        If the predictions are damaged.
    """
    table = read_table(run.predictions)
    is_predicted = table.filter(["y_prob", "score_pred"]).notna().any(axis=1)
    predicted = table[table["split"].isin(splits) & is_predicted]
    now = data.sessions.loc[data.sessions["split"].isin(splits), SESSION_KEY]
    sessions = [set(rows[SESSION_KEY].itertuples(index=False)) for rows in (predicted, now)]
    if lost := sorted(map(tuple, sessions[0] - sessions[1])):
        logger.warning(
            "%s: %d of %d sessions that the run has predicted (split %s) are missing, for example "
            "%s: they are not in the manifest %s or the store %s, or have no target.",
            run.path,
            len(lost),
            len(sessions[0]),
            " and ".join(splits),
            "/".join(map(str, lost[0])),
            data.dataset.settings.manifest,
            data.dataset.settings.store,
        )
