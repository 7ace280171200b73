"""Validation metrics and final predictions of a network, computed on all processes."""

import shutil

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from transformers.utils import logging as transformers_logging

from depmm.config import Config
from depmm.data.batch import SessionLoader
from depmm.data.experiment_data import ExperimentData
from depmm.evaluation.batch_prediction import predict_sessions, prediction_table
from depmm.evaluation.stats.binary_metrics import auroc
from depmm.evaluation.stats.severity_metrics import rmse
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.files.checksums import replacing, write_table
from depmm.files.writing import temporary_folder
from depmm.models.model import DepressionModel
from depmm.runs.folder import RunFolder
from depmm.runs.inference_facts import record_inference_facts
from depmm.runs.step_reference import measure_step_reference
from depmm.training.errors import TrainingError, propose_remedies
from depmm.training.losses import compute_session_weights


def validate(
    config: Config,
    data: ExperimentData,
    model: DepressionModel,
    accelerator: Accelerator,
    loader: SessionLoader,
) -> dict[str, float]:
    """Compute the loss and one metric on the validation sessions.

    Parameters
    ----------
    config : Config
        The experiment.
    data : ExperimentData
        Its sessions.
    model : DepressionModel
        The model, not wrapped.
    accelerator : Accelerator
        From ``build_accelerator``.
    loader : SessionLoader
        Reads the sessions.

    Returns
    -------
    dict of str to float
        ``val_loss``, and ``val_auroc`` (binary) or ``val_rmse``.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    sessions = data.indices("validation")
    table = predict_on_all_processes(config, model, sessions, accelerator, loader)
    target = data.sessions["target"].iloc[table["index"]].to_numpy()
    device = next(model.parameters()).device
    logits = torch.tensor(np.stack(table["logits"].tolist()), dtype=torch.float32, device=device)
    with torch.no_grad():
        losses = model.head.loss(logits, torch.tensor(target, dtype=torch.float32, device=device))
    # losses that are comparable between weighted_loss and oversample
    weight = compute_session_weights(target, config.training.class_balance != "none")
    row = {"val_loss": float((losses.cpu().numpy() * weight).mean())}
    if not np.isfinite(row["val_loss"]):  # the last step of an epoch can diverge unnoticed
        raise TrainingError(
            f"the validation loss is {row['val_loss']:.3g}: the training has diverged.",
            setting="training.learning_rate",
            value=config.training.learning_rate,
            remedy=propose_remedies(config.training),
        )
    metric = auroc if config.target.kind == "binary" else rmse
    value = metric(target, table["prediction"].to_numpy(), unit_weights(len(table)))
    return row | {f"val_{metric.__name__}": float(value[0])}


def predict_on_all_processes(
    config: Config,
    model: DepressionModel,
    sessions: list[int],
    accelerator: Accelerator,
    loader: SessionLoader,
    n_gate_samples: int = 0,
) -> pd.DataFrame:
    """Predict sessions, distributed over all processes.

    Parameters
    ----------
    config : Config
        The experiment.
    model : DepressionModel
        The model, not wrapped.
    sessions : list of int
        Indices of the sessions.
    accelerator : Accelerator
        From ``build_accelerator``.
    loader : SessionLoader
        Reads the sessions.
    n_gate_samples : int, default 0
        Number of samples of the Bernoulli gates per session.

    Returns
    -------
    DataFrame
        The table of ``predict_sessions`` for all sessions, in every process, sorted by index.
    """
    rank, world_size = accelerator.process_index, accelerator.num_processes
    # a session may have hundreds of the steps of which batch_size form a training batch
    batch_size = config.training.batch_size if config.training.unit == "session" else 1
    part = predict_sessions(model, loader, sessions, batch_size, rank, world_size, n_gate_samples)
    parts = gather_object([part])
    table: pd.DataFrame = pd.concat([part for part in parts if len(part)], ignore_index=True)
    table = table.astype({"index": int})
    return table.sort_values("index", ignore_index=True)


def save_and_predict(
    config: Config,
    data: ExperimentData,
    model: DepressionModel,
    run: RunFolder,
    accelerator: Accelerator,
    loader: SessionLoader,
    inner: bool = False,
) -> None:
    """Save the model and what inference needs, predict all sessions, remove the checkpoints.

    Parameters
    ----------
    config : Config
        The experiment.
    data : ExperimentData
        Its sessions.
    model : DepressionModel
        The trained model, not wrapped.
    run : RunFolder
        Folder of the run.
    accelerator : Accelerator
        From ``build_accelerator``.
    loader : SessionLoader
        Reads the sessions.
    inner : bool, default False
        Whether it is an inner run of a tuning, of which only the predictions are needed.
    """
    # full precision, as in predictions of the saved model: half precision is for training only
    accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    sessions = list(range(len(data.sessions)))
    n_gate_samples = config.evaluation.n_gate_samples
    table = predict_on_all_processes(config, model, sessions, accelerator, loader, n_gate_samples)
    rank, world_size = accelerator.process_index, accelerator.num_processes
    batch_size = config.training.batch_size if config.training.unit == "session" else 1
    reference = None
    if not inner:  # another pass over the training sessions
        reference = measure_step_reference(model, data, loader, batch_size, rank, world_size)
    if accelerator.is_main_process:
        transformers_logging.disable_progress_bar()  # the model is one small file
        with temporary_folder(run.path) as folder:  # transformers would follow links in run.path
            model.save_pretrained(folder)
            for file in sorted(folder.iterdir()):
                with replacing(run.path / file.name) as temporary:
                    file.replace(temporary)
        if reference is not None:
            reference.save(run.step_reference)
        predictions = prediction_table(config, data, table)
        if not inner:
            record_inference_facts(config, data, predictions, run.inference)
        write_table(run.predictions, predictions)
        shutil.rmtree(run.checkpoints)
    accelerator.wait_for_everyone()
