"""Inputs of DEP-Former's release, by hand."""

import numpy as np
import pytest
import torch

from depmm.models.encoders.released_inputs import FaceMap, VoiceVector
from depmm.models.errors import ModelError


def test_face_map_by_hand():
    crops = torch.zeros(2, 2, 3, 16, 16, dtype=torch.uint8)
    crops[0, 0, 0] = 255  # red
    crops[0, 1] = 255  # white
    crops[1, 0, 1, 3, 5] = 100  # one green pixel; its second crop is padding
    crops[1, 1] = 77
    out = FaceMap(16)(crops, torch.tensor([2, 1]))
    assert out.shape == (2, 256)
    assert torch.allclose(out[0], torch.tensor((0.299 + 1) / 2 * 2 - 1), atol=1e-5)
    expected = torch.full((256,), -1.0)
    expected[3 * 16 + 5] = 0.587 * 100 / 127.5 - 1
    assert torch.allclose(out[1], expected, atol=1e-5)
    with pytest.raises(ModelError) as info:
        FaceMap(32)(crops, torch.tensor([1, 1]))
    assert (info.value.setting, info.value.value) == ("face_size", (16, 16))


def test_voice_vector_is_the_level_of_equal_parts():
    rng = np.random.default_rng(0)
    waveform = rng.uniform(-0.5, 0.5, 1003)
    padded = torch.zeros(2, 1500)
    padded[0, :1003] = torch.tensor(waveform)
    padded[1, :6] = torch.tensor([0.1, -0.1, 0.1, 0.0, 0.0, 0.0])
    padded[:, 1003:] = 9.0  # padding that must not count
    padded[1, 6:] = 9.0
    out = VoiceVector(10)(padded, torch.tensor([1003, 6]))
    parts = [waveform[k * 1003 // 10 : (k + 1) * 1003 // 10] for k in range(10)]
    expected = [np.log10(np.sqrt(np.mean(part**2))) + 2.5 for part in parts]
    np.testing.assert_allclose(out[0], expected, atol=1e-5)
    # with ten points for six samples, each point is one sample
    np.testing.assert_allclose(out[1, :5], -1 + 2.5, atol=1e-5)
    np.testing.assert_allclose(out[1, 5:], -5 + 2.5, atol=1e-5)
