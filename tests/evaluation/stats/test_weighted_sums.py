"""Sums over blocks of replicates."""

import numpy as np
from metric_references import resampled

from depmm.evaluation.stats import weighted_sums
from depmm.evaluation.stats.curves import roc_curve
from depmm.evaluation.stats.metrics import METRICS


def test_block_size_has_no_effect(rng, monkeypatch):
    y, p = rng.integers(0, 2, 30), rng.random(30)
    _, weights = resampled(rng, 30, 50)
    grid = np.linspace(0, 1, 5)
    names = ("auroc", "auprc", "spearman")
    whole = [METRICS[name].function(y, p, weights) for name in names]
    curves = roc_curve(y, p, weights, grid)
    monkeypatch.setattr(weighted_sums, "BLOCK_CELLS", 7 * 30)  # 7 replicates at a time
    parts = [METRICS[name].function(y, p, weights) for name in names]
    np.testing.assert_allclose(parts, whole, atol=1e-12)
    np.testing.assert_allclose(roc_curve(y, p, weights, grid), curves, atol=1e-12)
