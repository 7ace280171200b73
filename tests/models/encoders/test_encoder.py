"""Properties of all encoders: padding, other steps, gradients, saving, half precision."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from imitated_gpu import CudaAutocast
from model_builders import (
    ENCODERS,
    encoder_of,
    parameters_without_gradient,
    random_crops,
    voices,
)
from torch import Tensor, nn

from depmm.inputs import Inputs
from depmm.models.encoders.attention_resnet import AttentionPlace, AttentionResNet
from depmm.models.encoders.emoaudionet import EmoAudioNet
from depmm.models.encoders.encoder import (
    Encoder,
    PrecomputableEncoder,
    all_frames,
    encode_present,
)
from depmm.models.encoders.spectrogram_cnn import SpectrogramCnn


def resnet(depth: int, attention: AttentionPlace, channels: int) -> AttentionResNet:
    return AttentionResNet(
        depth, attention, "zero_padding", channels, 20, 128, 2048, 512, reduction=4
    )


AUDIO: dict[str, Callable[[], Encoder]] = {
    "mfcc_cnn": lambda: encoder_of("mfcc_cnn", channels=[8, 8], embed_dim=12),
    "spectrogram_cnn": lambda: SpectrogramCnn(1.5, (4, 6), 12),
    "attention_resnet_18": lambda: resnet(18, "inside_blocks", 8),
    "resnet_18": lambda: resnet(18, "none", 8),
    "attention_resnet_50": lambda: resnet(50, "inside_blocks", 4),
    "emoaudionet": lambda: EmoAudioNet(["spectrogram", "mfcc"], 6, 0.0, image_size=64),
    "emoaudionet_mfcc": lambda: EmoAudioNet(["mfcc"], 6, 0.1),
    "emoaudionet_spectrogram": lambda: EmoAudioNet(["spectrogram"], 6, 0.1, image_size=64),
}
PUBLISHED = ["spectrogram_cnn", "attention_resnet_18", "emoaudionet"]


def audio_encoder(name: str) -> Encoder:
    torch.manual_seed(0)
    return AUDIO[name]()


@pytest.mark.parametrize("name", AUDIO)
@torch.no_grad()
def test_padding_and_other_steps_do_not_change_the_output_in_evaluation(name):
    encoder = audio_encoder(name).eval()
    lengths = [7_777, 24_000, 1, 16_384, 4_001]
    waveform, length = voices(lengths, padded=24_000)
    together = encoder(waveform, length)
    assert together.shape == (5, encoder.embed_dim)
    assert together.isfinite().all()
    assert (together[0] - together[1]).abs().max() > 1e-4  # voices differ
    for row, n in enumerate(lengths):
        alone = encoder(waveform[row : row + 1, :n], length[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-3, atol=1e-5)
    wider = nn.functional.pad(waveform, (0, 70_001))
    torch.testing.assert_close(encoder(wider, length), together, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", AUDIO)
def test_every_parameter_receives_a_gradient(name):
    encoder = audio_encoder(name).train()
    waveform, length = voices([24_000, 15_000, 9_000, 20_000])
    (encoder(waveform, length) * torch.randn(4, encoder.embed_dim)).sum().backward()
    assert parameters_without_gradient(encoder) == []
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", AUDIO)
def test_one_step_lowers_the_loss_of_its_batch(name):
    encoder = audio_encoder(name).train()
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


@pytest.mark.parametrize("name", PUBLISHED)
@torch.no_grad()
def test_saved_state_is_complete(name):
    encoder = audio_encoder(name).train()
    waveform, length = voices([12_000, 5_000])
    encoder(waveform, length)  # moves batch statistics away from their start
    file = io.BytesIO()
    torch.save(encoder.state_dict(), file)
    file.seek(0)
    # as in from_pretrained: tensors that the file does not contain would stay without values
    with torch.device("meta"):
        loaded = AUDIO[name]()
    loaded.load_state_dict(torch.load(file, weights_only=True), assign=True)
    assert not any(tensor.is_meta for tensor in [*loaded.parameters(), *loaded.buffers()])
    for a, b in zip(encoder.state_dict().values(), loaded.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    # memory from a file can have another alignment, so that other kernels are used
    torch.testing.assert_close(
        loaded.eval()(waveform, length), encoder.eval()(waveform, length), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_half_precision_trains(name):
    encoder = audio_encoder(name).train()
    waveform, length = voices([24_000, 15_000, 9_000, 20_000])
    with torch.autocast("cpu", dtype=torch.bfloat16), CudaAutocast():
        half = encoder(waveform, length)
    half.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())
    encoder = audio_encoder(name).train()
    full = encoder(waveform, length)
    assert (half - full).abs().max() < 0.1 * full.abs().max()


def test_all_frames_are_indexed_step_by_step():
    step_index, frame_index = all_frames(np.array([2, 0, 3]), 4)
    assert step_index.tolist() == [0, 0, 2, 2, 2]
    assert frame_index.tolist() == [0, 1, 0, 1, 2]


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("mfcc_cnn", "cepstrum"),
        ("attention_resnet", "cepstrum"),
        ("spectrogram_cnn", "frequency"),
        ("emoaudionet", None),  # MFCC branch only
        ("se_resnet", "pixels"),
        ("depnet", "pixels"),
        ("frame_mean", "pixels"),
        ("voice_vector", None),
        ("face_map", None),
        ("feature_cnn", None),
    ],
)
def test_layer_and_rows_for_grad_cam(kind, rows):
    encoder = encoder_of(kind, **ENCODERS[kind])
    grad_cam = encoder.grad_cam_layer()
    assert (grad_cam and grad_cam.rows) == rows
    if grad_cam is not None:
        assert grad_cam.layer in set(encoder.modules())
        assert (grad_cam.front_end is None) == (rows == "pixels")


@pytest.mark.parametrize("kind", ["depnet", "frame_mean"])
def test_forward_equals_projection_of_precomputed_vectors(kind):
    encoder = encoder_of(kind, **ENCODERS[kind]).eval()
    assert isinstance(encoder, PrecomputableEncoder)
    x, lengths = random_crops(2, 2, size=32), torch.tensor([2, 1])
    with torch.no_grad():
        precomputed = encoder.precompute(x, lengths)
        assert precomputed.shape == (2, encoder.precompute_dim)
        torch.testing.assert_close(encoder.project(precomputed), encoder(x, lengths))


def test_many_steps_are_encoded_in_parts_only_without_gradients():
    encoder = audio_encoder("emoaudionet_mfcc").eval()
    waveform, length = voices([3_000 + 10 * row for row in range(150)])
    lengths = np.asarray(length).reshape(3, 50)
    signal = waveform.reshape(3, 50, -1)
    sizes: list[int] = []
    encoder.register_forward_hook(lambda _, __, out: sizes.append(len(out)))
    inputs, device = Inputs(signal, lengths), torch.device("cpu")
    expected = encode_present(encoder, inputs, device).detach()
    with torch.no_grad():
        torch.testing.assert_close(encode_present(encoder, inputs, device), expected)
    assert sizes == [150, 64, 64, 22]


def test_small_steps_are_encoded_together():
    encoder = encoder_of("feature_cnn", features=3, channels=[8], embed_dim=4).eval()
    values = torch.randn(5, 60, 1, 3, generator=torch.Generator().manual_seed(0))
    inputs, device = Inputs(values, np.ones((5, 60), np.int64)), torch.device("cpu")
    sizes: list[int] = []
    encoder.register_forward_hook(lambda _, __, out: sizes.append(len(out)))
    parts = [Inputs(values[row : row + 1], inputs.lengths[row : row + 1]) for row in range(5)]
    with torch.no_grad():
        together = encode_present(encoder, inputs, device)
        expected = torch.cat([encode_present(encoder, part, device) for part in parts])
    assert sizes == [300, 60, 60, 60, 60, 60]
    torch.testing.assert_close(together, expected, rtol=1e-6, atol=1e-6)
