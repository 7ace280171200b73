"""Paired permutation test of two runs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.weighted_sums import ROUNDING, Array


@dataclass(frozen=True)
class Permutation:
    """A difference between two runs and how rarely chance makes one as large."""

    difference: float
    p: float
    exact: bool  # all exchanges were tried, not a random sample of them


def paired_permutation_test(
    name: str,
    truth: ArrayLike,
    answers_a: ArrayLike,
    answers_b: ArrayLike,
    subjects: ArrayLike,
    *,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> Permutation:
    """Test a metric's difference by exchanging the two runs' answers within subjects.

    If the runs are alike, whose answer is whose is a toss of a coin for each subject. Two-sided.
    Where there are no more exchanges than ``n_permutations``, all are tried; otherwise
    ``p = (1 + as large) / (1 + n_permutations)`` (Phipson and Smyth 2010, eq. 2), which is never 0.
    Exchanges that leave the metric undefined count as large.

    Parameters
    ----------
    name : one of ``METRICS``
    truth : [N]
    answers_a, answers_b : [N], or [S, N] of several seeds: the metric is then their mean, and a
        subject is exchanged in all seeds at once
    subjects : [N] whole numbers, equal for sessions of one subject
    n_permutations, seed : of the random exchanges

    Returns
    -------
    The difference (a - b) with its p; NaN where the metric is undefined
    """
    a, b = np.atleast_2d(np.asarray(answers_a, float)), np.atleast_2d(np.asarray(answers_b, float))
    y = np.asarray(truth, dtype=float)
    _, subject = np.unique(np.asarray(subjects), return_inverse=True)
    if a.shape != b.shape or a.shape[1:] != y.shape or y.shape != subject.shape:
        raise ValueError(
            f"paired_permutation_test: {y.shape} truths, {a.shape} and {b.shape} answers, "
            f"{subject.shape} subjects: give one of each per session, in the same order"
        )
    # exchanging equal answers does nothing
    active = np.unique(subject[(a != b).any(axis=0)])
    exact = 2 ** len(active) <= n_permutations
    swapped = np.zeros(
        (2 ** len(active) if exact else n_permutations, subject.max() + 1), dtype=np.uint8
    )
    if exact:
        swapped[:, active] = np.arange(len(swapped))[:, None] >> np.arange(len(active)) & 1
    else:
        rng = np.random.default_rng(seed)
        swapped[:, active] = rng.integers(0, 2, (n_permutations, len(active)), dtype=np.uint8)
    swapped = swapped[:, subject]
    metric = METRICS[name].function

    def difference(swap: NDArray[np.uint8]) -> Array:
        # both runs' answers stand in one table; weights pick whose counts as whose
        first, second = np.hstack([1 - swap, swap]), np.hstack([swap, 1 - swap])
        twice = np.tile(y, 2)
        each = [
            metric(twice, both, first) - metric(twice, both, second) for both in np.hstack([a, b])
        ]
        return np.mean(each, axis=0)

    observed = difference(np.zeros((1, len(y)), dtype=np.uint8))[0]
    if not np.isfinite(observed):
        return Permutation(float(observed), np.nan, exact)
    by_chance = np.nan_to_num(np.abs(difference(swapped)), nan=np.inf)
    large = int((by_chance >= abs(observed) - ROUNDING).sum())
    p = large / len(swapped) if exact else (1 + large) / (1 + n_permutations)
    return Permutation(float(observed), float(p), exact)
