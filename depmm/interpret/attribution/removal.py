"""Sessions whose steps are changed or removed, many at once: what explanations by removal share.

A removed step is not left out, which would shorten the session and move the encoders' windows over
the last steps: the mean of the steps that are kept takes its place, in each modality. The person
then reads it as they read the others, and nothing of it is left anywhere. Where no step is kept, it
is the mean of all: a person who reads every word alike. (Covert et al. 2021, "Explaining by
removing", Sec. 4, list the choices; one removed step is ``saliency.occlude_steps``.)
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depmm.models.masking import masked_mean
from depmm.models.model import DepressionModel

Array = NDArray[np.float64]
# of step features, or of what a fusion makes of them, held at a time: 64 MiB in float32
NUMBERS_AT_ONCE = 2**24
FUSION_WIDTH = 1024  # numbers that a fusion makes of a step, roughly; narrow features count as this

Change = Callable[[str, Tensor, Tensor, slice], Tensor]


def passes_at_once(features: dict[str, Tensor]) -> int:
    """Count the sessions of a batch's length that pass the fusion together."""
    width = sum(x.shape[2] for x in features.values())
    length = next(iter(features.values())).shape[1]
    return max(1, NUMBERS_AT_ONCE // (length * max(width, FUSION_WIDTH)))


def present_steps(masks: dict[str, Tensor]) -> Tensor:
    """Steps with any modality, Tensor[B, L] bool."""
    return torch.stack(list(masks.values())).any(dim=0)


def explained_sessions(masks: dict[str, Tensor]) -> list[tuple[int, NDArray[np.int64]]]:
    """List the sessions whose steps can be replaced by others, each with its steps.

    Returns
    -------
    row of the batch and numbers of its steps; a session with a single step has nothing to put in
    its place and is not listed
    """
    there = present_steps(masks).cpu().numpy()
    return [(row, np.flatnonzero(steps)) for row, steps in enumerate(there) if steps.sum() > 1]


@torch.no_grad()
def undecided_logit(model: DepressionModel) -> float:
    """Evidence of logits of zero, as of a session without anything: for two classes, of p = 0.5."""
    device = next(model.parameters()).device
    return model.head.logit(torch.zeros(model.head.out_features, device=device)).item()


@torch.no_grad()
def changed_logits(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    rows: Tensor,
    change: Change,
) -> Array:
    """Measure the evidence of many changed copies of a batch's sessions.

    Parameters
    ----------
    model : a trained model in evaluation mode
    features, masks : encoded sessions, from ``DepressionModel.encode``
    rows : Tensor[N] int, the session of each copy
    change : called with a modality, its features Tensor[n, L, D] and mask Tensor[n, L] of some of
        the copies, and which of the N these are; returns the changed features

    Returns
    -------
    float64[N]
    """
    values = [np.zeros(0)]
    size = passes_at_once(features)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        taken = {name: mask[rows[part]] for name, mask in masks.items()}
        changed = {
            name: change(name, x[rows[part]], taken[name], part) for name, x in features.items()
        }
        logits, _ = model.fuse(changed, taken)
        values.append(model.head.logit(logits).double().cpu().numpy())
    return np.concatenate(values)


def kept_logits(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    rows: NDArray[np.int64],
    kept: NDArray[np.bool_],
) -> Array:
    """Measure the evidence with some steps kept and all others removed.

    Parameters
    ----------
    model, features, masks : as in ``changed_logits``
    rows : [N] int, the session of each copy
    kept : [N, L] bool

    Returns
    -------
    float64[N]
    """
    device = next(iter(features.values())).device
    stay = torch.from_numpy(kept).to(device)

    def remove(name: str, x: Tensor, there: Tensor, part: slice) -> Tensor:
        left = stay[part] & there
        usual = masked_mean(x, torch.where(left.any(dim=1, keepdim=True), left, there))
        return torch.where((there & ~left).unsqueeze(-1), usual.unsqueeze(1), x)

    return changed_logits(model, features, masks, torch.from_numpy(rows).to(device), remove)
