"""EmoAudioNet: published sizes, numbers of parameters and rank of the output layer."""

import numpy as np
import pytest
import torch
from model_builders import SAMPLE_RATE, encoder_of, voices
from torch import nn

from depmm.config import ModelConfig
from depmm.data.augment import Augmentation
from depmm.models.model import build_model

IMAGE = 3 * 128 * 9 + 128 + 5 * (128 * 128 * 9 + 128)  # six 3 x 3 convolutions
SERIES = 5 * 128 + 128 + 5 * 128 * 128 + 128  # two convolutions of size 5
BRANCHES = {
    "spectrogram": (1152, IMAGE),
    "mfcc": (2816, SERIES),
    "spectrogram,mfcc": (3968, IMAGE + SERIES),
}


@pytest.mark.parametrize("branches", BRANCHES)
@torch.no_grad()
def test_sizes_of_the_branches(branches):
    encoder = encoder_of("emoaudionet", branches=branches.split(",")).eval()
    width, count = BRANCHES[branches]
    vector = encoder(*voices([4 * SAMPLE_RATE]))
    assert vector.shape == (1, encoder.embed_dim) == (1, width)
    assert sum(p.numel() for p in encoder.parameters()) == count
    assert not any(isinstance(m, nn.Linear) for m in encoder.modules())
    n_dropout = 2 * ("spectrogram" in branches) + ("mfcc" in branches)
    assert [m.p for m in encoder.modules() if isinstance(m, nn.Dropout)] == [0.1] * n_dropout


@torch.no_grad()
def test_maps_of_the_spectrogram_branch():
    encoder = encoder_of("emoaudionet").eval()
    branch = encoder.branches["spectrogram"]
    waveform, length = voices([4 * SAMPLE_RATE])
    assert branch.image(waveform, length).shape == (1, 3, 224, 224)
    shapes: list[tuple[int, ...]] = []
    for block in branch.blocks:
        block.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    assert branch(waveform, length).shape == (1, 1152)
    assert shapes == [(128, 28, 28), (128, 3, 3)]


def classes_of_the_phq_8(channels: int) -> nn.Module:
    """Build the model of the second task of the paper: one class per PHQ-8 score."""
    torch.manual_seed(0)
    config = ModelConfig(
        encoders={"audio": {"kind": "emoaudionet", "channels": channels}},
        fusion={"kind": "mean_pool", "dropout": 0.0},
    )
    return build_model(config, "severity", (0.0, 23.0), "classes")


def test_output_layer_is_the_only_layer_after_the_branches():
    with torch.device("meta"):
        model = classes_of_the_phq_8(channels=128)
    after = [p for name, p in model.named_parameters() if not name.startswith("encoders.")]
    assert sorted(p.shape for p in after) == [(24,), (24, 3968)]


def test_classes_are_not_restricted_to_ten_dimensions():
    model = classes_of_the_phq_8(channels=8).eval()
    features = torch.randn(64, 1, model.encoders["audio"].embed_dim)
    mask = torch.ones(64, 1, dtype=torch.bool)
    with torch.no_grad():
        logits, _ = model.fusion({"audio": features}, {"audio": mask})
    assert logits.shape == (64, 24)
    # ten units between the branches and the classes would allow a rank of 11 only
    assert torch.linalg.matrix_rank(logits).item() == 24


def test_gradients_reach_every_parameter():
    encoder = encoder_of("emoaudionet").train()
    encoder(*voices([4 * SAMPLE_RATE])).square().mean().backward()
    norms = {name: p.grad.norm().item() for name, p in encoder.named_parameters()}
    assert len(norms) == 16
    assert all(0 < norm < 1e4 for norm in norms.values())


@pytest.mark.parametrize(("amplitude", "snr_db"), [(0.01, 20.0), (0.02, 14.0), (0.03, 10.5)])
def test_noise_is_absolute(amplitude, snr_db):
    rng = np.random.default_rng(0)
    t = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    voice = (0.1 * np.sqrt(2) * np.sin(2 * np.pi * 200 * t)).astype(np.float32)  # RMS .1
    augmentation = Augmentation(np.ones(1, bool), noise_amplitude=amplitude)
    for gain in (1.0, 0.1):
        noise = augmentation.apply_to_audio(gain * voice, rng) - gain * voice
        assert np.std(noise) == pytest.approx(amplitude, rel=0.02)
        measured = 20 * np.log10(gain * 0.1 / np.std(noise))
        assert measured == pytest.approx(snr_db + 20 * np.log10(gain), abs=0.2)
