"""A trained model's predictions on sessions, each once, whatever the number of processes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from depmm.config import Experiment
from depmm.data.batch import evaluation_batches
from depmm.data.dataset import SessionDataset
from depmm.data.task import TaskData


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
    columns ``number``, ``prediction`` (probability or score) and ``logits`` (what the head takes)
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    rows = []
    for number, inputs in evaluation_batches(dataset, numbers, batch_size, device, rank, world):
        output = model(**inputs)
        rows.append(
            pd.DataFrame(
                {
                    "number": number,
                    "prediction": output.prediction.double().cpu(),
                    "logits": list(output.logits.double().cpu().numpy()),
                }
            )
        )
    model.train(was_training)
    if not rows:
        return pd.DataFrame({"number": [], "prediction": [], "logits": []})
    return pd.concat(rows, ignore_index=True)


def prediction_table(config: Experiment, data: TaskData, table: pd.DataFrame) -> pd.DataFrame:
    """Join predictions with who, what and which split: the columns of ``predictions.parquet``."""
    sessions = data.sessions.iloc[table["number"]].reset_index(drop=True)
    binary = config.task.kind == "binary"
    missing = pd.Series(np.nan, sessions.index)
    return sessions[["corpus", "subject", "session", "split"]].assign(
        fold=config.split.fold,
        seed=config.seed,
        y_true=(sessions["target"] if binary else missing).astype("Int8"),
        y_prob=table["prediction"] if binary else missing,
        score_true=missing if binary else sessions["target"],
        score=missing if binary else table["prediction"],
        gender=sessions["gender"],
        instrument=sessions["instrument"],
    )
