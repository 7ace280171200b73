"""Spectrogram CNN: six layers on the picture of four seconds of speech (An et al., IJCIME 2019).

"Mental health detection from speech signal: a convolution neural networks approach", Sec. IV,
gives the input (513 x 125: 4 s, 0-8 kHz, Hamming window, normalised) and the six layers (2
convolutions, 2 max-pools, 2 fully connected). The second fully connected layer is the classifier,
thus the head.

Chosen where the text is silent: decibels (80 dB range); normalisation of each segment to mean 0 and
deviation 1 over its own valid frames; 32 filters of 3 x 3 without padding in both convolutions,
each followed by ReLU; pooling 4 (frequency) x 3 (time) with equal strides, so that windows do not
overlap; 128 units in the first fully connected layer; no dropout.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from depmm.config import SAMPLE_RATE
from depmm.models.encoders.acoustic import Spectrogram
from depmm.models.encoders.encoder import Encoder, GradCamLayer
from depmm.models.masking import length_mask

WINDOW, HOP = 1024, 512  # samples: 513 bins, 125 frames in 4 s
KERNEL = 3
POOL = (4, 3)  # frequency, time


class SpectrogramCnn(Encoder):
    """Encode the spectrogram of each step.

    A shorter step is completed with its floor, as silence would look; it takes no part in the
    normalisation.

    Parameters
    ----------
    seconds : length of the picture; a longer step is an error, since it must not be cut unseen
    channels : filters of the two convolutions
    embed_dim : units of the first fully connected layer, `D`

    Raises
    ------
    ValueError : not two convolutions, or too few seconds for the two pools
    """

    def __init__(
        self, seconds: float = 4.0, channels: Sequence[int] = (32, 32), embed_dim: int = 128
    ):
        super().__init__()
        if len(channels) != 2:
            raise ValueError(f"the network has 2 convolutions, but channels is {list(channels)}")
        self.spectrogram = Spectrogram(WINDOW, HOP, "hamming")
        self.samples = round(seconds * SAMPLE_RATE)
        size = [self.spectrogram.bins, -(-self.samples // HOP)]
        layers: list[nn.Module] = []
        previous = 1
        for filters in channels:
            layers += [nn.Conv2d(previous, filters, KERNEL), nn.ReLU(), nn.MaxPool2d(POOL)]
            previous = filters
            size = [(n - KERNEL + 1) // pool for n, pool in zip(size, POOL, strict=True)]
        if min(size) < 1:
            raise ValueError(
                f"{seconds} s leave nothing after two pools over {POOL[1]} frames of "
                f"{1000 * HOP / SAMPLE_RATE:.0f} ms: raise seconds to 0.6 or more"
            )
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(previous * size[0] * size[1], embed_dim), nn.ReLU()
        )
        self.embed_dim = embed_dim

    def forward(self, waveform: Tensor, length: Tensor) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        waveform : Tensor[B, T] in [-1, 1] at 16 kHz, zero after ``length``
        length : Tensor[B] valid samples, at least 1

        Returns
        -------
        Tensor[B, D]

        Raises
        ------
        ValueError : a step is longer than the picture
        """
        return self.dense(self.convolutions(self.picture(waveform, length)))

    def grad_cam_layer(self) -> GradCamLayer:
        """Return the last layer before pooling, as Selvaraju et al. do: it has its full size."""
        return GradCamLayer(self.convolutions[-2], "frequency", self.spectrogram)

    def picture(self, waveform: Tensor, length: Tensor) -> Tensor:
        """Spectrograms as the first convolution takes them; arguments and errors as ``forward``.

        Returns
        -------
        Tensor[B, 1, 513, frames], row 0 at 0 Hz
        """
        longest = int(length.max())
        if longest > self.samples:
            raise ValueError(
                f"a step of {longest / SAMPLE_RATE:.2f} s does not fit the spectrogram CNN's "
                f"{self.samples / SAMPLE_RATE:g} s: lower data.max_audio_s or raise seconds"
            )
        # a negative pad cuts: the batch may be padded further than the picture
        waveform = nn.functional.pad(waveform, (0, self.samples - waveform.shape[1]))
        decibel, frames = self.spectrogram(waveform, length)
        return _standardise(decibel, frames).unsqueeze(1)


def _standardise(x: Tensor, frames: Tensor) -> Tensor:
    """Shift and scale each row to mean 0, deviation 1 over its valid frames.

    Parameters
    ----------
    x : Tensor[B, F, frames]
    frames : Tensor[B] valid frames

    Returns
    -------
    Tensor[B, F, frames]
    """
    valid = length_mask(frames, x.shape[-1]).unsqueeze(1)
    cells = (frames * x.shape[1]).reshape(-1, 1, 1)
    zero = x.new_zeros(())
    mean = torch.where(valid, x, zero).sum(dim=(1, 2), keepdim=True) / cells
    variance = torch.where(valid, x - mean, zero).square().sum(dim=(1, 2), keepdim=True) / cells
    # 1 dB: a step of digital silence stays zero
    return (x - mean) / variance.sqrt().clamp(min=1.0)
