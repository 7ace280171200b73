"""Standardisation of features by the finite values of training sessions."""

from types import SimpleNamespace

import numpy as np
import torch

from depmm.inputs import Inputs
from depmm.models.encoders.feature_cnn import FeatureCnn
from depmm.training import feature_scaling
from depmm.training.feature_scaling import fit_feature_scales


def test_scales_are_those_of_all_finite_values(monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.normal([3.0, -100.0, 0.0], [1.0, 20.0, 1e-3], (5, 2, 40, 3)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    rows[..., 2] = 7.0  # a constant feature is not scaled
    length = rng.integers(0, 41, (5, 2))
    encoder = FeatureCnn(features=3, channels=[4], embed_dim=4, dropout=0.0)
    model = SimpleNamespace(encoders={"audio": encoder, "face": torch.nn.Identity()})
    data = SimpleNamespace(indices=lambda split: [split], dataset=None)

    def batches(dataset, sessions, batch_size, device):
        assert sessions == ["train"]
        for part in (slice(0, 2), slice(2, 5)):
            yield None, {"audio": Inputs(torch.from_numpy(rows[part]), length[part])}

    monkeypatch.setattr(feature_scaling, "evaluation_batches", batches)
    fit_feature_scales(model, data, batch_size=3)
    valid = np.concatenate(
        [r[:n] for r, n in zip(rows.reshape(-1, 40, 3), length.flat, strict=True)]
    )
    mean, deviation = np.nanmean(valid.astype(float), 0), np.nanstd(valid.astype(float), 0)
    np.testing.assert_allclose(encoder.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(encoder.std[:2], deviation[:2], rtol=1e-5)
    assert encoder.std[2] == 1
