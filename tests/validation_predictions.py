"""Predictions with calibration, prediction sets and intervals that are computed by hand."""

from typing import Any

import pandas as pd

from depmm.evaluation.fitted_calibration import FittedCalibration, fit_calibration
from depmm.inference import calibrated_prediction


def validation_predictions(n_subjects: int, fold: int = 0, seed: int = 0) -> pd.DataFrame:
    """Build the predictions of a run with validation errors 0.01, 0.02, ... in both classes.

    The predicted scores differ from the measured score of 20 by 1, 1, 2, 2, ... points.

    Parameters
    ----------
    n_subjects : int
        Number of validation subjects, half of them positive. There are two test subjects besides.
    fold, seed : int
        Fold and seed of the run.

    Returns
    -------
    DataFrame
        One session per subject.
    """
    rows = []
    for subject in range(n_subjects):
        label, error = subject % 2, (subject // 2 + 1) / 100
        y_prob, score_pred = abs(label - error), 20 - 100 * error
        rows.append((f"v{subject}", "validation", label, y_prob, 20.0, score_pred))
    rows += [("t0", "test", 0, 0.9, 20.0, 60.0), ("t1", "test", 1, 0.1, 20.0, 0.0)]
    names = ["subject", "split", "y_true", "y_prob", "score", "score_pred"]
    return pd.DataFrame(rows, columns=names).assign(
        corpus="c", session="1", fold=fold, seed=seed, instrument="BDI-II"
    )


def fit_models(predictions: pd.DataFrame, binary: bool) -> dict[tuple[int, int], FittedCalibration]:
    """Fit the calibration of every model, as runs keep it in JSON."""
    fits = {}
    for (fold, seed), rows in predictions.groupby(["fold", "seed"]):
        text = fit_calibration(rows, binary, "validation").model_dump_json()
        fits[int(fold), int(seed)] = FittedCalibration.model_validate_json(text)
    return fits


def calibrate_probability(outputs: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, Any]:
    """Fit the models of a run, and calibrate their probabilities of one session."""
    fits = fit_models(predictions, binary=True)
    return calibrated_prediction.calibrate_probability(outputs, fits)


def calibrate_score(
    outputs: pd.DataFrame, predictions: pd.DataFrame, score_range: list[float], name: str | None
) -> dict[str, Any]:
    """Fit the models of a run, and calibrate their scores of one session."""
    fits = fit_models(predictions, binary=False)
    return calibrated_prediction.calibrate_score(outputs, fits, score_range, name)
