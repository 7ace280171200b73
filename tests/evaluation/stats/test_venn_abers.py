"""The Venn-Abers interval by simulation."""

import numpy as np
import pandas as pd

from depmm.evaluation.stats.venn_abers import venn_abers


def test_venn_abers_contains_the_true_probability():
    """For a model that predicts sqrt(p), the mean interval contains p and is narrow."""
    rng = np.random.default_rng(0)
    result = []
    for _ in range(100):
        true = rng.uniform(size=300)
        rows = pd.DataFrame(
            {
                "corpus": "c",
                "subject": np.arange(300).astype(str),
                "y_true": (rng.uniform(size=300) < true).astype(int),
                "y_prob": np.sqrt(true),
            }
        )
        result.append([venn_abers(rows, np.sqrt(p)) for p in (0.2, 0.5, 0.8)])
    pairs = np.array(result)  # [100, 3, low and high]
    assert (pairs[..., 0] <= pairs[..., 1]).all()
    low, high = pairs.mean(axis=0).T
    assert (low - 0.01 < [0.2, 0.5, 0.8]).all()
    assert (high + 0.01 > [0.2, 0.5, 0.8]).all()
    assert (high - low < 0.15).all()
