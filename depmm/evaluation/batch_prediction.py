"""Predictions of a trained model on sessions, and the table that a run writes."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import nn

from depmm.config import Experiment
from depmm.data.batch import SessionLoader
from depmm.data.dataset import SessionDataset
from depmm.data.experiment_data import ExperimentData
from depmm.device import float32_precision
from depmm.evaluation.covariates import COVARIATES, NUMERIC_COVARIATES
from depmm.progress import show
from depmm.schemas.predictions import PREDICTIONS


@torch.no_grad()
def predict_sessions(
    model: nn.Module,
    source: SessionDataset | SessionLoader,
    indices: Sequence[int],
    batch_size: int,
    rank: int = 0,
    n_processes: int = 1,
    n_gate_samples: int = 0,
) -> pd.DataFrame:
    """Predict the sessions that are assigned to this process.

    If ``n_gate_samples`` is at least 2, each session is also predicted that many times with sampled
    gates (Bernoulli fusion); the seed depends on the session only (``session_seed``). The
    prediction remains the expectation, and the standard deviation of the samples is added.

    Parameters
    ----------
    model : Module
        A ``DepressionModel``; it is in evaluation mode during the call.
    source : SessionDataset or SessionLoader
        The sessions, or a loader on the device of the model that is used several times; training
        augmentation is not applied.
    indices : sequence of int
        Indices of the sessions of all processes in the dataset.
    batch_size : int
        Sessions per forward pass; it has no effect on a prediction.
    rank : int, default 0
        Index of this process.
    n_processes : int, default 1
        Number of processes.
    n_gate_samples : int, default 0
        Number of gate samples per session.

    Returns
    -------
    DataFrame
        Columns ``index``, ``prediction`` (probability or score), ``logits`` (model output before
        the head maps it to a prediction) and, if gates were sampled, ``gate_std``.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    loader = SessionLoader(source, device) if isinstance(source, SessionDataset) else source
    dataset = cast(SessionDataset, loader.dataset)
    indices_read, outputs, samples = [], [], []
    n_sessions = len(indices[rank::n_processes])
    with float32_precision("highest", device), show("predict", n_sessions, "sessions") as task:
        for index, inputs in loader.evaluate(indices, batch_size, rank, n_processes):
            if n_gate_samples > 1:
                seeds = [session_seed(dataset.session_keys[row]) for row in index.tolist()]
                output, sampled = cast(Any, model).sample(n_gate_samples, seeds, inputs)
                if sampled is not None:
                    samples.append(sampled)
            else:
                output = model(inputs)
            indices_read.append(index)
            task.advance(len(index))
            outputs.append(torch.cat([output.prediction.unsqueeze(1), output.logits], dim=1))
    model.train(was_training)
    if not outputs:
        return pd.DataFrame({"index": [], "prediction": [], "logits": []})
    # read from the device after the last batch, so that the device never waits for the host
    values = torch.cat(outputs).cpu().double().numpy()
    table = pd.DataFrame(
        {
            "index": torch.cat(indices_read),
            "prediction": values[:, 0],
            "logits": list(values[:, 1:]),
        }
    )
    if samples:
        sampled = torch.cat(samples, dim=1).cpu()
        # relative to the first sample: equal samples (gates of 0 or 1) then give exactly 0
        table["gate_std"] = (sampled - sampled[:1]).double().std(dim=0).numpy()
    return table


def session_seed(key: Sequence[str]) -> int:
    """Derive the seed of a session from its key alone.

    Parameters
    ----------
    key : sequence of str
        Corpus, subject and session.

    Returns
    -------
    int
        Seed of 56 bits.
    """
    text = "\x1f".join(key)  # ids hold no control characters
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest())


def prediction_table(config: Experiment, data: ExperimentData, table: pd.DataFrame) -> pd.DataFrame:
    """Build the rows of ``predictions.parquet`` from the predictions of all sessions.

    Covariates are included if they are known for any session and are not the target; ``gate_std``
    is included if gates were sampled.

    Parameters
    ----------
    config : Experiment
        Config of the run.
    data : ExperimentData
        Its sessions with target and split.
    table : DataFrame
        Result of ``predict_sessions``.

    Returns
    -------
    DataFrame
        The columns of ``PREDICTIONS``.
    """
    sessions = data.sessions.iloc[table["index"]].reset_index(drop=True)
    binary = config.target.kind == "binary"
    missing = pd.Series(np.nan, sessions.index)
    gate_std = {"gate_std": table["gate_std"].to_numpy()} if "gate_std" in table else {}
    covariates = {
        name: sessions[name].astype("float64")
        if name in (*NUMERIC_COVARIATES, "age")
        else sessions[name]
        for name in COVARIATES
        if name in sessions
        and name != config.target.column
        and data.sessions[name].notna().any()  # the same columns in every fold
    }
    rows = sessions[["corpus", "subject", "session", "split"]].assign(
        fold=config.split.fold,
        seed=config.seed,
        y_true=(sessions["target"] if binary else missing).astype("Int64"),
        y_prob=table["prediction"] if binary else missing,
        score=missing if binary else sessions["target"].astype("float64"),
        score_pred=missing if binary else table["prediction"],
        instrument=sessions["instrument"],
        **covariates,
        **gate_std,
    )
    PREDICTIONS.check(rows)
    return rows[[name for name in PREDICTIONS.names if name in rows]]
