"""Temperature scaling and isotonic calibration of probabilities, fitted on validation rows.

The calibrator of each (fold, seed) is fitted on the validation rows and evaluated on the test rows
of the same (fold, seed). The epoch is also chosen on the validation subjects: a network is somewhat
better on them than on new subjects, and calibrated probabilities are slightly overconfident.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from depmm.errors import DepmmError
from depmm.evaluation.stats.reliability import clipped_logit
from depmm.evaluation.stats.weighted_sums import Array
from depmm.schemas.manifest import SUBJECT_KEY

TEMPERATURES = (0.1, 10.0)  # outside, validation rows do not determine a temperature
ISOTONIC_SUBJECTS = 50  # smallest number of validation subjects for isotonic regression
ISOTONIC_ENOUGH = 1000  # below, ``source`` warns of overfitting (learning curves of the reference)


class CalibrationError(DepmmError):
    """Validation rows to which a calibrator or a conformal quantile cannot be fitted."""


@dataclass(frozen=True)
class TemperatureScaling:
    """The map ``sigmoid(logit(p) / temperature)``; a temperature above 1 decreases confidence.

    Attributes
    ----------
    temperature : float
        Temperature, positive.
    source : str
        The data of the fit, or the reason why the temperature is 1 or the highest.
    """

    temperature: float
    source: str

    def apply(self, y_prob: ArrayLike) -> Array:
        """Calibrate probabilities; their order is preserved.

        Parameters
        ----------
        y_prob : array_like, shape (N,)
            Probabilities of class 1.

        Returns
        -------
        ndarray, shape (N,)
            Calibrated probabilities.
        """
        return np.asarray(expit(clipped_logit(y_prob) / self.temperature), dtype=float)


@dataclass(frozen=True)
class IsotonicCalibration:
    """An increasing, piecewise linear map.

    Attributes
    ----------
    knots : tuple of float, length K
        Probabilities.
    levels : tuple of float, length K
        Calibrated probabilities at the knots.
    source : str
        The data of the fit.
    """

    knots: tuple[float, ...]
    levels: tuple[float, ...]
    source: str

    def apply(self, y_prob: ArrayLike) -> Array:
        """Calibrate probabilities; outside of the knots the outermost level is used.

        Parameters
        ----------
        y_prob : array_like, shape (N,)
            Probabilities of class 1.

        Returns
        -------
        ndarray, shape (N,)
            Calibrated probabilities.
        """
        return np.asarray(np.interp(np.asarray(y_prob, dtype=float), self.knots, self.levels))


Calibrator = TemperatureScaling | IsotonicCalibration


def validation_rows(
    predictions: pd.DataFrame, measured: str, predicted: str
) -> Iterator[tuple[tuple[int, int], pd.DataFrame]]:
    """Select the validation rows of every tested (fold, seed).

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions.
    measured, predicted : str
        Columns in which a row needs a value.

    Yields
    ------
    key : tuple of int
        Fold and seed.
    rows : DataFrame
        The validation rows with both values.

    Raises
    ------
    CalibrationError
        If a tested (fold, seed) has no validation rows, or ``y_true`` has one class only.
    """
    usable = (
        (predictions["split"] == "validation")
        & predictions[measured].notna()
        & predictions[predicted].notna()
    )
    tested = predictions[predictions["split"] == "test"]
    for fold, seed in sorted(set(zip(tested["fold"], tested["seed"], strict=True))):
        rows = predictions[
            usable & (predictions["fold"] == fold) & (predictions["seed"] == seed)
        ].reset_index(drop=True)
        where = f"predictions: fold {fold}, seed {seed}"
        if rows.empty:
            raise CalibrationError(
                f"{where} has no validation rows with {measured} and {predicted}; test rows are "
                "not used for fits. Add predictions of validation subjects.",
                column=predicted,
                value=(int(fold), int(seed)),
            )
        if measured == "y_true" and rows[measured].nunique() < 2:
            raise CalibrationError(
                f"{where} has {len(rows)} validation rows, all with y_true "
                f"{int(rows[measured].iloc[0])}. Calibration needs both classes: stratify the "
                "validation subjects by label.",
                column=measured,
                value=(int(fold), int(seed)),
            )
        yield (int(fold), int(seed)), rows


def fit_temperature(y_true: ArrayLike, y_prob: ArrayLike) -> TemperatureScaling:
    """Fit the temperature with the smallest log-loss.

    The log-loss is convex in ``1 / temperature``; the zero of its derivative is computed with
    Brent's method. There is no zero if the classes are separated without error (the optimum is 0)
    or if the ranking is not better than chance (the optimum is infinite). The temperature is then 1
    or the highest allowed, 10.

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1.

    Returns
    -------
    TemperatureScaling
        The fitted map.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017, Sec. 4.2.
    """
    y, logit = np.asarray(y_true, dtype=float), clipped_logit(y_prob)

    def derivative(inverse_temperature: float) -> float:
        return float(np.mean(logit * (expit(inverse_temperature * logit) - y)))

    lowest, highest = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    source = f"least log-loss on {len(y)} validation sessions"
    if derivative(highest) <= 0:
        return TemperatureScaling(1.0, f"1, because the {source} is at a temperature of 0")
    if derivative(lowest) >= 0:
        return TemperatureScaling(
            TEMPERATURES[1], f"the highest, because the {source} is at an infinite temperature"
        )
    return TemperatureScaling(float(1 / brentq(derivative, lowest, highest, xtol=1e-12)), source)


def fit_isotonic(y_true: ArrayLike, y_prob: ArrayLike, subjects: int) -> IsotonicCalibration:
    """Fit the increasing map with the least squared error.

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1.
    subjects : int
        Number of subjects of these sessions.

    Returns
    -------
    IsotonicCalibration
        The fitted map.

    Raises
    ------
    CalibrationError
        If there are fewer than 50 subjects; the map would overfit their labels.

    References
    ----------
    Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
    estimates", KDD 2002. Sample size: Niculescu-Mizil and Caruana, "Predicting good probabilities
    with supervised learning", ICML 2005, learning curves.
    """
    if subjects < ISOTONIC_SUBJECTS:
        raise CalibrationError(
            f"Isotonic regression on {subjects} validation subjects would overfit their labels; it "
            f"needs {ISOTONIC_SUBJECTS}. Use temperature scaling.",
            value=subjects,
        )
    curve = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    curve.fit(np.asarray(y_prob, dtype=float), np.asarray(y_true, dtype=float))
    source = f"isotonic on {subjects} validation subjects"
    if subjects < ISOTONIC_ENOUGH:
        source += f"; overfits below about {ISOTONIC_ENOUGH}"
    return IsotonicCalibration(
        tuple(map(float, curve.X_thresholds_)), tuple(map(float, curve.y_thresholds_)), source
    )


def fit_calibrators(predictions: pd.DataFrame, method: str) -> Mapping[tuple[int, int], Calibrator]:
    """Fit a calibrator for every (fold, seed) on its validation rows.

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions; only ``fold`` and ``seed`` of the test rows are used.
    method : {"temperature", "isotonic"}
        Kind of calibrator.

    Returns
    -------
    dict of (int, int) to Calibrator
        Calibrator of each (fold, seed).

    Raises
    ------
    CalibrationError
        If validation rows are missing, of one class, or too few for ``isotonic``.
    ValueError
        If the method is unknown.
    """
    if method not in ("temperature", "isotonic"):
        raise ValueError(f"Calibration method {method!r} is unknown. Use temperature or isotonic.")
    calibrators: dict[tuple[int, int], Calibrator] = {}
    for key, rows in validation_rows(predictions, "y_true", "y_prob"):
        y, prob = rows["y_true"].to_numpy(float), rows["y_prob"].to_numpy(float)
        if method == "temperature":
            calibrators[key] = fit_temperature(y, prob)
        else:
            calibrators[key] = fit_isotonic(y, prob, len(rows[SUBJECT_KEY].drop_duplicates()))
    return calibrators


def apply_calibrators(
    rows: pd.DataFrame, calibrators: Mapping[tuple[int, int], Calibrator]
) -> Array:
    """Calibrate ``y_prob`` of rows, each by the calibrator of its (fold, seed).

    Parameters
    ----------
    rows : DataFrame
        Columns fold, seed and y_prob.
    calibrators : dict of (int, int) to Calibrator
        Calibrator of each (fold, seed).

    Returns
    -------
    ndarray, shape (N,)
        Calibrated probabilities.
    """
    calibrated = np.full(len(rows), np.nan)
    prob = rows["y_prob"].to_numpy(float)
    trainings: dict[Any, Any] = rows.groupby(["fold", "seed"]).indices
    for (fold, seed), indices in trainings.items():
        calibrated[indices] = calibrators[int(fold), int(seed)].apply(prob[indices])
    return calibrated
