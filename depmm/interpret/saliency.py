"""Which steps moved a prediction: occlusion, an intervention and not a weight."""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from depmm.data.batch import ShareSampler, collate, evaluation_shares
from depmm.data.dataset import SessionDataset
from depmm.models.masking import masked_mean
from depmm.models.model import DepressionModel


@torch.no_grad()
def occlude_steps(
    model: DepressionModel, dataset: SessionDataset, numbers: Sequence[int], batch_size: int = 8
) -> pd.DataFrame:
    """Measure what each step contributes: the logit with it minus the logit with a usual step.

    A step is replaced by the mean of the session's other steps, in each modality: what it adds is
    then how it differs from how this person reads other words. (To leave it out would shorten the
    session, and the encoders' windows over the last steps would move.) Signals are encoded once;
    only the fusion runs again for every step.

    Parameters
    ----------
    model : a trained model; evaluated as it is
    dataset, numbers : the sessions
    batch_size : sessions per forward pass

    Returns
    -------
    columns ``number`` (row of the dataset), ``step`` and ``contribution`` (positive: the step
    speaks for depression); the only step of a session has nothing to be replaced by and no row
    """
    model.eval()
    device = next(model.parameters()).device
    shares = evaluation_shares(numbers, batch_size)
    loader = DataLoader(dataset, batch_sampler=ShareSampler(shares, epoch=None), collate_fn=collate)
    rows = []
    for batch in loader:
        number = batch.pop("number")
        features, masks = model.encode(**{k: v.to(device) for k, v in batch.items()})
        full, _ = model.fuse(features, masks)
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
            change = (full[use] - usual)[:, 0].cpu()
            rows.append(
                pd.DataFrame(
                    {"number": number[use.cpu()], "step": step, "contribution": change.double()}
                )
            )
    if not rows:
        return pd.DataFrame({"number": [], "step": [], "contribution": []})
    return pd.concat(rows).sort_values(["number", "step"], ignore_index=True)


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
