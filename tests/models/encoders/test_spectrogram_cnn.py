"""Spectrogram CNN: normalisation over valid frames."""

import pytest
import torch
from model_builders import voices

from depmm.models.encoders.spectrogram_cnn import SpectrogramCnn
from depmm.models.errors import ModelError


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
