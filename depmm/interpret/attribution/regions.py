"""Where in a face or a voice the evidence comes from: Grad-CAM, added up by region and by band.

A region of the face is known where landmarks are; crops that came aligned are cut into thirds. What
a place has is read against its ``area``, the share that an even map would have there: maps are as
coarse as the last convolution, and a small region beside a hot one gets some of its warmth.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import numpy as np
import pandas as pd
from torch import Tensor, nn

from depmm.config import SAMPLE_RATE
from depmm.interpret.attribution.face_regions import face_regions
from depmm.interpret.attribution.grad_cam import grad_cam
from depmm.models.encoders.encoder import Encoder
from depmm.models.model import DepressionModel

THIRDS = ("upper_third", "middle_third", "lower_third")  # of a crop: brows and eyes, nose, mouth
LIMITS_HZ = (0, 300, 1000, 3000, SAMPLE_RATE // 2)  # pitch, first formant, the next two, hiss
BANDS = tuple(f"{low}-{high}_hz" for low, high in pairwise(LIMITS_HZ))

Landmarks = Sequence[np.ndarray]  # of a session: one [T, 478, 2] a step


def attribute_regions(
    model: DepressionModel,
    inputs: dict[str, Tensor],
    landmarks: Sequence[Landmarks | None],
) -> pd.DataFrame:
    """MicroBatch the evidence for depression in each step out among the places of face and voice.

    Parameters
    ----------
    model : a trained model in evaluation mode
    inputs : as in ``DepressionModel.forward``, modalities as signals
    landmarks : of each row of the batch, as ``SessionDataset.landmarks`` gives them; None where a
        recording came aligned

    Returns
    -------
    one row a step and place: ``row`` (of the batch), ``step``, ``modality``, ``place`` (of
    ``REGIONS`` or ``THIRDS``; of ``BANDS``), ``share`` of the positive evidence of the step's maps
    (null where nothing in them speaks for depression), ``area`` and ``peak``, the largest value of
    the maps

    Raises
    ------
    ValueError : no encoder ends in convolutions over crops or spectrograms, or its modality is
        given embedded
    """
    shown = [name for name, encoder in model.encoders.items() if _rows(encoder)]
    if not shown:
        kinds = ", ".join(type(encoder).__name__ for encoder in model.encoders.values())
        raise ValueError(
            f"grad_cam: no encoder of this run ({kinds}) ends in convolutions over crops or "
            "spectrograms: leave grad_cam out of the methods"
        )
    return pd.concat([_of_modality(model, name, inputs, landmarks) for name in shown])


def _rows(encoder: nn.Module) -> str | None:
    """Meaning of the rows of an encoder's maps; None if they have no place in face or spectrum."""
    target = cast(Encoder, encoder).grad_cam_layer()
    return None if target is None or target.rows == "cepstrum" else target.rows


def _of_modality(
    model: DepressionModel,
    modality: str,
    inputs: dict[str, Tensor],
    landmarks: Sequence[Landmarks | None],
) -> pd.DataFrame:
    maps = grad_cam(model, modality, **inputs)
    rows = _rows(model.encoders[modality])
    parts = []
    for row in maps["row"].unique():
        own, of_session = maps[maps["row"] == row], landmarks[row]
        heatmaps = own["heatmap"].tolist()
        if rows == "frequency":
            shares = _in_bands(heatmaps)
        elif of_session is None:
            shares = _in_thirds(np.stack(heatmaps))
        else:
            crops = zip(own["step"], own["frame"], strict=True)
            points = np.stack([of_session[step][frame] for step, frame in crops])
            shares = face_regions(np.stack(heatmaps), points)
        mass = own["peak"].to_numpy() * [float(one.sum()) for one in heatmaps]
        keys = own[["row", "step", "peak"]].assign(mass=mass).reset_index(drop=True)
        parts.append(keys.loc[shares["number"]].reset_index(drop=True).join(shares))
    if not parts:
        return pd.DataFrame(columns=["row", "step", "modality", "region", "share", "area", "peak"])
    table = pd.concat(parts)
    # a crop counts by how much speaks for depression in it
    table["weighted"] = (table["share"] * table["mass"]).fillna(0.0)
    added = table.groupby(["row", "step", "region"], sort=False).agg(
        weighted=("weighted", "sum"),
        mass=("mass", "sum"),
        area=("area", "mean"),
        peak=("peak", "max"),
    )
    added["share"] = added["weighted"] / added["mass"].where(added["mass"] > 0)
    return added.reset_index().assign(modality=modality)[
        ["row", "step", "modality", "region", "share", "area", "peak"]
    ]


def _in_thirds(maps: np.ndarray) -> pd.DataFrame:
    """Shares of [N, height, width] in the thirds of its height."""
    third = np.arange(maps.shape[1]) * len(THIRDS) // maps.shape[1]
    return _in_rows(list(maps), third, THIRDS)


def _in_bands(maps: Sequence[np.ndarray]) -> pd.DataFrame:
    """Shares of spectrograms [F, T], each with its own number of frames, in bands."""
    hertz = np.linspace(0, LIMITS_HZ[-1], len(maps[0]))
    return _in_rows(maps, np.digitize(hertz, LIMITS_HZ[1:-1]), BANDS)


def _in_rows(maps: Sequence[np.ndarray], kind: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Shares of maps whose row ``r`` belongs to the place ``kind[r]``."""
    by_row = np.stack([one.sum(axis=1, dtype=float) for one in maps])
    mass = np.stack([by_row[:, kind == place].sum(axis=1) for place in range(len(names))], axis=1)
    total = mass.sum(axis=1, keepdims=True)
    share = np.divide(mass, total, out=np.full(mass.shape, np.nan), where=total > 0)
    area = np.bincount(kind, minlength=len(names)) / len(kind)
    return pd.DataFrame(
        {
            "number": np.repeat(np.arange(len(maps)), len(names)),
            "region": np.tile(names, len(maps)),
            "share": share.ravel(),
            "area": np.tile(area, len(maps)),
        }
    )
