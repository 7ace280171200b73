"""The face encoder of dlib: an aligned face as a vector of 128 numbers.

The network was trained so that embeddings of one subject are less than 0.6 apart. This is an
implementation of the described architecture; the weights are those of dlib (CC0 1.0), see
:mod:`depmm.media.identity.face_model`. Each affine layer that followed a convolution in training is
part of that convolution here.

References
----------
King, "Dlib-ml: A machine learning toolkit", Journal of Machine Learning Research 10, 2009, and its
example ``dnn_face_recognition_ex.cpp`` (network and alignment).
He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, section 3.3.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from depmm.config import CROP_SIZE

CHIP_SIZE = 150  # pixels
EMBEDDING_SIZE = 128
# channels, number of blocks, and whether the first block halves the picture
LEVELS = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
MEAN_RGB = (122.782, 117.001, 104.298)  # of the pictures in training
SCALE = 256.0
# Part of the 224 x 224 crop in which the eyes are where dlib's alignment (padding 0.25) puts them:
# 52.5 of 150 pixels apart and 47.2 below the upper edge
CHIP_START, CHIP_END = 28, 199


class FaceEncoder(nn.Module):
    """Residual network of 29 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        blocks, n_in = [], 32
        for channels, n_blocks, halves in LEVELS:
            for index in range(n_blocks):
                blocks.append(ResidualBlock(n_in, channels, halves and index == 0))
                n_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(n_in, EMBEDDING_SIZE, bias=False)

    def forward(self, chips: Tensor) -> Tensor:
        """Embed faces.

        Parameters
        ----------
        chips : Tensor, shape (B, 3, 150, 150)
            Aligned faces of :func:`face_chip`, RGB, 0 to 255.

        Returns
        -------
        Tensor, shape (B, 128)
            Embeddings; their length is not 1.
        """
        x = (chips - chips.new_tensor(MEAN_RGB)[:, None, None]) / SCALE
        x = functional.max_pool2d(torch.relu(self.stem(x)), 3, 2)
        embeddings: Tensor = self.linear(self.blocks(x).mean(dim=(2, 3)))
        return embeddings


class ResidualBlock(nn.Module):
    """Two convolutions and a connection without weights.

    Where the sizes of both differ, the smaller one is padded with zeros: the picture at its right
    and lower edge, the channels at their end.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    halves : bool
        Whether the picture is halved.
    """

    def __init__(self, n_in: int, n_out: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        # dlib pads a convolution only if its stride is 1
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=1 + halves, padding=int(not halves))
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block.

        Parameters
        ----------
        x : Tensor, shape (B, n_in, H, W)
            Activations.

        Returns
        -------
        Tensor, shape (B, n_out, H', W')
            H' and W' are about half of H and W if ``halves``.
        """
        y = self.conv2(torch.relu(self.conv1(x)))
        if self.halves:
            x = functional.avg_pool2d(x, 2)
            sizes = [max(pair) for pair in zip(x.shape[1:], y.shape[1:], strict=True)]
            x, y = _pad(x, sizes), _pad(y, sizes)
        return torch.relu(x + y)


def _pad(x: Tensor, sizes: list[int]) -> Tensor:
    channels, height, width = (size - own for size, own in zip(sizes, x.shape[1:], strict=True))
    return functional.pad(x, (0, width, 0, height, 0, channels))


def face_chip(crop: np.ndarray) -> np.ndarray:
    """Cut the square that dlib's alignment would cut.

    Parameters
    ----------
    crop : ndarray of uint8, shape (224, 224, 3)
        Aligned face of :func:`depmm.media.video.face_alignment.align_face`.

    Returns
    -------
    ndarray of uint8, shape (150, 150, 3)
        RGB.

    Raises
    ------
    ValueError
        If the crop has another size.
    """
    import cv2

    if crop.shape != (CROP_SIZE, CROP_SIZE, 3):
        raise ValueError(f"the crop has the shape {crop.shape}")
    inner = crop[CHIP_START:CHIP_END, CHIP_START:CHIP_END]
    chip: np.ndarray = cv2.resize(inner, (CHIP_SIZE, CHIP_SIZE), interpolation=cv2.INTER_AREA)
    return chip
