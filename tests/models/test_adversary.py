"""Gradient reversal, heads of nuisance variables, and the fused embedding of every fusion."""

import pytest
import torch
from model_builders import ENCODERS, FUSIONS
from torch import nn

from depmm.config import ModelConfig
from depmm.models.adversary import (
    NuisanceHeads,
    embed_sessions,
    measure_embedding_size,
    reverse_gradient,
)
from depmm.models.errors import ModelError
from depmm.models.model import DepressionModel, build_model


def test_the_gradient_is_reversed_and_the_values_are_not():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x, 0.25)
    assert torch.equal(y, x)
    (y * torch.tensor([2.0, 3.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [-0.5, -0.75]


def test_heads_learn_while_the_embedding_unlearns():
    torch.manual_seed(0)
    heads = NuisanceHeads(4, {"gender": 2, "type": 3}, 5)  # type is a method of modules
    x = torch.randn(6, 4, requires_grad=True)
    gradients = {}
    for strength in (0.0, 1.0, 2.0):
        heads.strength, x.grad = strength, None
        heads.zero_grad()
        logits = heads(x)
        assert {name: tuple(value.shape) for name, value in logits.items()} == {
            "gender": (6, 2),
            "type": (6, 3),
        }
        sum(value.logsumexp(1).sum() for value in logits.values()).backward()
        own = torch.cat([p.grad.flatten() for p in heads.parameters() if p.grad is not None])
        gradients[strength] = (x.grad.clone(), own)
    assert gradients[0.0][0].abs().max() == 0
    assert torch.allclose(gradients[2.0][0], 2 * gradients[1.0][0])
    assert torch.equal(gradients[1.0][1], gradients[2.0][1])  # the heads learn at full rate


def fused(fusion: str, modalities: tuple[str, ...], **settings) -> DepressionModel:
    torch.manual_seed(0)
    encoder = {"kind": "feature_cnn", **ENCODERS["feature_cnn"]}
    config = ModelConfig(
        encoders=dict.fromkeys(modalities, encoder),
        fusion={"kind": fusion, **FUSIONS[fusion], **settings},
    )
    return build_model(config).eval()


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("modalities", [("audio",), ("audio", "face")])
def test_every_fusion_has_a_fused_embedding_that_determines_the_logits(fusion, modalities):
    model = fused(fusion, modalities)
    generator = torch.Generator().manual_seed(1)
    features = {name: torch.randn(3, 5, 8, generator=generator) for name in modalities}
    masks = {name: torch.ones(3, 5, dtype=torch.bool) for name in modalities}
    masks[modalities[-1]][2, 3:] = False
    with torch.no_grad():
        embedding, logits, branches = embed_sessions(model, features, masks)
        assert embedding.shape == (3, measure_embedding_size(model))
        expected, expected_branches = model.fuse(features, masks)
        assert torch.equal(logits, expected)
        assert set(branches) == set(expected_branches)
        for row in range(3):  # independent of the batch
            one = {name: x[row : row + 1] for name, x in features.items()}
            present = {name: mask[row : row + 1] for name, mask in masks.items()}
            alone, _, _ = embed_sessions(model, one, present)
            assert torch.allclose(alone[0], embedding[row], atol=1e-5)
    assert embedding.std(dim=0).max() > 0


def test_a_mean_pool_is_embedded_as_the_mean_step_of_each_modality():
    model = fused("mean_pool", ("audio", "face"))
    features = {"audio": torch.randn(2, 3, 8), "face": torch.randn(2, 3, 8)}
    masks = {name: torch.ones(2, 3, dtype=torch.bool) for name in features}
    embedding, _, _ = embed_sessions(model, features, masks)
    means = torch.cat([x.mean(dim=1) for x in features.values()], dim=1)
    assert torch.allclose(embedding, means, atol=1e-6)


@pytest.mark.parametrize("fuse", ["features", "logits"])
def test_added_logits_are_embedded_as_the_inputs_of_all_branches(fuse):
    model = fused("dep_former", ("audio", "face"), fuse=fuse)
    assert measure_embedding_size(model) == 8 * (4 if fuse == "logits" else 1)


def test_a_fusion_without_an_output_layer_is_refused():
    model = fused("mean_pool", ("audio",))

    class Other(nn.Module):
        def forward(self, features, masks, complete=False):
            x = features["audio"].mean(dim=(1, 2)).unsqueeze(1)
            return x, {"audio": x}

    model.fusion = Other()
    x = {"audio": torch.randn(1, 2, 8)}
    with pytest.raises(ModelError) as error:
        embed_sessions(model, x, {"audio": torch.ones(1, 2, dtype=torch.bool)})
    assert error.value.value == "Other"
