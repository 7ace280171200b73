"""What a run cost: parameters of its network, and seconds of training."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from depmm.models.model import DepressionModel
from depmm.models.model_config import DepressionConfig
from depmm.models.saved import read_saved_config
from depmm.runs.folder import RunFolder


@dataclass(frozen=True)
class RunCost:
    """Size of the network of a run, and duration of its training.

    Attributes
    ----------
    parameters : int or None
        Number of parameters of one network; None without a network.
    trainable : int or None
        Number of those that training changes; the others belong to frozen networks.
    training_s : float or None
        Seconds of all epochs with their validation, mean over the trainings of a cross-validation;
        None if they were not recorded.
    trainings : int
        Number of trainings.
    """

    parameters: int | None
    trainable: int | None
    training_s: float | None
    trainings: int


def measure_cost(models: Sequence[RunFolder], history: pd.DataFrame | None) -> RunCost | None:
    """Count the parameters of the networks of a run and the seconds of their training.

    Parameters
    ----------
    models : sequence of RunFolder
        Folders of the trained networks, which have the same architecture.
    history : DataFrame or None
        Training curves, one row per epoch; see ``depmm.schemas.runs.HISTORY``.

    Returns
    -------
    RunCost or None
        None if nothing was recorded.

    Raises
    ------
    DamagedFileError
        If the config of the network cannot be used.
    """
    if not models and history is None:
        return None
    parameters = trainable = training_s = None
    if models:
        config = DepressionConfig.from_dict(read_saved_config(models[0].path))
        with torch.device("meta"):  # sizes only
            sizes = [(p.numel(), p.requires_grad) for p in DepressionModel(config).parameters()]
        parameters = sum(size for size, _ in sizes)
        trainable = sum(size for size, changes in sizes if changes)
    if history is not None:
        keys = [name for name in ("seed", "fold") if name in history]
        seconds = history.groupby(keys)["seconds"].sum() if keys else [history["seconds"].sum()]
        training_s = float(pd.Series(seconds).mean())
    return RunCost(parameters, trainable, training_s, max(1, len(models)))
