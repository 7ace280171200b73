"""Recorded attention: the forward pass is unchanged, and each value is that of its step."""

import numpy as np
import pandas as pd
import pytest
import torch
from einops import rearrange

from depmm.config import ModelConfig
from depmm.interpret.attribution.attention import compute_attention_received, record_attention
from depmm.models.fusion.dep_former.attention_sharing import AttentionSharing
from depmm.models.fusion.dep_former.sparse_attention import QuerySelection, count_selected_queries
from depmm.models.fusion.dep_former.sparse_encoder import CircularConvolution, EncoderLayer
from depmm.models.masking import masked_mean
from depmm.models.model import DepressionModel, build_model

WIDTHS = {"audio": 6, "face": 5}

FUSION = {
    "kind": "dep_former",
    "adapter_hidden_dim": 16,
    "adapter_dim": 8,
    "embed_dim": 16,
    "n_heads": 2,
    "head_dim": 8,
    "ffn_dim": 16,
    "sampling_factor": 1,
}

LAYER = ["row", "encoder", "stack", "layer", "head"]

# session of 7 steps and of 5: (stack, layer) -> step -> token, by hand
TOKENS = {
    0: {
        (0, 0): {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6},
        (0, 1): {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 3},
        (0, 2): {0: 0, 1: 0, 2: 0, 3: 0, 4: 1, 5: 1, 6: 1},
        (1, 0): {3: 0, 4: 1, 5: 2, 6: 3},
        (1, 1): {3: 0, 4: 0, 5: 1, 6: 1},
        (2, 0): {5: 0, 6: 1},
    },
    1: {
        (0, 0): {0: 0, 1: 1, 2: 2, 3: 3, 4: 4},
        (0, 1): {0: 0, 1: 0, 2: 1, 3: 1, 4: 2},
        (0, 2): {0: 0, 1: 0, 2: 0, 3: 0, 4: 1},
        (1, 0): {2: 0, 3: 1, 4: 2},
        (1, 1): {2: 0, 3: 0, 4: 1},
        (2, 0): {3: 0, 4: 1},
    },
}


def build_tiny(modalities: tuple[str, ...] = ("audio", "face"), **fusion) -> DepressionModel:
    """Build a model that is given encoded steps, so that its encoders never run."""
    small = {
        "audio": {"kind": "mfcc_cnn", "channels": [4], "embed_dim": WIDTHS["audio"]},
        "face": {"kind": "se_resnet", "blocks": [1], "channels": [4], "embed_dim": WIDTHS["face"]},
    }
    torch.manual_seed(0)
    values = fusion if "kind" in fusion else {**FUSION, **fusion}
    encoders = {name: small[name] for name in modalities}
    return build_model(ModelConfig.model_validate({"encoders": encoders, "fusion": values})).eval()


def make_steps(lengths: list[int], modalities: tuple[str, ...] = ("audio", "face"), seed: int = 0):
    """Make encoded sessions of some lengths without missing modalities."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    features = {
        name: torch.randn(len(lengths), longest, WIDTHS[name], generator=generator)
        for name in modalities
    }
    present = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return features, {name: present.clone() for name in modalities}


def get_layer(model: DepressionModel, encoder: str, stack: int, layer: int) -> EncoderLayer:
    return model.fusion.encoders[encoder].stacks[stack].layers[layer]


def count_hooks(model: DepressionModel) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize(
    ("changes", "length"),
    [
        ({}, 72),
        ({"sampling_factor": 5}, 72),
        ({"sampling_factor": 100}, 12),  # dense
        ({"share_indices": False, "cross_attention": "none", "fusion_weights": "fixed"}, 12),
        ({"stacks": [2, 1]}, 200),  # sampled keys
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
        for stack, layer in TOKENS[0]:
            attention = get_layer(model, encoder, stack, layer).attention
            selection = getattr(attention, "attention", attention).selection
            selection.register_forward_hook(
                lambda module, args, output, key=(encoder, stack, layer): outputs.update(
                    {key: (output, module.sparsity(*args))}
                )
            )
    table = record_attention(model, *make_steps([7, 5])).attention
    for (encoder, stack, layer), (output, sparsity) in outputs.items():
        for row in (0, 1):
            token = TOKENS[row][stack, layer]
            layer_rows = table[
                table[["row", "encoder", "stack", "layer"]]
                .eq([row, encoder, stack, layer])
                .all(axis=1)
            ]
            assert layer_rows["head"].tolist() == [0] * len(token) + [1] * len(token)
            assert layer_rows["step"].tolist() == list(token) * 2
            tokens = list(token.values())
            for name, values in (("selected", output), ("sparsity", sparsity)):
                expected = values[row][:, tokens].flatten().float()
                np.testing.assert_allclose(layer_rows[name].astype(float), expected, atol=1e-5)


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
    for key in TOKENS[0]:
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
        rows = table.set_index(["stack", "layer", "step"])["sparsity"]
        for key in TOKENS[0]:
            x = outputs[(*key, "x")]
            moved = ((x[1:] - x[0]).abs() > 1e-4).any(-1)
            for step in range(length):
                tokens = moved[step].nonzero().flatten().tolist()
                if (*key, step) not in rows:
                    assert tokens == []  # before the last steps, which are all that a stack reads
                    continue
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
    first = table[(table["stack"] == 0) & (table["head"] == 0)]
    steps = first.groupby(["row", "layer", "encoder"])["step"].agg(list)
    for layer in (0, 1, 2):
        assert "face" not in steps[0, layer]
        assert steps[0, layer]["multimodal"] == steps[0, layer]["audio"] == list(range(8))
        assert steps[1, layer]["audio"] == steps[1, layer]["multimodal"] == [0, 1, 2, 3, 6, 7]
        assert steps[1, layer]["face"] == [1, 2, 6, 7]
    assert table.groupby(LAYER)["attention_received"].sum().to_numpy() == pytest.approx(1, abs=1e-5)
    assert (table["attention_received"] > 0).all()
    branches = record.branches.set_index(["row", "branch"])
    assert branches["present"].tolist() == [True, True, False, False, True, True, True, True]
    assert branches["logit"].isna().equals(~branches["present"])


def test_sessions_of_one_step():
    table = record_attention(build_tiny(), *make_steps([1, 1])).attention
    assert len(table) == 2 * 3 * 6 * 2
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
    for (row, *_), steps in table[table["layer"] == 0].groupby(LAYER):
        assert steps["selected"].sum() == count_selected_queries(len(steps), sampling_factor=2), row
        left = steps["sparsity"][~steps["selected"]]
        assert left.empty or steps["sparsity"][steps["selected"]].min() >= left.max()


def test_shared_selection_is_that_of_the_multimodal_encoder():
    model = build_tiny()
    features, masks = make_steps([10, 4])
    masks["audio"][0, 2] = False
    table = record_attention(model, features, masks).attention
    main = table[table["encoder"] == "multimodal"]
    assert main[["shared_selected", "confidence"]].isna().all(axis=None)
    step_key = ["row", "stack", "layer", "head", "step"]
    for name in ("audio", "face"):
        both = table[table["encoder"] == name].merge(main, on=step_key, suffixes=("", "_main"))
        both = both[both["layer"] == 0]
        assert (both["shared_selected"] == both["selected_main"]).all()
        modality_rows = table[table["encoder"] == name]
        assert len(modality_rows[[*LAYER, "confidence"]].drop_duplicates()) == len(
            modality_rows[LAYER].drop_duplicates()
        )
        assert modality_rows["confidence"].between(0.01, 0.99).all()
    alone = record_attention(build_tiny(share_indices=False), features, masks).attention
    assert alone[["shared_selected", "confidence"]].isna().all(axis=None)


@torch.no_grad()
def test_confidence_and_gates_by_hand():
    model = build_tiny()
    for module in model.modules():
        if isinstance(module, AttentionSharing):
            module.confidence.weight.zero_()
            module.confidence.bias.copy_(torch.tensor([0.0, np.log(3)]))
    branches = model.fusion.branches
    model.fusion.fusion.gate_logit.copy_(torch.tensor([np.log(4), 0.0, -np.log(4), 9.0]))
    assert branches == ["multimodal", "audio", "face", "cross"]
    record = record_attention(model, *make_steps([5]))
    table = record.attention[record.attention["encoder"] != "multimodal"]
    by_head = table["head"].map({0: 0.5, 1: 0.75})
    assert table["confidence"].to_numpy() == pytest.approx(by_head.to_numpy(), abs=1e-6)
    gate = record.attention.groupby("encoder")["gate"].first()
    expected = {"multimodal": 0.8, "audio": 0.5, "face": 0.2}
    assert gate.to_dict() == pytest.approx(expected, abs=1e-6)
    assert record.branches["branch"].tolist() == branches
    # the branches add up to the prediction (all are present)
    fused = (record.branches["logit"] * record.branches["gate"]).sum()
    assert fused == pytest.approx(record.logits.item(), abs=1e-5)
    fixed = record_attention(build_tiny(fusion_weights="fixed"), *make_steps([5])).branches
    assert fixed["gate"].tolist() == pytest.approx([1, 0.1, 0.1, 0.1])


def test_one_modality_has_one_encoder():
    record = record_attention(build_tiny(("face",)), *make_steps([6], ("face",)))
    assert record.attention["encoder"].unique().tolist() == ["face"]
    assert record.branches["branch"].tolist() == ["face"]
    assert record.attention["confidence"].isna().all()


def test_attention_received_by_hand():
    k = torch.tensor([3.0, 1.0]).log().reshape(1, 1, 2, 1)
    q = torch.tensor([1.0, 0.0]).reshape(1, 1, 2, 1)  # reads .75, .25 and .5, .5
    mask = torch.ones(1, 2, dtype=torch.bool)
    for weight, expected in (([1, 0], [3 / 4, 1 / 4]), ([1, 0.5], [2 / 3, 1 / 3])):
        given = torch.tensor(weight).float().reshape(1, 1, 2)
        received = compute_attention_received(q, k, given, mask).flatten().tolist()
        assert received == pytest.approx(expected, abs=1e-6)
    mask[0, 0] = False
    received = compute_attention_received(q, k, given, mask).flatten().tolist()
    assert received == pytest.approx([0, 1], abs=1e-6)


def test_attention_received_in_several_parts():
    q, k = torch.randn(2, 1, 2, 300, 4, generator=torch.Generator().manual_seed(0))
    weight = torch.linspace(0.1, 1, 300).expand(1, 2, -1)
    read = (q @ k.transpose(-1, -2) / 2).softmax(-1)
    expected = (weight.unsqueeze(-1) * read).sum(2) / weight.sum(-1, keepdim=True)
    received = compute_attention_received(q, k, weight, torch.ones(1, 300, dtype=torch.bool))
    torch.testing.assert_close(received, expected)


@pytest.mark.parametrize(
    "changes", [{}, {"sampling_factor": 3}, {"sampling_factor": 100}, {"share_indices": False}]
)
@torch.no_grad()
def test_attention_received_explains_the_output(changes):
    """The sum of a layer's output over the present positions is a function of it.

    ``sum_q out = n mean(v) + W (received . v - mean(v))`` with W the sum of the weights.
    """
    model = build_tiny(**changes)
    features, masks = make_steps([24, 10, 24])
    masks["face"][2, ::3] = False  # the shared index selects some of these
    n_heads, outputs = FUSION["n_heads"], {}
    for encoder in ("multimodal", "face"):
        for stack, layer in TOKENS[0]:
            attention = get_layer(model, encoder, stack, layer).attention
            attention = getattr(attention, "attention", attention)
            key = (encoder, stack, layer)
            attention.project.register_forward_hook(
                lambda module, args, out, key=key: outputs.update({(*key, "v"): out})
            )
            attention.out.register_forward_hook(
                lambda module, args, out, key=key: outputs.update({(*key, "out"): args[0]})
            )
    table = record_attention(model, features, masks).attention
    table = table[table["encoder"] != "audio"]
    for (row, encoder, stack, layer, head), steps in table.groupby(LAYER):
        v = rearrange(
            outputs[encoder, stack, layer, "v"], "b l (n h d) -> n b h l d", n=3, h=n_heads
        )
        out = rearrange(outputs[encoder, stack, layer, "out"], "b l (h d) -> b h l d", h=n_heads)
        v, out = v[2, row, head], out[row, head]
        token = np.arange(len(steps)) // 2**layer
        if row == 2:
            if stack + layer > 0:
                continue  # tokens of missing steps have no row to take their share from
            token = steps["step"].to_numpy()
        steps = steps.assign(token=token)
        first = steps.drop_duplicates("token")
        a = first["confidence"].fillna(1)
        weight = (a * first["selected"] + (1 - a) * first["shared_selected"].fillna(False)).sum()
        received, present = torch.zeros(len(v)), torch.zeros(1, len(v), dtype=torch.bool)
        shares = steps.groupby("token")["attention_received"].sum()
        received[shares.index], present[0, shares.index] = torch.tensor(shares.to_numpy()), True
        mean = masked_mean(v[None], present)[0]
        expected = present.sum() * mean + weight * (received @ v - mean)
        torch.testing.assert_close(out[present[0]].sum(0), expected, rtol=1e-4, atol=1e-4)


def test_every_query_selection_is_recorded():
    model = build_tiny()
    table = record_attention(model, *make_steps([9])).attention
    layers = table[["encoder", "stack", "layer"]].drop_duplicates()
    assert len(layers) == sum(isinstance(m, QuerySelection) for m in model.modules())
    record = record_attention(build_tiny(kind="mean_pool"), *make_steps([9]))
    assert record.attention is None
    assert record.branches is None
