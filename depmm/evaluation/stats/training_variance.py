"""Training variance: the part of the uncertainty of a metric that comes from the seed of training.

Trainings of one procedure with different seeds differ in initial weights, order of batches and
dropout, and therefore in every metric. With the metric of ``S`` seeds on the same test subjects,
the squared standard error of their mean is

    SE^2 = SE_subjects^2 + s^2 / S

where ``s`` is the standard deviation over the seeds. Seeds take the place of the readers in the
analysis of studies with several readers and cases (Obuchowski and Rockette 1995): subjects are
shared by all seeds, so that more seeds reduce only the second term. Its degrees of freedom are few,
and those of the sum are approximated by Satterthwaite's formula (Hillis 2007, Eq. 8).

With one seed ``s`` is unknown, and an interval covers only the sampling of test subjects.

Repeated folds are not seeds. Each repetition assigns the same subjects to other folds, with the
same seed of training. Its spread shows how much a value depends on the assignment, and the mean
over repetitions reduces this part. Repetitions are averaged within each seed before seeds are
compared, and their spread is in no interval. Neither seeds nor repetitions tell how much a metric
depends on the *sample* of training subjects, because all trainings share most of them.

References
----------
Obuchowski and Rockette, "Hypothesis testing of diagnostic accuracy for multiple readers and
multiple tests: an ANOVA approach with dependent observations", Communications in Statistics -
Simulation and Computation 24(2), 1995. Hillis, "A comparison of denominator degrees of freedom
methods for multiple observer ROC analysis", Statistics in Medicine 26(3), 2007. Nadeau and Bengio,
"Inference for the generalization error", Machine Learning 52, 2003 (what repeated splits lack).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from depmm.evaluation.stats.intervals import Interval
from depmm.evaluation.stats.weighted_sums import Array

WITH_SEEDS = ", with training variance"  # appended to the method of an interval


def average_repeats(values: ArrayLike, training_seeds: ArrayLike) -> Array:
    """Average repeated folds within each seed of training.

    Parameters
    ----------
    values : array_like, shape (E, ...)
        Values of each repetition of each seed.
    training_seeds : array_like of int, shape (E,)
        Seed of each entry.

    Returns
    -------
    ndarray, shape (S, ...)
        Mean of each seed, in ascending order of the seeds.
    """
    values, seeds = np.asarray(values, dtype=float), np.asarray(training_seeds)
    return np.stack([values[seeds == seed].mean(axis=0) for seed in np.unique(seeds)])


def seed_variance(per_seed: ArrayLike) -> float:
    """Compute the variance of a mean over seeds that comes from the seeds, ``s^2 / S``.

    Parameters
    ----------
    per_seed : array_like, shape (S,)
        Metric of each seed of training.

    Returns
    -------
    float
        The variance; 0 for one seed, where it is unknown.
    """
    values = np.asarray(per_seed, dtype=float)
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0


def satterthwaite(variances: Sequence[float], degrees_of_freedom: Sequence[float]) -> float:
    """Approximate the degrees of freedom of a sum of independent variance estimates.

    ``(sum v)^2 / sum(v^2 / df)`` (Satterthwaite 1946, Eq. 17).

    Parameters
    ----------
    variances : sequence of float
        Estimates, not negative.
    degrees_of_freedom : sequence of float
        Degrees of freedom of each estimate; infinite for a known variance.

    Returns
    -------
    float
        Degrees of freedom of the sum; infinite where all uncertain terms are 0.

    References
    ----------
    Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics
    Bulletin 2(6), 1946.
    """
    terms = zip(variances, degrees_of_freedom, strict=True)
    denominator = sum(v**2 / df for v, df in terms if v > 0 and np.isfinite(df))
    return sum(variances) ** 2 / denominator if denominator > 0 else np.inf


def add_training_variance(interval: Interval, per_seed: ArrayLike, confidence: float) -> Interval:
    """Widen an interval over test subjects by the variance between seeds of training.

    Each distance from the value to a bound, divided by the normal quantile, is the standard error
    over subjects on that side, so that an asymmetric interval remains asymmetric. It is replaced
    by the t quantile times ``sqrt(SE_subjects^2 + s^2 / S)``. The result is never narrower than the
    interval over subjects.

    Parameters
    ----------
    interval : Interval
        Interval of the mean over seeds, which covers the sampling of test subjects.
    per_seed : array_like, shape (S,)
        Metric of each seed of training.
    confidence : float
        Confidence level, for example 0.95.

    Returns
    -------
    Interval
        The wider interval; the same one with one seed, or if all seeds have the same value.
    """
    variance = seed_variance(per_seed)
    if not variance > 0 or not np.isfinite([interval.ci_low, interval.ci_high]).all():
        return interval
    n_seeds = np.size(per_seed)
    level = (1 + confidence) / 2

    def distance(over_subjects: float) -> float:
        subjects = float(over_subjects / stats.norm.ppf(level)) ** 2
        freedom = satterthwaite([subjects, variance], [np.inf, n_seeds - 1])
        return float(stats.t.ppf(level, freedom)) * float(np.sqrt(subjects + variance))

    value = interval.value
    low = value - distance(max(0.0, value - interval.ci_low))
    high = value + distance(max(0.0, interval.ci_high - value))
    return replace(
        interval,
        ci_low=min(interval.ci_low, low),
        ci_high=max(interval.ci_high, high),
        method=interval.method + WITH_SEEDS,
    )
