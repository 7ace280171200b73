"""Bilinear resizing of padded signals."""

import pytest
import torch
from torch import nn

from depmm.models.resize import bilinear_weights


@pytest.mark.parametrize("out", [7, 64, 224])
def test_resizing_equals_pytorch(out):
    valid = torch.tensor([1, 9, 64, 100])
    x = torch.randn(4, 3, 100, generator=torch.Generator().manual_seed(0))
    weights = bilinear_weights(valid, 100, out)
    ours = torch.einsum("bft,btw->bfw", x, weights)
    for row, n in enumerate(valid.tolist()):
        expected = nn.functional.interpolate(
            x[row : row + 1, None, :, :n], (3, out), mode="bilinear", antialias=True
        )
        torch.testing.assert_close(ours[row], expected[0, 0], rtol=1e-4, atol=1e-5)
