"""Occlusion is the difference of two forward passes."""

import numpy as np
import pytest
import torch
from untrained_models import build_untrained, collate_sessions, encode_sessions

from depmm.interpret.attribution.occlusion import occlude_steps

ROUNDING = 3e-6  # of a difference of two float32 logits, which are below 1


@torch.no_grad()
@pytest.mark.parametrize("center", ["true", "false"])
def test_occlusion_is_the_difference_of_two_forward_passes(corpus, center):
    model, data = build_untrained(corpus, f"model.subtract_session_mean={center}")
    table = occlude_steps(model, *encode_sessions(model, data, [3, 1, 4]))
    assert sorted(table[["row", "step"]].to_numpy().tolist()) == [
        [row, step] for row in range(3) for step in range(4)
    ]
    columns = {
        "occlusion": ("audio", "face"), "occlusion_audio": ("audio",), "occlusion_face": ("face",)
    }  # fmt: skip
    assert table.columns.tolist() == ["row", "step", *columns]
    for row_of_batch, index, step in ((1, 1, 0), (2, 4, 2)):
        batch = collate_sessions(data, [index])
        full = model(**batch).logits.item()
        row = table[(table["row"] == row_of_batch) & (table["step"] == step)]
        for column, replaced in columns.items():
            features, masks = model.encode(**batch)
            for name in replaced:
                others = [i for i in range(4) if i != step and masks[name][0, i]]
                features[name][0, step] = features[name][0, others].mean(dim=0)
            by_hand = full - model.fuse(features, masks)[0].item()
            assert row[column].item() == pytest.approx(by_hand, abs=ROUNDING)
    assert table[list(columns)].abs().min().min() > 5 * ROUNDING


@torch.no_grad()
def test_missing_modalities_have_no_occlusion(corpus):
    model, data = build_untrained(corpus)
    features, masks = encode_sessions(model, data, [0, 1, 2])
    masks["face"][0] = False
    masks["audio"][1, 2] = False
    masks["face"][2, 1:] = False  # one step with a face: nothing replaces that face
    table = occlude_steps(model, features, masks).set_index(["row", "step"])
    assert len(table) == 3 * 4
    assert table.loc[0, "occlusion_face"].isna().all()
    alone = table.loc[2], table.loc[0]
    for part in alone:
        assert part["occlusion_face"].isna().all()
        np.testing.assert_allclose(part["occlusion"], part["occlusion_audio"], atol=ROUNDING)
    assert table.loc[1, "occlusion_audio"].isna().tolist() == [False, False, True, False]
    both, face = table.loc[(1, 2), ["occlusion", "occlusion_face"]]
    assert both == pytest.approx(face, abs=ROUNDING)
    assert abs(face) > 100 * ROUNDING
    voice = {"audio": features["audio"]}, {"audio": masks["audio"]}
    unimodal, _ = build_untrained(corpus, "data.modalities=[audio]", "model.encoders.face=null")
    only = occlude_steps(unimodal, *voice)
    assert only.columns.tolist() == ["row", "step", "occlusion", "occlusion_audio"]
    assert only["occlusion"].equals(only["occlusion_audio"])


@torch.no_grad()
def test_only_step_of_a_session_has_no_row(corpus):
    model, data = build_untrained(corpus)
    features, masks = encode_sessions(model, data, [0, 1])
    features = {name: x[:, :1] for name, x in features.items()}
    assert occlude_steps(model, features, {name: mask[:, :1] for name, mask in masks.items()}).empty
