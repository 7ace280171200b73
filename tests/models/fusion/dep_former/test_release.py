"""Model of the release: every parameter accounted for, a second statement of it, invariances."""

import numpy as np
import pytest
import torch
from model_builders import parameters_without_gradient
from torch import Tensor, nn
from torch.nn import functional

from depmm.config import DepFormerReleaseConfig, ModelConfig
from depmm.inputs import Inputs
from depmm.models.errors import ModelError
from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.dep_former.layers import EncoderLayer, Steps
from depmm.models.fusion.dep_former.release import DepFormerRelease, StackedEncoder
from depmm.models.model import DepressionModel, build_model

SMALL = {"adapter_hidden_dim": 24, "adapter_dim": 12, "embed_dim": 16, "n_heads": 2}
SMALL |= {"head_dim": 8, "ffn_dim": 16}
IN_DIMS = {"audio": 10, "face": 14}


def fusion(num_steps: int = 24, **changes) -> DepFormerRelease:
    torch.manual_seed(0)
    settings = DepFormerReleaseConfig(
        kind="dep_former_release", num_steps=num_steps, **{**SMALL, **changes}
    )
    return build_fusion(settings.model_dump(), IN_DIMS, 2).eval()


def features(batch: int, length: int = 24, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(batch, length, dim, generator=generator) for n, dim in IN_DIMS.items()}


def all_present(x: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.ones(value.shape[:2], dtype=torch.bool) for name, value in x.items()}


def linear(n_in: int, n_out: int, bias: bool = True) -> int:
    return n_in * n_out + bias * n_out


def test_systems_every_parameter_of_the_release_is_accounted_for():
    d_model, inner, d_ff = 224, 8 * 64, 32
    confidence = linear(8 * 6 * 64, 1)
    attention = 4 * linear(d_model, inner, bias=False) + 2 * d_model + confidence
    layer = attention + linear(d_model, d_ff) + linear(d_ff, d_model) + 2 * d_model
    distilling = linear(3 * d_model, d_model) + 2 * d_model
    time_embedding = linear(d_model, d_model)

    def count_encoder(d_feature: int) -> int:
        embedding = linear(3 * d_feature, d_model) + time_embedding
        stacks = (3 + 2 + 1) * layer + (2 + 1) * distilling
        return embedding + stacks + 2 * d_model + layer  # the norm, and one more layer, en_fv

    adapter = linear(224 * 224, 1000) + linear(1000, 1000) + 2 * 1000 + linear(1000, 128)
    cross = 4 * linear(d_model, inner, bias=False) + 2 * d_model
    projection = linear(d_model, 256)
    outputs = 2 * linear(18 * d_model, 2)
    release = adapter + count_encoder(256) + count_encoder(128) + cross + projection + outputs
    assert release == 59_790_834

    unused = {
        "encoder.en_fv without its confidence": layer - confidence,
        "confidence of the 13 other attention layers": 13 * confidence,
        "time_embedding of both encoders": 2 * time_embedding,
        "projection": projection,
    }
    settings = DepFormerReleaseConfig(kind="dep_former_release", num_steps=24)
    with torch.device("meta"):
        ours = build_fusion(settings.model_dump(), {"audio": 1000, "face": 224 * 224}, 2)
    n_ours = sum(parameter.numel() for parameter in ours.parameters())
    assert n_ours + sum(unused.values()) == release


def attend(query: Tensor, key: Tensor, value: Tensor, weights: list[Tensor], heads: int) -> Tensor:
    """Compute dense attention with plain products, one head at a time."""
    w_q, w_k, w_v, w_out = weights
    q, k, v = query @ w_q.T, key @ w_k.T, value @ w_v.T
    size = q.shape[-1] // heads
    parts = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = q[..., part] @ k[..., part].mT / size**0.5
        parts.append(scores.softmax(-1) @ v[..., part])
    return torch.cat(parts, -1) @ w_out.T


def conv_weight(kernel: nn.Linear) -> Tensor:
    return kernel.weight.unflatten(1, (3, -1)).transpose(1, 2)


def circular(x: Tensor, kernel: nn.Linear) -> Tensor:
    padded = functional.pad(x.mT, (1, 1), mode="circular")
    return functional.conv1d(padded, conv_weight(kernel), kernel.bias).mT


def encoder_layer(layer: EncoderLayer, x: Tensor, heads: int) -> Tensor:
    attention = getattr(layer.attention, "attention", layer.attention)
    weights = [*attention.project.weight.chunk(3), attention.out.weight]
    x = layer.norm_attention(x + attend(x, x, x, weights, heads))
    first, last = layer.ffn[0], layer.ffn[-1]
    hidden = functional.gelu(functional.conv1d(x.mT, first.weight[..., None], first.bias))
    return layer.norm_ffn(x + functional.conv1d(hidden, last.weight[..., None], last.bias).mT)


def restated_encoder(encoder: StackedEncoder, x: Tensor, heads: int) -> Tensor:
    x = circular(x, encoder.embedding.convolution.kernel)
    length, size = x.shape[1:]
    rate = 10_000 ** (torch.arange(size) // 2 * 2 / size)
    angle = torch.arange(length)[:, None] / rate
    x = x + torch.where(torch.arange(size) % 2 == 0, angle.sin(), angle.cos())
    outputs = []
    for stack, layers in enumerate(encoder.stacks):
        y = x[:, -(length // 2**stack) :]
        for number, layer in enumerate(layers):
            if number > 0:
                distilling = encoder.distilling[stack][number - 1]
                y = distilling.norm(circular(y, distilling.convolution.kernel).mT)
                y = nn.MaxPool1d(3, stride=2, padding=1)(nn.ELU()(y)).mT
            y = encoder_layer(layer, y, heads)
        y = encoder.norm(y)
        if encoder.sharing_unit is not None:
            y = y + encoder.norm(encoder_layer(encoder.sharing_unit, y, heads))
        outputs.append(y)
    return torch.cat(outputs, dim=1)


def restated(model: DepFormerRelease, x: dict[str, Tensor], heads: int) -> Tensor:
    """Compute the logits of the release, if every query attends."""
    adapted = {
        name: nn.SiLU()(model.adapter.second(model.adapter.norm(model.adapter.first[name](value))))
        for name, value in x.items()
    }
    joined = torch.cat([adapted["face"], adapted["audio"]], -1)
    main = restated_encoder(model.multimodal_encoder, joined, heads)
    face, audio = (
        restated_encoder(model.unimodal_encoder, adapted[name], heads) for name in ("face", "audio")
    )
    projections = (model.cross.query, model.cross.key, model.cross.value, model.cross.out)
    weights = [projection.weight for projection in projections]
    cross = model.cross.norm(face + attend(face, audio, main, weights, heads))
    rest = sum(model.output(tokens.flatten(1)) for tokens in (cross, face, audio))
    return model.multimodal_output(main.flatten(1)) + 0.1 * rest


@torch.no_grad()
def test_systems_logits_of_the_release_equal_a_second_statement():
    model = fusion(sampling_factor=1000)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
        if isinstance(module, nn.BatchNorm1d | nn.LayerNorm):
            module.weight.normal_(generator=generator)
            module.bias.normal_(generator=generator)
    x = features(3)
    expected = restated(model, x, heads=2)
    for complete in (True, False):
        torch.testing.assert_close(model(x, all_present(x), complete)[0], expected)


def test_systems_shapes_of_the_release():
    model = fusion()
    tokens, index = model.multimodal_encoder(Steps(torch.randn(2, 24, 24), None, None))
    assert tokens.x.shape == (2, 18, 16)
    assert index.selected.shape == (2, 2, 6)
    assert index.selected.all()  # 6 of 6 tokens: nothing is selected
    assert model.output.in_features == 18 * 16
    first = model.unimodal_encoder.stacks[0][0].attention.selection
    assert [first.count(n) for n in (24, 12, 6)] == [15, 12, 6]


@pytest.mark.parametrize("some_missing", [False, True])
def test_predictions_do_not_depend_on_the_batch(some_missing):
    model = fusion(num_steps=48)  # 12 tokens
    x = features(5, 48)
    masks = all_present(x)
    if some_missing:
        masks["face"][0, ::3], masks["audio"][1], masks["face"][2, 40:] = False, False, False
    fused, branches = model(x, masks)
    assert list(branches) == model.branches
    flipped, _ = model(
        {n: v.flip(0) for n, v in x.items()}, {n: v.flip(0) for n, v in masks.items()}
    )
    torch.testing.assert_close(flipped.flip(0), fused, rtol=1e-4, atol=1e-5)
    alone, _ = model({n: v[:1] for n, v in x.items()}, {n: v[:1] for n, v in masks.items()})
    torch.testing.assert_close(alone, fused[:1], rtol=1e-4, atol=1e-5)
    x = {n: v.masked_fill(~masks[n].unsqueeze(-1), torch.nan) for n, v in x.items()}
    torch.testing.assert_close(model(x, masks)[0], fused, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 7, 24, 72])
def test_any_number_of_steps(length):
    model = fusion(num_steps=length)
    x = features(3, length)
    fused, _ = model(x, all_present(x), complete=True)
    torch.testing.assert_close(model(x, all_present(x))[0], fused, rtol=1e-4, atol=1e-5)
    assert fused.shape == (3, 2)
    with pytest.raises(ModelError) as info:
        model(features(3, length + 1), all_present(features(3, length + 1)))
    assert info.value.setting == "model.fusion.num_steps"


def test_a_missing_modality_has_no_influence():
    model = fusion()
    x = features(2)
    masks = all_present(x)
    masks["audio"][0] = False
    fused, branches = model(x, masks)
    weighted = 1.0 * branches["multimodal"][0] + 0.1 * branches["face"][0]
    torch.testing.assert_close(fused[0], weighted * 1.3 / 1.1)


@pytest.mark.parametrize("some_missing", [False, True])
def test_every_parameter_receives_a_gradient(some_missing):
    model = fusion(num_steps=72).train()  # with 18 tokens, the confidence has an influence
    x = features(6, 72)
    masks = all_present(x)
    if some_missing:
        masks["face"][0, 5:9] = masks["audio"][1] = False
        x = {n: v.masked_fill(~masks[n].unsqueeze(-1), torch.nan) for n, v in x.items()}
    fused, _ = model(x, masks, complete=not some_missing)
    functional.cross_entropy(fused, torch.tensor([0, 1, 0, 1, 0, 1])).backward()
    assert parameters_without_gradient(model) == []
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_a_model_with_this_fusion_is_saved_and_loaded(tmp_path):
    torch.manual_seed(0)
    encoder = {"kind": "feature_cnn", "features": 5, "channels": [4], "embed_dim": 6}
    fusion = {"kind": "dep_former_release", "num_steps": 4, **SMALL}
    settings = ModelConfig(encoders={"audio": encoder, "face": encoder}, fusion=fusion)
    model = build_model(settings, output="classes").train()
    x = {name: Inputs(torch.randn(3, 4, 10, 5), np.full((3, 4), 10)) for name in ("audio", "face")}
    model(x)  # changes the running statistics
    expected = model.eval()(x)
    assert expected.logits.shape == (3, 2)
    output, samples = model.sample(3, [0, 1, 2], x)
    torch.testing.assert_close(output.prediction, expected.prediction)
    assert samples is None  # the weights are fixed
    model.save_pretrained(tmp_path)
    loaded = DepressionModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(loaded(x).logits, expected.logits)


def test_other_modalities_are_refused():
    settings = DepFormerReleaseConfig(kind="dep_former_release", num_steps=24)
    with pytest.raises(ModelError) as info:
        build_fusion(settings.model_dump(), {"audio": 4}, 1)
    assert info.value.setting == "model.fusion.kind"
