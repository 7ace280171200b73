"""Covariate baselines: models of gender and age, of duration, or of the interviewer alone.

Recordings of depressed participants differ from others in ways that are not depression: length,
interviewer, gender and age. A model that detects only these has not learned anything about
depression, but is better than a constant (E-DAIC test set: 8 of 13 women are positive, 9 of 43
men). If a model is not shown to be better than such a baseline, the report states it.

Each (fold, seed) has its own baselines, fitted on its *train* rows (on its validation rows where
the table has no labelled train rows), never on the tested rows: logistic regression with balanced
classes and the threshold 0.5, or ridge regression of the score, both with scikit-learn's default
penalty. Numbers are standardised; a missing one is replaced by the median, with an indicator
column. Categories are one-hot encoded; one that is not in the train rows has zeros.

Baselines vary between folds, so that pooled over folds, and especially when single subjects are
left out, an uninformative baseline can be below chance. The baseline of a verdict therefore remains
the best constant (``baselines``).
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from depmm.evaluation.baselines import compute_gain, fitting_rows, judge
from depmm.evaluation.stats.bootstrap import ResampledSessions
from depmm.evaluation.stats.metrics import HEADLINE, METRICS, metric_names
from depmm.evaluation.stats.weighted_sums import Array
from depmm.evaluation.thresholds import DEFAULT_THRESHOLD

COVARIATE_BASELINES: dict[str, tuple[str, ...]] = {
    "demographics": ("gender", "age"),
    "duration": ("duration_s", "n_steps"),
    "interviewer": ("interviewer",),
}
UNKNOWN = "not known"


class _NotPossible(ValueError):
    """A baseline that these predictions do not allow, and why."""


def add_covariate_baselines(
    predictions: pd.DataFrame, target: str
) -> tuple[pd.DataFrame, dict[str, list[str]], dict[str, str]]:
    """Add the predictions of each covariate baseline to the rows of every (fold, seed).

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions with any of ``COVARIATES``.
    target : {"binary", "severity"}
        Kind of target.

    Returns
    -------
    table : DataFrame
        A copy with ``<baseline>_y_prob`` and ``<baseline>_y_pred``, or ``<baseline>_score_pred``.
    columns : dict of str to list of str
        Covariates of each baseline.
    not_possible : dict of str to str
        Reason why a baseline cannot be fitted.

    Raises
    ------
    PredictionTableError
        If a fold has neither labelled train nor labelled validation rows, although others have.
    """
    table = predictions.copy()
    columns: dict[str, list[str]] = {}
    not_possible: dict[str, str] = {}
    for baseline, covariates in COVARIATE_BASELINES.items():
        try:
            known = _known_columns(predictions, covariates)
            predicted = _fit_and_predict(predictions, target, known)
        except _NotPossible as reason:
            not_possible[baseline] = str(reason)
            continue
        columns[baseline] = [str(name) for name in known]
        if target == "severity":
            table[f"{baseline}_score_pred"] = predicted
        else:
            table[f"{baseline}_y_prob"] = predicted
            table[f"{baseline}_y_pred"] = (predicted >= DEFAULT_THRESHOLD).astype(int)
    return table, columns, not_possible


def _known_columns(predictions: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Select the columns that are known for some tested session, in the form of a regressor."""
    present = [name for name in columns if name in predictions]
    if not present:
        raise _NotPossible(f"the predictions have no column {' or '.join(columns)}")
    tested = predictions["split"] == "test"
    known = predictions[[name for name in present if predictions.loc[tested, name].notna().any()]]
    if known.empty:
        raise _NotPossible(f"{' and '.join(present)} of every tested session: {UNKNOWN}")
    if "duration_s" in known:
        # on a log scale a factor of two has the same effect from seconds to hours
        seconds = known["duration_s"]
        known = known.assign(duration_s=np.log(seconds.where(seconds > 0)))
    return known


def _fit_and_predict(predictions: pd.DataFrame, target: str, known: pd.DataFrame) -> Array:
    """Fit on the train rows of each (fold, seed) and predict all of its rows."""
    column = "y_true" if target == "binary" else "score"
    measured = predictions[column].to_numpy(dtype=float, na_value=np.nan)
    if predictions.loc[predictions["split"] != "test", column].isna().all():
        raise _NotPossible("no train or validation rows to fit on")
    predicted = np.full(len(predictions), np.nan)
    for rows, to_fit, split in fitting_rows(predictions, column):
        fold, seed = predictions[["fold", "seed"]].iloc[rows[0]]
        where = f"the {split} rows of fold {fold}, seed {seed}"
        if known.iloc[to_fit].isna().all(axis=None):
            raise _NotPossible(f"{' and '.join(known.columns)} of {where}: {UNKNOWN}")
        if target == "binary" and len(np.unique(measured[to_fit])) < 2:
            raise _NotPossible(f"{where} have one class only")
        fitted = np.isin(rows, to_fit)
        table = encode(known.iloc[rows], fitted)
        if target == "severity":
            predicted[rows] = Ridge().fit(table[fitted], measured[rows[fitted]]).predict(table)
        else:
            model = LogisticRegression(class_weight="balanced", max_iter=1000)
            model.fit(table[fitted], measured[rows[fitted]])
            predicted[rows] = model.predict_proba(table)[:, 1]
    return predicted


def encode(known: pd.DataFrame, fitted: NDArray[np.bool_]) -> Array:
    """Encode covariates as numbers, with the statistics of the rows to fit on.

    Equivalent to a ``ColumnTransformer`` of ``SimpleImputer(strategy="median",
    add_indicator=True)`` with ``StandardScaler``, and ``OneHotEncoder(handle_unknown="ignore")``.
    That takes longer than the fit itself, and a report may need hundreds of fits.

    Parameters
    ----------
    known : DataFrame, shape (N, columns)
        Numbers and categories; missing where unknown.
    fitted : ndarray of bool, shape (N,)
        Rows to fit on.

    Returns
    -------
    ndarray, shape (N, K)
        Encoded covariates.
    """
    numbers: list[NDArray[Any]] = []
    categories: list[NDArray[Any]] = []
    for name in known:
        column = known[name]
        if not is_numeric_dtype(column):
            names = column.fillna(UNKNOWN).to_numpy(object)
            categories += [names == category for category in np.unique(names[fitted])]
            continue
        number = column.to_numpy(float)
        missing = np.isnan(number)
        if missing[fitted].all():
            continue
        numbers.append(np.where(missing, np.median(number[fitted & ~missing]), number))
        if missing[fitted].any():
            numbers.append(missing)
    if numbers:
        table = np.stack(numbers, axis=1).astype(float)
        numbers = list(StandardScaler().fit(table[fitted]).transform(table).T)
    return np.stack([*numbers, *categories], axis=1).astype(float)


def compare_with_covariate_baselines(
    tested: ResampledSessions, target: str, columns: dict[str, list[str]]
) -> dict[str, Any]:
    """Evaluate each covariate baseline like the model, and the gain of the model over it.

    Severity bands are left out, as the baselines predict none.

    Parameters
    ----------
    tested : ResampledSessions
        Tested rows with the columns of ``add_covariate_baselines``.
    target : {"binary", "severity"}
        Kind of target.
    columns : dict of str to list of str
        Covariates of each baseline.

    Returns
    -------
    dict
        By baseline: ``columns`` and ``metrics``; by metric the fields of ``Interval``, ``gain``
        (paired; positive: the model is better) and ``verdict``, both None for metrics without a
        baseline.
    """
    baselines: dict[str, Any] = {
        baseline: {"columns": covariates, "metrics": {}} for baseline, covariates in columns.items()
    }
    for name in metric_names(target):
        metric = METRICS[name]
        if metric.predicted == "band_pred":
            continue
        values = tested.values(name)
        estimate = tested.interval(*values)
        for baseline, entry in baselines.items():
            of_baseline = tested.values(name, f"{baseline}_{metric.predicted}")
            interval = tested.interval(*of_baseline)
            entry["metrics"][name] = {**asdict(interval), "gain": None, "verdict": None}
            if metric.has_baseline:
                gain = compute_gain(tested, name, values, of_baseline)
                label = f"{baseline} only: {', '.join(entry['columns'])}"
                entry["metrics"][name] |= {
                    "gain": asdict(gain),
                    "verdict": judge(name, estimate, interval, gain, label),
                }
    return baselines


def covariate_warnings(baselines: dict[str, Any], target: str) -> list[str]:
    """List the baselines to which the model is not shown to be superior in every headline metric.

    Parameters
    ----------
    baselines : dict
        Result of ``compare_with_covariate_baselines``.
    target : {"binary", "severity"}
        Kind of target.

    Returns
    -------
    list of str
        One warning per baseline.
    """
    notes = []
    for entry in baselines.values():
        verdicts = [entry["metrics"][name]["verdict"] for name in HEADLINE[target]]
        if texts := [v["text"] for v in verdicts if v["outcome"] not in ("better", "undefined")]:
            notes.append(
                "Not shown to be better than a model without recordings, of "
                f"{' and '.join(entry['columns'])} only: {' '.join(texts)}"
            )
    return notes
