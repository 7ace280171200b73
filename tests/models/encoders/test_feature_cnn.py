"""Feature-CNN: independence of padding and other steps, and invalid values."""

import pytest
import torch

from depmm.models.encoders.feature_cnn import FeatureCnn
from depmm.models.errors import ModelError


def test_padding_other_steps_and_invalid_values():
    torch.manual_seed(0)
    encoder = FeatureCnn(3, [8], 8, 0.0).eval()
    encoder.set_scale(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.0, 2.0]))
    assert encoder.std.tolist() == [1.0, 1.0, 2.0]
    rows = torch.randn(1, 9, 3)
    alone = encoder(rows, torch.tensor([9]))
    padded = torch.full((2, 20, 3), torch.inf)
    padded[0, :9] = rows
    padded[1] = 5.0
    together = encoder(padded, torch.tensor([9, 20]))
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-5)
    one_invalid = rows.clone()
    one_invalid[0, 4, 1] = torch.nan
    assert encoder(one_invalid, torch.tensor([9])).isfinite().all()
    assert (encoder(one_invalid, torch.tensor([9])) - alone).abs().max() > 1e-3
    all_invalid = torch.full((1, 4, 3), torch.nan)
    assert encoder(all_invalid, torch.tensor([4])).isfinite().all()


def test_rows_of_another_stream_are_refused():
    encoder = FeatureCnn(3, [8], 8, 0.0)
    with pytest.raises(ModelError) as info:
        encoder(torch.zeros(1, 9, 4), torch.tensor([9]))
    assert (info.value.setting, info.value.value) == ("features", 4)
