"""One phase of a training: epochs over the training sessions on all devices of the launcher."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import count

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, get_grad_scaler
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from depmm.config import Config, TrainingConfig
from depmm.data.batch import SessionLoader
from depmm.data.epoch_plan import MicroBatch, plan_epoch
from depmm.data.experiment_data import ExperimentData
from depmm.data.nuisance import encode_nuisance
from depmm.data.step_dataset import StepDataset
from depmm.models.batch_norm import exclude_positions
from depmm.models.host import to_device
from depmm.models.model import DepressionModel
from depmm.progress import show
from depmm.training.adversarial import adversarial_strength, compute_nuisance_loss
from depmm.training.errors import TrainingError, propose_remedies
from depmm.training.losses import compute_batch_loss, compute_session_weights
from depmm.training.optim import build_optimizer, compute_schedule_factor, set_learning_rate
from depmm.training.unused_parameters import has_unused_parameters


class PhaseTrainer:
    """A model and a new optimizer on the devices of the launcher, for one phase of training.

    Parameters
    ----------
    config : Config
        The experiment.
    data : ExperimentData
        Sessions of the experiment.
    model : DepressionModel
        The model, not wrapped; parameters that are not trained in the phase are frozen.
    accelerator : Accelerator
        From ``build_accelerator``.
    loader : SessionLoader
        Reads the training samples, from ``open_training_loader``.
    """

    def __init__(
        self,
        config: Config,
        data: ExperimentData,
        model: DepressionModel,
        accelerator: Accelerator,
        loader: SessionLoader,
    ):
        settings = config.training
        self.settings, self.seed, self.data, self.loader = settings, config.seed, data, loader
        self.unwrapped_model, self.accelerator = model, accelerator
        # releases the wrapper and the optimizer of the previous phase
        accelerator.free_memory()
        # a launcher wraps the model even if it starts one process
        if accelerator.distributed_type != DistributedType.NO:
            # the search costs time in each step
            handler = accelerator.ddp_handler or DistributedDataParallelKwargs()
            handler.find_unused_parameters = has_unused_parameters(config, data, model)
            accelerator.ddp_handler = handler
        if accelerator.scaler is not None:  # as new as the optimizer
            scaling = accelerator.scaler_handler
            accelerator.scaler = get_grad_scaler(
                accelerator.distributed_type, **(scaling.to_kwargs() if scaling else {})
            )
        self.model, self.optimizer = accelerator.prepare(model, build_optimizer(model, settings))
        # a walk over all modules of a small model takes as long as one of its layers
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.target = data.sessions["target"].to_numpy(np.float32)
        sessions = data.indices("train")
        self.samples = sessions  # rows of the loader's dataset
        if isinstance(loader.dataset, StepDataset):
            sessions = loader.dataset.sessions.tolist()
            self.samples = list(range(len(loader.dataset)))
        labels = data.sessions["target"].to_numpy()[sessions]
        self.classes = labels.tolist() if settings.class_balance == "oversample" else None
        self.corpora: list[str] | None = None
        if settings.corpus_balance == "oversample":
            self.corpora = data.sessions["corpus"].astype(str).iloc[sessions].tolist()
        weighted = settings.class_balance == "weighted_loss"
        self.weights = compute_session_weights(labels, weighted, self.corpora).tolist()
        self.nuisance: dict[str, np.ndarray] = {}
        if settings.adversarial is not None:
            self.nuisance, _ = encode_nuisance(
                data.sessions, settings.adversarial.nuisance, "training.adversarial"
            )

    def train_epoch(
        self, epoch: int, begin: int, end: int, rate: float, val_losses: list[float]
    ) -> tuple[dict[str, float], np.ndarray]:
        """Train on all training samples once.

        Losses and norms stay on the device until the end of the epoch, so that the host can prepare
        the next steps while the device computes.

        Parameters
        ----------
        epoch : int
            Index of the epoch in the whole training, from 0.
        begin : int
            First epoch of the phase.
        end : int
            The epoch after the last one of the phase.
        rate : float
            Learning rate before the schedule.
        val_losses : list of float
            Validation losses of the epochs of the phase so far.

        Returns
        -------
        row : dict of str to float
            ``train_loss``, ``learning_rate`` of the last step, and ``grad_norm``, the largest norm
            of the gradient before clipping.
        step_losses : ndarray of float64, shape (optimizer steps,)
            Loss of each batch over all processes.

        Raises
        ------
        TrainingError
            If a loss or a gradient is not finite.
        """
        settings, plan = self.settings, self._plan(epoch)
        per_epoch = sum(micro_batch.last for micro_batch in plan)
        schedule = (round(settings.warmup_epochs * per_epoch), (end - begin) * per_epoch)
        first = (epoch - begin) * per_epoch
        losses, norms, rates = [], [], []
        with show(f"epoch {epoch + 1}", per_epoch, "steps") as task:
            for step, loss in enumerate(self._accumulate(plan, epoch), start=first):
                losses.append(loss)
                rates.append(rate * compute_schedule_factor(settings, step, *schedule, val_losses))
                norms.append(self.update(rates[-1]))
                task.advance()
        summed = self.accelerator.reduce(torch.stack(losses), "sum")
        values = torch.stack([summed, torch.stack(norms)]).cpu().double().numpy()
        if self.accelerator.scaler is not None:  # skips steps whose scaled gradients overflow
            values[1, ~np.isfinite(values[1])] = 0.0
        check_finite(values, rates, epoch, settings)
        row = {
            "train_loss": float(values[0].mean()),
            "learning_rate": rates[-1],
            "grad_norm": float(values[1].max()),
        }
        return row, values[0]

    def iterate_gradients(self, first_epoch: int) -> Iterator[float]:
        """Compute the gradients of an unlimited number of batches.

        Parameters
        ----------
        first_epoch : int
            Index of the epoch that seeds the first batches.

        Yields
        ------
        float
            Loss of a batch. Its gradients are stored in the parameters; call ``update`` before the
            next batch.
        """
        for epoch in count(first_epoch):
            for loss in self._accumulate(self._plan(epoch), epoch):
                yield float(self.accelerator.reduce(loss, "sum"))

    def update(self, rate: float) -> Tensor:
        """Take one step of the optimizer.

        Parameters
        ----------
        rate : float
            Learning rate of the step.

        Returns
        -------
        Tensor, shape ()
            Norm of the gradient before clipping, on the device.
        """
        parameters = [p for p in self.parameters if p.grad is not None]
        limit = self.settings.max_grad_norm
        self.accelerator.unscale_gradients(self.optimizer)
        norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
        if limit is not None:
            clip_grads_with_norm_(parameters, limit, norm)
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm

    def loss_scale(self) -> dict[str, float] | None:
        """Return the state of the loss scale of fp16, which a checkpoint contains.

        Returns
        -------
        dict of str to float, or None
            State of the ``GradScaler``; None if the losses are not scaled.
        """
        scaler = self.accelerator.scaler
        return None if scaler is None else scaler.state_dict()

    def restore_loss_scale(self, state: dict[str, float] | None) -> None:
        """Continue with the loss scale of a checkpoint.

        Parameters
        ----------
        state : dict of str to float, or None
            From ``loss_scale``.
        """
        if self.accelerator.scaler is not None and state is not None:
            self.accelerator.scaler.load_state_dict(state)

    def _accumulate(self, plan: list[MicroBatch], epoch: int) -> Iterator[Tensor]:
        """Accumulate the gradient of each batch; yield the loss of this process's part of it."""
        device, world_size = self.accelerator.device, self.accelerator.num_processes
        total = torch.zeros((), device=device)
        batches = zip(plan, self.loader.read(plan, epoch), strict=True)
        for done, (micro_batch, (index, inputs)) in enumerate(batches):
            self._set_adversarial_strength(epoch, done / len(plan))
            target = to_device(self.target[index.numpy()], device)
            weight = to_device(np.array(micro_batch.weights, np.float32), device)
            # gradients are reduced over processes once per optimizer step
            synchronise = micro_batch.last
            with contextlib.nullcontext() if synchronise else self.accelerator.no_sync(self.model):
                # a filler does not change the statistics of batch normalisation
                with (
                    exclude_positions(self.unwrapped_model)
                    if micro_batch.filler
                    else contextlib.nullcontext()
                ):
                    output = self.model(inputs)
                loss = compute_batch_loss(
                    self.unwrapped_model.head,
                    output,
                    target,
                    weight,
                    self.settings.auxiliary_loss_weight,
                    self.settings.branch_loss_weight,
                )
                objective = loss
                if output.nuisance_logits is not None:
                    labels = {
                        name: to_device(values[index.numpy()], device)
                        for name, values in self.nuisance.items()
                    }
                    objective = loss + compute_nuisance_loss(output.nuisance_logits, labels, weight)
                # DDP averages over processes, but the weights of a batch sum to 1 over all of them
                self.accelerator.backward(objective * world_size)
            total = total + loss.detach()
            if micro_batch.last:
                yield total
                total = torch.zeros_like(total)

    def _set_adversarial_strength(self, epoch: int, done: float) -> None:
        """Set the factor of the reversed gradient; 0 in the search of a learning rate."""
        heads, settings = self.unwrapped_model.nuisance_heads, self.settings
        if heads is not None and settings.adversarial is not None:
            progress = (epoch + done) / settings.epochs if epoch < settings.epochs else 0.0
            heads.strength = adversarial_strength(settings.adversarial, progress)

    def _plan(self, epoch: int) -> list[MicroBatch]:
        """Plan an epoch and seed its random numbers by (seed, epoch, process)."""
        rank, world_size = self.accelerator.process_index, self.accelerator.num_processes
        torch.manual_seed(np.random.SeedSequence((self.seed, epoch, rank)).generate_state(1)[0])
        self.model.train()
        size, parts = self.settings.batch_size, self.settings.gradient_accumulation_steps
        plan = plan_epoch(
            self.weights, size, epoch, self.seed, parts, rank, world_size,
            classes=self.classes, corpora=self.corpora,
        )  # fmt: skip
        return [
            replace(part, indices=[self.samples[index] for index in part.indices]) for part in plan
        ]


def open_training_loader(
    settings: TrainingConfig, data: ExperimentData, loader: SessionLoader
) -> SessionLoader:
    """Open the loader of the training samples, which all phases share.

    Parameters
    ----------
    settings : TrainingConfig
        ``unit``: sessions or their steps.
    data : ExperimentData
        Sessions of the experiment.
    loader : SessionLoader
        Reads the sessions of ``data``.

    Returns
    -------
    SessionLoader
        ``loader`` itself, or a loader of the steps of the training sessions.

    Raises
    ------
    StoreError
        If a session is missing or damaged.
    """
    if settings.unit == "session":
        return loader
    return SessionLoader(StepDataset(data.dataset, data.indices("train")), loader.device)


def check_finite(
    values: np.ndarray, rates: list[float], epoch: int, settings: TrainingConfig
) -> None:
    """Check the losses and gradient norms of an epoch.

    Parameters
    ----------
    values : ndarray of float64, shape (2, optimizer steps)
        Losses, and norms of the gradients.
    rates : list of float
        Learning rate of each optimizer step.
    epoch : int
        Index of the epoch, from 0.
    settings : TrainingConfig
        Settings of the training.

    Raises
    ------
    TrainingError
        If a value is not finite.
    """
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=0))
    if len(wrong) == 0:
        return
    step = int(wrong[0])
    loss, norm = values[:, step]
    raise TrainingError(
        f"epoch {epoch + 1}, optimizer step {step + 1} of {len(rates)}: the training loss is "
        f"{loss:.3g} and the norm of the gradient {norm:.3g}, at a learning rate of "
        f"{rates[step]:.3g}.",
        setting="training.learning_rate",
        value=rates[step],
        remedy=f"{propose_remedies(settings)} The norms of the previous epochs are in "
        "history.parquet (grad_norm).",
    )


def freeze_parameters(model: DepressionModel, frozen: Collection[str], encoders: bool) -> None:
    """Make all parameters trainable except the frozen ones.

    In a frozen encoder, batch normalisation still updates its statistics and dropout is active, as
    in the library that Lu et al. (2021) use: only the weights are fixed.

    Parameters
    ----------
    model : DepressionModel
        The model, not wrapped.
    frozen : collection of str
        Names of the parameters that are never trained.
    encoders : bool
        Whether the parameters of all encoders are frozen too.
    """
    for name, parameter in model.named_parameters():
        trained = name not in frozen and not (encoders and name.startswith("encoders."))
        parameter.requires_grad_(trained)
