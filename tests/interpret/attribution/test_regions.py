"""Shares of Grad-CAM maps in regions of the face and bands of the voice."""

import numpy as np
import pytest
import torch
from grad_cam_models import (
    AUDIO_ENCODERS,
    SE_RESNET,
    build_tiny_model,
    make_audio,
    make_crops,
    make_landmarks,
    train_corner_model,
)

from depmm.inputs import Inputs
from depmm.interpret.attribution.face_regions import (
    THIRDS,
    compute_region_shares,
)
from depmm.interpret.attribution.grad_cam import compute_grad_cam
from depmm.interpret.attribution.regions import BANDS, attribute_regions
from depmm.interpret.errors import ExplanationError
from depmm.models.model import DepressionModel


@pytest.fixture(scope="module")
def corner_model() -> DepressionModel:
    return train_corner_model()


def test_learned_corner_is_in_the_upper_third(corner_model):
    table = attribute_regions(corner_model, make_crops(40, seed=1), [None] * 40)
    assert table["region"].unique().tolist() == list(THIRDS)
    red = table[table["row"] % 2 == 1]
    shares = red.pivot_table(index="row", columns="region", values="share")
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert (shares.idxmax(axis=1) == "upper_third").mean() > 0.9
    assert (
        shares["upper_third"].mean() > 1.5 * red.loc[red["region"] == "upper_third", "area"].mean()
    )


def test_crops_are_weighted_by_the_mass_of_their_map():
    model = build_tiny_model(face=SE_RESNET)
    crops = torch.randint(0, 255, (1, 2, 3, 3, 32, 32), generator=torch.Generator().manual_seed(3))
    inputs = {"face": Inputs(crops.byte(), np.array([[3, 2]]))}
    points = np.stack([make_landmarks()] * 3)
    shares = attribute_regions(model, inputs, [[points, points[:2]]])
    maps = compute_grad_cam(model, "face", inputs)
    assert (shares["peak"] > 0).any()
    for step, rows in shares.groupby("step"):
        step_maps = maps[maps["step"] == step]
        heat = np.stack(step_maps["heatmap"].tolist())
        added = (heat * step_maps["peak"].to_numpy()[:, None, None]).sum(axis=0, keepdims=True)
        expected = compute_region_shares(added, points[:1])
        np.testing.assert_allclose(rows["share"], expected["share"], atol=2e-5)
        np.testing.assert_allclose(rows["area"], expected["area"])


@pytest.mark.parametrize("kind", ["spectrogram_cnn", "emoaudionet"])
def test_band_shares_by_hand(kind):
    model = build_tiny_model(audio={"kind": kind, **AUDIO_ENCODERS[kind]})
    inputs = make_audio([[16000, 9000], [12000, 0]])
    shares = attribute_regions(model, inputs, [None, None]).set_index(["row", "step", "region"])
    assert list(shares.index.unique("region")) == list(BANDS)
    for entry in compute_grad_cam(model, "audio", inputs).itertuples():
        rows = shares.loc[(entry.row, entry.step)]
        by_bin = entry.heatmap.sum(axis=1)
        hertz = np.linspace(0, 8000, len(by_bin))
        for band, low, high in zip(
            BANDS, (0, 300, 1000, 3000), (300, 1000, 3000, 8001), strict=True
        ):
            inside = (hertz >= low) & (hertz < high)
            assert rows.loc[band, "area"] == pytest.approx(inside.mean())
            if entry.peak > 0:
                share = by_bin[inside].sum() / by_bin.sum()
                assert rows.loc[band, "share"] == pytest.approx(share, abs=1e-5)
            else:
                assert np.isnan(rows.loc[band, "share"])
    assert len(shares) == 3 * len(BANDS)


def test_mfcc_have_no_bands():
    model = build_tiny_model(audio={"kind": "mfcc_cnn", **AUDIO_ENCODERS["mfcc_cnn"]})
    with pytest.raises(ExplanationError) as info:
        attribute_regions(model, make_audio([[16000]]), [None])
    assert (info.value.setting, info.value.value) == ("method", "grad_cam")
