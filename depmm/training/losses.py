"""The loss of a batch: sessions weighted by class, and single steps where the model has a head."""

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from depmm.models.heads import Head
from depmm.models.model import DepressionOutput


def session_weights(labels: ArrayLike, balance: bool) -> np.ndarray:
    """Weight of each training session; with ``balance`` both classes weigh the same in total.

    Parameters
    ----------
    labels : 0 or 1 for classes; any other numbers (scores) weigh equally
    balance : whether to balance

    Returns
    -------
    float array, mean 1
    """
    values = np.asarray(labels, float)
    classes, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    if not balance or not set(classes) <= {0.0, 1.0}:
        return np.ones(len(values))
    return (len(values) / len(classes) / counts)[inverse]


def batch_loss(
    head: Head,
    output: DepressionOutput,
    target: Tensor,
    weight: Tensor,
    auxiliary_loss_weight: float,
) -> Tensor:
    """Weighted sum of the sessions' losses.

    Parameters
    ----------
    head : says what loss fits the target
    output : of the model
    target : Tensor[B]
    weight : Tensor[B], each session's share of the batch
    auxiliary_loss_weight : weight of the mean loss over a session's own steps, if the model
        predicts them
    """
    assert output.logits is not None
    assert output.step_mask is not None
    loss = head.loss(output.logits, target)
    if output.step_logits is not None and auxiliary_loss_weight > 0:
        mask = output.step_mask
        steps = head.loss(output.step_logits, target.unsqueeze(1).expand(mask.shape))
        # every session speaks with one voice, however many steps it has
        loss = loss + auxiliary_loss_weight * (steps * mask).sum(1) / mask.sum(1)
    return (loss * weight).sum()
