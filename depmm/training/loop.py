"""The training loop, one function from a config to the folder of a run.

The same function runs on one CPU or, with ``accelerate launch``, on many GPUs. All random numbers
of an epoch are seeded by (seed, epoch, process), so that a resumed run ends with the same weights
as a run without interruption.
"""

import logging
import time
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from depmm.config import Config, PhaseConfig, TrainingConfig
from depmm.data.batch import SessionLoader
from depmm.data.data_flow import record_data_summary
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.data.nuisance import encode_erased
from depmm.data.precompute import ensure_embeddings, ensure_streams
from depmm.device import float32_precision
from depmm.files.checksums import check, replacing, write_table
from depmm.models.model import build_model
from depmm.progress import show
from depmm.runs.folder import RunFolder
from depmm.schemas.manifest import SUBJECT_KEY
from depmm.schemas.runs import HISTORY
from depmm.shards import Shard
from depmm.training.adversarial import add_nuisance_heads, is_adversary_weak
from depmm.training.checkpoint import (
    check_frozen,
    hash_frozen,
    load_model,
    load_optimizer,
    load_trainable_state,
    save_checkpoint,
    trainable_state,
)
from depmm.training.early_stopping import NO_LOSS, count_steps_without_decrease
from depmm.training.erasure import erase_nuisance
from depmm.training.feature_scaling import fit_feature_scales
from depmm.training.initialization import initialize_weights, log_pretraining
from depmm.training.learning_rate_search import search_learning_rate
from depmm.training.phase import PhaseTrainer, freeze_parameters, open_training_loader
from depmm.training.prediction import save_and_predict, validate
from depmm.training.trackers import check_trackers, tracking

# the learning-rate search uses epoch numbers, and thus random batches, that no training reaches
SEARCH_EPOCH = 1_000_000

logger = logging.getLogger(__name__)


def train_network(
    config: Config,
    run: RunFolder,
    accelerator: Accelerator,
    inner: bool = False,
    log_common: bool = True,
) -> None:
    """Train a network, select its best epoch on validation subjects, and predict every session.

    Parameters
    ----------
    config : Config
        The experiment, one fold of it.
    run : RunFolder
        Folder of the run; an interrupted run is resumed, a finished run is not changed.
    accelerator : Accelerator
        From ``build_accelerator``.
    inner : bool, default False
        Whether it is an inner run of a tuning, of which only the predictions are needed.
    log_common : bool, default True
        As in ``run_experiment``.

    Raises
    ------
    ConfigError
        If the folder contains a run with another config, or the package of a tracker is missing.
    DataError, StoreError, SplitError, ManifestError
        If the data do not match the config.
    LearningRateError
        If a search finds no learning rate.
    RunError
        If the initial weights depend on a test subject, or the split has changed since the
        interrupted or finished training.
    LockedError
        If another process trains in the folder.
    DamagedFileError, WeightsError
        If a file of the interrupted training is damaged.
    TrainingError
        If the loss or a gradient is not finite.
    ValueError
        If the initial weights do not match the model.
    """
    data = load_experiment_data(config)
    if run.finished:
        run.open(config)
        run.check_split(data.subjects())
        logger.info("%s: already finished", run.path)
        return
    with run.locked() if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            run.open(config)
            run.write_split(data.subjects())
            run.checkpoints.mkdir(exist_ok=True)
        accelerator.wait_for_everyone()
        _train_network(config, run, data, accelerator, inner, log_common)


def _train_network(
    config: Config,
    run: RunFolder,
    data: ExperimentData,
    accelerator: Accelerator,
    inner: bool,
    log_common: bool,
) -> None:
    settings = config.training
    if not inner:
        check_trackers(settings.trackers)
    log_data(data, accelerator, log_common)
    if accelerator.is_main_process and log_common:
        log_pretraining(config, data)

    torch.manual_seed(config.seed)
    model = build_model(
        config.model, config.target.kind, data.score_range, config.target.output
    ).train()
    if accelerator.is_main_process and not inner:
        record_data_summary(config, data, run.data_summary, log_common, model.max_crops)
    add_nuisance_heads(model, data, settings.adversarial)
    if settings.concept_erasure is not None:
        encode_erased(data.sessions, settings.concept_erasure)  # an error, before the training
    # parameters that an encoder freezes are never trained; a phase may freeze further parameters
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    resumed = run.last_checkpoint.is_file()
    if not resumed:
        fit_feature_scales(model, data, settings.batch_size)
    initialize_weights(model, settings, run, data, write_report=accelerator.is_main_process)
    progress: dict[str, Any] = {
        "epoch": 0, "best": None, "best_epoch": -1, "history": [], "rates": [],
        "lowest_loss": NO_LOSS, "loss_scale": None, "frozen_sha256": hash_frozen(model, frozen),
    }  # fmt: skip
    if resumed:
        frozen_sha256 = progress["frozen_sha256"]
        progress = load_model(run.last_checkpoint, model, frozen)
        check_frozen(run.last_checkpoint, progress["frozen_sha256"], frozen_sha256)
        logger.info("%s: resumed after epoch %d", run.path, progress["epoch"])
    # after loading the weights, because the embeddings depend on them
    shard = Shard(accelerator.process_index, accelerator.num_processes)
    data = ensure_embeddings(model.encoders, data, accelerator.device, shard)
    ensure_streams(data, shard, config.data.workers)
    accelerator.wait_for_everyone()
    data.dataset.store.keep_crops()
    loader = SessionLoader(data.dataset, accelerator.device)
    training_loader = open_training_loader(settings, data, loader)

    single_phase = PhaseConfig(epochs=settings.epochs, learning_rate=settings.learning_rate)
    end = 0
    with (
        tracking([] if inner else settings.trackers, config, run, accelerator) as log_metrics,
        show("train", settings.epochs, "epochs", progress["epoch"]) as task,
    ):
        for index, phase in enumerate(settings.phases or [single_phase]):
            begin, end = end, end + phase.epochs
            if progress["epoch"] >= end:
                continue
            freeze_parameters(model, frozen, phase.freeze_encoders)
            trainer = PhaseTrainer(config, data, model, accelerator, training_loader)
            if len(progress["rates"]) == index:
                with float32_precision(settings.matmul_precision, accelerator.device):
                    progress["rates"].append(find_learning_rate(trainer, phase, begin))
                if phase.learning_rate == "find":  # the search has changed the optimizer's state
                    trainer = PhaseTrainer(config, data, model, accelerator, training_loader)
            if progress["epoch"] > begin:
                load_optimizer(run.last_checkpoint, model, trainer.optimizer)
                trainer.restore_loss_scale(progress["loss_scale"])
            for epoch in range(max(progress["epoch"], begin), end):
                if reason := find_reason_to_stop(settings, progress, epoch, begin):
                    logger.info("stopped: %s", reason)
                    break
                began = time.perf_counter()
                earlier = [row for row in progress["history"] if row["epoch"] > begin]
                val_losses = [row["val_loss"] for row in earlier]
                with float32_precision(settings.matmul_precision, accelerator.device):
                    trained, step_losses = trainer.train_epoch(
                        epoch, begin, end, progress["rates"][index], val_losses
                    )
                row: dict[str, Any] = {
                    "epoch": epoch + 1,
                    **trained,
                    **validate(config, data, model, accelerator, loader),
                    "seconds": time.perf_counter() - began,
                }
                if settings.patience_steps is not None:
                    lowest, waited = NO_LOSS if epoch == begin else progress["lowest_loss"]
                    progress["lowest_loss"] = count_steps_without_decrease(
                        step_losses.tolist(), lowest, waited, settings.patience_steps
                    )
                value = row[f"val_{settings.monitor}"]
                gain = value if settings.monitor == "auroc" else -value
                if progress["best"] is None or gain > progress["best"]:
                    progress |= {"best": gain, "best_epoch": epoch}
                    if accelerator.is_main_process:
                        with replacing(run.best_checkpoint) as temporary:
                            save_file(trainable_state(model, frozen), temporary)
                if is_adversary_weak(settings, epoch):
                    progress["best"] = None  # the next epoch replaces this one
                progress["history"].append(row)
                progress |= {"epoch": epoch + 1, "loss_scale": trainer.loss_scale()}
                if accelerator.is_main_process:
                    # before the checkpoint, after which the epoch is not trained again
                    write_table(run.history, HISTORY.build(progress["history"]))
                    save_checkpoint(run.last_checkpoint, model, trainer.optimizer, progress, frozen)
                log_metrics({name: row[name] for name in row.keys() - {"epoch"}}, epoch + 1)
                logger.info("%s", format_epoch(row, config, best=progress["best_epoch"] == epoch))
                task.advance(note=format_validation(row, config))

    accelerator.wait_for_everyone()
    check(run.best_checkpoint)
    load_trainable_state(model, load_file(run.best_checkpoint), frozen, run.best_checkpoint)
    model.nuisance_heads = None
    erase_nuisance(model, data, settings.concept_erasure, settings.batch_size)
    save_and_predict(config, data, model, run, accelerator, loader, inner)
    logger.info("%s: best epoch %d, predictions written", run.path, progress["best_epoch"] + 1)


def find_reason_to_stop(
    settings: TrainingConfig, progress: dict[str, Any], epoch: int, begin: int
) -> str | None:
    """Find out whether a phase ends before its last epoch.

    Parameters
    ----------
    settings : TrainingConfig
        ``patience`` and ``patience_steps``.
    progress : dict of str to object
        ``best_epoch`` and ``lowest_loss`` so far.
    epoch : int
        Index of the next epoch.
    begin : int
        First epoch of the phase.

    Returns
    -------
    str or None
        The reason, or None if the training continues.
    """
    patience, steps = settings.patience, settings.patience_steps
    if patience is not None and epoch - max(progress["best_epoch"], begin - 1) > patience:
        return f"no improvement for {patience} epochs"
    if steps is not None and epoch > begin and progress["lowest_loss"][1] >= steps:
        return f"no lower training loss for {steps} optimizer steps"
    return None


def find_learning_rate(trainer: PhaseTrainer, phase: PhaseConfig, begin: int) -> float:
    """Return the learning rate of a phase, or search it on training sessions.

    The search restores the weights, but not the state of the optimizer.

    Parameters
    ----------
    trainer : PhaseTrainer
        Trainer of the phase.
    phase : PhaseConfig
        Settings of the phase.
    begin : int
        First epoch of the phase.

    Returns
    -------
    float
        The learning rate before the schedule.

    Raises
    ------
    LearningRateError
        If no learning rate is found.
    """
    if phase.learning_rate != "find":
        return phase.learning_rate
    before = {name: value.clone() for name, value in trainer.unwrapped_model.state_dict().items()}
    gradients = trainer.iterate_gradients(SEARCH_EPOCH + begin)

    def take_step(rate: float) -> float:
        loss = next(gradients)
        trainer.update(rate)
        return loss

    rate = search_learning_rate(take_step)
    trainer.unwrapped_model.load_state_dict(before)
    trainer.optimizer.zero_grad()
    logger.info("learning rate found: %.2g", rate)
    return rate


def log_data(data: ExperimentData, accelerator: Accelerator, log_common: bool) -> None:
    """Log the devices, the sessions of each split, and the excluded sessions.

    Parameters
    ----------
    data : ExperimentData
        Sessions of the experiment.
    accelerator : Accelerator
        Devices and processes.
    log_common : bool
        Whether to log devices and excluded sessions, which all folds have in common.
    """
    if log_common:
        world_size = accelerator.num_processes
        processes = "process" if world_size == 1 else "processes"
        logger.info("%d %s on %s", world_size, processes, accelerator.device.type)
    for split, rows in data.sessions.groupby("split"):
        subjects = rows[SUBJECT_KEY].drop_duplicates()
        logger.info("%s: %d sessions of %d subjects", split, len(rows), len(subjects))
    for reason, count in data.excluded.items() if log_common else ():
        logger.info("excluded: %d sessions (%s)", count, reason)


def format_epoch(row: dict[str, Any], config: Config, best: bool) -> str:
    """Format the log message of an epoch; ``*`` marks the best epoch so far.

    Parameters
    ----------
    row : dict of str to object
        Row of ``history.parquet``.
    config : Config
        The experiment.
    best : bool
        Whether it is the best epoch so far.

    Returns
    -------
    str
        One line of text.
    """
    return (
        f"epoch {row['epoch']:3d}/{config.training.epochs}  train loss {row['train_loss']:.3f}  "
        f"{format_validation(row, config)}  {row['seconds']:.1f} s{'  *' if best else ''}"
    )


def format_validation(row: dict[str, Any], config: Config) -> str:
    """Format the validation metrics of an epoch.

    Parameters
    ----------
    row : dict of str to object
        Row of ``history.parquet``.
    config : Config
        The experiment.

    Returns
    -------
    str
        Loss, and AUROC or RMSE.
    """
    metric = "auroc" if config.target.kind == "binary" else "rmse"
    return f"validation loss {row['val_loss']:.3f} {metric} {row[f'val_{metric}']:.3f}"
