"""A table of predictions, of any program: what it must hold, and what metrics read from it.

The least is ``subject, session, y_true, y_prob`` with one row a tested session; what else is needed
is assumed and said (``assumptions``). With ``split``, ``fold`` and ``seed`` there is one
row a session, split, fold and seed; segments of a session are refused as duplicates.
"""

import csv
import difflib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from depmm.corpora.instruments import INSTRUMENTS
from depmm.corpora.manifest import SESSION_KEY, SUBJECT_KEY
from depmm.corpora.manifest_rules import MAX_AGE
from depmm.errors import DepmmError
from depmm.evaluation.covariates import COVARIATES, NUMBERS, is_number
from depmm.evaluation.stats.severity_metrics import severity_bands
from depmm.evaluation.thresholds import apply_threshold

Unit = Literal["session", "subject"]
SPLITS = ("train", "validation", "test")
ASSUMED: dict[str, Any] = {"corpus": "unnamed", "split": "test", "fold": 0, "seed": 0}
NULLS = ["", "NA", "NaN", "nan", "null", "None"]  # of numbers and groups in a .csv
NAMED = 3  # sessions that an error lists before it only counts

_KEYS = [*SESSION_KEY, "split", "fold", "seed"]
_PAIRS = {"binary": ("y_true", "y_prob"), "severity": ("score", "score_pred")}
_ANSWERS = [name for pair in _PAIRS.values() for name in pair]


class PredictionTableError(DepmmError):
    """A predictions table that cannot be evaluated; names the value, the row and the remedy."""


# ---- the table ---------------------------------------------------------------------------------


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a table of predictions (.csv or .parquet); ids stay text, so that 01 is not 1.

    Raises
    ------
    PredictionTableError : another kind of file, an empty one, or one that cannot be read
    """
    if path.suffix not in (".csv", ".parquet"):
        raise PredictionTableError(
            f"{path} is neither .csv nor .parquet: save the table as one of the two"
        )
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
        text = dict.fromkeys([*SESSION_KEY, "split"], "str")
        # a subject may be called NA: of ids the empty field alone is null
        nulls = {name: [""] if name in text else NULLS for name in header}
        table = pd.read_csv(
            path, dtype=text, na_values=nulls, keep_default_na=False, encoding="utf-8-sig"
        )
    except (ValueError, OSError, csv.Error) as error:
        if path.is_file() and not path.stat().st_size:
            raise PredictionTableError(
                f"{path} is empty: write a header and one row a session"
            ) from None
        raise PredictionTableError(
            f"{path} cannot be read as {path.suffix[1:]} ({error}): write it again"
        ) from error
    if len(table.columns) == 1 and any(mark in table.columns[0] for mark in ";\t|"):
        raise PredictionTableError(
            f"{path} has the one column {table.columns[0]!r}: separate columns by commas and write "
            "numbers with a point"
        )
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise PredictionTableError(f"{path} has column {twice[0]!r} twice: keep one of them")
    return table


def assumptions(predictions: pd.DataFrame) -> list[str]:
    """Say what ``check_predictions`` assumes because a table has no column for it."""
    words = {
        "corpus": "all subjects are of one corpus",
        "split": "all rows are tested sessions, of subjects nobody trained on",
        "fold": "all rows are of one fold",
        "seed": "all rows are of one training",
    }
    return [f"{words[name]} (no column {name})" for name in ASSUMED if name not in predictions]


def check_predictions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Check a predictions table and return it in a fixed order and fixed types.

    Parameters
    ----------
    predictions : subject, session, and y_true, y_prob (probability of the positive class) or
        score, score_pred (measured and predicted severity) or both pairs; a column may be null
        outside the tested rows. corpus, split (train | validation | test), fold and seed are as in
        ``ASSUMED`` where a table has no such column; any of ``COVARIATES`` may be
        there: reports are cut by them, and baselines are fitted on them; further columns are kept

    Raises
    ------
    PredictionTableError : no rows, a missing or misspelt column, an impossible value, ids of mixed
        types, a session that is not tested as often as others, a subject on two sides of a split,
        labels that contradict each other
    """
    _check_columns(list(predictions.columns))
    if predictions.empty:
        raise PredictionTableError("predictions: no rows; give one a tested session")
    absent = {name: value for name, value in ASSUMED.items() if name not in predictions}
    table = predictions.reset_index(drop=True).assign(**absent)
    for name in _KEYS:
        _refuse(table, table[name].isna(), name, "every row needs one")
    for name in [*SESSION_KEY, "split"]:
        table[name] = _as_text(table, name)
    _refuse(table, ~table["split"].isin(SPLITS), "split", f"use one of {', '.join(SPLITS)}")
    for name in ("fold", "seed"):
        number = pd.to_numeric(table[name], errors="coerce")
        _refuse(table, number.isna() | (number % 1 != 0), name, "use whole numbers")
        table[name] = number.astype("int64")
    for name in _ANSWERS:
        if name in table:
            table[name] = _as_numbers(table, name)
    _check_covariates(table)
    try:
        _check_rows(table)
    except PredictionTableError as error:
        if not absent:
            raise
        said = ", ".join(f"{name} {value}" for name, value in absent.items())
        raise PredictionTableError(
            f"{error}. Assumed for every row, as the columns are missing: {said}; add them if that "
            "is wrong"
        ) from error
    return table.sort_values(["seed", "fold", "split", *SESSION_KEY]).reset_index(drop=True)


def _check_columns(columns: list[str]) -> None:
    """Refuse a table without the columns of a task, or with one that looks misspelt."""
    complete = [task for task, pair in _PAIRS.items() if set(pair) <= set(columns)]
    wanted = ["subject", "session", *ASSUMED]
    wanted += [name for pair in _PAIRS.values() for name in pair if not complete]
    further = {_spelling(name): name for name in columns if name not in {*_KEYS, *_ANSWERS}}
    for name in wanted:
        if name in columns:
            continue
        if close := difflib.get_close_matches(_spelling(name), further, n=1, cutoff=0.85):
            raise PredictionTableError(
                f"predictions: column {name!r} is missing, and there is {further[close[0]]!r}: "
                f"rename it if that is meant, or add {name!r}"
            )
    if missing := [name for name in ("subject", "session") if name not in columns]:
        raise PredictionTableError(
            f"predictions: column(s) {missing} missing; add them (present: {columns})"
        )
    if not complete:
        raise PredictionTableError(
            "predictions: neither y_true and y_prob nor score and score_pred are present; add the "
            f"columns of the task (present: {columns})"
        )


def _spelling(name: str) -> str:
    return "".join(letter for letter in str(name).lower() if letter.isalnum())


def _as_text(table: pd.DataFrame, name: str) -> pd.Series:
    """Ids as text, where nothing that tells two of them apart is lost."""
    kinds = table[name].astype(object).map(_kind)
    _refuse(table, kinds == "other", name, "an id is text or a whole number; write it as text")
    remedy = "text and numbers are mixed, so that 01 may be 1 or not; write all ids as text"
    _refuse(table, kinds != kinds.iloc[0], name, remedy)
    text = table[name].astype(str)
    remedy = "it begins or ends with a blank, or is empty; trim it"
    _refuse(table, (text != text.str.strip()) | (text == ""), name, remedy)
    return text


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "text"
    return "whole" if isinstance(value, int | np.integer) else "other"


def _as_numbers(table: pd.DataFrame, name: str) -> pd.Series:
    number = pd.to_numeric(table[name], errors="coerce").astype("float64")
    labels = "labels are 0 (negative) or 1 (positive); rename them"
    wrong = (number.isna() & table[name].notna()) | np.isinf(number)
    remedy = "use finite numbers with a decimal point, null where unknown"
    _refuse(table, wrong, name, labels if name == "y_true" else remedy)
    if name == "y_true":
        _refuse(table, number.notna() & ~number.isin([0, 1]), name, labels)
    if name == "y_prob":
        known = number.dropna()
        percent = len(known) and known.between(0, 100).all() and (known > 1).mean() > 0.5
        cure = (
            "these look like percentages: divide by 100" if percent else "apply the sigmoid first"
        )
        remedy = f"a probability lies in [0, 1]; {cure}"
        _refuse(table, (number < 0) | (number > 1), name, remedy)
    return number


def _check_covariates(table: pd.DataFrame) -> None:
    """Bring what is known of sessions into fixed types, or refuse it."""
    for name in [name for name in COVARIATES if name in table]:
        if name in NUMBERS or (name == "age" and is_number(table[name])):
            number = pd.to_numeric(table[name], errors="coerce").astype("float64")
            wrong = (number.isna() & table[name].notna()) | (number < 0) | np.isinf(number)
            if name == "age":
                wrong |= number > MAX_AGE
            remedy = f"use numbers from 0 {f'to {MAX_AGE}' if name == 'age' else 'on'}"
            _refuse(table, wrong, name, f"{remedy}, null where unknown")
            table[name] = number
        else:
            table[name] = table[name].map(str, na_action="ignore").astype(object)
        first = table.groupby(SESSION_KEY)[name].transform("first")
        differs = table[name].notna() & (table[name] != first)
        _refuse(table, differs, name, "another row of this session says otherwise; correct it")


def _check_rows(table: pd.DataFrame) -> None:
    """Refuse rows that contradict each other."""
    remedy = (
        "keep one row a session, split, fold and seed; average the answers to its segments first, "
        "or was it evaluated twice?"
    )
    _refuse(table, table.duplicated(_KEYS), "session", f"this row is a duplicate: {remedy}")
    tested = table[table["split"] == "test"]
    if tested.empty:
        raise PredictionTableError("predictions: no rows with split 'test'; nothing to evaluate")
    times = tested.groupby([*SESSION_KEY, "seed"])["fold"].transform("size")
    uneven = times > times.groupby(tested["seed"]).transform("min")
    again = uneven & tested.duplicated([*SESSION_KEY, "seed"])
    remedy = (
        "this session is tested in several folds of one seed, more often than others; test all "
        "equally often, or average first"
    )
    _refuse(table, again.reindex(table.index, fill_value=False), "session", remedy)
    home = table.groupby([*SUBJECT_KEY, "fold", "seed"])["split"].transform("first")
    _check_seeds(tested)
    remedy = "this subject is also in another split of the fold; split by subject (corpus, subject)"
    _refuse(table, table["split"] != home, "split", remedy)
    for name in ("y_true", "score"):
        if name in table:
            first = table.groupby(SESSION_KEY)[name].transform("first")
            differs = table[name].notna() & (table[name] != first)
            _refuse(table, differs, name, "another row of this session says otherwise; correct it")


def _check_seeds(tested: pd.DataFrame) -> None:
    """Refuse seeds that test different sessions: their mean would be over different subjects."""
    sessions = tested.drop_duplicates([*SESSION_KEY, "seed"])
    every = sessions.groupby(SESSION_KEY)["seed"].agg(set)
    seeds = set(tested["seed"])
    if len(missing := every[every != seeds]):
        lacking = sorted(seeds - missing.iloc[0])
        raise PredictionTableError(
            f"predictions: {session_names(missing.index)} of {len(every)} tested are missing in "
            f"seed {', '.join(map(str, lacking))}; test every session in every seed, or evaluate "
            "the seeds one by one"
        )


def session_names(sessions: pd.Index) -> str:
    """Name the first few of some sessions (corpus, subject, session) and count the rest."""
    shown = ", ".join("/".join(map(str, session)) for session in sessions[:NAMED])
    more = f" and {len(sessions) - NAMED} more" if len(sessions) > NAMED else ""
    return f"session(s) {shown}{more}"


def _refuse(table: pd.DataFrame, wrong: pd.Series, column: str, remedy: str) -> None:
    """Raise for the first row that is ``wrong``."""
    if not wrong.any():
        return
    row = int(np.flatnonzero(wrong.to_numpy(dtype=bool))[0])
    where = ", ".join(f"{name} {table[name].iloc[row]!s}" for name in _KEYS)
    raise PredictionTableError(
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
                remedy = "tested rows need it; fill it, or leave the session out and say so"
                _refuse(table, absent, name, remedy)
            tasks.append(task)
    if not tasks:
        raise PredictionTableError(
            "predictions: no tested row has both truth and answer; fill y_true and y_prob, or "
            "score and score_pred"
        )
    if (
        "severity" in tasks
        and "instrument" in tested
        and len(tested["instrument"].dropna().unique()) > 1
    ):
        names = sorted(tested["instrument"].dropna().astype(str).unique())
        raise PredictionTableError(
            f"predictions: instrument is one of {names} in the tested rows; an error in points "
            "cannot be pooled over instruments: evaluate them one by one"
        )
    return tasks


def average_sessions(table: pd.DataFrame) -> pd.DataFrame:
    """Make one row of each subject's sessions in a split, fold and seed, named ``mean``.

    Probabilities, measured and predicted scores and covariates that are numbers are averaged; a
    covariate in which the sessions differ (task, say) becomes null; other columns are those of the
    first session.

    Raises
    ------
    PredictionTableError : a subject whose sessions have different labels
    """
    keys = [*SUBJECT_KEY, "split", "fold", "seed"]
    subjects = table.groupby(keys, sort=False)
    if "y_true" in table:
        first = subjects["y_true"].transform("first")
        differs = table["y_true"].notna() & (table["y_true"] != first)
        remedy = "another session of this subject says otherwise; use the unit session"
        _refuse(table, differs, "y_true", remedy)
    present = [name for name in COVARIATES if name in table]
    numbers = [name for name in present if is_numeric_dtype(table[name])]
    several = {
        name: table[name].mask(subjects[name].transform("nunique") > 1)
        for name in present
        if name not in numbers
    }
    subjects = table.assign(**several).groupby(keys, sort=False)
    averaged = {"y_prob", "score", "score_pred", *numbers}
    how: dict[str, Any] = {
        str(name): "mean" if name in averaged else "first"
        for name in table
        if name not in {*keys, "session", "gate_std"}  # no spread of a mean follows from its parts
    }
    one = subjects.agg(how).reset_index().assign(session="mean")
    _check_rows(one)
    return one


def prepare_predictions(
    predictions: pd.DataFrame, unit: Unit = "session"
) -> tuple[pd.DataFrame, list[str]]:
    """Check a predictions table and add what metrics read: decisions and severity bands.

    Parameters
    ----------
    predictions : see ``check_predictions``
    unit : ``subject`` takes the mean of each subject's sessions first (``average_sessions``), so
        that thresholds, decisions and bands are those of subjects

    Returns
    -------
    table : with ``y_pred`` and its threshold (``apply_threshold``) where there are probabilities,
        with ``band`` and ``band_pred`` of the tested rows where the instrument has agreed bands
    tasks : ``binary``, ``severity`` or both

    Raises
    ------
    PredictionTableError : see ``check_predictions``
    """
    table = check_predictions(predictions)
    tasks = _tasks(table)
    if unit == "subject":
        table = average_sessions(table)
    if "binary" in tasks:
        table = apply_threshold(table)
    instrument = instrument_of(table)
    if "severity" in tasks and instrument in INSTRUMENTS and INSTRUMENTS[instrument].levels:
        tested = table.index[table["split"] == "test"]
        for band, score in (("band", "score"), ("band_pred", "score_pred")):
            bands = severity_bands(table.loc[tested, score], instrument)
            table[band] = pd.Series(bands, index=tested)
    return table, tasks


def instrument_of(table: pd.DataFrame) -> str | None:
    """Name the instrument of the tested rows; None where it is unknown or there are several."""
    if "instrument" not in table:
        return None
    names = table.loc[table["split"] == "test", "instrument"].dropna().unique()
    return str(names[0]) if len(names) == 1 else None
