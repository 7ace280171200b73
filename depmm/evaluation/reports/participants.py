"""Characteristics of the subjects by split, fold and label, with standardised differences.

The unit is the subject: numbers are averaged over the sessions of a subject, a category that
differs between them becomes ``several``, and the label is the majority (a tie is positive). The
difference between two labels uses all subjects; the difference between training and test is
computed within each fold, because in a cross-validation every subject is in both.
"""

from typing import Any

import pandas as pd

from depmm.corpora.subject_labels import subject_labels
from depmm.evaluation.covariates import COVARIATES, is_numeric
from depmm.evaluation.stats.smallest_effects import (
    ALPHA,
    POWER,
    smallest_auroc,
    smallest_balanced_accuracy,
    smallest_correlation,
)
from depmm.evaluation.stats.standardised_differences import (
    IMBALANCE,
    categorical_difference,
    chance_bound,
    numeric_difference,
)
from depmm.schemas.manifest import SPLITS, SUBJECT_KEY

UNITS = {"age": "years", "score": "points", "duration_s": "s"}
SEVERAL = "several"
MAX_CATEGORIES = 10  # a column with more values identifies rather than describes subjects


def describe_participants(table: pd.DataFrame) -> dict[str, Any]:
    """Describe the subjects of a predictions table.

    Parameters
    ----------
    table : DataFrame
        Checked predictions of sessions, with the optional columns of ``COVARIATES``, ``y_true`` and
        ``score``.

    Returns
    -------
    dict of str to object
        ``variables`` with their name and unit; ``groups``, one entry per group of subjects with
        counts and a summary of each variable; ``differences``, one entry per comparison of two
        groups with the standardised difference of each variable and its bound by chance; and
        ``not_described``, the columns that are left out, with the reason.
    """
    splits = table.drop_duplicates([*SUBJECT_KEY, "fold", "split"])[[*SUBJECT_KEY, "fold", "split"]]
    subjects, not_described = _describe_subjects(table)
    variables = [str(name) for name in subjects if name not in ("label", "sessions")]
    folds = sorted(int(fold) for fold in table["fold"].unique())
    parts: dict[tuple[int, str], pd.DataFrame] = {}
    for fold in folds:
        for split in SPLITS:
            rows = splits[(splits["fold"] == fold) & (splits["split"] == split)]
            if len(rows):
                parts[fold, split] = subjects.loc[pd.MultiIndex.from_frame(rows[SUBJECT_KEY])]
    groups = [_describe_group("all", None, subjects, variables)]
    groups += [
        _describe_group(split, fold, parts[fold, split], variables)
        for fold in folds
        for split in SPLITS
        if (fold, split) in parts and len(splits["split"].unique()) > 1
    ]
    differences = []
    if subjects["label"].nunique() == 2:
        negative, positive = (subjects[subjects["label"] == label] for label in (0, 1))
        differences.append(_compare("positive and negative", None, positive, negative, variables))
    differences += [
        _compare("train and test", fold, parts[fold, "train"], parts[fold, "test"], variables)
        for fold in folds
        if {(fold, "train"), (fold, "test")} <= set(parts)
    ]
    return {
        "variables": [
            {
                "name": name,
                "unit": UNITS.get(name),
                "numeric": bool(is_numeric(subjects[name])),
                "missing": int(subjects[name].isna().sum()),
            }
            for name in variables
        ],
        "groups": groups,
        "differences": differences,
        "imbalance": IMBALANCE,
        "not_described": not_described,
    }


def _describe_subjects(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return one row per subject, indexed by (corpus, subject), and the columns left out."""
    rows = table.drop_duplicates([*SUBJECT_KEY, "session"])
    grouped = rows.groupby(SUBJECT_KEY)
    columns: dict[str, Any] = {"sessions": grouped.size()}
    columns["label"] = pd.Series(float("nan"), columns["sessions"].index)
    if "y_true" in rows and rows["y_true"].notna().any():
        columns["label"] = subject_labels(rows, "y_true")
    not_described = {}
    for name in (*COVARIATES, "score"):
        if name not in rows or rows[name].isna().all():
            not_described[name] = "not in the predictions"
        elif is_numeric(rows[name]):
            numbers = rows.assign(number=pd.to_numeric(rows[name]).astype(float))
            columns[name] = numbers.groupby(SUBJECT_KEY)["number"].mean()
        elif rows[name].nunique() > MAX_CATEGORIES:
            not_described[name] = f"{rows[name].nunique()} categories"
        else:
            first = grouped[name].first().astype(object)
            differs = rows[name].notna() & (rows[name] != grouped[name].transform("first"))
            columns[name] = first.mask(
                differs.groupby([rows[k] for k in SUBJECT_KEY]).any(), SEVERAL
            )
    return pd.DataFrame(columns), not_described


def _describe_group(
    name: str, fold: int | None, subjects: pd.DataFrame, variables: list[str]
) -> dict[str, Any]:
    """Summarise all subjects of a group, and those of each label."""
    parts = {"all": subjects}
    if subjects["label"].notna().any():
        parts |= {
            word: subjects[subjects["label"] == label]
            for word, label in (("negative", 0), ("positive", 1))
        }
    return {
        "name": name,
        "fold": fold,
        "by_label": {
            word: {
                "subjects": len(rows),
                "sessions": int(rows["sessions"].sum()),
                "variables": {variable: _summarise(rows[variable]) for variable in variables},
            }
            for word, rows in parts.items()
        },
    }


def _summarise(values: pd.Series) -> dict[str, Any]:
    """Return mean and standard deviation of a number, or the share of each category."""
    known = values.dropna()
    if is_numeric(values):
        numbers = pd.to_numeric(known)
        return {"mean": numbers.mean(), "std": numbers.std(ddof=1), "known": len(known)}
    shares = known.value_counts(normalize=True).sort_index()
    return {
        "shares": {str(key): float(share) for key, share in shares.items()},
        "known": len(known),
    }


def _compare(
    name: str, fold: int | None, first: pd.DataFrame, second: pd.DataFrame, variables: list[str]
) -> dict[str, Any]:
    entries = {}
    for variable in variables:
        one, two = first[variable].dropna(), second[variable].dropna()
        both = pd.concat([one, two])
        if is_numeric(both):
            value, categories = numeric_difference(pd.to_numeric(one), pd.to_numeric(two)), 2
        else:
            value, categories = categorical_difference(one, two), both.nunique()
        bound = chance_bound(len(one), len(two), categories)
        entries[variable] = {
            "value": value,
            "chance": bound,
            "imbalanced": bool(abs(value) > max(IMBALANCE, bound)),
        }
    return {"name": name, "fold": fold, "variables": entries}


def smallest_effects(table: pd.DataFrame, targets: list[str]) -> dict[str, Any]:
    """Compute the smallest effects that the tested subjects can show.

    Parameters
    ----------
    table : DataFrame
        Checked predictions.
    targets : list of str
        ``binary``, ``severity`` or both.

    Returns
    -------
    dict of str to object
        ``alpha``, ``power``, the numbers of tested ``subjects``, ``positive`` and ``negative``
        subjects (null without labels), and the smallest ``auroc``, ``balanced_accuracy`` and
        ``pearson``, each null if it is not defined for the targets or no value has the power.
    """
    subjects, _ = _describe_subjects(table[table["split"] == "test"])
    effects: dict[str, Any] = dict.fromkeys(("auroc", "balanced_accuracy", "pearson"))
    counts: dict[str, int | None] = {"positive": None, "negative": None}
    if "binary" in targets:
        positive, negative = (int((subjects["label"] == label).sum()) for label in (1, 0))
        counts = {"positive": positive, "negative": negative}
        effects["auroc"] = smallest_auroc(positive, negative)
        effects["balanced_accuracy"] = smallest_balanced_accuracy(positive, negative)
    if "severity" in targets:
        effects["pearson"] = smallest_correlation(len(subjects))
    return {"alpha": ALPHA, "power": POWER, "subjects": len(subjects), **counts, **effects}
