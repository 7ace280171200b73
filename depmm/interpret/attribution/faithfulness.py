"""Which explanation is faithful: deletion and insertion curves (Petsiuk et al., BMVC 2018, Sec. 4).

Steps are removed from a session in the order in which an explanation ranks them (deletion), or put
back one by one where all were removed (insertion). An explanation that knows what moved the
prediction makes it fall soon and rise soon; one that does not is no better than random orders.
Steps are removed as for occlusion and Shapley values, which so play at home; permutation and
integrated gradients do not.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from depmm.corpora.manifest import SUBJECT_KEY
from depmm.evaluation.stats.bca_interval import bootstrap_interval, leave_subjects_out
from depmm.evaluation.stats.bootstrap import assign_strata, bootstrap_weights
from depmm.interpret.attribution.removal import (
    Array,
    explained_sessions,
    kept_logits,
    undecided_logit,
)
from depmm.models.model import DepressionModel

RANDOM = "random"
RANDOM_ORDERS = 40  # of the steps of each session
POINTS = 20  # of a curve: in longer sessions several steps go at once
CURVES = ("deletion", "insertion")


def removal_curves(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    values: pd.DataFrame,
    seeds: Sequence[int],
    unsigned: Collection[str] = (),
) -> pd.DataFrame:
    """Measure the evidence while steps go, or come, in the order of each explanation.

    As in the paper, the predicted class is explained: where the evidence speaks against depression
    (for scores: lies below that of logits of zero), evidence and explanations are turned around. A
    faithful curve then always falls under deletion and rises under insertion.

    Parameters
    ----------
    model : a trained model in evaluation mode
    features, masks : encoded sessions, from ``DepressionModel.encode``
    values : columns ``row`` (of the batch), ``step`` and one for each explanation; a step that an
        explanation says nothing about (null) comes last, equal ones come in random order
    seeds : one a session of the batch (``session_seed``), of random orders
    unsigned : explanations that say how much a step matters, but not in which direction, as
        attention does

    Returns
    -------
    columns ``row``, ``method`` (explanation, or ``random``), ``order`` (number of the random order,
        else 0), ``share`` (of steps removed, or inserted), ``deletion`` and ``insertion`` (turned
        evidence above that with everything removed); the only step of a session has no curve

    Raises
    ------
    ValueError : an explanation that is called unsigned is none of the columns
    """
    methods = [name for name in values.columns if name not in ("row", "step")]
    if unknown := set(unsigned) - set(methods):
        raise ValueError(
            f"removal_curves: unsigned {sorted(unknown)[0]!r} is none of the explanations "
            f"{', '.join(methods)}"
        )
    signed = np.array([name not in unsigned for name in methods])
    undecided = undecided_logit(model)
    length = next(iter(masks.values())).shape[1]
    names = np.array([*methods, *[RANDOM] * RANDOM_ORDERS])
    number = np.concatenate([np.zeros(len(methods), int), np.arange(RANDOM_ORDERS)])
    tables = [pd.DataFrame(columns=["row", "method", "order", "share", *CURVES])]
    for row, steps in explained_sessions(masks):
        rng = np.random.default_rng(seeds[row])
        own = values[values["row"] == row].set_index("step").reindex(steps)[methods]
        ends = np.zeros((2, length), bool)
        ends[0] = True
        full, empty = kept_logits(model, features, masks, np.full(2, row), ends)
        direction = 1.0 if full >= undecided else -1.0
        scores = own.to_numpy(float).T * np.where(signed, direction, 1.0)[:, None]
        orders = _orders(scores, rng)
        counts = np.unique(np.linspace(0, len(steps), min(len(steps), POINTS) + 1).round())
        first = orders.argsort(axis=1)[:, None, :] < counts[1:-1, None]
        kept = np.zeros((2, *first.shape[:2], length), bool)
        kept[..., steps] = np.stack([~first, first])
        worth = kept_logits(
            model, features, masks, np.full(kept[..., 0].size, row), kept.reshape(-1, length)
        ).reshape(2, len(orders), -1)
        start, stop = (
            np.broadcast_to(np.array(pair)[:, None, None], (2, len(orders), 1))
            for pair in ((full, empty), (empty, full))
        )
        curves = direction * (np.concatenate([start, worth, stop], axis=2) - undecided)
        tables.append(
            pd.DataFrame(
                {
                    "row": row,
                    "method": names.repeat(len(counts)),
                    "order": number.repeat(len(counts)),
                    "share": np.tile(counts / len(steps), len(orders)),
                    **{name: curve.ravel() for name, curve in zip(CURVES, curves, strict=True)},
                }
            )
        )
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _orders(scores: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Steps from the largest score to the smallest, then random orders, [M + random, n]."""
    scores = np.where(np.isnan(scores), -np.inf, scores)
    ranked = [np.lexsort((rng.random(scores.shape[1]), -score)) for score in scores]
    drawn = [rng.permutation(scores.shape[1]) for _ in range(RANDOM_ORDERS)]
    return np.stack([*ranked, *drawn])


def curve_areas(curves: pd.DataFrame) -> pd.DataFrame:
    """Area under each curve over the share of steps, in units of evidence.

    Parameters
    ----------
    curves : from ``removal_curves``, with any columns that name a session in place of ``row``

    Returns
    -------
    one row a session, method and order: ``deletion`` (small: faithful), ``insertion`` (large:
    faithful) and ``logit`` (of the whole session, for the predicted side)
    """
    keys = [name for name in curves.columns if name not in ("share", *CURVES)]
    of = curves.groupby(keys, sort=False)
    parts = curves[keys].copy()
    width = of["share"].diff().fillna(0.0)  # nothing lies before the first point of a curve
    for name in CURVES:
        parts[name] = width * (curves[name] + of[name].shift().fillna(0.0)) / 2
    areas = parts.groupby(keys, sort=False)[list(CURVES)].sum()
    return areas.assign(logit=of["deletion"].first()).reset_index()


def compare_with_random(
    areas: pd.DataFrame, draws: int = 2000, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Compare explanations with random orders of the same sessions, person by person.

    Sessions of a person are averaged. Areas are divided by the mean evidence of all people, not by
    each session's own, which may be next to nothing: 1 is a curve that stays where it starts.

    Parameters
    ----------
    areas : from ``curve_areas``, with columns corpus, subject and, if known, ``y_true``
    draws, confidence, seed : of the bootstrap over people

    Returns
    -------
    one row a curve and method: ``curve``, ``method``, ``area``, ``random`` with ``random_low`` and
    ``random_high`` (between which random orders of everybody's steps lie), ``gain`` over the mean
    random order (positive: more faithful) with ``low`` and ``high`` (over people), ``better`` and
    ``people`` (how many of them gain) and ``p`` (sign test, two-sided)

    Raises
    ------
    ValueError : there are no explanations, or no random orders beside them
    """
    methods = [name for name in areas["method"].unique() if name != RANDOM]
    if not methods or RANDOM not in set(areas["method"]):
        raise ValueError(
            f"compare_with_random: methods are {areas['method'].unique().tolist()}: give "
            "explanations and their random orders, as removal_curves does"
        )
    evidence = areas.groupby(SUBJECT_KEY)["logit"].mean().to_numpy()
    people = areas.drop_duplicates(SUBJECT_KEY).sort_values(SUBJECT_KEY)
    codes, strata = assign_strata(people)
    weights = bootstrap_weights(codes, strata, draws, seed).astype(float)
    jackknife = leave_subjects_out(codes, strata, seed)
    rows = []
    for curve in CURVES:
        wide = areas.pivot_table(index=SUBJECT_KEY, columns=["method", "order"], values=curve)
        by_chance = wide[RANDOM].to_numpy()
        tail = 50 * (1 - confidence)
        bounds = np.percentile(by_chance.mean(axis=0) / evidence.mean(), [tail, 100 - tail])
        for method in methods:
            area = wide[method][0].to_numpy()
            gain = (area - by_chance.mean(axis=1)) * (1 if curve == "insertion" else -1)

            def ratio(weight: Array, gain: Array = gain) -> Array:
                return (weight @ gain) / (weight @ evidence)

            value = float(gain.mean() / evidence.mean())
            acceleration = jackknife.acceleration(value, ratio(jackknife.weights))
            found = bootstrap_interval(value, ratio(weights), confidence, acceleration)
            better, unequal = int((gain > 0).sum()), int((gain != 0).sum())
            rows.append(
                {
                    "curve": curve,
                    "method": method,
                    "area": area.mean() / evidence.mean(),
                    "random": by_chance.mean() / evidence.mean(),
                    "random_low": bounds[0],
                    "random_high": bounds[1],
                    "gain": found.value,
                    "low": found.ci_low,
                    "high": found.ci_high,
                    "better": better,
                    "people": len(gain),
                    "p": stats.binomtest(better, unequal).pvalue if unequal else 1.0,
                }
            )
    return pd.DataFrame(rows)
