"""Occlusion of regions of the face, with and without convolutions."""

import numpy as np
import pytest
import torch
from grad_cam_models import (
    build_tiny_model,
    make_audio,
    make_crops,
    make_landmarks,
    train_corner_model,
)
from vision_sources import write_vision_source

from depmm.inputs import Inputs
from depmm.interpret.attribution.face_regions import REGIONS, THIRDS, label_regions
from depmm.interpret.attribution.region_occlusion import occlude_regions
from depmm.interpret.errors import ExplanationError


def occlude(model, inputs: dict[str, Inputs], landmarks):
    with torch.no_grad():
        return occlude_regions(model, *model.encode(inputs), inputs, landmarks)


def test_the_region_with_the_learned_corner_raises_the_logit():
    table = occlude(train_corner_model(), make_crops(40, seed=1), [None] * 40)
    assert table["region"].unique().tolist() == list(THIRDS)
    values = table.pivot_table(index="row", columns="region", values="occlusion")
    red = values[values.index % 2 == 1]
    assert (red.idxmax(axis=1) == "upper_third").mean() > 0.9
    assert red["upper_third"].mean() > 5 * red["lower_third"].abs().mean()


@pytest.mark.parametrize("kind", ["image_transformer", "video_transformer"])
def test_networks_without_convolutions_are_occluded_step_by_step(kind, tmp_path):
    family, clips = ("vit", {}) if kind == "image_transformer" else ("videomae", {"num_frames": 2})
    source = write_vision_source(tmp_path, family, **clips)
    model = build_tiny_model(face={"kind": kind, "source": source, "embed_dim": 4})
    assert model.encoders["face"].grad_cam_layer() is None
    generator = torch.Generator().manual_seed(0)
    crops = torch.randint(0, 256, (2, 2, 3, 3, 56, 56), generator=generator).byte()
    inputs = {"face": Inputs(crops, np.array([[3, 1], [2, 0]]))}
    points = np.stack([make_landmarks()] * 3)
    table = occlude(model, inputs, [[points, points[:1]], None])
    assert len(table) == 2 * len(REGIONS) + len(THIRDS)
    np.testing.assert_allclose(table.groupby(["row", "step"])["area"].sum(), 1)
    # the mouth of both valid crops of one step, by hand
    inside = label_regions(make_landmarks())[2::4, 2::4] == REGIONS.index("mouth")
    changed = crops.clone()
    colour = crops[0, 0].float().mean(dim=(-2, -1), keepdim=True).round().byte()
    changed[0, 0] = torch.where(torch.from_numpy(inside), colour, crops[0, 0])
    with torch.no_grad():
        before = model(inputs).logits[0]
        after = model({"face": Inputs(changed, inputs["face"].lengths)}).logits[0]
    mouth = table[(table["row"] == 0) & (table["step"] == 0) & (table["region"] == "mouth")]
    assert mouth["occlusion"].item() == pytest.approx((before - after).item(), abs=1e-5)
    assert mouth["area"].item() == pytest.approx(inside.mean())
    assert table["occlusion"].abs().gt(1e-5).mean() > 0.5


def test_a_run_without_crops_is_refused():
    model = build_tiny_model(audio={"kind": "mfcc_cnn", "channels": [4], "embed_dim": 4})
    with pytest.raises(ExplanationError) as info:
        occlude(model, make_audio([[16000]]), [None])
    assert info.value.value == "region_occlusion"
