"""Types of the columns of a manifest: numbers, dates and times as numbers, or categories.

Columns that a data spec adds to a manifest are text. A column of which every known value is a
number, a date or a time of day is converted, so that it can be tested by order.
"""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from depmm.corpora.instruments import INSTRUMENTS

_DATE = (
    r"(?:[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4})"
    r"(?:[T ]+[0-9:.]+(?:Z|[+-][0-9:]+)?)?"
)
_TIME = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
_OUTCOME = re.compile(
    r"label|target|diagnos|depress|disorder|severity|score|group|cohort|class|category|categories|binary|"
    r"emotion|symptom|questionnaire|"
    + "|".join(re.escape(re.split("[^a-z]", name.lower())[0]) for name in INSTRUMENTS)
)


def convert_column(values: pd.Series) -> dict[str, pd.Series]:
    """Convert a column of a manifest to properties.

    Parameters
    ----------
    values : Series
        Values of the column, text or numbers, with missing values.

    Returns
    -------
    dict of str to Series
        By what is appended to the name of the column: ``""`` with float values for numbers, with
        days since 1970-01-01 for dates, with hours for times of day, otherwise with text; and
        ``" time of day"`` in hours where dates have times. Empty if no value is known.
    """
    if is_numeric_dtype(values):
        plain = values.astype("Float64").to_numpy(dtype=float, na_value=np.nan)
        return {"": pd.Series(plain, values.index)} if np.isfinite(plain).any() else {}
    text = values.astype("str").str.strip()
    text = text.mask(text == "")
    known = text.dropna()
    if known.empty:
        return {}
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    if numbers[known.index].notna().all() and np.isfinite(numbers[known.index]).all():
        return {"": numbers}
    if known.str.fullmatch(_TIME).all():
        parts = text.str.split(":", expand=True).astype(float).fillna(0.0).to_numpy()
        hours = pd.Series(parts @ (1 / 60.0 ** np.arange(parts.shape[1])), text.index)
        return {"": hours.mask(text.isna())}
    if known.str.fullmatch(_DATE).all():
        return _convert_dates(text) or {"": text}
    return {"": text}


def is_date(values: pd.Series) -> bool:
    """Check whether ``convert_column`` reads a column as dates.

    Parameters
    ----------
    values : Series
        Values of the column.

    Returns
    -------
    bool
        Whether every known value is a date.
    """
    if is_numeric_dtype(values):
        return False
    known = values.dropna().astype("str").str.strip()
    return bool(len(known)) and bool(known.str.fullmatch(_DATE).all())


def _convert_dates(text: pd.Series) -> dict[str, pd.Series]:
    """Convert dates to days since 1970; empty if one of them does not exist."""
    first = text.str.extract(r"^([0-9]{1,2})[-/.]")[0].astype(float)
    second = text.str.extract(r"^[0-9]{1,2}[-/.]([0-9]{1,2})[-/.]")[0].astype(float)
    day_first = bool((first > 12).any()) or not bool((second > 12).any())
    dates = pd.to_datetime(
        text,
        errors="coerce",
        format="mixed",
        dayfirst=day_first and bool(first.notna().any()),
        utc=True,
    )
    if dates[text.notna()].isna().any():
        return {}
    days = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    columns = {"": days.astype(float)}
    if text.str.contains(":", na=False).any():
        columns[" time of day"] = (days % 1 * 24).astype(float)
    return columns


def find_outcome_columns(sessions: pd.DataFrame, columns: Iterable[str]) -> list[str]:
    """Find columns that are another form of the label or the score.

    A column is one if its name says so (``phq8_binary``, ``group``, ``diagnosis``) and its values
    determine the label or have the order of the scores.

    Parameters
    ----------
    sessions : DataFrame
        Columns label and score, and ``columns``.
    columns : iterable of str
        Names of the columns to check.

    Returns
    -------
    list of str
        Names of the columns that are outcomes.
    """
    return [
        name
        for name in columns
        if _OUTCOME.search(name.lower()) and _is_outcome(sessions[name], sessions)
    ]


def _is_outcome(values: pd.Series, sessions: pd.DataFrame) -> bool:
    converted = convert_column(values).get("")
    if converted is None:
        return False
    table = pd.DataFrame({"value": converted, "label": sessions["label"].astype("Float64")})
    table = table[table["value"].notna()]
    labelled = table.dropna()
    if len(labelled) > 1 and labelled["label"].min() < labelled["label"].max():
        labels = labelled.groupby("value")["label"].nunique()
        if labels.max() == 1 and len(labels) <= max(2, len(labelled) / 2):
            return True
        if is_numeric_dtype(labelled["value"]):  # a cut-off of the column gives the label
            ordered = labelled.sort_values("value")["label"].to_numpy(float)
            if np.abs(np.diff(ordered)).sum() == 1:
                return True
    scores = sessions["score"].reindex(table.index)
    if is_numeric_dtype(table["value"]) and scores.notna().sum() > 2:
        return bool(table["value"].corr(scores.astype(float), method="spearman") > 0.95)
    return False
