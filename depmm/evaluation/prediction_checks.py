"""Checks of a predictions table of any program: its columns, its values, and its consistency.

The required columns are ``subject``, ``session``, and ``y_true`` with ``y_prob`` or ``score`` with
``score_pred``. Other key columns have defaults, which reports list (``describe_defaults``). A table
has one row per session, split, fold and seed; several rows, for example one per segment of a
session, are duplicates and an error.
"""

import difflib
from typing import Any

import numpy as np
import pandas as pd

from depmm.corpora.manifest_rules import MAX_AGE
from depmm.errors import DepmmError, abbreviate
from depmm.evaluation.covariates import COVARIATES, NUMERIC_COVARIATES, is_numeric
from depmm.schemas.manifest import SESSION_KEY, SPLITS, SUBJECT_KEY

DEFAULTS: dict[str, Any] = {"corpus": "unnamed", "split": "test", "fold": 0, "seed": 0}
TARGET_COLUMNS = {"binary": ("y_true", "y_prob"), "severity": ("score", "score_pred")}
MIN_DISTINCT = 12  # predictions of the test rows, for the comparison with validation rows
MAX_NAMED = 3  # largest number of sessions that a message names; the others are counted

_KEYS = [*SESSION_KEY, "split", "fold", "seed"]
_VALUES = [name for pair in TARGET_COLUMNS.values() for name in pair]


class PredictionTableError(DepmmError):
    """A predictions table that cannot be evaluated."""


def describe_defaults(predictions: pd.DataFrame) -> list[str]:
    """List the defaults that ``check_predictions`` uses for missing columns.

    Parameters
    ----------
    predictions : DataFrame
        Table before the check.

    Returns
    -------
    list of str
        One clause per missing column.
    """
    meaning = {
        "corpus": "all subjects belong to one corpus",
        "split": "all rows are tested sessions, of subjects outside of the training data",
        "fold": "all rows belong to one fold",
        "seed": "all rows belong to one training",
    }
    return [f"{meaning[name]} (no column {name})" for name in DEFAULTS if name not in predictions]


def check_predictions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Check a predictions table and bring it into a fixed order and fixed types.

    Parameters
    ----------
    predictions : DataFrame
        Columns subject, session, and ``y_true``, ``y_prob`` (probability of the positive class) or
        ``score``, ``score_pred`` (measured and predicted severity) or both pairs; values may be
        missing outside of the tested rows. Columns corpus, split (train, validation, test), fold
        and seed are optional, see ``DEFAULTS``; so are ``COVARIATES``, and ``threshold``, the
        decision threshold of each fold and seed. Other columns are not changed.

    Returns
    -------
    DataFrame
        The rows, sorted by seed, fold, split and session.

    Raises
    ------
    PredictionTableError
        If the table is empty, a column is missing or misspelt, a value is impossible, ids have
        mixed types, some sessions are tested more often than others, a subject is in two splits of
        a fold, or rows of a session contradict each other.
    """
    table = check_in_order(predictions)
    return table.sort_values(["seed", "fold", "split", *SESSION_KEY]).reset_index(drop=True)


def check_in_order(predictions: pd.DataFrame) -> pd.DataFrame:
    """Check a predictions table as ``check_predictions``, and keep the order of its rows.

    Parameters
    ----------
    predictions : DataFrame
        As in ``check_predictions``.

    Returns
    -------
    DataFrame
        The rows, in their order.

    Raises
    ------
    PredictionTableError
        As ``check_predictions``.
    """
    _check_columns(list(predictions.columns))
    if predictions.empty:
        raise PredictionTableError(
            "predictions: the table has no rows. Write one row per tested session."
        )
    missing = {name: value for name, value in DEFAULTS.items() if name not in predictions}
    table = predictions.reset_index(drop=True).assign(**missing)
    for name in _KEYS:
        check_values(table, table[name].isna(), name, "Every row needs a value.")
    for name in [*SESSION_KEY, "split"]:
        table[name] = _as_text(table, name)
    unknown = ~table["split"].isin(SPLITS)
    check_values(table, unknown, "split", f"Use one of {', '.join(SPLITS)}.")
    for name in ("fold", "seed"):
        number = pd.to_numeric(table[name], errors="coerce")
        check_values(table, number.isna() | (number % 1 != 0), name, "Use whole numbers.")
        table[name] = number.astype("int64")
    for name in _VALUES:
        if name in table:
            table[name] = _as_numbers(table, name)
    _check_covariates(table)
    if "threshold" in table:
        _check_thresholds(table)
    try:
        check_rows(table)
    except PredictionTableError as error:
        if not missing:
            raise
        used = ", ".join(f"{name} {value}" for name, value in missing.items())
        raise PredictionTableError(
            f"{error} Defaults of missing columns: {used}. Add the columns if that is wrong.",
            column=error.column,
            subject=error.subject,
            session=error.session,
            value=error.value,
        ) from error
    return table


def _check_columns(columns: list[str]) -> None:
    """Check that the columns of a target are present and that no column is misspelt."""
    complete = [target for target, pair in TARGET_COLUMNS.items() if set(pair) <= set(columns)]
    expected = ["subject", "session", *DEFAULTS]
    expected += [name for pair in TARGET_COLUMNS.values() for name in pair if not complete]
    others = {_normalised(name): name for name in columns if name not in {*_KEYS, *_VALUES}}
    for name in expected:
        if name in columns:
            continue
        # stricter than errors.closest: a different name is usually a column of another meaning
        if similar := difflib.get_close_matches(_normalised(name), others, n=1, cutoff=0.85):
            raise PredictionTableError(
                f"predictions: column {name!r} is missing, but the table has a column "
                f"{others[similar[0]]!r}. Rename it to {name!r}, or add {name!r}.",
                column=name,
                value=others[similar[0]],
            )
    present = f"Columns of the table: {', '.join(map(str, columns)) or 'none'}."
    for name in ("subject", "session"):
        if name not in columns:
            raise PredictionTableError(
                f"predictions: column {name!r} is missing. Add it. {present}", column=name
            )
    if not complete:
        raise PredictionTableError(
            "predictions: neither y_true and y_prob nor score and score_pred are present. Add the "
            f"columns of the target. {present}",
            column="y_true",
        )


def _normalised(name: str) -> str:
    return "".join(letter for letter in str(name).lower() if letter.isalnum())


def _as_text(table: pd.DataFrame, name: str) -> pd.Series:
    """Convert ids to text; an error if two different ids could become equal."""
    kinds = table[name].astype(object).map(_id_kind)
    remedy = "An id is text or a whole number: write it as text."
    check_values(table, kinds == "other", name, remedy)
    remedy = "The column mixes text and numbers, and 01 could be 1: write all ids as text."
    check_values(table, kinds != kinds.iloc[0], name, remedy)
    text = table[name].astype(str)
    remedy = "It is empty, or starts or ends with white space: trim it."
    check_values(table, (text != text.str.strip()) | (text == ""), name, remedy)
    return text


def _known_id(value: Any) -> str | None:
    return None if pd.isna(value) else str(value)


def _id_kind(value: object) -> str:
    if isinstance(value, str):
        return "text"
    return "whole" if isinstance(value, int | np.integer) else "other"


def _as_numbers(table: pd.DataFrame, name: str) -> pd.Series:
    number = pd.to_numeric(table[name], errors="coerce").astype("float64")
    invalid = (number.isna() & table[name].notna()) | np.isinf(number)
    if name == "y_true":
        remedy = "Labels are 0 (negative) or 1 (positive): rename them."
        check_values(table, invalid | (number.notna() & ~number.isin([0, 1])), name, remedy)
        return number
    remedy = "Use finite numbers with a decimal point, and leave unknown ones empty."
    check_values(table, invalid, name, remedy)
    if name == "y_prob":
        known = number.dropna()
        percent = len(known) and known.between(0, 100).all() and (known > 1).mean() > 0.5
        hint = "These look like percentages: divide by 100." if percent else "Apply the sigmoid."
        outside = (number < 0) | (number > 1)
        check_values(table, outside, name, f"A probability is in [0, 1]. {hint}")
    return number


def _check_thresholds(table: pd.DataFrame) -> None:
    """Check that every fold of a seed has one decision threshold, in [0, 1]."""
    number = pd.to_numeric(table["threshold"], errors="coerce").astype("float64")
    remedy = "A decision threshold is in [0, 1], in every row: correct it, or drop the column."
    check_values(table, ~number.between(0, 1), "threshold", remedy)
    table["threshold"] = number
    first = table.groupby(["fold", "seed"])["threshold"].transform("first")
    remedy = "Another row of the fold and seed has another threshold: give one."
    check_values(table, number != first, "threshold", remedy)


def _check_covariates(table: pd.DataFrame) -> None:
    """Convert covariates to fixed types and check that all rows of a session agree."""
    for name in [name for name in COVARIATES if name in table]:
        if name in NUMERIC_COVARIATES or (name == "age" and is_numeric(table[name])):
            number = pd.to_numeric(table[name], errors="coerce").astype("float64")
            invalid = (number.isna() & table[name].notna()) | (number < 0) | np.isinf(number)
            if name == "age":
                invalid |= number > MAX_AGE
            limit = f"from 0 to {MAX_AGE}" if name == "age" else "from 0 on"
            check_values(table, invalid, name, f"Use numbers {limit}; leave unknown ones empty.")
            table[name] = number
        else:
            table[name] = table[name].map(str, na_action="ignore").astype(object)
        _check_agreement(table, name)


def _check_agreement(table: pd.DataFrame, name: str) -> None:
    first = table.groupby(SESSION_KEY)[name].transform("first")
    differs = table[name].notna() & (table[name] != first)
    check_values(table, differs, name, "Another row of the session has another value: correct it.")


def check_rows(table: pd.DataFrame) -> None:
    """Check that rows do not contradict each other.

    Parameters
    ----------
    table : DataFrame
        Rows with all columns of ``check_predictions``.

    Raises
    ------
    PredictionTableError
        If rows are duplicates, some sessions are tested more often than others, seeds test
        different sessions, a subject is in two splits of a fold, labels contradict each other, or
        validation rows are copies of test rows under other ids.
    """
    remedy = (
        "The row is a duplicate: keep one row per session, split, fold and seed. Average the "
        "predictions of parts of a session first."
    )
    check_values(table, table.duplicated(_KEYS), "session", remedy)
    tested = table[table["split"] == "test"]
    if tested.empty:
        raise PredictionTableError(
            "predictions: no row has the split test. Add the tested sessions.",
            column="split",
        )
    n_tests = tested.groupby([*SESSION_KEY, "seed"])["fold"].transform("size")
    uneven = n_tests > n_tests.groupby(tested["seed"]).transform("min")
    repeated = uneven & tested.duplicated([*SESSION_KEY, "seed"])
    remedy = (
        "The session is tested in more folds of the seed than other sessions: test all sessions "
        "equally often, or average its predictions first."
    )
    check_values(table, repeated.reindex(table.index, fill_value=False), "session", remedy)
    _check_seeds(tested)
    first_split = table.groupby([*SUBJECT_KEY, "fold", "seed"])["split"].transform("first")
    remedy = "The subject is also in another split of the fold: split by subject (corpus, subject)."
    check_values(table, table["split"] != first_split, "split", remedy)
    for name in ("y_true", "score"):
        if name in table:
            _check_agreement(table, name)
    for measured, predicted in TARGET_COLUMNS.values():
        if measured in table and predicted in table:
            _check_copied_rows(table, measured, predicted)


def _check_copied_rows(table: pd.DataFrame, measured: str, predicted: str) -> None:
    """Check that validation rows are not test rows under other ids.

    Thresholds and calibrators would then be fitted on test data. Equal predictions of coarse
    outputs, such as hard labels, are no copies.
    """
    pair = [measured, predicted]
    known = table.dropna(subset=pair)
    for (fold, seed), rows in known.groupby(["fold", "seed"]):
        tested = rows[rows["split"] == "test"]
        validation = rows.loc[rows["split"] == "validation", pair].drop_duplicates()
        fine = tested[predicted].nunique() >= max(MIN_DISTINCT, len(tested) / 2)
        if validation.empty or not fine:
            continue
        copied = tested[pair].merge(validation, on=pair, how="left", indicator=True)
        is_copy = (copied["_merge"] == "both").to_numpy()
        if is_copy.mean() > 0.5:
            first = tested[is_copy].iloc[0]
            raise PredictionTableError(
                f"predictions: {int(is_copy.sum())} of {len(tested)} test rows of fold {fold}, "
                f"seed {seed} have exactly the {measured} and {predicted} of a validation row.",
                column=predicted,
                session=str(first["session"]),
                subject=str(first["subject"]),
                value=float(first[predicted]),
                remedy="Thresholds and calibration are fitted on validation rows, which must be of "
                "other subjects than the test rows: predict the validation subjects, or leave the "
                "validation rows out.",
            )


def _check_seeds(tested: pd.DataFrame) -> None:
    """Check that all seeds test the same sessions, because metrics are averaged over seeds."""
    sessions = tested.drop_duplicates([*SESSION_KEY, "seed"])
    seeds_of_session = sessions.groupby(SESSION_KEY)["seed"].agg(set)
    seeds = set(tested["seed"])
    if len(incomplete := seeds_of_session[seeds_of_session != seeds]):
        missing = sorted(seeds - incomplete.iloc[0])
        raise PredictionTableError(
            f"predictions: {session_names(incomplete.index)} of {len(seeds_of_session)} tested are "
            f"missing in seed {', '.join(map(str, missing))}. Test every session in every seed, or "
            "evaluate the seeds one by one.",
            column="seed",
            session=str(incomplete.index[0][2]),
            value=missing[0],
        )


def session_names(sessions: pd.Index) -> str:
    """Name the first sessions of an index and count the others.

    Parameters
    ----------
    sessions : Index
        Tuples (corpus, subject, session).

    Returns
    -------
    str
        For example ``sessions c/1/a, c/2/a, c/3/a and 4 more``.
    """
    names = ["/".join(map(str, session)) for session in sessions]
    return f"{'session' if len(names) == 1 else 'sessions'} {abbreviate(names, MAX_NAMED)}"


def check_values(table: pd.DataFrame, invalid: pd.Series, column: str, remedy: str) -> None:
    """Raise an error for the first row with an invalid value.

    Parameters
    ----------
    table : DataFrame
        The rows.
    invalid : Series of bool
        Rows whose value is invalid.
    column : str
        Column of the value.
    remedy : str
        Last sentence of the message.

    Raises
    ------
    PredictionTableError
        If a row is invalid.
    """
    if not invalid.any():
        return
    row = int(np.flatnonzero(invalid.to_numpy(dtype=bool))[0])
    keys = ", ".join(f"{name} {table[name].iloc[row]!s}" for name in _KEYS)
    value = table[column].iloc[row]
    raise PredictionTableError(
        f"predictions: {column} is {value!s} in row {row + 1} ({keys}; {int(invalid.sum())} of "
        f"{len(table)} rows).",
        column=column,
        subject=_known_id(table["subject"].iloc[row]),
        session=_known_id(table["session"].iloc[row]),
        value=value,
        remedy=remedy,
    )
