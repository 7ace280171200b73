"""A model that learns: the pass over an epoch, on whatever devices the launcher gave."""

import contextlib
from collections.abc import Collection, Iterator
from itertools import count
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from depmm.config import Config
from depmm.data.batch import collate
from depmm.data.epoch_plan import EpochBatchSampler, MicroBatch, plan_epoch
from depmm.data.experiment_data import ExperimentData
from depmm.models.model import DepressionModel
from depmm.training.losses import batch_loss, session_weights
from depmm.training.optim import build_optimizer, schedule_factor, set_learning_rate


class Learner:
    """A model and its optimizer on the devices of the launcher, for one phase of training.

    Parameters
    ----------
    config, data : of the experiment
    unwrapped_model : the model, not yet wrapped; what shall not learn is frozen
    accelerator : from ``build_accelerator``
    """

    def __init__(
        self,
        config: Config,
        data: ExperimentData,
        unwrapped_model: DepressionModel,
        accelerator: Accelerator,
    ):
        settings = config.training
        self.settings, self.seed, self.data = settings, config.seed, data
        self.unwrapped_model, self.accelerator = unwrapped_model, accelerator
        # phases take turns: the wrapper and optimizer of the last one are let go
        accelerator.free_memory()
        self.model, self.optimizer = accelerator.prepare(
            unwrapped_model, build_optimizer(unwrapped_model, settings)
        )
        target = torch.tensor(data.sessions["target"].to_numpy(), dtype=torch.float32)
        self.target = target.to(accelerator.device)
        self.people = data.indices("train")
        labels = data.sessions["target"].to_numpy()[self.people]
        self.classes = labels.tolist() if settings.class_balance == "oversample" else None
        self.weights = session_weights(labels, settings.class_balance == "weighted_loss").tolist()

    def epoch(
        self, epoch: int, begin: int, end: int, rate: float, losses: list[float]
    ) -> dict[str, float]:
        """Learn from every training session once.

        Parameters
        ----------
        epoch : of the whole training, from 0
        begin, end : first epoch of the phase, and the one after its last
        rate : learning rate, before the schedule
        losses : on validation, of the phase's epochs so far

        Returns
        -------
        ``train_loss``, and ``learning_rate`` of the last step
        """
        settings, plan = self.settings, self._plan(epoch)
        per_epoch = sum(share.last for share in plan)
        schedule = (round(settings.warmup_epochs * per_epoch), (end - begin) * per_epoch)
        first = (epoch - begin) * per_epoch
        total = torch.zeros((), device=self.accelerator.device)
        factor = 1.0
        for step, loss in enumerate(self._accumulate(plan, epoch), start=first):
            total += loss
            factor = schedule_factor(settings, step, *schedule, losses)
            self.update(rate * factor)
        mean = float(self.accelerator.reduce(total, "sum")) / per_epoch
        return {"train_loss": mean, "learning_rate": rate * factor}

    def gradients(self, first_epoch: int) -> Iterator[float]:
        """Batches of one epoch after another, without end; each leaves its gradient.

        Yields
        ------
        the loss of the batch, before whoever asks for the next one calls ``update``
        """
        for epoch in count(first_epoch):
            for loss in self._accumulate(self._plan(epoch), epoch):
                yield float(self.accelerator.reduce(loss, "sum"))

    def _accumulate(self, plan: list[MicroBatch], epoch: int) -> Iterator[Tensor]:
        """Add up the gradient of each batch; yield this process's part of its loss."""
        device, world = self.accelerator.device, self.accelerator.num_processes
        total = torch.zeros((), device=device)
        for share, batch in zip(plan, self._batches(plan, epoch), strict=True):
            index = batch.pop("index")
            inputs = {name: value.to(device) for name, value in batch.items()}
            weight = torch.tensor(share.weights, device=device)
            # gradients travel between processes once per optimizer step
            with contextlib.nullcontext() if share.last else self.accelerator.no_sync(self.model):
                output = self.model(**inputs)
                loss = batch_loss(
                    self.unwrapped_model.head,
                    output,
                    self.target[index],
                    weight,
                    self.settings.auxiliary_loss_weight,
                )
                self.accelerator.backward(loss * world)  # DDP averages, the plan's shares add up
            total = total + loss.detach()
            if share.last:
                yield total
                total = torch.zeros_like(total)

    def update(self, rate: float) -> None:
        """Take an optimizer step."""
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _plan(self, epoch: int) -> list[MicroBatch]:
        """Draw an epoch, and everything random in it, from (seed, epoch, process)."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        torch.manual_seed(np.random.SeedSequence((self.seed, epoch, rank)).generate_state(1)[0])
        self.model.train()
        size, parts = self.settings.batch_size, self.settings.gradient_accumulation_steps
        return plan_epoch(
            self.weights, size, epoch, self.seed, parts, rank, world, classes=self.classes
        )

    def _batches(self, plan: list[MicroBatch], epoch: int) -> DataLoader[Any]:
        """Batches of a plan, whose numbers count training sessions."""
        shares = [
            type(share)([self.people[n] for n in share.indices], share.weights, share.last)
            for share in plan
        ]
        return DataLoader(
            self.data.dataset,
            batch_sampler=EpochBatchSampler(shares, epoch),
            collate_fn=collate,
            num_workers=self.data.dataset.settings.workers,
        )


def freeze(unwrapped_model: DepressionModel, frozen: Collection[str], encoders: bool) -> None:
    """Let everything learn that is not frozen for good, or all of that but the encoders.

    A frozen encoder's normalisation goes on counting and its dropout on drawing: only its weights
    stand still, as in the recipe's library.
    """
    for name, parameter in unwrapped_model.named_parameters():
        learns = name not in frozen and not (encoders and name.startswith("encoders."))
        parameter.requires_grad_(learns)
