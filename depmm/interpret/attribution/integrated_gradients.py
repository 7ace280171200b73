"""Integrated gradients of the logit over the step embeddings of a session.

References
----------
Sundararajan et al., "Axiomatic attribution for deep networks", ICML 2017.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from depmm.interpret.attribution.removal import (
    Array,
    Reference,
    compute_kept_logits,
    count_sessions_per_chunk,
    find_present_steps,
    list_sessions,
)
from depmm.models.model import DepressionModel

# points on the path (Sec. 5 of the paper: 20 to 300); on the demo, 512 do not change the gaps
POINTS = 32


def compute_integrated_gradients(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    reference: Reference,
    points: int = POINTS,
) -> pd.DataFrame:
    """Compute the integrated gradients of each step.

    The baseline is the session of which all steps are replaced by their reference. By completeness
    (Proposition 1 of the paper), the attributions sum to the logit minus that of the baseline.
    Sparse attention selects its queries by rank; the logit is therefore discontinuous along the
    path, and gradients do not include the jumps. The ``gap`` is the resulting deviation from
    completeness. It does not decrease with more points.

    Parameters
    ----------
    model : DepressionModel
        A trained model in evaluation mode.
    features : dict of str to Tensor, shape (B, L, D)
        Encoded sessions, from ``DepressionModel.encode``.
    masks : dict of str to Tensor, shape (B, L)
        True where the modality of a step is present.
    reference : Reference
        What replaces removed steps.
    points : int, default 32
        Number of points on the path.

    Returns
    -------
    DataFrame
        One row per step with the columns ``row`` (of the batch), ``step``,
        ``integrated_gradients`` (positive: the step raises the logit),
        ``integrated_gradients_<modality>`` (its parts; NaN if the modality is missing) and
        ``integrated_gradients_gap`` (sum over the session's steps minus the difference of the
        logits). Sessions with fewer than ``reference.min_steps`` steps have no rows.
    """
    rows = np.array([row for row, _ in list_sessions(masks, reference.min_steps)], dtype=int)
    present = find_present_steps(masks).cpu().numpy()[rows]
    parts = _integrate(model, features, masks, reference, rows, points)
    total = np.sum(list(parts.values()), axis=0)
    none = np.zeros_like(present)
    full, empty = (
        compute_kept_logits(model, features, masks, reference, rows, kept) for kept in (~none, none)
    )
    gap = total.sum(axis=1) - (full - empty)
    index, step = np.nonzero(present)
    table = pd.DataFrame(
        {"row": rows[index], "step": step, "integrated_gradients": total[index, step]}
    )
    for name, values in parts.items():
        has_modality = masks[name].cpu().numpy()[rows][index, step]
        column = np.where(has_modality, values[index, step], np.nan)
        table[f"integrated_gradients_{name}"] = column
    return table.assign(integrated_gradients_gap=gap[index])


def _integrate(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    reference: Reference,
    rows: NDArray[np.int64],
    points: int,
) -> dict[str, Array]:
    """Sum the attributions over the features of each step: modality -> (N, L), 0 if missing."""
    from captum.attr import IntegratedGradients

    names = list(features)
    length = next(iter(features.values())).shape[1]

    def compute_logit(*inputs: Tensor) -> Tensor:
        x = dict(zip(names, inputs[: len(names)], strict=True))
        output, _ = model.fuse(x, dict(zip(names, inputs[len(names) :], strict=True)))
        # captum raises an error for an input without effect, such as a modality that is missing
        return model.head.logit(output) + sum(0.0 * value.sum() for value in x.values())

    method = IntegratedGradients(compute_logit)
    size = count_sessions_per_chunk(features)
    sums = {name: [np.zeros((0, length))] for name in names}
    for start in range(0, len(rows), size):
        part = torch.from_numpy(rows[start : start + size]).to(features[names[0]].device)
        part_masks = [masks[name][part] for name in names]
        baselines = [reference.steps[name][part].detach() for name in names]
        # a missing step may be NaN; it is replaced by its baseline and its attribution is 0
        inputs = [
            torch.where(mask.unsqueeze(-1), features[name][part], baseline).detach()
            for name, mask, baseline in zip(names, part_masks, baselines, strict=True)
        ]
        attributions = method.attribute(
            tuple(inputs),
            tuple(baselines),
            additional_forward_args=tuple(part_masks),
            n_steps=points,
            method="riemann_middle",
            internal_batch_size=size,
        )
        for name, values in zip(names, attributions, strict=True):
            sums[name].append(values.detach().double().sum(dim=-1).cpu().numpy())
    return {name: np.concatenate(values) for name, values in sums.items()}
