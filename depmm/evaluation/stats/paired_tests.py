"""Paired permutation test of two runs on the same sessions, exchanged within subjects.

The test is valid for every metric and for several sessions per subject. McNemar's and DeLong's
tests are not implemented: they treat sessions as independent and apply to one metric each.

Only predictions on one scale can be exchanged. The logits of two runs usually have different means
and spreads, which a metric of ranks (AUROC, AUPRC, Spearman) ignores but an exchange of the values
would mix. These metrics exchange midranks within each run (Bandos, Rockette and Gur 2005), and
Pearson's r standard scores. Decisions have one scale. Brier score, log-loss, errors in points and
CCC measure the scale itself, so that the values are exchanged.

The interval contains the differences that the test would not reject. It therefore excludes 0 if and
only if the p value is at most 1 - confidence.

References
----------
Bandos, Rockette and Gur, "A permutation test sensitive to differences in areas for comparing ROC
curves from a paired design", Statistics in Medicine 24(18), 2005.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.weighted_sums import ROUNDING, Array


@dataclass(frozen=True)
class PermutationResult:
    """Difference of a metric between two runs, with its p value.

    Attributes
    ----------
    difference : float
        Value of run a minus value of run b; NaN where the metric is undefined.
    p : float
        Two-sided p value; NaN where the metric is undefined.
    exact : bool
        Whether all permutations were enumerated instead of a random sample.
    half_width : float
        Largest absolute difference that the test does not reject; the interval is ``difference -+
        half_width``. NaN where it is undefined.
    n_exchanged : int
        Number of subjects with different predictions.
    """

    difference: float
    p: float
    exact: bool
    half_width: float
    n_exchanged: int


def paired_permutation_test(
    name: str,
    measured: ArrayLike,
    predicted_a: ArrayLike,
    predicted_b: ArrayLike,
    subjects: ArrayLike,
    *,
    n_permutations: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> PermutationResult:
    """Test the difference of a metric by exchanging the predictions of two runs within subjects.

    Under the null hypothesis the predictions of both runs are exchangeable for each subject. Where
    there are at most ``n_permutations`` exchanges, all are enumerated; otherwise
    ``p = (1 + as extreme) / (1 + n_permutations)``, which is never 0. Exchanges that leave the
    metric undefined count as extreme.

    Parameters
    ----------
    name : str
        Metric, a key of ``METRICS``.
    measured : array_like, shape (N,)
        Measured values (labels or scores).
    predicted_a, predicted_b : array_like, shape (N,) or (S, N)
        Predictions of both runs. With S seeds the metric is the mean over them, and a subject is
        exchanged in all seeds at once.
    subjects : array_like of int, shape (N,)
        Code of the subject of each session.
    n_permutations : int, default 10_000
        Number of random permutations, where not all are enumerated.
    seed : int, default 0
        Seed of the random permutations.
    confidence : float, default 0.95
        Confidence level of the interval.

    Returns
    -------
    PermutationResult
        Difference (a - b) with its two-sided p value and interval.

    Raises
    ------
    ValueError
        If the lengths differ.

    References
    ----------
    Good, "Permutation, Parametric, and Bootstrap Tests of Hypotheses", 3rd ed., 2005. Random
    permutations: Phipson and Smyth, "Permutation p-values should never be zero", Statistical
    Applications in Genetics and Molecular Biology 9(1), 2010, Eq. 2.
    """
    a = np.atleast_2d(np.asarray(predicted_a, dtype=float))
    b = np.atleast_2d(np.asarray(predicted_b, dtype=float))
    y = np.asarray(measured, dtype=float)
    _, subject = np.unique(np.asarray(subjects), return_inverse=True)
    if a.shape != b.shape or a.shape[1:] != y.shape or y.shape != subject.shape:
        raise ValueError(
            f"paired_permutation_test: shapes {y.shape} measured, {a.shape} and {b.shape} "
            f"predicted, {subject.shape} subjects. Give one of each per session, in the same order."
        )
    a, b = (to_common_scale(name, predicted) for predicted in (a, b))
    # exchanging equal predictions has no effect
    active = np.unique(subject[(a != b).any(axis=0)])
    exact = 2 ** len(active) <= n_permutations
    n_rows = 2 ** len(active) if exact else n_permutations
    swapped = np.zeros((n_rows, subject.max() + 1), dtype=np.uint8)
    if exact:
        swapped[:, active] = np.arange(n_rows)[:, None] >> np.arange(len(active)) & 1
    else:
        rng = np.random.default_rng(seed)
        swapped[:, active] = rng.integers(0, 2, (n_permutations, len(active)), dtype=np.uint8)
    swapped = swapped[:, subject]
    metric = METRICS[name].function

    def difference(swap: NDArray[np.uint8]) -> Array:
        # the predictions of both runs are in one table; weights select those of each run
        first, second = np.hstack([1 - swap, swap]), np.hstack([swap, 1 - swap])
        twice = np.tile(y, 2)
        per_seed = [
            metric(twice, both, first) - metric(twice, both, second) for both in np.hstack([a, b])
        ]
        return np.asarray(np.mean(per_seed, axis=0))

    observed = difference(np.zeros((1, len(y)), dtype=np.uint8))[0]
    if not np.isfinite(observed):
        return PermutationResult(float(observed), np.nan, exact, np.nan, len(active))
    permuted = np.nan_to_num(np.abs(difference(swapped)), nan=np.inf)
    if not exact:  # the observed predictions are one of the permutations
        permuted = np.append(permuted, abs(observed))
    ascending = np.sort(permuted)
    as_extreme = len(permuted) - np.searchsorted(ascending, ascending - ROUNDING)
    p = float(np.mean(permuted >= abs(observed) - ROUNDING))
    not_rejected = ascending[as_extreme / len(permuted) > 1 - confidence + ROUNDING]
    half_width = float(not_rejected[-1]) if len(not_rejected) else np.nan
    half_width = half_width if np.isfinite(half_width) else np.nan
    return PermutationResult(float(observed), p, exact, half_width, len(active))


def to_common_scale(name: str, predicted: Array) -> Array:
    """Convert predictions of a run to the scale on which they are exchanged.

    Parameters
    ----------
    name : str
        Metric, a key of ``METRICS``.
    predicted : ndarray, shape (S, N)
        Predictions of each seed.

    Returns
    -------
    ndarray, shape (S, N)
        Midranks, standard scores, or the predictions themselves; the metric is unchanged.
    """
    match METRICS[name].exchanged:
        case "ranks":
            return np.asarray(rankdata(predicted, axis=1))
        case "standard_scores":
            spread = predicted.std(axis=1, keepdims=True)
            centred = predicted - predicted.mean(axis=1, keepdims=True)
            return np.asarray(np.divide(centred, spread, out=centred, where=spread > 0))
        case _:
            return predicted
