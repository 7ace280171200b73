"""Covariate baselines: models of gender and age, duration, interviewer, or all properties alone.

Recordings of depressed participants may differ from others in length, interviewer, gender and age.
A model that detects only such differences has not learned anything about depression, but is better
than a constant (E-DAIC test set: 8 of 13 women and 9 of 43 men are positive). The report contains a
warning if a model is not shown to be better than such a baseline.

The baselines of each (fold, seed) are fitted on its *train* rows (on its validation rows where the
table has no labelled train rows), never on the tested rows. They are a logistic regression with
balanced class weights and the threshold 0.5, or a ridge regression of the score, both with
scikit-learn's default penalty. The baseline ``properties`` uses the table that ``depmm audit``
writes (``session_properties.parquet``: every column of the manifest, the steps, missing values and
the statistics of the recordings); it has many columns, and its penalty is the number of subjects
that it is fitted on, as in the audit. Numeric covariates are standardised; missing values are
replaced by the median and marked in an indicator column. Categories are one-hot encoded; a category
that does not occur in the rows to fit on is encoded as zeros.

A fitted baseline differs between folds. Pooled over folds, an uninformative baseline can therefore
be below chance, especially if single subjects are left out. The verdict about a metric therefore
uses the best constant (``baselines``) as baseline.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from depmm.errors import abbreviate
from depmm.evaluation.baselines import compute_gain, fitting_rows, judge
from depmm.evaluation.stats.metric_intervals import estimate_metric
from depmm.evaluation.stats.metrics import HEADLINE, METRICS, metric_names
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.stats.weighted_sums import Array
from depmm.evaluation.thresholds import DEFAULT_THRESHOLD
from depmm.schemas.manifest import SESSION_KEY

COVARIATE_BASELINES: dict[str, tuple[str, ...]] = {
    "demographics": ("gender", "age"),
    "duration": ("duration_s", "n_steps"),
    "interviewer": ("interviewer",),
}
PROPERTIES = "properties"  # the baseline of the properties of the audit
MAX_SHOWN = 5  # columns of a baseline in a text
UNKNOWN = "not known"


class _UnavailableError(ValueError):
    """A baseline cannot be fitted to these predictions; the message is the reason."""


def add_covariate_baselines(
    predictions: pd.DataFrame, target: str, properties: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, dict[str, list[str]], dict[str, str]]:
    """Add the predictions of each covariate baseline to the rows of every (fold, seed).

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions with any of ``COVARIATES``.
    target : {"binary", "severity"}
        Kind of target.
    properties : DataFrame, optional
        Properties of the sessions, with the key of the sessions, as of
        :data:`depmm.schemas.audit.SESSION_PROPERTIES`.

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
    baselines = dict(COVARIATE_BASELINES) | ({} if properties is None else {PROPERTIES: ()})
    for baseline, covariates in baselines.items():
        try:
            if properties is not None and baseline == PROPERTIES:
                known = _known_properties(predictions, properties)
            else:
                known = _known_columns(predictions, covariates)
            predicted = _fit_and_predict(predictions, target, known, baseline == PROPERTIES)
        except _UnavailableError as reason:
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
    """Select the columns with a value for any tested session; durations are in logarithms."""
    present = [name for name in columns if name in predictions]
    if not present:
        raise _UnavailableError(f"the predictions have no column {' or '.join(columns)}")
    tested = predictions["split"] == "test"
    known = predictions[[name for name in present if predictions.loc[tested, name].notna().any()]]
    if known.empty:
        raise _UnavailableError(f"{' and '.join(present)} of every tested session: {UNKNOWN}")
    if "duration_s" in known:
        # on a log scale, doubling the duration has the same effect for seconds and for hours
        seconds = known["duration_s"]
        known = known.assign(duration_s=np.log(seconds.where(seconds > 0)))
    return known


def _known_properties(predictions: pd.DataFrame, properties: pd.DataFrame) -> pd.DataFrame:
    """Select the properties of each row."""
    names = [str(name) for name in properties if name not in SESSION_KEY]
    keys = pd.MultiIndex.from_frame(predictions[SESSION_KEY])
    known = properties.drop_duplicates(SESSION_KEY).set_index(SESSION_KEY)[names].reindex(keys)
    known.index = predictions.index
    tested = predictions["split"] == "test"
    known = known[[name for name in names if known.loc[tested, name].notna().any()]]
    if known.empty:
        raise _UnavailableError(f"properties of every tested session: {UNKNOWN}")
    return known


def _fit_and_predict(
    predictions: pd.DataFrame, target: str, known: pd.DataFrame, penalised: bool
) -> Array:
    """Fit on the train rows of each (fold, seed) and predict all of its rows."""
    column = "y_true" if target == "binary" else "score"
    measured = predictions[column].to_numpy(dtype=float, na_value=np.nan)
    if predictions.loc[predictions["split"] != "test", column].isna().all():
        raise _UnavailableError("no train or validation rows to fit on")
    predicted = np.full(len(predictions), np.nan)
    for rows, to_fit, split in fitting_rows(predictions, column):
        fold, seed = predictions[["fold", "seed"]].iloc[rows[0]]
        where = f"the {split} rows of fold {fold}, seed {seed}"
        if known.iloc[to_fit].isna().all(axis=None):
            raise _UnavailableError(f"{' and '.join(known.columns)} of {where}: {UNKNOWN}")
        if target == "binary" and len(np.unique(measured[to_fit])) < 2:
            raise _UnavailableError(f"{where} have one class only")
        fitted = np.isin(rows, to_fit)
        table = encode(known.iloc[rows], fitted)
        if not table.shape[1]:
            raise _UnavailableError(f"{where} have no known values")
        alpha = float(fitted.sum()) if penalised else 1.0
        if target == "severity":
            ridge = Ridge(alpha=alpha).fit(table[fitted], measured[rows[fitted]])
            predicted[rows] = ridge.predict(table)
        else:
            # the curvature of the logistic loss is 1/4: this penalty equals that of the ridge
            strength = 4 / alpha if penalised else 1.0
            model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
            model.fit(table[fitted], measured[rows[fitted]])
            predicted[rows] = model.predict_proba(table)[:, 1]
    return predicted


def encode(known: pd.DataFrame, fitted: NDArray[np.bool_]) -> Array:
    """Encode covariates as a numeric matrix, with the statistics of the rows to fit on.

    Equivalent to a ``ColumnTransformer`` of ``SimpleImputer(strategy="median",
    add_indicator=True)`` with ``StandardScaler``, and ``OneHotEncoder(handle_unknown="ignore")``.
    These transformers take longer than the fit itself, and a report may need hundreds of fits.

    Parameters
    ----------
    known : DataFrame, shape (N, columns)
        Numeric and categorical covariates; missing where unknown.
    fitted : ndarray of bool, shape (N,)
        Rows to fit on.

    Returns
    -------
    ndarray, shape (N, K)
        Encoded covariates.
    """
    numeric: list[NDArray[Any]] = []
    one_hot: list[NDArray[Any]] = []
    for name in known:
        column = known[name]
        if not is_numeric_dtype(column):
            categories = column.fillna(UNKNOWN).to_numpy(object)
            one_hot += [categories == category for category in np.unique(categories[fitted])]
            continue
        values = column.to_numpy(float)
        missing = np.isnan(values)
        if missing[fitted].all():
            continue
        numeric.append(np.where(missing, np.median(values[fitted & ~missing]), values))
        if missing[fitted].any():
            numeric.append(missing)
    if numeric:
        table = np.stack(numeric, axis=1).astype(float)
        numeric = list(StandardScaler().fit(table[fitted]).transform(table).T)
    if not numeric and not one_hot:
        return np.zeros((len(known), 0))
    return np.stack([*numeric, *one_hot], axis=1).astype(float)


def compare_with_covariate_baselines(
    tested: ResampledSessions, target: str, columns: dict[str, list[str]]
) -> dict[str, Any]:
    """Evaluate each covariate baseline, and the gain of the model over it.

    Metrics of severity bands are left out, because the baselines do not predict bands.

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
        estimate = estimate_metric(tested, name)
        for baseline, entry in baselines.items():
            column = f"{baseline}_{metric.predicted}"
            baseline_values = tested.values(name, column)
            interval = estimate_metric(tested, name, column)
            entry["metrics"][name] = {**asdict(interval), "gain": None, "verdict": None}
            if metric.has_baseline:
                gain = compute_gain(tested, name, (values, estimate), (baseline_values, interval))
                label = f"{baseline} only: {abbreviate(entry['columns'], MAX_SHOWN)}"
                entry["metrics"][name] |= {
                    "gain": asdict(gain),
                    "verdict": judge(tested, name, estimate, interval, gain, label),
                }
    return baselines


def covariate_warnings(baselines: dict[str, Any], target: str) -> list[str]:
    """List the baselines that the model is not shown to exceed in every headline metric.

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
                "The model is not shown to be better than a covariate baseline, which uses "
                f"{_join(entry['columns'])}: {' '.join(texts)}"
            )
    return notes


def _join(columns: list[str]) -> str:
    """Describe what a baseline uses."""
    if len(columns) > MAX_SHOWN:
        return f"{len(columns)} properties of the sessions ({abbreviate(columns, MAX_SHOWN)})"
    return f"{' and '.join(columns)} but no recording"
