"""Permutation importance within a session: a step is replaced by other steps of the session."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from depmm.interpret.attribution.removal import (
    Change,
    compute_changed_logits,
    list_sessions,
)
from depmm.models.masking import masked_mean
from depmm.models.model import DepressionModel

DONORS = 32  # largest number of steps that replace one step; more are sampled


def permute_steps(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Compute the logit with each step minus the mean logit with another step in its place.

    Each of the session's other steps (donors) replaces the step once, and the changes are averaged.
    For a model that is linear in its steps, this is the change if the mean of these steps is the
    replacement. For other models the values differ: all inputs are steps that the subject
    actually read, and not a mean of steps. The values are always relative to the other steps of the
    session. If the modality of a donor is missing, the mean of the other steps is used. A modality
    that no other step of the session has is not exchanged.

    Parameters
    ----------
    model : DepressionModel
        A trained model in evaluation mode.
    features : dict of str to Tensor, shape (B, L, D)
        Encoded sessions, from ``DepressionModel.encode``.
    masks : dict of str to Tensor, shape (B, L)
        True where the modality of a step is present.
    seeds : sequence of int
        One seed per session (``session_seed``), for the choice of donors in sessions of more than
        ``DONORS`` + 1 steps.

    Returns
    -------
    DataFrame
        One row per step with the columns ``row`` (of the batch), ``step``, ``permutation``
        (positive: the step raises the logit) and, with several modalities,
        ``permutation_<modality>`` (that modality alone is replaced); NaN where no modality of the
        step is exchanged. Sessions with a single step have no rows.

    References
    ----------
    Breiman, "Random forests", Machine Learning 45, 2001, Sec. 10. The paper permutes between cases,
    and this function within a session.
    """
    replaced = {"permutation": list(masks)}
    if len(masks) > 1:
        replaced |= {f"permutation_{name}": [name] for name in masks}
    exchanges = np.concatenate(
        [
            np.zeros((0, 3), int),
            *(
                _list_exchanges(row, steps, seeds[row])
                for row, steps in list_sessions(masks, min_steps=2)
            ),
        ]
    )
    row, step, donor = torch.from_numpy(exchanges).to(next(iter(masks.values())).device).T
    sessions = torch.arange(len(seeds))
    full = compute_changed_logits(model, features, masks, sessions, lambda name, x, *_: x)
    result = pd.DataFrame(exchanges[:, :2], columns=["row", "step"])
    for column, names in replaced.items():
        exchange = _exchange_steps(step, donor, names)
        changed = compute_changed_logits(model, features, masks, row, exchange)
        exchanged = [masks[name][row, step] & (masks[name][row].sum(dim=1) > 1) for name in names]
        has_value = torch.stack(exchanged).any(dim=0).cpu().numpy()
        result[column] = np.where(has_value, full[exchanges[:, 0]] - changed, np.nan)
    return result.groupby(["row", "step"], as_index=False).mean()


def _list_exchanges(row: int, steps: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """List row, step and donor of every exchange in a session, shape (N, 3)."""
    rng = np.random.default_rng(seed)
    exchanges = []
    for step in steps:
        donors = steps[steps != step]
        if len(donors) > DONORS:
            donors = rng.choice(donors, DONORS, replace=False)
        exchanges += [(row, step, donor) for donor in donors]
    return np.array(exchanges)


def _exchange_steps(steps: Tensor, donors: Tensor, modalities: list[str]) -> Change:
    """Build the function that replaces the step of each copy by its donor, in some modalities."""

    def exchange(name: str, x: Tensor, mask: Tensor, part: slice) -> Tensor:
        if name not in modalities:
            return x
        step, donor = steps[part], donors[part]
        copy = torch.arange(len(x), device=x.device)
        others = mask.clone()
        others[copy, step] = False
        mean = masked_mean(x, others)
        donated = torch.where(mask[copy, donor].unsqueeze(-1), x[copy, donor], mean)
        replaceable = mask[copy, step] & others.any(dim=1)
        changed = x.clone()
        changed[copy, step] = torch.where(replaceable.unsqueeze(-1), donated, x[copy, step])
        return changed

    return exchange
