"""One phase of training: frozen parameters, gradients and learning rate."""

import numpy as np
import pytest
import torch
from trained_runs import AUDIO

from depmm.config import load_config
from depmm.data.batch import SessionLoader
from depmm.data.experiment_data import load_experiment_data
from depmm.inputs import Inputs
from depmm.models.model import build_model
from depmm.training.errors import TrainingError
from depmm.training.experiment import build_accelerator
from depmm.training.phase import PhaseTrainer, freeze_parameters, open_training_loader


def make_trainer(corpus, *overrides: str) -> PhaseTrainer:
    config = load_config(corpus.config, [*AUDIO, *overrides])
    torch.manual_seed(0)
    model = build_model(config.model).train()
    data, accelerator = load_experiment_data(config), build_accelerator(config)
    loader = SessionLoader(data.dataset, accelerator.device)
    loader = open_training_loader(config.training, data, loader)
    return PhaseTrainer(config, data, model, accelerator, loader)


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
    row, step_losses = trainer.train_epoch(0, 0, 2, 0.01, [])
    assert row["learning_rate"] == 0.01
    assert row["train_loss"] == pytest.approx(step_losses.mean())
    assert (step_losses > 0).all()


@pytest.mark.parametrize("limit", ["null", "1.0e-3"])
def test_the_largest_gradient_norm_before_clipping_is_reported(corpus, limit):
    settings = [f"training.max_grad_norm={limit}", "training.optimizer=sgd"]
    settings += ["training.momentum=0.0", "training.weight_decay=0.0"]
    trainer = make_trainer(corpus, *settings, "training.batch_size=6")  # one step in an epoch
    reference = make_trainer(corpus, *settings, "training.batch_size=6")
    next(reference.iterate_gradients(0))
    gradients = [p.grad for p in reference.unwrapped_model.parameters() if p.grad is not None]
    norm = float(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    before = [p.detach().clone() for p in trainer.unwrapped_model.parameters()]
    row, _ = trainer.train_epoch(0, 0, 1, 0.1, [])
    assert row["grad_norm"] == pytest.approx(norm, rel=1e-5)
    moved = [
        (old - new).detach().flatten()
        for old, new in zip(before, trainer.unwrapped_model.parameters(), strict=True)
    ]
    length = float(torch.cat(moved).norm()) / row["learning_rate"]
    assert length == pytest.approx(norm if limit == "null" else 1e-3, rel=1e-3)


def test_a_training_that_diverges_is_an_error(corpus):
    settings = ["training.optimizer=sgd", "training.schedule=constant", "training.batch_size=2"]
    trainer = make_trainer(corpus, *settings, "training.warmup_epochs=0.0")
    with pytest.raises(TrainingError) as info:
        trainer.train_epoch(0, 0, 1, 1e30, [])
    assert (info.value.setting, info.value.value) == ("training.learning_rate", 1e30)
    assert "max_grad_norm" in info.value.remedy


def test_steps_as_samples_have_the_target_of_their_session(corpus):
    settings = ["training.unit=step", "data.augment=null", "data.max_audio_s=60"]
    trainer = make_trainer(corpus, *settings, "training.batch_size=1000")
    model, data = trainer.unwrapped_model, trainer.data
    train = data.indices("train")
    items = [data.dataset[None, index] for index in train]
    assert len(trainer.samples) == sum(len(item.signals["audio"]) for item in items)
    # dropout and batch statistics are absent, so that the loss is the mean over all steps
    expected = []
    with torch.no_grad():
        for index, item in zip(train, items, strict=True):
            for step in item.signals["audio"]:
                audio = torch.from_numpy(step)[None, None]
                output = model({"audio": Inputs(audio, np.array([[len(step)]]))})
                target = torch.tensor([data.sessions["target"][index]]).float()
                expected.append(model.head.loss(output.logits, target).item())
    loss = next(trainer.iterate_gradients(0))
    assert loss == pytest.approx(sum(expected) / len(expected), rel=1e-4)
