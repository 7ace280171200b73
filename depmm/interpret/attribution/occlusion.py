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
    columns ``row`` (of the batch), ``step``, ``occlusion`` (positive: the step speaks for
    depression) and ``occlusion_<modality>`` (that modality of the step alone is replaced; nan where
    it is not there or has nothing to be replaced by); a step that nothing can replace, as the only
    one of a session, has no row
    """
    full, _ = model.fuse(features, masks)
    evidence = model.head.logit(full)
    replaced = {"occlusion": list(masks)}
    if len(masks) > 1:
        replaced |= {f"occlusion_{name}": [name] for name in masks}
    tables = []
    for step in range(next(iter(masks.values())).shape[1]):
        others = {name: _without(mask, step) for name, mask in masks.items()}
        usual = {name: _replaced(x, others[name], step) for name, x in features.items()}
        possible = {name: mask[:, step] & others[name].any(dim=1) for name, mask in masks.items()}
        table = {}
        for column, names in replaced.items():
            use = torch.stack([possible[name] for name in names]).any(dim=0)
            change = torch.full_like(evidence, torch.nan)
            if bool(use.any()):
                mixed = {name: (usual if name in names else features)[name] for name in masks}
                fused, _ = model.fuse(
                    {name: x[use] for name, x in mixed.items()},
                    {name: mask[use] for name, mask in masks.items()},
                )
                change[use] = evidence[use] - model.head.logit(fused)
            table[column] = change.double().cpu()
        tables.append(pd.DataFrame({"row": range(len(full)), "step": step, **table}))
    result = pd.concat(tables, ignore_index=True)
    if len(masks) == 1:
        result[f"occlusion_{next(iter(masks))}"] = result["occlusion"]
    return result.dropna(subset="occlusion", ignore_index=True)


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
