"""The three published audio encoders: sizes as stated, hand values, padding without a trace."""

import io
import math
from collections.abc import Callable

import pytest
import torch
from imitated_gpu import CudaAutocast
from torch import Tensor, nn

from depmm.models.encoders.attention_resnet import (
    CBAM,
    AttentionResNet,
    ChannelAttention,
    SpatialAttention,
    normalise,
)
from depmm.models.encoders.emoaudionet import (
    EmoAudioNet,
    MfccBranch,
    SpectrogramBranch,
    paint,
    resize_weights,
)
from depmm.models.encoders.spectrogram_cnn import SpectrogramCnn

RATE = 16_000

SMALL: dict[str, Callable[[], nn.Module]] = {
    "spectrogram_cnn": lambda: SpectrogramCnn(seconds=1.5, channels=(4, 6), embed_dim=12),
    "attention_resnet_18": lambda: AttentionResNet(18, channels=8, reduction=4),
    "resnet_18": lambda: AttentionResNet(18, attention=False, channels=8),
    "attention_resnet_50": lambda: AttentionResNet(50, channels=4, reduction=4),
    "emoaudionet": lambda: EmoAudioNet(channels=6, picture=64, dropout=0.0),
    "emoaudionet_mfcc": lambda: EmoAudioNet(["mfcc"], channels=6),
    "emoaudionet_spectrogram": lambda: EmoAudioNet(["spectrogram"], channels=6, picture=64),
}


def small(name: str) -> nn.Module:
    torch.manual_seed(0)
    return SMALL[name]()


def voices(lengths: list[int], padded: int | None = None) -> tuple[Tensor, Tensor]:
    """Noisy tones of different pitch and level, zero after their lengths."""
    generator = torch.Generator().manual_seed(0)
    waveform = torch.zeros(len(lengths), padded or max(lengths))
    for row, n in enumerate(lengths):
        t = torch.arange(n) / RATE
        level = 0.05 * (row + 1) * (1 + torch.sin(2 * torch.pi * (2 + row) * t))
        tone = torch.sin(2 * torch.pi * (150 + 140 * row) * t)
        waveform[row, :n] = level * tone + 0.02 * torch.randn(n, generator=generator)
    return waveform, torch.tensor(lengths)


# ---- what every encoder owes -----------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_padding_and_neighbours_change_nothing_in_evaluation(name):
    encoder = small(name).eval()
    lengths = [7_777, 24_000, 1, 16_384, 4_001]
    waveform, length = voices(lengths, padded=24_000)
    together = encoder(waveform, length)
    assert together.shape == (5, encoder.embed_dim)
    assert together.isfinite().all()
    assert (together[0] - together[1]).abs().max() > 1e-4  # it hears a difference
    for row, n in enumerate(lengths):
        alone = encoder(waveform[row : row + 1, :n], length[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-3, atol=1e-5)
    wider = nn.functional.pad(waveform, (0, 70_001))
    torch.testing.assert_close(encoder(wider, length), together, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_receives_a_gradient(name):
    encoder = small(name).train()
    waveform, length = voices([24_000, 15_000, 9_000, 20_000])
    (encoder(waveform, length) * torch.randn(4, encoder.embed_dim)).sum().backward()
    silent = [
        n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert not silent, f"no gradient reaches {silent}"
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", SMALL)
def test_one_step_lowers_the_loss_of_its_batch(name):
    encoder = small(name).train()
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    head = nn.Linear(encoder.embed_dim, 1)
    waveform, length = voices([24_000, 15_000, 9_000, 20_000])
    parameters = [*encoder.parameters(), *head.parameters()]

    def loss() -> Tensor:
        logit = head(encoder(waveform, length)).squeeze(-1)
        return nn.functional.binary_cross_entropy_with_logits(logit, torch.tensor([0.0, 1, 0, 1]))

    before = loss()
    gradients = torch.autograd.grad(before, parameters)
    square = sum(g.square().sum() for g in gradients)
    with torch.no_grad():
        for p, g in zip(parameters, gradients, strict=True):
            p -= 0.01 * g / square  # to first order this lowers the loss by 0.01
        after = loss()
    assert 0.002 < before.item() - after.item() < 0.05


@pytest.mark.parametrize("name", ["spectrogram_cnn", "attention_resnet_18", "emoaudionet"])
@torch.no_grad()
def test_saved_state_is_complete(name):
    encoder = small(name).train()
    waveform, length = voices([12_000, 5_000])
    encoder(waveform, length)  # moves batch statistics away from their start
    file = io.BytesIO()
    torch.save(encoder.state_dict(), file)
    file.seek(0)
    # as from_pretrained does: what the file does not hold would stay without values
    with torch.device("meta"):
        loaded = SMALL[name]()
    loaded.load_state_dict(torch.load(file, weights_only=True), assign=True)
    assert not any(tensor.is_meta for tensor in [*loaded.parameters(), *loaded.buffers()])
    for a, b in zip(encoder.state_dict().values(), loaded.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    # at the addresses of a file other kernels may run
    torch.testing.assert_close(
        loaded.eval()(waveform, length), encoder.eval()(waveform, length), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", ["spectrogram_cnn", "attention_resnet_18", "emoaudionet"])
def test_half_precision_trains(name):
    encoder = small(name).train()
    waveform, length = voices([24_000, 15_000, 9_000, 20_000])
    with torch.autocast("cpu", dtype=torch.bfloat16), CudaAutocast():
        half = encoder(waveform, length)
    half.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())
    encoder = small(name).train()
    full = encoder(waveform, length)
    assert (half - full).abs().max() < 0.1 * full.abs().max()


# ---- spectrogram CNN -------------------------------------------------------------------------


@torch.no_grad()
def test_spectrogram_cnn_sizes():
    encoder = SpectrogramCnn().eval()
    waveform, length = voices([4 * RATE, 2 * RATE])
    picture = encoder.picture(waveform, length)
    assert picture.shape == (2, 1, 513, 125)
    layers = [m for m in encoder.modules() if isinstance(m, nn.Conv2d | nn.MaxPool2d | nn.Linear)]
    assert [type(m).__name__ for m in layers] == [
        *["Conv2d", "MaxPool2d", "Conv2d", "MaxPool2d"],
        "Linear",  # the second one is the head
    ]
    # 513 - 2 = 511, / 4 = 127, - 2 = 125, / 4 = 31; 125 - 2 = 123, / 3 = 41, - 2 = 39, / 3 = 13
    assert encoder.convolutions(picture).shape == (2, 32, 31, 13)
    assert encoder(waveform, length).shape == (2, encoder.embed_dim) == (2, 128)
    count = 32 * 9 + 32 + 32 * 32 * 9 + 32 + 32 * 31 * 13 * 128 + 128
    assert sum(p.numel() for p in encoder.parameters()) == count


def test_spectrogram_cnn_normalises_over_what_was_said():
    encoder = SpectrogramCnn(seconds=1.5, channels=(4, 6))
    waveform, length = voices([24_000, 8_000])
    picture = encoder.picture(waveform, length)
    said = picture[1, ..., :16]  # ceil(8000 / 512) frames
    for cells in (picture[0], said):
        assert cells.mean().item() == pytest.approx(0, abs=1e-4)
        assert cells.std().item() == pytest.approx(1, abs=1e-3)
    assert picture[1, ..., 16:].unique().numel() == 1
    assert picture[1, ..., 16:].max() <= said.min()  # the floor
    # louder is the same picture
    torch.testing.assert_close(encoder.picture(3 * waveform, length), picture, rtol=0, atol=5e-3)
    silence = encoder.picture(torch.zeros(1, 8000), torch.tensor([8000]))
    assert silence.abs().max() < 1e-3


def test_spectrogram_cnn_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"1\.60 s does not fit .* 1\.5 s: lower data"):
        small("spectrogram_cnn")(*voices([25_600]))
    with pytest.raises(ValueError, match=r"0\.5 s leave nothing"):
        SpectrogramCnn(seconds=0.5)
    assert SpectrogramCnn(seconds=0.6)(*voices([9_600])).shape == (1, 128)
    with pytest.raises(ValueError, match="2 convolutions"):
        SpectrogramCnn(channels=[8, 8, 8])


# ---- attention residual network --------------------------------------------------------------


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# channels x frequency x time; the third column is padding that must not count
PICTURE = torch.tensor([[[[1.0, 2, 90], [3, 4, 90]], [[0, -2, -90], [2, 4, 90]]]])
VALID = torch.tensor([[True, True, False]])


def by_hand_channel() -> ChannelAttention:
    channel = ChannelAttention(2, reduction=2)
    channel.shared[0].weight.data = torch.tensor([[0.1, 0.2]])
    channel.shared[2].weight.data = torch.tensor([[1.0], [-2.0]])
    return channel


def by_hand_spatial() -> SpatialAttention:
    spatial = SpatialAttention()
    weight = torch.zeros(1, 2, 7, 7)
    weight[0, 0, 3, 3], weight[0, 1, 3, 3] = 1.0, 0.5  # average and maximum here
    weight[0, 0, 3, 4] = 0.1  # average of the place to the right
    spatial.convolution.weight.data = weight
    return spatial


def test_channel_attention_by_hand():
    out = by_hand_channel()(PICTURE, VALID)[..., :2]
    # averages 2.5 and 1, maxima 4 and 4: hidden 0.45 and 1.2, both through the same weights
    hidden = 0.1 * 2.5 + 0.2 * 1 + 0.1 * 4 + 0.2 * 4
    assert hidden == pytest.approx(1.65)
    gates = torch.tensor([sigmoid(1.65), sigmoid(-2 * 1.65)])
    torch.testing.assert_close(out, PICTURE[..., :2] * gates[:, None, None])


def test_spatial_attention_by_hand():
    out = by_hand_spatial()(PICTURE, VALID)[..., :2]
    # averages .5 0 / 2.5 4, maxima 1 2 / 3 4
    scores = [[0.5 + 0.5 + 0.0, 0.0 + 1.0], [2.5 + 1.5 + 0.4, 4.0 + 2.0]]
    gates = torch.tensor([[sigmoid(s) for s in row] for row in scores])
    torch.testing.assert_close(out, PICTURE[..., :2] * gates)


def test_cbam_is_channel_then_spatial_attention():
    cbam = CBAM(2, reduction=2)
    cbam.channel, cbam.spatial = by_hand_channel(), by_hand_spatial()
    out = cbam(PICTURE, VALID)[..., :2]
    first, second = sigmoid(1.65), sigmoid(-3.3)
    # lowest row, last valid column: 4 in both channels
    average, highest = (4 * first + 4 * second) / 2, 4 * first
    gate = sigmoid(average + 0.5 * highest)
    assert out[0, :, 1, 1].tolist() == pytest.approx(
        [4 * first * gate, 4 * second * gate], rel=1e-5
    )


def test_batch_statistics_come_from_valid_frames_alone():
    norm = nn.BatchNorm2d(1, momentum=1.0)
    x = torch.tensor([[[[1.0, 3, 500]]], [[[5.0, 500, 500]]]])
    out = normalise(norm, x, torch.tensor([[True, True, False], [True, False, False]]))
    deviation = math.sqrt(8 / 3)  # of 1, 3, 5
    expected = torch.tensor([[[[-2 / deviation, 0, 0]]], [[[2 / deviation, 0, 0]]]])
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    assert norm.running_mean is not None
    assert norm.running_mean.item() == pytest.approx(3.0)


@torch.no_grad()
def test_attention_resnet_padding_changes_nothing_in_training_either():
    waveform, length = voices([9_000, 20_000, 13_000])
    outputs, statistics = [], []
    for extra in (0, 30_000):
        encoder = small("attention_resnet_18").train()
        outputs.append(encoder(nn.functional.pad(waveform, (0, extra)), length))
        statistics.append(dict(encoder.named_buffers()))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(statistics[0], statistics[1], rtol=1e-3, atol=1e-4)


def plain_count(blocks: tuple[int, ...], bottleneck: bool) -> int:
    """Weights of a ResNet without its last layer, one input channel (He et al., Table 1)."""
    total, size = 49 * 64 + 2 * 64, 64
    for stage, number in enumerate(blocks):
        width = 64 * 2**stage
        out = 4 * width if bottleneck else width
        for block in range(number):
            if bottleneck:
                total += size * width + 9 * width**2 + width * out + 2 * (2 * width + out)
            else:
                total += 9 * size * width + 9 * width**2 + 4 * width
            if block == 0 and size != out:
                total += size * out + 2 * out
            size = out
    return total


# known totals with three input channels and a last layer of 1000: 11,689,512 and so on
@pytest.mark.parametrize(
    ("depth", "blocks", "width", "with_last"),
    [
        (18, (2, 2, 2, 2), 512, 11_689_512),
        (34, (3, 4, 6, 3), 512, 21_797_672),
        (50, (3, 4, 6, 3), 2048, 25_557_032),
        (101, (3, 4, 23, 3), 2048, 44_549_160),
    ],
)
def test_residual_networks_have_their_known_sizes(depth, blocks, width, with_last):
    with torch.device("meta"):
        plain = AttentionResNet(depth, attention=False)
        attentive = AttentionResNet(depth)
    assert plain.embed_dim == attentive.embed_dim == width
    count = sum(p.numel() for p in plain.parameters())
    assert count == plain_count(blocks, depth >= 50)
    assert count == with_last - 1000 * (width + 1) - 2 * 64 * 49
    # depth counts the convolutions on the way, and the last layer
    on_the_way = [
        m for m in plain.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)
    ]
    per_block = 1 if depth >= 50 else 2
    assert len(on_the_way) == 1 + per_block * sum(blocks)
    modules = [m for m in attentive.modules() if isinstance(m, CBAM)]
    assert len(modules) == 5
    widths = [64, *(n * width // 512 for n in (64, 128, 256, 512))]
    extra = sum(2 * n * (n // 16) + 2 * 49 for n in widths)
    assert sum(p.numel() for p in attentive.parameters()) == count + extra


@torch.no_grad()
def test_attention_resnet_stages():
    encoder = AttentionResNet(18, n_mfcc=40, hop_length=160).eval()
    shapes: list[tuple[int, ...]] = []
    for module in encoder.modules():
        if isinstance(module, CBAM):
            module.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    # 1.5 s: 151 frames of 40
    assert encoder(*voices([24_000])).shape == (1, 512)
    assert shapes == [(64, 20, 76), (64, 10, 38), (128, 5, 19), (256, 3, 10), (512, 2, 5)]
    assert not any(isinstance(m, nn.Dropout) for m in encoder.modules())


@torch.no_grad()
def test_resnet_101_runs():
    encoder = AttentionResNet(101, channels=16).eval()
    assert encoder(*voices([8_000])).shape == (1, 512)


def test_unknown_depth_is_refused():
    with pytest.raises(ValueError, match=r"ResNet-20 .* \[18, 34, 50, 101\]"):
        AttentionResNet(20)


# ---- EmoAudioNet -----------------------------------------------------------------------------


@torch.no_grad()
def test_emoaudionet_sizes():
    encoder = EmoAudioNet().eval()
    spectrogram, mfcc = encoder.branches["spectrogram"], encoder.branches["mfcc"]
    waveform, length = voices([4 * RATE])
    shapes: list[tuple[int, ...]] = []
    for block in spectrogram.blocks:
        block.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    vector = spectrogram(waveform, length)
    assert shapes == [(128, 28, 28), (128, 3, 3)]
    assert vector.shape == (1, spectrogram.embed_dim) == (1, 1152)
    assert mfcc(waveform, length).shape == (1, mfcc.embed_dim) == (1, 2816)
    assert encoder.dense.in_features == 3968
    assert encoder.embed_dim == 10
    picture = 3 * 128 * 9 + 128 + 5 * (128 * 128 * 9 + 128)
    series = 5 * 128 + 128 + 5 * 128 * 128 + 128
    assert sum(p.numel() for p in encoder.parameters()) == picture + series + 3968 * 10 + 10
    assert [m.p for m in encoder.modules() if isinstance(m, nn.Dropout)] == [0.1] * 3


def test_branches_alone():
    for name, kind in [("spectrogram", SpectrogramBranch), ("mfcc", MfccBranch)]:
        encoder = small(f"emoaudionet_{name}")
        assert list(encoder.branches) == [name]
        assert isinstance(encoder.branches[name], kind)
        assert encoder.embed_dim == 10
    for branches in ([], ["video"], ["mfcc", "mfcc"]):
        with pytest.raises(ValueError, match="name 'spectrogram', 'mfcc' or both"):
            EmoAudioNet(branches)
    with pytest.raises(ValueError, match="63 pixels"):
        EmoAudioNet(picture=63)


@torch.no_grad()
def test_series_windows():
    branch = MfccBranch(channels=2).eval()
    # 2.5 s windows each 0.5 s: 4 s hold four, 2.99 s and 0.3 s one
    waveform, length = voices([64_000, 47_840, 4_800])
    series, there = branch.series(waveform, length)
    assert there.tolist() == [[True] * 4, [True, False, False, False], [True, False, False, False]]
    assert series.shape == (6, 177)
    second = waveform[0, 8_000:48_000]
    cepstrum, _ = branch.mfcc(second[None], torch.tensor([40_000]))
    torch.testing.assert_close(series[1], cepstrum[0].mean(0) / 10)
    assert series[-1, :22].abs().min() > 0  # 1 + 4800 // 226 values, then silence
    assert series[-1, 22:].eq(0).all()
    # a step's vector is the mean of its windows'
    each = torch.cat(
        [branch(waveform[:1, n * 8_000 :][:, :40_000], torch.tensor([40_000])) for n in range(4)]
    )
    torch.testing.assert_close(branch(waveform, length)[0], each.mean(0))


def test_colours_are_viridis():
    from matplotlib import colormaps

    colours = SpectrogramBranch(channels=1, picture=64).colours
    table = torch.tensor(colormaps["viridis"].colors)
    x = torch.arange(256) / 255
    assert (paint(x, colours) - table).abs().max() < 0.03
    torch.testing.assert_close(paint(x[::17], colours), table[::17], rtol=0, atol=0.002)
    ends = paint(torch.tensor([-1.0, 2.0]), colours)
    torch.testing.assert_close(ends, colours[[0, -1]])
    # half way between two colours, and its slope
    two = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.5]])
    half = torch.tensor([0.5], requires_grad=True)
    torch.testing.assert_close(paint(half, two)[0], torch.tensor([0.5, 0.5, 0.25]))
    paint(half, two)[0, 2].backward()
    assert half.grad is not None
    assert half.grad.item() == pytest.approx(0.5)


@pytest.mark.parametrize("out", [7, 64, 224])
def test_resizing_equals_pytorch(out):
    valid = torch.tensor([1, 9, 64, 100])
    x = torch.randn(4, 3, 100, generator=torch.Generator().manual_seed(0))
    weights = resize_weights(valid, 100, out)
    ours = torch.einsum("bft,btw->bfw", x, weights)
    for row, n in enumerate(valid.tolist()):
        expected = nn.functional.interpolate(
            x[row : row + 1, None, :, :n], (3, out), mode="bilinear", antialias=True
        )
        torch.testing.assert_close(ours[row], expected[0, 0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_picture_spans_the_step():
    branch = SpectrogramBranch(channels=2, picture=64)
    t = torch.arange(16_000) / RATE
    low, high = (0.2 * torch.sin(2 * torch.pi * f * t) for f in (1_000, 6_000))
    waveform = torch.zeros(1, 40_000)
    waveform[0, :8_000], waveform[0, 8_000:16_000] = low[:8_000], high[8_000:]
    picture = branch.picture(waveform, torch.tensor([16_000]))
    assert picture.shape == (1, 3, 64, 64)
    yellow = picture[0, 0]  # red: only the loudest of viridis
    # half the width each, at 1 and 6 of 8 kHz: bins 16 and 96 of 129, so rows 7.7 and 47.4 of 64
    assert yellow[:, 4:28].argmax(0).float().mean().item() == pytest.approx(7.7, abs=1)
    assert yellow[:, 36:60].argmax(0).float().mean().item() == pytest.approx(47.4, abs=1)
    assert picture.min() >= 0
    assert picture.max() <= 1
