"""Attribution to regions of the face and frequency bands of the voice, from Grad-CAM maps.

Regions of the face need landmarks; crops that were delivered aligned have none and are divided into
thirds. Compare the share of a region with its ``area``, the share of a uniform map: maps have the
resolution of the last convolution, and an active region also raises the share of its neighbours.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from depmm.config import SAMPLE_RATE
from depmm.inputs import Inputs
from depmm.interpret.attribution.face_regions import THIRDS, compute_region_shares
from depmm.interpret.attribution.grad_cam import compute_grad_cam
from depmm.interpret.errors import ExplanationError
from depmm.models.encoders.encoder import Encoder
from depmm.models.model import DepressionModel

LIMITS_HZ = (0, 300, 1000, 3000, SAMPLE_RATE // 2)  # pitch, formant 1, formants 2-3, fricatives
BANDS = tuple(f"{low}-{high}_hz" for low, high in pairwise(LIMITS_HZ))
COLUMNS = ["row", "step", "modality", "region", "share", "area", "peak"]

Array = NDArray[Any]
Landmarks = Sequence[Array]
"""Landmarks of a session: one array per step, shape (T, 478, 2)."""


def attribute_regions(
    model: DepressionModel,
    inputs: dict[str, Inputs],
    landmarks: Sequence[Landmarks | None],
) -> pd.DataFrame:
    """Compute the share of each region in the Grad-CAM maps of each step.

    Parameters
    ----------
    model : DepressionModel
        A trained model in evaluation mode.
    inputs : dict of str to Inputs
        As in ``DepressionModel.forward``, with the modalities as signals.
    landmarks : sequence of (sequence of ndarray or None)
        Landmarks of each row of the batch, from ``SessionDataset.landmarks``; None if the crops
        were delivered aligned.

    Returns
    -------
    DataFrame
        One row per step and region with the columns ``row`` (of the batch), ``step``,
        ``modality``, ``region`` (of ``REGIONS`` or ``THIRDS``, or of ``BANDS``), ``share`` (of the
        step's maps; NaN if no position raises the logit), ``area`` (share of a uniform map)
        and ``peak`` (largest value of the maps).

    Raises
    ------
    ExplanationError
        If no encoder ends in convolutions over crops or spectrograms, or its modality is embedded.
    """
    modalities = [name for name, encoder in model.encoders.items() if _get_rows(encoder)]
    if not modalities:
        kinds = ", ".join(type(encoder).__name__ for encoder in model.encoders.values())
        raise ExplanationError(
            f"Grad-CAM: no encoder of this run ({kinds}) ends in convolutions over crops or "
            "spectrograms.",
            setting="method",
            value="grad_cam",
            remedy="Leave grad_cam out of the methods.",
        )
    return pd.concat([_attribute(model, name, inputs, landmarks) for name in modalities])


def has_region_maps(model: DepressionModel) -> bool:
    """Check whether an encoder of a model ends in convolutions over face crops.

    Parameters
    ----------
    model : DepressionModel
        The model.

    Returns
    -------
    bool
        Whether Grad-CAM has maps of the face.
    """
    return any(_get_rows(encoder) == "pixels" for encoder in model.encoders.values())


def _get_rows(encoder: nn.Module) -> str | None:
    """Return the meaning of the rows of an encoder's maps; None if they are not regions."""
    layer = cast(Encoder, encoder).grad_cam_layer()
    return None if layer is None or layer.rows == "cepstrum" else layer.rows


def _attribute(
    model: DepressionModel,
    modality: str,
    inputs: dict[str, Inputs],
    landmarks: Sequence[Landmarks | None],
) -> pd.DataFrame:
    maps = compute_grad_cam(model, modality, inputs)
    rows = _get_rows(model.encoders[modality])
    parts = []
    for row in maps["row"].unique():
        session_maps, session_landmarks = maps[maps["row"] == row], landmarks[row]
        heatmaps = session_maps["heatmap"].tolist()
        if rows == "frequency":
            shares = _compute_band_shares(heatmaps)
        elif session_landmarks is None:
            shares = _compute_third_shares(np.stack(heatmaps))
        else:
            crops = zip(session_maps["step"], session_maps["frame"], strict=True)
            points = np.stack([session_landmarks[step][frame] for step, frame in crops])
            shares = compute_region_shares(np.stack(heatmaps), points)
        mass = session_maps["peak"].to_numpy() * [float(heatmap.sum()) for heatmap in heatmaps]
        keys = session_maps[["row", "step", "peak"]].assign(mass=mass).reset_index(drop=True)
        parts.append(keys.loc[shares["index"]].reset_index(drop=True).join(shares))
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat(parts)
    # a crop is weighted by the mass of its map
    table["weighted"] = (table["share"] * table["mass"]).fillna(0.0)
    sums = table.groupby(["row", "step", "region"], sort=False).agg(
        weighted=("weighted", "sum"),
        mass=("mass", "sum"),
        area=("area", "mean"),
        peak=("peak", "max"),
    )
    sums["share"] = sums["weighted"] / sums["mass"].where(sums["mass"] > 0)
    return pd.DataFrame(sums.reset_index().assign(modality=modality), columns=COLUMNS)


def _compute_third_shares(maps: Array) -> pd.DataFrame:
    """Compute the shares of the thirds of the height in maps (N, height, width)."""
    third = np.arange(maps.shape[1]) * len(THIRDS) // maps.shape[1]
    return _compute_row_shares(list(maps), third, THIRDS)


def _compute_band_shares(maps: Sequence[Array]) -> pd.DataFrame:
    """Compute the shares of frequency bands in maps of spectrograms (F, T); T may differ."""
    hertz = np.linspace(0, LIMITS_HZ[-1], len(maps[0]))
    return _compute_row_shares(maps, np.digitize(hertz, LIMITS_HZ[1:-1]), BANDS)


def _compute_row_shares(maps: Sequence[Array], region: Array, names: Sequence[str]) -> pd.DataFrame:
    """Compute the shares of regions in maps; row ``r`` is in the region ``names[region[r]]``."""
    by_row = np.stack([heatmap.sum(axis=1, dtype=float) for heatmap in maps])
    mass = np.stack([by_row[:, region == k].sum(axis=1) for k in range(len(names))], axis=1)
    total = mass.sum(axis=1, keepdims=True)
    share = np.divide(mass, total, out=np.full(mass.shape, np.nan), where=total > 0)
    area = np.bincount(region, minlength=len(names)) / len(region)
    return pd.DataFrame(
        {
            "index": np.repeat(np.arange(len(maps)), len(names)),
            "region": np.tile(names, len(maps)),
            "share": share.ravel(),
            "area": np.tile(area, len(maps)),
        }
    )
