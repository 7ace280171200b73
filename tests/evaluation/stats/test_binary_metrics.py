"""Binary metrics against hand values and scikit-learn."""

import numpy as np
import pytest
from metric_references import DECISIONS, PROBABILITIES, resampled

from depmm.evaluation.stats.binary_metrics import (
    auprc,
    auroc,
    brier,
    confusion,
    log_loss,
)
from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.severity_metrics import (
    ccc,
    pearson,
    spearman,
)
from depmm.evaluation.stats.weighted_sums import unit_weights

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
    # precision 1 at .9 and 2 / 3 at .4; each adds half of the recall
    assert auprc(y, p, ones) == pytest.approx([(1 + 2 / 3) / 2])
    assert auprc(y, [0.3] * 3, ones) == pytest.approx([2 / 3])  # a constant: share of positives
    assert brier(y, p, ones) == pytest.approx([(0.01 + 0.64 + 0.36) / 3])
    assert log_loss(y, p, ones) == pytest.approx([-np.log(0.9 * 0.2 * 0.4) / 3])
    assert log_loss([0], [1.0], unit_weights(1)) == pytest.approx([36.04], abs=0.01)


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


def test_undefined_values_are_nan_not_zero():
    only_negative = np.array([[1, 1, 0], [1, 1, 1]])
    y, p = [0, 0, 1], [0, 0, 1]
    undefined = ("recall", "precision", "balanced_accuracy", "mcc", "auroc", "auprc")
    for name in (*undefined, "f1_positive", "f1_macro", "f1_weighted"):
        values = METRICS[name].function(y, p, only_negative)
        assert np.isnan(values[0]), name
        assert values[1] == 1, name
    ones = unit_weights(3)
    assert np.isnan(spearman([1, 2, 3], [0.1, 0.1, 0.1], ones))
    assert np.isnan(pearson([1, 2, 3], [0.1, 0.1, 0.1], ones))
    assert ccc([1, 2, 3], [0.1, 0.1, 0.1], ones) == pytest.approx([0], abs=1e-12)
