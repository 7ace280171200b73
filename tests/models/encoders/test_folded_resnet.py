"""(SE-)ResNet-50 with folded normalisation gives the output of its layers."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode

from depmm.models.encoders import folded_resnet
from depmm.models.encoders.folded_resnet import FoldedResNet, can_fold
from depmm.models.encoders.resnet50 import FaceBackbone


@pytest.fixture(scope="module")
def backbones() -> list[FaceBackbone]:
    """Make networks of both kinds and both orders of strides, with statistics of their own."""
    generator = torch.Generator().manual_seed(0)
    made = [FaceBackbone(True, "vggface2_bgr", True), FaceBackbone(False, "torchvision", True)]
    for backbone in made:
        for norm in (m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.running_mean.uniform_(-0.1, 0.1, generator=generator)
            norm.running_var.uniform_(0.8, 1.2, generator=generator)
            with torch.no_grad():
                norm.bias.uniform_(-0.1, 0.1, generator=generator)
    return made


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    return torch.randint(
        0, 256, (5, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def layer_by_layer(backbone: FaceBackbone, crops: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return backbone.resnet(backbone.pixels(crops))


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_outputs_are_those_of_the_layers(backbones, crops):
    for backbone in backbones:
        assert can_fold(backbone.resnet, backbone.pixels(crops))
        expected = layer_by_layer(backbone, crops)
        assert expected.std() > 0.01
        assert_close(backbone.maps(crops), expected)  # of 4 crops, and of 1
        with torch.inference_mode():
            assert_close(backbone.maps(crops[:1]), expected[:1])


def test_changed_weights_are_noticed(backbones, crops):
    backbone, crop = copy.deepcopy(backbones[0]), crops[:1]
    before = backbone.maps(crop)
    convolution, norm = backbone.resnet.stem[0], backbone.resnet.stem[1]
    with torch.no_grad():
        convolution.weight.mul_(1.5)
    in_place = backbone.maps(crop)
    norm.running_mean.add_(0.5)
    buffer = backbone.maps(crop)
    convolution.weight.data = convolution.weight.data / 1.5
    replaced = backbone.maps(crop)
    for earlier, later in ((before, in_place), (in_place, buffer), (buffer, replaced)):
        assert (earlier - later).abs().max() > 1e-3
    assert_close(replaced, layer_by_layer(backbone, crop))


def test_layers_are_used_where_something_needs_them(backbones, crops):
    network, pixels = backbones[0].resnet, backbones[0].pixels(crops[:1])
    handle = network.stages.register_forward_hook(lambda *_: None)
    assert not can_fold(network, pixels)
    handle.remove()
    assert can_fold(network, pixels)
    assert not can_fold(network, pixels.clone().requires_grad_())
    assert not can_fold(network, pixels.bfloat16())
    with torch.autocast("cpu"):
        assert not can_fold(network, pixels)
    with FakeTensorMode() as mode:
        assert not can_fold(network, mode.from_tensor(pixels))
    assert not can_fold(copy.deepcopy(network).train(), pixels)


def test_copies_and_pickles_have_no_folded_weights(backbones, crops, monkeypatch):
    backbones[1].maps(crops[:1])
    copied = copy.deepcopy(backbones[1])
    assert isinstance(pickle.loads(pickle.dumps(backbones[1].folded)), FoldedResNet)
    folded = []
    fold_block = folded_resnet._fold_block
    monkeypatch.setattr(
        folded_resnet, "_fold_block", lambda block: folded.append(block) or fold_block(block)
    )
    backbones[1].maps(crops[:1])
    assert folded == []
    copied.maps(crops[:1])
    copied.maps(crops[1:2])
    assert len(folded) == 16
