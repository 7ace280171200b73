"""One phase of training: frozen parameters, gradients and learning rate."""

import pytest
import torch
from trained_runs import AUDIO

from depmm.config import load_config
from depmm.data.experiment_data import load_experiment_data
from depmm.models.model import build_model
from depmm.training.experiment import build_accelerator
from depmm.training.phase import PhaseTrainer, freeze_parameters


def make_trainer(corpus, *overrides: str) -> PhaseTrainer:
    config = load_config(corpus.config, [*AUDIO, *overrides])
    torch.manual_seed(0)
    model = build_model(config.model).train()
    return PhaseTrainer(config, load_experiment_data(config), model, build_accelerator(config))


@pytest.mark.parametrize("encoders", [True, False])
def test_frozen_parameters_are_not_trained(corpus, encoders):
    model = build_model(load_config(corpus.config).model)
    names = [name for name, _ in model.named_parameters()]
    frozen = next(name for name in names if not name.startswith("encoders."))
    freeze_parameters(model, {frozen}, encoders)
    fixed = {name for name, p in model.named_parameters() if not p.requires_grad}
    expected = {name for name in names if encoders and name.startswith("encoders.")} | {frozen}
    assert fixed == expected


def test_gradients_depend_on_the_epoch_and_do_not_change_the_weights(corpus):
    one, two = make_trainer(corpus), make_trainer(corpus)
    before = {name: value.clone() for name, value in one.unwrapped_model.state_dict().items()}
    losses = [next(trainer.iterate_gradients(3)) for trainer in (one, two)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    other = next(make_trainer(corpus).iterate_gradients(4))
    assert other != pytest.approx(losses[0], abs=1e-6)
    for name, parameter in one.unwrapped_model.named_parameters():
        assert torch.equal(parameter, before[name])
    assert any(parameter.grad is not None for parameter in one.unwrapped_model.parameters())


def test_the_learning_rate_of_the_last_step_is_reported(corpus):
    trainer = make_trainer(corpus, "training.schedule=constant", "training.warmup_epochs=0.0")
    row = trainer.train_epoch(0, 0, 2, 0.01, [])
    assert row["learning_rate"] == 0.01
    assert row["train_loss"] > 0
