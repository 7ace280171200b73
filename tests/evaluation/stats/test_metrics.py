"""Metrics against hand values and scikit-learn; bootstrap, thresholds and baselines."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics as sk

from depmm.evaluation.baselines import add_baselines
from depmm.evaluation.stats import bca_interval, weighted_sums
from depmm.evaluation.stats.bca_interval import bootstrap_interval, leave_subjects_out
from depmm.evaluation.stats.binary_metrics import (
    accuracy,
    auprc,
    auroc,
    brier,
    confusion,
    f1_weighted,
    log_loss,
)
from depmm.evaluation.stats.bootstrap import assign_strata, bootstrap_weights, resample_sessions
from depmm.evaluation.stats.curves import pr_curve, roc_curve
from depmm.evaluation.stats.intervals import wilson_interval
from depmm.evaluation.stats.metrics import METRICS, metric_names
from depmm.evaluation.stats.severity_metrics import (
    ccc,
    mae,
    pearson,
    quadratic_kappa,
    rmse,
    severity_bands,
    spearman,
)
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.evaluation.thresholds import apply_threshold, choose_threshold

DECISIONS = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "specificity": lambda y, p: sk.recall_score(y, p, pos_label=0),
    "f1_positive": sk.f1_score,
    "f1_macro": lambda y, p: sk.f1_score(y, p, average="macro"),
    "f1_weighted": lambda y, p: sk.f1_score(y, p, average="weighted"),
    "mcc": sk.matthews_corrcoef,
}
PROBABILITIES = {
    "auroc": sk.roc_auc_score,
    "auprc": sk.average_precision_score,
    "brier": sk.brier_score_loss,
    "log_loss": sk.log_loss,
}


def ccc_by_definition(a, b):
    covariance = np.mean((a - a.mean()) * (b - b.mean()))
    return 2 * covariance / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)


SCORES = {
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "pearson": lambda a, b: scipy.stats.pearsonr(a, b).statistic,
    "spearman": lambda a, b: scipy.stats.spearmanr(a, b).statistic,
    "ccc": ccc_by_definition,
}
BANDS = {"quadratic_kappa": lambda a, b: sk.cohen_kappa_score(a, b, weights="quadratic")}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def resampled(rng, n, draws=25):
    """Rows drawn with replacement, and the same draws as counts."""
    rows = rng.integers(0, n, (draws, n))
    return rows, np.stack([np.bincount(r, minlength=n) for r in rows])


# ---- metrics -----------------------------------------------------------------------------------

#            tn tn tn fp fn tp tp
HAND_TRUE = [0, 0, 0, 0, 1, 1, 1]
HAND_PRED = [0, 0, 0, 1, 0, 1, 1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 5 / 7),
        ("balanced_accuracy", (3 / 4 + 2 / 3) / 2),
        ("precision", 2 / 3),
        ("recall", 2 / 3),
        ("specificity", 3 / 4),
        ("f1_positive", 4 / 6),
        ("f1_macro", (4 / 6 + 6 / 8) / 2),
        ("f1_weighted", (3 * 4 / 6 + 4 * 6 / 8) / 7),
        ("mcc", (2 * 3 - 1 * 1) / np.sqrt(3 * 3 * 4 * 4)),
    ],
)
def test_decisions_by_hand(name, expected):
    value = METRICS[name].function(HAND_TRUE, HAND_PRED, unit_weights(7))
    assert value == pytest.approx([expected])


def test_confusion_counts_by_hand():
    weights = np.array([[1] * 7, [2, 0, 0, 3, 0, 1, 0]])
    counts = confusion(HAND_TRUE, HAND_PRED, weights)
    assert np.stack([counts.tn, counts.fp, counts.fn, counts.tp], 1).tolist() == [
        [3, 1, 1, 2],
        [2, 3, 0, 1],
    ]


def test_auroc_by_hand_with_ties():
    # pairs (positive, negative): .5>.2, .5=.5, .9>.2, .9>.5 -> 3.5 of 4
    value = auroc([0, 0, 1, 1], [0.2, 0.5, 0.5, 0.9], unit_weights(4))
    assert value == pytest.approx([3.5 / 4])
    constant = auroc([0, 1, 1], [0.4, 0.4, 0.4], unit_weights(3))
    assert constant == pytest.approx([0.5])


def test_probabilities_by_hand():
    y, p, ones = [1, 0, 1], [0.9, 0.8, 0.4], unit_weights(3)
    # found at .9: 1 of 1; at .4: 2 of 3; each is half of the positives
    assert auprc(y, p, ones) == pytest.approx([(1 + 2 / 3) / 2])
    assert auprc(y, [0.3] * 3, ones) == pytest.approx([2 / 3])  # a constant: share of positives
    assert brier(y, p, ones) == pytest.approx([(0.01 + 0.64 + 0.36) / 3])
    assert log_loss(y, p, ones) == pytest.approx([-np.log(0.9 * 0.2 * 0.4) / 3])
    assert log_loss([0], [1.0], unit_weights(1)) == pytest.approx([36.04], abs=0.01)


def test_spearman_and_kappa_by_hand():
    ones = unit_weights(4)
    # ranks 1 2 3 4 against 1 3 2 4: 1 - 6 * 2 / (4 * 15)
    assert spearman([1, 2, 30, 40], [0, 7, 5, 9], ones) == pytest.approx([0.8])
    # squared steps 0 1 0 4; if independent, every band of one meets every band of the other
    pairs = [(a - b) ** 2 for a in (0, 1, 2, 3) for b in (0, 2, 2, 1)]
    kappa = quadratic_kappa([0, 1, 2, 3], [0, 2, 2, 1], ones)
    assert kappa == pytest.approx([1 - (5 / 4) / np.mean(pairs)])
    constant = quadratic_kappa([0, 1, 2, 3], [2, 2, 2, 2], ones)
    assert constant == pytest.approx([0], abs=1e-12)


def test_bands_begin_at_their_lower_bound():
    scores = [-1, 0, 13, 13.9, 14, 19, 20, 28, 29, 63, 70]
    assert severity_bands(scores, "BDI-II").tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 3]
    assert severity_bands([4, 5, 9, 10, 15, 20, 24], "PHQ-8").tolist() == [0, 1, 1, 2, 3, 4, 4]
    for name in ("SDS", "group", "unheard of"):
        with pytest.raises(ValueError, match=f"'{name}' has no agreed bands; use one of BDI-II"):
            severity_bands([1], name)


def test_scores_by_hand():
    truth, score, ones = [0, 10, 20], [2, 10, 14], unit_weights(3)
    assert rmse(truth, score, ones) == pytest.approx([np.sqrt((4 + 0 + 36) / 3)])
    assert mae(truth, score, ones) == pytest.approx([8 / 3])
    # variances 200/3 and 224/9, covariance 40, means 10 and 26/3
    assert ccc(truth, score, ones) == pytest.approx([80 / (200 / 3 + 224 / 9 + 16 / 9)])
    assert ccc(truth, truth, ones) == pytest.approx([1])
    assert ccc(truth, [5, 15, 25], ones) < pearson(truth, [5, 15, 25], ones)


@pytest.mark.parametrize("name", DECISIONS)
def test_decisions_equal_sklearn_on_resampled_rows(name, rng):
    y, p = rng.integers(0, 2, 40), rng.integers(0, 2, 40)
    rows, weights = resampled(rng, 40)
    values = METRICS[name].function(y, p, weights)
    assert values == pytest.approx([DECISIONS[name](y[r], p[r]) for r in rows])
    assert METRICS[name].function(y, p, unit_weights(40)) == pytest.approx([DECISIONS[name](y, p)])


@pytest.mark.parametrize("name", PROBABILITIES)
def test_probabilities_equal_sklearn_on_resampled_rows(name, rng):
    y, p = rng.integers(0, 2, 60), rng.random(60).round(1)  # many ties, and 0 and 1
    rows, weights = resampled(rng, 60)
    values = METRICS[name].function(y, p, weights)
    assert values == pytest.approx([PROBABILITIES[name](y[r], p[r]) for r in rows])


@pytest.mark.parametrize("name", BANDS)
def test_bands_equal_sklearn_on_resampled_rows(name, rng):
    a, b = rng.integers(0, 4, 50), rng.integers(0, 4, 50)
    rows, weights = resampled(rng, 50)
    values = METRICS[name].function(a, b, weights)
    assert values == pytest.approx([BANDS[name](a[r], b[r]) for r in rows])


def test_ranks_with_ties_equal_scipy_on_resampled_rows(rng):
    a, b = rng.integers(0, 5, 40), rng.integers(0, 9, 40)
    rows, weights = resampled(rng, 40)
    expected = [SCORES["spearman"](a[r], b[r]) for r in rows]
    assert spearman(a, b, weights) == pytest.approx(expected)


def test_roc_equals_sklearn_on_resampled_rows(rng):
    y, p = rng.integers(0, 2, 60), rng.random(60).round(1)  # many ties
    rows, weights = resampled(rng, 60)
    curves = roc_curve(y, p, weights, np.linspace(0.013, 0.987, 50))
    for curve, r in zip(curves, rows, strict=True):
        fpr, tpr, _ = sk.roc_curve(y[r], p[r], drop_intermediate=False)
        assert curve == pytest.approx(np.interp(np.linspace(0.013, 0.987, 50), fpr, tpr))


def test_precision_at_a_recall_equals_sklearn_and_has_the_area_of_auprc(rng):
    y, p = rng.integers(0, 2, 60), rng.random(60).round(1)
    rows, weights = resampled(rng, 60)
    grid = np.linspace(0.0005, 0.9995, 1000)
    curves = pr_curve(y, p, weights, grid)
    for curve, r in zip(curves, rows, strict=True):
        precision, recall, _ = sk.precision_recall_curve(y[r], p[r])
        # from low thresholds to high: the last that still reaches the recall
        reached = [np.flatnonzero(recall >= least)[-1] for least in grid]
        assert curve == pytest.approx(precision[reached])
    assert curves.mean(axis=1) == pytest.approx(auprc(y, p, weights), abs=2e-3)
    ones = unit_weights(4)
    by_hand = pr_curve([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1], ones, np.array([0.2, 0.5, 0.6, 1]))
    assert by_hand[0] == pytest.approx([1, 1, 2 / 3, 2 / 3])
    assert np.isnan(pr_curve([0, 0], [0.1, 0.2], unit_weights(2), grid)).all()


@pytest.mark.parametrize("name", SCORES)
def test_scores_equal_references_on_resampled_rows(name, rng):
    a = rng.normal(15, 8, 50)
    b = 0.5 * a + rng.normal(1000, 6, 50)  # a large offset would show cancellation
    rows, weights = resampled(rng, 50)
    values = METRICS[name].function(a, b, weights)
    assert values == pytest.approx([SCORES[name](a[r], b[r]) for r in rows])


def test_every_metric_of_the_table_is_compared_with_a_reference():
    assert {*DECISIONS, *PROBABILITIES, *SCORES, *BANDS} == set(METRICS)
    assert metric_names("severity") == [*SCORES, *BANDS]


def test_blocks_of_draws_change_nothing(rng, monkeypatch):
    y, p = rng.integers(0, 2, 30), rng.random(30)
    _, weights = resampled(rng, 30, 50)
    grid = np.linspace(0, 1, 5)
    names = ("auroc", "auprc", "spearman")
    whole = [METRICS[name].function(y, p, weights) for name in names]
    curves = roc_curve(y, p, weights, grid)
    monkeypatch.setattr(weighted_sums, "BLOCK_CELLS", 7 * 30)  # 7 draws at a time
    parts = [METRICS[name].function(y, p, weights) for name in names]
    np.testing.assert_allclose(parts, whole, atol=1e-12)
    np.testing.assert_allclose(roc_curve(y, p, weights, grid), curves, atol=1e-12)


def test_undefined_values_are_nan_not_zero():
    only_negative = np.array([[1, 1, 0], [1, 1, 1]])
    y, p = [0, 0, 1], [0, 0, 1]
    undefined = ("recall", "precision", "balanced_accuracy", "f1_positive", "f1_macro", "mcc")
    for name in (*undefined, "auroc", "auprc"):
        values = METRICS[name].function(y, p, only_negative)
        assert np.isnan(values[0]), name
        assert values[1] == 1, name
    assert f1_weighted(y, p, only_negative).tolist() == [1, 1]  # as scikit-learn
    ones = unit_weights(3)
    assert np.isnan(spearman([1, 2, 3], [0.1, 0.1, 0.1], ones))
    assert np.isnan(pearson([1, 2, 3], [0.1, 0.1, 0.1], ones))
    assert ccc([1, 2, 3], [0.1, 0.1, 0.1], ones) == pytest.approx([0], abs=1e-12)


# ---- intervals ---------------------------------------------------------------------------------


def test_a_subject_is_drawn_with_all_sessions(rng):
    subject = np.array([0, 0, 0, 1, 2, 2, 3, 4])
    strata = np.array(["a", "a", "a", "a", "b", "b", "b", "b"])
    weights = bootstrap_weights(subject, strata, 300, seed=1)
    assert weights.shape == (300, 8)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, 0] != weights[:, 3]).any()
    # within each stratum as many subjects are drawn as it has: 2 in a, 3 in b
    assert (weights[:, [0, 3]].sum(1) == 2).all()
    assert (weights[:, [4, 6, 7]].sum(1) == 3).all()
    assert np.array_equal(weights, bootstrap_weights(subject, strata, 300, seed=1))
    assert not np.array_equal(weights, bootstrap_weights(subject, strata, 300, seed=2))


def test_subjects_are_drawn_equally_often():
    weights = bootstrap_weights(np.arange(300), np.zeros(300), 400, seed=0)
    assert weights.dtype == np.uint16  # 300 subjects do not fit 8 bits
    assert weights.mean(0) == pytest.approx(np.ones(300), abs=0.25)
    assert weights.var() == pytest.approx(1, abs=0.02)  # multinomial: 1 - 1/n


def test_bootstrap_refuses_a_subject_in_two_strata():
    with pytest.raises(ValueError, match="subject 5 stands in strata"):
        bootstrap_weights([5, 5], [0, 1], 10, seed=0)
    with pytest.raises(ValueError, match="strata"):
        bootstrap_weights([5, 5], [0], 10, seed=0)


def test_strata_belong_to_subjects_of_a_corpus():
    sessions = pd.DataFrame(
        {
            "corpus": ["a", "a", "a", "a", "b"],
            "subject": ["1", "1", "2", "3", "1"],  # 1 of corpus b is another subject
            "y_true": [0, 1, 0, 1, 1],
        }
    )
    codes, strata = assign_strata(sessions)
    assert codes.tolist() == [0, 0, 1, 2, 3]
    assert strata.tolist() == ["both", "both", "negative", "positive", "positive"]
    assert set(assign_strata(sessions.drop(columns="y_true"))[1]) == {"unlabelled"}


def test_interval_is_percentiles_of_defined_draws():
    found = bootstrap_interval(0.5, np.array([*np.arange(101) / 100, np.nan, np.nan]), 0.90)
    assert (found.value, found.n_undefined) == (0.5, 2)
    assert (found.ci_low, found.ci_high) == pytest.approx((0.05, 0.95))
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
    found = bootstrap_interval(point, mean(weights), 0.95, acceleration)
    reference = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20000, rng=rng, vectorized=True
    ).confidence_interval
    assert (found.ci_low, found.ci_high) == pytest.approx(
        (reference.low, reference.high), rel=0.015
    )
    assert found.method == "BCa"
    plain = bootstrap_interval(point, mean(weights), 0.95)
    assert plain.method == "percentile"
    assert found.ci_low > plain.ci_low  # the long tail is on the right
    assert found.ci_high > plain.ci_high


def test_influences_of_a_difference_of_means_are_those_of_its_samples(rng):
    """Two strata as two samples: the acceleration has a closed form."""
    x, y = rng.exponential(1, 12), rng.exponential(3, 25)
    label = np.repeat([0, 1], [12, 25])
    jackknife = leave_subjects_out(np.arange(37), label, 0)
    values = np.concatenate([x, y])

    def difference(w):
        means = [(w * (label == k)) @ values / w[:, label == k].sum(axis=1) for k in (0, 1)]
        return means[0] - means[1]

    found = jackknife.acceleration(x.mean() - y.mean(), difference(jackknife.weights))
    parts = np.concatenate([(x - x.mean()) / 12, (y.mean() - y) / 25])
    assert found == pytest.approx((parts**3).sum() / (parts**2).sum() ** 1.5 / 6)


def test_a_subject_is_left_out_with_all_sessions_and_never_alone_in_a_stratum():
    subject, strata = np.array([0, 0, 1, 2, 2, 3]), np.array(["a", "a", "a", "a", "a", "b"])
    jackknife = leave_subjects_out(subject, strata, 0)
    expected = [[0, 0, 1.5, 1.5, 1.5, 1], [1.5, 1.5, 0, 1.5, 1.5, 1], [1.5, 1.5, 1.5, 0, 0, 1]]
    assert jackknife.weights.tolist() == expected
    assert jackknife.size.tolist() == [3, 3, 3]


def test_a_sample_of_subjects_gives_nearly_the_same_acceleration(rng, monkeypatch):
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
    ("value", "acceleration", "reason"),
    [
        (0.0, 0.1, "one side"),
        (1.0, 0.1, "one side"),
        (0.5, np.nan, "says nothing"),
        (0.5, 0.6, "too large"),
    ],
)
def test_bca_falls_back_to_percentiles_with_a_reason(value, acceleration, reason):
    draws = np.linspace(0.2, 0.8, 61)
    found = bootstrap_interval(value, draws, 0.95, acceleration)
    assert found.method == "percentile"
    assert reason in found.reason
    plain = bootstrap_interval(value, draws, 0.95)
    assert (found.ci_low, found.ci_high) == (plain.ci_low, plain.ci_high)
    assert plain.reason is None


def test_leaving_out_says_nothing_where_nothing_changes():
    jackknife = leave_subjects_out([0, 1, 2], [0, 0, 0], 0)
    assert np.isnan(jackknife.acceleration(0.5, np.full(3, 0.5)))
    assert np.isnan(jackknife.acceleration(0.5, np.array([0.5, np.nan, 0.6])))
    assert np.isnan(leave_subjects_out([0, 1], [0, 1], 0).acceleration(0.5, np.empty(0)))


@pytest.mark.parametrize(("k", "n"), [(0, 10), (8, 10), (10, 10), (41, 47)])
def test_wilson_equals_scipy(k, n):
    reference = scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    found = wilson_interval(k, n, 0.95)
    assert (found.ci_low, found.ci_high) == pytest.approx((reference.low, reference.high))


def test_wilson_refuses_impossible_counts():
    with pytest.raises(ValueError, match="11 successes out of 10"):
        wilson_interval(11, 10, 0.95)


def test_intervals_over_subjects_cover_the_truth_where_rows_would_not():
    """Three sessions of a subject agree: rows as units would claim too much."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(40), 3)
    covered = {"subjects": 0, "rows": 0}
    repeats = 150
    for seed in range(repeats):
        right = np.repeat(rng.random(40) < 0.7, 3).astype(int)
        for unit, codes in (("subjects", subjects), ("rows", np.arange(120))):
            weights = bootstrap_weights(codes, np.zeros(120), 300, seed)
            draws = accuracy(np.ones(120), right, weights)
            found = bootstrap_interval(right.mean(), draws, 0.9)
            covered[unit] += found.ci_low <= 0.7 <= found.ci_high
    assert 0.84 <= covered["subjects"] / repeats <= 0.96
    assert covered["rows"] / repeats < 0.75


# ---- thresholds --------------------------------------------------------------------------------


def test_threshold_is_the_middle_of_the_best_gap():
    assert choose_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.8])[0] == pytest.approx(0.4)
    # gaps .2-.3 and .5-.9 are equally good (balanced accuracy .75): the wider one wins
    assert choose_threshold([0, 1, 0, 1], [0.2, 0.3, 0.5, 0.9])[0] == pytest.approx(0.7)


def test_threshold_is_optimal(rng):
    for _ in range(20):
        y, p = rng.integers(0, 2, 15), rng.random(15).round(1)
        if len(set(y)) < 2:
            continue
        chosen = sk.balanced_accuracy_score(y, p >= choose_threshold(y, p)[0])
        best = max(sk.balanced_accuracy_score(y, p >= t) for t in np.append(np.unique(p), 2))
        assert chosen == pytest.approx(best) or (best == 0.5 and choose_threshold(y, p)[0] == 0.5)


@pytest.mark.parametrize(
    ("y", "p", "reason"),
    [
        ([], [], "no validation rows"),
        ([1, 1], [0.2, 0.9], "one class only"),
        ([0, 1], [0.7, 0.7], "no threshold beats"),
        ([0, 1], [0.9, 0.1], "no threshold beats"),
    ],
)
def test_threshold_falls_back_with_a_reason(y, p, reason):
    value, source = choose_threshold(y, p)
    assert value == 0.5
    assert reason in source


def test_threshold_between_neighbouring_floats_separates_them():
    low, high = 0.3, np.nextafter(0.3, 1)
    threshold, _ = choose_threshold([0, 1], [low, high])
    assert low < threshold <= high


def predictions():
    """Two folds of one seed; probabilities of fold 1 live on another scale."""
    rows = []
    for fold, scale in ((0, 1.0), (1, 0.1)):
        for split, numbers in (
            ("train", range(6)),
            ("validation", range(6, 10)),
            ("test", (10, 11)),
        ):
            for number in numbers:
                label = number % 2
                rows.append(
                    {
                        "corpus": "c",
                        "subject": f"{fold}-{number}",
                        "session": "1",
                        "split": split,
                        "fold": fold,
                        "seed": 0,
                        "y_true": label,
                        "y_prob": scale * (0.3 + 0.4 * label + 0.01 * number),
                        "score": 10.0 * label + fold,
                        "score_pred": 5.0,
                    }
                )
    return pd.DataFrame(rows)


def test_each_fold_decides_by_its_own_validation_rows():
    decided = apply_threshold(predictions())
    # fold 0: negatives up to .38, positives from .77; fold 1: a tenth of it
    thresholds = decided.groupby("fold")["threshold"].unique()
    assert [t.tolist() for t in thresholds] == [[pytest.approx(0.575)], [pytest.approx(0.0575)]]
    assert (decided["y_pred"] == decided["y_true"]).all()
    assert (decided["threshold_source"].str.contains("4 validation sessions")).all()


def test_threshold_does_not_depend_on_test_rows(rng):
    table = predictions()
    test = table["split"] == "test"
    changed = table.copy()
    changed.loc[test, "y_prob"] = rng.random(test.sum())
    changed.loc[test, "y_true"] = 1 - changed.loc[test, "y_true"]
    changed = pd.concat([changed, changed[test].assign(subject="another", y_prob=0.99)])
    before = apply_threshold(table).groupby("fold")["threshold"].first()
    after = apply_threshold(changed).groupby("fold")["threshold"].first()
    pd.testing.assert_series_equal(before, after)
    # and it does depend on validation rows
    moved = table.copy()
    moved.loc[table["split"] == "validation", "y_prob"] *= 0.5
    assert (apply_threshold(moved).groupby("fold")["threshold"].first() < before).all()


def test_no_probability_no_decision():
    table = predictions()
    table.loc[table["split"] == "train", "y_prob"] = np.nan
    decided = apply_threshold(table)
    assert decided.loc[table["split"] == "train", "y_pred"].isna().all()
    assert decided.loc[table["split"] != "train", "y_pred"].notna().all()


# ---- baselines -----------------------------------------------------------------------------------


def test_baselines_come_from_train_rows():
    table = predictions()
    train = table["split"] == "train"
    table.loc[train & (table["fold"] == 0), "y_true"] = [1, 1, 1, 1, 0, 0]
    with_baselines = add_baselines(table, "binary")
    first = with_baselines[with_baselines["fold"] == 0].iloc[-1]
    second = with_baselines[with_baselines["fold"] == 1].iloc[-1]
    assert first["constant_probability"] == pytest.approx(4 / 6)
    assert (first["majority"], first["always_negative"], first["always_positive"]) == (1, 0, 1)
    assert (second["majority"], second["constant_probability"]) == (0, 0.5)  # a tie is negative
    mean = add_baselines(table, "severity").groupby("fold")["constant_mean"].first()
    assert mean.tolist() == pytest.approx([5, 6])


def test_baselines_do_not_depend_on_test_rows():
    table = predictions()
    changed = table.copy()
    changed.loc[table["split"] == "test", ["y_true", "score"]] = [1, 63.0]
    for target in ("binary", "severity"):
        before, after = add_baselines(table, target), add_baselines(changed, target)
        new = [name for name in before if name not in table]
        pd.testing.assert_frame_equal(before[new], after[new])


def test_baselines_fall_back_to_validation_rows_and_say_so():
    table = predictions()
    table = table[table["split"] != "train"]
    assert set(add_baselines(table, "binary")["binary_baseline_source"]) == {"validation"}
    only_test = table[table["split"] == "test"]
    judged = add_baselines(only_test, "binary")
    assert set(judged["binary_baseline_source"]) == {"none"}
    assert not {"majority", "constant_probability"} & set(judged)
    with pytest.raises(ValueError, match=r"fold 0, seed 0 .* add its train rows"):
        add_baselines(only_test.assign(score=9.0), "severity")
    of_one_fold = pd.concat([table, only_test.assign(fold=8)])
    with pytest.raises(ValueError, match=r"fold 8, seed 0 .* add its train rows"):
        add_baselines(of_one_fold, "binary")


def test_seeds_share_the_draws_of_subjects():
    table = predictions()
    both = pd.concat([table, table.assign(seed=1)], ignore_index=True)
    tested = resample_sessions(apply_threshold(both), n_bootstrap=50, confidence=0.95, seed=0)
    assert np.array_equal(tested.weights_of(0), tested.weights_of(1))
    assert tested.subjects_by_stratum == {"negative": 2, "positive": 2}
