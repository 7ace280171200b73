"""Whether a parameter may have no gradient in a step."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from depmm.config import AugmentConfig, load_config
from depmm.data.batch import SessionLoader
from depmm.data.experiment_data import load_experiment_data
from depmm.models.model import build_model
from depmm.training.unused_parameters import has_unused_parameters, modality_is_missing


@pytest.mark.parametrize(
    ("audio", "face", "augment", "single_steps", "expected"),
    [
        ([1, 1], [1, 1], {}, False, False),
        ([1, 1], [0, 1], {}, False, False),
        ([1, 1], [0, 1], {}, True, True),
        ([1, 1], [0, 1], {"keep_steps": 0.5}, False, True),
        ([1, 1], [1, 1], {"keep_steps": 0.5}, False, False),
        ([1, 1], [1, 1], {"modality_dropout": 0.1}, False, True),
        ([1, 1], [0, 0], {}, False, True),
    ],
)
def test_a_modality_may_be_missing_in_a_sample(audio, face, augment, single_steps, expected):
    present = {"audio": np.array(audio, bool), "face": np.array(face, bool)}
    complete = {name: np.ones(2, bool) for name in present}
    dataset = SimpleNamespace(
        settings=SimpleNamespace(modalities=["audio", "face"], augment=AugmentConfig(**augment)),
        present_steps=lambda index: present if index == 3 else complete,
    )
    assert modality_is_missing(dataset, [1, 3], single_steps) is expected
    assert not modality_is_missing(dataset, [1], single_steps) or augment == {
        "modality_dropout": 0.1
    }
    dataset.settings.modalities = ["audio"]
    assert not modality_is_missing(dataset, [1, 3], single_steps)


@pytest.mark.parametrize(("weight", "expected"), [(0.0, True), (1.0, False)])
def test_a_head_without_a_loss_is_unused(corpus, weight, expected):
    settings = [f"training.auxiliary_loss_weight={weight}", "model.auxiliary_step_head=true"]
    config = load_config(corpus.config, [*settings, "model.fusion={kind: mean_pool}"])
    model = build_model(config.model)
    assert has_unused_parameters(config, load_experiment_data(config), model) is expected


def test_the_unit_that_shares_indices_may_be_unused(corpus):
    config = load_config(corpus.config)  # DEP-Former
    data = load_experiment_data(config)
    model = build_model(config.model).train()
    _, inputs = next(SessionLoader(data.dataset, torch.device("cpu")).evaluate([0, 1], 2))
    model(inputs).logits.sum().backward()
    unused = [name for name, p in model.named_parameters() if p.grad is None]
    assert all("sharing_unit" in name for name in unused)
    assert has_unused_parameters(config, data, model)
