"""Means of any function of the tested rows over seeds, under resampling of subjects."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from depmm.evaluation.stats.resampled_sessions import MetricValues, ResampledSessions
from depmm.evaluation.stats.weighted_sums import Array, Weights, unit_weights


def measure_over_seeds(
    tested: ResampledSessions, measure: Callable[[pd.DataFrame, Weights], Array]
) -> MetricValues:
    """Average a function of rows and weights over seeds.

    Parameters
    ----------
    tested : ResampledSessions
        The tested rows.
    measure : callable
        ``(rows [N], weights [D, N]) -> [D]``, or ``[D, K]`` for K values at once.

    Returns
    -------
    MetricValues
        The values per seed, in each replicate and without each subject.
    """
    parts = []
    for seed, rows in tested.seeds.items():
        left_out = tested.select_columns(seed, tested.jackknife.weights)
        weights = (unit_weights(len(rows)), tested.get_weights(seed), left_out)
        parts.append([measure(rows, part) for part in weights])
    per_seed, replicates, jackknife = zip(*parts, strict=True)
    return MetricValues(
        np.concatenate(per_seed), np.mean(replicates, axis=0), np.mean(jackknife, axis=0)
    )
