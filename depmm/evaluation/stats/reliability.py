"""How far probabilities are from meaning what they say: reliability and its error.

A probability of .7 is calibrated when 7 of 10 such sessions are positive. The measures have the
shape of ``metrics``: ``(y_true [N], y_prob [N], weights [D, N]) -> [D]``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from depmm.corpora.manifest import SESSION_KEY, SUBJECT_KEY
from depmm.evaluation.stats.bootstrap import ResampledSessions
from depmm.evaluation.stats.intervals import wilson_interval
from depmm.evaluation.stats.weighted_sums import BLOCK_CELLS, Array, Weights, sum_runs, unit_weights

BINS = 10  # at most; fewer where a bin would hold fewer than SUBJECTS_PER_BIN subjects
SUBJECTS_PER_BIN = 10
LUCK_DRAWS = 200  # of labels: enough for a mean and a 95 % point with two digits
SURE = 1e-6  # probabilities nearer to 0 or 1 count as this one: a logit and a log-loss are finite


def clipped_logit(y_prob: ArrayLike) -> Array:
    """``log(p / (1 - p))``, [N], of probabilities kept within [1e-6, 1 - 1e-6]."""
    clipped = np.clip(np.asarray(y_prob, dtype=float), SURE, 1 - SURE)
    return np.asarray(logit(clipped), dtype=float)


def adaptive_ece(y_true: ArrayLike, y_prob: ArrayLike, weights: Weights, bins: int = BINS) -> Array:
    """Adaptive expected calibration error of P(positive), ``[D]``.

    ``sum_b (n_b / N) |mean probability in b - share of positives in b|`` over bins of equal mass:
    the bins of Nguyen & O'Connor 2015 (adaptive binning; they take squares), the absolute
    difference of Nixon et al. 2019 (ACE; they take plain means over bins and over all classes).
    Equal probabilities share a bin, so that the order of rows means nothing and bins may differ in
    mass, which weighs them; the bins of a draw are its own.

    A sum of absolute values is never negative by luck: the value is too high for few sessions, and
    its bootstrap interval higher still. ``ece_if_calibrated`` says how high.

    Parameters
    ----------
    y_true, y_prob : [N]
    weights : [D, N]
    bins : their number
    """
    y, found = np.asarray(y_true, dtype=float), []
    for start in range(0, len(weights), _block(weights.shape[1])):
        block = weights[start : start + _block(weights.shape[1])].astype(float)
        found.append(_gap(np.asarray(y_prob, dtype=float), block, block * y, bins))
    return np.concatenate(found) if found else np.empty(0)


def ece_if_calibrated(
    y_prob: ArrayLike, subjects: ArrayLike, seed: int, bins: int = BINS, draws: int = LUCK_DRAWS
) -> Array:
    """Adaptive ECE that these probabilities would have if they were right, ``[draws]``.

    Labels are drawn from the probabilities (consistency resampling: Bröcker & Smith 2007);
    sessions of one subject share the random number, as their labels resemble each other.

    Parameters
    ----------
    y_prob : [N]
    subjects : [N] whole numbers from 0, equal for sessions of one subject
    """
    prob, subject = np.asarray(y_prob, dtype=float), np.asarray(subjects, dtype=int)
    rng, found = np.random.default_rng(seed), []
    for start in range(0, draws, _block(len(prob))):
        size = min(_block(len(prob)), draws - start)
        label = rng.random((size, int(subject.max()) + 1))[:, subject] < prob
        found.append(_gap(prob, np.ones(label.shape), label.astype(float), bins))
    return np.concatenate(found)


def count_bins(subjects: int) -> int:
    """Choose the number of bins: 10 subjects in each, at least 2 and at most 10 bins."""
    return int(np.clip(subjects // SUBJECTS_PER_BIN, 2, BINS))


def reliability_bins(
    rows: pd.DataFrame, answer: str, bins: int, confidence: float
) -> list[dict[str, Any]]:
    """Bins of a reliability diagram, of equal mass.

    Parameters
    ----------
    rows : corpus, subject, session, y_true and the probabilities, of all seeds together
    answer : column of the probabilities
    bins : their number; ties can leave some empty, which are left out
    confidence : of Wilson's interval of the share of positives, for as many trials as there are
        *subjects* in the bin: sessions of one subject are no independent trials

    Returns
    -------
    per bin ``prob_min``, ``prob_max``, ``mean``, ``positives`` (value, ci_low, ci_high),
    ``rows``, ``sessions``, ``subjects``
    """
    codes = np.unique(rows[answer].to_numpy(float), return_inverse=True)[1]
    mass = np.bincount(codes).astype(float)
    place = _places(mass[None], bins)[0][codes]
    table = []
    for number in np.unique(place):
        own = rows[place == number]
        subjects, prob = len(own[SUBJECT_KEY].drop_duplicates()), own[answer].astype(float)
        share = float(own["y_true"].astype(float).mean())
        bound = wilson_interval(share * subjects, subjects, confidence)
        table.append(
            {
                "prob_min": float(prob.min()),
                "prob_max": float(prob.max()),
                "mean": float(prob.mean()),
                "positives": {
                    "value": share,
                    "ci_low": bound.ci_low,
                    "ci_high": bound.ci_high,
                },
                "rows": len(own),
                "sessions": len(own[SESSION_KEY].drop_duplicates()),
                "subjects": subjects,
            }
        )
    return table


def measure_over_seeds(
    tested: ResampledSessions, measure: Callable[[pd.DataFrame, Weights], Array]
) -> tuple[Array, Array]:
    """Measure each seed's rows, as ``ResampledSessions.values`` does.

    Parameters
    ----------
    measure : rows [N], weights [D, N] -> [D]

    Returns
    -------
    per seed [S] and, averaged over seeds, in each draw [D]
    """
    points = [measure(rows, unit_weights(len(rows)))[0] for rows in tested.seeds.values()]
    draws = [measure(rows, tested.weights_of(seed)) for seed, rows in tested.seeds.items()]
    return np.array(points), np.mean(draws, axis=0)


# ---- sums ----------------------------------------------------------------------------------------


def _block(sessions: int) -> int:
    return max(1, BLOCK_CELLS // max(1, sessions))


def _places(mass: Array, bins: int) -> NDArray[np.integer]:
    """Bin of each distinct probability, from low to high, by the middle of its mass; [D, V]."""
    total = mass.sum(axis=1, keepdims=True)
    middle = (np.cumsum(mass, axis=1) - mass / 2) * bins
    return np.minimum((middle / np.maximum(total, 1)).astype(int), bins - 1)


def _gap(prob: Array, weights: Array, positives: Array, bins: int) -> Array:
    """Adaptive ECE from weights [D, N] of all sessions and of the positive ones."""
    order = np.argsort(prob, kind="stable")
    starts = np.flatnonzero(np.diff(prob[order], prepend=-np.inf) > 0)
    mass = sum_runs(weights[:, order], starts)
    surplus = mass * prob[order][starts] - sum_runs(positives[:, order], starts)
    place = _places(mass, bins) + bins * np.arange(len(mass))[:, None]
    sums = np.bincount(place.ravel(), weights=surplus.ravel(), minlength=bins * len(mass))
    return np.abs(sums.reshape(len(mass), bins)).sum(axis=1) / weights.sum(axis=1)
