"""Metrics of severity scores and of the severity bands of an instrument.

All metrics have the signature ``metric(score [N], score_pred [N], weights [D, N]) -> [D]``, see
``depmm.evaluation.stats.metrics``.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depmm.corpora.instruments import INSTRUMENTS, find_scale
from depmm.errors import DepmmError
from depmm.evaluation.stats.weighted_sums import (
    Array,
    RankOrder,
    Weights,
    blocks,
    moments,
    ratio,
    weighted_mean,
)


def rmse(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Compute the root mean squared error, ``sqrt(mean((score_pred - score)^2))``.

    Parameters
    ----------
    score, score_pred : array_like, shape (N,)
        Measured and predicted severity, in points.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values from 0 on, in points; lower is better.
    """
    error = np.asarray(score_pred, dtype=float) - np.asarray(score, dtype=float)
    return np.sqrt(weighted_mean(weights, error**2))


def mae(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Compute the mean absolute error, ``mean(|score_pred - score|)``.

    Parameters
    ----------
    score, score_pred : array_like, shape (N,)
        Measured and predicted severity, in points.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values from 0 on, in points; lower is better.
    """
    error = np.asarray(score_pred, dtype=float) - np.asarray(score, dtype=float)
    return weighted_mean(weights, np.abs(error))


def pearson(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Compute Pearson's correlation, ``covariance / (std(score) std(score_pred))``.

    Parameters
    ----------
    score, score_pred : array_like, shape (N,)
        Measured and predicted severity, in points.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [-1, 1]; NaN where a variable is constant.
    """
    _, var_score, var_pred, covariance = moments(score, score_pred, weights)
    return ratio(covariance, np.sqrt(var_score * var_pred))


def spearman(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Compute Spearman's rank correlation, Pearson's r of the midranks within each replicate.

    Parameters
    ----------
    score, score_pred : array_like, shape (N,)
        Measured and predicted severity, or any two variables.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [-1, 1]; NaN where a variable is constant.

    References
    ----------
    Spearman, "The proof and measurement of association between two things", American Journal of
    Psychology 15(1), 1904.
    """
    order_score = RankOrder.from_values(np.asarray(score, dtype=float))
    order_pred = RankOrder.from_values(np.asarray(score_pred, dtype=float))
    result = np.empty(len(weights))
    for rows in blocks(*weights.shape):
        w = weights[rows].astype(np.float64)
        a, b = order_score.centred_midranks(w), order_pred.centred_midranks(w)
        norm = (w * a * a).sum(axis=1) * (w * b * b).sum(axis=1)
        result[rows] = ratio((w * a * b).sum(axis=1), np.sqrt(norm))
    return result


def ccc(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Compute the concordance correlation coefficient, with population moments.

    ``2 covariance / (var(score) + var(score_pred) + (mean(score) - mean(score_pred))^2)``. Unlike
    Pearson's r it also decreases with a wrong mean and a wrong variance.

    Parameters
    ----------
    score, score_pred : array_like, shape (N,)
        Measured and predicted severity, in points.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [-1, 1]; NaN where the measured score is constant, 0 where only the predicted
        score is.

    References
    ----------
    Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45(1),
    1989.
    """
    shift, var_score, var_pred, covariance = moments(score, score_pred, weights)
    values = ratio(2 * covariance, var_score + var_pred + shift**2)
    return np.where(var_score > 0, values, np.nan)


def quadratic_kappa(band: ArrayLike, band_pred: ArrayLike, weights: Weights) -> Array:
    """Compute Cohen's kappa of severity bands with quadratic weights.

    ``1 - E[(a - b)^2] / E0[(a - b)^2]``, where ``E0`` is the expectation of independent ``a`` and
    ``b`` with the same margins; this equals the CCC of the indices of the bands.

    Parameters
    ----------
    band, band_pred : array_like of int, shape (N,)
        Measured and predicted band, 0 for the mildest; see ``severity_bands``.
    weights : ndarray, shape (D, N)
        Resampling weights.

    Returns
    -------
    ndarray, shape (D,)
        Values in [-1, 1]; NaN where the measured band is constant.

    References
    ----------
    Cohen, "Weighted kappa", Psychological Bulletin 70(4), 1968. Fleiss and Cohen, "The equivalence
    of weighted kappa and the intraclass correlation coefficient", Educational and Psychological
    Measurement 33(3), 1973.
    """
    return ccc(band, band_pred, weights)


def severity_bands(scores: ArrayLike, instrument: str) -> NDArray[np.int64]:
    """Assign scores to the severity bands of an instrument.

    A band begins at its lower bound, and predictions are not rounded: 13.6 points of BDI-II are
    minimal (0), 14 are mild (1).

    Parameters
    ----------
    scores : array_like, shape (N,)
        Scores in points.
    instrument : str
        Instrument with severity levels in ``INSTRUMENTS``, for example ``BDI-II`` or ``PHQ-8``.

    Returns
    -------
    ndarray of int, shape (N,)
        Index of the band, 0 for the mildest.

    Raises
    ------
    DepmmError
        If the instrument has no agreed severity levels.
    """
    levels = find_scale(instrument).levels
    if not levels:
        known = ", ".join(name for name, scale in INSTRUMENTS.items() if scale.levels)
        raise DepmmError(
            f"Instrument {instrument!r} has no agreed severity levels. Use one of {known}, or "
            "write bands: into the definition of the instrument in the data spec.",
            column="instrument",
            value=instrument,
        )
    return np.searchsorted(levels, np.asarray(scores, dtype=float), side="right")
