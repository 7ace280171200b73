"""Training: one function, from a config to a run folder.

The same function runs on one CPU or under ``accelerate launch`` on many GPUs. Everything random in
an epoch follows from (seed, epoch, process), so that a run that was interrupted and started again
ends with the weights of one that was not.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, gather_object
from safetensors.torch import load_file, save_file
from torch.utils.tensorboard import SummaryWriter
from transformers.utils import logging

from depmm.config import Config, ConfigError, PhaseConfig, TrainingConfig
from depmm.corpora.splits import write_split
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.data.precompute import ensure_embeddings
from depmm.evaluation.batch_prediction import predict_sessions, prediction_table
from depmm.evaluation.stats.binary_metrics import auroc
from depmm.evaluation.stats.severity_metrics import rmse
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.models.model import DepressionModel, build_model
from depmm.models.weights import load_run, load_weights
from depmm.runs.folder import RunFolder, write_table, write_text
from depmm.runs.lineage import check_start
from depmm.training.checkpoint import (
    load_model,
    load_optimizer,
    load_trainable_state,
    save_checkpoint,
    trainable_state,
)
from depmm.training.feature_scaling import fit_scales
from depmm.training.learner import Learner, freeze
from depmm.training.learning_rate_search import search_learning_rate
from depmm.training.losses import session_weights

SEARCH_EPOCHS = 1_000_000  # a search of the learning rate draws as these epochs would

Say = Callable[[str], None]


def build_accelerator(config: Config) -> Accelerator:
    """Open the device or devices that the launcher gave.

    A batch may hold nobody with a face: its encoder is then unused, which DDP must expect.

    Raises
    ------
    ConfigError : half precision that the device does not compute in
    """
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    precision = config.training.mixed_precision
    accelerator = Accelerator(mixed_precision=precision, kwargs_handlers=[unused])
    if precision == "fp16" and accelerator.device.type == "cpu":
        # Accelerate would compute in full precision, and not say so
        raise ConfigError(
            "training.mixed_precision: fp16 needs a GPU, here is a CPU: use bf16 or no"
        )
    return accelerator


def train(config: Config, run: RunFolder, accelerator: Accelerator, say: Say = print) -> None:
    """Train one model, keep its best epoch on validation, predict every session.

    Parameters
    ----------
    config : the experiment, one fold of it
    run : where it is written; a run that was interrupted there goes on
    accelerator : from ``build_accelerator``
    say : receives a line per epoch, on the main process

    Raises
    ------
    ConfigError : the folder holds a run of another config
    DataError, StoreError, SplitError, ManifestError : the data do not fit the config
    LearningRateError : a learning rate was searched and none found
    ValueError : weights to start from do not fit, or know somebody who is tested
    """
    settings = config.training
    speak: Say = say if accelerator.is_main_process else lambda line: None
    data = load_experiment_data(config)
    if accelerator.is_main_process:
        run.open(config)
        write_split(data.sessions[["corpus", "subject", "split"]].drop_duplicates(), run.split)
    accelerator.wait_for_everyone()
    if run.finished:
        speak(f"{run.path}: finished before, nothing to do")
        return
    if accelerator.is_main_process:
        run.checkpoints.mkdir(exist_ok=True)
    describe(data, accelerator, speak)

    torch.manual_seed(config.seed)
    unwrapped_model = build_model(
        config.model, config.target.kind, data.score_range, config.target.output
    ).train()
    # an encoder freezes what it wants by itself; a phase may freeze more for a while
    frozen = {name for name, p in unwrapped_model.named_parameters() if not p.requires_grad}
    checkpoint = run.checkpoints / "last.safetensors"
    if not checkpoint.is_file():
        fit_scales(unwrapped_model, data, settings.batch_size)
    initialize(unwrapped_model, settings, run, data, accelerator, speak)
    progress: dict[str, Any] = {
        "epoch": 0, "best": None, "best_epoch": -1, "history": [], "rates": []
    }  # fmt: skip
    if checkpoint.is_file():
        progress = load_model(checkpoint, unwrapped_model, frozen)
        speak(f"{run.path}: goes on after epoch {progress['epoch']}")
    # after the weights have come, as it is their output that is kept
    rank, world = accelerator.process_index, accelerator.num_processes
    data = ensure_embeddings(unwrapped_model.encoders, data, accelerator.device, rank, world)
    accelerator.wait_for_everyone()
    board = SummaryWriter(run.path / "tensorboard") if accelerator.is_main_process else None

    everything = PhaseConfig(epochs=settings.epochs, learning_rate=settings.learning_rate)
    end = 0
    for number, phase in enumerate(settings.phases or [everything]):
        begin, end = end, end + phase.epochs
        if progress["epoch"] >= end:
            continue
        freeze(unwrapped_model, frozen, phase.freeze_encoders)
        learner = Learner(config, data, unwrapped_model, accelerator)
        if len(progress["rates"]) == number:
            progress["rates"].append(find_rate(learner, phase, begin, speak))
            if phase.learning_rate == "find":  # the search has moved its optimizer
                learner = Learner(config, data, unwrapped_model, accelerator)
        if progress["epoch"] > begin:
            load_optimizer(checkpoint, unwrapped_model, learner.optimizer)
        for epoch in range(max(progress["epoch"], begin), end):
            if epoch - max(progress["best_epoch"], begin - 1) > settings.patience:
                speak(f"no gain on validation for {settings.patience} epochs: stopped")
                break
            began = time.perf_counter()
            losses = [row["val_loss"] for row in progress["history"] if row["epoch"] > begin]
            row: dict[str, Any] = {
                "epoch": epoch + 1,
                **learner.epoch(epoch, begin, end, progress["rates"][number], losses),
                **validate(config, data, unwrapped_model, accelerator),
                "seconds": time.perf_counter() - began,
            }
            measure = row[f"val_{settings.monitor}"]
            gain = -measure if settings.monitor != "auroc" else measure
            if progress["best"] is None or gain > progress["best"]:
                progress |= {"best": gain, "best_epoch": epoch}
                if accelerator.is_main_process:
                    save_file(trainable_state(unwrapped_model, frozen), run.best)
            progress["history"].append(row)
            progress["epoch"] = epoch + 1
            if board is not None:
                save_checkpoint(checkpoint, unwrapped_model, learner.optimizer, progress, frozen)
                write_table(pd.DataFrame(progress["history"]), run.history)
                for name in row.keys() - {"epoch"}:
                    board.add_scalar(name, row[name], epoch + 1)
            speak(_line(row, config, best=progress["best_epoch"] == epoch))

    if board is not None:
        board.close()
    accelerator.wait_for_everyone()
    load_trainable_state(unwrapped_model, load_file(run.best), frozen)
    finish(config, data, unwrapped_model, run, accelerator)
    speak(f"{run.path}: best epoch {progress['best_epoch'] + 1}, predictions written")


def find_rate(learner: Learner, phase: PhaseConfig, begin: int, say: Say) -> float:
    """The phase's learning rate; searched on training sessions where it asks for that."""
    if phase.learning_rate != "find":
        return phase.learning_rate
    before = {name: value.clone() for name, value in learner.unwrapped_model.state_dict().items()}
    # draws of epochs that training never reaches
    batches = learner.gradients(SEARCH_EPOCHS + begin)

    def take_step(rate: float) -> float:
        loss = next(batches)
        learner.update(rate)
        return loss

    rate = search_learning_rate(take_step)
    learner.unwrapped_model.load_state_dict(before)
    learner.optimizer.zero_grad()
    say(f"learning rate found: {rate:.2g}")
    return rate


def initialize(
    unwrapped_model: DepressionModel,
    settings: TrainingConfig,
    run: RunFolder,
    data: ExperimentData,
    accelerator: Accelerator,
    say: Say,
) -> None:
    """Start from published weights and from another run, where asked; say and keep what matched."""
    reports = [
        load_weights(unwrapped_model.get_submodule(f"encoders.{name}.backbone.resnet"), path)
        for name, path in settings.weights.items()
    ]
    if settings.init_from is not None:
        say(check_start(settings.init_from, data.sessions))
        reports.append(load_run(unwrapped_model, settings.init_from))
    for report in reports:
        say(str(report))
    if reports and accelerator.is_main_process:
        content = [asdict(report) | {"path": str(report.path)} for report in reports]
        write_text(run.carried_over, json.dumps(content, indent=1))


def describe(data: ExperimentData, accelerator: Accelerator, say: Say) -> None:
    """Say what computes, who takes part and who does not."""
    world = accelerator.num_processes
    say(f"{world} process{'es' if world > 1 else ''} on {accelerator.device.type}")
    for split, rows in data.sessions.groupby("split"):
        people = rows[["corpus", "subject"]].drop_duplicates()
        say(f"{split}: {len(rows)} sessions of {len(people)} people")
    for reason, count in data.excluded.items():
        say(f"excluded: {count} sessions ({reason})")


def validate(
    config: Config, data: ExperimentData, model: DepressionModel, accelerator: Accelerator
) -> dict[str, float]:
    """Loss and one metric on the validation people."""
    table = predict_everywhere(config, data, model, data.indices("validation"), accelerator)
    truth = data.sessions["target"].iloc[table["index"]].to_numpy()
    device = next(model.parameters()).device
    logits = torch.tensor(np.stack(table["logits"].tolist()), dtype=torch.float32, device=device)
    with torch.no_grad():
        losses = model.head.loss(logits, torch.tensor(truth, dtype=torch.float32, device=device))
    # one loss of both classes, however often each is drawn in training
    weight = session_weights(truth, config.training.class_balance != "none")
    row = {"val_loss": float((losses.cpu().numpy() * weight).mean())}
    metric = auroc if config.target.kind == "binary" else rmse
    value = metric(truth, table["prediction"].to_numpy(), unit_weights(len(table)))
    return row | {f"val_{metric.__name__}": float(value[0])}


def predict_everywhere(
    config: Config,
    data: ExperimentData,
    model: DepressionModel,
    indices: list[int],
    accelerator: Accelerator,
    n_gate_samples: int = 0,
) -> pd.DataFrame:
    """Predict sessions on all processes; every process gets the whole table, in order."""
    rank, world = accelerator.process_index, accelerator.num_processes
    batch_size = config.training.batch_size
    mine = predict_sessions(model, data.dataset, indices, batch_size, rank, world, n_gate_samples)
    everyone = gather_object([mine])
    table = pd.concat([part for part in everyone if len(part)], ignore_index=True)
    return table.astype({"index": int}).sort_values("index", ignore_index=True)


def finish(
    config: Config,
    data: ExperimentData,
    model: DepressionModel,
    run: RunFolder,
    accelerator: Accelerator,
) -> None:
    """Save the model and predict every session of every split, as whoever loads it will."""
    accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # half precision was for training
    everyone = list(range(len(data.sessions)))
    n_gate_samples = config.evaluation.n_gate_samples
    table = predict_everywhere(config, data, model, everyone, accelerator, n_gate_samples)
    if accelerator.is_main_process:
        logging.disable_progress_bar()  # one small file needs none
        model.save_pretrained(run.path)
        write_table(prediction_table(config, data, table), run.predictions)
        shutil.rmtree(run.checkpoints)
    accelerator.wait_for_everyone()


def _line(row: dict[str, Any], config: Config, best: bool) -> str:
    metric = "auroc" if config.target.kind == "binary" else "rmse"
    return (
        f"epoch {row['epoch']:3d}/{config.training.epochs}  train loss {row['train_loss']:.3f}  "
        f"validation loss {row['val_loss']:.3f} {metric} {row[f'val_{metric}']:.3f}  "
        f"{row['seconds']:.1f} s{'  *' if best else ''}"
    )
