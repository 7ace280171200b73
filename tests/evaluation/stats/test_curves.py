"""ROC and precision-recall curves against scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics as sk
from metric_references import resampled

from depmm.evaluation.stats.binary_metrics import (
    auprc,
)
from depmm.evaluation.stats.curves import pr_curve, roc_curve
from depmm.evaluation.stats.weighted_sums import unit_weights


def test_roc_equals_sklearn_on_resampled_rows(rng):
    y, p = rng.integers(0, 2, 60), rng.random(60).round(1)  # many ties
    rows, weights = resampled(rng, 60)
    curves = roc_curve(y, p, weights, np.linspace(0.013, 0.987, 50))
    for curve, r in zip(curves, rows, strict=True):
        fpr, tpr, _ = sk.roc_curve(y[r], p[r], drop_intermediate=False)
        assert curve == pytest.approx(np.interp(np.linspace(0.013, 0.987, 50), fpr, tpr))


def test_precision_recall_curve_equals_sklearn_and_has_the_area_of_auprc(rng):
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
