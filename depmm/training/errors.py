"""Errors of training."""

from depmm.config import TrainingConfig
from depmm.errors import DepmmError


class TrainingError(DepmmError):
    """A training diverged."""


def propose_remedies(settings: TrainingConfig) -> str:
    """List what can make a training that diverged converge.

    Parameters
    ----------
    settings : TrainingConfig
        Settings of the training.

    Returns
    -------
    str
        A sentence.
    """
    remedies = ["Lower training.learning_rate"]
    if settings.max_grad_norm is None:
        remedies.append("clip the gradients (training.max_grad_norm, for example 1.0)")
    if settings.mixed_precision != "no":
        remedies.append("train without training.mixed_precision")
    return f"{', or '.join(remedies)}."
