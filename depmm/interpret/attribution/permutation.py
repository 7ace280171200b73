"""What a step contributes, by exchange: another step of the same person is read in its place."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from depmm.interpret.attribution.removal import changed_logits, explained_sessions
from depmm.models.masking import masked_mean
from depmm.models.model import DepressionModel

DONORS = 32  # steps that are tried in the place of one; a session with more has some drawn


def permute_steps(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Measure what each step contributes: the evidence with it minus that with another, on average.

    Permutation importance (Breiman 2001, Sec. 10) within a session: each of its other steps is put
    in the place of one, and the changes are averaged. For a model that is linear in its steps this
    is occlusion exactly, whose replacement is the mean of these steps; otherwise it differs in that
    a model here only sees steps that the person really read, and never a smooth mean of them. Of a
    donor that lacks a modality, the mean of the other steps is taken.

    Parameters
    ----------
    model : a trained model in evaluation mode
    features, masks : encoded sessions, from ``DepressionModel.encode``
    seeds : one a session of the batch (``session_seed``), for the choice of donors in sessions of
        more than ``DONORS`` + 1 steps

    Returns
    -------
    columns ``row`` (of the batch), ``step``, ``permutation`` (positive: the step speaks for
    depression) and, with several modalities, ``permutation_<modality>`` (that modality of the step
    alone; null where absent); the only step of a session has no row
    """
    parts = [list(masks), *([name] for name in masks if len(masks) > 1)]
    names = ["permutation", *(f"permutation_{part[0]}" for part in parts[1:])]
    pairs = [np.zeros((0, 3), int)]
    for row, steps in explained_sessions(masks):
        pairs.append(_pairs(row, steps, seeds[row]))
    table = np.concatenate(pairs)
    row, step, donor = torch.from_numpy(table).to(next(iter(masks.values())).device).T
    full = changed_logits(model, features, masks, torch.arange(len(seeds)), _unchanged)
    result = pd.DataFrame(table[:, :2], columns=["row", "step"])
    for name, part in zip(names, parts, strict=True):
        changed = changed_logits(model, features, masks, row, _Exchange(step, donor, part))
        lacks = ~torch.stack([masks[one][row, step] for one in part]).any(dim=0).cpu().numpy()
        result[name] = np.where(lacks, np.nan, full[table[:, 0]] - changed)
    return result.groupby(["row", "step"], as_index=False).mean()


def _pairs(row: int, steps: np.ndarray, seed: int) -> np.ndarray:
    """Row, step and donor for every exchange in a session, [N, 3]."""
    rng = np.random.default_rng(seed)
    pairs = []
    for step in steps:
        donors = steps[steps != step]
        if len(donors) > DONORS:
            donors = rng.choice(donors, DONORS, replace=False)
        pairs += [(row, step, donor) for donor in donors]
    return np.array(pairs)


class _Exchange:
    """Put donors in the place of steps, in some modalities."""

    def __init__(self, step: Tensor, donor: Tensor, modalities: list[str]):
        self.step, self.donor, self.modalities = step, donor, modalities

    def __call__(self, name: str, x: Tensor, there: Tensor, part: slice) -> Tensor:
        if name not in self.modalities:
            return x
        step, donor = self.step[part], self.donor[part]
        copy = torch.arange(len(x), device=x.device)
        others = there.clone()
        others[copy, step] = False
        usual = masked_mean(x, others)
        given = torch.where(there[copy, donor].unsqueeze(-1), x[copy, donor], usual)
        use = there[copy, step] & others.any(dim=1)
        changed = x.clone()
        changed[copy, step] = torch.where(use.unsqueeze(-1), given, x[copy, step])
        return changed


def _unchanged(name: str, x: Tensor, there: Tensor, part: slice) -> Tensor:
    return x
