"""Calibration of tested probabilities before and after logistic and isotonic calibration."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from depmm.evaluation.stats.binary_metrics import brier, log_loss
from depmm.evaluation.stats.calibration_line import calibration_line
from depmm.evaluation.stats.calibrators import (
    CalibrationError,
    Calibrator,
    apply_calibrators,
    fit_calibrators,
)
from depmm.evaluation.stats.decision_curve import (
    measure_decision_curve,
    measure_predictive_values,
)
from depmm.evaluation.stats.intervals import Interval, Scale
from depmm.evaluation.stats.reliability import (
    adaptive_ece,
    count_bins,
    ece_if_calibrated,
    reliability_bins,
)
from depmm.evaluation.stats.resampled_sessions import MetricValues, ResampledSessions
from depmm.evaluation.stats.seed_means import measure_over_seeds
from depmm.evaluation.stats.training_variance import add_training_variance, average_repeats
from depmm.evaluation.stats.weighted_sums import Array, Weights, weighted_total
from depmm.schemas.manifest import SUBJECT_KEY

# an ECE has no logarithm of any use: calibrated probabilities have an ECE of 0
SCALES: dict[str, Scale] = {"ece": "share", "brier": "log", "log_loss": "log"}


def measure_calibration(
    predictions: pd.DataFrame, tested: ResampledSessions, seed: int
) -> dict[str, Any]:
    """Measure the calibration of the tested probabilities before and after calibration.

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions.
    tested : ResampledSessions
        Their tested rows.
    seed : int
        Seed of the labels of ``ece_if_calibrated``.

    Returns
    -------
    dict
        ``bins`` (number of bins), ``before``, ``logistic`` and ``isotonic``. Each of the last three
        has ``ece``, ``brier`` and ``log_loss`` (intervals), ``in_the_large`` (share of positives
        minus mean probability), ``intercept`` and ``slope`` (:mod:`calibration_line`, intervals),
        ``ece_if_calibrated`` (mean and 95 % quantile) and ``reliability`` (bins). ``logistic`` and
        ``isotonic`` also have ``fits`` and ``gain``, the paired decrease of ECE, Brier score and
        log-loss (positive is better). If a calibrator cannot be fitted, its only key is
        ``unavailable``, the reason. ``decision_curve`` is that of the logistic calibration, or of
        the probabilities where there is none; ``predictive_values`` are those of the decisions.
    """
    bins = count_bins(len(pd.concat(tested.seeds.values())[SUBJECT_KEY].drop_duplicates()))
    content: dict[str, Any] = {"bins": bins}
    before: dict[str, MetricValues] = {}
    for method in ("before", "logistic", "isotonic"):
        try:
            calibrators = {} if method == "before" else fit_calibrators(predictions, method)
        except CalibrationError as error:
            content[method] = {"unavailable": str(error)}
            continue
        calibrated = _calibrate(tested, calibrators)
        values = _measure(calibrated, bins)
        before = before or values
        entry: dict[str, Any] = {
            name: asdict(tested.interval(*value, scale=SCALES[name]))
            for name, value in values.items()
        }
        entry["in_the_large"] = asdict(
            tested.interval(*measure_over_seeds(calibrated, _in_the_large))
        )
        entry |= _measure_line(calibrated)
        entry["ece_if_calibrated"] = _simulate_ece(calibrated, bins, seed)
        pooled = pd.concat(calibrated.seeds.values())
        entry["reliability"] = reliability_bins(pooled, "calibrated", bins, tested.confidence)
        if calibrators:
            entry["gain"] = {
                name: asdict(
                    tested.interval(*(a - b for a, b in zip(before[name], after, strict=True)))
                )
                for name, after in values.items()
            }
            entry["fits"] = [
                {"fold": fold, "seed": training_seed, **asdict(calibrator)}
                for (fold, training_seed), calibrator in calibrators.items()
            ]
        content[method] = entry
        if method != "isotonic":
            decided_by = calibrated
    content["decision_curve"] = measure_decision_curve(decided_by, "calibrated")
    content["predictive_values"] = measure_predictive_values(tested)
    return content


def _calibrate(
    tested: ResampledSessions, calibrators: Mapping[tuple[int, int], Calibrator]
) -> ResampledSessions:
    """Add the column ``calibrated``, a copy of ``y_prob`` if there are no calibrators."""
    seeds = {
        name: rows.assign(
            calibrated=apply_calibrators(rows, calibrators)
            if calibrators
            else rows["y_prob"].astype(float)
        )
        for name, rows in tested.seeds.items()
    }
    return replace(tested, seeds=seeds)


def _in_the_large(rows: pd.DataFrame, weights: Weights) -> Array:
    """Compute the share of positives minus the mean probability."""
    difference = (rows["y_true"] - rows["calibrated"]).to_numpy(float)
    return np.asarray(weighted_total(weights, difference) / weights.sum(axis=1, dtype=float))


def _measure_line(calibrated: ResampledSessions) -> dict[str, Any]:
    """Estimate intercept and slope of each seed; the bounds are means over seeds, too."""
    lines = [
        calibration_line(
            rows["y_true"],
            rows["calibrated"],
            rows.groupby(SUBJECT_KEY).ngroup(),
            calibrated.confidence,
        )
        for rows in calibrated.seeds.values()
    ]
    entry: dict[str, Any] = {}
    for name in ("intercept", "slope"):
        parts = [line[name] for line in lines]
        bounds = np.array([[part.value, part.ci_low, part.ci_high] for part in parts])
        reason = next((part.reason for part in parts if part.reason), None)
        value, low, high = bounds.mean(axis=0).tolist()
        interval = Interval(value, low, high, method=parts[0].method, reason=reason)
        if not reason:
            trainings = average_repeats(bounds[:, 0], calibrated.training_seeds)
            interval = add_training_variance(interval, trainings, calibrated.confidence)
        entry[name] = asdict(interval)
    return entry


def _measure(calibrated: ResampledSessions, bins: int) -> dict[str, MetricValues]:
    """Compute every measure per seed and in each replicate."""

    def ece(rows: pd.DataFrame, weights: Weights) -> Array:
        return adaptive_ece(rows["y_true"], rows["calibrated"], weights, bins)

    def brier_score(rows: pd.DataFrame, weights: Weights) -> Array:
        return brier(rows["y_true"], rows["calibrated"], weights)

    def cross_entropy(rows: pd.DataFrame, weights: Weights) -> Array:
        return log_loss(rows["y_true"], rows["calibrated"], weights)

    return {
        "ece": measure_over_seeds(calibrated, ece),
        "brier": measure_over_seeds(calibrated, brier_score),
        "log_loss": measure_over_seeds(calibrated, cross_entropy),
    }


def _simulate_ece(calibrated: ResampledSessions, bins: int, seed: int) -> dict[str, float]:
    """Simulate the ECE of calibrated probabilities: mean and 95 % quantile, over seeds."""
    subjects = pd.concat(calibrated.seeds.values())[SUBJECT_KEY].drop_duplicates()
    codes = pd.Series(range(len(subjects)), index=pd.MultiIndex.from_frame(subjects))
    per_seed = []
    for rows in calibrated.seeds.values():
        subject = codes.loc[pd.MultiIndex.from_frame(rows[SUBJECT_KEY])].to_numpy()
        prob = rows["calibrated"].to_numpy(float)
        per_seed.append(ece_if_calibrated(prob, subject, seed, bins))
    simulated = np.mean(per_seed, axis=0)
    return {"mean": float(simulated.mean()), "upper": float(np.quantile(simulated, 0.95))}
