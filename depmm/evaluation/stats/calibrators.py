"""Logistic and isotonic calibration of probabilities, fitted on validation rows.

The calibrator of each (fold, seed) is fitted on the validation rows and evaluated on the test rows
of the same (fold, seed). The epoch is also chosen on the validation subjects: a network is somewhat
better on them than on new subjects, and calibrated probabilities are slightly overconfident.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit

from depmm.errors import DepmmError
from depmm.evaluation.stats.reliability import clipped_logit
from depmm.evaluation.stats.weighted_sums import Array
from depmm.schemas.manifest import SUBJECT_KEY

if TYPE_CHECKING:
    from sklearn.isotonic import IsotonicRegression

SLOPES = (0.1, 10.0)  # outside, validation rows do not determine a slope
ISOTONIC_SUBJECTS = 50  # smallest number of validation subjects for isotonic regression
ISOTONIC_FOLDS = 5  # of the comparison of both maps


class CalibrationError(DepmmError):
    """Validation rows to which a calibrator or a conformal quantile cannot be fitted."""


@dataclass(frozen=True)
class LogisticCalibration:
    """The map ``sigmoid(intercept + slope * logit(p))``.

    A slope below 1 decreases confidence. The intercept corrects a common shift of the logits, for
    example by a loss that is weighted by class, which a temperature cannot correct.

    Attributes
    ----------
    slope : float
        Slope, positive.
    intercept : float
        Intercept.
    source : str
        The data of the fit, and whether the slope is at a bound.
    """

    slope: float
    intercept: float
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
        logits = self.intercept + self.slope * clipped_logit(y_prob)
        return np.asarray(expit(logits), dtype=float)


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


Calibrator = LogisticCalibration | IsotonicCalibration


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


def fit_logistic(y_true: ArrayLike, y_prob: ArrayLike) -> LogisticCalibration:
    """Fit slope and intercept with the smallest log-loss.

    The labels are moved a little towards each other, to ``(n1 + 1) / (n1 + 2)`` and
    ``1 / (n0 + 2)``, so that there is a minimum even if the classes are separated without error
    [1]_. The slope is limited to [0.1, 10], which preserves the order of the probabilities even if
    the ranking of the validation sessions is not better than chance.

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1.

    Returns
    -------
    LogisticCalibration
        The fitted map.

    References
    ----------
    .. [1] Platt, "Probabilistic outputs for support vector machines and comparisons to regularized
       likelihood methods", Advances in Large Margin Classifiers, 1999, Eq. 3. Slope and intercept:
       Cox, "Two further applications of a model for binary regression", Biometrika 45, 1958.
    """
    y, logits = np.asarray(y_true, dtype=float), clipped_logit(y_prob)
    n_positive, n_negative = float(y.sum()), float((1 - y).sum())
    target = np.where(y == 1, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    centre = logits.mean()  # which makes slope and intercept nearly independent

    def loss(parameters: Array) -> tuple[float, Array]:
        output = parameters[0] + parameters[1] * (logits - centre)
        error = expit(output) - target
        value = np.mean(np.logaddexp(0, output) - target * output)
        return float(value), np.array([error.mean(), (error * (logits - centre)).mean()])

    start = np.array([np.log(target.mean() / (1 - target.mean())), 1.0])
    fit = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None), SLOPES],
        options={"ftol": 1e-15, "gtol": 1e-10},
    )  # fmt: skip
    intercept, slope = float(fit.x[0]), float(fit.x[1])
    source = f"least log-loss on {len(y)} validation sessions"
    if slope in SLOPES:
        source += f"; the slope is at its {'lower' if slope == SLOPES[0] else 'upper'} bound"
    return LogisticCalibration(slope, intercept - slope * float(centre), source)


def fit_isotonic(y_true: ArrayLike, y_prob: ArrayLike, subjects: ArrayLike) -> IsotonicCalibration:
    """Fit the increasing map with the least squared error, if it generalises.

    The map has many parameters. It is refused if its Brier score in a cross-validation over the
    subjects is not below that of logistic calibration.

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1.
    subjects : array_like, shape (N,)
        Code of the subject of each session.

    Returns
    -------
    IsotonicCalibration
        The fitted map.

    Raises
    ------
    CalibrationError
        If there are fewer than 50 subjects, or the cross-validated Brier score is not below that of
        logistic calibration.

    References
    ----------
    Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
    estimates", KDD 2002. Sample size: Niculescu-Mizil and Caruana, "Predicting good probabilities
    with supervised learning", ICML 2005, learning curves.
    """
    y, prob = np.asarray(y_true, dtype=float), np.asarray(y_prob, dtype=float)
    codes = np.asarray(subjects)
    n_subjects = len(np.unique(codes))
    if n_subjects < ISOTONIC_SUBJECTS:
        raise CalibrationError(
            f"Isotonic regression on {n_subjects} validation subjects would overfit their labels; "
            f"it needs {ISOTONIC_SUBJECTS}. Use logistic calibration.",
            value=n_subjects,
        )
    isotonic, logistic = _cross_validated_brier(y, prob, codes)
    if isotonic >= logistic:
        raise CalibrationError(
            f"The cross-validated Brier score of isotonic regression is {isotonic:.4f} on the "
            f"validation subjects, that of logistic calibration {logistic:.4f}. Use logistic "
            "calibration.",
            value=isotonic,
        )
    curve = _isotonic_curve(y, prob)
    source = f"isotonic on {n_subjects} validation subjects"
    return IsotonicCalibration(
        tuple(map(float, curve.X_thresholds_)), tuple(map(float, curve.y_thresholds_)), source
    )


def _isotonic_curve(y: Array, prob: Array) -> "IsotonicRegression":
    from sklearn.isotonic import IsotonicRegression

    return IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(prob, y)


def _cross_validated_brier(y: Array, prob: Array, subjects: Array) -> tuple[float, float]:
    """Compute the Brier scores of isotonic and of logistic calibration for left-out subjects."""
    from sklearn.model_selection import GroupKFold

    errors = np.full((2, len(y)), np.nan)
    for kept, left_out in GroupKFold(ISOTONIC_FOLDS, shuffle=True, random_state=0).split(
        prob, y, subjects
    ):
        isotonic = _isotonic_curve(y[kept], prob[kept]).predict(prob[left_out])
        logistic = fit_logistic(y[kept], prob[kept]).apply(prob[left_out])
        for row, calibrated in enumerate((isotonic, logistic)):
            errors[row, left_out] = (calibrated - y[left_out]) ** 2
    first, second = errors.mean(axis=1)
    return float(first), float(second)


def fit_calibrators(predictions: pd.DataFrame, method: str) -> Mapping[tuple[int, int], Calibrator]:
    """Fit a calibrator for every (fold, seed) on its validation rows.

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions; only ``fold`` and ``seed`` of the test rows are used.
    method : {"logistic", "isotonic"}
        Kind of calibrator.

    Returns
    -------
    dict of (int, int) to Calibrator
        Calibrator of each (fold, seed).

    Raises
    ------
    CalibrationError
        If validation rows are missing or of one class, or for ``isotonic`` too few or not suitable.
    ValueError
        If the method is unknown.
    """
    if method not in ("logistic", "isotonic"):
        raise ValueError(f"Calibration method {method!r} is unknown. Use logistic or isotonic.")
    calibrators: dict[tuple[int, int], Calibrator] = {}
    for key, rows in validation_rows(predictions, "y_true", "y_prob"):
        y, prob = rows["y_true"].to_numpy(float), rows["y_prob"].to_numpy(float)
        if method == "logistic":
            calibrators[key] = fit_logistic(y, prob)
        else:
            calibrators[key] = fit_isotonic(y, prob, rows.groupby(SUBJECT_KEY).ngroup())
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
