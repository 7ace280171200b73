"""DepNet and FrameMean: published sizes, independence of padding, frozen backbones."""

import numpy as np
import pytest
import torch
from model_builders import encoder_of, random_crops
from torch import nn

from depmm.models.encoders import resnet50
from depmm.models.encoders.depnet import DepNet, FeatureAggregation, FrameMean, channel_max_pool
from depmm.models.errors import ModelError

SIZE = 64


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def assert_same(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Compare up to rounding, because the order of summation depends on the size of the batch."""
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=2e-4)


@pytest.fixture(scope="module")
def depnet() -> DepNet:
    return encoder_of("depnet", face_size=SIZE, channels=4, embed_dim=8).eval()


@pytest.fixture(scope="module")
def frame_mean() -> FrameMean:
    return encoder_of("frame_mean").eval()


@pytest.fixture(params=["depnet", "frame_mean"])
def encoder(request) -> DepNet | FrameMean:
    return request.getfixturevalue(request.param)


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


def test_a_step_depends_on_its_valid_frames_only(encoder):
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
        forward, backward = depnet(crops, length), depnet(crops.flip(1), length)
        means = frame_mean(crops, length), frame_mean(crops.flip(1), length)
    assert (forward - backward).abs().max() > 1e-3
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


def test_a_batch_is_split_without_changing_the_output(frame_mean, monkeypatch):
    crops, length = random_crops(3, 2), torch.tensor([2, 1, 2])
    with torch.no_grad():
        whole = frame_mean(crops, length)
        monkeypatch.setattr(resnet50, "FRAMES_AT_ONCE", 2)
        assert_same(frame_mean(crops, length), whole)


def one_step(encoder: nn.Module) -> dict[str, torch.Tensor]:
    """Run forward and backward in training mode and return the state before."""
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.train()
    encoder(random_crops(2, 2), torch.tensor([2, 1])).square().sum().backward()
    return before


def test_frozen_keeps_parameters_and_batch_statistics():
    encoder = encoder_of("depnet", face_size=SIZE, channels=4, embed_dim=8, dropout=0.0)
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
    encoder = encoder_of("frame_mean", squeeze_excitation=True)
    before = one_step(encoder)
    gradients = [parameter.grad for parameter in encoder.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    mean = "backbone.resnet.stem.1.running_mean"
    assert not torch.equal(encoder.state_dict()[mean], before[mean])
    assert not any(module.training for module in encoder.eval().modules())


def test_gradients_reach_the_maps_of_a_frozen_network(depnet):
    """Grad-CAM needs the gradients of these maps."""
    recorded = []

    def record(module, args, maps):
        recorded.append(maps.requires_grad_())

    hook = depnet.backbone.resnet.register_forward_hook(record)
    depnet(random_crops(1, 1), torch.tensor([1])).sum().backward()
    hook.remove()
    assert recorded[0].grad.abs().max() > 0


def test_sizes_that_do_not_fit_are_refused(depnet):
    with pytest.raises(ModelError) as info:
        DepNet(True, "vggface2_bgr", True, 100, 5, 32, 64, 0.5)
    assert (info.value.setting, info.value.value) == ("face_size", 100)
    with pytest.raises(ModelError) as info:
        depnet(random_crops(1, 1, size=32), torch.tensor([1]))
    assert (info.value.setting, info.value.value) == ("face_size", (32, 32))
