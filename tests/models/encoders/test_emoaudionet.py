"""EmoAudioNet: branches, colours, resizing and windows of 2.5 s."""

import pytest
import torch
from model_builders import SAMPLE_RATE, voices

from depmm.models.encoders.emoaudionet import (
    EmoAudioNet,
    MfccBranch,
    SpectrogramBranch,
    apply_colour_map,
)
from depmm.models.errors import ModelError


def test_each_branch_can_be_used_alone():
    for name, kind in [("spectrogram", SpectrogramBranch), ("mfcc", MfccBranch)]:
        encoder = EmoAudioNet([name], 6, 0.1, image_size=64)
        assert list(encoder.branches) == [name]
        assert isinstance(encoder.branches[name], kind)
        assert encoder.embed_dim == encoder.branches[name].embed_dim
    for branches in ([], ["video"], ["mfcc", "mfcc"]):
        with pytest.raises(ModelError) as info:
            EmoAudioNet(branches, 6, 0.1)
        assert (info.value.setting, info.value.value) == ("branches", branches)
    with pytest.raises(ModelError) as info:
        EmoAudioNet(["spectrogram"], 6, 0.1, image_size=63)
    assert (info.value.setting, info.value.value) == ("image_size", 63)


@torch.no_grad()
def test_mfcc_windows_of_two_and_a_half_seconds():
    branch = MfccBranch(channels=2, dropout=0.1).eval()
    # windows of 2.5 s every 0.5 s: four in 4 s, one in 2.99 s and in 0.3 s
    waveform, length = voices([64_000, 47_840, 4_800])
    series, window_mask = branch.mfcc_windows(waveform, length)
    assert window_mask.tolist() == [
        [True] * 4,
        [True, False, False, False],
        [True, False, False, False],
    ]
    assert series.shape == (6, 177)
    second = waveform[0, 8_000:48_000]
    cepstrum, _ = branch.mfcc(second[None], torch.tensor([40_000]))
    torch.testing.assert_close(series[1], cepstrum[0].mean(0) / 10)
    assert series[-1, :22].abs().min() > 0  # 1 + 4800 // 226 values, then silence
    assert series[-1, 22:].eq(0).all()
    # the vector of a step is the mean over its windows
    each = torch.cat(
        [branch(waveform[:1, n * 8_000 :][:, :40_000], torch.tensor([40_000])) for n in range(4)]
    )
    torch.testing.assert_close(branch(waveform, length)[0], each.mean(0))


def test_colours_are_viridis():
    from matplotlib import colormaps

    colours = SpectrogramBranch(channels=1, image_size=64, dropout=0.1).colours
    table = torch.tensor(colormaps["viridis"].colors)
    x = torch.arange(256) / 255
    assert (apply_colour_map(x, colours) - table).abs().max() < 0.03
    torch.testing.assert_close(apply_colour_map(x[::17], colours), table[::17], rtol=0, atol=0.002)
    ends = apply_colour_map(torch.tensor([-1.0, 2.0]), colours)
    torch.testing.assert_close(ends, colours[[0, -1]])
    # half way between two colours, and its slope
    two = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.5]])
    half = torch.tensor([0.5], requires_grad=True)
    torch.testing.assert_close(apply_colour_map(half, two)[0], torch.tensor([0.5, 0.5, 0.25]))
    apply_colour_map(half, two)[0, 2].backward()
    assert half.grad is not None
    assert half.grad.item() == pytest.approx(0.5)


@torch.no_grad()
def test_image_spans_the_step():
    branch = SpectrogramBranch(channels=2, image_size=64, dropout=0.1)
    t = torch.arange(16_000) / SAMPLE_RATE
    low, high = (0.2 * torch.sin(2 * torch.pi * f * t) for f in (1_000, 6_000))
    waveform = torch.zeros(1, 40_000)
    waveform[0, :8_000], waveform[0, 8_000:16_000] = low[:8_000], high[8_000:]
    image = branch.image(waveform, torch.tensor([16_000]))
    assert image.shape == (1, 3, 64, 64)
    yellow = image[0, 0]  # red is high for the loudest colours of viridis only
    # each fills half the width; 1 and 6 of 8 kHz are bins 16 and 96 of 129, rows 7.7 and 47.4 of 64
    assert yellow[:, 4:28].argmax(0).float().mean().item() == pytest.approx(7.7, abs=1)
    assert yellow[:, 36:60].argmax(0).float().mean().item() == pytest.approx(47.4, abs=1)
    assert image.min() >= 0
    assert image.max() <= 1
