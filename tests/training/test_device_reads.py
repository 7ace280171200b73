"""A training step never asks the device for a value, so that a GPU never waits for the host."""

from contextlib import nullcontext
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from accelerate import DistributedType
from imitated_gpu import GPU, imitated_gpu
from model_builders import ENCODERS, FUSIONS, model_of
from training_on_processes import N_SESSIONS, Sessions

from depmm.config import TrainingConfig
from depmm.data.batch import SessionLoader
from depmm.training.phase import PhaseTrainer


def read_before(dataset, plan):
    """Return the batches of a plan, on the CPU."""
    loader = SessionLoader(dataset, torch.device("cpu"))
    return list(loader.read(plan, 0))


def train_on_imitated_gpu(kind: str, fusion: str, **settings) -> list[tuple[int, ...]]:
    """Train an epoch; return the shapes of the tensors that the host reads."""
    config = SimpleNamespace(training=TrainingConfig(batch_size=3, **settings), seed=0)
    sessions = Sessions(kind)
    data = SimpleNamespace(
        sessions=pd.DataFrame({"target": [0, 1] * N_SESSIONS}),
        indices=lambda split: list(range(N_SESSIONS)),
        dataset=sessions,
    )
    accelerator = SimpleNamespace(
        device=GPU, distributed_type=DistributedType.NO, num_processes=1, process_index=0,
        scaler=None,
        free_memory=lambda: None, prepare=lambda *parts: parts, reduce=lambda tensor, how: tensor,
        unscale_gradients=lambda optimizer: None, backward=lambda loss: loss.backward(),
        no_sync=lambda model: nullcontext(),
    )  # fmt: skip
    model = model_of(kind, fusion).train()
    trainer = PhaseTrainer(config, data, model, accelerator, SimpleNamespace(dataset=sessions))
    batches = read_before(sessions, trainer._plan(0))
    with imitated_gpu(model) as reads:
        trainer = PhaseTrainer(config, data, model, accelerator, SimpleNamespace(dataset=sessions))
        trainer.loader.read = lambda plan, epoch: (
            (index, {name: part.to(GPU) for name, part in inputs.items()})
            for index, inputs in batches
        )
        trainer.train_epoch(0, 0, 1, 0.1, [])
    return reads


ENCODERS_ON_SIGNALS = [kind for kind in ENCODERS if kind != "speech_transformer"]


@pytest.mark.parametrize("kind", ENCODERS_ON_SIGNALS)
def test_an_epoch_reads_losses_and_gradient_norms_once(kind):
    assert train_on_imitated_gpu(kind, "mean_pool") == [(2, 2)]  # two optimizer steps


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd", "max_grad_norm": 1.0, "class_balance": "weighted_loss"},
        {"optimizer": "rmsprop", "gradient_accumulation_steps": 2},
    ],
)
def test_other_settings_read_nothing_more(fusion, settings):
    assert train_on_imitated_gpu("mfcc_cnn", fusion, **settings) == [(2, 2)]
