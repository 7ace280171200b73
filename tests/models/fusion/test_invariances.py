"""Published fusions: padding, batch, missing steps and modalities, gradients."""

import pytest
import torch
from model_builders import FUSIONS, ORDERLESS, parameters_without_gradient
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from depmm.models.fusion.build import build_fusion
from depmm.models.heads import build_head

KINDS = sorted(set(FUSIONS) - {"dep_former", "mean_pool"})
VARIANTS = {
    **{kind: {"kind": kind} for kind in KINDS},
    "last_step_convolved": {"kind": "cross_modal_transformer", "kernel_size": 3},
    "mean_over_steps": {"kind": "cross_modal_transformer", "pooling": "mean"},
    "modality_tokens": {"kind": "perceiver", "share_cross_attention": True},
}
IN_DIMS = {"audio": 5, "face": 7, "gait": 3}


def fusion(name: str, n_modalities: int = 2, **changes) -> nn.Module:
    torch.manual_seed(0)
    settings = {**FUSIONS[VARIANTS[name]["kind"]], **VARIANTS[name], **changes}
    dims = dict(list(IN_DIMS.items())[:n_modalities])
    return build_fusion(settings, dims, 1).eval()


def steps(batch: int, length: int, n_modalities: int = 2, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(batch, length, IN_DIMS[name], generator=generator)
        for name in list(IN_DIMS)[:n_modalities]
    }


def all_present(x: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.ones(value.shape[:2], dtype=torch.bool) for name, value in x.items()}


@pytest.mark.parametrize("n_modalities", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 2, 9])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_prediction_depends_on_its_own_session_only(name, length, n_modalities):
    model = fusion(name, n_modalities)
    x = steps(1, length, n_modalities)
    alone, branches = model(x, all_present(x), complete=True)
    masked, masked_branches = model(x, all_present(x))
    torch.testing.assert_close(masked, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(masked_branches, branches, rtol=1e-4, atol=1e-5)
    assert all(logits.shape == (1, 1) for logits in branches.values())
    # in a batch with longer and shorter sessions, with NaN as padding
    longest = length + 6
    others = steps(3, longest, n_modalities, seed=1)
    lengths = torch.tensor([longest, length, 1])
    masks = {n: torch.arange(longest) < lengths[:, None] for n in x}
    for n in x:
        others[n][1, :length] = x[n][0]
        others[n][1, length:] = torch.nan
        others[n][2, 1:] = torch.nan
    batched, batched_branches = model(others, masks)
    torch.testing.assert_close(batched[1:2], alone, rtol=1e-4, atol=1e-5)
    for n, logits in branches.items():
        torch.testing.assert_close(batched_branches[n][1:2], logits, rtol=1e-4, atol=1e-5)
    assert batched.isfinite().all()


@pytest.mark.parametrize("name", VARIANTS)
def test_order_of_modalities_does_not_matter(name):
    model = fusion(name, 3)
    x = steps(2, 4, 3)
    reordered = dict(reversed(x.items()))
    assert torch.equal(model(x, all_present(x))[0], model(reordered, all_present(reordered))[0])


@pytest.mark.parametrize("name", VARIANTS)
def test_values_at_missing_steps_and_modalities_have_no_influence(name):
    model = fusion(name, 3)
    x = steps(4, 6, 3)
    masks = all_present(x)
    masks["face"][0, 2] = masks["audio"][0, 4] = masks["face"][0, 4] = masks["gait"][0, 4] = False
    masks["audio"][1] = False
    masks["face"][2] = masks["gait"][2] = False
    outputs = []
    for value in (1e4, torch.nan):
        filled = {n: v.masked_fill(~masks[n].unsqueeze(-1), value) for n, v in x.items()}
        outputs.append(model(filled, masks)[0])
    assert torch.equal(*outputs)
    assert outputs[0].isfinite().all()
    # and none on gradients
    model.train()
    model(filled, masks)[0].square().sum().backward()
    assert parameters_without_gradient(model) == []
    assert all(p.grad.isfinite().all() for p in model.parameters())
    # a modality and a step that are present matter
    model.eval()
    for n in x:
        moved = {**x, n: x[n] + torch.linspace(0, 1, x[n].shape[2])}
        change = (model(moved, masks)[0] - model(x, masks)[0]).abs().flatten()
        assert (change[masks[n].any(1)] > 1e-6).all()
        assert (change[~masks[n].any(1)] == 0).all()


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - ORDERLESS))
def test_order_of_steps_matters(name):
    model = fusion(name)
    x = steps(2, 9)
    backward = {n: v.flip(1) for n, v in x.items()}
    difference = model(x, all_present(x))[0] - model(backward, all_present(x))[0]
    assert difference.abs().min() > 1e-5


@pytest.mark.parametrize("name", VARIANTS)
def test_tensors_without_values(name):
    with FakeTensorMode():
        model = fusion(name, 2).train()
        x = {n: torch.randn(3, 2, IN_DIMS[n]) for n in model.modalities}
        logits, _ = model(x, all_present(x))
        build_head("binary", "number", 0, 1).loss(logits, torch.zeros(3)).sum().backward()


@pytest.mark.parametrize("name", KINDS)
def test_trains_in_half_precision(name):
    model = fusion(name, 2).train()
    x = steps(3, 5)
    masks = all_present(x)
    masks["audio"][0, 1:] = masks["face"][1] = False
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(x, masks)[0].sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
