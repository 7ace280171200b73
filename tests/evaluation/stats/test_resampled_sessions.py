"""Sessions with their bootstrap replicates, which all seeds share."""

import numpy as np
import pandas as pd
from simulated_predictions import two_fold_predictions

from depmm.evaluation.stats import weighted_sums
from depmm.evaluation.stats.resampled_sessions import resample_sessions
from depmm.evaluation.thresholds import apply_threshold


def test_seeds_share_the_replicates():
    table = two_fold_predictions()
    both = pd.concat([table, table.assign(seed=1)], ignore_index=True)
    tested = resample_sessions(apply_threshold(both), n_bootstrap=50, confidence=0.95, seed=0)
    assert np.array_equal(tested.get_weights(0), tested.get_weights(1))
    assert tested.subjects_by_stratum == {"negative": 2, "positive": 2}


def test_subgroups_are_resampled_by_parts(monkeypatch):
    table = apply_threshold(two_fold_predictions())
    table = table.assign(gender=table["subject"].rank().mod(2).map({0.0: "a", 1.0: "b"}))
    tested = resample_sessions(table, n_bootstrap=50, confidence=0.95, seed=0)
    whole = tested.select("gender", "a").values("accuracy")
    monkeypatch.setattr(weighted_sums, "BLOCK_CELLS", 1)
    parts = tested.select("gender", "a").values("accuracy")
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)
