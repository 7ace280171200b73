"""Shapley values of a session's steps and modalities (Shapley 1953; Lundberg and Lee 2017).

The players are steps, or modalities; the worth of some of them is the evidence with the others
removed. All values of a session sum to its evidence minus that of the session with everything
removed, whatever the model does in between.
"""

from collections.abc import Sequence
from math import comb

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from depmm.interpret.attribution.removal import (
    Array,
    explained_sessions,
    kept_logits,
    undecided_logit,
)
from depmm.models.model import DepressionModel

EXACT_STEPS = 8  # up to this many, all 2^n subsets are fewer passes than the default sample
PAIRS = 32  # antithetic pairs of permutations


def shapley_steps(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    seeds: Sequence[int],
    pairs: int = PAIRS,
) -> pd.DataFrame:
    """MicroBatch the evidence out among the steps of each session.

    A removed step is replaced by the mean of the kept ones (``removal``), so the values sum to the
    evidence minus that of a person who reads every word alike. Sessions of more than
    ``EXACT_STEPS`` steps are sampled: each permutation of the steps, and its reverse (Mitchell et
    al. 2022, "Sampling permutations for Shapley value estimation", Sec. 3.1), adds steps one by
    one; each step's gains are averaged.

    Parameters
    ----------
    model : a trained model in evaluation mode
    features, masks : encoded sessions, from ``DepressionModel.encode``
    seeds : one a session of the batch (``session_seed``), of its permutations
    pairs : of permutations, at least 2

    Returns
    -------
    columns ``row`` (of the batch), ``step``, ``shapley`` (positive: the step speaks for depression)
    and ``shapley_error`` (standard error over the pairs; 0 where exact); the only step of a session
    has no row

    Raises
    ------
    ValueError : fewer than 2 pairs
    """
    if pairs < 2:
        raise ValueError(f"shapley_steps: {pairs} pair(s) have no standard error: take 2 or more")
    sessions = explained_sessions(masks)
    length = next(iter(masks.values())).shape[1]
    orders = {
        row: _antithetic_orders(len(steps), pairs, np.random.default_rng(seeds[row]))
        for row, steps in sessions
        if len(steps) > EXACT_STEPS
    }
    tables = [pd.DataFrame({"row": [], "step": [], "shapley": [], "shapley_error": []})]
    tables[0] = tables[0].astype({"row": int, "step": int})
    for row, steps in sessions:
        exact = row not in orders
        chosen = subsets(len(steps)) if exact else _growing_sets(orders[row])
        kept = np.zeros((len(chosen), length), bool)
        kept[:, steps] = chosen
        worth = kept_logits(model, features, masks, np.full(len(kept), row), kept)
        if exact:
            value, error = exact_values(worth), np.zeros(len(steps))
        else:
            value, error = _sampled_values(worth, orders[row])
        tables.append(
            pd.DataFrame({"row": row, "step": steps, "shapley": value, "shapley_error": error})
        )
    return pd.concat(tables[1:] or tables, ignore_index=True)


@torch.no_grad()
def shapley_modalities(
    model: DepressionModel, features: dict[str, Tensor], masks: dict[str, Tensor]
) -> pd.DataFrame:
    """MicroBatch the evidence out among the modalities that each session has; exact.

    A removed modality is missing, as the model knows it from sessions without it. With none at all
    there is nothing to fuse: logits of zero, for two classes an undecided model.

    Parameters
    ----------
    model : a trained model in evaluation mode
    features, masks : encoded sessions, from ``DepressionModel.encode``

    Returns
    -------
    columns ``row`` (of the batch), ``modality`` and ``shapley``; the sum over a session is its
    evidence minus that of zero logits
    """
    names = list(masks)
    worth = []
    for members in subsets(len(names)):
        shown = {
            name: mask if member else torch.zeros_like(mask)
            for (name, mask), member in zip(masks.items(), members, strict=True)
        }
        evidence = model.head.logit(model.fuse(features, shown)[0]).double().cpu().numpy()
        empty = ~torch.stack(list(shown.values())).any(dim=(0, 2)).cpu().numpy()
        worth.append(np.where(empty, undecided_logit(model), evidence))
    value = exact_values(np.stack(worth))
    present = torch.stack([mask.any(dim=1) for mask in masks.values()]).cpu().numpy()
    row, modality = np.nonzero(present.T)
    return pd.DataFrame(
        {"row": row, "modality": np.array(names)[modality], "shapley": value[modality, row]}
    )


def subsets(players: int) -> NDArray[np.bool_]:
    """All subsets of n players, [2^n, n] bool; the bits of a row's number are its members."""
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def exact_values(worth: Array) -> Array:
    """Shapley values from the worth of all subsets (Shapley 1953).

    Parameters
    ----------
    worth : [2^n, ...] in the order of ``subsets``

    Returns
    -------
    [n, ...]
    """
    members = subsets(len(worth).bit_length() - 1)
    size, players = members.sum(axis=1), members.shape[1]
    values = []
    for player in range(players):
        without = np.flatnonzero(~members[:, player])
        weight = 1 / np.array([players * comb(players - 1, int(k)) for k in size[without]])
        values.append(np.tensordot(weight, worth[without + 2**player] - worth[without], axes=1))
    return np.stack(values)


def _antithetic_orders(steps: int, pairs: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Permutations, each followed by its reverse, [2 pairs, n]."""
    drawn = rng.permuted(np.tile(np.arange(steps), (pairs, 1)), axis=1)
    return np.stack([drawn, drawn[:, ::-1]], axis=1).reshape(2 * pairs, steps)


def _growing_sets(orders: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The empty set, the whole, and the first 1 ... n - 1 of each order, [2 + P (n - 1), n]."""
    steps = orders.shape[1]
    place = orders.argsort(axis=1)
    growing = place[:, None, :] < np.arange(1, steps)[:, None]
    ends = np.stack([np.zeros(steps, bool), np.ones(steps, bool)])
    return np.concatenate([ends, growing.reshape(-1, steps)])


def _sampled_values(worth: Array, orders: NDArray[np.int64]) -> tuple[Array, Array]:
    """Mean gain of each player over the orders, and its standard error over their pairs, [n]."""
    count, steps = orders.shape
    inner = worth[2:].reshape(count, steps - 1)
    path = np.concatenate(
        [np.full((count, 1), worth[0]), inner, np.full((count, 1), worth[1])], axis=1
    )
    gains = np.zeros((count, steps))
    np.put_along_axis(gains, orders, np.diff(path, axis=1), axis=1)
    of_pairs = gains.reshape(-1, 2, steps).mean(axis=1)
    return of_pairs.mean(axis=0), of_pairs.std(axis=0, ddof=1) / np.sqrt(len(of_pairs))
