"""Interface of the encoders, which convert one step of one modality to one vector.

A new encoder needs a subclass in a separate file, a settings class in ``depmm.config`` and one case
in ``build_encoder``. Training, the embedding store, Grad-CAM and region attributions use encoders
through this interface only.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from depmm.inputs import Inputs
from depmm.models.batch_norm import exclude_positions, shares_statistics
from depmm.models.errors import ModelError
from depmm.models.host import Lengths, gather_valid, host_mask, scatter_valid

STEPS_PER_PASS = 64  # in evaluation; EmoAudioNet needs 1.6 GB for the maps of one layer
VALUES_PER_PASS = 2**18  # more steps than that if they are as small; 512 channels of maps: 0.5 GB


def parameter_dtype(module: nn.Module) -> torch.dtype:
    """Return the type of the parameters of a module, for example of a half-precision model.

    Parameters
    ----------
    module : Module
        A module with parameters of one type.

    Returns
    -------
    dtype
        Type of its first parameter.
    """
    return next(module.parameters()).dtype


def check_crop_size(crops: Tensor, face_size: int) -> None:
    """Check the size of face crops.

    Parameters
    ----------
    crops : Tensor, shape (..., height, width)
        Face crops.
    face_size : int
        Height and width for which the encoder was built.

    Raises
    ------
    ModelError
        If the crops have another size.
    """
    size = tuple(crops.shape[-2:])
    if size != (face_size, face_size):
        raise ModelError(
            f"The crops have {size[0]} x {size[1]} pixels, but the encoder was built for "
            f"{face_size}. Set data.face_size and face_size of the encoder to the same value.",
            setting="face_size",
            value=size,
        )


def all_frames(lengths: Lengths, n_frames: int) -> tuple[Lengths, Lengths]:
    """Index every valid frame of every step.

    Parameters
    ----------
    lengths : ndarray of int, shape (N,)
        Valid frames of each step.
    n_frames : int
        Padded number of frames.

    Returns
    -------
    step_index : ndarray of int, shape (M,)
        Step of each frame, in the order in which the frames pass through the network.
    frame_index : ndarray of int, shape (M,)
        Index of the frame within its step.
    """
    step_index, frame_index = np.nonzero(host_mask(lengths, n_frames))
    return step_index, frame_index


@dataclass(frozen=True)
class GradCamLayer:
    """The layer whose maps Grad-CAM weights, and how they are aligned with the input.

    Attributes
    ----------
    layer : Module
        Module whose output maps are weighted, shape (M, C, h, w) or (M, C, w).
    rows : {"pixels", "frequency", "cepstrum"}
        Meaning of the rows of the input: rows of an image, bins from 0 Hz to the Nyquist
        frequency, or cepstral coefficients, which do not correspond to frequencies.
    front_end : Module, optional
        Module that computes the input of the network from audio. It returns features of shape
        (N, F, T) and the valid frames of each step on the host, shape (N,).
    stride : int, default 0
        Frames of the front-end per column of the maps; 0 if the columns always span all valid
        frames.
    frames : callable, default `all_frames`
        Function from the valid frames of each step, shape (N,), and their padded number to the
        step and frame index of each image that passes through the network. Used with
        ``rows="pixels"``.
    """

    layer: nn.Module
    rows: Literal["pixels", "frequency", "cepstrum"]
    front_end: nn.Module | None = None
    stride: int = 0
    frames: Callable[[Lengths, int], tuple[Lengths, Lengths]] = all_frames


class Encoder(nn.Module, ABC):
    """Base class of the encoders of steps.

    In evaluation mode, the vector of a step depends on the valid samples of this step only, not on
    padding or on the other steps of the batch. A forward pass never waits for the device: masks and
    indices are computed from ``lengths`` on the host (``depmm.models.host``).

    Attributes
    ----------
    embed_dim : int
        Size of the vector of a step, `D`.
    max_crops : int or None, default None
        Largest number of crops of a step that are encoded; None: all of them.
    """

    embed_dim: int
    max_crops: int | None = None

    @abstractmethod
    def forward(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        x : Tensor, shape (N, T, ...)
            Padded samples, frames or feature rows of each step.
        lengths : array_like of int, shape (N,)
            Valid samples, frames or rows of each step, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.
        """

    def grad_cam_layer(self) -> GradCamLayer | None:
        """Describe the layer for Grad-CAM.

        Returns
        -------
        GradCamLayer or None
            None if the encoder does not end in convolutions over an image or a spectrogram.
        """
        return None

    def load_pretrained(self) -> None:
        """Load the pre-trained weights that are given in the settings, if any.

        ``build_model`` calls this once for a new model; a saved model already contains the weights.
        """


class PrecomputableEncoder(Encoder):
    """An encoder whose frozen first part can run once per session.

    ``forward(x, lengths)`` equals ``project(precompute(x, lengths))``.

    Attributes
    ----------
    backbone : Module
        The network of the first part.
    frozen : bool
        Whether the parameters and batch statistics of ``backbone`` stay unchanged in training.
    precompute_dim : int
        Size of the precomputed vector of a step, `K`.
    precompute_settings : dict
        All settings, as JSON values, on which a precomputed vector depends in addition to the
        tensors of ``backbone``.
    project : Module
        The trainable part, from (N, K) to (N, D).
    """

    backbone: nn.Module
    frozen: bool
    precompute_dim: int
    precompute_settings: dict[str, Any]

    def forward(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        x : Tensor, shape (N, T, ...)
            Padded samples, frames or feature rows of each step.
        lengths : array_like of int, shape (N,)
            Valid samples, frames or rows of each step, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.
        """
        return self.project(self.precompute(x, lengths))

    @abstractmethod
    def precompute(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Run the first part.

        Parameters
        ----------
        x : Tensor, shape (N, T, ...)
            As in ``forward``.
        lengths : array_like of int, shape (N,)
            As in ``forward``.

        Returns
        -------
        Tensor, shape (N, K)
            Precomputed vector of each step.
        """

    @abstractmethod
    def project(self, precomputed: Tensor) -> Tensor:
        """Run the trainable part.

        Parameters
        ----------
        precomputed : Tensor, shape (N, K)
            Output of ``precompute``, computed now or read from the embedding store.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.
        """


def encode_present(encoder: Encoder, inputs: Inputs, device: torch.device) -> Tensor:
    """Encode the existing steps and fill the others with zeros.

    Without gradients, at most ``STEPS_PER_PASS`` steps pass through the network at once, because a
    session may have a thousand of them; more if they have at most ``VALUES_PER_PASS`` values.

    Parameters
    ----------
    encoder : Encoder
        A ``PrecomputableEncoder`` if the inputs are embedded.
    inputs : Inputs
        Signal or embedding of each step.
    device : device
        Device of the encoder.

    Returns
    -------
    Tensor, shape (B, L, D)
        Vector of each step; zero where it does not exist.
    """
    values, lengths = inputs.values, inputs.lengths
    present = lengths > 0
    if not present.any():
        missing = torch.zeros(*lengths.shape, encoder.embed_dim, device=device)
        if shares_statistics(encoder):
            # the other processes would wait for the statistics of this one
            with exclude_positions(encoder):
                length = np.array(values.shape[2:3])
                filler = _encode(encoder, values[0, :1], inputs.embedded, length)
            missing = missing + 0.0 * filler.sum()
        return missing
    steps = gather_valid(values, present)
    return scatter_valid(_encode(encoder, steps, inputs.embedded, lengths[present]), present)


def _encode(encoder: Encoder, steps: Tensor, embedded: bool, lengths: Lengths) -> Tensor:
    if embedded:
        return cast(PrecomputableEncoder, encoder).project(steps)
    # the vector of a step does not depend on the other steps, except in training
    whole = encoder.training or torch.is_grad_enabled()
    small = VALUES_PER_PASS // max(steps[0].numel(), 1)
    size = len(lengths) if whole else max(STEPS_PER_PASS, small)
    parts = range(0, len(lengths), size)
    return torch.cat([encoder(steps[i : i + size], lengths[i : i + size]) for i in parts])
