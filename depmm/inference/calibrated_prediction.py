"""Calibrated probability, prediction set and intervals of one session.

All fits use the validation subjects of the run. With several models (of a cross-validation), each
model is calibrated on the validation subjects of its fold and the predictions are averaged. The
conformal prediction set is the union of the sets of the models; it is conservative, because its
coverage is at least that of a single model.

A part that cannot be fitted is ``{"unavailable": reason}``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from depmm.corpora.instruments import find_scale
from depmm.evaluation.fitted_calibration import ALPHA, FittedCalibration
from depmm.evaluation.stats.calibrators import LogisticCalibration
from depmm.evaluation.stats.conformal_intervals import predict_severity_intervals
from depmm.evaluation.stats.conformal_sets import predict_label_sets
from depmm.evaluation.stats.severity_metrics import severity_bands

Fits = Mapping[tuple[int, int], FittedCalibration]
# validation subjects; on fewer, slope and intercept raise the Brier score of a model whose logits
# are at most twice too large (docs/concepts/simulations.md, Calibration)
MIN_CALIBRATION_SUBJECTS = 20


def calibrate_probability(outputs: pd.DataFrame, fits: Fits) -> dict[str, Any]:
    """Calibrate a probability and compute its interval and its conformal prediction set.

    Parameters
    ----------
    outputs : DataFrame
        One row per model with fold, seed, ``y_prob`` of the session and, with gates, ``gate_std``.
    fits : mapping of (int, int) to FittedCalibration
        What each model was fitted to on its validation subjects, by fold and seed.

    Returns
    -------
    dict of str to object
        ``probability`` : float, calibrated if each model has at least 20 validation subjects;
        ``uncalibrated_probability`` : float;
        ``models`` : list of dict, the rows of ``outputs`` with ``calibrated``;
        ``gate_std`` : float or None, standard deviation under sampled gates;
        ``calibration`` : dict with ``slopes``, ``intercepts``, ``validation_subjects`` and
        ``sources``;
        ``thresholds`` : list of float, lowest ``y_prob`` of a positive decision of each model;
        ``interval`` : dict with ``low`` and ``high`` (Venn-Abers; smallest and largest bound over
        the models) and ``validation_subjects``;
        ``prediction_set`` : dict with ``labels``, ``coverage`` and ``validation_subjects`` of each
        class.
    """
    fitted = _fits_of(outputs, fits)
    calibrated, calibration = outputs["y_prob"], _uncalibrated(fitted)
    if calibration is None:
        maps = [LogisticCalibration(**fit.logistic.model_dump()) for fit in fitted if fit.logistic]
        values = [
            float(calibrator.apply([y_prob])[0])
            for calibrator, y_prob in zip(maps, outputs["y_prob"].to_list(), strict=True)
        ]
        calibrated = pd.Series(values, outputs.index)
        calibration = {
            "slopes": [calibrator.slope for calibrator in maps],
            "intercepts": [calibrator.intercept for calibrator in maps],
            "validation_subjects": _min_validation_subjects(fitted),
            "sources": sorted({calibrator.source for calibrator in maps}),
        }
    return {
        "probability": float(calibrated.mean()),
        "uncalibrated_probability": float(outputs["y_prob"].mean()),
        "models": outputs.assign(calibrated=calibrated).to_dict("records"),
        "gate_std": _gate_std(outputs),
        "calibration": calibration,
        "thresholds": [fit.threshold for fit in fitted],
        "interval": _probability_interval(outputs, fitted),
        "prediction_set": _prediction_set(outputs, fitted),
    }


def _probability_interval(
    outputs: pd.DataFrame, fitted: Sequence[FittedCalibration]
) -> dict[str, Any]:
    if (unavailable := _unavailable(fitted)) is not None:
        return unavailable
    intervals = [
        fit.interval.interval(y_prob)
        for fit, y_prob in zip(fitted, outputs["y_prob"].to_list(), strict=True)
        if fit.interval is not None
    ]
    return {
        "low": min(low for low, _ in intervals),
        "high": max(high for _, high in intervals),
        "validation_subjects": _min_validation_subjects(fitted),
    }


def _prediction_set(outputs: pd.DataFrame, fitted: Sequence[FittedCalibration]) -> dict[str, Any]:
    if (unavailable := _unavailable(fitted)) is not None:
        return unavailable
    quantiles = [{label: fit.labels[str(label)].quantile for label in (0, 1)} for fit in fitted]
    subjects = {str(label): min(model[label].subjects for model in quantiles) for label in (0, 1)}
    if any(model[label].unbounded for model in quantiles for label in (0, 1)):
        return {
            "unavailable": _too_few(
                min(subjects.values()), quantiles[0][0].min_subjects, " of a class"
            )
        }
    by_model = dict(zip(_model_keys(outputs), quantiles, strict=True))
    sets = predict_label_sets(outputs, by_model).any()
    return {
        "labels": [label for label in (0, 1) if sets[f"has_{label}"]],
        "coverage": 1 - ALPHA,
        "validation_subjects": subjects,
    }


def calibrate_score(
    outputs: pd.DataFrame,
    fits: Fits,
    score_range: Sequence[float],
    instrument: str | None,
) -> dict[str, Any]:
    """Compute the conformal interval and the severity level of a predicted score.

    Parameters
    ----------
    outputs : DataFrame
        One row per model with fold, seed, ``score_pred`` of the session and, with gates,
        ``gate_std``.
    fits : mapping of (int, int) to FittedCalibration
        What each model was fitted to on its validation subjects, by fold and seed.
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
        "interval": _score_interval(outputs, _fits_of(outputs, fits), score_range),
    }


def _score_interval(
    outputs: pd.DataFrame, fitted: Sequence[FittedCalibration], score_range: Sequence[float]
) -> dict[str, Any]:
    if (unavailable := _unavailable(fitted)) is not None:
        return unavailable
    quantiles = [fit.score.quantile for fit in fitted if fit.score is not None]
    subjects = min(quantile.subjects for quantile in quantiles)
    if any(quantile.unbounded for quantile in quantiles):
        return {"unavailable": _too_few(subjects, quantiles[0].min_subjects, "")}
    by_model = dict(zip(_model_keys(outputs), quantiles, strict=True))
    intervals = predict_severity_intervals(outputs, by_model, (score_range[0], score_range[1]))
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


def _fits_of(outputs: pd.DataFrame, fits: Fits) -> list[FittedCalibration]:
    return [fits[key] for key in _model_keys(outputs)]


def _unavailable(fitted: Sequence[FittedCalibration]) -> dict[str, Any] | None:
    """Return the reason why a model has no fits, or None if all models have."""
    reasons = [fit.unavailable for fit in fitted if fit.unavailable is not None]
    return {"unavailable": reasons[0]} if reasons else None


def _uncalibrated(fitted: Sequence[FittedCalibration]) -> dict[str, Any] | None:
    """Return the reason why the probability is not calibrated, or None if it is."""
    subjects = _min_validation_subjects(fitted)
    if (unavailable := _unavailable(fitted)) or subjects >= MIN_CALIBRATION_SUBJECTS:
        return unavailable
    return {
        "unavailable": f"too few validation subjects ({subjects}); {MIN_CALIBRATION_SUBJECTS} are "
        "needed",
        "validation_subjects": subjects,
    }


def _min_validation_subjects(fitted: Sequence[FittedCalibration]) -> int:
    return min(fit.validation_subjects for fit in fitted)


def _too_few(subjects: int, needed: int, in_class: str) -> str:
    return (
        f"too few validation subjects{in_class} ({subjects}) for a coverage of "
        f"{100 * (1 - ALPHA):.0f} %; {needed} are needed"
    )
