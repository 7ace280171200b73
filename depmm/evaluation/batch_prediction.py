"""A trained model's predictions on sessions, each once, whatever the number of processes."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import nn

from depmm.config import Experiment
from depmm.data.batch import evaluation_batches
from depmm.data.dataset import SessionDataset
from depmm.data.experiment_data import ExperimentData
from depmm.evaluation.covariates import COVARIATES


@torch.no_grad()
def predict_sessions(
    model: nn.Module,
    dataset: SessionDataset,
    indices: Sequence[int],
    batch_size: int,
    rank: int = 0,
    n_processes: int = 1,
    n_gate_samples: int = 0,
) -> pd.DataFrame:
    """Predict this process's share of some sessions.

    With ``draws`` each session is also predicted that often with sampled gates (Bernoulli fusion),
    seeded by its own key: the expectation stays the prediction, and their deviation stands beside.

    Parameters
    ----------
    model : a ``DepressionModel``; it is in evaluation mode during the call
    dataset : the sessions; no training draws are made
    indices : rows of the dataset
    batch_size : sessions per forward pass; it does not change a prediction
    rank, world : this process and their number
    draws : samples of the gates per session; 0: none

    Returns
    -------
    columns ``index``, ``prediction`` (probability or score), ``logits`` (what the head takes) and,
    with ``draws`` from 2 on and a fusion that has gates, ``gate_std`` (standard deviation over
    them)
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    rows = []
    for index, inputs in evaluation_batches(
        dataset, indices, batch_size, device, rank, n_processes
    ):
        sampled = None
        if n_gate_samples > 1:
            seeds = [session_seed(dataset.session_keys[row]) for row in index.tolist()]
            output, sampled = cast(Any, model).sample(n_gate_samples, seeds, **inputs)
        else:
            output = model(**inputs)
        table = pd.DataFrame(
            {
                "index": index,
                "prediction": output.prediction.double().cpu(),
                "logits": list(output.logits.double().cpu().numpy()),
            }
        )
        if sampled is not None:
            # from the first draw: equal draws, as of gates that are 0 or 1, deviate by exactly 0
            offset = (sampled - sampled[:1]).double()
            table["gate_std"] = offset.std(dim=0).cpu().numpy()
        rows.append(table)
    model.train(was_training)
    if not rows:
        return pd.DataFrame({"index": [], "prediction": [], "logits": []})
    return pd.concat(rows, ignore_index=True)


def session_seed(key: Sequence[str]) -> int:
    """Seed of a session's own random numbers, from corpus, subject and session alone."""
    text = "\x1f".join(key)  # no id holds a control character
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest())


def prediction_table(config: Experiment, data: ExperimentData, table: pd.DataFrame) -> pd.DataFrame:
    """Join predictions with who, what and which split: the columns of ``predictions.parquet``.

    Of ``COVARIATES`` those are there that are known of any session and are not what is predicted;
    ``gate_std`` is there where gates were sampled.
    """
    sessions = data.sessions.iloc[table["index"]].reset_index(drop=True)
    binary = config.target.kind == "binary"
    missing = pd.Series(np.nan, sessions.index)
    gate_std = {"gate_std": table["gate_std"].to_numpy()} if "gate_std" in table else {}
    known = {
        name: sessions[name]
        for name in COVARIATES
        if name in sessions
        and name != config.target.column
        and data.sessions[name].notna().any()  # in every fold the same columns
    }
    return sessions[["corpus", "subject", "session", "split"]].assign(
        fold=config.split.fold,
        seed=config.seed,
        y_true=(sessions["target"] if binary else missing).astype("Int8"),
        y_prob=table["prediction"] if binary else missing,
        score=missing if binary else sessions["target"],
        score_pred=missing if binary else table["prediction"],
        instrument=sessions["instrument"],
        **known,
        **gate_std,
    )
