"""Pictures of face and voice, by hand and equal to librosa and torch; rows of streams."""

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


def test_voice_vector_is_a_resized_log_mel_picture():
    import librosa

    rng = np.random.default_rng(0)
    envelope = np.sin(np.linspace(0.1, 3.0, 12000)) ** 2
    signal = (envelope * rng.normal(0, 0.1, 12000)).astype(np.float32)
    out = VoiceVector(bands=25, columns=40)(torch.tensor(signal)[None], torch.tensor([12000]))
    power = librosa.feature.melspectrogram(
        y=signal, sr=16000, n_mels=25, n_fft=512, hop_length=160, pad_mode="constant"
    )
    decibels = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=80.0).astype(np.float32)
    # torch resizes images by the same rule
    resized = torch.nn.functional.interpolate(
        torch.tensor(decibels)[None, None], (25, 40), mode="bilinear", antialias=True
    )[0, 0]
    assert out.shape == (1, 1000)
    np.testing.assert_allclose(out[0].view(25, 40), (resized + 100) / 60 - 1, atol=2e-3)


def test_voice_vector_keeps_the_level_on_one_scale():
    time = torch.arange(8000) / 16000
    tone = torch.sin(2 * torch.pi * 200 * time)
    encoder = VoiceVector(bands=25, columns=10)
    out = encoder(torch.stack([tone, tone / 10, 0 * tone]), torch.tensor([8000] * 3))
    assert 0.9 < out[0].max() < 1.1  # a full-scale tone
    middle = out.view(3, 25, 10)[:, :, 2:8]  # without the ends of the tone
    np.testing.assert_allclose(middle[0].amax() - middle[1].amax(), 20 / 60, atol=1e-4)
    np.testing.assert_allclose(out[2], -1, atol=1e-6)  # silence
    pause = encoder(torch.cat([tone, 0 * tone])[None], torch.tensor([16000])).view(25, 10)
    np.testing.assert_allclose(pause[:, -1], pause.max() - 80 / 60, atol=0.02)  # not -1


def test_padding_does_not_change_a_picture():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5000, generator=generator) / 10
    x[1, 90:] = 0
    lengths = torch.tensor([5000, 90])
    encoder = VoiceVector(bands=5, columns=8)
    out = encoder(x, lengths)
    longer = torch.nn.functional.pad(x, (0, 3000))
    torch.testing.assert_close(encoder(longer, lengths), out, rtol=0, atol=1e-5)
    alone = encoder(x[1:, :90], torch.tensor([90]))  # shorter than a frame: one column, repeated
    torch.testing.assert_close(alone, out[1:], rtol=0, atol=1e-5)
    torch.testing.assert_close(out[1].view(5, 8), out[1].view(5, 8)[:, :1].expand(5, 8))


@pytest.mark.parametrize("encoder", [FaceMap(16), VoiceVector(bands=16, columns=16)])
def test_rows_of_a_stream_are_taken_as_they_are(encoder):
    rows = torch.arange(2 * 3 * 256, dtype=torch.float32).view(2, 3, 256) * 100
    rows[1, 0, 4], rows[1, 0, 5], rows[1, 1, 5] = torch.nan, torch.inf, torch.nan
    out = encoder(rows, torch.tensor([1, 2]))
    assert out[0].equal(rows[0, 0])  # one row per word
    expected = rows[1, :2].mean(0)
    expected[4], expected[5] = rows[1, 1, 4], 0.0  # without invalid values
    torch.testing.assert_close(out[1], expected)
    with pytest.raises(ModelError) as info:
        encoder(rows[..., :255], torch.tensor([1, 2]))
    assert info.value.value == 255
