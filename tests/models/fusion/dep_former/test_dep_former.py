"""DEP-Former: predictions do not depend on padding, batch or missing values; gradients."""

import numpy as np
import pytest
import torch
from imitated_gpu import CudaAutocast
from model_builders import parameters_without_gradient
from pydantic import ValidationError

from depmm.config import DepFormerConfig, ModelConfig
from depmm.inputs import Inputs
from depmm.models.errors import ModelError
from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.dep_former.attention_sharing import AttentionSharing
from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.model import DepressionModel, build_model

SMALL = {
    "kind": "dep_former",
    "adapter_hidden_dim": 24,
    "adapter_dim": 12,
    "embed_dim": 16,
    "n_heads": 2,
    "head_dim": 8,
    "ffn_dim": 16,
}


def fusion(**changes) -> DepFormer:
    torch.manual_seed(0)
    settings = DepFormerConfig(**{**SMALL, **changes})
    return build_fusion(settings.model_dump(), {"audio": 10, "face": 14}, 1).eval()


VARIANTS = [
    {},
    {"attention_sharing": "every_layer"},
    {"attention_sharing": "none", "adapter": False},
    {"cross_attention": []},
    {"multimodal_branch": False, "attention_sharing": "none"},
    {"fuse": "logits", "cross_attention": ["face", "audio"]},
    {"fusion_weights": "fixed"},
]


def features(batch: int, length: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "audio": torch.randn(batch, length, 10, generator=generator),
        "face": torch.randn(batch, length, 14, generator=generator),
    }


def all_present(x: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: torch.ones(value.shape[:2], dtype=torch.bool) for name, value in x.items()}


@pytest.mark.parametrize(
    ("length", "changes"),
    [(length, {}) for length in (1, 2, 7, 72, 500)] + [(24, changes) for changes in VARIANTS],
)
def test_predictions_do_not_depend_on_batch_padding_and_position(length, changes):
    model = fusion(**changes)
    x = features(1, length)
    masks = all_present(x)
    alone, branches = model(x, masks)
    assert list(branches) == model.branches
    torch.testing.assert_close(model(x, masks)[0], alone, rtol=0, atol=0)

    # in a batch with longer and shorter sessions, with arbitrary values and NaN as padding
    longest = length + 37
    others = features(4, longest, seed=1)
    lengths = [length, longest, 3, 1]
    masks = {n: torch.arange(longest) < torch.tensor(lengths)[:, None] for n in x}
    for name in x:
        others[name][0, :length] = x[name][0]
        others[name][2:, 5:] = float("nan")
    batched, _ = model(others, masks)
    torch.testing.assert_close(batched[:1], alone, rtol=1e-4, atol=1e-5)
    # and at any position in the batch
    flipped, _ = model(
        {n: v.flip(0) for n, v in others.items()}, {n: m.flip(0) for n, m in masks.items()}
    )
    torch.testing.assert_close(flipped.flip(0), batched, rtol=1e-4, atol=1e-5)


def test_other_sessions_do_not_change_a_prediction():
    model = fusion()
    x = features(3, 24)
    first = model(x, all_present(x))[0][0]
    for name in x:
        x[name][1:] *= 100
    torch.testing.assert_close(model(x, all_present(x))[0][0], first, rtol=1e-5, atol=1e-6)


def test_order_of_steps_matters():
    model = fusion()
    x = features(1, 12)
    forward, _ = model(x, all_present(x))
    backward, _ = model({n: v.flip(1) for n, v in x.items()}, all_present(x))
    assert (forward - backward).abs().item() > 1e-4


@pytest.mark.parametrize("num_steps", [None, 72])
@pytest.mark.parametrize("changes", VARIANTS)
def test_every_parameter_receives_a_gradient(changes, num_steps):
    model = fusion(**changes, num_steps=num_steps).train()
    x = features(6, 72)
    fused, _ = model(x, all_present(x))
    torch.nn.functional.binary_cross_entropy_with_logits(
        fused.squeeze(-1), torch.tensor([0.0, 1, 0, 1, 0, 1])
    ).backward()
    assert parameters_without_gradient(model) == []


@pytest.mark.parametrize("length", [1, 24, 72, 200])
@pytest.mark.parametrize("changes", [*VARIANTS, {"num_steps": "length"}, {"sampling_factor": 6}])
def test_complete_sessions_need_no_masks(changes, length):
    if "num_steps" in changes:
        changes = {"num_steps": length}
    model = fusion(**changes)
    x = features(3, length)
    fused, branches = model(x, all_present(x), complete=True)
    masked, masked_branches = model(x, all_present(x))
    torch.testing.assert_close(fused, masked, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(branches, masked_branches, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_three_modalities_have_a_gate_each_and_cross_attention_of_two():
    torch.manual_seed(0)
    dims = {"text": 8, "audio": 10, "gait": 6}
    settings = DepFormerConfig(**SMALL, cross_attention=["text", "gait"])
    model = build_fusion(settings.model_dump(), dims, 1).eval()
    assert model.encoder_order == ["multimodal", "audio", "gait", "text"]
    assert model.branches == [*model.encoder_order, "cross"]
    assert [model.encoders[name].sharing_unit is not None for name in model.encoder_order] == [
        False, True, True, True
    ]  # fmt: skip
    x = {name: torch.randn(3, 9, dim) for name, dim in dims.items()}
    masks = all_present(x)
    masks["gait"][1] = False
    masks["audio"][2] = masks["audio"][0, 4:] = False
    assert model.present_branches(masks).tolist() == [
        [True] * 5, [True, True, False, True, False], [True, False, True, True, True]
    ]  # fmt: skip
    fused, _ = model(x, masks)
    alone, _ = model({n: v[1:2] for n, v in x.items()}, {n: m[1:2] for n, m in masks.items()})
    torch.testing.assert_close(fused[1:2], alone, rtol=1e-4, atol=1e-5)
    x["gait"][1] = torch.nan
    x["audio"][2] = x["audio"][0, 4:] = torch.nan
    torch.testing.assert_close(model(x, masks)[0], fused, rtol=1e-5, atol=1e-6)
    fixed = build_fusion(
        DepFormerConfig(
            **SMALL, cross_attention=["text", "gait"], fusion_weights="fixed"
        ).model_dump(),
        dims,
        1,
    )
    assert fixed.fusion.probabilities().tolist() == pytest.approx([1.0, 0.1, 0.1, 0.1, 0.1])
    with pytest.raises(ModelError) as info:
        build_fusion(DepFormerConfig(**SMALL).model_dump(), dims, 1)
    assert info.value.setting == "model.fusion.cross_attention"


@torch.no_grad()
def test_streams_are_added_before_one_layer_predicts():
    model = fusion(num_steps=12)
    model.fusion.gate_logit.copy_(torch.tensor([1.0, -1.0, 0.5, 2.0]))
    x = features(3, 12)
    masks = all_present(x)
    masks["face"][1] = False
    streams: list[tuple[torch.Tensor, torch.Tensor]] = []
    model.fusion.register_forward_hook(lambda module, args, output: streams.append(args))
    fused, branches = model(x, masks)
    stacked, present = streams[0]
    assert stacked.shape == (3, 4, 3 * 16)  # 12 steps -> 6 -> 3 tokens
    assert present.tolist() == [[True] * 4, [True, True, False, False], [True] * 4]
    layer = model.output_layers["all"]
    p = torch.sigmoid(model.fusion.gate_logit)
    torch.testing.assert_close(fused[0], layer(p @ stacked[0]))
    scale = p.sum() / p[:2].sum()  # multimodal and audio
    torch.testing.assert_close(fused[1], layer(scale * p[:2] @ stacked[1, :2]))
    for index, name in enumerate(["multimodal", "audio", "face", "cross"]):
        torch.testing.assert_close(branches[name], layer(stacked[:, index]))
    # added logits of separate layers with equal weights differ by the bias only
    separate = fusion(num_steps=12, fuse="logits")
    separate.load_state_dict(
        {n: v for n, v in model.state_dict().items() if "output" not in n}, strict=False
    )
    for output in separate.output_layers.values():
        output.load_state_dict(layer.state_dict())
    difference = separate(x, masks)[0] - fused
    torch.testing.assert_close(difference, (layer.bias * (p.sum() - 1)).expand(3, 1))


@torch.no_grad()
def test_logits_are_added_whatever_the_names_of_the_modalities():
    torch.manual_seed(0)
    settings = DepFormerConfig(**SMALL, cross_attention=["audio", "all"], fuse="logits")
    model = build_fusion(settings.model_dump(), {"audio": 10, "all": 14}, 1).eval()
    x = {"audio": torch.randn(2, 5, 10), "all": torch.randn(2, 5, 14)}
    fused, branches = model(x, all_present(x))
    torch.testing.assert_close(fused, 0.5 * sum(branches.values()))  # all gates are 0.5


@torch.no_grad()
def test_without_the_multimodal_branch_nothing_is_shared():
    model = fusion(multimodal_branch=False, attention_sharing="none")
    assert model.branches == ["audio", "face", "cross"]
    assert list(model.encoders) == ["audio", "face"]
    assert not [m for m in model.modules() if isinstance(m, AttentionSharing)]
    x = features(2, 12)
    read = []
    model.cross.register_forward_hook(lambda module, args, output: read.append(args))
    model(x, all_present(x))
    query, key, value, _ = read[0]
    tokens = model._encode(model.adapter(x), all_present(x))
    torch.testing.assert_close(query, tokens["audio"].steps.x)
    torch.testing.assert_close(key, tokens["face"].steps.x)
    assert torch.equal(value, key)
    with pytest.raises(ValidationError, match="attention_sharing"):
        fusion(multimodal_branch=False)


@pytest.mark.parametrize("fuse", ["features", "logits"])
def test_one_modality_has_one_branch_without_weight(fuse):
    settings = DepFormerConfig(**SMALL, fuse=fuse)
    model = build_fusion(settings.model_dump(), {"audio": 10}, 1).train()
    assert model.fusion is None
    assert list(model.encoders) == model.branches == ["audio"]
    x = {"audio": features(4, 30)["audio"]}
    fused, branches = model(x, all_present(x), complete=True)
    assert torch.equal(fused, branches["audio"])
    fused.sum().backward()
    assert parameters_without_gradient(model) == []


@pytest.mark.parametrize("some_missing", [False, True])
@pytest.mark.parametrize("length", [3, 24, 72, 140])
def test_trains_in_the_half_precision_of_a_gpu(length, some_missing):
    x = features(3, length)
    masks = all_present(x)
    if some_missing:
        masks["audio"][0, 1:], masks["face"][1], masks["face"][2, 1] = False, False, False
    model = fusion(dropout=0.0, fusion_weights="fixed").train()
    torch.manual_seed(1)  # seed of the sample of keys
    full, _ = model(x, masks)
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16), CudaAutocast():
        half, _ = model(x, masks)
    half.sum().backward()
    assert half.dtype == torch.float32  # branches are added in float32
    assert (half - full).abs().max() < 0.05
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(grad.dtype == torch.float32 and grad.isfinite().all() for grad in grads)
    assert len(grads) > 0.9 * len(list(model.parameters()))


def test_values_of_a_missing_modality_have_no_influence():
    model = fusion()
    x = features(3, 9)
    masks = all_present(x)
    masks["face"][1] = False
    fused, _ = model(x, masks)
    x["face"][1] = float("nan")
    torch.testing.assert_close(model(x, masks)[0], fused, rtol=1e-5, atol=1e-6)
    assert fused.isfinite().all()
    # the other sessions are unchanged
    both, _ = model({n: v[[0, 2]] for n, v in x.items()}, {n: m[[0, 2]] for n, m in masks.items()})
    torch.testing.assert_close(fused[[0, 2]], both, rtol=1e-4, atol=1e-5)


def test_missing_steps_and_missing_modalities_of_steps():
    model = fusion().train()
    x = features(2, 10)
    masks = all_present(x)
    masks["face"][0, 3] = False
    masks["audio"][0, 7] = masks["face"][0, 7] = False
    for name in x:
        x[name] = x[name].masked_fill(~masks[name].unsqueeze(-1), float("nan"))
    fused, _ = model(x, masks)
    fused.sum().backward()
    assert fused.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    # a missing step keeps its position, in contrast to a session without this step
    model.eval()
    shorter = {n: torch.cat([v[:1, :7], v[:1, 8:]], 1) for n, v in x.items()}
    shorter_masks = {n: torch.cat([m[:1, :7], m[:1, 8:]], 1) for n, m in masks.items()}
    assert (model(x, masks)[0][0] - model(shorter, shorter_masks)[0][0]).abs().item() > 1e-6


def test_tokens_of_num_steps_are_concatenated():
    model = fusion(num_steps=12, fuse="logits")
    assert model.output_layers["face"].in_features == 3 * 16
    x = features(2, 12)
    masks = all_present(x)
    tokens = model._encode(model.adapter(x), masks)
    expected = model.output_layers["face"](tokens["face"].steps.x.flatten(1))
    torch.testing.assert_close(model(x, masks)[1]["face"], expected)
    with torch.no_grad():  # equal weights of all positions give the mean
        mean = fusion(fuse="logits")
        mean.load_state_dict(
            {n: v for n, v in model.state_dict().items() if "output_layers" not in n}, strict=False
        )
        for name in model.branches:
            weight, bias = mean.output_layers[name].weight, mean.output_layers[name].bias
            model.output_layers[name].weight.copy_(weight.repeat(1, 3) / 3)
            model.output_layers[name].bias.copy_(bias)
    torch.testing.assert_close(model(x, masks)[0], mean(x, masks)[0])


def test_a_missing_step_does_not_shift_positions():
    model = fusion(num_steps=12)
    x = features(1, 12)
    masks = all_present(x)
    masks["audio"][0, 10:] = masks["face"][0, 10:] = False
    x["audio"][0, 10:] = float("nan")
    out, _ = model(x, masks)
    assert torch.isfinite(out).all()
    x["audio"][0, 10:], x["face"][0, 10:] = 5.0, -5.0
    torch.testing.assert_close(model(x, masks)[0], out)
    # the last token exists if one of steps 5 to 11 does, and stays at its position
    for end, expected in ((6, [True, True, True]), (5, [True, True, False])):
        masks["audio"][0, end:] = masks["face"][0, end:] = False
        assert model._encode(model.adapter(x), masks)["audio"].steps.mask.tolist() == [expected]


def test_another_number_of_steps_is_refused():
    model = fusion(num_steps=12)
    x = features(1, 11)
    with pytest.raises(ModelError) as info:
        model(x, all_present(x))
    assert info.value.setting == "model.fusion.num_steps"
    assert info.value.value == 11


ENCODERS = {
    "audio": {"kind": "mfcc_cnn", "channels": [8], "embed_dim": 12},
    "face": {
        "kind": "se_resnet",
        "blocks": [1, 1],
        "channels": [16, 16],
        "reduction": 2,
        "embed_dim": 10,
    },
}


def small_model() -> DepressionModel:
    torch.manual_seed(0)
    settings = {**SMALL, "sampling_factor": 1}
    return build_model(ModelConfig(encoders=ENCODERS, fusion=settings, auxiliary_step_head=True))


def signals(batch: int, length: int) -> dict[str, Inputs]:
    generator = torch.Generator().manual_seed(0)
    audio = torch.rand(batch, length, 4000, generator=generator) - 0.5
    face = torch.randint(0, 256, (batch, length, 2, 3, 16, 16), generator=generator).byte()
    return {
        "audio": Inputs(audio, np.full((batch, length), 4000)),
        "face": Inputs(face, np.full((batch, length), 2)),
    }


def test_padding_and_gradients_of_the_model_with_encoders():
    model = small_model().eval()
    x = signals(2, 6)
    alone = model({n: Inputs(v.values[:1], v.lengths[:1]) for n, v in x.items()}).prediction
    padded = signals(2, 9)
    longer = torch.cat([padded["audio"].values, torch.zeros(2, 9, 1000)], -1)
    padded["audio"] = Inputs(longer, padded["audio"].lengths)
    for name, part in padded.items():
        part.lengths[0, 6:] = 0
        part.values[0, :6] = 0
        part.values[0, :6, : x[name].values.shape[2]] = x[name].values[0]
    torch.testing.assert_close(model(padded).prediction[:1], alone, rtol=1e-4, atol=1e-5)
    model.train()
    out = model(signals(3, 24))
    (out.logits.sum() + out.step_logits.square().sum()).backward()
    assert parameters_without_gradient(model) == []
