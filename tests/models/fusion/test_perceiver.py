"""Perceiver: every parameter accounted for, attention against torch, the order of reading."""

import pytest
import torch
from torch import nn

from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.perceiver import LatentAttention

DVLOG = {"audio": 25, "face": 136}
SMALL = {"n_latents": 3, "latent_dim": 8, "context_dim": 6, "n_heads": 2, "head_dim": 4}


def linear(n_in: int, n_out: int, bias: bool = True) -> int:
    return n_in * n_out + bias * n_out


def test_systems_every_parameter_of_the_published_config_is_accounted_for():
    """Config of D-Vlog's own features in the authors' code, without the modality encoders."""
    latent, context, inner = 128, 256, 8 * 32

    def count_layer(keys: int) -> int:
        attention = linear(latent, inner, bias=False) + linear(keys, 2 * inner, bias=False)
        attention += linear(inner, latent)
        return attention + linear(latent, 8 * latent) + linear(4 * latent, latent)

    cross = count_layer(context) + 2 * latent + 2 * context + 2 * latent  # three norms
    self_attention = count_layer(latent) + 2 * 2 * latent
    published = 16 * latent + 2 * cross + 8 * self_attention + 2 * latent + linear(latent, 2)
    assert published == 3_429_378  # 3.4 M
    model = build_fusion({"kind": "perceiver"}, DVLOG, 2)
    projections = sum(p.numel() for p in model.projections.parameters())
    assert projections == linear(25, 256) + linear(136, 256)
    assert sum(p.numel() for p in model.parameters()) == published + projections


@torch.no_grad()
def test_attention_equals_that_of_torch():
    torch.manual_seed(0)
    attention = LatentAttention(8, 8, 2, 4, dropout=0.0).eval()
    reference = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    reference.in_proj_weight.copy_(torch.cat([attention.query.weight, attention.key_value.weight]))
    reference.out_proj.load_state_dict(attention.out.state_dict())
    x, context = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    mask = torch.arange(5) < torch.tensor([[5], [2]])
    expected, _ = reference(x, context, context, key_padding_mask=~mask)
    torch.testing.assert_close(attention(x, context, mask), expected)


@pytest.mark.parametrize("shared", [True, False])
@torch.no_grad()
def test_modalities_are_read_one_after_the_other(shared):
    torch.manual_seed(0)
    settings = {"kind": "perceiver", **SMALL, "n_layers": 2, "share_cross_attention": shared}
    model = build_fusion(settings, {"audio": 3, "face": 3}, 1).eval()
    assert set(model.modality_tokens.keys()) == (set(model.modalities) if shared else set())
    x = {name: torch.randn(2, 4, 3) for name in ("audio", "face")}
    masks = {name: torch.ones(2, 4, dtype=torch.bool) for name in x}
    masks["audio"][1] = False
    latents: list[torch.Tensor] = []
    for layer in set(model.cross_attention.values()):
        layer.register_forward_hook(lambda module, args, output: latents.append(args[0]))
    model(x, masks)
    first, second = latents
    assert torch.equal(first[0], model.latent)
    assert (second[0] - model.latent).abs().max() > 1e-3
    assert torch.equal(second[1], model.latent)  # this session has no audio
