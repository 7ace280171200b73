"""Paired difference of a metric between two runs, with interval and p value from one distribution.

- **One training each**: the permutation test of ``paired_tests`` and its interval.
- **Several seeds of a run** (the other may have one, for example a deterministic system): a t test
  with the standard error over subjects and seeds. Subjects are shared by all seeds, so that their
  variance is the mean covariance between seeds; ``s^2 / S`` of each run is added (Obuchowski and
  Rockette 1995). Seeds of two runs are independent, also if they have equal numbers.

Near perfect values, the predictions of the sample hardly differ, and both distributions are too
narrow. If the permutation test cannot reject (too few subjects with different predictions), or one
of the runs has an AUROC above ``NEAR_PERFECT``, each bound that is closer is replaced by that of
MOVER, the interval of a difference from the intervals of its terms (Zou 2007). A bound is not moved
across 0 if the test rejects, so that interval and p value agree.

References
----------
Obuchowski and Rockette, Communications in Statistics - Simulation and Computation 24(2), 1995;
Hillis, Statistics in Medicine 26(3), 2007, Eq. 8. Zou, "Toward using confidence intervals to
compare correlations", Psychological Methods 12(4), 2007, Eq. 15.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from depmm.evaluation.stats.bca_interval import Jackknife
from depmm.evaluation.stats.intervals import Interval, mover
from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.paired_tests import paired_permutation_test
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.stats.training_variance import (
    average_repeats,
    satterthwaite,
    seed_variance,
)
from depmm.evaluation.stats.weighted_sums import ROUNDING, Array

NEAR_PERFECT = 0.95  # AUROC above which intervals from one sample are too narrow
POWER = 0.8
EQUAL = "the predictions of both runs are equal"


@dataclass(frozen=True)
class PairedDifference:
    """Difference of a metric between two runs.

    Attributes
    ----------
    interval : Interval
        Value of run a minus value of run b.
    p : float
        Two-sided p value.
    smallest : float
        Smallest true difference that the test shows with a power of .8 at this test set.
    """

    interval: Interval
    p: float
    smallest: float


def compare_pair(
    tested: tuple[ResampledSessions, ResampledSessions],
    name: str,
    terms: tuple[Interval, Interval],
    *,
    n_permutations: int,
    seed: int,
) -> PairedDifference:
    """Estimate and test the difference of a metric between two runs on the same sessions.

    Parameters
    ----------
    tested : tuple of ResampledSessions
        Rows of run a and of run b, with the same sessions and weights.
    name : str
        Metric, a key of ``METRICS``.
    terms : tuple of Interval
        Metric of each run with its interval.
    n_permutations : int
        Number of random permutations.
    seed : int
        Seed of the permutations.

    Returns
    -------
    PairedDifference
        Difference (a - b) with interval and p value; NaN where undefined.
    """
    a, b = tested
    confidence = a.confidence
    value = terms[0].value - terms[1].value
    if not np.isfinite(value):
        return PairedDifference(Interval(value, np.nan, np.nan), np.nan, np.nan)
    predicted = tuple(_stack(run, METRICS[name].predicted) for run in tested)
    if _are_equal(a, b, name):
        return PairedDifference(Interval(0.0, 0.0, 0.0, method="exact", reason=EQUAL), 1.0, np.nan)
    covariance, trainings = _covariances(tested, name)
    n_seeds = [len(np.unique(run.training_seeds)) for run in tested]
    cannot_reject = False
    if max(n_seeds) == 1 and predicted[0].shape == predicted[1].shape:
        rows = next(iter(a.seeds.values()))
        subjects = rows.groupby(["corpus", "subject"]).ngroup().to_numpy()
        test = paired_permutation_test(
            name,
            rows[METRICS[name].measured].to_numpy(float),
            predicted[0],
            predicted[1],
            subjects,
            n_permutations=n_permutations,
            seed=seed,
            confidence=confidence,
        )
        p, half, method = test.p, test.half_width, "permutation"
        cannot_reject = 2.0 ** (1 - test.n_exchanged) > 1 - confidence
    else:
        p, half = _t_test(value, covariance, trainings, n_seeds, confidence, a.jackknife)
        method = "t, subjects and seeds" if max(n_seeds) > 1 else "t, subjects"
        cannot_reject = not half > 0
    smallest = half * (1 + stats.norm.ppf(POWER) / stats.norm.ppf((1 + confidence) / 2))
    if not a.can_resample:
        no_bounds = Interval(value, np.nan, np.nan, method=method, reason=a.NOT_RESAMPLED)
        return PairedDifference(no_bounds, p, np.nan)
    interval = Interval(value, value - half, value + half, method=method)
    near_perfect = name == "auroc" and max(term.value for term in terms) > NEAR_PERFECT
    if cannot_reject or near_perfect:
        wider = mover(terms, _correlation(covariance, trainings, n_seeds))
        interval = _widen(interval, wider, rejected=p <= 1 - confidence)
    if METRICS[name].proportion:  # with few subjects, the test does not reject such differences
        interval = replace(
            interval, ci_low=max(interval.ci_low, -1.0), ci_high=min(interval.ci_high, 1.0)
        )
    return PairedDifference(interval, p, smallest if smallest > ROUNDING else np.nan)


def jackknife_covariance(jackknife: Jackknife, values: Array, left_out: Array) -> Array:
    """Compute the covariance of estimates over subjects from leaving out each of them.

    Parameters
    ----------
    jackknife : Jackknife
        Which subjects are left out.
    values : ndarray, shape (K,)
        Estimates.
    left_out : ndarray, shape (K, J)
        Estimates without each subject.

    Returns
    -------
    ndarray, shape (K, K)
        Covariance matrix (Efron and Tibshirani 1993, Eq. 11.5, summed over strata); NaN where
        an estimate without a subject is undefined.
    """
    change = values[:, None] - left_out
    weight = 1 - 1 / jackknife.stratum_size
    return np.asarray((change * weight) @ change.T / jackknife.share)


def _stack(tested: ResampledSessions, column: str) -> Array:
    return np.stack([rows[column].to_numpy(float) for rows in tested.seeds.values()])


def _are_equal(a: ResampledSessions, b: ResampledSessions, name: str) -> bool:
    """Whether two runs have the same probabilities or scores, and decisions."""
    columns = {METRICS[name].predicted}
    columns |= {"y_prob"} if METRICS[name].target == "binary" else {"score_pred"}
    pairs = [(_stack(a, column), _stack(b, column)) for column in columns]
    return all(np.array_equal(first, second) for first, second in pairs)


def _covariances(
    tested: tuple[ResampledSessions, ResampledSessions], name: str
) -> tuple[Array, tuple[Array, Array]]:
    """Compute the covariance over subjects of all trainings of both runs, and their values."""
    metric = METRICS[name]
    values, left_out = [], []
    for run in tested:
        per_entry = []
        for rows in run.seeds.values():
            weights = run.jackknife.weights[:, rows["unit"].to_numpy()]
            measured = rows[metric.measured].to_numpy(float)
            per_entry.append(
                metric.function(measured, rows[metric.predicted].astype(float), weights)
            )
        left_out.append(average_repeats(per_entry, run.training_seeds))
        values.append(average_repeats(run.values(name).per_seed, run.training_seeds))
    covariance = jackknife_covariance(
        tested[0].jackknife, np.concatenate(values), np.concatenate(left_out)
    )
    return covariance, (values[0], values[1])


def _shared(covariance: Array, n_seeds: list[int]) -> tuple[float, float, float]:
    """Return the variance of each run that all its seeds share, and the covariance of the runs."""
    blocks = np.split(np.arange(len(covariance)), [n_seeds[0]])
    own = []
    for block in blocks:
        part = covariance[np.ix_(block, block)]
        if len(block) > 1:
            part = part[~np.eye(len(block), dtype=bool)]
        own.append(float(part.mean()))
    return own[0], own[1], float(covariance[np.ix_(*blocks)].mean())


def _t_test(
    value: float,
    covariance: Array,
    trainings: tuple[Array, Array],
    n_seeds: list[int],
    confidence: float,
    jackknife: Jackknife,
) -> tuple[float, float]:
    """Return the p value of a t test over subjects and seeds, and its half width."""
    own_a, own_b, between = _shared(covariance, n_seeds)
    variances = [max(0.0, own_a + own_b - 2 * between), *(seed_variance(v) for v in trainings)]
    freedom = [max(1, len(jackknife.weights) - 1), *(max(1, n - 1) for n in n_seeds)]
    error = float(np.sqrt(sum(variances)))
    if not error > ROUNDING:
        return (1.0 if abs(value) <= ROUNDING else np.nan), 0.0
    df = satterthwaite(variances, freedom)
    p = float(2 * stats.t.sf(abs(value) / error, df))
    return p, float(stats.t.ppf((1 + confidence) / 2, df)) * error


def _correlation(covariance: Array, trainings: tuple[Array, Array], n_seeds: list[int]) -> float:
    """Compute the correlation of the means of two runs over subjects and seeds."""
    own_a, own_b, between = _shared(covariance, n_seeds)
    total_a, total_b = (
        own + seed_variance(v) for own, v in zip((own_a, own_b), trainings, strict=True)
    )
    if not min(total_a, total_b) > ROUNDING**2 or not np.isfinite(between):
        return 0.0
    return float(np.clip(between / np.sqrt(total_a * total_b), 0, 1))


def _widen(interval: Interval, wider: Interval, rejected: bool) -> Interval:
    """Take the outer one of both bounds, but do not move a bound across 0 if 0 is rejected."""
    low = min(interval.ci_low, wider.ci_low)
    high = max(interval.ci_high, wider.ci_high)
    if rejected and interval.value > 0:
        low = interval.ci_low
    elif rejected and interval.value < 0:
        high = interval.ci_high
    method = f"{interval.method}, widened by MOVER"
    return replace(interval, ci_low=low, ci_high=high, method=method)
