"""MulT: every parameter accounted for, and attention by hand."""

import math

import pytest
import torch
from torch import nn

from depmm.config import ConfigError, load_config
from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.cross_modal_transformer import CrossModalEncoder, CrossModalLayer

KIND = "cross_modal_transformer"
DVLOG = {"audio": 25, "face": 136}


def count_transformer(width: int, layers: int) -> int:
    """Count the parameters of ``TransformerEncoder`` of the authors' code."""
    attention = 3 * width * width + 3 * width + width * width + width
    ffn = width * 4 * width + 4 * width + 4 * width * width + width
    return layers * (attention + ffn + 2 * 2 * width) + 2 * width


def test_systems_every_parameter_of_mult_is_accounted_for():
    projections = 30 * (25 + 136)  # proj_a, proj_v: convolutions without bias
    cross = 2 * count_transformer(30, 5)  # trans_a_with_v, trans_v_with_a
    memory = 2 * count_transformer(30, 5)  # trans_a_mem, trans_v_mem
    block = 2 * (60 * 60 + 60) + 60 + 1  # proj1, proj2, out_layer
    model = build_fusion({"kind": KIND}, DVLOG, 1)
    n_parameters = sum(p.numel() for p in model.parameters())
    assert n_parameters == projections + cross + memory + block == 236_251  # 0.24 M


def test_systems_three_modalities_have_the_layout_of_the_published_code():
    dims = {"audio": 5, "text": 300, "vision": 20}
    model = build_fusion({"kind": KIND}, dims, 1)
    expected = 30 * 325 + 6 * count_transformer(30, 5) + 3 * count_transformer(60, 5)
    expected += 2 * (180 * 180 + 180) + 180 + 1
    assert sum(p.numel() for p in model.parameters()) == expected
    assert {target: list(sources) for target, sources in model.cross.items()} == {
        "audio": ["text", "vision"],
        "text": ["audio", "vision"],
        "vision": ["audio", "text"],
    }


@torch.no_grad()
def test_attention_by_hand():
    torch.manual_seed(0)
    layer = CrossModalLayer(4, 2, dropout=0.0).eval()
    x, source = torch.randn(1, 3, 4), torch.randn(1, 5, 4)
    weight_q, weight_k, weight_v = layer.attention.in_proj_weight.chunk(3)
    keys = layer.norm_attention(source)[0]
    q, k, v = layer.norm_attention(x)[0] @ weight_q.T, keys @ weight_k.T, keys @ weight_v.T
    heads = [
        (q[:, h] @ k[:, h].T / math.sqrt(2)).softmax(-1) @ v[:, h]
        for h in (slice(0, 2), slice(2, 4))
    ]
    attended = x[0] + torch.cat(heads, -1) @ layer.attention.out_proj.weight.T
    hidden = torch.relu(layer.ffn[0](layer.norm_ffn(attended)))
    expected = attended + layer.ffn[3](hidden)
    torch.testing.assert_close(layer(x, source, None)[0], expected)
    # a missing step of the source is no key
    mask = torch.tensor([[True, True, False, True, False]])
    torch.testing.assert_close(layer(x, source, mask), layer(x, source[:, [0, 1, 3]], None))


@torch.no_grad()
def test_the_attention_to_a_missing_source_is_zero():
    torch.manual_seed(0)
    layer = CrossModalLayer(4, 2, dropout=0.0).eval()
    x = torch.randn(1, 3, 4)
    alone = layer(x, torch.randn(1, 2, 4), torch.zeros(1, 2, dtype=torch.bool))
    torch.testing.assert_close(alone, x + layer.ffn(layer.norm_ffn(x)))


@torch.no_grad()
def test_the_source_keeps_its_features_in_all_layers():
    torch.manual_seed(0)
    encoder = CrossModalEncoder(4, 2, 2, dropout=0.0, embed_dropout=0.0).eval()
    seen = []
    for layer in encoder.layers:
        layer.register_forward_hook(lambda module, args, output: seen.append(args[1]))
    encoder(torch.randn(1, 3, 4), torch.randn(1, 5, 4), None)
    assert torch.equal(*seen)


@torch.no_grad()
def test_the_last_existing_step_predicts():
    torch.manual_seed(0)
    sizes = {"embed_dim": 4, "n_heads": 2, "n_layers": 1, "n_self_layers": 1}
    model = build_fusion({"kind": KIND, **sizes}, {"audio": 4}, 1).eval()
    encoded = torch.randn(2, 5, 4)
    mask = torch.tensor([[True, False, True, False, False], [False] * 5])
    pooled = model._pool(encoded, mask)
    assert torch.equal(pooled[0], encoded[0, 2])
    assert not pooled[1].any()
    assert torch.equal(model._pool(encoded, None), encoded[:, -1])


@torch.no_grad()
def test_branches_predict_with_zeros_in_place_of_the_others():
    torch.manual_seed(0)
    model = build_fusion({"kind": KIND}, {"audio": 3, "face": 3}, 1).eval()
    x = {name: torch.randn(2, 4, 3) for name in ("audio", "face")}
    masks = {name: torch.ones(2, 4, dtype=torch.bool) for name in x}
    joined = []
    model.residual.register_forward_hook(lambda module, args, output: joined.append(args[0]))
    fused, branches = model(x, masks)
    both, audio, face = joined[0].chunk(3)
    torch.testing.assert_close(audio + face, both)
    assert not audio[:, 30:].any()
    torch.testing.assert_close(fused, model._predict(both))
    torch.testing.assert_close(branches["face"], model._predict(face))


@pytest.mark.parametrize(
    ("setting", "values"),
    [("embed_dim", {"embed_dim": 32}), ("kernel_size", {"kernel_size": 4})],
)
def test_sizes_that_do_not_fit_are_refused(setting, values):
    with pytest.raises(ConfigError) as info:
        load_config("demo_mult", [f"model.fusion.{n}={value}" for n, value in values.items()])
    assert info.value.setting == f"model.fusion.{setting}"


def test_the_module_is_a_network_of_torch_layers():
    """Attention is that of torch, so that its weights can be read with hooks."""
    model = build_fusion({"kind": KIND}, DVLOG, 1)
    n_attentions = sum(isinstance(module, nn.MultiheadAttention) for module in model.modules())
    assert n_attentions == 2 * 5 + 2 * 5
