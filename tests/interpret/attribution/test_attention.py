"""Recorded attention: the forward pass is unchanged, and each value is that of its step."""

import numpy as np
import pandas as pd
import pytest
import torch
from attention_models import (
    LAYER,
    RELEASE,
    RELEASE_TOKENS,
    TOKENS,
    build_tiny,
    get_layer,
    get_layers,
    make_steps,
)

from depmm.interpret.attribution.attention import record_attention
from depmm.models.fusion.dep_former.attention_sharing import AttentionSharing
from depmm.models.fusion.dep_former.layers import CircularConvolution, EncoderLayer
from depmm.models.fusion.dep_former.query_selection import QuerySelection, count_selected_queries
from depmm.models.model import DepressionModel


def count_hooks(model: DepressionModel) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize(
    ("changes", "length"),
    [
        ({}, 72),
        ({"sampling_factor": 5}, 72),
        ({"sampling_factor": 100}, 12),  # dense
        ({"attention_sharing": "none", "cross_attention": [], "fusion_weights": "fixed"}, 12),
        ({"attention_sharing": "every_layer", "fuse": "logits"}, 12),
        ({"layers": [2, 1]}, 200),  # sampled keys
        (RELEASE, 7),
        ({"kind": "mean_pool"}, 12),
    ],
)
@torch.no_grad()
def test_forward_pass_is_bit_equal_and_hooks_are_removed(changes, length):
    """The same tensors in one process: the same kernels run with and without hooks."""
    model = build_tiny(**changes)
    features, masks = make_steps([length, 5, 1])
    before, branches = model.fuse(features, masks)
    record = record_attention(model, features, masks)
    after, again = model.fuse(features, masks)
    assert torch.equal(record.logits, before)
    assert torch.equal(after, before)
    assert all(torch.equal(again[name], branches[name]) for name in branches)
    assert count_hooks(model) == 0


def test_error_removes_hooks_and_training_mode_is_rejected():
    model = build_tiny()
    features, masks = make_steps([4])
    with pytest.raises(RuntimeError):
        record_attention(model, {**features, "face": features["face"][..., :2]}, masks)
    assert count_hooks(model) == 0
    with pytest.raises(ValueError, match="training mode"):
        record_attention(model.train(), features, masks)


def test_tokens_map_back_to_steps_by_hand():
    model = build_tiny()
    outputs = {}
    for encoder in ("multimodal", "audio"):
        for block, layer in get_layers(encoder):
            attention = get_layer(model, encoder, block, layer).attention
            selection = getattr(attention, "attention", attention).selection
            selection.register_forward_hook(
                lambda module, args, output, key=(encoder, block, layer): outputs.update(
                    {key: (output, module.sparsity(*args))}
                )
            )
    table = record_attention(model, *make_steps([7, 5])).attention
    assert len(table[["encoder", "block", "layer"]].drop_duplicates()) == 4 + 5 + 5
    for (encoder, block, layer), (output, sparsity) in outputs.items():
        for row in (0, 1):
            token = TOKENS[row][block, layer]
            layer_rows = table[
                table[["row", "encoder", "block", "layer"]]
                .eq([row, encoder, block, layer])
                .all(axis=1)
            ]
            assert layer_rows["head"].tolist() == [0] * len(token) + [1] * len(token)
            assert layer_rows["step"].tolist() == list(token) * 2
            tokens = list(token.values())
            for name, values in (("selected", output), ("sparsity", sparsity)):
                expected = values[row][:, tokens].flatten().float()
                np.testing.assert_allclose(layer_rows[name].astype(float), expected, atol=1e-5)


def test_calls_of_the_shared_modules_of_the_release_are_told_apart():
    model = build_tiny(**RELEASE)
    calls: list[tuple[torch.Tensor, torch.Tensor]] = []
    for module in model.modules():
        if isinstance(module, QuerySelection):
            module.register_forward_hook(
                lambda module, args, output: calls.append((output, module.sparsity(*args)))
            )
    features, masks = make_steps([7, 7])
    masks["face"][1, :4] = False
    table = record_attention(model, features, masks).attention
    layers = {"multimodal": [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)]}
    layers |= {name: list(RELEASE_TOKENS) for name in ("face", "audio")}
    expected = [(encoder, *key) for encoder, keys in layers.items() for key in keys]
    assert len(calls) == len(expected)
    found = table[["encoder", "block", "layer"]].drop_duplicates()
    assert sorted(map(tuple, found.to_numpy().tolist())) == sorted(expected)
    for (encoder, block, layer), (output, sparsity) in zip(expected, calls, strict=True):
        for row in (0, 1):
            present = masks["audio" if encoder == "multimodal" else encoder][row].tolist()
            token = {s: t for s, t in RELEASE_TOKENS[block, layer].items() if present[s]}
            found = table[["row", "encoder", "block", "layer"]].eq([row, encoder, block, layer])
            rows = table[found.all(axis=1)]
            assert rows["step"].tolist() == list(token) * 2
            for name, values in (("selected", output), ("sparsity", sparsity)):
                by_hand = values[row][:, list(token.values())].flatten().float()
                np.testing.assert_allclose(rows[name].astype(float), by_hand, atol=1e-5)
    units = table[table["shared_selected"].notna()]
    in_block = units.groupby("block")["layer"].unique().map(list).to_dict()
    assert in_block == {0: [3], 1: [2], 2: [1]}
    assert units["confidence"].between(0.01, 0.99).all()
    assert units.groupby(["row", "encoder", "block"])["confidence"].nunique().eq(1).all()


@torch.no_grad()
def test_changed_step_changes_its_token():
    """Without attention and neighbours a token moves with the steps that are pooled into it."""
    model = build_tiny()
    encoder = model.fusion.encoders["multimodal"]
    for module in encoder.modules():
        if isinstance(module, CircularConvolution):
            width = module.kernel.in_features // 3
            module.kernel.weight[:, :width] = module.kernel.weight[:, 2 * width :] = 0
        if isinstance(module, EncoderLayer):
            module.attention.out.weight.zero_()
    outputs = {}
    for key in get_layers("multimodal"):
        module = get_layer(model, "multimodal", *key)
        module.register_forward_hook(
            lambda module, args, out, key=key: outputs.update({(*key, "x"): args[0].x})
        )
        module.attention.selection.register_forward_hook(
            lambda module, args, output, key=key: outputs.update({key: module.sparsity(*args)})
        )
    for length in (12, 7):
        # one session, and as often again with one step changed
        features, masks = make_steps([length])
        features = {name: x.repeat(length + 1, 1, 1) for name, x in features.items()}
        features["audio"][torch.arange(1, length + 1), torch.arange(length)] += 3
        table = record_attention(
            model, features, {n: m.repeat(length + 1, 1) for n, m in masks.items()}
        )[1]
        table = table[table[["row", "head"]].eq(0).all(axis=1) & (table["encoder"] == "multimodal")]
        rows = table.set_index(["block", "layer", "step"])["sparsity"]
        for key in get_layers("multimodal"):
            x = outputs[(*key, "x")]
            moved = ((x[1:] - x[0]).abs() > 1e-4).any(-1)
            for step in range(length):
                tokens = moved[step].nonzero().flatten().tolist()
                token = int((outputs[key][0, 0] - rows[(*key, step)]).abs().argmin())
                assert outputs[key][0, 0, token].item() == pytest.approx(
                    rows[(*key, step)], abs=1e-5
                )
                assert token in tokens
                assert set(tokens) <= {token, token + 1}  # pooling also reads the previous position


def test_missing_steps_have_no_row():
    model = build_tiny()
    features, masks = make_steps([8, 8])
    masks["face"][0] = False
    masks["face"][1, [0, 3]] = False
    for mask in masks.values():
        mask[1, [4, 5]] = False  # only position 3 is pooled into the token of steps 4 and 5
    masks["audio"][1, 3] = True
    record = record_attention(model, features, masks)
    table = record.attention
    first = table[(table["layer"] == 0) & (table["head"] == 0)]
    steps = first.groupby(["row", "block", "encoder"])["step"].agg(list)
    for block in (0, 1, 2):
        assert "face" not in steps[0, block]
        assert steps[0, block]["multimodal"] == steps[0, block]["audio"] == list(range(8))
        assert steps[1, block]["audio"] == steps[1, block]["multimodal"] == [0, 1, 2, 3, 6, 7]
        assert steps[1, block]["face"] == [1, 2, 6, 7]
    assert table.groupby(LAYER)["attention_received"].sum().to_numpy() == pytest.approx(1, abs=1e-5)
    assert (table["attention_received"] > 0).all()
    branches = record.branches.set_index(["row", "branch"])
    assert branches["present"].tolist() == [True, True, False, False, True, True, True, True]
    assert branches["logit"].isna().equals(~branches["present"])


def test_sessions_of_one_step():
    table = record_attention(build_tiny(), *make_steps([1, 1])).attention
    assert len(table) == 2 * (4 + 5 + 5) * 2
    assert (table["step"] == 0).all()
    assert table["selected"].all()
    assert table["attention_received"].to_numpy() == pytest.approx(1, abs=1e-6)


def test_recording_does_not_depend_on_the_batch():
    model = build_tiny(sampling_factor=2)
    # no query of these is selected by less than .001, so that rounding changes no selection
    features, masks = make_steps([9, 30, 3], seed=34)
    together = record_attention(model, features, masks)
    for row, length in enumerate([9, 30, 3]):
        alone = record_attention(
            model,
            {name: x[row : row + 1, :length] for name, x in features.items()},
            {name: mask[row : row + 1, :length] for name, mask in masks.items()},
        )
        for one, many in zip(alone[1:], together[1:], strict=True):
            many = many[many["row"] == row].assign(row=0).reset_index(drop=True)
            pd.testing.assert_frame_equal(one, many, rtol=1e-3, atol=1e-5)


def test_selected_steps_have_the_highest_sparsity():
    table = record_attention(build_tiny(sampling_factor=2), *make_steps([20, 6])).attention
    for (row, *_), steps in table[table["block"] == 0].groupby(LAYER):
        assert steps["selected"].sum() == count_selected_queries(len(steps), sampling_factor=2), row
        left = steps["sparsity"][~steps["selected"]]
        assert left.empty or steps["sparsity"][steps["selected"]].min() >= left.max()


@pytest.mark.parametrize("sharing", ["after_encoders", "every_layer", "none"])
def test_shared_selection_is_that_of_the_multimodal_encoder(sharing):
    model = build_tiny(attention_sharing=sharing)
    features, masks = make_steps([10, 4])
    masks["audio"][0, 2] = False
    table = record_attention(model, features, masks).attention
    main = table[table["encoder"] == "multimodal"]
    units = table[table["shared_selected"].notna()]
    assert table["confidence"].notna().equals(table["shared_selected"].notna())
    shared_layers = units[["block", "layer"]].drop_duplicates().to_numpy().tolist()
    if sharing == "none":
        assert units.empty
        return
    if sharing == "after_encoders":
        assert shared_layers == [[2, 1]]
        main = main[main["block"] == 2].assign(layer=1)  # the index of the last layer
    else:
        assert sorted(shared_layers) == [[0, 0], [0, 1], [1, 0], [2, 0]]
    step_key = ["row", "block", "layer", "head", "step"]
    for name in ("audio", "face"):
        in_encoder = units[units["encoder"] == name]
        both = in_encoder.merge(main, on=step_key, suffixes=("", "_main"))
        assert len(both) == len(in_encoder) > 0
        assert (both["shared_selected"] == both["selected_main"]).all()
        assert in_encoder.groupby(LAYER)["confidence"].nunique().eq(1).all()
        assert in_encoder["confidence"].between(0.01, 0.99).all()


@torch.no_grad()
def test_confidence_and_gates_by_hand():
    model = build_tiny()
    for module in model.modules():
        if isinstance(module, AttentionSharing):
            module.confidence.linear.weight.zero_()
            module.confidence.linear.bias.copy_(torch.tensor([0.0, np.log(3)]))
    branches = model.fusion.branches
    model.fusion.fusion.gate_logit.copy_(torch.tensor([np.log(4), 0.0, -np.log(4), 9.0]))
    assert branches == ["multimodal", "audio", "face", "cross"]
    record = record_attention(model, *make_steps([5]))
    table = record.attention[record.attention["confidence"].notna()]
    by_head = table["head"].map({0: 0.5, 1: 0.75})
    assert table["confidence"].to_numpy() == pytest.approx(by_head.to_numpy(), abs=1e-6)
    gate = record.attention.groupby("encoder")["gate"].first()
    expected = {"multimodal": 0.8, "audio": 0.5, "face": 0.2}
    assert gate.to_dict() == pytest.approx(expected, abs=1e-6)
    assert record.branches["branch"].tolist() == branches
    # the branches add up to the prediction, except for the bias of the common output layer
    fused = (record.branches["logit"] * record.branches["gate"]).sum()
    bias = model.fusion.output_layers["all"].bias.item() * (record.branches["gate"].sum() - 1)
    assert fused - bias == pytest.approx(record.logits.item(), abs=1e-5)
    fixed = record_attention(build_tiny(fusion_weights="fixed"), *make_steps([5])).branches
    assert fixed["gate"].tolist() == pytest.approx([1, 0.1, 0.1, 0.1])


def test_one_modality_has_one_encoder():
    record = record_attention(build_tiny(("face",)), *make_steps([6], ("face",)))
    assert record.attention["encoder"].unique().tolist() == ["face"]
    assert record.branches["branch"].tolist() == ["face"]
    assert record.branches["gate"].tolist() == [1]
    assert record.branches["logit"].item() == pytest.approx(record.logits.item(), abs=1e-6)
    assert (record.attention["gate"] == 1).all()
    assert record.attention["confidence"].isna().all()


def test_every_query_selection_is_recorded():
    model = build_tiny()
    table = record_attention(model, *make_steps([9])).attention
    layers = table[["encoder", "block", "layer"]].drop_duplicates()
    assert len(layers) == sum(isinstance(m, QuerySelection) for m in model.modules())
    record = record_attention(build_tiny(kind="mean_pool"), *make_steps([9]))
    assert record.attention is None
    assert record.branches["branch"].tolist() == ["audio", "face"]
