"""DepNet: published sizes, numbers of parameters, and what its loss and learning rate do."""

import numpy as np
import pytest
import torch
from model_builders import encoder_of, random_crops
from torch import Tensor, nn

from depmm.config import load_config
from depmm.inputs import Inputs
from depmm.models.heads import LinearHead
from depmm.models.model import DepressionModel, build_model
from depmm.training.losses import compute_batch_loss
from depmm.training.optim import build_optimizer, compute_schedule_factor, set_learning_rate

BLOCKS, WIDTHS = (3, 4, 6, 3), (64, 128, 256, 512)
BDI_II = (0.0, 63.0)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def count_resnet50(squeeze_excitation: bool) -> int:
    """Count the weights of ResNet-50 without its last layer (He et al. 2016, Hu et al. 2018)."""
    total, size = 49 * 3 * 64 + 2 * 64, 64
    for n_blocks, width in zip(BLOCKS, WIDTHS, strict=True):
        out = 4 * width
        for block in range(n_blocks):
            total += size * width + 9 * width**2 + width * out + 2 * (2 * width + out)
            if block == 0:
                total += size * out + 2 * out
            if squeeze_excitation:  # two layers with biases, reduction 16
                total += 2 * out * (out // 16) + out // 16 + out
            size = out
    return total


def model_of_config(name: str, *overrides: str) -> DepressionModel:
    config = load_config(name, list(overrides))
    torch.manual_seed(0)
    return build_model(config.model, config.target.kind, BDI_II, config.target.output)


def test_parameters():
    # with 1000 classes, 25,557,032 (torchvision) and 28,088,024 (timm): 2048 x 1000 + 1000 more
    assert count_resnet50(False) == 25_557_032 - 2_049_000
    assert count_resnet50(True) == 28_088_024 - 2_049_000
    with torch.device("meta"):
        encoders = {
            squeeze: encoder_of("depnet", squeeze_excitation=squeeze) for squeeze in (True, False)
        }
    # 3 temporal convolutions of 32 filters, 1 x 1 convolution, fully connected layer
    aggregation = 32 * (3 + 5 + 9) + 3 * 32 + (3 * 32 + 2) * 64 + 64
    dense = 64 * 12544 * 64 + 64
    for squeeze, encoder in encoders.items():
        assert count(encoder.backbone) == count_resnet50(squeeze)
        assert count(encoder.aggregate) == aggregation == 6_976
        assert count(encoder.dense) == dense == 51_380_288
        assert count(encoder) == count_resnet50(squeeze) + aggregation + dense


def test_sizes_at_224_are_those_of_the_paper():
    encoder = encoder_of("depnet").eval()
    crops, length = random_crops(1, 2, size=224), np.array([1])
    shapes = {}
    hooks = [
        module.register_forward_hook(
            lambda module, args, output, name=name: shapes.update({name: tuple(output.shape)})
        )
        for name, module in encoder.named_modules()
    ]
    with torch.no_grad():
        embedded, vector = encoder.precompute(crops, length), encoder(crops, length)
    for hook in hooks:
        hook.remove()
    assert shapes["backbone.resnet.stem"] == (1, 64, 56, 56)
    assert shapes["backbone.resnet"] == (1, 2048, 7, 7)
    # 2048 x 7 x 7 -> 256 x 7 x 7 -> 1 x 12544 of each of the 5 frames
    assert 256 * 7 * 7 == 12544
    assert embedded.shape == (1, 5 * 12544) == (1, encoder.precompute_dim)
    for branch in range(3):
        assert shapes[f"aggregate.temporal.{branch}"] == (1, 32, 5, 12544)
    assert shapes["aggregate"] == (1, 64, 12544)
    assert vector.shape == (1, 64) == (1, encoder.embed_dim)
    assert vector.isfinite().all()


@pytest.mark.parametrize("corpus", ["", "_avec2013"])
def test_what_is_trained(corpus):
    with torch.device("meta"):
        models = {
            name: model_of_config(f"{name}{corpus}")
            for name in ("depnet", "senet", "resnet50_single_image", "resnet50_sequence")
        }
    trained = {
        name: sum(p.numel() for p in model.parameters() if p.requires_grad)
        for name, model in models.items()
    }
    assert all(isinstance(model.head, LinearHead) for model in models.values())
    # frozen: the aggregation, both fully connected layers; fine-tuned: everything
    assert trained == {
        "depnet": 6_976 + 51_380_288 + 65,
        "resnet50_sequence": 6_976 + 51_380_288 + 65,
        "senet": count_resnet50(True) + 2_049,
        "resnet50_single_image": count_resnet50(False) + 2_049,
    }


def planted_features(size: int, n: int, scale: float) -> tuple[Tensor, Tensor]:
    """Draw features of 5 frames that contain the score in a tenth of their positions.

    Parameters
    ----------
    size : int
        Values per frame.
    n : int
        Number of sessions.
    scale : float
        Scale of the features, which are not negative like those of a network that ends in ReLU.

    Returns
    -------
    features : Tensor, shape (n, 1, 5 * size)
        Embeddings of one step per session.
    score : Tensor, shape (n,)
        BDI-II scores from 0 to 45.
    """
    generator = torch.Generator().manual_seed(1)
    score = torch.randint(0, 46, (n,), generator=generator).float()
    mean = 2 * torch.rand(size, generator=generator)
    direction = torch.randn(size, generator=generator)
    direction *= torch.rand(size, generator=generator) < 0.1
    noise = 0.3 * torch.randn(n, 5, size, generator=generator)
    signal = (score - 22) / 44
    features = mean + noise + signal[:, None, None] * direction
    return scale * features.clamp(min=0).reshape(n, 1, -1), score


def gradients_of(model: DepressionModel, features: Tensor, score: Tensor) -> float:
    """Compute the gradients of the mean loss of a batch, and return their norm."""
    length = np.ones((len(score), 1), np.int64)
    output = model({"face": Inputs(features, length, embedded=True)})
    weight = torch.full((len(score),), 1 / len(score))
    compute_batch_loss(model.head, output, score, weight, 1.0, 0.0).backward()
    norms = [p.grad.norm() for p in model.parameters() if p.requires_grad]
    return float(torch.stack(norms).norm())


@pytest.mark.slow
def test_gradient_of_the_first_step():
    """The paper's learning rate of 1e-5 belongs to gradient norms near 1,000."""
    features, score = planted_features(12544, 4, 0.3)
    norms = {}
    for output in ("linear", "number"):
        model = model_of_config("depnet", f"target.output={output}").train()
        norms[output] = gradients_of(model, features, score)
    print(f"gradient norm of the first step: {norms}")
    assert 300 < norms["linear"] < 3_000
    assert norms["number"] < norms["linear"] / 30


def train(output: str, n_steps: int) -> tuple[float, float]:
    """Train DepNet on crops of 64 pixels with the optimizer of the paper.

    The features are larger than at 224 pixels by the square root of the ratio of their numbers, so
    that gradients have the same norm.

    Returns
    -------
    tuple of float
        RMSE before and after the training.
    """
    overrides = [f"target.output={output}", "model.encoders.face.face_size=64", "data.face_size=64"]
    config = load_config("depnet", overrides)
    model = model_of_config("depnet", *overrides).train()
    features, score = planted_features(256 * 4, 32, 0.3 * (49 / 4) ** 0.5)
    optimizer = build_optimizer(model, config.training)
    generator = torch.Generator().manual_seed(2)

    def rmse() -> float:
        model.eval()
        with torch.no_grad():
            length = np.ones((len(score), 1), np.int64)
            predicted = model({"face": Inputs(features, length, embedded=True)}).prediction
        model.train()
        return float((predicted - score).square().mean().sqrt())

    before = rmse()
    for step in range(n_steps):
        factor = compute_schedule_factor(config.training, step, 0, n_steps, [])
        set_learning_rate(optimizer, config.training.learning_rate * factor)
        batch = torch.randperm(len(score), generator=generator)[:4]
        optimizer.zero_grad()
        gradients_of(model, features[batch], score[batch])
        optimizer.step()
    return before, rmse()


@pytest.mark.slow
def test_the_euclidean_loss_learns_a_clean_signal_at_the_published_rate():
    n_steps = 300
    linear, number = train("linear", n_steps), train("number", n_steps)
    constant = float(planted_features(1, 32, 1.0)[1].std(correction=0))
    print(
        f"RMSE before and after {n_steps} steps: linear {linear}, number {number}, best constant "
        f"{constant}"
    )
    assert linear[0] > constant
    assert linear[1] < constant / 2
    assert number[1] > 0.9 * constant  # the sigmoid needs another learning rate


def test_biases_decay_and_the_rate_follows_the_inverse_rule():
    config = load_config("depnet", [])
    model = nn.Linear(2, 2)
    optimizer = build_optimizer(model, config.training)
    assert isinstance(optimizer, torch.optim.SGD)
    decayed, not_decayed = optimizer.param_groups
    assert (decayed["weight_decay"], decayed["momentum"]) == (5e-4, 0.9)
    assert len(decayed["params"]) == 2
    assert not_decayed["params"] == []
    factor = [compute_schedule_factor(config.training, n, 0, 1, []) for n in (0, 10_000)]
    assert factor == pytest.approx([1.0, 2**-0.75])


@torch.no_grad()
def test_new_networks_have_maps_of_the_scale_of_trained_ones():
    """Without weights, the learning rate for the raw score would diverge on larger features."""
    for squeeze in (True, False):
        torch.manual_seed(0)
        encoder = encoder_of("frame_mean", squeeze_excitation=squeeze, frozen=True)
        maps = encoder.backbone.maps(random_crops(2, size=64))
        assert 0.1 < maps.mean() < 2
