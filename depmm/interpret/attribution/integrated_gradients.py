"""Integrated gradients of the evidence over step embeddings (Sundararajan et al., ICML 2017)."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from depmm.interpret.attribution.removal import (
    explained_sessions,
    kept_logits,
    passes_at_once,
    present_steps,
)
from depmm.models.masking import masked_mean
from depmm.models.model import DepressionModel

# midpoints of equal parts of the path (Sec. 5 of the paper: 20 to 300); of the demo 512 move no gap
POINTS = 32


def integrated_gradients(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    points: int = POINTS,
) -> pd.DataFrame:
    """Attribute to each step what the evidence gains on the way from usual steps to what was read.

    The baseline has the session's mean step everywhere, as a session has whose steps are all
    removed (``removal``). Completeness (Prop. 1 of the paper) promises that the steps sum to the
    evidence minus that of the baseline. Sparse attention selects its queries by rank, so the
    evidence jumps along the path, and gradients do not see a jump: the ``gap`` says how much of the
    difference they miss. What jumps leave does not shrink with more points.

    Parameters
    ----------
    model : a trained model in evaluation mode
    features, masks : encoded sessions, from ``DepressionModel.encode``
    points : on the path

    Returns
    -------
    columns ``row`` (of the batch), ``step``, ``integrated_gradients`` (positive: the step speaks
    for depression), ``integrated_gradients_<modality>`` (its parts; null where absent) and ``gap``
    (sum over the session's steps minus the difference that they should explain); the only step of a
    session has no row
    """
    sessions = explained_sessions(masks)
    rows = np.array([row for row, _ in sessions], dtype=int)
    there = present_steps(masks).cpu().numpy()[rows]
    parts = {
        name: values[rows]
        for name, values in _path_integral(model, features, masks, rows, points).items()
    }
    total = np.sum(list(parts.values()), axis=0)
    none = np.zeros_like(there)
    ends = [kept_logits(model, features, masks, rows, kept) for kept in (~none, none)]
    gap = total.sum(axis=1) - (ends[0] - ends[1])
    place, step = np.nonzero(there)
    table = pd.DataFrame(
        {"row": rows[place], "step": step, "integrated_gradients": total[place, step]}
    )
    for name, values in parts.items():
        present = masks[name].cpu().numpy()[rows][place, step]
        table[f"integrated_gradients_{name}"] = np.where(present, values[place, step], np.nan)
    return table.assign(gap=gap[place])


def _path_integral(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    rows: np.ndarray,
    points: int,
) -> dict[str, np.ndarray]:
    """Sum gradients along the path times the way: modality -> float64[B, L], zero where absent."""
    device = next(iter(features.values())).device
    usual = {name: masked_mean(x, masks[name]).unsqueeze(1) for name, x in features.items()}
    # where, not a product: what stands at a missing step may be nan
    way = {
        name: torch.where(masks[name].unsqueeze(-1), x - usual[name], x.new_zeros(())).detach()
        for name, x in features.items()
    }
    mean = {name: torch.zeros(x.shape, dtype=torch.float64) for name, x in features.items()}
    of = torch.from_numpy(rows).to(device).repeat_interleave(points)
    share = ((torch.arange(points, device=device) + 0.5) / points).repeat(len(rows))
    size = passes_at_once(features)
    for start in range(0, len(of), size):
        row, alpha = of[start : start + size], share[start : start + size, None, None]
        with torch.enable_grad():
            on_path = {
                name: (usual[name][row] + alpha * way[name][row]).detach().requires_grad_()
                for name in features
            }
            logits, _ = model.fuse(on_path, {name: mask[row] for name, mask in masks.items()})
            gradients = torch.autograd.grad(
                model.head.logit(logits).sum(), list(on_path.values()), allow_unused=True
            )
        for name, gradient in zip(on_path, gradients, strict=True):
            if gradient is not None:  # a modality that nobody here has
                mean[name].index_add_(0, row.cpu(), gradient.double().cpu() / points)
    return {name: (mean[name] * way[name].double().cpu()).sum(-1).numpy() for name in features}
