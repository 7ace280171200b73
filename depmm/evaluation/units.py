"""The unit of every metric: the session, the subject, or a subject under one condition.

A unit is written as columns, for example ``subject,emotion``: the predictions of all sessions with
the same values of these columns are averaged. Units belong to one subject, so that the subjects
stay the clusters that are resampled and exchanged, whatever the unit is.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from depmm.errors import did_you_mean
from depmm.evaluation.covariates import COVARIATES
from depmm.evaluation.prediction_checks import PredictionTableError, check_rows, check_values
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY

Unit = str  # "session", "subject", or columns separated by commas, among them subject
AVERAGED = "mean"  # session id of the mean of all sessions of a subject


def unit_columns(unit: Unit) -> tuple[str, ...]:
    """Split a unit into the columns that distinguish the units of one subject.

    Parameters
    ----------
    unit : str
        ``session``, ``subject`` or, for example, ``subject,emotion``.

    Returns
    -------
    tuple of str
        Columns besides corpus and subject: ``("session",)`` if sessions are not averaged, ``()``
        for the unit ``subject``.

    Raises
    ------
    PredictionTableError
        If the unit has an empty or repeated column, or is not part of a subject.
    """
    names = [name.strip() for name in unit.split(",")]
    if names == ["session"]:
        return ("session",)
    problem = None
    if "" in names:
        problem = "has an empty column"
    elif len(set(names)) < len(names):
        problem = "repeats a column"
    elif "subject" not in names:
        problem = "joins the sessions of different subjects, but intervals are over subjects"
    elif result := sorted({"split", "fold", "seed", "y_true", "y_prob"} & set(names)):
        problem = f"contains {result[0]}, which is not a property of a session"
    if problem:
        raise PredictionTableError(
            f"The unit {unit!r} {problem}.",
            setting="unit",
            value=unit,
            remedy="Give session, subject, or subject and further columns, for example "
            "subject,task.",
        )
    return tuple(name for name in names if name not in SUBJECT_KEY)


def describe_unit(unit: Unit) -> str:
    """Describe a unit for reports.

    Parameters
    ----------
    unit : str
        The unit.

    Returns
    -------
    str
        One or two sentences.
    """
    if "session" in unit_columns(unit):
        return "Unit: session."
    if not unit_columns(unit):
        return "Unit: subject (mean prediction of the sessions)."
    names = " and ".join(unit_columns(unit))
    return (
        f"Unit: subject and {names} (mean prediction of the sessions of a subject with the same "
        f"{names}). Units of one subject are not independent: intervals and tests resample or "
        "exchange whole subjects."
    )


def find_units(table: pd.DataFrame, unit: Unit) -> pd.Series:
    """Find the unit of each row.

    Parameters
    ----------
    table : DataFrame
        Checked predictions with the columns of the unit.
    unit : str
        A unit other than ``session``.

    Returns
    -------
    Series of str
        Id of the unit within its subject: the values of the columns, separated by slashes;
        ``mean`` for the unit ``subject``.

    Raises
    ------
    PredictionTableError
        If a column is missing or has missing values.
    """
    columns = list(unit_columns(unit))
    for name in columns:
        if name not in table:
            raise PredictionTableError(
                f"The unit {unit!r} needs the column {name!r}, which the predictions do not have.",
                setting="unit",
                column=name,
                value=unit,
                remedy=did_you_mean(name, [str(column) for column in table]),
            )
        check_values(table, table[name].isna(), name, "Each row needs the value of its unit.")
    if not columns:
        return pd.Series(AVERAGED, index=table.index)
    return table[columns].astype(str).agg("/".join, axis=1)


def average_sessions(table: pd.DataFrame, unit: Unit = "subject") -> pd.DataFrame:
    """Average the sessions of each unit within a split, fold and seed.

    Probabilities, measured and predicted scores and numeric covariates are averaged. A categorical
    covariate becomes missing if it differs between the sessions (the task, for example). Other
    columns are taken from the first session.

    Parameters
    ----------
    table : DataFrame
        Checked predictions.
    unit : str, default "subject"
        The unit; with ``session`` the table is returned as it is.

    Returns
    -------
    DataFrame
        One row per unit, split, fold and seed; its session is the id of the unit
        (``find_units``).

    Raises
    ------
    PredictionTableError
        If the unit cannot be used, or the sessions of a unit have different labels.
    """
    if "session" in unit_columns(unit):
        return table
    table = table.assign(session=find_units(table, unit))
    keys = [*SESSION_KEY, "split", "fold", "seed"]
    grouped = table.groupby(keys, sort=False)
    if "y_true" in table:
        first = grouped["y_true"].transform("first")
        differs = table["y_true"].notna() & (table["y_true"] != first)
        remedy = (
            f"Another session of the {' and '.join(('subject', *unit_columns(unit)))} has another "
            "label: use the unit session, or add the column that separates them to the unit, for "
            "example subject,task."
        )
        check_values(table, differs, "y_true", remedy)
    present = [name for name in COVARIATES if name in table and name not in keys]
    numeric = [name for name in present if is_numeric_dtype(table[name])]
    unequal = {
        name: table[name].mask(grouped[name].transform("nunique") > 1)
        for name in present
        if name not in numeric
    }
    averaged = {"y_prob", "score", "score_pred", *numeric}
    # the standard deviation of a mean cannot be computed from those of its terms
    left_out = {*keys, "gate_std"}
    aggregation: dict[str, Any] = {
        str(name): "mean" if name in averaged else "first" for name in table if name not in left_out
    }
    grouped = table.assign(**unequal).groupby(keys, sort=False)
    means = grouped.agg(aggregation).reset_index()
    check_rows(means)
    return means


def average_properties(
    properties: pd.DataFrame, predictions: pd.DataFrame, unit: Unit
) -> pd.DataFrame:
    """Average the properties of the sessions of each unit; texts are those of the first session.

    Parameters
    ----------
    properties : DataFrame
        Columns of ``SESSION_KEY``, and properties.
    predictions : DataFrame
        Checked predictions, with the columns of the unit.
    unit : str
        The unit.

    Returns
    -------
    DataFrame
        One row per unit, whose session is the id of the unit.

    Raises
    ------
    PredictionTableError
        If the unit cannot be used.
    """
    if "session" in unit_columns(unit):
        return properties
    names = [str(name) for name in properties if name not in SESSION_KEY]
    units = predictions.assign(unit=find_units(predictions, unit))
    units = units[[*SESSION_KEY, "unit"]].drop_duplicates(SESSION_KEY)
    joined = units.merge(properties, on=SESSION_KEY)
    how: dict[Any, Any] = {
        name: "mean" if is_numeric_dtype(properties[name]) else "first" for name in names
    }
    averaged = joined.groupby([*SUBJECT_KEY, "unit"]).agg(how).reset_index()
    return averaged.rename(columns={"unit": "session"})


def missing_columns(table: pd.DataFrame, unit: Unit) -> Sequence[str]:
    """List the columns of a unit that a table does not have.

    Parameters
    ----------
    table : DataFrame
        Predictions.
    unit : str
        The unit.

    Returns
    -------
    sequence of str
        The columns.
    """
    return [name for name in unit_columns(unit) if name != "session" and name not in table]
