"""Loss of a batch, with class weights and optional losses of single steps and branches."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from depmm.models.head import Head
from depmm.models.output import DepressionOutput


def compute_session_weights(
    labels: ArrayLike, balance: bool, corpora: ArrayLike | None = None
) -> np.ndarray:
    """Compute the weight of each training session.

    Parameters
    ----------
    labels : array_like, shape (N,)
        Classes 0 and 1; all weights are equal for other values (scores).
    balance : bool
        Whether both classes have the same total weight.
    corpora : array_like, shape (N,), optional
        Corpus of each session; both classes then have the same total weight in each corpus.

    Returns
    -------
    ndarray of float64, shape (N,)
        Weights with mean 1.
    """
    values = np.asarray(labels, float)
    if corpora is not None:
        weights = np.ones(len(values))
        for corpus in np.unique(corpora):
            rows = np.asarray(corpora) == corpus
            weights[rows] = compute_session_weights(values[rows], balance)
        return weights
    classes, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    if not balance or not set(classes) <= {0.0, 1.0}:
        return np.ones(len(values))
    weights = (len(values) / len(classes) / counts)[inverse]
    return weights


def compute_batch_loss(
    head: Head,
    output: DepressionOutput,
    target: Tensor,
    weight: Tensor,
    auxiliary_loss_weight: float,
    branch_loss_weight: float,
) -> Tensor:
    """Compute the weighted sum of the losses of the sessions.

    Parameters
    ----------
    head : Head
        The head of the model, which defines the loss.
    output : DepressionOutput
        Output of the model.
    target : Tensor, shape (B,)
        Classes or scores.
    weight : Tensor, shape (B,)
        Weight of each session in the batch.
    auxiliary_loss_weight : float
        Weight of the mean loss over the steps of a session, if the model predicts single steps.
    branch_loss_weight : float
        Weight of the mean loss over the branches of the fusion whose modalities the session has.

    Returns
    -------
    Tensor, shape ()
        The loss.
    """
    assert output.logits is not None
    assert output.step_mask is not None
    loss = head.loss(output.logits, target)
    if output.step_logits is not None and auxiliary_loss_weight > 0:
        mask = output.step_mask
        steps = head.loss(output.step_logits, target.unsqueeze(1).expand(mask.shape))
        # the mean over steps, so that the weight of a session does not depend on its length
        loss = loss + auxiliary_loss_weight * (steps * mask).sum(1) / mask.sum(1)
    if output.branch_logits is not None and branch_loss_weight > 0:
        branches = [head.loss(logits, target) for logits in output.branch_logits.values()]
        stacked = torch.stack(branches, dim=1)
        if output.branch_mask is None:
            mean = stacked.mean(dim=1)
        else:  # the logit of a missing modality depends on nothing but weights
            mean = (stacked * output.branch_mask).sum(1) / output.branch_mask.sum(1)
        loss = loss + branch_loss_weight * mean
    return (loss * weight).sum()
