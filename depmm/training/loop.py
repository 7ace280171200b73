"""Training: one function, from a config to a run folder.

The same function runs on one CPU or under ``accelerate launch`` on many GPUs. Everything random in
an epoch follows from (seed, epoch, process), so that a run that was interrupted and started again
ends with the weights of one that was not.
"""

import contextlib
import shutil
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, gather_object
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from transformers.utils import logging

from depmm.config import Config
from depmm.corpora.splits import write_split
from depmm.data.batch import ShareSampler, collate, plan_epoch
from depmm.data.task import TaskData, load_task
from depmm.evaluation.metrics import auroc, rmse, unit_weights
from depmm.evaluation.predict import predict
from depmm.models.model import DepressionModel, build_model
from depmm.training.checkpoint import load_checkpoint, save_checkpoint
from depmm.training.losses import batch_loss, session_weights
from depmm.training.optim import build_optimizer, set_learning_rate, warmup_cosine
from depmm.training.run_folder import RunFolder, write_table

Say = Callable[[str], None]


def build_accelerator(config: Config) -> Accelerator:
    """Open the device or devices that the launcher gave.

    A batch may hold nobody with a face: its encoder is then unused, which DDP must expect.
    """
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(mixed_precision=config.training.mixed_precision, kwargs_handlers=[unused])


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
    TaskError, StoreError, SplitError, ManifestError : the data do not fit the config
    """
    settings = config.training
    rank, world = accelerator.process_index, accelerator.num_processes
    speak: Say = say if accelerator.is_main_process else lambda line: None
    data = load_task(config)
    if accelerator.is_main_process:
        run.open(config)
        write_split(data.sessions[["corpus", "subject", "split"]].drop_duplicates(), run.split)
    accelerator.wait_for_everyone()
    if run.finished:
        speak(f"{run.path}: finished before, nothing to do")
        return
    describe(data, accelerator, speak)

    torch.manual_seed(config.seed)
    bare = build_model(config.model, config.task.kind, data.score_range)
    optimizer = build_optimizer(bare, settings.learning_rate, settings.weight_decay)
    model, optimizer = accelerator.prepare(bare, optimizer)
    target = torch.tensor(data.sessions["target"].to_numpy(), dtype=torch.float32)
    target = target.to(accelerator.device)
    people = data.numbers("train")
    labels = data.sessions["target"].to_numpy()[people]
    weights = session_weights(labels, settings.class_weights).tolist()
    per_epoch = -(-len(people) // settings.batch_size)
    schedule = (round(settings.warmup_epochs * per_epoch), settings.epochs * per_epoch)

    progress: dict[str, Any] = {"epoch": 0, "best": None, "best_epoch": -1, "history": []}
    checkpoint = run.checkpoints / "last.safetensors"
    if checkpoint.is_file():
        progress = load_checkpoint(checkpoint, bare, optimizer)
        speak(f"{run.path}: goes on after epoch {progress['epoch']}")
    board = SummaryWriter(run.path / "tensorboard") if accelerator.is_main_process else None

    for epoch in range(progress["epoch"], settings.epochs):
        if epoch - progress["best_epoch"] > settings.patience:
            speak(f"no gain on validation for {settings.patience} epochs: stopped")
            break
        began = time.perf_counter()
        torch.manual_seed(np.random.SeedSequence((config.seed, epoch, rank)).generate_state(1)[0])
        plan = plan_epoch(
            weights, settings.batch_size, epoch, config.seed, settings.accumulate, rank, world
        )
        model.train()
        total, step = torch.zeros((), device=accelerator.device), epoch * per_epoch
        for share, batch in zip(plan, _loader(data, plan, people, epoch), strict=True):
            number = batch.pop("number")
            inputs = {name: value.to(accelerator.device) for name, value in batch.items()}
            share_of_loss = torch.tensor(share.weights, device=accelerator.device)
            # gradients travel between processes once per optimizer step
            with contextlib.nullcontext() if share.last else accelerator.no_sync(model):
                output = model(**inputs)
                loss = batch_loss(
                    bare.head, output, target[number], share_of_loss, settings.step_loss
                )
                accelerator.backward(loss * world)  # DDP averages, the plan's shares add up
            total += loss.detach()
            if share.last:
                accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm)
                factor = warmup_cosine(step, *schedule)
                set_learning_rate(optimizer, settings.learning_rate * factor)
                optimizer.step()
                optimizer.zero_grad()
                step += 1

        row: dict[str, Any] = {
            "epoch": epoch + 1,
            "train_loss": float(accelerator.reduce(total, "sum")) / per_epoch,
            "learning_rate": settings.learning_rate * factor,
            **validate(config, data, bare, accelerator),
            "seconds": time.perf_counter() - began,
        }
        measure = row[f"val_{settings.monitor}"]
        gain = -measure if settings.monitor != "auroc" else measure
        if progress["best"] is None or gain > progress["best"]:
            progress |= {"best": gain, "best_epoch": epoch}
            if accelerator.is_main_process:
                save_file({n: t.contiguous() for n, t in bare.state_dict().items()}, run.best)
        progress["history"].append(row)
        progress["epoch"] = epoch + 1
        if board is not None:
            save_checkpoint(checkpoint, bare, optimizer, progress)
            write_table(pd.DataFrame(progress["history"]), run.history)
            for name in row.keys() - {"epoch"}:
                board.add_scalar(name, row[name], epoch + 1)
        speak(_line(row, config, best=progress["best_epoch"] == epoch))

    if board is not None:
        board.close()
    finish(config, data, bare, run, accelerator)
    speak(f"{run.path}: best epoch {progress['best_epoch'] + 1}, predictions written")


def describe(data: TaskData, accelerator: Accelerator, say: Say) -> None:
    """Say what computes, who takes part and who does not."""
    world = accelerator.num_processes
    say(f"{world} process{'es' if world > 1 else ''} on {accelerator.device.type}")
    for split, rows in data.sessions.groupby("split"):
        people = rows[["corpus", "subject"]].drop_duplicates()
        say(f"{split}: {len(rows)} sessions of {len(people)} people")
    for reason, count in data.left_out.items():
        say(f"left out: {count} sessions ({reason})")


def _loader(data: TaskData, plan: list[Any], people: list[int], epoch: int) -> DataLoader[Any]:
    """Batches of a plan, whose numbers count training sessions."""
    shares = [
        type(share)([people[number] for number in share.numbers], share.weights, share.last)
        for share in plan
    ]
    return DataLoader(
        data.dataset,
        batch_sampler=ShareSampler(shares, epoch),
        collate_fn=collate,
        num_workers=data.dataset.settings.workers,
    )


def validate(
    config: Config, data: TaskData, model: DepressionModel, accelerator: Accelerator
) -> dict[str, float]:
    """Loss and one metric on the validation people."""
    table = predict_everywhere(config, data, model, data.numbers("validation"), accelerator)
    truth = data.sessions["target"].iloc[table["number"]].to_numpy()
    losses = model.head.loss(
        torch.tensor(table["logit"].to_numpy()).unsqueeze(-1), torch.tensor(truth)
    )
    weight = session_weights(truth, config.training.class_weights)
    row = {"val_loss": float((losses.numpy() * weight).mean())}
    metric = auroc if config.task.kind == "binary" else rmse
    value = metric(truth, table["prediction"].to_numpy(), unit_weights(len(table)))
    return row | {f"val_{metric.__name__}": float(value[0])}


def predict_everywhere(
    config: Config,
    data: TaskData,
    model: DepressionModel,
    numbers: list[int],
    accelerator: Accelerator,
) -> pd.DataFrame:
    """Predict sessions on all processes; every process gets the whole table, in order."""
    rank, world = accelerator.process_index, accelerator.num_processes
    mine = predict(model, data.dataset, numbers, config.training.batch_size, rank, world)
    everyone = gather_object([mine])
    table = pd.concat([part for part in everyone if len(part)], ignore_index=True)
    return table.astype({"number": int}).sort_values("number", ignore_index=True)


def finish(
    config: Config,
    data: TaskData,
    model: DepressionModel,
    run: RunFolder,
    accelerator: Accelerator,
) -> None:
    """Go back to the best epoch, save the model, predict every session of every split."""
    accelerator.wait_for_everyone()
    model.load_state_dict(load_file(run.best))
    everyone = list(range(len(data.sessions)))
    table = predict_everywhere(config, data, model, everyone, accelerator)
    if accelerator.is_main_process:
        logging.disable_progress_bar()  # one small file needs none
        model.save_pretrained(run.path)
        write_table(prediction_table(config, data, table), run.predictions)
        shutil.rmtree(run.checkpoints)
    accelerator.wait_for_everyone()


def prediction_table(config: Config, data: TaskData, table: pd.DataFrame) -> pd.DataFrame:
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


def _line(row: dict[str, Any], config: Config, best: bool) -> str:
    metric = "auroc" if config.task.kind == "binary" else "rmse"
    return (
        f"epoch {row['epoch']:3d}/{config.training.epochs}  train loss {row['train_loss']:.3f}  "
        f"validation loss {row['val_loss']:.3f} {metric} {row[f'val_{metric}']:.3f}  "
        f"{row['seconds']:.1f} s{'  *' if best else ''}"
    )
