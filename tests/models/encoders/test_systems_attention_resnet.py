"""Attention residual network: published numbers of parameters and sizes of maps."""

import pytest
import torch
from model_builders import encoder_of, voices
from torch import nn

from depmm.models.encoders.attention_resnet import ResidualBlock
from depmm.models.encoders.cbam import CBAM

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
# torchvision, with three input channels and a last layer of 1000
TORCHVISION = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160}


def count_resnet_parameters(depth: int, projection: bool) -> int:
    """Count the weights of a one-channel ResNet without its last layer (He et al., Table 1)."""
    total, size = 49 * 64 + 2 * 64, 64
    for stage, n_blocks in enumerate(BLOCKS[depth]):
        width = 64 * 2**stage
        out = 4 * width if depth >= 50 else width
        for block in range(n_blocks):
            if depth >= 50:
                total += size * width + 9 * width**2 + width * out + 2 * (2 * width + out)
            else:
                total += 9 * size * width + 9 * width**2 + 4 * width
            if block == 0 and size != out and projection:
                total += size * out + 2 * out
            size = out
    return total


def count_cbam_parameters(channels: int) -> int:
    """Count two layers C -> C/16 -> C and a 7 x 7 convolution of 2 maps, without biases."""
    return 2 * channels * (channels // 16) + 2 * 7 * 7


@pytest.mark.parametrize("shortcut", ["projection", "zero_padding"])
@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_parameters(depth, shortcut):
    with torch.device("meta"):
        networks = {
            attention: encoder_of(
                "attention_resnet", depth=depth, attention=attention, shortcut=shortcut
            )
            for attention in ("none", "inside_blocks", "after_modules")
        }
    count = {name: sum(p.numel() for p in net.parameters()) for name, net in networks.items()}
    width = 2048 if depth >= 50 else 512
    assert {net.embed_dim for net in networks.values()} == {width}
    assert count["none"] == count_resnet_parameters(depth, shortcut == "projection")
    if shortcut == "projection":
        assert count["none"] == TORCHVISION[depth] - 1000 * (width + 1) - 2 * 64 * 49
    # depth is the number of convolutions without those of shortcuts, plus the last layer
    convolutions = [
        m
        for m in networks["none"].modules()
        if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)
    ]
    assert len(convolutions) == 1 + (1 if depth >= 50 else 2) * sum(BLOCKS[depth])

    stage_widths = [n * width // 512 for n in (64, 128, 256, 512)]
    inside = sum(
        n_blocks * count_cbam_parameters(channels)
        for n_blocks, channels in zip(BLOCKS[depth], stage_widths, strict=True)
    )
    after = sum(map(count_cbam_parameters, [64, *stage_widths]))
    assert count["inside_blocks"] == count["none"] + inside
    assert count["after_modules"] == count["none"] + after
    n_cbam = {
        name: sum(isinstance(m, CBAM) for m in net.modules()) for name, net in networks.items()
    }
    assert n_cbam == {"none": 0, "inside_blocks": sum(BLOCKS[depth]), "after_modules": 5}


def test_resnet_18_parameters():
    with torch.device("meta"):
        count = {
            attention: sum(
                p.numel() for p in encoder_of("attention_resnet", attention=attention).parameters()
            )
            for attention in ("none", "inside_blocks", "after_modules")
        }
    # 11,170,240 without the projections of 64 -> 128, 128 -> 256 and 256 -> 512 channels
    plain = 11_170_240 - 64 * 128 - 128 * 256 - 256 * 512 - 2 * (128 + 256 + 512)
    # CBAM of 64, 128, 256 and 512 channels: 610, 2146, 8290 and 32866
    assert count == {
        "none": plain,
        "inside_blocks": plain + 2 * (610 + 2_146 + 8_290 + 32_866),
        "after_modules": plain + 610 + 610 + 2_146 + 8_290 + 32_866,
    }


@pytest.mark.parametrize("depth", [18, 50])
def test_attention_is_inside_every_block_by_default(depth):
    with torch.device("meta"):
        encoder = encoder_of("attention_resnet", depth=depth)
    blocks = [m for m in encoder.modules() if isinstance(m, ResidualBlock)]
    assert len(blocks) == sum(BLOCKS[depth])
    assert all(isinstance(block.attention, CBAM) for block in blocks)


@torch.no_grad()
def test_maps_of_four_seconds():
    encoder = encoder_of("attention_resnet").eval()
    shapes: list[tuple[int, ...]] = []
    encoder.mfcc.register_forward_hook(lambda _, __, out: shapes.append(tuple(out[0].shape[1:])))
    for stage in encoder.stages:
        stage[-1].register_forward_hook(lambda _, __, out: shapes.append(tuple(out[0].shape[1:])))
    assert encoder(*voices([64_000])).shape == (1, 512)
    # librosa: 20 coefficients, a frame every 512 samples; then five halvings
    assert shapes == [(20, 126), (64, 5, 32), (128, 3, 16), (256, 2, 8), (512, 1, 4)]


def test_no_dropout_and_gradients_reach_every_parameter():
    encoder = encoder_of("attention_resnet").train()
    assert not any(isinstance(m, nn.Dropout) for m in encoder.modules())
    encoder(*voices([64_000, 48_000])).square().mean().backward()
    norms = {name: p.grad.norm().item() for name, p in encoder.named_parameters()}
    assert all(0 < norm < 1e3 for norm in norms.values())
