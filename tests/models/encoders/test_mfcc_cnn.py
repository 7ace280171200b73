"""MFCC-CNN: pooling over the valid frames of a step."""

import numpy as np
import torch
from torch import nn

from depmm.models.encoders.mfcc_cnn import convolve_and_pool
from depmm.models.masking import masked_mean_and_std


@torch.no_grad()
def test_frames_after_the_end_do_not_reach_the_statistics():
    torch.manual_seed(0)
    convolutions = nn.ModuleList([nn.Conv1d(3, 4, kernel_size=5, stride=2, padding=2)])
    norms = nn.ModuleList([nn.LayerNorm(4)])
    x = torch.randn(1, 3, 9)
    padded = torch.zeros(2, 3, 20)
    padded[0, :, :9] = x
    padded[1] = torch.randn(3, 20)
    together = convolve_and_pool(padded, np.array([9, 20]), convolutions, norms)
    alone = convolve_and_pool(x, np.array([9]), convolutions, norms)
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-6)
    # five frames remain of nine
    maps = nn.functional.gelu(norms[0](convolutions[0](x).transpose(1, 2)))
    assert maps.shape == (1, 5, 4)
    expected = masked_mean_and_std(maps, torch.ones(1, 5, dtype=torch.bool))
    torch.testing.assert_close(alone, expected)
