"""Which steps moved a prediction: occlusion, an intervention and not a weight."""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from depmm.data.batch import ShareSampler, collate, evaluation_shares
from depmm.data.dataset import SessionDataset
from depmm.models.model import DepressionModel


@torch.no_grad()
def occlude_steps(
    model: DepressionModel, dataset: SessionDataset, numbers: Sequence[int], batch_size: int = 8
) -> pd.DataFrame:
    """Measure what each step contributes: the logit with it minus the logit without it.

    Signals are encoded once; only the fusion runs again for every hidden step.

    Parameters
    ----------
    model : a trained model; evaluated as it is
    dataset, numbers : the sessions
    batch_size : sessions per forward pass

    Returns
    -------
    columns ``number`` (row of the dataset), ``step`` and ``contribution`` (positive: the step
    speaks for depression); the only step of a session cannot be hidden and has no row
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
        there = torch.stack(list(masks.values())).any(dim=0)
        for step in range(there.shape[1]):
            hidden = {name: _without(mask, step) for name, mask in masks.items()}
            left = torch.stack(list(hidden.values())).any(dim=0).any(dim=1)
            use = there[:, step] & left
            if not bool(use.any()):
                continue
            without, _ = model.fuse(
                {name: x[use] for name, x in features.items()},
                {name: mask[use] for name, mask in hidden.items()},
            )
            change = (full[use] - without)[:, 0].cpu()
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
