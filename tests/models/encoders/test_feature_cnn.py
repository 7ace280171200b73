"""Feature-CNN: invalid values, padding and neighbours have no influence."""

import pytest
import torch

from depmm.models.encoders.feature_cnn import FeatureCnn
from depmm.models.errors import ModelError


def test_invalid_values_padding_and_neighbours_change_nothing():
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
    lost = rows.clone()
    lost[0, 4, 1] = torch.nan
    assert encoder(lost, torch.tensor([9])).isfinite().all()
    assert (encoder(lost, torch.tensor([9])) - alone).abs().max() > 1e-3
    nothing = torch.full((1, 4, 3), torch.nan)
    assert encoder(nothing, torch.tensor([4])).isfinite().all()


def test_rows_of_another_stream_are_refused():
    encoder = FeatureCnn(3, [8], 8, 0.0)
    with pytest.raises(ModelError) as info:
        encoder(torch.zeros(1, 9, 4), torch.tensor([9]))
    assert (info.value.setting, info.value.value) == ("features", 4)
