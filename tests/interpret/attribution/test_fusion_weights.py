"""Recorded attention and gates of the fusion baselines: the forward pass and values by hand."""

import pytest
import torch
from attention_models import build_tiny, make_steps
from model_builders import FUSIONS

from depmm.interpret.attribution.attention import record_attention
from depmm.interpret.attribution.fusion_weights import record_weights
from depmm.schemas.explanations import ATTENTION, BRANCHES

KINDS = sorted(set(FUSIONS) - {"dep_former"})
KEY = ["row", "encoder", "block", "layer", "head"]


def build(kind: str, modalities: tuple[str, ...] = ("audio", "face")):
    return build_tiny(modalities, kind=kind, **FUSIONS[kind])


def steps():
    """Make three sessions; the second has no face, and the first lacks a step of audio."""
    features, masks = make_steps([5, 3, 1])
    masks["face"][1] = False
    masks["audio"][0, 2] = False
    return features, masks


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_forward_pass_is_bit_equal_and_hooks_are_removed(kind):
    """The same tensors in one process: the same kernels run with and without hooks."""
    model = build(kind)
    features, masks = steps()
    before, branch_logits = model.fuse(features, masks)
    record = record_attention(model, features, masks)
    assert torch.equal(record.logits, before)
    assert not [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert (record.attention is None) == (kind not in ("gru_attention", "cross_modal_transformer"))
    branches = record.branches
    assert list(branches["branch"])[: len(branch_logits)] == list(branch_logits)
    for name, logits in branch_logits.items():
        rows = branches[branches["branch"] == name]
        has_face = name != "face"
        assert rows["present"].tolist() == [True, has_face, True]
        assert rows["logit"].isna().tolist() == [False, not has_face, False]
        assert rows["logit"].iloc[0] == pytest.approx(logits[0].item(), abs=1e-6)


@pytest.mark.parametrize("kind", ["gru_attention", "cross_modal_transformer"])
@torch.no_grad()
def test_attention_sums_to_one_over_existing_steps(kind):
    features, masks = steps()
    table = record_weights(build(kind), features, masks).attention
    assert set(table.columns) <= {"row", *ATTENTION.names}
    sums = table.groupby(KEY)["attention_received"].sum()
    assert sums.to_numpy() == pytest.approx(1, abs=1e-5)
    own = table[table["encoder"] == "audio"]
    assert set(own.loc[own["row"] == 0, "step"]) == {0, 1, 3, 4}
    assert set(own.loc[own["row"] == 1, "step"]) == {0, 1, 2}
    assert set(table.loc[table["row"] == 1, "encoder"]) <= {"audio", "audio_to_face"}
    assert set(table.loc[table["row"] == 2, "attention_received"]) == {1.0}  # one step


@torch.no_grad()
def test_attention_of_the_gru_is_that_of_its_means():
    model = build("gru_attention", ("audio",))
    features, masks = make_steps([4], ("audio",))
    table = record_weights(model, features, masks).attention
    states = model.fusion.recurrences["audio"](features["audio"], None)
    weights = torch.tensor(table["attention_received"].to_numpy())
    logits, _ = model.fuse(features, masks)
    torch.testing.assert_close(model.fusion.output_layer(weights @ states[0]), logits[0])


@torch.no_grad()
def test_attention_of_the_transformer_by_hand():
    model = build("cross_modal_transformer")
    features, masks = make_steps([3])
    table = record_weights(model, features, masks).attention
    assert set(table["encoder"]) == {"audio", "face", "audio_to_face", "face_to_audio"}
    layer = model.fusion.cross["face"]["audio"].layers[0]
    seen = []
    handle = layer.attention.register_forward_pre_hook(
        lambda module, args, options: seen.append(args), with_kwargs=True
    )
    model.fuse(features, masks)
    handle.remove()
    query, key, _ = (x[0] for x in seen[0])
    weight_q, weight_k, _ = layer.attention.in_proj_weight.chunk(3)
    q, k = query @ weight_q.T, key @ weight_k.T
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        received = (q[:, part] @ k[:, part].T / 2).softmax(-1).mean(0)
        rows = table[(table["encoder"] == "audio_to_face") & (table["head"] == head)]
        assert rows["attention_received"].tolist() == pytest.approx(received.tolist(), abs=1e-5)


@torch.no_grad()
def test_gates_of_the_unit_are_averaged_over_existing_steps():
    model = build("gated_multimodal_unit")
    features, masks = steps()
    branches = record_weights(model, features, masks).branches
    assert set(branches.columns) - {"row"} <= set(BRANCHES.names)
    gates = branches.pivot_table(index="row", columns="branch", values="gate")
    assert gates.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert gates.loc[1].tolist() == pytest.approx([1, 0], abs=1e-6)
    x = {name: value[2:, :1] for name, value in features.items()}
    expected = model.fusion.unit(x, None)[1].mean((1, 3))[0]
    assert gates.loc[2].tolist() == pytest.approx(expected.tolist(), abs=1e-5)
