"""(SE-)ResNet-50: published parameter counts, pixel scales and strides."""

import numpy as np
import pytest
import torch
from torch import nn

from depmm.models.encoders.resnet50 import (
    PixelNormalisation,
    ResNet50,
    choose_frames,
    distinct_frames,
)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def resnet50_parameters(squeeze_excitation: bool) -> int:
    """Count convolutions without bias, two values per normalised channel, SE with biases."""
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


def test_parameters_are_those_published():
    with torch.device("meta"):
        se_resnet, resnet = ResNet50(True, "vggface2_bgr"), ResNet50(False, "vggface2_bgr")
    assert count(se_resnet) == resnet50_parameters(True) == 26_039_024
    assert count(resnet) == resnet50_parameters(False) == 23_508_032
    # 26.05 M with a classifier of four severity bands, 25.56 M is ResNet-50 of ImageNet
    assert round((26_039_024 + 2049 * 4) / 1e6, 2) == 26.05
    assert round((23_508_032 + 2049 * 1000) / 1e6, 2) == 25.56


def test_the_choice_of_frames_depends_on_the_number_of_valid_frames():
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


def test_each_frame_of_a_step_passes_the_network_once():
    step_index, frame_index = distinct_frames(torch.tensor([1, 3, 6]), 4)
    assert step_index.tolist() == [0, 1, 1, 1, 2, 2, 2, 2]
    assert frame_index.tolist() == [0, 0, 1, 2, 0, 2, 3, 5]


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
    pixels = PixelNormalisation(weights_layout)
    red_green_blue = torch.tensor([10, 20, 30], dtype=torch.uint8).view(1, 3, 1, 1)
    np.testing.assert_allclose(pixels(red_green_blue).flatten(), expected, rtol=1e-5)
    # from_pretrained builds on the meta device and restores saved buffers only
    assert set(pixels.state_dict()) == {"mean", "std"}


def test_strides_are_where_the_weights_expect_them():
    for network, strides in (
        (ResNet50(True, "vggface2_bgr"), (2, 1)),
        (ResNet50(False, "torchvision"), (1, 2)),
    ):
        for stage in network.stages[1:]:
            assert (stage[0].body[0].stride[0], stage[0].body[3].stride[0]) == strides
            assert stage[0].shortcut[0].stride[0] == 2
            assert stage[1].body[0].stride == stage[1].body[3].stride == (1, 1)
