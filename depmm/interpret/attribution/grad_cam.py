"""Grad-CAM: where in a face or a spectrogram the evidence comes from (Selvaraju et al., ICCV 2017).

The last convolutional maps are weighted by the mean of their gradients (Eqs. 1 and 2 of the paper);
what remains above zero speaks for depression. Where a network reads each place of its last maps
with weights of its own (DepNet, SpectrogramCnn) the mean over places loses these weights: the map
then shows where the channels that matter are active, and no finer (Draelos and Carin 2020, Sec. 3).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import pandas as pd
import torch
from torch import Tensor, nn

from depmm.models.encoders.attention_resnet import AttentionResNet
from depmm.models.encoders.depnet import DepNet, FrameMean
from depmm.models.encoders.emoaudionet import EmoAudioNet
from depmm.models.encoders.mfcc_cnn import MfccCnn
from depmm.models.encoders.resnet50 import choose_frames
from depmm.models.encoders.se_resnet import SEResNet
from depmm.models.encoders.spectrogram_cnn import SpectrogramCnn
from depmm.models.masking import length_mask
from depmm.models.model import DepressionModel


class _Target(NamedTuple):
    """Where a map comes from.

    Attributes
    ----------
    layer : whose output is weighted
    front_end : of sound: gives Tensor[N, F, T] and Tensor[N] valid frames, the picture
    stride : frames of the picture to a column of the layer's maps; 0: its columns always span all
    """

    layer: nn.Module
    front_end: nn.Module | None = None
    stride: int = 0


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
    encoder = model.encoders[modality]
    target = _target(encoder, modality)
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
    if modality == "face":
        place, frame = _shown_frames(encoder, length[row, step], inputs["face"].shape[2])
        row, step = row[place], step[place]
        size = inputs["face"].shape[-2:]
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


def _target(encoder: nn.Module, modality: str) -> _Target:
    match encoder:
        case SEResNet():
            return _Target(encoder.backbone)
        case DepNet() | FrameMean():
            return _Target(encoder.backbone.resnet)
        case SpectrogramCnn():
            # before the pool, as in the paper: the last layer that still has its full size
            return _Target(encoder.convolutions[-2], encoder.spectrogram)
        case AttentionResNet():
            blocks = cast(nn.ModuleList, encoder.stages[-1])
            return _Target(blocks[-1], encoder.mfcc, stride=32)
        case MfccCnn():
            layers = encoder.convolutions
            return _Target(layers[-1], encoder.mfcc, stride=2 ** len(layers))
        case EmoAudioNet() if "spectrogram" in encoder.branches:
            branch = cast(Any, encoder.branches["spectrogram"])
            return _Target(branch.blocks[-1], branch.spectrogram)
    raise ValueError(
        f"grad_cam: {type(encoder).__name__}, which encodes {modality}, does not end in "
        "convolutions over crops or spectrograms: use occlusion of steps, or one of se_resnet, "
        "depnet, frame_mean, spectrogram_cnn, attention_resnet, mfcc_cnn, emoaudionet"
    )


@contextmanager
def _watched(
    target: _Target, seen: list[Tensor], pictures: list[tuple[Tensor, Tensor]]
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


def _shown_frames(encoder: nn.Module, length: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Which crops pass the network, in its order: number of the step that has faces, of the crop.

    Parameters
    ----------
    encoder : a face encoder
    length : Tensor[N] valid crops of each step with faces
    frames : padded number of crops
    """
    if isinstance(encoder, DepNet | FrameMean):
        used = length_mask(length.clamp(max=encoder.frames), encoder.frames)
        return used.nonzero()[:, 0], choose_frames(length, encoder.frames)[used]
    place, frame = length_mask(length, frames).nonzero(as_tuple=True)
    return place, frame


def _resized(one: Tensor, size: Sequence[int]) -> Tensor:
    """Resize Tensor[h, w] to Tensor[height, width]."""
    return nn.functional.interpolate(one[None, None], tuple(size), mode="bilinear")[0, 0]
