"""DEP-Former: a session's prediction depends on that session alone, at any length and padding."""

import pytest
import torch
from imitated_gpu import CudaAutocast
from torch.nn.functional import scaled_dot_product_attention

from depmm.config import DepFormerConfig, ModelConfig
from depmm.models.errors import ModelError
from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.dep_former.attention_sharing import AttentionSharing, SharedIndex
from depmm.models.fusion.dep_former.dep_former import BernoulliFusion, DepFormer
from depmm.models.fusion.dep_former.encoder import (
    CircularConvolution,
    SparseEncoder,
    Steps,
    count_tokens,
    sinusoidal_positions,
)
from depmm.models.fusion.dep_former.sparse_attention import (
    EXACT_KEYS,
    QuerySelection,
    SparseAttention,
    attend_selected,
    count_selected_queries,
)
from depmm.models.masking import masked_mean
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


def features(batch: int, length: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "audio": torch.randn(batch, length, 10, generator=generator),
        "face": torch.randn(batch, length, 14, generator=generator),
    }


def all_present(x: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: torch.ones(value.shape[:2], dtype=torch.bool) for name, value in x.items()}


@pytest.mark.parametrize("length", [1, 2, 7, 24, 72, 500])
def test_any_length_alone_in_a_batch_and_at_any_padding_gives_the_same(length):
    model = fusion()
    x = features(1, length)
    masks = all_present(x)
    alone, branches = model(x, masks)
    assert set(branches) == {"multimodal", "cross", "audio", "face"}
    torch.testing.assert_close(model(x, masks)[0], alone, rtol=0, atol=0)

    # in a batch with longer and shorter people, padded with garbage
    longest = length + 37
    others = features(4, longest, seed=1)
    lengths = [length, longest, 3, 1]
    masks = {n: torch.arange(longest) < torch.tensor(lengths)[:, None] for n in x}
    for name in x:
        others[name][0, :length] = x[name][0]
        others[name][2:, 5:] = float("nan")
    batched, _ = model(others, masks)
    torch.testing.assert_close(batched[:1], alone, rtol=1e-4, atol=1e-5)
    # and wherever the session stands in the batch
    turned, _ = model(
        {n: v.flip(0) for n, v in others.items()}, {n: m.flip(0) for n, m in masks.items()}
    )
    torch.testing.assert_close(turned.flip(0), batched, rtol=1e-4, atol=1e-5)


def test_other_people_do_not_move_a_prediction():
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


@pytest.mark.parametrize("changes", [{}, {"share_indices": False}, {"cross_attention": "none"}])
def test_every_parameter_receives_a_gradient(changes):
    model = fusion(**changes).train()
    x = features(6, 72)
    fused, _ = model(x, all_present(x))
    torch.nn.functional.binary_cross_entropy_with_logits(
        fused.squeeze(-1), torch.tensor([0.0, 1, 0, 1, 0, 1])
    ).backward()
    silent = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert not silent, f"no gradient reaches {silent}"


@pytest.mark.parametrize("some_missing", [False, True])
@pytest.mark.parametrize("length", [3, 24, 72, 140])
def test_trains_in_the_half_precision_of_a_gpu(length, some_missing):
    x = features(3, length)
    masks = all_present(x)
    if some_missing:
        masks["audio"][0, 1:], masks["face"][1], masks["face"][2, 1] = False, False, False
    model = fusion(dropout=0.0, fusion_weights="fixed").train()
    torch.manual_seed(1)  # of the sample of keys
    full, _ = model(x, masks)
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16), CudaAutocast():
        half, _ = model(x, masks)
    half.sum().backward()
    assert half.dtype == torch.float32  # fused unrounded
    assert (half - full).abs().max() < 0.05
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(grad.dtype == torch.float32 and grad.isfinite().all() for grad in grads)
    assert len(grads) > 0.9 * len(list(model.parameters()))


def test_missing_modality_of_a_session_is_as_if_it_was_never_there():
    model = fusion()
    x = features(3, 9)
    masks = all_present(x)
    masks["face"][1] = False
    fused, _ = model(x, masks)
    x["face"][1] = float("nan")
    torch.testing.assert_close(model(x, masks)[0], fused, rtol=1e-5, atol=1e-6)
    assert fused.isfinite().all()
    # the people who have both are untouched
    both, _ = model({n: v[[0, 2]] for n, v in x.items()}, {n: m[[0, 2]] for n, m in masks.items()})
    torch.testing.assert_close(fused[[0, 2]], both, rtol=1e-4, atol=1e-5)


def test_missing_modality_of_a_step_and_a_missing_step():
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
    # a step that lacks keeps its place: the session is not shortened by it
    model.eval()
    shorter = {n: torch.cat([v[:1, :7], v[:1, 8:]], 1) for n, v in x.items()}
    kept = {n: torch.cat([m[:1, :7], m[:1, 8:]], 1) for n, m in masks.items()}
    assert (model(x, masks)[0][0] - model(shorter, kept)[0][0]).abs().item() > 1e-6


def test_released_layout_gives_eighteen_tokens():
    encoder = SparseEncoder(12, 16, 2, 8, 16, [3, 2, 1], 5, 0.0, sharing=False)
    x = torch.randn(2, 24, 12)
    tokens = encoder(Steps(x, torch.ones(2, 24, dtype=torch.bool), torch.tensor([24, 24])))
    assert tokens.x.shape == (2, 18, 16)
    assert [[s.selected.shape[-1] for s in stack] for stack in tokens.shared] == [
        [24, 12, 6],
        [12, 6],
        [6],
    ]
    short = encoder(Steps(x, torch.arange(24) < torch.tensor([[24], [9]]), torch.tensor([24, 9])))
    assert short.mask.sum(1).tolist() == [18, 9]  # ceil(9 / 4) tokens from each of three stacks


# ---- a fixed list of steps ---------------------------------------------------------------------


@pytest.mark.parametrize("stacks", [[3, 2, 1], [1], [2, 2]])
@pytest.mark.parametrize("length", [1, 2, 5, 12, 24, 71])
def test_tokens_are_counted_as_they_come(length, stacks):
    encoder = SparseEncoder(6, 16, 2, 8, 16, stacks, 5, 0.0, sharing=False).eval()
    there = torch.ones(1, length, dtype=torch.bool)
    tokens = encoder(Steps(torch.randn(1, length, 6), there, torch.tensor([length])))
    assert tokens.x.shape[1] == count_tokens(length, stacks)


def test_places_are_read_side_by_side():
    model = fusion(fixed_steps=12)
    assert model.output_layers["face"].in_features == 9 * 16
    x = features(2, 12)
    masks = all_present(x)
    tokens = model._encode(model.adapter(x), masks)
    expected = model.output_layers["face"](tokens["face"].x.flatten(1))
    torch.testing.assert_close(model(x, masks)[1]["face"], expected)
    with torch.no_grad():  # equal weights of all places are the mean
        mean = fusion()
        mean.load_state_dict(
            {n: v for n, v in model.state_dict().items() if "output_layers" not in n}, strict=False
        )
        for name in model.branches:
            weight, bias = mean.output_layers[name].weight, mean.output_layers[name].bias
            model.output_layers[name].weight.copy_(weight.repeat(1, 9) / 9)
            model.output_layers[name].bias.copy_(bias)
    torch.testing.assert_close(model(x, masks)[0], mean(x, masks)[0])


def test_a_missing_step_moves_no_place():
    model = fusion(fixed_steps=12)
    x = features(1, 12)
    masks = all_present(x)
    seen: list[torch.Tensor] = []
    for name in model.encoders:  # the last stack reads places 9, 10 and 11, whatever lacks
        model.encoders[name].stacks[2].register_forward_pre_hook(
            lambda module, given: seen.append(given[0].lengths)
        )
    masks["audio"][0, 10:] = masks["face"][0, 10:] = False
    x["audio"][0, 10:] = float("nan")
    out, _ = model(x, masks)
    assert torch.isfinite(out).all()
    assert [length.item() for length in seen] == [3, 3, 3]
    x["audio"][0, 10:], x["face"][0, 10:] = 5.0, -5.0
    torch.testing.assert_close(model(x, masks)[0], out)


def test_another_number_of_steps_is_refused():
    model = fusion(fixed_steps=12)
    x = features(1, 11)
    with pytest.raises(ModelError) as info:
        model(x, all_present(x))
    assert info.value.setting == "model.fusion.fixed_steps"
    assert info.value.value == 11


def test_selection_equals_a_brute_force_loop():
    torch.manual_seed(0)
    q, k = torch.randn(2, 3, 40, 8), torch.randn(2, 3, 40, 8)
    mask = torch.ones(2, 40, dtype=torch.bool)
    mask[1, 29:] = False
    mask[1, 4] = False
    selected = QuerySelection(sampling_factor=2)(q, k, mask)
    for b in range(2):
        valid = mask[b].nonzero().flatten().tolist()
        for h in range(3):
            sparsity = {}
            for i in valid:
                scores = [float(q[b, h, i] @ k[b, h, j]) for j in valid]
                sparsity[i] = max(scores) - sum(scores) / len(scores)
            best = sorted(sparsity, key=sparsity.__getitem__, reverse=True)
            expected = sorted(best[: count_selected_queries(len(valid), 2)])
            assert selected[b, h].nonzero().flatten().tolist() == expected


def test_everybody_attends_only_where_no_session_has_to_choose():
    """With c = 6 a session of 18 or of 21 to 24 steps asks with all, one of 19 with 18 of them."""
    selection = QuerySelection(sampling_factor=6)
    for n in range(1, 25):
        mask = torch.arange(24) < torch.tensor([[24], [n]])
        assert selection.selects_all(mask) == (n not in (19, 20)), n
        assert selection.count(mask).tolist() == [24, min(n, count_selected_queries(n, 6))]
        chosen = selection(torch.randn(2, 2, 24, 4), torch.randn(2, 2, 24, 4), mask)
        assert chosen.sum(-1).tolist() == [[24, 24], [min(n, count_selected_queries(n, 6))] * 2]


@pytest.mark.parametrize("length", [10, 300])
def test_sparse_attention_with_all_queries_is_full_attention(length):
    torch.manual_seed(0)
    layer = SparseAttention(16, n_heads=2, head_dim=8, sampling_factor=length).eval()
    x = torch.randn(2, length, 16)
    mask = torch.arange(length) < torch.tensor([[length], [length - 4]])
    out, selected = layer(x, mask)
    assert (selected == mask[:, None]).all()
    q, k, v = layer.queries_keys_values(x)
    full = scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
    expected = layer.out(full.transpose(1, 2).flatten(2))
    torch.testing.assert_close(out[mask], expected[mask], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bound", [3, 20])
def test_gathered_and_dense_attention_agree(bound):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 2, 20, 4, requires_grad=True) for _ in range(3))
    mask = torch.ones(2, 20, dtype=torch.bool)
    mask[0, 15:] = False
    weight = torch.zeros(2, 2, 20)
    weight[..., 2], weight[..., 11] = 1.0, 0.25
    weight.requires_grad_()
    out = attend_selected(q, k, v, weight, mask, bound)
    for b in range(2):
        n = int(mask[b].sum())
        for h in range(2):
            full = torch.softmax(q[b, h] @ k[b, h, :n].T / 2, -1) @ v[b, h, :n]
            mean = v[b, h, :n].mean(0)
            torch.testing.assert_close(out[b, h, 2], full[2])
            torch.testing.assert_close(out[b, h, 11], 0.25 * full[11] + 0.75 * mean)
            torch.testing.assert_close(out[b, h, 0], mean)
    out.sum().backward()
    assert weight.grad is not None
    assert weight.grad[..., 11].abs().sum() > 0


def test_long_sessions_share_one_key_sample_random_only_in_training():
    selection = QuerySelection(sampling_factor=5)
    length = 4 * EXACT_KEYS
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, 100:] = False
    selection.eval()
    keys, counted = selection.sample_keys(mask)
    assert keys is not None
    assert counted.sum(1).tolist() == [35, 100]  # 5 ceil(ln 512), and exactly all of the short one
    assert keys[1, :100].tolist() == list(range(100))
    assert torch.equal(keys, selection.sample_keys(mask)[0])
    selection.train()
    torch.manual_seed(1)
    first = selection.sample_keys(mask)[0]
    assert first is not None
    assert not torch.equal(first[0, :35], keys[0, :35])
    torch.manual_seed(1)
    assert torch.equal(first, selection.sample_keys(mask)[0])
    assert first[0, :35].unique().numel() == 35


def test_confidence_mixes_own_and_shared_index():
    torch.manual_seed(0)
    layer = AttentionSharing(16, n_heads=2, head_dim=8, sampling_factor=1).eval()
    x, mask = torch.randn(3, 12, 16), torch.ones(3, 12, dtype=torch.bool)
    shared = SharedIndex(torch.zeros(3, 2, 12, dtype=torch.bool), torch.randn(3, 16))
    shared.selected[..., 5] = True
    own_only, own = layer.attention(x, mask)
    mixtures = []
    for bias in (30.0, -30.0, 0.0):
        torch.nn.init.zeros_(layer.confidence.weight)
        torch.nn.init.constant_(layer.confidence.bias, bias)
        mixtures.append(layer(x, mask, shared)[0])
    torch.testing.assert_close(mixtures[0], own_only)
    q, k, v = layer.attention.queries_keys_values(x)
    read = attend_selected(q, k, v, shared.selected.float(), mask, 1)
    torch.testing.assert_close(mixtures[1], layer.attention.out(read.transpose(1, 2).flatten(2)))
    torch.testing.assert_close(mixtures[2], (mixtures[0] + mixtures[1]) / 2)
    assert own.sum(-1).eq(count_selected_queries(12, 1)).all()


def test_bernoulli_fusion_expectation_and_samples():
    fuse = BernoulliFusion(["multimodal", "cross", "face", "audio"], learned=True)
    torch.nn.init.constant_(fuse.gate_logit, 0.7)
    logits = torch.tensor([[[1.0], [2.0], [3.0], [4.0]]])
    there = torch.ones(1, 4, dtype=torch.bool)
    p = torch.sigmoid(torch.tensor(0.7))
    fuse.eval()
    torch.testing.assert_close(fuse(logits, there), (10 * p).reshape(1, 1))
    draws = fuse.sample(logits, there, 4000, torch.Generator().manual_seed(0))
    assert draws.shape == (4000, 1, 1)
    assert abs(draws.mean().item() - 10 * p.item()) < 0.15
    # without its face branches the rest speaks with the same total weight
    there[0, 2] = False
    torch.testing.assert_close(fuse(logits, there), (7 * p * 4 / 3).reshape(1, 1))
    fixed = BernoulliFusion(["multimodal", "cross", "face", "audio"], learned=False)
    torch.testing.assert_close(fixed(logits, ~torch.zeros(1, 4).bool()), torch.tensor([[1.9]]))
    assert not list(fixed.parameters())


def test_circular_convolution_equals_pytorch():
    torch.manual_seed(0)
    ours = CircularConvolution(3, 5, bias=True)
    reference = torch.nn.Conv1d(3, 5, 3, padding=1, padding_mode="circular")
    kernel = ours.kernel.weight.reshape(5, 3, 3).transpose(1, 2)  # (out, tap, in) -> (out, in, tap)
    reference.weight.data, reference.bias.data = kernel, ours.kernel.bias.data
    x = torch.randn(2, 9, 3)
    mask = torch.arange(9) < torch.tensor([[9], [6]])
    out = ours(Steps(x, mask, torch.tensor([9, 6])))
    torch.testing.assert_close(out[0], reference(x[:1].transpose(1, 2))[0].T)
    torch.testing.assert_close(out[1, :6], reference(x[1:, :6].transpose(1, 2))[0].T)


def test_positions_and_means_by_hand():
    table = sinusoidal_positions(2, 4, torch.zeros(()))
    expected = torch.tensor([[0.0, 1, 0, 1], [0.84147, 0.54030, 0.0099998, 0.99995]])
    torch.testing.assert_close(table, expected, atol=1e-5, rtol=0)
    x = torch.tensor([[[1.0], [3.0], [float("inf")]]])
    assert masked_mean(x, torch.tensor([[True, True, False]])).item() == 2.0


# ---- the whole model on raw signals ----------------------------------------------------------

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


def whole(modalities: tuple[str, ...] = ("audio", "face"), **changes) -> DepressionModel:
    torch.manual_seed(0)
    encoders = {name: ENCODERS[name] for name in modalities}
    settings = {**SMALL, "sampling_factor": 1, **changes}
    return build_model(ModelConfig(encoders=encoders, fusion=settings, auxiliary_step_head=True))


def signals(batch: int, length: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "audio": torch.rand(batch, length, 4000, generator=generator) - 0.5,
        "audio_length": torch.full((batch, length), 4000),
        "face": torch.randint(0, 256, (batch, length, 2, 3, 16, 16), generator=generator).byte(),
        "face_length": torch.full((batch, length), 2),
    }


@pytest.mark.parametrize("modalities", [("audio",), ("face",), ("audio", "face")])
def test_saved_model_gives_equal_outputs(modalities, tmp_path):
    model = whole(modalities).eval()
    x = signals(2, 5)
    before = model(**x).prediction
    model.save_pretrained(tmp_path)
    loaded = DepressionModel.from_pretrained(tmp_path).eval()
    # a file's tensors lie at other addresses, where other kernels may run
    torch.testing.assert_close(loaded(**x).prediction, before, rtol=0, atol=5e-6)
    for (name, a), (_, b) in zip(
        model.state_dict().items(), loaded.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name
    assert not [p.name for p in tmp_path.iterdir() if p.suffix in (".bin", ".pkl", ".pt")]


def test_whole_model_padding_and_gradients():
    model = whole().eval()
    x = signals(2, 6)
    alone = model(**{n: v[:1] for n, v in x.items()}).prediction
    padded = signals(2, 9)
    padded["audio"] = torch.cat([padded["audio"], torch.zeros(2, 9, 1000)], -1)
    padded["audio"][0, :6, :4000] = x["audio"][0]
    padded["face"][0, :6] = x["face"][0]
    padded["audio"][0, :6, 4000:] = 0
    padded["audio_length"][0, 6:] = padded["face_length"][0, 6:] = 0
    torch.testing.assert_close(model(**padded).prediction[:1], alone, rtol=1e-4, atol=1e-5)
    model.train()
    out = model(**signals(3, 24))
    (out.logits.sum() + out.step_logits.square().sum()).backward()
    silent = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert not silent, f"no gradient reaches {silent}"


def test_sessions_without_any_signal_are_refused_by_name():
    x = signals(2, 3)
    x["audio_length"][1] = x["face_length"][1] = 0
    with pytest.raises(ModelError) as info:
        whole()(**x)
    assert info.value.value == [1]
    with pytest.raises(ModelError) as info:
        whole()(audio=x["audio"], audio_length=x["audio_length"])
    assert info.value.value == "face"
