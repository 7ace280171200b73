"""Concept erasure in closed form."""

import copy

import numpy as np
import pytest
import torch
from model_builders import ENCODERS, FUSIONS
from torch import nn

from depmm.config import ModelConfig
from depmm.inputs import Inputs
from depmm.models.erasure import apply_erasers, fit_eraser, fit_erasers, read_layer_inputs
from depmm.models.model import build_model


def covariance(x: np.ndarray, y: np.ndarray) -> float:
    """Return the largest difference of a class mean from the mean, where the class is known."""
    known = x[y >= 0]
    means = [x[y == value].mean(axis=0) for value in np.unique(y[y >= 0])]
    return float(np.abs(np.array(means) - known.mean(axis=0)).max())


def test_an_axis_that_is_the_nuisance_becomes_its_mean():
    x = np.array([[4.0, 6], [4, 4], [2, 6], [2, 4]])
    eraser = fit_eraser([x], [np.array([1, 1, 0, 0])])
    assert eraser.projection == pytest.approx(np.diag([1.0, 0]), abs=1e-12)
    assert eraser(x) == pytest.approx(np.array([[3.0, 6], [3, 4], [3, 6], [3, 4]]))


def test_the_embedding_changes_least_in_the_whitened_space():
    # covariance [[2, 1], [1, 1]] (not shrunk: many rows); the nuisance is the second coordinate
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200_000)
    second = 2.0 * y - 1
    x = np.stack([second + rng.normal(size=len(y)), second], axis=1)
    # P = S_xz S_xz' S_xx^-1 / (S_xz' S_xx^-1 S_xz) with S_xz = (1, 1): P = [[0, 1], [0, 1]]
    projection = fit_eraser([x], [y]).projection
    assert projection == pytest.approx(np.array([[0.0, 1], [0, 1]]), abs=0.02)


@pytest.mark.parametrize("size", [3, 60])
def test_no_covariance_is_left_with_any_nuisance(size):
    rng = np.random.default_rng(size)
    gender, site = rng.integers(0, 2, 40), rng.integers(-1, 3, 40)  # -1: missing
    parts = [rng.normal(size=(40, size)) + gender[:, None] for _ in range(2)]
    parts[1][:, 0] += site
    eraser = fit_eraser(parts, [gender, site])
    for part in parts:
        assert min(covariance(part, gender), covariance(part, site)) > 0.1
        assert covariance(eraser(part), gender) < 1e-9
        assert covariance(eraser(part), site) < 1e-9
    assert eraser.projection @ eraser.projection == pytest.approx(eraser.projection, abs=1e-9)


def test_given_the_target_only_differences_within_classes_are_erased():
    rng = np.random.default_rng(0)
    target = np.arange(400) % 2
    gender = np.where(rng.random(400) < 0.8, target, 1 - target)
    x = rng.normal(size=(400, 4)) + np.stack([target, gender, 0 * target, 0 * target], axis=1)
    plain, within = fit_eraser([x], [gender]), fit_eraser([x], [gender], target.astype(float))
    assert covariance(plain(x), gender) < 1e-9
    # weighted over the classes of the target, as in a regression of x on target and gender
    design = np.stack([np.ones(400), target, gender], axis=1)
    assert np.linalg.lstsq(design, within(x), rcond=None)[0][2] == pytest.approx(0, abs=1e-9)
    kept = [covariance(eraser(x), target) for eraser in (plain, within)]
    assert kept[1] > 1.3 * kept[0]
    assert kept[1] > 0.8 * covariance(x, target)


def test_a_constant_embedding_is_not_changed():
    eraser = fit_eraser([np.ones((4, 3))], [np.array([0, 1, 0, 1])])
    assert not eraser.projection.any()


def test_a_merged_layer_is_the_layer_on_the_erased_input():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 5)) + 2
    y = (x[:, 1] > 2).astype(int)
    torch.manual_seed(0)
    layer = nn.Linear(5, 3).double()
    eraser = fit_eraser([x], [y])
    expected = layer(torch.from_numpy(eraser(x)))
    apply_erasers({layer: eraser})
    assert torch.allclose(layer(torch.from_numpy(x)), expected)
    assert torch.allclose(layer(torch.from_numpy(eraser(x))), expected)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_logits_of_every_fusion_forget_the_mean_of_a_nuisance(fusion):
    torch.manual_seed(0)
    encoder = {"kind": "feature_cnn", **ENCODERS["feature_cnn"]}
    settings = {"kind": fusion, **FUSIONS[fusion]}
    config = ModelConfig(encoders={"audio": encoder, "face": encoder}, fusion=settings)
    model = build_model(config).eval()
    length = getattr(model.fusion, "num_steps", None) or 3
    y = np.arange(12) % 2
    values = torch.randn(12, length, 6, 5)
    values += torch.from_numpy(y).float()[:, None, None, None]
    lengths = np.full((12, length), 6)
    inputs = {name: Inputs(values, lengths) for name in ("audio", "face")}
    with torch.no_grad():
        before = model(inputs).logits.double().numpy()
        parts = read_layer_inputs(model, [(torch.arange(12), inputs)])
        original = copy.deepcopy(model.state_dict())
        apply_erasers(fit_erasers(parts, [y], None))
        after = model(inputs).logits.double().numpy()
    changed = [n for n, v in model.state_dict().items() if not torch.equal(v, original[n])]
    assert changed
    assert all("output" in name for name in changed)
    assert covariance(before, y) > 1e-4
    assert covariance(after, y) < 1e-2 * covariance(before, y) + 1e-6
