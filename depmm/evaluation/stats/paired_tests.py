"""Paired permutation test of two runs on the same sessions, exchanged within subjects.

The test is valid for every metric and for several sessions per subject. McNemar's and DeLong's
tests are not implemented: they treat sessions as independent and apply to one metric each. Nor is
the corrected resampled t-test, which compares *training methods* by several trainings of each.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    """

    difference: float
    p: float
    exact: bool


def paired_permutation_test(
    name: str,
    measured: ArrayLike,
    predicted_a: ArrayLike,
    predicted_b: ArrayLike,
    subjects: ArrayLike,
    *,
    n_permutations: int = 10_000,
    seed: int = 0,
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

    Returns
    -------
    PermutationResult
        Difference (a - b) with its two-sided p value.

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
        return PermutationResult(float(observed), np.nan, exact)
    permuted = np.nan_to_num(np.abs(difference(swapped)), nan=np.inf)
    extreme = int((permuted >= abs(observed) - ROUNDING).sum())
    p = extreme / n_rows if exact else (1 + extreme) / (1 + n_permutations)
    return PermutationResult(float(observed), float(p), exact)
