"""The confidence interval of each metric, and of the difference of a metric between predictions.

Which interval keeps its coverage depends on the metric; the choice rests on simulations
(``experiments/benchmarks/statistics/interval_coverage.py``, results in
``docs/concepts/simulations.md``):

- **Wilson**: accuracy, recall, specificity and AUPRC;
- **Newcombe**: AUROC;
- **beta draws**: metrics that are functions of the share of positives, recall and specificity;
- **t on a logarithmic scale**: errors (RMSE, MAE, Brier score, log-loss);
- **t on the scale of Fisher's z**: correlations, CCC and kappa;
- **MOVER**: differences, from the intervals of both terms and their correlation.

Sessions of one subject are correlated. The number of trials of an interval is therefore an
effective number of subjects (Kish 1965), divided by the ratio of the jackknife variance over
subjects to the variance that the method assumes. The ratio is itself an estimate; near 0 or 1 it
rests on few subjects. It is shrunk towards 1 by the power ``df / (df + PRIOR_DF)``.

References
----------
Kish, "Survey Sampling", 1965. Korn and Graubard, "Confidence intervals for proportions with small
expected number of positive counts estimated from survey data", Survey Methodology 24(2), 1998.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from depmm.evaluation.stats.intervals import (
    Interval,
    hanley_mcneil_variance,
    mover,
    newcombe_interval,
    wilson_interval,
)
from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.resampled_sessions import MetricValues, ResampledSessions
from depmm.evaluation.stats.weighted_sums import ROUNDING, Array

PRIOR_DF = 10.0  # degrees of freedom at which estimated and assumed variance have equal weight
N_DRAWS = 10_000  # Monte Carlo error of a bound: less than a hundredth of the width
# label of the sessions that are the trials of a proportion, None for all of them
TRIALS: dict[str, int | None] = {"accuracy": None, "recall": 1, "specificity": 0, "auprc": 1}


def estimate_metric(tested: ResampledSessions, name: str, column: str | None = None) -> Interval:
    """Compute a metric, mean over seeds, with its confidence interval.

    Parameters
    ----------
    tested : ResampledSessions
        The tested rows.
    name : str
        Metric, a key of ``METRICS``.
    column : str, optional
        Column to evaluate instead of ``Metric.predicted``, for example that of a baseline.

    Returns
    -------
    Interval
        The metric. It has no bounds where it is undefined or no class has two subjects, and
        no width if it has the same value for every sample: chance level and constant predictions.
    """
    metric = METRICS[name]
    values = tested.values(name, column)
    value = float(np.mean(values.per_seed))
    n_undefined = int(np.isnan(values.replicates).sum())
    if not np.isfinite(value):
        return Interval(value, np.nan, np.nan, n_undefined)
    if not tested.can_resample:
        return Interval(value, np.nan, np.nan, n_undefined, reason=tested.NOT_RESAMPLED)
    at_chance = metric.chance is not None and abs(value - metric.chance) <= ROUNDING
    if column is not None and at_chance and _is_constant(tested, column):
        return Interval(value, value, value, n_undefined, "exact")
    match metric.interval:
        case "wilson" if name != "accuracy" or tested.class_counts == "random":
            interval = _proportion(tested, name, values)
        case "newcombe":
            interval = _auroc(tested, values)
        case "wilson" | "beta":
            interval = _decisions(tested, name, column, value)
        case scale:
            interval = tested.interval(*values, scale=scale)
            highest = 1.0 if metric.proportion else np.inf
            return replace(interval, ci_high=float(np.minimum(interval.ci_high, highest)))
    # of equal predictions for all subjects, rounding must not put the value outside
    low, high = min(interval.ci_low, value), max(interval.ci_high, value)
    over_subjects = Interval(value, low, high, n_undefined, interval.method)
    limits = (0.0 if metric.proportion else -1.0, 1.0)
    return tested.cover_training(over_subjects, values.per_seed, limits)


def estimate_difference(
    tested: ResampledSessions,
    first: tuple[MetricValues, Interval],
    second: tuple[MetricValues, Interval],
) -> Interval:
    """Compute the paired difference of two estimates on the same subjects.

    Parameters
    ----------
    tested : ResampledSessions
        The tested rows.
    first, second : tuple of MetricValues and Interval
        The terms: values under resampling, and the interval of the metric.

    Returns
    -------
    Interval
        ``first - second``; the correlation of the terms is that of their jackknife values.
    """
    (a, bounds_a), (b, bounds_b) = first, second
    correlation = tested.jackknife.correlation(
        (bounds_a.value, bounds_b.value), (a.jackknife, b.jackknife)
    )
    n_undefined = int(np.isnan(a.replicates - b.replicates).sum())
    difference = mover((bounds_a, bounds_b), correlation)
    return replace(difference, n_undefined=n_undefined, reason=bounds_a.reason or bounds_b.reason)


def count_effective_subjects(
    tested: ResampledSessions, label: int | None = None
) -> tuple[float, bool]:
    """Count subjects by the number of rows of each (Kish's effective number).

    Parameters
    ----------
    tested : ResampledSessions
        The tested rows.
    label : {0, 1}, optional
        Class of the rows to count; by default both.

    Returns
    -------
    n : float
        ``sum(rows)^2 / sum(rows^2)`` over subjects: their number if all have equally many rows.
    clustered : bool
        Whether a subject has several rows: sessions, or seeds.
    """
    counts = np.zeros(int(tested.subjects.max()) + 1)
    for rows in tested.seeds.values():
        units = rows["unit"].to_numpy()
        if label is not None:
            units = units[rows["y_true"].to_numpy(float) == label]
        counts += np.bincount(tested.subjects[units], minlength=len(counts))
    return float(counts.sum() ** 2 / (counts**2).sum()), bool((counts > 1).any())


def shrunken_ratio(estimated: float, assumed: float, df: float) -> float:
    """Compute the ratio of two variances, shrunk towards 1.

    Parameters
    ----------
    estimated : float
        Variance estimated from the data.
    assumed : float
        Variance of the model of the interval.
    df : float
        Degrees of freedom of the estimated variance.

    Returns
    -------
    float
        ``(estimated / assumed)^(df / (df + PRIOR_DF))``; 1 where a variance is 0 or undefined.
    """
    if not (estimated > ROUNDING**2 and assumed > ROUNDING**2):
        return 1.0
    return float((estimated / assumed) ** (df / (df + PRIOR_DF)))


def _is_constant(tested: ResampledSessions, column: str) -> bool:
    predicted = pd.concat([rows[column] for rows in tested.seeds.values()]).to_numpy(float)
    return bool(np.ptp(predicted) <= ROUNDING)


def _effective_trials(tested: ResampledSessions, name: str, values: MetricValues) -> float:
    """Count the trials of a proportion, from its variance where they are not independent."""
    n, clustered = count_effective_subjects(tested, TRIALS[name])
    if not clustered and name != "auprc":
        return n
    value = float(np.mean(values.per_seed))
    variance, df = tested.variance(values)
    return n / shrunken_ratio(variance, value * (1 - value) / n, df)


def _proportion(tested: ResampledSessions, name: str, values: MetricValues) -> Interval:
    n = _effective_trials(tested, name, values)
    return wilson_interval(min(1.0, float(np.mean(values.per_seed))) * n, n, tested.confidence)


def _auroc(tested: ResampledSessions, values: MetricValues) -> Interval:
    auroc = float(np.mean(values.per_seed))
    n_positive, n_negative = (count_effective_subjects(tested, label)[0] for label in (1, 0))
    variance, df = tested.variance(values)
    assumed = hanley_mcneil_variance(auroc, n_positive, n_negative)
    ratio = shrunken_ratio(variance, assumed, df)
    return newcombe_interval(auroc, n_positive, n_negative, tested.confidence, ratio)


def _decisions(tested: ResampledSessions, name: str, column: str | None, value: float) -> Interval:
    """Draw share of positives, recall and specificity, and compute the metric of each draw.

    Recall and specificity are drawn from the beta distributions of Jeffreys' intervals (Brown, Cai
    and DasGupta, Statistical Science 16(2), 2001), the share of positives from that of a uniform
    prior, which together are draws of the confusion matrix from a Dirichlet distribution with
    priors of 1/2 (Goutte and Gaussier, ECIR 2005). With fixed class counts, the share is that of
    the data.
    """
    rng = np.random.default_rng(0)
    labels = pd.concat([rows["y_true"] for rows in tested.seeds.values()]).to_numpy(float)
    share, n = float(labels.mean()), count_effective_subjects(tested)[0]
    rates, drawn = [], []
    for rate in ("recall", "specificity"):
        values = tested.values(rate, column)
        rates.append(float(np.mean(values.per_seed)))
        hits = rates[-1] * (trials := _effective_trials(tested, rate, values))
        drawn.append(rng.beta(hits + 0.5, max(0.0, trials - hits) + 0.5, N_DRAWS))
    shares = np.full(N_DRAWS, share)
    if tested.class_counts == "random":
        shares = rng.beta(n * share + 1, n * (1 - share) + 1, N_DRAWS)
    metric = METRICS[name].function

    def measure(share: Array, recall: Array, specificity: Array) -> Array:
        cells = [
            (1 - share) * specificity,
            (1 - share) * (1 - specificity),
            share * (1 - recall),
            share * recall,
        ]
        return metric([0, 0, 1, 1], [0, 1, 0, 1], np.stack(cells, axis=1))

    # a mean over seeds differs slightly from the metric of the mean recall and specificity
    centre = measure(*(np.array([part]) for part in (share, *rates)))[0]
    draws = measure(shares, *drawn) + (value - centre if np.isfinite(centre) else 0.0)
    tail = (1 - tested.confidence) / 2
    low, high = np.quantile(draws[np.isfinite(draws)], [tail, 1 - tail])
    lowest = -1.0 if not METRICS[name].proportion else 0.0
    return Interval(value, max(float(low), lowest), min(float(high), 1.0), method="beta draws")
