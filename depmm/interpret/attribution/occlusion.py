"""Occlusion: the change of the logit if a step, or all steps, are replaced by the reference."""

import numpy as np
import pandas as pd
from torch import Tensor

from depmm.interpret.attribution.removal import (
    Reference,
    compute_kept_logits,
    find_present_steps,
    list_sessions,
)
from depmm.models.model import DepressionModel


def occlude_steps(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    reference: Reference,
) -> pd.DataFrame:
    """Compute the logit with each step minus the logit with its reference in its place.

    Only the fusion is run again for every step.

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

    Returns
    -------
    DataFrame
        One row per step with the columns ``row`` (of the batch), ``step``, ``occlusion`` (positive:
        the step raises the logit) and ``occlusion_<modality>`` (that modality alone is replaced;
        NaN if it is missing). With the mean of the session as reference, a session with a single
        step has no rows, and a modality that a single step has no value.
    """
    present = find_present_steps(masks).cpu().numpy()
    row, step = np.nonzero(present)
    kept = np.ones((len(row), present.shape[1]), bool)
    kept[np.arange(len(row)), step] = False
    everything = np.ones(present.shape, bool)
    full = compute_kept_logits(
        model, features, masks, reference, np.arange(len(present)), everything
    )
    table = {"row": row, "step": step}
    for column, names in list_parts("occlusion", masks).items():
        changed = compute_kept_logits(model, features, masks, reference, row, kept, names)
        replaceable = [reference.find_replaceable(masks[name]).cpu().numpy() for name in names]
        has_value = np.any(replaceable, axis=0)[row, step]
        table[column] = np.where(has_value, full[row] - changed, np.nan)
    if len(masks) == 1:
        table[f"occlusion_{next(iter(masks))}"] = table["occlusion"]
    return pd.DataFrame(table).dropna(subset="occlusion", ignore_index=True)


def remove_all_steps(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    reference: Reference,
) -> pd.DataFrame:
    """Compute the logit of each session minus the logit with all of its steps removed.

    With a reference outside the session, this is the attribution of everything that distinguishes
    the session from it, including what is common to all of its steps. Shapley values and integrated
    gradients of the steps sum to it.

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

    Returns
    -------
    DataFrame
        One row per session with at least ``reference.min_steps`` steps: ``row`` (of the batch),
        ``reference`` (its name), ``logit``, ``reference_logit``, ``all_steps`` (their difference)
        and ``all_steps_<modality>`` (that modality alone is removed; NaN if it is missing).
    """
    row = np.array([row for row, _ in list_sessions(masks, reference.min_steps)], dtype=int)
    none = np.zeros((len(row), next(iter(masks.values())).shape[1]), bool)
    logit = compute_kept_logits(model, features, masks, reference, row, ~none)
    table = {"row": row, "reference": reference.name, "logit": logit}
    for column, names in list_parts("all_steps", masks).items():
        removed = compute_kept_logits(model, features, masks, reference, row, none, names)
        table.setdefault("reference_logit", removed)  # of the first column: all modalities
        present = np.any([masks[name].any(dim=1).cpu().numpy() for name in names], axis=0)[row]
        table[column] = np.where(present, logit - removed, np.nan)
    if len(masks) == 1:
        table[f"all_steps_{next(iter(masks))}"] = table["all_steps"]
    return pd.DataFrame(table)


def list_parts(name: str, masks: dict[str, Tensor]) -> dict[str, list[str]]:
    """List the columns of an attribution, with the modalities that each of them removes.

    Parameters
    ----------
    name : str
        Name of the attribution.
    masks : dict of str to Tensor, shape (B, L)
        Masks of the modalities.

    Returns
    -------
    dict of str to list of str
        ``name``, for all modalities; with several, also ``<name>_<modality>``.
    """
    parts = {name: list(masks)}
    if len(masks) > 1:
        parts |= {f"{name}_{modality}": [modality] for modality in masks}
    return parts
