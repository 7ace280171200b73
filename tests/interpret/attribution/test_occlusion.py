"""Occlusion is the difference of two forward passes."""

import numpy as np
import pandas as pd
import pytest
import torch
from removal_models import DEP_FORMER, sessions, tiny_model, training_reference
from untrained_models import build_untrained, collate_sessions, encode_sessions

from depmm.interpret.attribution.occlusion import occlude_steps, remove_all_steps
from depmm.interpret.attribution.removal import make_session_reference


def occlude(model, features, masks) -> pd.DataFrame:
    """Occlude with the mean of the session as reference."""
    return occlude_steps(model, features, masks, make_session_reference(features, masks))


ROUNDING = 3e-6  # of a difference of two float32 logits, which are below 1


@torch.no_grad()
@pytest.mark.parametrize("center", ["true", "false"])
def test_occlusion_is_the_difference_of_two_forward_passes(corpus, center):
    model, data = build_untrained(corpus, f"model.subtract_session_mean={center}")
    table = occlude(model, *encode_sessions(model, data, [3, 1, 4]))
    assert sorted(table[["row", "step"]].to_numpy().tolist()) == [
        [row, step] for row in range(3) for step in range(4)
    ]
    columns = {
        "occlusion": ("audio", "face"), "occlusion_audio": ("audio",), "occlusion_face": ("face",)
    }  # fmt: skip
    assert table.columns.tolist() == ["row", "step", *columns]
    for row_of_batch, index, step in ((1, 1, 0), (2, 4, 2)):
        batch = collate_sessions(data, [index])
        full = model(batch).logits.item()
        row = table[(table["row"] == row_of_batch) & (table["step"] == step)]
        for column, replaced in columns.items():
            features, masks = model.encode(batch)
            for name in replaced:
                present = masks[name][0]
                features[name][0, step] = features[name][0, present].mean(dim=0)
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
    table = occlude(model, features, masks).set_index(["row", "step"])
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
    only = occlude(unimodal, *voice)
    assert only.columns.tolist() == ["row", "step", "occlusion", "occlusion_audio"]
    assert only["occlusion"].equals(only["occlusion_audio"])


@torch.no_grad()
def test_only_step_of_a_session_has_no_row(corpus):
    model, data = build_untrained(corpus)
    features, masks = encode_sessions(model, data, [0, 1])
    features = {name: x[:, :1] for name, x in features.items()}
    masks = {name: mask[:, :1] for name, mask in masks.items()}
    assert occlude(model, features, masks).empty


@torch.no_grad()
@pytest.mark.parametrize("modalities", [("audio",), ("audio", "face")])
def test_single_steps_and_whole_sessions_are_replaced_by_a_reference_outside(modalities):
    model = tiny_model(DEP_FORMER, modalities)
    x, masks = sessions([4, 1], modalities)
    if len(modalities) > 1:
        masks["face"][0, 2] = False
        masks["face"][1] = False
    reference = training_reference(x)
    table = occlude_steps(model, x, masks, reference)
    assert table[["row", "step"]].to_numpy().tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0]]
    whole = remove_all_steps(model, x, masks, reference)
    assert whole["row"].tolist() == [0, 1]
    logit = model.head.logit(model.fuse(x, masks)[0])
    np.testing.assert_allclose(whole["logit"], logit, atol=ROUNDING)
    for name in modalities:
        changed = x | {name: reference.steps[name]}
        removed = model.head.logit(model.fuse(changed, masks)[0])
        expected = np.where(masks[name].any(dim=1), logit - removed, np.nan)
        np.testing.assert_allclose(whole[f"all_steps_{name}"], expected, atol=ROUNDING)
    removed = model.head.logit(model.fuse(reference.steps, masks)[0])
    np.testing.assert_allclose(whole["reference_logit"], removed, atol=ROUNDING)
    np.testing.assert_allclose(whole["all_steps"], logit - removed, atol=ROUNDING)
    # the only step of a session is the session
    only = table[table["row"] == 1]["occlusion"].item()
    assert only == pytest.approx(whole["all_steps"][1], abs=ROUNDING)
    relative = remove_all_steps(model, x, masks, make_session_reference(x, masks))
    assert relative["row"].tolist() == [0]
    assert whole["all_steps"].abs().min() > 100 * ROUNDING
