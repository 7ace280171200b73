"""SE-ResNet: squeeze-and-excitation by hand, independence of padding, gradients."""

import numpy as np
import torch
from model_builders import encoder_of, parameters_without_gradient, random_crops

from depmm.models.encoders.se_resnet import SqueezeExcitation


def test_squeeze_and_excitation_by_hand():
    block = SqueezeExcitation(2, reduction=2)
    for layer, weight, bias in (
        (block.gate[0], [[1.0, -0.5]], [0.25]),
        (block.gate[2], [[2.0], [-1.0]], [0.0, 1.0]),
    ):
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    x = torch.tensor([[[[1.0, 3.0]], [[2.0, 0.0]]]])
    # means 2 and 1; hidden relu(2 - 0.5 + 0.25) = 1.75; gates sigmoid(3.5) and sigmoid(-0.75)
    gates = 1 / (1 + np.exp([-3.5, 0.75]))
    expected = [[[[1 * gates[0], 3 * gates[0]]], [[2 * gates[1], 0]]]]
    np.testing.assert_allclose(block(x).detach().numpy(), expected, rtol=1e-5)


def test_a_step_depends_on_its_valid_crops_only():
    encoder = encoder_of("se_resnet", channels=[8, 8], blocks=[1, 1], embed_dim=6).eval()
    crops, lengths = random_crops(3, 4, size=32), torch.tensor([1, 3, 4])
    with torch.no_grad():
        together = encoder(crops, lengths)
        assert together.shape == (3, encoder.embed_dim) == (3, 6)
        noise = random_crops(3, 6, size=32, seed=1)
        for row, length in enumerate(lengths):
            noise[row, :length] = crops[row, :length]
            alone = encoder(crops[row : row + 1, :length], lengths[row : row + 1])
            torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(encoder(noise, lengths), together, rtol=1e-4, atol=1e-4)


def test_every_parameter_receives_a_gradient():
    encoder = encoder_of("se_resnet", channels=[8, 8], blocks=[1, 1], reduction=2).train()
    encoder(random_crops(3, 4, size=32), torch.tensor([1, 3, 4])).square().sum().backward()
    assert parameters_without_gradient(encoder) == []
