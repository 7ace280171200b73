"""Logits of sessions with changed or removed steps, for the removal-based methods.

A session without a step would be shorter, and the stacks of the encoders would read other last
steps. A removed step is therefore replaced by a reference, in each modality. The reference of a
step is fixed: it does not depend on which steps are removed, so that a step that the model does not
read has no attribution.

``training`` : the mean of the same word over the training subjects of the model
(``depmm.runs.step_reference``). Attributions are comparable between subjects.

``session`` : the mean of the steps of the session. Attributions are relative to the other steps of
the same subject: what is common to all steps does not appear in them, and a difference in some
words appears, with the opposite sign, in all others.

References
----------
Covert et al., "Explaining by removing: a unified framework for model explanation", JMLR 22(209),
2021, Sec. 4, lists the choices of a replacement; ``occlusion.occlude_steps`` removes single steps.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depmm.interpret.attribution.methods import SESSION
from depmm.models.masking import masked_mean
from depmm.models.model import DepressionModel
from depmm.schemas.explanations import SESSION_MEAN

Array = NDArray[np.float64]
# values of step features, or of activations of the fusion, in one pass: 64 MiB in float32
VALUES_PER_CHUNK = 2**24
FUSION_VALUES = 1024  # approximate number of activations of a fusion per step

Change = Callable[[str, Tensor, Tensor, slice], Tensor]
"""Function that changes copies of sessions: (modality, features, mask, slice) -> features."""


@dataclass(frozen=True)
class Reference:
    """The steps that replace removed steps in a batch of sessions.

    Attributes
    ----------
    name : {"session", "training"}
        Where they come from.
    steps : dict of str to Tensor, shape (B, L, D)
        Replacement of each step, for each modality.
    kinds : ndarray of str, shape (B, L)
        What replaces each step: ``session mean``, or one of ``step_reference.KINDS``.
    """

    name: str
    steps: dict[str, Tensor]
    kinds: NDArray[np.str_]

    @property
    def min_steps(self) -> int:
        """Smallest number of steps of a session; a single step is the mean of its session."""
        return 2 if self.name == SESSION else 1

    def find_replaceable(self, mask: Tensor) -> Tensor:
        """Find the steps that can be removed.

        Parameters
        ----------
        mask : Tensor of bool, shape (B, L)
            True where the steps are present.

        Returns
        -------
        Tensor of bool, shape (B, L)
            The present steps of sessions with at least ``min_steps`` of them.
        """
        return mask & (mask.sum(dim=1, keepdim=True) >= self.min_steps)


def make_session_reference(features: dict[str, Tensor], masks: dict[str, Tensor]) -> Reference:
    """Replace removed steps by the mean of all steps of the session.

    Parameters
    ----------
    features : dict of str to Tensor, shape (B, L, D)
        Encoded sessions, from ``DepressionModel.encode``.
    masks : dict of str to Tensor, shape (B, L)
        True where the modality of a step is present.

    Returns
    -------
    Reference
        Named ``session``.
    """
    steps = {
        name: masked_mean(x, masks[name]).unsqueeze(1).expand_as(x) for name, x in features.items()
    }
    return Reference(SESSION, steps, np.full(next(iter(masks.values())).shape, SESSION_MEAN))


def count_sessions_per_chunk(features: dict[str, Tensor]) -> int:
    """Compute how many sessions are passed through the fusion together.

    Parameters
    ----------
    features : dict of str to Tensor, shape (B, L, D)
        Encoded sessions by modality.

    Returns
    -------
    int
        Number of sessions, at least 1.
    """
    dim = sum(x.shape[2] for x in features.values())
    length = next(iter(features.values())).shape[1]
    return max(1, VALUES_PER_CHUNK // (length * max(dim, FUSION_VALUES)))


def find_present_steps(masks: dict[str, Tensor]) -> Tensor:
    """Find the steps with at least one modality.

    Parameters
    ----------
    masks : dict of str to Tensor, shape (B, L)
        True where the modality of a step is present.

    Returns
    -------
    Tensor of bool, shape (B, L)
        True where any modality is present.
    """
    return torch.stack(list(masks.values())).any(dim=0)


def list_sessions(masks: dict[str, Tensor], min_steps: int) -> list[tuple[int, NDArray[np.int64]]]:
    """List the sessions of a batch with their steps.

    Parameters
    ----------
    masks : dict of str to Tensor, shape (B, L)
        True where the modality of a step is present.
    min_steps : int
        Sessions with fewer steps are left out.

    Returns
    -------
    list of tuple of int and ndarray
        Row of the batch and indices of its steps.
    """
    present = find_present_steps(masks).cpu().numpy()
    return [
        (row, np.flatnonzero(steps))
        for row, steps in enumerate(present)
        if steps.sum() >= min_steps
    ]


@torch.no_grad()
def compute_undecided_logit(model: DepressionModel) -> float:
    """Compute the logit of an output of zeros, the output without any modality.

    Parameters
    ----------
    model : DepressionModel
        A trained model in evaluation mode.

    Returns
    -------
    float
        0 for a binary target (a probability of 0.5) and for a linear output (a score of 0).
    """
    device = next(model.parameters()).device
    return model.head.logit(torch.zeros(model.head.out_features, device=device)).item()


@torch.no_grad()
def compute_changed_logits(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    rows: Tensor,
    change: Change,
) -> Array:
    """Compute the logits of changed copies of the sessions of a batch.

    Parameters
    ----------
    model : DepressionModel
        A trained model in evaluation mode.
    features : dict of str to Tensor, shape (B, L, D)
        Encoded sessions, from ``DepressionModel.encode``.
    masks : dict of str to Tensor, shape (B, L)
        True where the modality of a step is present.
    rows : Tensor of int, shape (N,)
        Row of the batch that each copy is made of.
    change : callable
        Called with the name of a modality, the features (n, L, D) and the mask (n, L) of some
        copies, and the slice of these copies; returns the changed features.

    Returns
    -------
    ndarray, shape (N,)
        One logit for each copy.
    """
    logits = [np.zeros(0)]
    size = count_sessions_per_chunk(features)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        part_masks = {name: mask[rows[part]] for name, mask in masks.items()}
        changed = {
            name: change(name, x[rows[part]], part_masks[name], part)
            for name, x in features.items()
        }
        output, _ = model.fuse(changed, part_masks)
        logits.append(model.head.logit(output).double().cpu().numpy())
    return np.concatenate(logits)


def compute_kept_logits(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    reference: Reference,
    rows: NDArray[np.int64],
    kept: NDArray[np.bool_],
    modalities: Collection[str] | None = None,
) -> Array:
    """Compute logits with some steps kept and all others removed.

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
    rows : ndarray of int, shape (N,)
        Row of the batch that each copy is made of.
    kept : ndarray of bool, shape (N, L)
        The steps that each copy keeps.
    modalities : collection of str, optional
        The modalities that are removed; default: all.

    Returns
    -------
    ndarray, shape (N,)
        One logit for each copy.
    """
    device = next(iter(features.values())).device
    kept_steps = torch.from_numpy(kept).to(device)
    indices = torch.from_numpy(rows).to(device)

    def remove(name: str, x: Tensor, mask: Tensor, part: slice) -> Tensor:
        if modalities is not None and name not in modalities:
            return x
        removed = (mask & ~kept_steps[part]).unsqueeze(-1)
        return torch.where(removed, reference.steps[name][indices[part]], x)

    return compute_changed_logits(model, features, masks, indices, remove)
