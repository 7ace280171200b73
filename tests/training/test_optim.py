"""Optimizers and learning-rate schedules, by hand and against PyTorch."""

import numpy as np
import pytest
import torch

from depmm.config import TrainingConfig, load_config
from depmm.models.model import build_model
from depmm.training.optim import (
    build_optimizer,
    compute_plateau_factor,
    compute_schedule_factor,
    group_parameters,
    set_learning_rate,
)


def test_parameters_are_grouped_by_name(corpus):
    model = build_model(load_config(corpus.config).model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, not_decayed = group_parameters(model, 0.05)
    assert (decayed["weight_decay"], not_decayed["weight_decay"]) == (0.05, 0.0)
    groups = [[names[id(p)] for p in group["params"]] for group in (decayed, not_decayed)]
    assert sorted(groups[0] + groups[1]) == sorted(names.values())
    for part in ("bias", "norm", "gate_logit"):
        assert not [name for name in groups[0] if part in name]
    assert "encoders.audio.convolutions.0.weight" in groups[0]
    assert any(name.startswith("fusion.") for name in groups[0])
    assert any("gate_logit" in name for name in groups[1])
    every, none = group_parameters(model, 0.05, decay_biases=True)
    assert [names[id(p)] for p in every["params"]] == list(names.values())
    assert none["params"] == []
    first = next(model.parameters()).requires_grad_(False)
    settings = TrainingConfig(weight_decay=0.05)
    frozen_groups = build_optimizer(model, settings).param_groups
    assert not any(parameter is first for group in frozen_groups for parameter in group["params"])


def test_the_name_of_a_modality_does_not_change_its_weight_decay():
    model = torch.nn.ModuleDict({name: torch.nn.Linear(3, 2) for name in ("audio", "norm_pose")})
    decayed, not_decayed = group_parameters(model, 0.05)
    weights = [model["audio"].weight, model["norm_pose"].weight]
    assert [id(p) for p in decayed["params"]] == [id(p) for p in weights]
    assert len(not_decayed["params"]) == 2
    table = torch.nn.ParameterDict({"relative_position_bias_table": torch.zeros(9, 2)})
    assert group_parameters(table, 0.05)[0]["params"] == []


def test_warmup_then_cosine_by_hand():
    settings = TrainingConfig(schedule="cosine")
    factors = [compute_schedule_factor(settings, step, 4, 12, []) for step in range(13)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    expected = [0.5 * (1 + np.cos(np.pi * k / 8)) for k in range(9)]
    assert factors[4:] == pytest.approx(expected)
    assert compute_schedule_factor(settings, 20, 4, 12, []) == pytest.approx(0, abs=1e-12)
    assert compute_schedule_factor(settings, 0, 0, 10, []) == 1


def test_inverse_schedule_equals_the_policy_inv_of_caffe():
    settings = TrainingConfig(schedule="inverse", inverse_gamma=1e-4, inverse_power=0.75)
    assert compute_schedule_factor(settings, 10_000, 0, 1, []) == pytest.approx(2**-0.75)
    assert compute_schedule_factor(settings, 0, 0, 1, []) == 1
    assert compute_schedule_factor(TrainingConfig(schedule="constant"), 7, 0, 1, []) == 1


def test_plateau_schedule_equals_pytorch():
    losses = [3.0, 2.0, 2.1, 2.0, 2.2, 1.9, 2.0, 2.5, 1.95, 1.9, 1.8]
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    # PyTorch reduces the rate one epoch later, after `patience` epochs without improvement
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=0
    )
    for count, loss in enumerate(losses, start=1):
        reference.step(loss)
        factor = compute_plateau_factor(losses[:count], factor=0.5, patience=3)
        assert factor == pytest.approx(optimizer.param_groups[0]["lr"])
    assert factor == 0.25
    settings = TrainingConfig(schedule="plateau", plateau_factor=0.5, plateau_patience=3)
    assert compute_schedule_factor(settings, 9, 0, 20, losses) == 0.25


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD), ("rmsprop", torch.optim.RMSprop)],
)
def test_kind_and_weight_decay_of_optimizers(name, kind):
    model = torch.nn.Linear(2, 2)
    optimizer = build_optimizer(model, TrainingConfig(optimizer=name, weight_decay=0.003))
    assert type(optimizer) is kind
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.003, 0.0]
    if name == "sgd":
        assert optimizer.param_groups[0]["momentum"] == 0.9
    decayed = build_optimizer(model, TrainingConfig(optimizer=name, decay_biases=True))
    assert [len(group["params"]) for group in decayed.param_groups] == [2, 0]


def test_rmsprop_is_that_of_keras():
    model = torch.nn.Linear(1, 1, bias=False)
    optimizer = build_optimizer(model, TrainingConfig(optimizer="rmsprop", weight_decay=0.0))
    set_learning_rate(optimizer, 0.1)
    weight, mean_square = float(model.weight.detach()), 0.0
    for gradient in (2.0, -1.0, 1e-7):
        model.weight.grad = torch.tensor([[gradient]])
        optimizer.step()
        # keras.optimizers.RMSprop of Keras 2, rho .9 and epsilon 1e-7
        mean_square = 0.9 * mean_square + 0.1 * gradient**2
        weight -= 0.1 * gradient / (mean_square**0.5 + 1e-7)
        assert float(model.weight.detach()) == pytest.approx(weight, rel=1e-5)
