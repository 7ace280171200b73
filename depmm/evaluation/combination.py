"""Combination of the predictions of several runs: late fusion without training."""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from depmm.errors import DepmmError
from depmm.evaluation.alignment import align_tables
from depmm.evaluation.prediction_checks import check_predictions
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY
from depmm.schemas.predictions import PREDICTIONS

SMALLEST_PROBABILITY = 1e-7  # probabilities of 0 and 1 have no logit; the step of float32 at 1
_ROW = ["seed", "fold", *SESSION_KEY]
_MEASURED = ["y_true", "score", "instrument"]


class CombinationError(DepmmError):
    """Runs whose predictions cannot be combined."""


class Combination(NamedTuple):
    """Combined predictions.

    Attributes
    ----------
    predictions : DataFrame
        The columns of ``PREDICTIONS``, without ``gate_std``.
    missing : dict of str to int
        Rows (session, fold and seed) that each run does not predict.
    clipped : int
        Probabilities of 0 or 1 whose logit was limited.
    notes : list of str
        What was taken from another run, and which rows were left out.
    """

    predictions: pd.DataFrame
    missing: dict[str, int]
    clipped: int
    notes: list[str]


def combine_predictions(tables: Mapping[str, pd.DataFrame]) -> Combination:
    """Add the logits of several runs, or average their predicted scores, per session.

    Binary targets: ``y_prob = sigmoid(sum of the logits)``. For sessions that all runs predict, the
    sum and the mean have the same order and therefore the same AUROC and, by thresholds chosen on
    validation rows, the same decisions. If a run does not predict a session, the sum treats its
    logit as 0, which is no evidence. The sum counts what the runs share more than once, so that
    ``y_prob`` is too extreme; the report calibrates it. Severity: the mean of ``score_pred`` over
    the runs that predict the session, in points.

    Where a run has no validation rows in a fold, those of the other runs are left out: a threshold
    that is chosen on the logits of one run does not hold for a sum. The threshold of the
    combination is then 0.5. Where a run has no predictions of train rows in a fold, train rows have
    no combined prediction; their labels are kept for the baselines. A column ``threshold`` of a
    table does not hold for a sum either. A table without split, fold and seed is combined with
    every fold and seed of the first run.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Predictions of each run, by a name that identifies it.

    Returns
    -------
    Combination
        Combined predictions, and counts.

    Raises
    ------
    CombinationError
        If there are fewer than two runs, if two runs have the same predictions, or if runs have
        different seeds, folds or targets, a subject in different splits of a fold, or different
        labels of a session.
    AlignmentError
        If the sessions of a table cannot be identified with those of the first run.
    PredictionTableError
        If a table cannot be used.
    """
    if len(tables) < 2:
        raise CombinationError(
            "A combination needs two or more runs.", setting="runs", remedy="Give another run."
        )
    aligned = align_tables(tables)
    notes = [f"{name}: {note}" for name, found in aligned.notes.items() for note in found]
    tables = _take_folds(aligned.tables, notes)
    checked = {name: check_predictions(table) for name, table in tables.items()}
    first, *others = checked
    columns = {name: _find_predicted(name, table) for name, table in checked.items()}
    for name in others:
        _check_folds(first, checked[first], name, checked[name])
        _check_subjects(first, checked[first], name, checked[name])
        if columns[name] != columns[first]:
            raise CombinationError(
                f"{first} predicts {columns[first]} and {name} {columns[name]}.",
                column=columns[name],
                value=name,
                remedy="Combine runs of the same target.",
            )
    notes += _leave_out_validation(checked, columns[first])
    rows = pd.concat([table.assign(run=name) for name, table in checked.items()])
    _check_measured(rows)
    predicted = rows.dropna(subset=[columns[first]])
    values = predicted.pivot_table(index=_ROW, columns="run", values=columns[first])
    values = values[list(checked)]
    _check_different(values)
    clipped = 0
    if columns[first] == "y_prob":
        low, high = SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY
        clipped = int(((values < low) | (values > high)).to_numpy().sum())
        combined = expit(logit(values.clip(low, high)).sum(axis=1))
    else:
        combined = values.mean(axis=1)
    kept = [name for name in PREDICTIONS.names if name in rows and name != "gate_std"]
    # covariates of the first run that knows them
    joined = rows.groupby(_ROW, sort=True)[[n for n in kept if n not in _ROW]].first()
    combined, left_out = _leave_out_training(values, combined, joined["split"])
    notes += left_out
    for name in ("y_prob", "score_pred"):
        joined[name] = combined if name == columns[first] else np.nan
    result = check_predictions(joined.reset_index()[kept])
    missing = {name: int(values[name].isna().sum()) for name in checked}
    return Combination(result, missing, clipped, notes)


def _take_folds(tables: Mapping[str, pd.DataFrame], notes: list[str]) -> dict[str, pd.DataFrame]:
    """Give tables without split, fold and seed those of the first run that has them.

    Such a table has one prediction per tested session, which is combined with each seed.
    """
    names = ["split", "fold", "seed"]
    known = [n for n, table in tables.items() if {*SESSION_KEY, *names} <= set(table)]
    if not known:
        return dict(tables)
    run = tables[known[0]]
    tested = run.loc[run["split"] == "test", [*SESSION_KEY, *names]].drop_duplicates()
    completed = {}
    for name, table in tables.items():
        if not set(names) & set(table) and set(SESSION_KEY) <= set(table):
            joined = table.merge(tested, on=SESSION_KEY)
            n_models = len(tested[["fold", "seed"]].drop_duplicates())
            n_left_out = len(table) - len(joined[SESSION_KEY].drop_duplicates())
            notes.append(
                f"{name}: fold and seed of each session are taken from {known[0]}, with "
                f"{n_models} models; {n_left_out} sessions that it does not test are left out."
            )
            table = joined
        completed[name] = table
    return completed


def _leave_out_training(
    values: pd.DataFrame, combined: pd.Series, split: pd.Series
) -> tuple[pd.Series, list[str]]:
    """Leave out predictions of train rows of each (seed, fold) in which a run has none.

    They would be those of the other runs, and the gap to the test rows would not be that of a sum.
    """
    train = values[split.reindex(values.index) == "train"]
    lacking = train.isna().groupby(level=["seed", "fold"]).transform("all")
    rows = lacking.index[lacking.any(axis=1)]
    if rows.empty:
        return combined, []
    missing = lacking.columns[lacking.any()]
    note = (
        f"{len(rows)} train rows have no combined prediction, because {' and '.join(missing)} has "
        "none."
    )
    return combined.drop(rows), [note]


def _leave_out_validation(checked: dict[str, pd.DataFrame], predicted: str) -> list[str]:
    """Leave out validation rows of each (seed, fold) in which a run has none."""
    of_run = {name: table[table["split"] == "validation"] for name, table in checked.items()}
    models = {n: set(zip(t["seed"], t["fold"], strict=True)) for n, t in of_run.items()}
    known = {key for found in models.values() for key in found}
    incomplete = {key for key in known if any(key not in found for found in models.values())}
    if not incomplete:
        return []
    left_out = 0
    for name, table in checked.items():
        keys = zip(table["seed"], table["fold"], strict=True)
        without = pd.Series([key in incomplete for key in keys], index=table.index)
        drop = without & (table["split"] == "validation")
        left_out += int(drop.sum())
        checked[name] = table[~drop].reset_index(drop=True)
    missing = [name for name, found in models.items() if incomplete - found]
    binary = predicted == "y_prob"
    effect = ": the decision threshold of the combination is 0.5." if binary else "."
    return [
        f"{left_out} validation rows are left out, because {' and '.join(missing)} has none{effect}"
    ]


def _check_different(values: pd.DataFrame) -> None:
    """Refuse copies: a run that is added twice has twice the weight."""
    for first, other in combinations(values.columns, 2):
        both = values[[first, other]].dropna()
        # constant predictions of two trainings can be equal
        varies = len(both) and both[first].min() < both[first].max()
        if varies and (both[first] == both[other]).all():
            raise CombinationError(
                f"{first} and {other} have the same predictions of all {len(both)} sessions that "
                "both predict.",
                column="y_prob",
                value=other,
                remedy="Give each run once.",
            )


def _find_predicted(name: str, table: pd.DataFrame) -> str:
    """Find the predicted column of a run: ``y_prob`` or ``score_pred``."""
    predicted = [n for n in ("y_prob", "score_pred") if n in table and table[n].notna().any()]
    if len(predicted) != 1:
        raise CombinationError(
            f"{name} has predictions in {' and '.join(predicted) or 'neither column'}, but one of "
            "y_prob and score_pred is combined.",
            column="y_prob",
            value=name,
            remedy="Leave the other column empty.",
        )
    return predicted[0]


def _check_folds(first: str, reference: pd.DataFrame, name: str, table: pd.DataFrame) -> None:
    runs = {
        label: set(zip(t["seed"], t["fold"], strict=True))
        for label, t in ((first, reference), (name, table))
    }
    for present_in, absent_in in ((first, name), (name, first)):
        if missing := runs[present_in] - runs[absent_in]:
            seed, fold = min(missing)
            seeds = {other for other, _ in runs[absent_in]}
            raise CombinationError(
                f"{present_in} has predictions of seed {seed}, fold {fold}, but {absent_in} has "
                "none.",
                column="fold" if seed in seeds else "seed",
                value=(int(seed), int(fold)),
                remedy="Train all runs with the same seeds and the same split.",
            )


def _check_subjects(first: str, reference: pd.DataFrame, name: str, table: pd.DataFrame) -> None:
    key = ["seed", "fold", *SUBJECT_KEY]
    splits = [t.drop_duplicates(key).set_index(key)["split"] for t in (reference, table)]
    both = pd.concat(splits, axis=1, keys=["first", "other"], join="inner")
    if both.empty:
        raise CombinationError(
            f"{first} and {name} have no subject in common.",
            column="subject",
            value=name,
            remedy="Combine runs on the same corpora.",
        )
    differs = both[both["first"] != both["other"]]
    if len(differs):
        seed, fold, _, subject = differs.index[0]
        row = differs.iloc[0]
        raise CombinationError(
            f"{len(differs)} subjects are in different splits: {subject} is in {row['first']} in "
            f"{first} and in {row['other']} in {name} (seed {seed}, fold {fold}).",
            column="split",
            subject=str(subject),
            value=(str(row["first"]), str(row["other"])),
            remedy="Train both with the same split section and the same manifest.",
        )


def _check_measured(rows: pd.DataFrame) -> None:
    for column in (name for name in _MEASURED if name in rows):
        counts = rows.groupby(_ROW)[column].nunique()
        if (counts > 1).any():
            session = counts.index[counts > 1][0]
            raise CombinationError(
                f"{column} of {int((counts > 1).sum())} of {len(counts)} rows differs between the "
                f"runs, for example of session {session[-1]} of subject {session[-2]}.",
                column=column,
                subject=str(session[-2]),
                session=str(session[-1]),
                remedy="Combine runs with the same labels.",
            )
