"""Faithfulness of attributions: deletion and insertion curves against random orders.

Steps are removed from a session in the order of their attribution (deletion), or all steps are
removed and inserted again in this order (insertion). With a faithful attribution, the logit falls
early under deletion and rises early under insertion; an uninformative attribution is not better
than random orders. Removed steps are replaced by the reference that occlusion, Shapley values and
integrated gradients have, which favours these methods over permutation.

References
----------
Petsiuk et al., "RISE: randomized input sampling for explanation of black-box models", BMVC 2018,
Sec. 4.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from depmm.evaluation.stats.bca_interval import bootstrap_interval, leave_subjects_out
from depmm.evaluation.stats.bootstrap import assign_strata, bootstrap_weights
from depmm.interpret.attribution.removal import (
    Array,
    Reference,
    compute_kept_logits,
    compute_undecided_logit,
    list_sessions,
)
from depmm.models.model import DepressionModel
from depmm.schemas.manifest import SUBJECT_KEY

RANDOM = "random"
RANDOM_ORDERS = 40  # random orders of the steps of each session
POINTS = 20  # points of a curve: in longer sessions, several steps are removed at once
CURVES = ("deletion", "insertion")


def compute_removal_curves(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    reference: Reference,
    attributions: pd.DataFrame,
    seeds: Sequence[int],
    unsigned: Collection[str] = (),
) -> pd.DataFrame:
    """Compute the logit while steps are removed, or inserted, in the order of each attribution.

    As in the paper, the predicted class is explained: if the logit is below that of an output of
    zeros (a prediction of label 0, or a low score), the signs of logit and attributions are
    reversed. A faithful curve then falls under deletion and rises under insertion in every session.

    Parameters
    ----------
    model : DepressionModel
        A trained model in evaluation mode.
    features : dict of str to Tensor, shape (B, L, D)
        Encoded sessions, from ``DepressionModel.encode``.
    masks : dict of str to Tensor, shape (B, L)
        True where the modality of a step is present.
    reference : Reference
        What replaces removed steps.
    attributions : DataFrame
        Columns ``row`` (of the batch), ``step`` and one per attribution. Steps without an
        attribution (NaN) are last in the order; equal attributions are in random order.
    seeds : sequence of int
        One seed per session of the batch (``session_seed``), for random orders.
    unsigned : collection of str, optional
        Attributions without a sign, such as attention.

    Returns
    -------
    DataFrame
        Columns ``row``, ``method`` (attribution, or ``random``), ``order`` (index of the random
        order, else 0), ``share`` (of the steps that are removed, or inserted), ``deletion`` and
        ``insertion`` (signed logit minus the logit of an output of zeros). Sessions with a single
        step have no curves.

    Raises
    ------
    ValueError
        If ``unsigned`` names a column that is not in ``attributions``.
    """
    methods = [name for name in attributions.columns if name not in ("row", "step")]
    if unknown := sorted(set(unsigned) - set(methods)):
        raise ValueError(f"unsigned: {unknown[0]!r} is not one of {', '.join(methods)}.")
    signed = np.array([name not in unsigned for name in methods])
    undecided = compute_undecided_logit(model)
    length = next(iter(masks.values())).shape[1]
    names = np.array([*methods, *[RANDOM] * RANDOM_ORDERS])
    order_index = np.concatenate([np.zeros(len(methods), int), np.arange(RANDOM_ORDERS)])
    tables = [pd.DataFrame(columns=["row", "method", "order", "share", *CURVES])]
    for row, steps in list_sessions(masks, min_steps=2):
        values = attributions[attributions["row"] == row].set_index("step").reindex(steps)[methods]
        ends = np.zeros((2, length), bool)
        ends[0] = True
        full, empty = compute_kept_logits(model, features, masks, reference, np.full(2, row), ends)
        direction = 1.0 if full >= undecided else -1.0
        scores = values.to_numpy(float).T * np.where(signed, direction, 1.0)[:, None]
        orders = _rank_steps(scores, np.random.default_rng(seeds[row]))
        counts = np.unique(np.linspace(0, len(steps), min(len(steps), POINTS) + 1).round())
        first = orders.argsort(axis=1)[:, None, :] < counts[1:-1, None]
        kept = np.zeros((2, *first.shape[:2], length), bool)
        kept[..., steps] = np.stack([~first, first])
        inner = compute_kept_logits(
            model,
            features,
            masks,
            reference,
            np.full(kept[..., 0].size, row),
            kept.reshape(-1, length),
        ).reshape(2, len(orders), -1)
        start, stop = (
            np.broadcast_to(np.array(pair)[:, None, None], (2, len(orders), 1))
            for pair in ((full, empty), (empty, full))
        )
        curves = direction * (np.concatenate([start, inner, stop], axis=2) - undecided)
        tables.append(
            pd.DataFrame(
                {
                    "row": row,
                    "method": names.repeat(len(counts)),
                    "order": order_index.repeat(len(counts)),
                    "share": np.tile(counts / len(steps), len(orders)),
                    **{name: curve.ravel() for name, curve in zip(CURVES, curves, strict=True)},
                }
            )
        )
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _rank_steps(scores: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Order steps by descending score, and add random orders, (M + RANDOM_ORDERS, n)."""
    scores = np.where(np.isnan(scores), -np.inf, scores)
    ranked = [np.lexsort((rng.random(scores.shape[1]), -score)) for score in scores]
    drawn = [rng.permutation(scores.shape[1]) for _ in range(RANDOM_ORDERS)]
    return np.stack([*ranked, *drawn])


def compute_curve_areas(curves: pd.DataFrame) -> pd.DataFrame:
    """Compute the area under each curve over the share of steps, in units of the logit.

    Parameters
    ----------
    curves : DataFrame
        From ``compute_removal_curves``; other columns may identify a session instead of ``row``.

    Returns
    -------
    DataFrame
        One row per session, method and order with ``deletion`` (small is faithful), ``insertion``
        (large is faithful) and ``logit`` (of the whole session, with the sign of the predicted
        class).
    """
    keys = [name for name in curves.columns if name not in ("share", *CURVES)]
    grouped = curves.groupby(keys, sort=False)
    parts = curves[keys].copy()
    width = grouped["share"].diff().fillna(0.0)  # 0 for the first point of a curve
    for name in CURVES:
        parts[name] = width * (curves[name] + grouped[name].shift().fillna(0.0)) / 2
    areas = parts.groupby(keys, sort=False)[list(CURVES)].sum()
    return areas.assign(logit=grouped["deletion"].first()).reset_index()


def compare_with_random(
    areas: pd.DataFrame, draws: int = 2000, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Compare attributions with random orders of the same sessions, subject by subject.

    The sessions of a subject are averaged. Areas are divided by the mean logit of all subjects,
    because the logit of a single session may be close to 0. The area of a curve that stays at the
    logit of the whole session is 1.

    Parameters
    ----------
    areas : DataFrame
        From ``compute_curve_areas``, with the columns corpus, subject and, if known, ``y_true``.
    draws : int, default 2000
        Bootstrap draws of subjects.
    confidence : float, default 0.95
        Confidence level of the intervals.
    seed : int, default 0
        Seed of the draws.

    Returns
    -------
    DataFrame
        One row per curve and method: ``curve``, ``method``, ``area``, ``random`` with
        ``random_low`` and ``random_high`` (percentiles of random orders of all subjects' steps),
        ``gain`` over the mean random order (positive: more faithful) with ``ci_low`` and
        ``ci_high`` (over subjects), ``n_better`` and ``n_subjects`` (subjects with a gain, and
        all) and ``p`` (two-sided sign test).

    Raises
    ------
    ValueError
        If there are no attributions, or no random orders.
    """
    methods = [name for name in areas["method"].unique() if name != RANDOM]
    if not methods or RANDOM not in set(areas["method"]):
        raise ValueError(
            f"The methods of the areas are {areas['method'].unique().tolist()}. Give attributions "
            "and their random orders, from compute_removal_curves."
        )
    logit = areas.groupby(SUBJECT_KEY)["logit"].mean().to_numpy()
    subjects = areas.drop_duplicates(SUBJECT_KEY).sort_values(SUBJECT_KEY)
    codes, strata = assign_strata(subjects)
    weights = bootstrap_weights(codes, strata, draws, seed).astype(float)
    jackknife = leave_subjects_out(codes, strata, seed)
    rows = []
    for curve in CURVES:
        wide = areas.pivot_table(index=SUBJECT_KEY, columns=["method", "order"], values=curve)
        random_areas = wide[RANDOM].to_numpy()
        tail = 50 * (1 - confidence)
        bounds = np.percentile(random_areas.mean(axis=0) / logit.mean(), [tail, 100 - tail])
        for method in methods:
            area = wide[method][0].to_numpy()
            gain = (area - random_areas.mean(axis=1)) * (1 if curve == "insertion" else -1)

            def ratio(weight: Array, gain: Array = gain) -> Array:
                share: Array = (weight @ gain) / (weight @ logit)
                return share

            value = float(gain.mean() / logit.mean())
            acceleration = jackknife.acceleration(value, ratio(jackknife.weights))
            bounded = bootstrap_interval(value, ratio(weights), confidence, acceleration)
            better, unequal = int((gain > 0).sum()), int((gain != 0).sum())
            rows.append(
                {
                    "curve": curve,
                    "method": method,
                    "area": area.mean() / logit.mean(),
                    "random": random_areas.mean() / logit.mean(),
                    "random_low": bounds[0],
                    "random_high": bounds[1],
                    "gain": bounded.value,
                    "ci_low": bounded.ci_low,
                    "ci_high": bounded.ci_high,
                    "n_better": better,
                    "n_subjects": len(gain),
                    "p": stats.binomtest(better, unequal).pvalue if unequal else 1.0,
                }
            )
    return pd.DataFrame(rows)
