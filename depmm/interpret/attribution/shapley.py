"""Shapley values of the steps and of the modalities of a session.

The players are steps or modalities; the worth of a coalition is the logit with all other players
removed. For any model, the values of a session sum to its logit minus the logit with all players
removed.

References
----------
Shapley, Contributions to the Theory of Games II, Princeton University Press, 1953, pp. 307-317.
Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017.
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
    Reference,
    compute_kept_logits,
    compute_undecided_logit,
    list_sessions,
)
from depmm.models.model import DepressionModel

EXACT_STEPS = 8  # up to this number, the 2^n subsets need fewer passes than the default sample
PAIRS = 32  # antithetic pairs of permutations


def compute_step_shapley(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    reference: Reference,
    seeds: Sequence[int],
    pairs: int = PAIRS,
) -> pd.DataFrame:
    """Compute the Shapley values of the steps of each session.

    A removed step is replaced by its reference, which is the same in all coalitions: a step that
    the model does not read has the value 0, and the values sum to the logit minus that of a session
    whose steps are all replaced (``occlusion.remove_all_steps``). For sessions of more than
    ``EXACT_STEPS`` steps the values are estimated: steps are added in the order of random
    permutations and of their reverses, and the gains of each step are averaged.

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
    seeds : sequence of int
        One seed per session (``session_seed``), for its permutations.
    pairs : int, default 32
        Number of pairs of a permutation and its reverse, at least 2.

    Returns
    -------
    DataFrame
        One row per step with the columns ``row`` (of the batch), ``step``, ``shapley`` (positive:
        the step raises the logit) and ``shapley_error`` (standard error over the pairs; 0 if the
        value is exact). Sessions with fewer than ``reference.min_steps`` steps have no rows.

    Raises
    ------
    ValueError
        If there are fewer than 2 pairs.

    References
    ----------
    Mitchell et al., "Sampling permutations for Shapley value estimation", JMLR 23(43), 2022,
    Sec. 3.1 (antithetic sampling).
    """
    if pairs < 2:
        raise ValueError(
            f"pairs={pairs}: the standard error needs at least 2 pairs of permutations."
        )
    sessions = list_sessions(masks, reference.min_steps)
    length = next(iter(masks.values())).shape[1]
    orders = {
        row: _draw_antithetic_orders(len(steps), pairs, np.random.default_rng(seeds[row]))
        for row, steps in sessions
        if len(steps) > EXACT_STEPS
    }
    tables = [pd.DataFrame({"row": [], "step": [], "shapley": [], "shapley_error": []})]
    tables[0] = tables[0].astype({"row": int, "step": int})
    for row, steps in sessions:
        exact = row not in orders
        coalitions = list_subsets(len(steps)) if exact else _list_growing_sets(orders[row])
        kept = np.zeros((len(coalitions), length), bool)
        kept[:, steps] = coalitions
        worth = compute_kept_logits(
            model, features, masks, reference, np.full(len(kept), row), kept
        )
        if exact:
            value, error = compute_exact_values(worth), np.zeros(len(steps))
        else:
            value, error = _average_gains(worth, orders[row])
        tables.append(
            pd.DataFrame({"row": row, "step": steps, "shapley": value, "shapley_error": error})
        )
    return pd.concat(tables[1:] or tables, ignore_index=True)


@torch.no_grad()
def compute_modality_shapley(
    model: DepressionModel, features: dict[str, Tensor], masks: dict[str, Tensor]
) -> pd.DataFrame:
    """Compute the exact Shapley values of the modalities of each session.

    A removed modality is treated as missing. Without any modality, the output is zero.

    Parameters
    ----------
    model : DepressionModel
        A trained model in evaluation mode.
    features : dict of str to Tensor, shape (B, L, D)
        Encoded sessions, from ``DepressionModel.encode``.
    masks : dict of str to Tensor, shape (B, L)
        True where the modality of a step is present.

    Returns
    -------
    DataFrame
        One row per modality that a session has, with the columns ``row`` (of the batch),
        ``modality`` and ``shapley``. The values of a session sum to its logit minus the logit of
        an output of zeros.
    """
    names = list(masks)
    worth = []
    for members in list_subsets(len(names)):
        coalition_masks = {
            name: mask if member else torch.zeros_like(mask)
            for (name, mask), member in zip(masks.items(), members, strict=True)
        }
        logit = model.head.logit(model.fuse(features, coalition_masks)[0]).double().cpu().numpy()
        empty = ~torch.stack(list(coalition_masks.values())).any(dim=(0, 2)).cpu().numpy()
        worth.append(np.where(empty, compute_undecided_logit(model), logit))
    value = compute_exact_values(np.stack(worth))
    present = torch.stack([mask.any(dim=1) for mask in masks.values()]).cpu().numpy()
    row, modality = np.nonzero(present.T)
    return pd.DataFrame(
        {"row": row, "modality": np.array(names)[modality], "shapley": value[modality, row]}
    )


def list_subsets(players: int) -> NDArray[np.bool_]:
    """List all subsets of n players.

    Parameters
    ----------
    players : int
        Number of players n.

    Returns
    -------
    ndarray of bool, shape (2 ** n, n)
        The members of each subset; they are the bits of its row index.
    """
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def compute_exact_values(worth: Array) -> Array:
    """Compute Shapley values from the worth of all subsets.

    Parameters
    ----------
    worth : ndarray, shape (2 ** n, ...)
        Worth of each subset, in the order of ``list_subsets``.

    Returns
    -------
    ndarray, shape (n, ...)
        Value of each player.

    References
    ----------
    Shapley, Contributions to the Theory of Games II, 1953, pp. 307-317.
    """
    members = list_subsets(len(worth).bit_length() - 1)
    size, players = members.sum(axis=1), members.shape[1]
    values = []
    for player in range(players):
        without = np.flatnonzero(~members[:, player])
        weight = 1 / np.array([players * comb(players - 1, int(k)) for k in size[without]])
        values.append(np.tensordot(weight, worth[without + 2**player] - worth[without], axes=1))
    return np.stack(values)


def _draw_antithetic_orders(steps: int, pairs: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw permutations, each followed by its reverse, shape (2 pairs, n)."""
    drawn = rng.permuted(np.tile(np.arange(steps), (pairs, 1)), axis=1)
    return np.stack([drawn, drawn[:, ::-1]], axis=1).reshape(2 * pairs, steps)


def _list_growing_sets(orders: NDArray[np.int64]) -> NDArray[np.bool_]:
    """List the empty set, all steps, and the first 1 ... n - 1 steps of each order."""
    steps = orders.shape[1]
    rank = orders.argsort(axis=1)
    growing = rank[:, None, :] < np.arange(1, steps)[:, None]
    ends = np.stack([np.zeros(steps, bool), np.ones(steps, bool)])
    return np.concatenate([ends, growing.reshape(-1, steps)])


def _average_gains(worth: Array, orders: NDArray[np.int64]) -> tuple[Array, Array]:
    """Average the gains of each player over orders; compute the standard error over pairs."""
    count, steps = orders.shape
    inner = worth[2:].reshape(count, steps - 1)
    path = np.concatenate(
        [np.full((count, 1), worth[0]), inner, np.full((count, 1), worth[1])], axis=1
    )
    gains = np.zeros((count, steps))
    np.put_along_axis(gains, orders, np.diff(path, axis=1), axis=1)
    pair_means = gains.reshape(-1, 2, steps).mean(axis=1)
    return pair_means.mean(axis=0), pair_means.std(axis=0, ddof=1) / np.sqrt(len(pair_means))
