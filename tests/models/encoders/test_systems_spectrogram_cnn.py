"""Spectrogram CNN: published sizes and numbers of parameters."""

import torch
from model_builders import SAMPLE_RATE, encoder_of, voices
from torch import nn


@torch.no_grad()
def test_sizes():
    encoder = encoder_of("spectrogram_cnn").eval()
    waveform, length = voices([4 * SAMPLE_RATE, 2 * SAMPLE_RATE])
    image = encoder.image(waveform, length)
    assert image.shape == (2, 1, 513, 125)
    layers = [m for m in encoder.modules() if isinstance(m, nn.Conv2d | nn.MaxPool2d | nn.Linear)]
    assert [type(m).__name__ for m in layers] == [
        *["Conv2d", "MaxPool2d", "Conv2d", "MaxPool2d"],
        "Linear",  # the second one is the head
    ]
    # 513 - 2 = 511, / 4 = 127, - 2 = 125, / 4 = 31; 125 - 2 = 123, / 3 = 41, - 2 = 39, / 3 = 13
    assert encoder.convolutions(image).shape == (2, 32, 31, 13)
    assert encoder(waveform, length).shape == (2, encoder.embed_dim) == (2, 128)
    count = 32 * 9 + 32 + 32 * 32 * 9 + 32 + 32 * 31 * 13 * 128 + 128
    assert sum(p.numel() for p in encoder.parameters()) == count


def test_gradients_reach_every_parameter():
    encoder = encoder_of("spectrogram_cnn").train()
    encoder(*voices([4 * SAMPLE_RATE, 2 * SAMPLE_RATE])).square().mean().backward()
    norms = {name: p.grad.norm().item() for name, p in encoder.named_parameters()}
    assert len(norms) == 6
    assert all(0 < norm < 1e3 for norm in norms.values())
