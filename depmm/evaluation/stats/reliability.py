"""Calibration error of probabilities and the bins of a reliability diagram.

A probability of .7 is calibrated if 7 of 10 sessions with it are positive. The measures have the
signature of the metrics: ``(y_true [N], y_prob [N], weights [D, N]) -> [D]``.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from depmm.evaluation.stats.intervals import wilson_interval
from depmm.evaluation.stats.weighted_sums import Array, Weights, blocks, sum_runs
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY

MAX_BINS = 10
SUBJECTS_PER_BIN = 10  # smallest number of subjects per bin, unless there are only two bins
N_RESAMPLES = 200  # of labels: enough for two digits of a mean and of a 95 % quantile
CLIP = 1e-6  # probabilities nearer to 0 or 1 are clipped, so that logits are finite


def clipped_logit(y_prob: ArrayLike) -> Array:
    """Compute ``log(p / (1 - p))`` of probabilities clipped to [1e-6, 1 - 1e-6].

    Parameters
    ----------
    y_prob : array_like, shape (N,)
        Probabilities.

    Returns
    -------
    ndarray, shape (N,)
        Logits.
    """
    clipped = np.clip(np.asarray(y_prob, dtype=float), CLIP, 1 - CLIP)
    return np.asarray(logit(clipped), dtype=float)


def adaptive_ece(
    y_true: ArrayLike, y_prob: ArrayLike, weights: Weights, bins: int = MAX_BINS
) -> Array:
    """Compute the adaptive expected calibration error.

    ``sum_b (n_b / N) |mean probability in b - share of positives in b|`` over bins of equal mass.
    Equal probabilities are in the same bin; the order of the rows therefore has no effect, and bins
    may differ in mass. The bins are computed for each replicate.

    This sum of absolute values has a positive expectation even for calibrated probabilities. With
    few sessions the value is biased upwards, and its bootstrap interval even more;
    ``ece_if_calibrated`` quantifies the bias.

    Parameters
    ----------
    y_true : array_like, shape (N,)
        Labels, 0 or 1.
    y_prob : array_like, shape (N,)
        Probabilities of class 1.
    weights : ndarray, shape (D, N)
        Resampling weights.
    bins : int, default 10
        Number of bins.

    Returns
    -------
    ndarray, shape (D,)
        Values in [0, 1]; lower is better.

    References
    ----------
    Bins of equal mass: Nguyen and O'Connor, "Posterior calibration and exploratory analysis for
    natural language processing models", EMNLP 2015. Absolute differences: Nixon et al., "Measuring
    calibration in deep learning", CVPR workshops 2019.
    """
    y, prob, values = np.asarray(y_true, dtype=float), np.asarray(y_prob, dtype=float), []
    for rows in blocks(*weights.shape):
        block = weights[rows].astype(float)
        values.append(_binned_error(prob, block, block * y, bins))
    return np.concatenate(values) if values else np.empty(0)


def ece_if_calibrated(
    y_prob: ArrayLike,
    subjects: ArrayLike,
    seed: int,
    bins: int = MAX_BINS,
    n_resamples: int = N_RESAMPLES,
) -> Array:
    """Simulate the adaptive ECE of these probabilities under perfect calibration.

    Labels are drawn from the probabilities (consistency resampling). Sessions of one subject share
    one random number, because their labels are correlated.

    Parameters
    ----------
    y_prob : array_like, shape (N,)
        Probabilities of class 1.
    subjects : array_like of int, shape (N,)
        Code of the subject of each session, from 0.
    seed : int
        Seed of the labels.
    bins : int, default 10
        Number of bins.
    n_resamples : int, default 200
        Number of simulated sets of labels.

    Returns
    -------
    ndarray, shape (n_resamples,)
        Adaptive ECE of each set of labels.

    References
    ----------
    Bröcker and Smith, "Increasing the reliability of reliability diagrams", Weather and Forecasting
    22(3), 2007.
    """
    prob, subject = np.asarray(y_prob, dtype=float), np.asarray(subjects, dtype=int)
    rng, values = np.random.default_rng(seed), []
    for rows in blocks(n_resamples, len(prob)):
        size = rows.stop - rows.start
        label = rng.random((size, int(subject.max()) + 1))[:, subject] < prob
        values.append(_binned_error(prob, np.ones(label.shape), label.astype(float), bins))
    return np.concatenate(values)


def count_bins(subjects: int) -> int:
    """Choose the number of bins: 10 subjects in each, from 2 to 10 bins.

    Parameters
    ----------
    subjects : int
        Number of tested subjects.

    Returns
    -------
    int
        Number of bins.
    """
    return int(np.clip(subjects // SUBJECTS_PER_BIN, 2, MAX_BINS))


def reliability_bins(
    rows: pd.DataFrame, column: str, bins: int, confidence: float
) -> list[dict[str, Any]]:
    """Compute the bins of a reliability diagram, of equal mass.

    Parameters
    ----------
    rows : DataFrame
        Columns corpus, subject, session, y_true and the probabilities, of all seeds together.
    column : str
        Column of the probabilities.
    bins : int
        Number of bins; bins that are empty because of ties are left out.
    confidence : float
        Confidence level of Wilson's interval of the share of positives. Its number of trials is the
        number of *subjects* in the bin, because sessions of one subject are not independent.

    Returns
    -------
    list of dict
        Per bin ``prob_min``, ``prob_max`` and ``mean`` of the probabilities, ``positives`` (value,
        ci_low, ci_high), ``rows``, ``sessions`` and ``subjects``.
    """
    codes = np.unique(rows[column].to_numpy(float), return_inverse=True)[1]
    mass = np.bincount(codes).astype(float)
    bin_index = _bin_indices(mass[None], bins)[0][codes]
    table = []
    for index in np.unique(bin_index):
        in_bin = rows[bin_index == index]
        subjects, prob = len(in_bin[SUBJECT_KEY].drop_duplicates()), in_bin[column].astype(float)
        share = float(in_bin["y_true"].astype(float).mean())
        interval = wilson_interval(share * subjects, subjects, confidence)
        table.append(
            {
                "prob_min": float(prob.min()),
                "prob_max": float(prob.max()),
                "mean": float(prob.mean()),
                "positives": {
                    "value": share,
                    "ci_low": interval.ci_low,
                    "ci_high": interval.ci_high,
                },
                "rows": len(in_bin),
                "sessions": len(in_bin[SESSION_KEY].drop_duplicates()),
                "subjects": subjects,
            }
        )
    return table


def _bin_indices(mass: Array, bins: int) -> NDArray[np.integer]:
    """Assign each distinct probability to a bin by the middle of its mass, (D, V)."""
    total = mass.sum(axis=1, keepdims=True)
    middle = (np.cumsum(mass, axis=1) - mass / 2) * bins
    return np.asarray(np.minimum((middle / np.maximum(total, 1)).astype(int), bins - 1))


def _binned_error(prob: Array, weights: Array, positives: Array, bins: int) -> Array:
    """Compute the adaptive ECE from the weights (D, N) of all and of the positive sessions."""
    order = np.argsort(prob, kind="stable")
    starts = np.flatnonzero(np.diff(prob[order], prepend=-np.inf) > 0)
    mass = sum_runs(weights[:, order], starts)
    surplus = mass * prob[order][starts] - sum_runs(positives[:, order], starts)
    flat_index = _bin_indices(mass, bins) + bins * np.arange(len(mass))[:, None]
    sums = np.bincount(flat_index.ravel(), weights=surplus.ravel(), minlength=bins * len(mass))
    error = np.abs(sums.reshape(len(mass), bins)).sum(axis=1) / weights.sum(axis=1)
    return np.asarray(error)
