"""Concept erasure: remove nuisance variables from the fused embedding of a trained model.

LEACE is the affine map that changes the embedding least among those after which no linear
classifier reads the nuisance better than a constant, on the sessions that it is fitted on. Each
output layer then receives the erased embedding. Because map and layer are affine, they are one
layer: a model has the same parameters before and after, and the layers before are not changed.

References
----------
Belrose et al., "LEACE: Perfect linear concept erasure in closed form", NeurIPS 2023. Ledoit and
Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", Journal of
Multivariate Analysis 88(2), 2004.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn

from depmm.inputs import Inputs
from depmm.models.adversary import record_output_layers
from depmm.models.model import DepressionModel

NO_CORRELATION = 1e-9  # rounding error of the whitened covariance


@dataclass(frozen=True)
class LayerInput:
    """Part of the fused embedding: what an output layer reads from all sessions in one call.

    Attributes
    ----------
    layer : Linear
        The output layer.
    embeddings : ndarray of float64, shape (N, E)
        One row per session.
    """

    layer: nn.Linear
    embeddings: np.ndarray


@dataclass(frozen=True)
class Eraser:
    """The map ``x - P (x - mean)``.

    Attributes
    ----------
    mean : ndarray of float64, shape (E,)
        Mean of the embedding.
    projection : ndarray of float64, shape (E, E)
        Oblique projection `P` on the erased subspace.
    """

    mean: np.ndarray
    projection: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Erase the nuisance.

        Parameters
        ----------
        x : ndarray of float64, shape (N, E)
            Embeddings.

        Returns
        -------
        ndarray of float64, shape (N, E)
            Erased embeddings.
        """
        erased: np.ndarray = x - (x - self.mean) @ self.projection.T
        return erased


def fit_eraser(
    parts: Sequence[np.ndarray], labels: Sequence[np.ndarray], given: np.ndarray | None = None
) -> Eraser:
    """Fit LEACE, the closed form of Belrose et al. 2023, Sec. 4.

    With the covariance of the embedding shrunk after Ledoit and Wolf, the projection exists for
    fewer sessions than dimensions as well. The shrinkage does not change which covariances are 0
    after the erasure, only how much the embedding is changed for it.

    Parameters
    ----------
    parts : sequence of ndarray of float64, shape (N, E)
        Embeddings; several if a layer reads several vectors of each session.
    labels : sequence of ndarray of int64, shape (N,)
        Class of each session for each nuisance; negative where the value is missing.
    given : ndarray of float64, shape (N,), optional
        The target. Only the part of the nuisance is erased that is not a linear function of it; of
        two classes, the differences within each of them. Not in the paper.

    Returns
    -------
    Eraser
        After it, each of ``parts`` has no covariance with (this part of) the classes of any
        nuisance, over the sessions whose value is known.
    """
    rows = np.concatenate(parts)
    mean = rows.mean(axis=0)
    columns = []
    for y in labels:
        known = y >= 0
        one_hot = (y[known, None] == np.unique(y[known])).astype(np.float64)
        explained = np.ones((known.sum(), 1))
        if given is not None:
            explained = np.column_stack([explained, given[known]])
        one_hot -= explained @ np.linalg.lstsq(explained, one_hot, rcond=None)[0]
        columns += [(x[known] - mean).T @ one_hot / known.sum() for x in parts]
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(rows)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    scale = np.sqrt(np.clip(eigenvalues, 0, None))
    kept = scale > scale.max() * 1e-6  # a constant embedding has nothing to erase
    scale, vectors = scale[kept], vectors[:, kept]
    # U of the whitened covariance of embedding and nuisance spans what is erased
    whitened = (vectors.T @ np.concatenate(columns, axis=1)) / scale[:, None]
    directions, sizes, _ = np.linalg.svd(whitened, full_matrices=False)
    directions = directions[:, sizes > NO_CORRELATION]
    unwhiten, whiten = vectors * scale, vectors / scale
    return Eraser(mean, unwhiten @ directions @ directions.T @ whiten.T)


def fit_erasers(
    inputs: Sequence[LayerInput], labels: Sequence[np.ndarray], given: np.ndarray | None
) -> dict[nn.Linear, Eraser]:
    """Fit the eraser of each output layer.

    Parameters
    ----------
    inputs : sequence of LayerInput
        From ``read_layer_inputs``, of the training sessions.
    labels : sequence of ndarray of int64, shape (N,)
        Class of each session for each nuisance; negative where the value is missing.
    given : ndarray of float64, shape (N,), or None
        The target, as in ``fit_eraser``.

    Returns
    -------
    dict of Linear to Eraser
        One eraser per output layer.
    """
    return {
        layer: fit_eraser(
            [part.embeddings for part in inputs if part.layer is layer], labels, given
        )
        for layer in dict.fromkeys(part.layer for part in inputs)
    }


@torch.no_grad()
def read_layer_inputs(
    model: DepressionModel, batches: Iterable[tuple[torch.Tensor, dict[str, Inputs]]]
) -> list[LayerInput]:
    """Compute the fused embedding of all sessions, as the output layers read it.

    Parameters
    ----------
    model : DepressionModel
        The model, in evaluation mode.
    batches : iterable of tuple
        Indices of the sessions of each batch, in any order, and their inputs.

    Returns
    -------
    list of LayerInput
        One per layer and call; rows in the order of the indices. Concatenated they are the output
        of :func:`depmm.models.adversary.embed_sessions`.
    """
    order: list[np.ndarray] = []
    parts: list[list[np.ndarray]] = []
    layers: list[nn.Linear] = []
    for index, inputs in batches:
        features, masks = model.encode(inputs)
        calls, _, _ = record_output_layers(model, features, masks)
        layers = [layer for layer, _ in calls]
        order.append(index.numpy())
        parts.append([x.double().cpu().numpy() for _, x in calls])
    rows = np.argsort(np.concatenate(order))
    return [
        LayerInput(layer, np.concatenate(values)[rows])
        for layer, values in zip(layers, zip(*parts, strict=True), strict=True)
    ]


@torch.no_grad()
def apply_erasers(erasers: dict[nn.Linear, Eraser]) -> None:
    """Merge each eraser into the weights of its output layer.

    ``W (x - P (x - m)) + b = (W - W P) x + (b + W P m)``.

    Parameters
    ----------
    erasers : dict of Linear to Eraser
        From ``fit_erasers``; the layers are changed.
    """
    for layer, eraser in erasers.items():
        weight = layer.weight.double().cpu().numpy()
        removed = weight @ eraser.projection
        layer.weight.copy_(torch.from_numpy(weight - removed))
        cast(torch.Tensor, layer.bias).add_(torch.from_numpy(removed @ eraser.mean).to(layer.bias))
