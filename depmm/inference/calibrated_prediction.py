"""Calibrated probability, prediction set and intervals of one session.

All fits use the validation subjects of the run. With several models (of a cross-validation), each
model is calibrated on the validation subjects of its fold and the predictions are averaged. The
conformal prediction set is the union of the sets of the models; it is conservative, because its
coverage is at least that of a single model.

A part that cannot be fitted is ``{"unavailable": reason}``.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from depmm.corpora.instruments import find_scale
from depmm.evaluation.stats.calibrators import (
    CalibrationError,
    LogisticCalibration,
    fit_calibrators,
    validation_rows,
)
from depmm.evaluation.stats.conformal_intervals import (
    fit_severity_intervals,
    predict_severity_intervals,
)
from depmm.evaluation.stats.conformal_sets import ALPHAS, fit_label_sets, predict_label_sets
from depmm.evaluation.stats.severity_metrics import severity_bands
from depmm.evaluation.stats.venn_abers import venn_abers
from depmm.schemas.manifest import SUBJECT_KEY

ALPHA = ALPHAS[0]  # miscoverage: allowed share of new subjects whose set misses the label


def calibrate_probability(outputs: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, Any]:
    """Calibrate a probability and compute its interval and its conformal prediction set.

    Parameters
    ----------
    outputs : DataFrame
        One row per model with fold, seed, ``y_prob`` of the session and, with gates, ``gate_std``.
    predictions : DataFrame
        Checked predictions of the run; only its validation rows are used.

    Returns
    -------
    dict of str to object
        ``probability`` : float, calibrated if a calibrator can be fitted;
        ``uncalibrated_probability`` : float;
        ``models`` : list of dict, the rows of ``outputs`` with ``calibrated``;
        ``gate_std`` : float or None, standard deviation under sampled gates;
        ``calibration`` : dict with ``slopes``, ``intercepts``, ``validation_subjects`` and
        ``sources``;
        ``interval`` : dict with ``low`` and ``high`` (Venn-Abers; smallest and largest bound over
        the models) and ``validation_subjects``;
        ``prediction_set`` : dict with ``labels``, ``coverage`` and ``validation_subjects`` of each
        class.
    """
    calibrated = outputs["y_prob"]
    calibration: dict[str, Any]
    try:
        fitted = fit_calibrators(predictions, "logistic")
        calibrators = [fitted[key] for key in _model_keys(outputs)]
        calibrated = pd.Series(
            [
                float(calibrator.apply([y_prob])[0])
                for calibrator, y_prob in zip(calibrators, outputs["y_prob"].to_list(), strict=True)
            ],
            outputs.index,
        )
        calibration = {
            "slopes": [c.slope for c in calibrators if isinstance(c, LogisticCalibration)],
            "intercepts": [c.intercept for c in calibrators if isinstance(c, LogisticCalibration)],
            "validation_subjects": _min_validation_subjects(outputs, predictions),
            "sources": sorted({calibrator.source for calibrator in calibrators}),
        }
    except CalibrationError as error:
        calibration = {"unavailable": str(error)}
    return {
        "probability": float(calibrated.mean()),
        "uncalibrated_probability": float(outputs["y_prob"].mean()),
        "models": outputs.assign(calibrated=calibrated).to_dict("records"),
        "gate_std": _gate_std(outputs),
        "calibration": calibration,
        "interval": _probability_interval(outputs, predictions),
        "prediction_set": _prediction_set(outputs, predictions),
    }


def _probability_interval(outputs: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, Any]:
    try:
        validation = dict(validation_rows(predictions, "y_true", "y_prob"))
    except CalibrationError as error:
        return {"unavailable": str(error)}
    intervals = [
        venn_abers(validation[key], y_prob)
        for key, y_prob in zip(_model_keys(outputs), outputs["y_prob"], strict=True)
    ]
    return {
        "low": min(low for low, _ in intervals),
        "high": max(high for _, high in intervals),
        "validation_subjects": _min_validation_subjects(outputs, predictions),
    }


def _prediction_set(outputs: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, Any]:
    try:
        fitted = fit_label_sets(predictions, ALPHA)
    except CalibrationError as error:
        return {"unavailable": str(error)}
    quantiles = [fitted[key] for key in _model_keys(outputs)]
    subjects = {str(label): min(model[label].subjects for model in quantiles) for label in (0, 1)}
    if any(model[label].unbounded for model in quantiles for label in (0, 1)):
        return {
            "unavailable": _too_few(
                min(subjects.values()), quantiles[0][0].min_subjects, " of a class"
            )
        }
    sets = predict_label_sets(outputs, fitted).any()
    return {
        "labels": [label for label in (0, 1) if sets[f"has_{label}"]],
        "coverage": 1 - ALPHA,
        "validation_subjects": subjects,
    }


def calibrate_score(
    outputs: pd.DataFrame,
    predictions: pd.DataFrame,
    score_range: Sequence[float],
    instrument: str | None,
) -> dict[str, Any]:
    """Compute the conformal interval and the severity level of a predicted score.

    Parameters
    ----------
    outputs : DataFrame
        One row per model with fold, seed, ``score_pred`` of the session and, with gates,
        ``gate_std``.
    predictions : DataFrame
        Checked predictions of the run; only its validation rows are used.
    score_range : sequence of float, length 2
        Lowest and highest score of the models.
    instrument : str, optional
        Instrument of the score; None if it is unknown.

    Returns
    -------
    dict of str to object
        ``score_pred`` : float;
        ``models`` : list of dict, the rows of ``outputs``;
        ``gate_std`` : float or None, standard deviation under sampled gates;
        ``instrument`` : str or None;
        ``range`` : list of float, lowest and highest score;
        ``severity_level`` : dict with ``index`` (from 0), ``low`` and ``high`` (None in the highest
        level), or None if the instrument has no agreed levels;
        ``interval`` : dict with ``low``, ``high``, ``coverage`` and ``validation_subjects``.
    """
    score = float(outputs["score_pred"].mean())
    return {
        "score_pred": score,
        "models": outputs.to_dict("records"),
        "gate_std": _gate_std(outputs),
        "instrument": instrument,
        "range": list(score_range),
        "severity_level": _severity_level(score, instrument),
        "interval": _score_interval(outputs, predictions, score_range),
    }


def _score_interval(
    outputs: pd.DataFrame, predictions: pd.DataFrame, score_range: Sequence[float]
) -> dict[str, Any]:
    try:
        fitted = fit_severity_intervals(predictions, ALPHA)
    except CalibrationError as error:
        return {"unavailable": str(error)}
    quantiles = [fitted[key] for key in _model_keys(outputs)]
    subjects = min(quantile.subjects for quantile in quantiles)
    if any(quantile.unbounded for quantile in quantiles):
        return {"unavailable": _too_few(subjects, quantiles[0].min_subjects, "")}
    intervals = predict_severity_intervals(outputs, fitted, (score_range[0], score_range[1]))
    return {
        "low": float(intervals["low"].min()),
        "high": float(intervals["high"].max()),
        "coverage": 1 - ALPHA,
        "validation_subjects": subjects,
    }


def _severity_level(score: float, instrument: str | None) -> dict[str, Any] | None:
    scale = find_scale(instrument)
    if instrument is None or not scale.levels:
        return None
    index = int(severity_bands([score], instrument)[0])
    edges = [scale.lowest, *scale.levels, None]
    return {"index": index, "low": edges[index], "high": edges[index + 1]}


def _model_keys(outputs: pd.DataFrame) -> list[tuple[int, int]]:
    return [
        (int(fold), int(seed)) for fold, seed in zip(outputs["fold"], outputs["seed"], strict=True)
    ]


def _gate_std(outputs: pd.DataFrame) -> float | None:
    return float(outputs["gate_std"].mean()) if "gate_std" in outputs else None


def _min_validation_subjects(outputs: pd.DataFrame, predictions: pd.DataFrame) -> int:
    """Count the validation subjects of each model and return the smallest number."""
    validation = predictions[predictions["split"] == "validation"]
    counts = validation.groupby(["fold", "seed"])[SUBJECT_KEY].apply(
        lambda rows: len(rows.drop_duplicates())
    )
    return min(int(counts[key]) for key in _model_keys(outputs))


def _too_few(subjects: int, needed: int, in_class: str) -> str:
    return (
        f"too few validation subjects{in_class} ({subjects}) for a coverage of "
        f"{100 * (1 - ALPHA):.0f} %; {needed} are needed"
    )
