"""Grad-CAM: the parts of a face crop or a spectrogram that raise the logit.

A map is the positive part of the sum of the last convolutional maps, weighted by the mean of their
gradients (Eqs. 1 and 2 of Selvaraju et al.). If a network has separate weights for each position of
its last maps (DepNet, SpectrogramCnn), the mean over positions loses them: the map then only shows
where the relevant channels are active (Draelos and Carin, Sec. 3).

References
----------
Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
localization", ICCV 2017. Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful
explanations of convolutional neural networks", arXiv 2011.08891, 2020.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from depmm.inputs import Inputs
from depmm.interpret.errors import ExplanationError
from depmm.models.encoders.encoder import Encoder, GradCamLayer
from depmm.models.host import Lengths, to_device
from depmm.models.masking import length_mask
from depmm.models.model import DepressionModel


def compute_grad_cam(
    model: DepressionModel, modality: str, inputs: dict[str, Inputs]
) -> pd.DataFrame:
    """Compute the Grad-CAM map of each face crop, or of each step's audio.

    Parameters
    ----------
    model : DepressionModel
        A trained model in evaluation mode; its encoder of the modality ends in convolutions.
    modality : str
        Name of the modality, for example ``face`` or ``audio``.
    inputs : dict of str to Inputs
        As in ``DepressionModel.forward``; the modality is a signal, not an embedding.

    Returns
    -------
    DataFrame
        One row per map with the columns ``row`` (of the batch), ``step``, ``frame`` (index of the
        crop in its step; 0 for audio), ``peak`` (largest value before the map is scaled to 1; 0 if
        no position raises the logit) and ``heatmap`` (float32 in [0, 1] in the size of the input:
        (height, width) of the crop, or (F, T) of the spectrogram or MFCC, row 0 lowest).
        The rows of a map of ``MfccCnn`` are equal, because it convolves over time only; its direct
        use of the MFCC is not in the map. ``SEResNet`` also uses differences between the maps of
        frames, which the map of a single frame hardly shows.

    Raises
    ------
    ExplanationError
        If the model does not have the modality, its input is an embedding, or its encoder does not
        end in convolutions over crops or spectrograms.
    """
    layer = _get_layer(model, modality, inputs)
    activations, gradients, spectrograms = _run(model, layer, inputs)
    if activations is None:
        return pd.DataFrame(columns=["row", "step", "frame", "peak", "heatmap"])
    columns = np.full(len(activations), activations.shape[-1])
    if layer.stride:
        columns = (spectrograms[0][1] + layer.stride - 1) // layer.stride
    maps = _weight_channels(activations, gradients, columns)
    given = inputs[modality]
    signal, length = given.values, given.lengths
    row, step = (length > 0).nonzero()
    if layer.rows == "pixels":
        index, frame = layer.frames(length[row, step], signal.shape[2])
        row, step = row[index], step[index]
        size = signal.shape[-2:]
        heatmaps = [_resize(heatmap, size).cpu().numpy() for heatmap in maps]
    else:
        frame = np.zeros_like(row)
        heatmaps = [
            _resize(heatmap[:, :count], (len(spectrogram), int(frames))).cpu().numpy()
            for heatmap, count, spectrogram, frames in zip(
                maps, columns, *spectrograms[0], strict=True
            )
        ]
    peak = maps.amax(dim=(1, 2)).double().cpu().numpy()
    table = pd.DataFrame({"row": row, "step": step, "frame": frame, "peak": peak})
    # scaled after resizing, because interpolation lowers a peak between two pixels
    table["heatmap"] = pd.Series([heat / max(float(heat.max()), 1e-30) for heat in heatmaps])
    return table


def _get_layer(model: DepressionModel, modality: str, inputs: dict[str, Inputs]) -> GradCamLayer:
    if modality not in model.encoders:
        raise ExplanationError(
            f"Grad-CAM of {modality!r}: the modalities of the model are "
            f"{', '.join(sorted(model.encoders))}.",
            value=modality,
        )
    if inputs[modality].embedded:
        raise ExplanationError(
            f"Grad-CAM of {modality!r} needs the signal, but the data set contains embeddings.",
            setting="data.precompute_embeddings",
            value=modality,
            remedy=f"Leave {modality} out of data.precompute_embeddings.",
        )
    encoder = cast(Encoder, model.encoders[modality])
    layer = encoder.grad_cam_layer()
    if layer is None:
        raise ExplanationError(
            f"Grad-CAM of {modality!r}: {type(encoder).__name__} does not end in convolutions over "
            "crops or spectrograms.",
            value=type(encoder).__name__,
            remedy="Use occlusion of steps instead.",
        )
    return layer


def _run(
    model: DepressionModel, layer: GradCamLayer, inputs: dict[str, Inputs]
) -> tuple[Tensor | None, Tensor, list[tuple[Tensor, Lengths]]]:
    """Return the maps of the layer, their gradients and the output of the front-end.

    The maps are None if no step has the modality and the layer did not run.
    """
    activations: list[Tensor] = []
    spectrograms: list[tuple[Tensor, Lengths]] = []
    with torch.enable_grad(), _frozen(model), _hooked(layer, activations, spectrograms):
        logit = model.head.logit(model(inputs).logits).sum()
        gradients = torch.autograd.grad(logit, activations) if activations else ()
    if not activations:
        return None, torch.empty(0), spectrograms
    return torch.cat(activations), torch.cat(gradients), spectrograms


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Switch off the gradients of the parameters, so that earlier layers keep no activations."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@contextmanager
def _hooked(
    layer: GradCamLayer, activations: list[Tensor], spectrograms: list[tuple[Tensor, Lengths]]
) -> Iterator[None]:
    """Store the layer's output as leaf of the graph; earlier layers need no gradient."""

    def keep_maps(module: nn.Module, args: Any, output: Any) -> Any:
        maps = (output[0] if isinstance(output, tuple) else output).detach().requires_grad_()
        activations.append(maps)
        return (maps, *output[1:]) if isinstance(output, tuple) else maps

    handles = [layer.layer.register_forward_hook(keep_maps)]
    if layer.front_end is not None:
        handles.append(
            layer.front_end.register_forward_hook(
                lambda module, args, output: spectrograms.append(output)
            )
        )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _weight_channels(activations: Tensor, gradients: Tensor, columns: Lengths) -> Tensor:
    """Weight channels by their mean gradient, sum and clip: (N, C, (h,) w) -> (N, h, w).

    Only the first ``columns`` (N) columns of each map are used; the others are padding.
    """
    if activations.dim() == 3:  # convolutions over time alone
        activations, gradients = activations.unsqueeze(2), gradients.unsqueeze(2)
    n_columns = to_device(columns, activations.device)
    inside = length_mask(n_columns, activations.shape[-1])[:, None, None]
    share = inside / (n_columns * activations.shape[2])[:, None, None, None]
    weight = (gradients * share).sum(dim=(2, 3), keepdim=True)
    return (weight * activations * inside).sum(dim=1).relu().detach()


def _resize(heatmap: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (h, w) to (height, width)."""
    return nn.functional.interpolate(heatmap[None, None], tuple(size), mode="bilinear")[0, 0]
