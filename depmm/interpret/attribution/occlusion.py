"""Occlusion: the change of the logit if a step is replaced by the session's mean step."""

import pandas as pd
import torch
from torch import Tensor

from depmm.models.masking import masked_mean
from depmm.models.model import DepressionModel


@torch.no_grad()
def occlude_steps(
    model: DepressionModel, features: dict[str, Tensor], masks: dict[str, Tensor]
) -> pd.DataFrame:
    """Compute the logit with each step minus the logit with a mean step in its place.

    A step is replaced by the mean of the session's other steps, in each modality. Its attribution
    therefore measures how it differs from the other steps of the same subject. (Without the step,
    the session would be shorter, and the stacks of the encoders would read other last steps.) Only
    the fusion is run again for every step.

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
        One row per step with the columns ``row`` (of the batch), ``step``, ``occlusion`` (positive:
        the step raises the logit) and ``occlusion_<modality>`` (that modality alone is replaced;
        NaN if it is missing or no other step has it). A step has no row if no other step can
        replace it, for example the only step of a session.
    """
    output, _ = model.fuse(features, masks)
    logit = model.head.logit(output)
    replaced = {"occlusion": list(masks)}
    if len(masks) > 1:
        replaced |= {f"occlusion_{name}": [name] for name in masks}
    tables = []
    for step in range(next(iter(masks.values())).shape[1]):
        others = {name: _exclude_step(mask, step) for name, mask in masks.items()}
        mean_step = {name: _replace_step(x, others[name], step) for name, x in features.items()}
        replaceable = {
            name: mask[:, step] & others[name].any(dim=1) for name, mask in masks.items()
        }
        table = {}
        for column, names in replaced.items():
            rows = torch.stack([replaceable[name] for name in names]).any(dim=0)
            change = torch.full_like(logit, torch.nan)
            if bool(rows.any()):
                mixed = {name: (mean_step if name in names else features)[name] for name in masks}
                output, _ = model.fuse(
                    {name: x[rows] for name, x in mixed.items()},
                    {name: mask[rows] for name, mask in masks.items()},
                )
                change[rows] = logit[rows] - model.head.logit(output)
            table[column] = change.double().cpu()
        tables.append(pd.DataFrame({"row": range(len(logit)), "step": step, **table}))
    result = pd.concat(tables, ignore_index=True)
    if len(masks) == 1:
        result[f"occlusion_{next(iter(masks))}"] = result["occlusion"]
    return result.dropna(subset="occlusion", ignore_index=True)


def _exclude_step(mask: Tensor, step: int) -> Tensor:
    others = mask.clone()
    others[:, step] = False
    return others


def _replace_step(features: Tensor, others: Tensor, step: int) -> Tensor:
    """Replace one step by the mean of the other steps, if there are any."""
    changed = features.clone()
    mean = masked_mean(features, others)
    changed[:, step] = torch.where(others.any(dim=1, keepdim=True), mean, features[:, step])
    return changed
