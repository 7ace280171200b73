"""Attention residual network: attention by hand, known sizes, independence of padding."""

import math

import pytest
import torch
from model_builders import encoder_of, voices
from torch import nn

from depmm.models.encoders.attention_resnet import AttentionResNet, ResidualBlock
from depmm.models.encoders.cbam import CBAM, ChannelAttention, SpatialAttention
from depmm.models.errors import ModelError


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# channels x frequency x time; the third column is padding
MAPS = torch.tensor([[[[1.0, 2, 90], [3, 4, 90]], [[0, -2, -90], [2, 4, 90]]]])
VALID = torch.tensor([[True, True, False]])


def make_channel_attention() -> ChannelAttention:
    channel = ChannelAttention(2, reduction=2)
    channel.shared[0].weight.data = torch.tensor([[0.1, 0.2]])
    channel.shared[2].weight.data = torch.tensor([[1.0], [-2.0]])
    return channel


def make_spatial_attention() -> SpatialAttention:
    spatial = SpatialAttention()
    weight = torch.zeros(1, 2, 7, 7)
    weight[0, 0, 3, 3], weight[0, 1, 3, 3] = 1.0, 0.5  # average and maximum here
    weight[0, 0, 3, 4] = 0.1  # average of the position to the right
    spatial.convolution.weight.data = weight
    return spatial


def test_channel_attention_by_hand():
    out = make_channel_attention()(MAPS, VALID)[..., :2]
    # averages 2.5 and 1, maxima 4 and 4: hidden 0.45 and 1.2, both through the same weights
    hidden = 0.1 * 2.5 + 0.2 * 1 + 0.1 * 4 + 0.2 * 4
    assert hidden == pytest.approx(1.65)
    gates = torch.tensor([sigmoid(1.65), sigmoid(-2 * 1.65)])
    torch.testing.assert_close(out, MAPS[..., :2] * gates[:, None, None])


def test_spatial_attention_by_hand():
    out = make_spatial_attention()(MAPS, VALID)[..., :2]
    # averages .5 0 / 2.5 4, maxima 1 2 / 3 4
    scores = [[0.5 + 0.5 + 0.0, 0.0 + 1.0], [2.5 + 1.5 + 0.4, 4.0 + 2.0]]
    gates = torch.tensor([[sigmoid(s) for s in row] for row in scores])
    torch.testing.assert_close(out, MAPS[..., :2] * gates)


def test_cbam_is_channel_then_spatial_attention():
    cbam = CBAM(2, reduction=2)
    cbam.channel, cbam.spatial = make_channel_attention(), make_spatial_attention()
    out = cbam(MAPS, VALID)[..., :2]
    first, second = sigmoid(1.65), sigmoid(-3.3)
    # lowest row, last valid column: 4 in both channels
    average, highest = (4 * first + 4 * second) / 2, 4 * first
    gate = sigmoid(average + 0.5 * highest)
    assert out[0, :, 1, 1].tolist() == pytest.approx(
        [4 * first * gate, 4 * second * gate], rel=1e-5
    )


@torch.no_grad()
def test_attention_scales_the_residual_branch_before_the_addition():
    torch.manual_seed(0)
    block = ResidualBlock(4, 4, 1, bottleneck=False, shortcut="projection", reduction=2).eval()
    x, valid = torch.randn(2, 4, 3, 5), torch.ones(2, 5, dtype=torch.bool)
    branch = x
    for index, (convolution, norm) in enumerate(zip(block.convolutions, block.norms, strict=True)):
        branch = norm(convolution(branch))
        branch = branch.relu() if index == 0 else branch
    assert block.attention is not None
    out, _ = block(x, valid)
    torch.testing.assert_close(out, (block.attention(branch, valid) + x).relu())
    # a closed spatial gate leaves the shortcut, which attention after the addition would not
    block.attention.spatial.convolution.weight.fill_(-1e4)
    block.norms[-1].bias.fill_(50.0)  # every average and maximum is positive
    torch.testing.assert_close(block(x, valid)[0], x.relu())


@pytest.mark.parametrize("attention", ["inside_blocks", "after_modules"])
@torch.no_grad()
def test_padding_does_not_change_the_output_in_training(attention):
    waveform, length = voices([9_000, 20_000, 13_000])
    outputs, statistics = [], []
    for extra in (0, 30_000):
        encoder = encoder_of("attention_resnet", channels=8, attention=attention).train()
        outputs.append(encoder(nn.functional.pad(waveform, (0, extra)), length))
        statistics.append(dict(encoder.named_buffers()))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(statistics[0], statistics[1], rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_stages_halve_height_and_width():
    encoder = encoder_of(
        "attention_resnet", n_mfcc=40, hop_length=160, attention="after_modules"
    ).eval()
    shapes: list[tuple[int, ...]] = []
    for module in encoder.modules():
        if isinstance(module, CBAM):
            module.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    # 1.5 s: 151 frames of 40
    assert encoder(*voices([24_000])).shape == (1, 512)
    assert shapes == [(64, 20, 76), (64, 10, 38), (128, 5, 19), (256, 3, 10), (512, 2, 5)]
    assert not any(isinstance(m, nn.Dropout) for m in encoder.modules())


@pytest.mark.parametrize(("bottleneck", "channels"), [(False, 8), (True, 2)])
@torch.no_grad()
def test_new_channels_of_a_shortcut_are_zero(bottleneck, channels):
    torch.manual_seed(0)
    block = ResidualBlock(3, channels, 2, bottleneck, "zero_padding", None).eval()
    block.norms[-1].weight.zero_()  # closes the residual branch
    x = torch.randn(2, 3, 5, 7).abs()
    out, _ = block(x, None)
    assert out.shape == (2, 8, 3, 4)
    torch.testing.assert_close(out[:, :3], x[:, :, ::2, ::2])
    assert out[:, 3:].eq(0).all()
    assert block.projection is None


@torch.no_grad()
def test_resnet_101_runs():
    encoder = encoder_of("attention_resnet", depth=101, channels=16).eval()
    assert encoder(*voices([8_000])).shape == (1, 512)


def test_unknown_depth_is_refused():
    with pytest.raises(ModelError) as info:
        AttentionResNet(20, "none", "projection", 8, 20, 128, 2048, 512)
    assert (info.value.setting, info.value.value) == ("depth", 20)
