"""Calibration of tested probabilities before and after temperature scaling and isotonic fits."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from depmm.evaluation.stats.binary_metrics import brier, log_loss
from depmm.evaluation.stats.bootstrap import MetricValues, ResampledSessions
from depmm.evaluation.stats.calibrators import (
    CalibrationError,
    Calibrator,
    apply_calibrators,
    fit_calibrators,
)
from depmm.evaluation.stats.reliability import (
    adaptive_ece,
    count_bins,
    ece_if_calibrated,
    reliability_bins,
)
from depmm.evaluation.stats.seed_means import measure_over_seeds
from depmm.evaluation.stats.weighted_sums import Array, Weights
from depmm.schemas.manifest import SUBJECT_KEY


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
        ``bins`` (number of bins), ``before``, ``temperature`` and ``isotonic``. Each of the last
        three has ``ece``, ``brier`` and ``log_loss`` (intervals), ``ece_if_calibrated`` (mean and
        95 % quantile) and ``reliability`` (bins). ``temperature`` and ``isotonic`` also have
        ``fits`` and ``gain``, the paired decrease of each measure (positive is better). If a
        calibrator cannot be fitted, its only key is ``unavailable``, the reason.
    """
    bins = count_bins(len(pd.concat(tested.seeds.values())[SUBJECT_KEY].drop_duplicates()))
    content: dict[str, Any] = {"bins": bins}
    before: dict[str, MetricValues] = {}
    for method in ("before", "temperature", "isotonic"):
        try:
            calibrators = {} if method == "before" else fit_calibrators(predictions, method)
        except CalibrationError as error:
            content[method] = {"unavailable": str(error)}
            continue
        calibrated = _calibrate(tested, calibrators)
        values = _measure(calibrated, bins)
        before = before or values
        entry: dict[str, Any] = {
            name: asdict(tested.interval(*value, scale="log")) for name, value in values.items()
        }
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
