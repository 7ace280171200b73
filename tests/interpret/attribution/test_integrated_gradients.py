"""Integrated gradients against sums by hand, and the gap of sparse attention."""

import numpy as np
import pytest
import torch
from removal_models import (
    DEP_FORMER,
    get_values,
    kept_logit,
    sessions,
    tiny_model,
)

from depmm.interpret.attribution.integrated_gradients import compute_integrated_gradients
from depmm.interpret.attribution.removal import make_session_reference


@torch.no_grad()
def test_gap_is_due_to_the_selection_of_queries():
    x, masks = sessions([9, 6])
    gaps = {}
    for factor in (1, 50):  # 50: every query is selected, and the logit is smooth
        settings = {**DEP_FORMER, "layers": [2], "sampling_factor": factor}  # no max-pooling
        model = tiny_model(settings, center=True)
        for name, weight in model.named_parameters():
            if name.endswith(("attention.project.weight", "attention.out.weight")):
                weight *= 3  # attention that matters
        reference = make_session_reference(x, masks)
        table = compute_integrated_gradients(model, x, masks, reference, points=64)
        gaps[factor] = table.groupby("row")["integrated_gradients_gap"].first()
        for row, steps in ((0, 9), (1, 6)):
            full, empty = (
                kept_logit(model, x, masks, row, kept) for kept in (set(range(steps)), set())
            )
            gap = get_values(table, "integrated_gradients", row).sum() - (full - empty)
            assert gaps[factor][row] == pytest.approx(gap, abs=1e-5)
    assert gaps[50].abs().max() < 1e-3
    assert gaps[1].abs().min() > 3e-3


def test_values_by_hand():
    model = tiny_model(DEP_FORMER, center=True)
    x, masks = sessions([5])
    reference = make_session_reference(x, masks)
    table = compute_integrated_gradients(model, x, masks, reference, points=6)
    baseline = {name: value.mean(1, keepdim=True) for name, value in x.items()}
    total = dict.fromkeys(x, 0.0)
    for share in (np.arange(6) + 0.5) / 6:
        at = {
            name: (baseline[name] + float(share) * (x[name] - baseline[name])).requires_grad_()
            for name in x
        }
        model.fuse(at, masks)[0].sum().backward()
        for name in x:
            total[name] += ((x[name] - baseline[name]) * at[name].grad).sum(-1)[0].numpy() / 6
    for name in x:
        part = get_values(table, f"integrated_gradients_{name}")
        np.testing.assert_allclose(part, total[name], atol=1e-5)
    both = get_values(table, "integrated_gradients")
    np.testing.assert_allclose(both, total["audio"] + total["face"], atol=1e-5)
    assert all(
        p.grad is not None for p in model.fusion.adapter.parameters()
    )  # from backward() above
    model.zero_grad()
    compute_integrated_gradients(model, x, masks, reference, points=2)
    assert all(p.grad is None for p in model.parameters())
