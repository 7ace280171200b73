"""Which steps moved a prediction: occlusion, an intervention and not a weight."""

import pandas as pd
import torch
from torch import Tensor

from depmm.models.masking import masked_mean
from depmm.models.model import DepressionModel


@torch.no_grad()
def occlude_steps(
    model: DepressionModel, features: dict[str, Tensor], masks: dict[str, Tensor]
) -> pd.DataFrame:
    """Measure what each step contributes: the evidence with it minus that with a usual step.

    A step is replaced by the mean of the session's other steps, in each modality: what it adds is
    then how it differs from how this person reads other words. (To leave it out would shorten the
    session, and the encoders' windows over the last steps would move.) Only the fusion runs again
    for every step.

    Parameters
    ----------
    model : a trained model in evaluation mode
    features, masks : encoded sessions, from ``DepressionModel.encode``

    Returns
    -------
    columns ``row`` (of the batch), ``step`` and ``contribution`` (positive: the step speaks for
    depression); the only step of a session has nothing to be replaced by and no row
    """
    full, _ = model.fuse(features, masks)
    tables = [pd.DataFrame({"row": [], "step": [], "contribution": []}).astype({"row": int})]
    for step in range(next(iter(masks.values())).shape[1]):
        others = {name: _without(mask, step) for name, mask in masks.items()}
        there = torch.stack([mask[:, step] for mask in masks.values()]).any(dim=0)
        use = there & torch.stack(list(others.values())).any(dim=0).any(dim=1)
        if not bool(use.any()):
            continue
        usual, _ = model.fuse(
            {name: _replaced(x, others[name], step)[use] for name, x in features.items()},
            {name: mask[use] for name, mask in masks.items()},
        )
        change = model.head.evidence(full[use]) - model.head.evidence(usual)
        rows = use.nonzero()[:, 0].cpu()
        tables.append(
            pd.DataFrame({"row": rows, "step": step, "contribution": change.double().cpu()})
        )
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _without(mask: Tensor, step: int) -> Tensor:
    hidden = mask.clone()
    hidden[:, step] = False
    return hidden


def _replaced(features: Tensor, others: Tensor, step: int) -> Tensor:
    """Put the mean of the other steps in the place of one; unchanged where there are none."""
    changed = features.clone()
    mean = masked_mean(features, others)
    changed[:, step] = torch.where(others.any(dim=1, keepdim=True), mean, features[:, step])
    return changed
