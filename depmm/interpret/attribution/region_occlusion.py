"""Occlusion of regions of the face, for encoders with and without convolutions.

The pixels of a region are replaced by the mean colour of the crop, in all crops of one step, and
the change of the logit is the attribution of the region in that step. Unlike a Grad-CAM map it has
a sign and the unit of the logit, and it does not need convolutions. A flat patch is not a face
either: a network may react to its edges, so that small values should not be interpreted.

References
----------
Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, Sec. 4.2, who
occlude squares at every position.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from depmm.inputs import Inputs
from depmm.interpret.attribution.face_regions import REGIONS, THIRDS, label_regions
from depmm.interpret.attribution.regions import Landmarks
from depmm.interpret.attribution.removal import Reference, compute_kept_logits
from depmm.interpret.errors import ExplanationError
from depmm.models.encoders.encoder import Encoder, encode_present
from depmm.models.host import to_device
from depmm.models.model import DepressionModel

NONE = 255  # label of the padding
NO_KINDS = np.array([], dtype=str)


@torch.no_grad()
def occlude_regions(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    inputs: dict[str, Inputs],
    landmarks: Sequence[Landmarks | None],
) -> pd.DataFrame:
    """Compute the logit with each region of the face minus the logit without it.

    Parameters
    ----------
    model : DepressionModel
        A trained model in evaluation mode.
    features : dict of str to Tensor, shape (B, L, D)
        Encoded sessions, from ``DepressionModel.encode``.
    masks : dict of str to Tensor, shape (B, L)
        True where the modality of a step is present.
    inputs : dict of str to Inputs
        As in ``DepressionModel.forward``; crops as signals, not as embeddings.
    landmarks : sequence of (sequence of ndarray or None)
        Landmarks of each row of the batch, from ``SessionDataset.landmarks``; None if the crops
        were delivered aligned.

    Returns
    -------
    DataFrame
        One row per step and region with the columns ``row`` (of the batch), ``step``,
        ``modality``, ``region`` (of ``REGIONS`` or ``THIRDS``), ``occlusion`` (positive: the region
        raises the logit) and ``area`` (share of the pixels of the step's crops).

    Raises
    ------
    ExplanationError
        If no encoder reads crops, or their modality is embedded.
    """
    names = [name for name in model.encoders if _has_crops(inputs[name])]
    if not names:
        raise ExplanationError(
            "Occlusion of regions: no encoder of this run reads face crops as a signal.",
            setting="method",
            value="region_occlusion",
            remedy="Leave region_occlusion out of the methods.",
        )
    tables = [
        _occlude_modality(model, features, masks, inputs[name], name, landmarks) for name in names
    ]
    return pd.concat(tables).sort_values(["row", "step"], kind="stable", ignore_index=True)


def _occlude_modality(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    part: Inputs,
    name: str,
    landmarks: Sequence[Landmarks | None],
) -> pd.DataFrame:
    """Occlude each region of one modality, in one step of a session at a time."""
    labels = label_crops(part, landmarks)
    names = [THIRDS if session is None else REGIONS for session in landmarks]
    pixels = (labels != NONE).sum((2, 3, 4))
    tables = []
    for region in range(len(REGIONS)):
        inside = labels == region
        changed = _fill(part, inside)
        occluded = encode_present(
            cast(Encoder, model.encoders[name]), changed, features[name].device
        )
        has_region = np.array([[region < len(regions)] for regions in names])
        row, step = np.nonzero((part.lengths > 0) & has_region)
        kept = np.ones((len(row), part.lengths.shape[1]), bool)
        kept[np.arange(len(row)), step] = False
        logits = [
            compute_kept_logits(
                model, features, masks, Reference("region", values, NO_KINDS), row, kept, [name]
            )
            for values in (features, {name: occluded.to(features[name].dtype)})
        ]
        table = pd.DataFrame({"row": row, "step": step, "modality": name})
        table["region"] = [names[index][region] for index in row]
        table["occlusion"] = logits[0] - logits[1]
        table["area"] = inside.sum((2, 3, 4))[row, step] / pixels[row, step]
        tables.append(table)
    return pd.concat(tables)


def _has_crops(part: Inputs) -> bool:
    return not part.embedded and part.values.ndim == 6


def label_crops(part: Inputs, landmarks: Sequence[Landmarks | None]) -> NDArray[np.uint8]:
    """Label each pixel of each valid crop with its region.

    Parameters
    ----------
    part : Inputs
        Crops, values of shape (B, L, T, 3, height, width).
    landmarks : sequence of (sequence of ndarray or None)
        As in ``occlude_regions``.

    Returns
    -------
    ndarray of uint8, shape (B, L, T, height, width)
        Index in ``REGIONS``, or in ``THIRDS`` without landmarks; 255 in the padding.
    """
    height, width = part.values.shape[-2:]
    labels = np.full((*part.values.shape[:3], height, width), NONE, np.uint8)
    third = (np.arange(height) * len(THIRDS) // height)[:, None]
    for row, step in zip(*part.lengths.nonzero(), strict=True):
        session = landmarks[row]
        for frame in range(part.lengths[row, step]):
            if session is None:
                labels[row, step, frame] = third
                continue
            whole = label_regions(np.asarray(session[step][frame], dtype=float))
            y = (np.arange(height) * 2 + 1) * len(whole) // (2 * height)  # centres of the pixels
            x = (np.arange(width) * 2 + 1) * len(whole) // (2 * width)
            labels[row, step, frame] = whole[y[:, None], x]
    return labels


def _fill(part: Inputs, inside: NDArray[np.bool_]) -> Inputs:
    """Replace pixels (B, L, T, height, width) by the mean colour of their crop."""
    colour = part.values.float().mean(dim=(-2, -1), keepdim=True).round().to(part.values.dtype)
    mask = to_device(inside, part.values.device).unsqueeze(3)
    return replace(part, values=torch.where(mask, colour, part.values))
