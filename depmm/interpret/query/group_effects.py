"""How far two groups of people lie apart, in many columns at once: effect, interval, test.

Effects are Hedges' g: the difference of means in pooled standard deviations (Cohen's d), times
``1 - 3 / (4 df - 1)``, without which small groups look further apart than they are (Hedges 1981).

With strata (women and men, say) everybody is compared with people of the same stratum only: the
difference is the coefficient of the group in a linear model of group and stratum, labels are
permuted inside of strata and people are drawn inside of them. With one stratum that is the plain
difference of means, the plain permutation test and the plain bootstrap.

Of 1,500 simulated effects of 1 the 95 % interval held the truth in 94.8 % with 48 people in each
group, 94.4 % with 24, 94.9 % with 14 and 92.5 % with 6; their mean was within .01 of the truth. Of
300 simulated studies of 48 people and 40 columns without any effect 3 % had a q < .05 (5 % within
two uneven strata). A column that only strata differed in, by 1.5, was found in 22 % of 200 studies,
and in none within the strata.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from depmm.corpora.manifest import SUBJECT_KEY
from depmm.evaluation.stats.bca_interval import bootstrap_interval, leave_subjects_out
from depmm.evaluation.stats.bootstrap import assign_strata, bootstrap_weights
from depmm.evaluation.stats.weighted_sums import Array

UNIT = [*SUBJECT_KEY, "label", "stratum"]  # index of a matrix of people
FEWEST = 3  # people of each group that a test and an interval need
CHUNK = 256  # labellings or draws at a time, to keep the memory of many columns small
ROUNDING = 1e-12  # share of the squares below which a deviation is rounding


class Comparison(NamedTuple):
    """Of every labelling or draw and every column, ``[D, columns]``.

    Effects are infinite where groups differ and nobody differs within, NaN where a group has fewer
    than two people or all people are alike.
    """

    difference: Array
    effect: Array  # Hedges' g
    t: Array  # Student's


def group_effects(
    matrix: pd.DataFrame,
    permutations: int = 5000,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare every column of a matrix of people between the groups.

    All columns are tested with the same permutations of the labels. The statistic is Student's t
    and not the effect, so that labellings under which a group has fewer values weigh as they
    should; those that leave a group fewer than two values of a column say nothing about it.

    Parameters
    ----------
    matrix : [people, columns] with the index ``UNIT``; NaN where a person has no value
    permutations : the smallest possible p is 1 / (permutations + 1)
    draws : of the bootstrap over people; 0: no intervals
    confidence : of the intervals, BCa where that is defined
    seed : of permutations and draws

    Returns
    -------
    one row a column, its name first, strongest effect first, equal ones by name, rare ones last:
    ``n_positive``, ``n_negative`` (people), ``mean_positive``, ``mean_negative``, ``difference``,
    ``effect``, its ``low`` and ``high``, ``p`` (two-sided), ``q`` (Benjamini-Hochberg) and ``rare``
    (fewer than three people in a group: no interval, no test)
    """
    positive, _ = _units(matrix)
    found = observed(matrix)
    read = np.isfinite(matrix.to_numpy(dtype=float))
    count = read[positive].sum(0), read[~positive].sum(0)
    rare = np.minimum(*count) < FEWEST
    p, q, low, high = np.full((4, len(rare)), np.nan)
    if (tested := ~rare & ~np.isnan(found.effect)).any():
        kept = matrix.loc[:, tested]
        p[tested] = _permutation_p(kept, found.t[tested], permutations, seed)
        q[tested] = false_discovery_control(p[tested], method="bh")
        if draws and (finite := tested & np.isfinite(found.effect)).any():
            kept = matrix.loc[:, finite]
            bounds = _intervals(kept, found.effect[finite], draws, confidence, seed)
            low[finite], high[finite] = bounds
    names = list(map(str, matrix.columns.names))
    table = matrix.columns.to_frame(index=False).assign(
        n_positive=count[0],
        n_negative=count[1],
        mean_positive=matrix[positive].mean().to_numpy(),
        mean_negative=matrix[~positive].mean().to_numpy(),
        difference=found.difference,
        effect=found.effect,
        low=low,
        high=high,
        p=p,
        q=q,
        rare=rare,
        size=-np.abs(found.effect).round(12),  # equal words are equal, whatever their column
    )
    return table.sort_values(["rare", "size", *names], ignore_index=True).drop(columns="size")


def observed(matrix: pd.DataFrame) -> Comparison:
    """Compare the groups of a matrix as they are; arrays of ``[columns]``."""
    positive, stratum = _units(matrix)
    everybody = np.ones((1, len(matrix)))
    values = matrix.to_numpy(dtype=float)
    return Comparison(*(part[0] for part in compare(values, positive[None], everybody, stratum)))


def drawn_effects(matrix: pd.DataFrame, weights: NDArray[Any]) -> Array:
    """Effects of every column in every draw of the people, ``[D, columns]``.

    Parameters
    ----------
    matrix : as ``group_effects``
    weights : [D, people]: how often each was drawn
    """
    values, (positive, stratum) = matrix.to_numpy(dtype=float), _units(matrix)
    chunks = np.split(weights.astype(float), range(CHUNK, len(weights), CHUNK))
    parts = [compare(values, positive[None], chunk, stratum).effect for chunk in chunks]
    return np.concatenate(parts)


def drawing_strata(matrix: pd.DataFrame) -> tuple[NDArray[Any], NDArray[Any]]:
    """Number of each row's person, and whom that person is drawn among: label and stratum."""
    units = matrix.index.to_frame(index=False)
    codes, label = assign_strata(units.rename(columns={"label": "y_true"}))
    # a stratum of one person with both labels could not be drawn in any other way
    stratum = np.where(label == "both", "", units["stratum"].astype(str))
    return codes, np.array([f"{a}/{b}" for a, b in zip(label, stratum, strict=True)])


def compare(
    values: Array, positive: NDArray[np.bool_], weights: Array, stratum: NDArray[Any]
) -> Comparison:
    """Compare two groups in every column, under every labelling or draw.

    Parameters
    ----------
    values : [people, columns], NaN where there is none
    positive : [D or 1, people], the labels
    weights : [D or 1, people], how often each person counts
    stratum : [people], whole numbers
    """
    read = np.isfinite(values)
    in_strata = [np.flatnonzero(stratum == number) for number in np.unique(stratum)]
    # around the means of strata: squares of large values would drown small differences
    centred = np.where(read, values, 0.0)
    for own in in_strata:
        mean = centred[own].sum(0) / np.maximum(read[own].sum(0), 1)
        centred[own] = np.where(read[own], centred[own] - mean, 0.0)
    squares = centred**2
    scale = np.nansum(values**2, axis=0) * ROUNDING**2
    first, second = weights * positive, weights * ~positive
    shape = max(len(positive), len(weights)), values.shape[1]
    n1, n0, crossed, pull, rest = np.zeros((5, *shape))
    for own in in_strata:
        k1, k0 = first[:, own] @ read[own], second[:, own] @ read[own]
        sum1, sum0 = first[:, own] @ centred[own], second[:, own] @ centred[own]
        total = np.maximum(k1 + k0, np.finfo(float).tiny)
        n1, n0 = n1 + k1, n0 + k0
        crossed += k1 * k0 / total
        pull += (k0 * sum1 - k1 * sum0) / total
        rest += (first + second)[:, own] @ squares[own] - (sum1 + sum0) ** 2 / total
    freedom = n1 + n0 - sum(read[own].any(0) for own in in_strata) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.where(crossed > 0, pull / crossed, np.nan)
        within = rest - pull * difference
        deviation = np.sqrt(np.where(within > ROUNDING * rest, within, 0.0) / freedom)
        known = (n1 > 1) & (n0 > 1) & (crossed > 0) & (freedom > 1) & (rest > scale)
        standard = np.where(known, difference / deviation, np.nan)
    return Comparison(
        difference, standard * (1 - 3 / (4 * np.maximum(freedom, 2) - 1)), standard * crossed**0.5
    )


def _units(matrix: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    units = matrix.index.to_frame(index=False)
    return units["label"].to_numpy() == 1, units.groupby("stratum").ngroup().to_numpy()


def _permutation_p(matrix: pd.DataFrame, t: Array, permutations: int, seed: int) -> Array:
    """Share of labellings, what was observed among them, whose t is as far from 0."""
    values, (positive, stratum) = matrix.to_numpy(dtype=float), _units(matrix)
    everybody = np.ones((1, len(matrix)))
    rng = np.random.default_rng(seed)
    extreme, defined = np.ones((2, len(t)))
    for start in range(0, permutations, CHUNK):
        order = rng.random((min(CHUNK, permutations - start), len(positive)))
        labels = np.empty(order.shape, dtype=bool)
        for number in np.unique(stratum):
            own = np.flatnonzero(stratum == number)
            labels[:, own] = positive[own][order[:, own].argsort(axis=1)]
        permuted = np.abs(compare(values, labels, everybody, stratum).t)
        extreme += (permuted >= np.abs(t) * (1 - 1e-9)).sum(0)
        defined += (~np.isnan(permuted)).sum(0)
    return extreme / defined


def _intervals(
    matrix: pd.DataFrame, effect: Array, draws: int, confidence: float, seed: int
) -> tuple[list[float], list[float]]:
    codes, strata = drawing_strata(matrix)
    jackknife = leave_subjects_out(codes, strata, seed)
    drawn = drawn_effects(matrix, bootstrap_weights(codes, strata, draws, seed))
    left_out = drawn_effects(matrix, jackknife.weights)
    found = [
        bootstrap_interval(
            value, drawn[:, k], confidence, jackknife.acceleration(value, left_out[:, k])
        )
        for k, value in enumerate(effect)
    ]
    return [each.ci_low for each in found], [each.ci_high for each in found]
