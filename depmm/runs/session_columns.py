"""Columns of a unit that the predictions of a run do not have, from its manifest."""

import pandas as pd

from depmm.evaluation.prediction_checks import PredictionTableError
from depmm.evaluation.units import Unit, missing_columns
from depmm.files.checksums import read_table
from depmm.runs.contents import RunContents
from depmm.schemas.manifest import SESSION_KEY


def add_unit_columns(run: RunContents, unit: Unit) -> pd.DataFrame:
    """Add the columns of a unit, such as ``emotion``, from the sessions of the manifest.

    Parameters
    ----------
    run : RunContents
        The run, or a table of predictions.
    unit : str
        The unit of the evaluation.

    Returns
    -------
    DataFrame
        The predictions. A column that the manifest does not have either is left out; so are all of
        a table without a run.

    Raises
    ------
    PredictionTableError
        If the unit cannot be used, or the manifest is missing.
    """
    missing = missing_columns(run.predictions, unit)
    if not missing or run.config is None:
        return run.predictions
    file = run.config.data.manifest / "sessions.parquet"
    if not file.is_file():
        raise PredictionTableError(
            f"{run.path}: the predictions have no column {missing[0]!r}, and the manifest of the "
            f"run, {file.parent}, does not exist.",
            file=file,
            column=missing[0],
            setting="unit",
            value=unit,
            remedy="Copy the manifest to this folder, or use another unit.",
        )
    sessions = read_table(file)
    known = [name for name in missing if name in sessions]
    return run.predictions.merge(
        sessions[[*SESSION_KEY, *known]], on=SESSION_KEY, how="left", validate="many_to_one"
    )
