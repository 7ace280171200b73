"""Constant baselines, evaluated on the same test rows and bootstrap replicates as the model.

The constants of each fold come from its *train* rows (from its validation rows where the table has
no labelled train rows), never from the tested rows:

- ``majority``: the more frequent class (negative if both are equally frequent);
- ``always_negative``, ``always_positive``: one class; the latter is the baseline of F1 of a rare
  positive class;
- ``constant_probability``: the share of positives;
- ``even_odds``: the probability 0.5;
- ``constant_mean``: the mean score.

A binary table with tested rows only is compared with the baselines that need no training: one class
for all sessions, and the probability 0.5.

Constants that differ between folds are *negatively* correlated with the labels: a fold whose tested
subjects are positive has fewer positives to train on. Pooled over folds, the majority class can
therefore be far below a single constant (an accuracy of 0 when subjects of two equally large
classes are left out one by one). A metric is compared with the best of the baselines, or with its
chance level where it does not depend on the class counts (0.5 for balanced accuracy, AUROC and
macro F1; random decisions have a higher macro F1 than every constant).
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from depmm.evaluation.prediction_checks import PredictionTableError
from depmm.evaluation.stats.intervals import Interval
from depmm.evaluation.stats.metric_intervals import estimate_difference, estimate_metric
from depmm.evaluation.stats.metrics import METRICS, PredictionColumn, metric_names
from depmm.evaluation.stats.resampled_sessions import MetricValues, ResampledSessions
from depmm.evaluation.stats.undefined import explain_no_comparison, explain_undefined
from depmm.evaluation.stats.weighted_sums import ROUNDING

BASELINES: dict[str, tuple[PredictionColumn, str]] = {
    "majority": ("y_pred", "majority class"),
    "always_negative": ("y_pred", "always negative"),
    "always_positive": ("y_pred", "always positive"),
    "constant_probability": ("y_prob", "constant probability"),
    "even_odds": ("y_prob", "probability 0.5"),
    "constant_mean": ("score_pred", "constant mean"),
}
NO_SOURCE = "none"  # source of the constants if the table has tested rows only
Estimate = tuple[MetricValues, Interval]  # a metric under resampling, and its interval
CHANCE = "chance"  # baseline of a metric whose chance level does not depend on the class counts
BASELINE_LABELS = {
    CHANCE: "chance",
    **{name: label for name, (_, label) in BASELINES.items()},
}


def add_baselines(predictions: pd.DataFrame, target: str) -> pd.DataFrame:
    """Add the constant predictions of each (fold, seed) to its rows.

    Parameters
    ----------
    predictions : DataFrame
        Columns split, fold, seed and y_true (binary) or score (severity).
    target : {"binary", "severity"}
        Kind of target.

    Returns
    -------
    DataFrame
        A copy with a column per baseline and ``<target>_baseline_source``, the split that the
        constants come from.

    Raises
    ------
    PredictionTableError
        If a fold has neither labelled train nor labelled validation rows; for a binary target,
        only if another fold has such rows.
    """
    column = "y_true" if target == "binary" else "score"
    if target == "binary" and predictions.loc[predictions["split"] != "test", column].isna().all():
        fixed = {"always_negative": 0, "always_positive": 1, "even_odds": 0.5}
        return predictions.assign(**fixed, binary_baseline_source=NO_SOURCE)
    measured = predictions[column].to_numpy(dtype=float, na_value=np.nan)
    constant = np.full(len(predictions), np.nan)
    source = np.full(len(predictions), "", dtype=object)
    for rows, fitted, split in fitting_rows(predictions, column):
        constant[rows], source[rows] = measured[fitted].mean(), split
    table = predictions.assign(**{f"{target}_baseline_source": source})
    if target == "severity":
        return table.assign(constant_mean=constant)
    return table.assign(
        majority=(constant > 0.5).astype(int),
        always_negative=0,
        always_positive=1,
        constant_probability=constant,
        even_odds=0.5,
    )


def fitting_rows(
    predictions: pd.DataFrame, column: str
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], str]]:
    """Select the rows on which the baselines of each (fold, seed) are fitted.

    Parameters
    ----------
    predictions : DataFrame
        Columns split, fold, seed and ``column``.
    column : str
        Column of the measured values.

    Yields
    ------
    rows : ndarray of int
        Indices of all rows of a (fold, seed).
    fitted : ndarray of int
        Indices of the rows to fit on; never tested rows.
    split : {"train", "validation"}
        Split of the rows to fit on.

    Raises
    ------
    PredictionTableError
        If a fold has neither labelled train nor labelled validation rows.
    """
    known = predictions[column].notna().to_numpy()
    split = predictions["split"].to_numpy()
    trainings: dict[Any, Any] = predictions.groupby(["fold", "seed"]).indices
    for (fold, seed), rows in trainings.items():
        for name in ("train", "validation"):
            if (fitted := rows[known[rows] & (split[rows] == name)]).size:
                yield rows, fitted, name
                break
        else:
            raise PredictionTableError(
                f"predictions: fold {fold}, seed {seed} has no train or validation rows with "
                f"{column}; baselines are not fitted on tested rows. Add its train rows "
                f"({column} is sufficient, predictions may be missing).",
                column=column,
                value=(int(fold), int(seed)),
            )


def compare_with_baselines(
    tested: ResampledSessions, target: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compute every metric of a target and compare it with its baseline.

    Parameters
    ----------
    tested : ResampledSessions
        Tested rows with the columns of ``add_baselines``.
    target : {"binary", "severity"}
        Kind of target.

    Returns
    -------
    metrics : dict
        By metric: the fields of ``Interval``; ``undefined``, why it has no value, or None;
        ``baseline`` (its name and ``Interval``) and ``gain`` (paired difference to it; positive is
        better), None where a constant reaches the best value;
        ``verdict``; ``per_seed`` if there are several seeds.
    baselines : dict
        By baseline and metric: the fields of ``Interval``.
    """
    metrics: dict[str, Any] = {}
    baselines: dict[str, Any] = {}
    for name in metric_names(target):
        metric = METRICS[name]
        if any(metric.predicted not in rows for rows in tested.seeds.values()):
            continue  # no severity bands: the instrument is unknown or has no agreed levels
        values = tested.values(name)
        estimate = estimate_metric(tested, name)
        entry: dict[str, Any] = {
            **asdict(estimate),
            "undefined": explain_undefined(tested, name),
            "baseline": None,
            "gain": None,
            "verdict": None,
        }
        if len(values.per_seed) > 1:
            entry["per_seed"] = dict(zip(map(str, tested.seeds), values.per_seed, strict=True))
        constants = {
            baseline: (tested.values(name, baseline), estimate_metric(tested, name, baseline))
            for baseline, (column, _) in BASELINES.items()
            if column == metric.predicted
            and all(baseline in rows for rows in tested.seeds.values())
        }
        for baseline, (_, interval) in constants.items():
            baselines.setdefault(baseline, {})[name] = asdict(interval)
        if metric.has_baseline:
            baseline, best = _best_baseline(name, constants, values)
            baseline_estimate = best[1]
            gain = compute_gain(tested, name, (values, estimate), best)
            entry["baseline"] = {"name": baseline, **asdict(baseline_estimate)}
            entry["gain"] = asdict(gain)
            entry["verdict"] = judge(
                tested, name, estimate, baseline_estimate, gain, BASELINE_LABELS[baseline]
            )
        metrics[name] = entry
    return metrics, baselines


def compute_gain(
    tested: ResampledSessions, name: str, model: Estimate, baseline: Estimate
) -> Interval:
    """Compute the paired difference of a metric to a baseline; positive is better.

    Parameters
    ----------
    tested : ResampledSessions
        The tested rows.
    name : str
        Metric, a key of ``METRICS``.
    model, baseline : tuple of MetricValues and Interval
        The metric of the model and of the baseline.

    Returns
    -------
    Interval
        The gain with its interval.
    """
    if METRICS[name].lower_is_better:
        return estimate_difference(tested, baseline, model)
    return estimate_difference(tested, model, baseline)


def judge(
    tested: ResampledSessions,
    name: str,
    estimate: Interval,
    baseline: Interval,
    gain: Interval,
    baseline_label: str,
) -> dict[str, str]:
    """Judge whether a metric is better than its baseline.

    It is better if the lower bound of the paired gain is above 0: model and baseline are compared
    on the same subjects in every replicate. If the baseline is the chance level, this is equivalent
    to a lower bound of the metric above it. There is no verdict if the measured values are
    constant, because one constant prediction is then perfect.

    Parameters
    ----------
    tested : ResampledSessions
        The tested rows.
    name : str
        Metric, a key of ``METRICS``.
    estimate, baseline, gain : Interval
        The metric of the model and of the baseline, and their paired difference.
    baseline_label : str
        Name of the baseline in reports.

    Returns
    -------
    dict of str to str
        ``outcome`` (``better``, ``not shown to be better``, ``worse`` or ``undefined``) and
        ``text``, a sentence.
    """
    label = METRICS[name].label
    if not np.isfinite(estimate.value):
        reason = explain_undefined(tested, name)
        return {"outcome": "undefined", "text": f"{label} is undefined: {reason}."}
    if reason := explain_no_comparison(tested, name):
        text = f"{label} {estimate.value:.2f} cannot be compared with a baseline: {reason}."
        return {"outcome": "undefined", "text": text}
    if not np.isfinite(gain.ci_low):
        text = f"{label} of the baseline ({baseline_label}) is undefined on these sessions."
        return {"outcome": "undefined", "text": text}
    if gain.ci_low > ROUNDING:
        outcome, relation = "better", "better than"
    elif gain.ci_high < -ROUNDING:
        outcome, relation = "worse", "worse than"
    else:
        outcome, relation = "not shown to be better", "not shown to be better than"
    text = (
        f"{label} {estimate.value:.2f} ({estimate.ci_low:.2f} to {estimate.ci_high:.2f}) is "
        f"{relation} the baseline of {baseline.value:.2f} ({baseline_label})."
    )
    return {"outcome": outcome, "text": text}


def _best_baseline(
    name: str, constants: dict[str, Estimate], values: MetricValues
) -> tuple[str, Estimate]:
    """Select the constant with the best point estimate, or the metric's chance level."""
    metric = METRICS[name]
    if metric.chance is not None:
        chance = MetricValues(*(np.full_like(part, metric.chance) for part in values))
        exact = Interval(metric.chance, metric.chance, metric.chance, method="exact")
        return CHANCE, (chance, exact)
    sign = -1 if metric.lower_is_better else 1
    quality = {baseline: sign * interval.value for baseline, (_, interval) in constants.items()}
    best = max(quality, key=lambda baseline: np.nan_to_num(quality[baseline], nan=-np.inf))
    return best, constants[best]
