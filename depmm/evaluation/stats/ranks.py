"""How certain the order of several runs is: ranks over bootstrap draws of subjects and seeds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.stats.training_variance import average_repeats
from depmm.evaluation.stats.weighted_sums import ROUNDING


@dataclass(frozen=True)
class RankUncertainty:
    """Rank of a run among several in a metric.

    Attributes
    ----------
    first_share : float
        Share of draws in which the run is first; runs with equal values share the draw.
    mean_rank : float
        Mean rank over draws; 1 is the best.
    """

    first_share: float
    mean_rank: float


def rank_runs(
    tested: Mapping[str, ResampledSessions], name: str, seed: int
) -> dict[str, RankUncertainty]:
    """Rank runs in each bootstrap draw.

    A draw has the same subjects for all runs. The seeds of each run are drawn with replacement, so
    that the ranks also show the variation between trainings; with one seed they do not.

    Parameters
    ----------
    tested : mapping of str to ResampledSessions
        Each run by its name, with the same sessions and weights.
    name : str
        Metric, a key of ``METRICS``.
    seed : int
        Seed of the draws of seeds.

    Returns
    -------
    dict of str to RankUncertainty
        Ranks of each run over the draws in which all of them have a value; NaN without any.
    """
    metric = METRICS[name]
    rng = np.random.default_rng(seed)
    drawn = []
    for run in tested.values():
        per_entry = [
            metric.function(
                rows[metric.measured].to_numpy(float),
                rows[metric.predicted].to_numpy(float),
                run.get_weights(key),
            )
            for key, rows in run.seeds.items()
        ]
        trainings = average_repeats(per_entry, run.training_seeds)
        n_seeds, n_draws = trainings.shape
        chosen = rng.integers(0, n_seeds, (n_seeds, n_draws))
        drawn.append(np.take_along_axis(trainings, chosen, axis=0).mean(axis=0))
    sign = 1 if metric.lower_is_better else -1
    values = sign * np.array(drawn)
    values = values[:, np.isfinite(values).all(axis=0)]
    if not values.shape[1]:
        return dict.fromkeys(tested, RankUncertainty(np.nan, np.nan))
    first = values <= values.min(axis=0) + ROUNDING
    shares = (first / first.sum(axis=0)).mean(axis=1)
    ranks = rankdata(values.round(9), axis=0).mean(axis=1)
    return {
        run: RankUncertainty(float(share), float(rank))
        for run, share, rank in zip(tested, shares, ranks, strict=True)
    }
