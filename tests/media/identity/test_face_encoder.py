"""The face encoder and the crop that it reads, with random weights."""

import numpy as np
import pytest
import torch
from torch import Tensor

from depmm.media.identity.face_encoder import (
    CHIP_SIZE,
    FaceEncoder,
    ResidualBlock,
    face_chip,
)
from depmm.media.video.face_alignment import TEMPLATE


@pytest.fixture(scope="module")
def encoder() -> FaceEncoder:
    torch.manual_seed(0)
    return FaceEncoder().eval()


def test_the_network_has_29_convolutions_and_an_embedding_of_128(encoder: FaceEncoder) -> None:
    n_convolutions = sum(isinstance(layer, torch.nn.Conv2d) for layer in encoder.modules())
    assert n_convolutions == 29
    chips = torch.randint(0, 256, (2, 3, CHIP_SIZE, CHIP_SIZE)).float()
    with torch.inference_mode():
        both = encoder(chips)
        torch.testing.assert_close(encoder(chips[1:]), both[1:], rtol=1e-4, atol=1e-6)
    assert both.shape == (2, 128)


def convolve(x: np.ndarray, layer: torch.nn.Conv2d, stride: int, pad: int) -> np.ndarray:
    """Convolve with loops over the positions."""
    weight, bias = (value.detach().numpy() for value in (layer.weight, layer.bias))
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    size = (x.shape[1] - 3) // stride + 1
    result = np.empty((len(weight), size, size))
    for i in range(size):
        for j in range(size):
            patch = x[:, i * stride : i * stride + 3, j * stride : j * stride + 3]
            result[:, i, j] = np.tensordot(weight, patch, 3) + bias
    return result


@pytest.mark.parametrize("size", [7, 8])
def test_a_block_that_halves_the_picture_equals_loops(size: int) -> None:
    torch.manual_seed(size)
    block = ResidualBlock(2, 3, halves=True)
    x = np.random.default_rng(size).normal(size=(2, size, size))
    y = convolve(np.maximum(convolve(x, block.conv1, 2, 0), 0), block.conv2, 1, 1)
    half = size // 2
    pooled = x[:, : 2 * half, : 2 * half].reshape(2, half, 2, half, 2).mean(axis=(2, 4))
    expected = np.zeros((3, half, half))
    expected[:2] += pooled
    expected[:, : y.shape[1], : y.shape[2]] += y
    with torch.inference_mode():
        result: Tensor = block(torch.from_numpy(x[None]).float())
    np.testing.assert_allclose(result[0].numpy(), np.maximum(expected, 0), atol=1e-5)


def test_the_eyes_are_where_dlib_puts_them() -> None:
    crop = np.zeros((224, 224, 3), np.uint8)
    for x, y in TEMPLATE[:2].astype(int):
        crop[y - 2 : y + 3, x - 2 : x + 3] = 255
    bright = face_chip(crop)[..., 0] > 100
    rows, columns = np.nonzero(bright)
    left = columns < CHIP_SIZE / 2
    # dlib's mean face: corners of the eyes at 37.1, 58.4 and 89.6, 111.0 of 150; y 46.4 to 47.9
    assert columns[left].mean() == pytest.approx(47.7, abs=1)
    assert columns[~left].mean() == pytest.approx(100.3, abs=1)
    assert rows.mean() == pytest.approx(47.1, abs=1)
    with pytest.raises(ValueError, match="shape"):
        face_chip(crop[:100])
