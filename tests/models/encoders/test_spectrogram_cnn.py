"""Spectrogram CNN: the published sizes, and normalisation over valid frames."""

import pytest
import torch
from model_builders import SAMPLE_RATE, encoder_of, voices
from torch import nn

from depmm.models.encoders.spectrogram_cnn import SpectrogramCnn
from depmm.models.errors import ModelError


@torch.no_grad()
def test_sizes_are_those_of_the_paper():
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


def test_normalisation_is_over_valid_frames():
    encoder = SpectrogramCnn(1.5, (4, 6), 128)
    waveform, length = voices([24_000, 8_000])
    image = encoder.image(waveform, length)
    valid = image[1, ..., :16]  # ceil(8000 / 512) frames
    for cells in (image[0], valid):
        assert cells.mean().item() == pytest.approx(0, abs=1e-4)
        assert cells.std().item() == pytest.approx(1, abs=1e-3)
    assert image[1, ..., 16:].unique().numel() == 1
    assert image[1, ..., 16:].max() <= valid.min()  # the lower limit
    # the image does not depend on the level
    torch.testing.assert_close(encoder.image(3 * waveform, length), image, rtol=0, atol=5e-3)
    silence = encoder.image(torch.zeros(1, 8000), torch.tensor([8000]))
    assert silence.abs().max() < 1e-3


def test_invalid_sizes_are_refused():
    with pytest.raises(ModelError) as info:
        SpectrogramCnn(1.5, (4, 6), 12)(*voices([25_600]))
    assert (info.value.setting, info.value.value) == ("seconds", 1.6)
    with pytest.raises(ModelError) as info:
        SpectrogramCnn(0.5, (4, 6), 12)
    assert (info.value.setting, info.value.value) == ("seconds", 0.5)
    assert SpectrogramCnn(0.6, (4, 6), 12)(*voices([9_600])).shape == (1, 12)
    with pytest.raises(ModelError) as info:
        SpectrogramCnn(4.0, [8, 8, 8], 12)
    assert (info.value.setting, info.value.value) == ("channels", [8, 8, 8])
