"""Which regions of the face raise the output of the models of a run, for one recording."""

from collections.abc import Iterable

import pandas as pd

from depmm.data.batch import evaluation_batches
from depmm.data.dataset import SessionDataset
from depmm.device import float32_precision
from depmm.interpret.attribution.face_regions import REGIONS, THIRDS
from depmm.interpret.attribution.regions import attribute_regions, has_region_maps
from depmm.models.model import DepressionModel


def measure_regions(
    inputs_of_models: Iterable[tuple[DepressionModel, SessionDataset]],
) -> pd.DataFrame | None:
    """Compute the mean share of each region of the face in the Grad-CAM maps of a recording.

    Grad-CAM needs one forward pass and the gradient of the last convolution per model, in contrast
    to the occlusion of regions, which encodes all crops once for every region.

    Parameters
    ----------
    inputs_of_models : iterable of tuple of (DepressionModel, SessionDataset)
        Each model, in evaluation mode, and the recording as its only session.

    Returns
    -------
    DataFrame or None
        One row per region (``REGIONS``, or ``THIRDS`` of crops without landmarks) with ``region``,
        ``share`` and ``area``, means over steps and models; each share is weighted by the peak of
        the maps of its step.
        None if no encoder ends in convolutions over crops, or no crop raises the output.
    """
    tables = []
    for model, dataset in inputs_of_models:
        if not has_region_maps(model):
            return None
        device = next(model.parameters()).device
        _, inputs = next(evaluation_batches(dataset, [0], 1, device))
        with float32_precision("highest", device):
            table = attribute_regions(model, inputs, [dataset.landmarks(0)])
        tables.append(table[table["region"].isin([*REGIONS, *THIRDS])])
    if not tables:
        return None
    table = pd.concat(tables)
    table = table[table["share"].notna() & (table["peak"] > 0)]
    if table.empty:
        return None
    # a step whose maps hardly raise the output counts little
    table["weighted"] = table["share"] * table["peak"]
    sums = table.groupby("region", sort=False).agg(
        weighted=("weighted", "sum"), peak=("peak", "sum"), area=("area", "mean")
    )
    sums["share"] = sums["weighted"] / sums["peak"]
    return pd.DataFrame(sums.reset_index()[["region", "share", "area"]])
