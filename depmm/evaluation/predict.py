"""A trained model's predictions on sessions, each once, whatever the number of processes."""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader

from depmm.data.batch import ShareSampler, collate, evaluation_shares
from depmm.data.dataset import SessionDataset


@torch.no_grad()
def predict(
    model: nn.Module,
    dataset: SessionDataset,
    numbers: Sequence[int],
    batch_size: int,
    rank: int = 0,
    world: int = 1,
) -> pd.DataFrame:
    """Predict this process's share of some sessions.

    Parameters
    ----------
    model : a ``DepressionModel``; it is in evaluation mode during the call
    dataset : the sessions; no training draws are made
    numbers : rows of the dataset
    batch_size : sessions per forward pass; it does not change a prediction
    rank, world : this process and their number

    Returns
    -------
    columns ``number``, ``prediction`` (probability or score) and ``logit``
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    shares = evaluation_shares(numbers, batch_size, rank, world)
    loader = DataLoader(
        dataset,
        batch_sampler=ShareSampler(shares, epoch=None),
        collate_fn=collate,
        num_workers=dataset.settings.workers,
    )
    rows = []
    for batch in loader:
        number = batch.pop("number")
        output = model(**{name: value.to(device) for name, value in batch.items()})
        rows.append(
            pd.DataFrame(
                {
                    "number": number,
                    "prediction": output.prediction.double().cpu(),
                    "logit": output.logits[:, 0].double().cpu(),
                }
            )
        )
    model.train(was_training)
    if not rows:
        return pd.DataFrame({"number": [], "prediction": [], "logit": []})
    return pd.concat(rows, ignore_index=True)
