"""Intervals of metrics: known cases, invariances, class counts and sessions of one subject."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from simulated_predictions import simulated_predictions

from depmm.evaluation.stats.metric_intervals import (
    count_effective_subjects,
    estimate_difference,
    estimate_metric,
    shrunken_ratio,
)
from depmm.evaluation.stats.metrics import METRICS, metric_names
from depmm.evaluation.stats.resampled_sessions import resample_sessions
from depmm.evaluation.thresholds import apply_threshold


def sessions_of(labels, decisions, **columns):
    n = len(labels)
    table = pd.DataFrame({"y_true": labels, "y_pred": decisions, "y_prob": decisions})
    table = table.assign(corpus="c", subject=np.arange(n).astype(str), session="1")
    return table.assign(split="test", fold=0, seed=0, **columns)


def resample(table, class_counts="random"):
    return resample_sessions(table, 200, 0.95, 0, class_counts)


def bounds(interval):
    return interval.ci_low, interval.ci_high


def test_recall_specificity_and_accuracy_have_wilson_intervals():
    tested = resample(sessions_of([1] * 8 + [0] * 12, [1] * 6 + [0] * 2 + [1] * 1 + [0] * 11))
    for name, k, n in (("recall", 6, 8), ("specificity", 11, 12), ("accuracy", 17, 20)):
        reference = scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
        result = estimate_metric(tested, name)
        assert result.method == "Wilson"
        assert bounds(result) == pytest.approx((reference.low, reference.high))


@pytest.mark.parametrize("class_counts", ["random", "fixed"])
@pytest.mark.parametrize("errors", [0, 1])
def test_intervals_at_the_ceiling_have_a_width_and_contain_their_value(class_counts, errors):
    labels = np.repeat([1, 0], 10)
    decisions = labels.copy()
    decisions[:errors] = 0
    tested = resample(sessions_of(labels, decisions), class_counts)
    for name in (
        "auroc",
        "auprc",
        *(n for n in metric_names("binary") if "y_pred" in METRICS[n].predicted),
    ):
        result = estimate_metric(tested, name)
        assert result.ci_low < result.value - 0.02, name
        assert result.value <= result.ci_high <= 1


def test_fixed_class_counts_have_narrower_intervals_of_precision():
    labels = np.repeat([1, 0], [6, 34])
    decisions = np.r_[[1] * 4, [0] * 2, [1] * 4, [0] * 30]
    random, fixed = (
        estimate_metric(resample(sessions_of(labels, decisions), counts), "precision")
        for counts in ("random", "fixed")
    )
    assert fixed.ci_high - fixed.ci_low < 0.9 * (random.ci_high - random.ci_low)
    recall = [
        bounds(estimate_metric(resample(sessions_of(labels, decisions), counts), "recall"))
        for counts in ("random", "fixed")
    ]
    assert recall[0] == recall[1]


def test_random_replicates_may_have_one_class_only():
    labels = np.repeat([1, 0], [2, 10])
    table = sessions_of(labels, labels)
    assert estimate_metric(resample(table), "auroc").n_undefined > 0
    assert estimate_metric(resample(table, "fixed"), "auroc").n_undefined == 0


def test_repeated_sessions_of_a_subject_are_not_independent():
    labels, decisions = np.repeat([1, 0], 15), np.r_[[1] * 11, [0] * 4, [1] * 3, [0] * 12]
    once = sessions_of(labels, decisions)
    copies = pd.concat([once.assign(session=str(k)) for k in range(6)])
    for name in ("accuracy", "recall", "auroc", "f1_positive"):
        single, repeated = (estimate_metric(resample(table), name) for table in (once, copies))
        width = single.ci_high - single.ci_low
        assert repeated.ci_high - repeated.ci_low == pytest.approx(width, rel=0.08)
    rng = np.random.default_rng(0)
    independent = copies.assign(y_pred=(rng.random(len(copies)) < 0.3 + 0.4 * copies["y_true"]))
    narrower = estimate_metric(resample(independent.astype({"y_pred": int})), "accuracy")
    single = estimate_metric(resample(once), "accuracy")
    assert narrower.ci_high - narrower.ci_low < 0.75 * (single.ci_high - single.ci_low)


def test_effective_subjects():
    tested = resample(sessions_of([1, 1, 0, 0, 0], [1, 0, 0, 0, 1]))
    assert count_effective_subjects(tested) == (5.0, False)
    assert count_effective_subjects(tested, 1) == (2.0, False)
    table = sessions_of([1, 1, 0, 0], [1, 0, 0, 0]).assign(subject=["a", "a", "b", "c"])
    tested = resample(table.assign(session=["1", "2", "1", "1"]))
    assert count_effective_subjects(tested) == (16 / 6, True)


def test_a_ratio_of_variances_is_shrunk_by_its_degrees_of_freedom():
    assert shrunken_ratio(4.0, 1.0, 10) == pytest.approx(2)
    assert shrunken_ratio(4.0, 1.0, 1e9) == pytest.approx(4)
    assert shrunken_ratio(0.0, 1.0, 5) == 1


def test_a_constant_has_exactly_the_chance_level():
    table = sessions_of([1, 1, 0, 0], [1, 0, 0, 1], always_positive=1)
    result = estimate_metric(resample(table), "balanced_accuracy", "always_positive")
    assert (result.value, *bounds(result), result.method) == (0.5, 0.5, 0.5, "exact")
    assert estimate_metric(resample(table), "accuracy", "always_positive").ci_low < 0.5


def test_differences_use_the_correlation_of_their_terms():
    tested = resample(apply_threshold(simulated_predictions(test=80)))
    values, rmse = tested.values("rmse"), estimate_metric(tested, "rmse")
    same = estimate_difference(tested, (values, rmse), (values, rmse))
    assert (same.value, *bounds(same)) == pytest.approx((0, 0, 0), abs=rmse.value)
    assert same.ci_high - same.ci_low < 0.5 * (rmse.ci_high - rmse.ci_low)
