"""Sampled gates of the Bernoulli fusion: right on average, a session's own, and only beside."""

from itertools import product

import numpy as np
import pytest
import torch

from depmm.config import load_config
from depmm.data.batch import evaluation_batches
from depmm.data.experiment_data import load_experiment_data
from depmm.evaluation.batch_prediction import predict_sessions, prediction_table, session_seed
from depmm.models.fusion.dep_former.dep_former import BernoulliFusion
from depmm.models.model import DepressionModel, build_model

BRANCHES = ["multimodal", "audio", "face", "cross"]


def fusion_of(*probabilities: float) -> BernoulliFusion:
    fusion = BernoulliFusion(BRANCHES[: len(probabilities)], learned=True)
    with torch.no_grad():
        fusion.gate_logit.copy_(torch.logit(torch.tensor(probabilities)))
    return fusion.eval()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_mean_is_the_expectation_and_spread_that_of_all_patterns():
    p = [0.9, 0.5, 0.3, 0.2]
    fusion = fusion_of(*p)
    z = torch.tensor([[[1.0], [-2.0], [0.5], [3.0]]])
    present = torch.ones(1, 4, dtype=torch.bool)
    sampled = fusion.sample(z, present, 20_000, generator())
    assert sampled.shape == (20_000, 1, 1)
    patterns = list(product([0, 1], repeat=4))
    chance = [
        np.prod([q if g else 1 - q for g, q in zip(gates, p, strict=True)]) for gates in patterns
    ]
    fused = np.array([np.dot(gates, z.flatten().numpy()) for gates in patterns])
    mean = np.dot(chance, fused)
    deviation = np.sqrt(np.dot(chance, (fused - mean) ** 2))
    assert fusion(z, present).item() == pytest.approx(mean, abs=1e-5)
    assert sampled.mean().item() == pytest.approx(mean, abs=4 * deviation / np.sqrt(20_000))
    assert sampled.std().item() == pytest.approx(deviation, rel=0.02)


def test_a_branch_that_lacks_takes_no_part():
    fusion = fusion_of(0.9, 0.5, 0.3)
    z = torch.tensor([[[1.0], [-2.0], [0.5]]])
    present = torch.tensor([[True, True, False]])
    sampled = fusion.sample(z, present, 20_000, generator())
    z[0, 2] = 1e6
    torch.testing.assert_close(fusion.sample(z, present, 20_000, generator()), sampled)
    assert sampled.mean().item() == pytest.approx(fusion(z, present).item(), abs=0.05)


@pytest.mark.parametrize("p", [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_certain_gates_have_no_spread(p):
    fusion = fusion_of(*p)
    z, present = torch.randn(5, 2, 1, generator=generator()), torch.ones(5, 2, dtype=torch.bool)
    sampled = fusion.sample(z, present, 50, generator())
    torch.testing.assert_close(sampled, fusion(z, present).expand(50, 5, 1), rtol=0, atol=1e-6)
    assert (sampled == sampled[:1]).all()  # to the bit: gates of 0 and 1 leave nothing to round


# ---- a whole model -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(corpus):
    return load_experiment_data(load_config(corpus.config, []))


def model_of(corpus, *overrides) -> DepressionModel:
    torch.manual_seed(0)
    config = load_config(corpus.config, list(overrides))
    model = build_model(config.model).eval()
    # untrained branches hardly differ: make the gates matter
    for layer in model.fusion.output_layers.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.normal_(layer.weight, std=2.0)
    return model


def table_of(model, data, numbers=None, **settings):
    numbers = range(len(data.dataset)) if numbers is None else numbers
    return predict_sessions(
        model, data.dataset, numbers, **{"batch_size": 5, "n_gate_samples": 100, **settings}
    )


def test_the_expectation_stays_the_prediction(corpus, data):
    model = model_of(corpus)
    with_draws, without = table_of(model, data), table_of(model, data, n_gate_samples=0)
    # up to rounding, for their batches may lie at other addresses; a mean of draws is 1e-3 off
    np.testing.assert_allclose(with_draws["prediction"], without["prediction"], rtol=0, atol=1e-5)
    assert "gate_std" not in without
    assert (with_draws["gate_std"] > 1e-2).all()
    named = prediction_table(load_config(corpus.config, []), data, with_draws)
    np.testing.assert_array_equal(named["gate_std"], with_draws["gate_std"])
    assert "gate_std" not in prediction_table(load_config(corpus.config, []), data, without)
    assert not model.training
    assert not [m for m in model.modules() if m._forward_hooks]


def test_a_spread_is_the_same_alone_and_in_any_batch(corpus, data):
    model = model_of(corpus)
    everyone = table_of(model, data)["gate_std"].to_numpy()
    torch.manual_seed(99)  # the global generator plays no part
    alone = table_of(model, data, batch_size=1)["gate_std"].to_numpy()
    np.testing.assert_allclose(alone, everyone, rtol=1e-3, atol=1e-6)
    turned = table_of(model, data, numbers=[7, 2, 0], batch_size=2)
    np.testing.assert_allclose(turned["gate_std"], everyone[[7, 2, 0]], rtol=1e-3, atol=1e-6)
    # other gates for other sessions, and the same for the same
    keys = [("c", "1", "23"), ("c", "12", "3"), ("c", "1", "23")]
    seeds = [session_seed(key) for key in keys]
    assert seeds[0] == seeds[2] != seeds[1]


def test_samples_by_seed_and_their_mean(corpus, data):
    model = model_of(corpus)
    ((_, inputs),) = evaluation_batches(data.dataset, [0, 1, 2], 3, torch.device("cpu"))
    output, sampled = model.sample(4000, [1, 2, 3], **inputs)
    assert sampled.shape == (4000, 3)
    again = model.sample(4000, [1, 5, 3], **inputs)[1]
    torch.testing.assert_close(again[:, [0, 2]], sampled[:, [0, 2]], rtol=0, atol=1e-5)
    assert (again[:, 1] - sampled[:, 1]).abs().max() > 1e-2
    logits = torch.logit(sampled.double()).mean(dim=0)
    torch.testing.assert_close(logits, output.logits.squeeze(-1).double(), rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    "override", ["model.fusion.fusion_weights=fixed", "model.fusion={kind: mean_pool}"]
)
def test_without_random_gates_there_is_no_spread(corpus, data, override):
    assert "gate_std" not in table_of(model_of(corpus, override), data)
