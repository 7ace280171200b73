"""Grad-CAM: where in a face or a spectrogram the evidence comes from (Selvaraju et al., ICCV 2017).

The last convolutional maps are weighted by the mean of their gradients (Eqs. 1 and 2 of the paper);
what remains above zero speaks for depression. Where a network reads each place of its last maps
with weights of its own (DepNet, SpectrogramCnn) the mean over places loses these weights: the map
then shows where the channels that matter are active, and no finer (Draelos and Carin 2020, Sec. 3).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor, nn

from depmm.models.encoders.encoder import Encoder, GradCamLayer
from depmm.models.masking import length_mask
from depmm.models.model import DepressionModel


def grad_cam(model: DepressionModel, modality: str, **inputs: Tensor) -> pd.DataFrame:
    """Map what speaks for depression in each crop, or in each step's sound.

    Parameters
    ----------
    model : a trained model in evaluation mode; its encoder of the modality ends in convolutions
    modality : ``face`` or ``audio``
    inputs : as in ``DepressionModel.forward``, the modality as signal

    Returns
    -------
    one row a map: ``row`` (of the batch), ``step``, ``frame`` (number of the crop in its step; 0
    for sound), ``peak`` (largest value before it was scaled to 1; 0: nothing speaks for depression)
    and ``heatmap``, float32 in [0, 1] of the size of the input: [height, width] of the crop, or
    [F, T] of the step's spectrogram or MFCC, row 0 lowest. ``MfccCnn`` convolves over time alone:
    its rows are equal, and what it reads from the MFCC directly is not in the map. ``SEResNet``
    also reads how its maps differ between frames, which a map of one frame hardly shows.

    Raises
    ------
    ValueError : the model has no such modality, gets it embedded, or its encoder does not end in
        convolutions over crops or spectrograms
    """
    if modality not in model.encoders:
        raise ValueError(f"grad_cam: the model has {sorted(model.encoders)}, not {modality!r}")
    if inputs.get(modality) is None:
        raise ValueError(
            f"grad_cam: {modality} is not given as a signal: read it without "
            "data.precompute_embeddings"
        )
    target = _target(cast(Encoder, model.encoders[modality]), modality)
    seen: list[Tensor] = []
    pictures: list[tuple[Tensor, Tensor]] = []
    with torch.enable_grad(), _watched(target, seen, pictures):
        evidence = model.head.logit(model(**inputs).logits).sum()
        gradients = torch.autograd.grad(evidence, seen) if seen else ()
    if not seen:
        return pd.DataFrame(columns=["row", "step", "frame", "peak", "heatmap"])
    activations = torch.cat(seen)
    columns = torch.full((len(activations),), activations.shape[-1], device=activations.device)
    if target.stride:
        columns = (pictures[0][1] + target.stride - 1) // target.stride
    maps = _weighted(activations, torch.cat(gradients), columns)
    length = inputs[f"{modality}_length"]
    row, step = (length > 0).nonzero(as_tuple=True)
    if target.rows == "pixels":
        place, frame = target.frames(length[row, step], inputs[modality].shape[2])
        row, step = row[place], step[place]
        size = inputs[modality].shape[-2:]
        large = [_resized(one, size).cpu().numpy() for one in maps]
    else:
        frame = torch.zeros_like(row)
        large = [
            _resized(one[:, :count], (len(picture), int(frames))).cpu().numpy()
            for one, count, picture, frames in zip(maps, columns, *pictures[0], strict=True)
        ]
    peak = maps.amax(dim=(1, 2)).double().cpu().numpy()
    table = pd.DataFrame({"row": row.cpu(), "step": step.cpu(), "frame": frame.cpu(), "peak": peak})
    # after resizing: of a peak between two pixels there is no 1
    table["heatmap"] = pd.Series([one / max(float(one.max()), 1e-30) for one in large])
    return table


def _target(encoder: Encoder, modality: str) -> GradCamLayer:
    target = encoder.grad_cam_layer()
    if target is None:
        raise ValueError(
            f"grad_cam: {type(encoder).__name__}, which encodes {modality}, does not end in "
            "convolutions over crops or spectrograms. Use occlusion of steps instead."
        )
    return target


@contextmanager
def _watched(
    target: GradCamLayer, seen: list[Tensor], pictures: list[tuple[Tensor, Tensor]]
) -> Iterator[None]:
    """Keep what the layer gives out, as leaves of the graph: nothing before it gets a gradient."""

    def keep(module: nn.Module, given: Any, output: Any) -> Any:
        maps = (output[0] if isinstance(output, tuple) else output).detach().requires_grad_()
        seen.append(maps)
        return (maps, *output[1:]) if isinstance(output, tuple) else maps

    handles = [target.layer.register_forward_hook(keep)]
    if target.front_end is not None:
        handles.append(
            target.front_end.register_forward_hook(
                lambda module, given, output: pictures.append(output)
            )
        )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _weighted(activations: Tensor, gradients: Tensor, columns: Tensor) -> Tensor:
    """Weigh channels by their mean gradient, sum, clip: Tensor[N, C, (h,) w] -> Tensor[N, h, w].

    Only the first columns of each, as many as Tensor[N] says, count: the others are padding.
    """
    if activations.dim() == 3:  # of convolutions over time alone
        activations, gradients = activations.unsqueeze(2), gradients.unsqueeze(2)
    inside = length_mask(columns, activations.shape[-1])[:, None, None]
    share = inside / (columns * activations.shape[2])[:, None, None, None]
    weight = (gradients * share).sum(dim=(2, 3), keepdim=True)
    return (weight * activations * inside).sum(dim=1).relu().detach()


def _resized(one: Tensor, size: Sequence[int]) -> Tensor:
    """Resize Tensor[h, w] to Tensor[height, width]."""
    return nn.functional.interpolate(one[None, None], tuple(size), mode="bilinear")[0, 0]
