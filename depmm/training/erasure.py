"""Concept erasure at the end of a training."""

import logging

import numpy as np

from depmm.config import ConceptErasureConfig
from depmm.data.batch import evaluation_batches
from depmm.data.experiment_data import ExperimentData
from depmm.data.nuisance import encode_erased
from depmm.device import float32_precision
from depmm.models.erasure import apply_erasers, fit_erasers, read_layer_inputs
from depmm.models.model import DepressionModel

logger = logging.getLogger(__name__)


def erase_nuisance(
    model: DepressionModel,
    data: ExperimentData,
    settings: ConceptErasureConfig | None,
    batch_size: int,
) -> None:
    """Change the output layers so that they do not read nuisance variables linearly.

    Parameters
    ----------
    model : DepressionModel
        The trained model; it is in evaluation mode afterwards.
    data : ExperimentData
        Sessions of the experiment, of which the training sessions are used.
    settings : ConceptErasureConfig, optional
        The nuisance; None: nothing is done.
    batch_size : int
        Sessions per batch.

    Raises
    ------
    DataError
        As ``encode_erased``.
    """
    if settings is None:
        return
    labels, given = encode_erased(data.sessions, settings)
    sessions = sorted(data.indices("train"))
    device = next(model.fusion.parameters()).device
    model.eval()
    with float32_precision("highest", device):
        batches = evaluation_batches(data.dataset, sessions, batch_size, device)
        inputs = read_layer_inputs(model, batches)
    erasers = fit_erasers(
        inputs,
        [values[sessions] for values in labels],
        None if given is None else given[sessions],
    )
    apply_erasers(erasers)
    for eraser in erasers.values():
        logger.info(
            "erased %d of %d dimensions that an output layer reads",
            round(float(np.trace(eraser.projection))),
            len(eraser.mean),
        )
