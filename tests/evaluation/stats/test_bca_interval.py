"""BCa and percentile intervals against SciPy, closed forms and coverage."""

import numpy as np
import pytest
import scipy.stats

from depmm.evaluation.stats import bca_interval
from depmm.evaluation.stats.bca_interval import bootstrap_interval, leave_subjects_out
from depmm.evaluation.stats.bootstrap import bootstrap_weights
from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.weighted_sums import unit_weights


def test_percentile_interval_of_defined_replicates():
    result = bootstrap_interval(0.5, np.array([*np.arange(101) / 100, np.nan, np.nan]), 0.90)
    assert (result.value, result.n_undefined) == (0.5, 2)
    assert (result.ci_low, result.ci_high) == pytest.approx((0.05, 0.95))
    nothing = bootstrap_interval(np.nan, np.array([np.nan]), 0.95)
    assert np.isnan(nothing.ci_low)
    assert nothing.n_undefined == 1


def test_bca_equals_scipy_on_a_skewed_mean(rng):
    values = rng.lognormal(0, 1, 40)
    codes, one = np.arange(40), np.zeros(40)
    weights, jackknife = bootstrap_weights(codes, one, 20000, 0), leave_subjects_out(codes, one, 0)
    assert jackknife.weights[0].tolist() == pytest.approx([0] + [40 / 39] * 39)

    def mean(w):
        return w @ values / w.sum(axis=1)

    point = values.mean()
    acceleration = jackknife.acceleration(point, mean(jackknife.weights))
    deviation = values - point  # a of a mean is its skewness / (6 sqrt(n))
    skewness = (deviation**3).mean() / (deviation**2).mean() ** 1.5
    assert acceleration == pytest.approx(skewness / 6 / np.sqrt(40))
    result = bootstrap_interval(point, mean(weights), 0.95, acceleration)
    reference = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20000, rng=rng, vectorized=True
    ).confidence_interval
    assert (result.ci_low, result.ci_high) == pytest.approx(
        (reference.low, reference.high), rel=0.015
    )
    assert result.method == "BCa"
    plain = bootstrap_interval(point, mean(weights), 0.95)
    assert plain.method == "percentile"
    assert result.ci_low > plain.ci_low  # the long tail is on the right
    assert result.ci_high > plain.ci_high


def test_acceleration_of_a_difference_of_means_has_a_closed_form(rng):
    """Two strata as two samples: the acceleration has a closed form."""
    x, y = rng.exponential(1, 12), rng.exponential(3, 25)
    label = np.repeat([0, 1], [12, 25])
    jackknife = leave_subjects_out(np.arange(37), label, 0)
    values = np.concatenate([x, y])

    def difference(w):
        means = [(w * (label == k)) @ values / w[:, label == k].sum(axis=1) for k in (0, 1)]
        return means[0] - means[1]

    result = jackknife.acceleration(x.mean() - y.mean(), difference(jackknife.weights))
    parts = np.concatenate([(x - x.mean()) / 12, (y.mean() - y) / 25])
    assert result == pytest.approx((parts**3).sum() / (parts**2).sum() ** 1.5 / 6)


def test_jackknife_leaves_out_all_sessions_but_not_the_only_subject_of_a_stratum():
    subject, strata = np.array([0, 0, 1, 2, 2, 3]), np.array(["a", "a", "a", "a", "a", "b"])
    jackknife = leave_subjects_out(subject, strata, 0)
    expected = [[0, 0, 1.5, 1.5, 1.5, 1], [1.5, 1.5, 0, 1.5, 1.5, 1], [1.5, 1.5, 1.5, 0, 0, 1]]
    assert jackknife.weights.tolist() == expected
    assert jackknife.stratum_size.tolist() == [3, 3, 3]


def test_a_sample_of_subjects_approximates_the_acceleration(rng, monkeypatch):
    values, codes = rng.exponential(1, 4000), np.arange(4000)

    def acceleration(seed):
        jackknife = leave_subjects_out(codes, np.zeros(4000), seed)
        w = jackknife.weights
        return jackknife.acceleration(values.mean(), w @ values / w.sum(axis=1))

    sampled = acceleration(0), acceleration(1)
    monkeypatch.setattr(bca_interval, "JACKKNIFE_SUBJECTS", 4000)
    full = acceleration(0)
    assert sampled == pytest.approx((full, full), abs=0.001)
    assert full == pytest.approx(2 / 6 / np.sqrt(4000), rel=0.25)  # skewness 2
    assert sampled[0] != sampled[1]


@pytest.mark.parametrize(
    ("value", "acceleration"), [(0.0, 0.1), (1.0, 0.1), (0.5, np.nan), (0.5, 0.6)]
)
def test_undefined_bca_intervals_are_percentile_intervals_with_a_reason(value, acceleration):
    replicates = np.linspace(0.2, 0.8, 61)
    result = bootstrap_interval(value, replicates, 0.95, acceleration)
    assert result.method == "percentile"
    assert result.reason
    plain = bootstrap_interval(value, replicates, 0.95)
    assert (result.ci_low, result.ci_high) == (plain.ci_low, plain.ci_high)
    assert plain.reason is None


def test_acceleration_is_undefined_where_the_value_does_not_change():
    jackknife = leave_subjects_out([0, 1, 2], [0, 0, 0], 0)
    assert np.isnan(jackknife.acceleration(0.5, np.full(3, 0.5)))
    assert np.isnan(jackknife.acceleration(0.5, np.array([0.5, np.nan, 0.6])))
    assert np.isnan(leave_subjects_out([0, 1], [0, 1], 0).acceleration(0.5, np.empty(0)))


REPEATS = 1200  # studies; the standard error of a share of .95 is .006
SEPARATION = 1.2  # standard deviations between the groups: AUROC .80, balanced accuracy .73


@pytest.mark.slow
def test_bca_intervals_of_60_subjects_have_their_coverage():
    rng = np.random.default_rng(1)
    y, subject = np.repeat([0, 1], 30), np.arange(60)
    jackknife = leave_subjects_out(subject, y, 0)
    true_values = {
        "auroc": scipy.stats.norm.cdf(SEPARATION / np.sqrt(2)),
        "balanced_accuracy": scipy.stats.norm.cdf(SEPARATION / 2),
    }
    covered = dict.fromkeys(true_values, 0)
    for study in range(REPEATS):
        x = SEPARATION * y + rng.normal(size=60)
        weights = bootstrap_weights(subject, y, 400, study)
        for name, predicted in (("auroc", x), ("balanced_accuracy", x >= SEPARATION / 2)):
            metric = METRICS[name].function
            value = metric(y, predicted, unit_weights(60))[0]
            a = jackknife.acceleration(value, metric(y, predicted, jackknife.weights))
            result = bootstrap_interval(value, metric(y, predicted, weights), 0.95, a)
            covered[name] += result.ci_low <= true_values[name] <= result.ci_high
    shares = {name: count / REPEATS for name, count in covered.items()}
    assert all(0.93 <= share <= 0.97 for share in shares.values()), shares
