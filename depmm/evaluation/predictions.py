"""A table of predictions, of any program: what it must hold, and what metrics read from it.

One row a session, split, fold and seed (columns in ``check_predictions``); segments of a session
are refused as duplicates.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd

from depmm.corpora.manifest import INSTRUMENTS
from depmm.evaluation.intervals import PERSON, SESSION, decide
from depmm.evaluation.metrics import severity_bands

Unit = Literal["session", "subject"]
SPLITS = ("train", "validation", "test")

_KEYS = [*SESSION, "split", "fold", "seed"]
_PAIRS = {"binary": ("y_true", "y_prob"), "severity": ("score_true", "score")}


class PredictionsError(ValueError):
    """A predictions table that cannot be evaluated; names the value, the row and the remedy."""


# ---- the table ---------------------------------------------------------------------------------


def check_predictions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Check a predictions table and return it in a fixed order and fixed types.

    Parameters
    ----------
    predictions : corpus, subject, session, split (train | validation | test), fold, seed, and
        y_true, y_prob (probability of the positive class) or score_true, score (measured and
        predicted severity) or both pairs; a column may be null outside the tested rows

    Raises
    ------
    PredictionsError : a missing column, an impossible value, sessions of a seed that are not all
        tested equally often, a person on two sides of a split, labels that contradict each other
    """
    columns = set(predictions.columns)
    if missing := [name for name in _KEYS if name not in columns]:
        raise PredictionsError(f"predictions: column(s) {missing} missing; add them")
    if not any(columns >= set(pair) for pair in _PAIRS.values()):
        raise PredictionsError(
            "predictions: neither y_true and y_prob nor score_true and score are present; add the "
            f"columns of the task (present: {sorted(columns)})"
        )
    table = predictions.reset_index(drop=True)
    for name in _KEYS:
        _refuse(table, table[name].isna(), name, "every row needs one")
    for name in [*SESSION, "split"]:
        table[name] = table[name].astype(str)
    _refuse(table, ~table["split"].isin(SPLITS), "split", f"use one of {', '.join(SPLITS)}")
    for name in ("fold", "seed"):
        number = pd.to_numeric(table[name], errors="coerce")
        _refuse(table, number.isna() | (number % 1 != 0), name, "use whole numbers")
        table[name] = number.astype("int64")
    for name in {name for pair in _PAIRS.values() for name in pair} & columns:
        number = pd.to_numeric(table[name], errors="coerce").astype("float64")
        wrong = (number.isna() & table[name].notna()) | np.isinf(number)
        _refuse(table, wrong, name, "use finite numbers, null where unknown")
        if name == "y_true":
            _refuse(table, number.notna() & ~number.isin([0, 1]), name, "labels are 0 or 1")
        if name == "y_prob":
            remedy = "a probability lies in [0, 1]; apply the sigmoid or softmax first"
            _refuse(table, (number < 0) | (number > 1), name, remedy)
        table[name] = number
    _check_rows(table)
    return table.sort_values(["seed", "fold", "split", *SESSION]).reset_index(drop=True)


def _check_rows(table: pd.DataFrame) -> None:
    """Refuse rows that contradict each other."""
    remedy = (
        "keep one row a session, split, fold and seed; average the answers to its segments first, "
        "or was it evaluated twice?"
    )
    _refuse(table, table.duplicated(_KEYS), "session", f"this row is a duplicate: {remedy}")
    tested = table[table["split"] == "test"]
    if tested.empty:
        raise PredictionsError("predictions: no rows with split 'test'; nothing to evaluate")
    times = tested.groupby([*SESSION, "seed"])["fold"].transform("size")
    uneven = times > times.groupby(tested["seed"]).transform("min")
    again = uneven & tested.duplicated([*SESSION, "seed"])
    remedy = (
        "this session is tested in several folds of one seed, more often than others; test all "
        "equally often, or average first"
    )
    _refuse(table, again.reindex(table.index, fill_value=False), "session", remedy)
    home = table.groupby([*PERSON, "fold", "seed"])["split"].transform("first")
    remedy = "this person is also in another split of the fold; split by person (corpus, subject)"
    _refuse(table, table["split"] != home, "split", remedy)
    for name in ("y_true", "score_true"):
        if name in table:
            first = table.groupby(SESSION)[name].transform("first")
            differs = table[name].notna() & (table[name] != first)
            _refuse(table, differs, name, "another row of this session says otherwise; correct it")


def _refuse(table: pd.DataFrame, wrong: pd.Series, column: str, remedy: str) -> None:
    """Raise for the first row that is ``wrong``."""
    if not wrong.any():
        return
    row = int(np.flatnonzero(wrong.to_numpy(dtype=bool))[0])
    where = ", ".join(f"{name} {table[name].iloc[row]!s}" for name in _KEYS)
    raise PredictionsError(
        f"predictions: {column} is {table[column].iloc[row]!s} in row {row} ({where}); {remedy} "
        f"({int(wrong.sum())} of {len(table)} rows)"
    )


def _tasks(table: pd.DataFrame) -> list[str]:
    """Which tasks the tested rows can be evaluated for."""
    tested = table[table["split"] == "test"]
    tasks = []
    for task, pair in _PAIRS.items():
        if set(pair) <= set(table) and all(tested[name].notna().any() for name in pair):
            for name in pair:
                absent = (table["split"] == "test") & table[name].isna()
                _refuse(table, absent, name, "tested rows need it; fill it or drop the row")
            tasks.append(task)
    if not tasks:
        raise PredictionsError(
            "predictions: no tested row has both truth and answer; fill y_true and y_prob, or "
            "score_true and score"
        )
    if (
        "severity" in tasks
        and "instrument" in tested
        and len(tested["instrument"].dropna().unique()) > 1
    ):
        names = sorted(tested["instrument"].dropna().astype(str).unique())
        raise PredictionsError(
            f"predictions: instrument is one of {names} in the tested rows; an error in points "
            "cannot be pooled over instruments: evaluate them one by one"
        )
    return tasks


def mean_of_sessions(table: pd.DataFrame) -> pd.DataFrame:
    """Make one row of each person's sessions in a split, fold and seed, named ``mean``.

    Probabilities, measured and predicted scores are averaged; other columns are those of the first
    session.

    Raises
    ------
    PredictionsError : a person whose sessions have different labels
    """
    keys = [*PERSON, "split", "fold", "seed"]
    persons = table.groupby(keys, sort=False)
    if "y_true" in table:
        first = persons["y_true"].transform("first")
        differs = table["y_true"].notna() & (table["y_true"] != first)
        remedy = "another session of this person says otherwise; use the unit session"
        _refuse(table, differs, "y_true", remedy)
    averaged = {"y_prob", "score_true", "score"}
    how: dict[str, Any] = {
        str(name): "mean" if name in averaged else "first"
        for name in table
        if name not in {*keys, "session", "spread"}  # no spread of a mean follows from its parts
    }
    one = persons.agg(how).reset_index().assign(session="mean")
    _check_rows(one)
    return one


def decided_predictions(
    predictions: pd.DataFrame, unit: Unit = "session"
) -> tuple[pd.DataFrame, list[str]]:
    """Check a predictions table and add what metrics read: decisions and severity bands.

    Parameters
    ----------
    predictions : see ``check_predictions``
    unit : ``subject`` takes the mean of each person's sessions first (``mean_of_sessions``), so
        that thresholds, decisions and bands are those of persons

    Returns
    -------
    table : with ``y_pred`` and its threshold (``decide``) where there are probabilities, with
        ``band_true`` and ``band`` of the tested rows where the instrument has agreed bands
    tasks : ``binary``, ``severity`` or both

    Raises
    ------
    PredictionsError : see ``check_predictions``
    """
    table = check_predictions(predictions)
    tasks = _tasks(table)
    if unit == "subject":
        table = mean_of_sessions(table)
    if "binary" in tasks:
        table = decide(table)
    instrument = instrument_of(table)
    if "severity" in tasks and instrument in INSTRUMENTS and INSTRUMENTS[instrument].levels:
        tested = table.index[table["split"] == "test"]
        for band, score in (("band_true", "score_true"), ("band", "score")):
            bands = severity_bands(table.loc[tested, score], instrument)
            table[band] = pd.Series(bands, index=tested)
    return table, tasks


def instrument_of(table: pd.DataFrame) -> str | None:
    """Name the instrument of the tested rows; None where it is unknown or there are several."""
    if "instrument" not in table:
        return None
    names = table.loc[table["split"] == "test", "instrument"].dropna().unique()
    return str(names[0]) if len(names) == 1 else None
