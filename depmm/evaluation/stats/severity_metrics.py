"""Metrics of severity scores and of their bands."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depmm.corpora.instruments import INSTRUMENTS
from depmm.evaluation.stats.weighted_sums import (
    Array,
    Weights,
    _blocks,
    _moments,
    _Ranks,
    _ratio,
    _weighted_mean,
)


def rmse(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Root of the mean squared error over sessions, in points of the instrument, ``[D]``."""
    error = np.asarray(score_pred, dtype=float) - np.asarray(score, dtype=float)
    return np.sqrt(_weighted_mean(weights, error**2))


def mae(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Mean absolute error over sessions, in points of the instrument, ``[D]``."""
    error = np.asarray(score_pred, dtype=float) - np.asarray(score, dtype=float)
    return _weighted_mean(weights, np.abs(error))


def pearson(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Pearson correlation, ``[D]``; NaN where truth or prediction is constant."""
    _, var_true, var_score, covariance = _moments(score, score_pred, weights)
    return _ratio(covariance, np.sqrt(var_true * var_score))


def spearman(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Spearman's rank correlation with midranks, ``[D]``; NaN where an answer is constant.

    Ranks are those within each draw.
    """
    truth, answer = np.asarray(score, dtype=float), np.asarray(score_pred, dtype=float)
    order_truth, order_answer = _Ranks.of(truth), _Ranks.of(answer)
    result = np.empty(len(weights))
    for rows in _blocks(weights):
        w = weights[rows].astype(np.float64)
        a, b = order_truth.centred(w), order_answer.centred(w)
        spread = (w * a * a).sum(axis=1) * (w * b * b).sum(axis=1)
        result[rows] = _ratio((w * a * b).sum(axis=1), np.sqrt(spread))
    return result


def ccc(score: ArrayLike, score_pred: ArrayLike, weights: Weights) -> Array:
    """Concordance correlation coefficient (Lin 1989, population moments), ``[D]``.

    Unlike Pearson's r it also falls with a wrong mean or a wrong spread.
    """
    shift, var_true, var_score, covariance = _moments(score, score_pred, weights)
    return _ratio(2 * covariance, var_true + var_score + shift**2)


def quadratic_kappa(band: ArrayLike, band_pred: ArrayLike, weights: Weights) -> Array:
    """Cohen's kappa of severity bands with quadratic weights (Cohen 1968), ``[D]``.

    With these weights kappa is 1 - E[(a - b)^2] / (E[(a - b)^2] of independent a and b), which is
    Lin's CCC of the band numbers (Fleiss and Cohen 1973 for the relation to an intraclass
    correlation).

    Parameters
    ----------
    band, band_pred : [N], 0 for the mildest band; see ``severity_bands``
    """
    return ccc(band, band_pred, weights)


def severity_bands(scores: ArrayLike, instrument: str) -> NDArray[np.int64]:
    """Number the severity band of each score, 0 for the mildest: ``[N]``.

    A band begins at its lower bound, and predictions are not rounded: 13.6 points of BDI-II are
    minimal (0), 14 are mild (1).

    Parameters
    ----------
    scores : [N], points
    instrument : one of ``INSTRUMENTS`` with levels, e.g. ``BDI-II`` or ``PHQ-8``

    Raises
    ------
    ValueError : an instrument whose bands are not agreed on
    """
    levels = INSTRUMENTS[instrument].levels if instrument in INSTRUMENTS else ()
    if not levels:
        known = ", ".join(name for name, scale in INSTRUMENTS.items() if scale.levels)
        raise ValueError(
            f"severity_bands: instrument {instrument!r} has no agreed bands; use one of {known}, "
            "or give its levels in INSTRUMENTS"
        )
    return np.searchsorted(levels, np.asarray(scores, dtype=float), side="right")
