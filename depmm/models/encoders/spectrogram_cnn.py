"""Spectrogram CNN: six layers on the spectrogram of four seconds of speech.

Sec. IV of the paper specifies the input (513 x 125: 4 s, 0-8 kHz, Hamming window, normalised) and
the six layers (2 convolutions, 2 max-pools, 2 fully connected). The second fully connected layer is
the classifier, which is replaced by the fusion and the head here.

Choices where the paper is silent: decibels (80 dB range); normalisation of each segment to
mean 0 and standard deviation 1 over its valid frames; 32 filters of 3 x 3 without padding in
both convolutions, each followed by ReLU; pooling 4 (frequency) x 3 (time) with equal strides, so
that windows do not overlap; 128 units in the first fully connected layer; no dropout.

References
----------
An et al., "Mental health detection from speech signal: a convolution neural networks approach",
IJCIME 2019.
"""

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from depmm.config import SAMPLE_RATE
from depmm.models.encoders.encoder import Encoder, GradCamLayer, parameter_dtype
from depmm.models.encoders.frontends import Spectrogram
from depmm.models.errors import ModelError
from depmm.models.host import host_lengths, to_device
from depmm.models.masking import length_mask

N_FFT, HOP_LENGTH = 1024, 512  # samples: 513 bins, 125 frames in 4 s
KERNEL = 3
POOL = (4, 3)  # frequency, time
MIN_STD_DB = 1.0  # digital silence stays zero


class SpectrogramCnn(Encoder):
    """Encode the spectrogram of each step.

    A shorter step is padded with the lower limit of its spectrogram, the value of silence; the
    padding is excluded from the normalisation.

    Parameters
    ----------
    seconds : float
        Length of the spectrogram. A longer step raises an error instead of being cut silently.
    channels : sequence of int
        Filters of the two convolutions.
    embed_dim : int
        Units of the first fully connected layer, `D`.

    Raises
    ------
    ModelError
        If ``channels`` does not have two entries, or ``seconds`` is too short for the two pools.
    """

    def __init__(self, seconds: float, channels: Sequence[int], embed_dim: int) -> None:
        super().__init__()
        if len(channels) != 2:
            raise ModelError(
                f"channels is {list(channels)}, but the network has 2 convolutions. Give 2 values.",
                setting="channels",
                value=list(channels),
            )
        self.spectrogram = Spectrogram(N_FFT, HOP_LENGTH, "hamming")
        self.n_samples = round(seconds * SAMPLE_RATE)
        size = [self.spectrogram.n_bins, -(-self.n_samples // HOP_LENGTH)]
        layers: list[nn.Module] = []
        in_channels = 1
        for out_channels in channels:
            convolution = nn.Conv2d(in_channels, out_channels, KERNEL)
            layers += [convolution, nn.ReLU(), nn.MaxPool2d(POOL)]
            in_channels = out_channels
            size = [(n - KERNEL + 1) // pool for n, pool in zip(size, POOL, strict=True)]
        if min(size) < 1:
            raise ModelError(
                f"seconds is {seconds}, which is too short for two pools over {POOL[1]} frames of "
                f"{1000 * HOP_LENGTH / SAMPLE_RATE:.0f} ms. Raise it to 0.6 or more.",
                setting="seconds",
                value=seconds,
            )
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(in_channels * size[0] * size[1], embed_dim), nn.ReLU()
        )
        self.embed_dim = embed_dim

    def forward(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        x : Tensor, shape (N, T)
            Waveforms in [-1, 1] at 16 kHz, zero after ``lengths``.
        lengths : array_like of int, shape (N,)
            Valid samples, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.

        Raises
        ------
        ModelError
            If a step is longer than the spectrogram.
        """
        image = self.image(x, lengths).to(parameter_dtype(self))
        vectors: Tensor = self.dense(self.convolutions(image))
        return vectors

    def image(self, waveform: Tensor, lengths: ArrayLike) -> Tensor:
        """Compute the input of the first convolution.

        Parameters
        ----------
        waveform : Tensor, shape (N, T)
            As in ``forward``.
        lengths : array_like of int, shape (N,)
            As in ``forward``.

        Returns
        -------
        Tensor, shape (N, 1, 513, frames)
            Normalised spectrograms, row 0 at 0 Hz.

        Raises
        ------
        ModelError
            If a step is longer than the spectrogram.
        """
        lengths = host_lengths(lengths)
        longest = int(lengths.max())
        if longest > self.n_samples:
            raise ModelError(
                f"A step lasts {longest / SAMPLE_RATE:.2f} s, but the spectrogram CNN was built "
                f"for {self.n_samples / SAMPLE_RATE:g} s. Lower data.max_audio_s or raise seconds.",
                setting="seconds",
                value=longest / SAMPLE_RATE,
            )
        # negative padding cuts the batch if it is longer than the spectrogram
        waveform = nn.functional.pad(waveform, (0, self.n_samples - waveform.shape[1]))
        decibels, n_frames = self.spectrogram(waveform, lengths)
        return _standardise(decibels, to_device(n_frames, waveform.device)).unsqueeze(1)

    def grad_cam_layer(self) -> GradCamLayer:
        """Return the last layer before the final pool (Selvaraju et al.), which has larger maps."""
        return GradCamLayer(self.convolutions[-2], "frequency", self.spectrogram)


def _standardise(x: Tensor, n_frames: Tensor) -> Tensor:
    """Standardise (N, F, frames) over the valid frames of each row."""
    valid = length_mask(n_frames, x.shape[-1]).unsqueeze(1)
    n_bins = (n_frames * x.shape[1]).reshape(-1, 1, 1)
    zero = x.new_zeros(())
    mean = torch.where(valid, x, zero).sum(dim=(1, 2), keepdim=True) / n_bins
    variance = torch.where(valid, x - mean, zero).square().sum(dim=(1, 2), keepdim=True) / n_bins
    return (x - mean) / variance.sqrt().clamp(min=MIN_STD_DB)
