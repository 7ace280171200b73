"""Face encoders: published sizes, frames past the length never count, frozen means frozen."""

import numpy as np
import pytest
import torch
from torch import nn

from depmm.models.encoders import resnet50
from depmm.models.encoders.depnet import DepNet, FeatureAggregation, FrameMean, channel_max_pool
from depmm.models.encoders.resnet50 import FacePixels, ResNet50, choose_frames
from depmm.models.encoders.se_resnet import SqueezeExcitation

SIZE = 64


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def random_crops(*shape: int, size: int = SIZE, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (*shape, 3, size, size), dtype=torch.uint8, generator=generator)


def assert_same(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Up to rounding: products of other sizes add in another order."""
    actual, expected = actual.detach().numpy(), expected.detach().numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=2e-4)


@pytest.fixture(scope="module")
def depnet() -> DepNet:
    torch.manual_seed(0)
    return DepNet(face_size=SIZE, channels=4, embed_dim=8).eval()


@pytest.fixture(scope="module")
def frame_mean() -> FrameMean:
    torch.manual_seed(0)
    return FrameMean().eval()


@pytest.fixture(params=["depnet", "frame_mean"])
def encoder(request) -> nn.Module:
    return request.getfixturevalue(request.param)


def test_squeeze_and_excitation_by_hand():
    block = SqueezeExcitation(2, reduction=2)
    for layer, weight, bias in (
        (block.gate[0], [[1.0, -0.5]], [0.25]),
        (block.gate[2], [[2.0], [-1.0]], [0.0, 1.0]),
    ):
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    x = torch.tensor([[[[1.0, 3.0]], [[2.0, 0.0]]]])
    # means 2 and 1; hidden relu(2 - 0.5 + 0.25) = 1.75; gates sigmoid(3.5) and sigmoid(-0.75)
    gates = 1 / (1 + np.exp([-3.5, 0.75]))
    expected = [[[[1 * gates[0], 3 * gates[0]]], [[2 * gates[1], 0]]]]
    np.testing.assert_allclose(block(x).detach().numpy(), expected, rtol=1e-5)


def resnet50_parameters(squeeze_excitation: bool) -> int:
    """Convolutions without bias, two numbers per normalised channel, SE with biases."""
    total, size = 7 * 7 * 3 * 64 + 2 * 64, 64
    for blocks, width in zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True):
        for block in range(blocks):
            out = 4 * width
            total += size * width + 9 * width * width + width * out + 2 * (2 * width + out)
            if block == 0:
                total += size * out + 2 * out
            if squeeze_excitation:
                total += 2 * out * (out // 16) + out // 16 + out
            size = out
    return total


def test_parameters_are_those_published(depnet, frame_mean):
    assert count(depnet.backbone) == resnet50_parameters(True) == 26_039_024
    assert count(frame_mean.backbone) == resnet50_parameters(False) == 23_508_032
    # 26.05 M with a classifier of four severity bands, 25.56 M is ResNet-50 of ImageNet
    assert round((26_039_024 + 2049 * 4) / 1e6, 2) == 26.05
    assert round((23_508_032 + 2049 * 1000) / 1e6, 2) == 25.56


def test_sizes_at_224_are_those_of_the_paper():
    encoder = DepNet().eval()
    assert count(encoder) - count(encoder.backbone) == (
        32 * (3 + 5 + 9) + 3 * 32 + (3 * 32 + 2) * 64 + 64 + 64 * 12544 * 64 + 64
    )
    crops, length = random_crops(1, 2, size=224), torch.tensor([1])
    shapes = {}
    hooks = [
        module.register_forward_hook(
            lambda module, given, result, name=name: shapes.update({name: tuple(result.shape)})
        )
        for name, module in encoder.named_modules()
    ]
    with torch.no_grad():
        embedded, vector = encoder.precompute(crops, length), encoder(crops, length)
    for hook in hooks:
        hook.remove()
    assert shapes["backbone.resnet.stem"] == (1, 64, 56, 56)
    assert shapes["backbone.resnet"] == (1, 2048, 7, 7)
    assert embedded.shape == (1, 5 * 12544) == (1, encoder.precompute_dim)
    for branch in range(3):
        assert shapes[f"aggregate.temporal.{branch}"] == (1, 32, 5, 12544)
    assert shapes["aggregate"] == (1, 64, 12544)
    assert vector.shape == (1, 64) == (1, encoder.embed_dim)
    assert vector.isfinite().all()


def test_channel_max_pool_takes_eight_neighbours():
    features = torch.arange(2 * 2048 * 49.0).reshape(2, 2048, 7, 7)
    pooled = channel_max_pool(features)
    assert pooled.shape == (2, 256 * 49)
    np.testing.assert_array_equal(pooled.view(2, 256, 7, 7), features[:, 7::8])


def test_aggregation_against_loops():
    torch.manual_seed(0)
    module = FeatureAggregation(channels=2)
    frames = torch.randn(2, 5, 3)
    branches = []
    for convolution in module.temporal:
        weight, half = convolution.weight[:, 0, :, 0], convolution.kernel_size[0] // 2
        for channel in range(2):
            value = torch.zeros(2, 5, 3)
            for time in range(5):
                for tap, factor in enumerate(weight[channel]):
                    if 0 <= time + tap - half < 5:
                        value[:, time] += factor * frames[:, time + tap - half]
            branches.append((value + convolution.bias[channel]).amax(dim=1))
    branches += [frames.amax(dim=1), frames.mean(dim=1)]
    joined = torch.einsum("mc,cbp->bmp", module.join.weight[..., 0], torch.stack(branches))
    expected = joined + module.join.bias[:, None]
    assert_same(module(frames), expected)


def test_frames_are_chosen_by_their_number_alone():
    chosen = choose_frames(torch.tensor([1, 3, 5, 6, 10, 100]), 5).tolist()
    assert chosen == [
        [0, 0, 0, 0, 0],
        [0, 1, 2, 0, 1],
        [0, 1, 2, 3, 4],
        [0, 1, 3, 4, 5],
        [1, 3, 5, 7, 9],
        [10, 30, 50, 70, 90],
    ]
    assert choose_frames(torch.tensor([1, 2, 3, 9]), 1).flatten().tolist() == [0, 1, 1, 4]


@pytest.mark.parametrize(
    ("weights_layout", "expected"),
    [
        ("vggface2_bgr", [30 - 91.4953, 20 - 103.8827, 10 - 131.0912]),
        ("vggface2_rgb", [10 - 131.0912, 20 - 103.8827, 30 - 91.4953]),
        (
            "torchvision",
            [(10 / 255 - 0.485) / 0.229, (20 / 255 - 0.456) / 0.224, (30 / 255 - 0.406) / 0.225],
        ),
    ],
)
def test_pixels_by_hand(weights_layout, expected):
    pixels = FacePixels(weights_layout)
    red_green_blue = torch.tensor([10, 20, 30], dtype=torch.uint8).view(1, 3, 1, 1)
    np.testing.assert_allclose(pixels(red_green_blue).flatten(), expected, rtol=1e-5)
    # built on the meta device, buffers come back only if they are saved
    assert set(pixels.state_dict()) == {"mean", "deviation"}


def test_a_step_depends_on_its_valid_frames_alone(encoder):
    crops, length = random_crops(3, 7), torch.tensor([1, 3, 7])
    with torch.no_grad():
        together = encoder(crops, length)
        noise = random_crops(3, 9, seed=1)
        for row, frames in enumerate(length):
            noise[row, :frames] = crops[row, :frames]
        assert_same(encoder(noise, length), together)
        for row, frames in enumerate(length):
            alone = encoder(crops[row : row + 1, :frames], length[row : row + 1])
            assert_same(alone[0], together[row])
        changed = crops.clone()
        changed[1, 2] = 255 - changed[1, 2]
        difference = (encoder(changed, length) - together).abs().amax(dim=1)
    assert difference[1] > 1e-2
    assert difference[[0, 2]].max() < 1e-3


def test_too_few_frames_are_repeated_in_a_cycle(depnet):
    crops = random_crops(1, 2)
    cycle = crops[:, [0, 1, 0, 1, 0]]
    with torch.no_grad():
        repeated = depnet.precompute(crops, torch.tensor([2]))
        assert_same(repeated, depnet.precompute(cycle, torch.tensor([5])))
    first, second = repeated[0].unflatten(0, (5, -1))[:2]
    assert (first - second).abs().max() > 1e-3


def test_order_of_frames_matters_to_aggregation_but_not_to_the_mean(depnet, frame_mean):
    crops, length = random_crops(1, 5), torch.tensor([5])
    with torch.no_grad():
        ahead, back = depnet(crops, length), depnet(crops.flip(1), length)
        means = frame_mean(crops, length), frame_mean(crops.flip(1), length)
    assert (ahead - back).abs().max() > 1e-3
    assert_same(*means)


def test_single_image_is_the_middle_frame_and_the_mean_counts_each_frame_once(frame_mean):
    crops = random_crops(1, 3)
    with torch.no_grad():
        features = frame_mean.backbone.maps(crops[0]).mean(dim=(2, 3))
        mean = frame_mean(crops, torch.tensor([3]))
        assert_same(mean[0], features.mean(dim=0))
        frame_mean.frames = 1
        single = frame_mean(crops, torch.tensor([3]))
        frame_mean.frames = 5
    assert_same(single[0], features[1])
    assert single.shape == (1, 2048) == (1, frame_mean.embed_dim)


def test_parts_of_a_large_batch_give_the_same(frame_mean, monkeypatch):
    crops, length = random_crops(3, 2), torch.tensor([2, 1, 2])
    with torch.no_grad():
        whole = frame_mean(crops, length)
        monkeypatch.setattr(resnet50, "FRAMES_AT_ONCE", 2)
        assert_same(frame_mean(crops, length), whole)


def one_step(encoder: nn.Module) -> dict[str, torch.Tensor]:
    """Forward and backward in training mode; the state before it."""
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.train()
    encoder(random_crops(2, 2), torch.tensor([2, 1])).square().sum().backward()
    return before


def test_frozen_keeps_parameters_and_batch_statistics():
    encoder = DepNet(face_size=SIZE, channels=4, embed_dim=8, dropout=0.0)
    encoder.requires_grad_(True)  # as transformers' from_pretrained does
    before = one_step(encoder)
    assert encoder.training
    assert encoder.aggregate.training
    assert not any(module.training for module in encoder.backbone.modules())
    for name, parameter in encoder.named_parameters():
        assert parameter.requires_grad != name.startswith("backbone."), name
        assert (parameter.grad is None) == name.startswith("backbone."), name
    assert encoder.aggregate.temporal[2].weight.grad.abs().max() > 0
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_unfrozen_trains_parameters_and_batch_statistics():
    encoder = FrameMean(squeeze_excitation=True)
    before = one_step(encoder)
    gradients = [parameter.grad for parameter in encoder.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    mean = "backbone.resnet.stem.1.running_mean"
    assert not torch.equal(encoder.state_dict()[mean], before[mean])
    assert not any(module.training for module in encoder.eval().modules())


def test_a_frozen_network_lets_gradients_reach_its_maps(depnet):
    """So that an explanation from outside can ask which part of a face counted."""
    kept = []

    def follow(module, given, maps):
        kept.append(maps.requires_grad_())

    hook = depnet.backbone.resnet.register_forward_hook(follow)
    depnet(random_crops(1, 1), torch.tensor([1])).sum().backward()
    hook.remove()
    assert kept[0].grad.abs().max() > 0


def test_sizes_that_do_not_fit_are_refused(depnet):
    with pytest.raises(ValueError, match=r"face_size 100 is no multiple of 32.*or 96"):
        DepNet(face_size=100)
    with pytest.raises(ValueError, match=r"crops of 64 pixels, but got \(32, 32\)"):
        depnet(random_crops(1, 1, size=32), torch.tensor([1]))


def test_strides_stand_where_the_weights_expect_them(depnet):
    for network, strides in (
        (depnet.backbone.resnet, (2, 1)),
        (ResNet50(False, "torchvision"), (1, 2)),
    ):
        for stage in network.stages[1:]:
            assert (stage[0].body[0].stride[0], stage[0].body[3].stride[0]) == strides
            assert stage[0].shortcut[0].stride[0] == 2
            assert stage[1].body[0].stride == stage[1].body[3].stride == (1, 1)
