"""Attributions of models with two logits, and of models with a linear output."""

import numpy as np
import pytest
import torch
from removal_models import MEAN_POOL, sessions, tiny_model

from depmm.interpret.attribution.integrated_gradients import compute_integrated_gradients
from depmm.interpret.attribution.occlusion import occlude_steps
from depmm.interpret.attribution.removal import (
    compute_undecided_logit,
    make_session_reference,
)
from depmm.interpret.attribution.shapley import compute_modality_shapley, compute_step_shapley
from depmm.models.model import DepressionModel

METHODS = {
    "occlusion": lambda model, x, masks: occlude_steps(
        model, x, masks, make_session_reference(x, masks)
    ),
    "integrated_gradients": lambda model, x, masks: compute_integrated_gradients(
        model, x, masks, make_session_reference(x, masks)
    ),
    "shapley": lambda model, x, masks: compute_step_shapley(
        model, x, masks, make_session_reference(x, masks), [3, 4]
    ),
    "modalities": lambda model, x, masks: compute_modality_shapley(model, x, masks),
}


def one_logit_twin(model: DepressionModel) -> DepressionModel:
    """Build the model whose only logit is the difference of the logits of a model with two."""
    twin = tiny_model(MEAN_POOL)
    for name, layer in twin.fusion.output_layers.items():
        two = model.fusion.output_layers[name][1]
        layer[1].weight.data = two.weight.data[1:] - two.weight.data[:1]
        layer[1].bias.data = two.bias.data[1:] - two.bias.data[:1]
    return twin


@pytest.mark.parametrize("method", METHODS)
def test_two_logits_are_explained_by_their_difference(method):
    model = tiny_model(MEAN_POOL, target="binary", output="classes")
    features, masks = sessions([3, 4])
    two = METHODS[method](model, features, masks)
    one = METHODS[method](one_logit_twin(model), features, masks)
    assert list(two.columns) == list(one.columns)
    numbers = two.select_dtypes("number").columns
    assert np.allclose(two[numbers], one[numbers], rtol=0, atol=1e-5, equal_nan=True)
    assert two[numbers].abs().to_numpy().max() > 1e-3


@torch.no_grad()
def test_attributions_of_a_linear_output_are_points_of_the_score():
    model = tiny_model(MEAN_POOL, target="severity", output="linear", score_range=(0.0, 63.0))
    for layer in model.fusion.output_layers.values():
        layer[1].weight.mul_(100)
    features, masks = sessions([3, 4])
    assert compute_undecided_logit(model) == 0
    logits = model.fuse(features, masks)[0]
    scores = model.head.predict(logits)
    assert (scores < 0).any() or (scores > 63).any()
    table = occlude_steps(model, features, masks, make_session_reference(features, masks))
    for row in (0, 1):
        # the mean of the session in the place of step 0
        changed = {name: x.clone() for name, x in features.items()}
        for name, x in changed.items():
            x[row, 0] = features[name][row, : 3 + row].mean(dim=0)
        difference = scores[row] - model.head.predict(model.fuse(changed, masks)[0])[row]
        value = table.query("row == @row and step == 0")["occlusion"].item()
        assert value == pytest.approx(difference.item(), abs=1e-3)
