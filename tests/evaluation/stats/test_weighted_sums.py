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


def test_totals_are_those_of_one_product(rng, monkeypatch):
    weights, values = rng.integers(0, 4, (103, 301)).astype(np.uint8), rng.random(301)
    monkeypatch.setattr(weighted_sums, "BLOCK_CELLS", 10 * 301)
    total = weighted_sums.weighted_total(weights, values)
    np.testing.assert_allclose(total, weights @ values, rtol=1e-14)
    sizes = [rows.stop - rows.start for rows in weighted_sums.blocks(103, 301, multiple=4)]
    assert sizes == [8] * 12 + [7]
    sizes = [rows.stop - rows.start for rows in weighted_sums.blocks(103, 301, together=3)]
    assert sizes == [30, 30, 30, 13]
