"""EmoAudioNet: convolutional branches on a spectrogram image and on a cepstral series.

Two blocks of 2-D convolutions on the image give 1152 values, two 1-D convolutions on the series
give 2816 (Fig. 1). The fully connected layer that follows is the output layer with its softmax
(Sec. IV-B; the release trains it against one-hot targets). It is therefore not a part of the
encoder, whose output are the 3968 values: the linear layer of ``MeanPool`` and the head are this
layer, with one unit per class of the target. The printed 10 units fit none of the targets of the
paper (2 classes, 24 classes, gender, "nine emotion levels"). Each branch can also be used alone.

Where the paper contradicts itself, this implementation follows the stated sizes, then the released
code of the authors:

- "177 cepstral features for each frame" of 2.5 s cannot be coefficients of 24 mel bands. The
  release averages 13 MFCC within each short frame and keeps 177 short frames: a series over time.
  Here every 2.5 s window, taken every 0.5 s as in the text, gives 177 such averages, one every 226
  samples (14 ms; 40000 // 226 + 1 = 177), with 24 mel bands and a Hamming window as in the text.
  Short frames are 64 ms (46 ms in the release). The vector of a step is the mean of the 2816 values
  over its windows. The end of a step that does not fill another window (less than 0.5 s) is used by
  the other branch only; a step shorter than 2.5 s is one window padded with zeros (the release
  drops it).
- "256 segments": segments of 256 samples with half overlap, as in the release (the default of
  matplotlib, whose colour map viridis is also used). Like a plot without axes and title, the image
  always spans the whole step; it shows the loudest 80 dB, with row 0 at 0 Hz.
- "Filter size of convolution and pooling 3 x 3", pooling stride 8: a pool of 3 x 3 would give 4 x 4
  x 128 values, a pool of 8 x 8 gives the stated 1152 = 3 x 3 x 128.
- Not specified in the paper and chosen here: equal padding (required for the sizes), He
  initialisation, pixels in [0, 1], and the series in tens of decibels.

References
----------
Othmani et al., "Towards robust deep neural networks for affect and depression recognition from
speech", ICPR 2020 workshops, Fig. 1.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from depmm.config import SAMPLE_RATE
from depmm.models.encoders.encoder import Encoder, GradCamLayer, parameter_dtype
from depmm.models.encoders.frontends import MFCC, TOP_DB, Spectrogram
from depmm.models.errors import ModelError
from depmm.models.host import gather_valid, host_lengths, host_mask, scatter_valid, to_device
from depmm.models.resize import bilinear_weights

BRANCHES = ("spectrogram", "mfcc")
POOL = 8
IMAGE_SIZE = 224  # pixels
SERIES_LENGTH = 177  # values per window
WINDOW_LENGTH = 5 * SAMPLE_RATE // 2  # samples: MFCC windows of 2.5 s ...
WINDOW_HOP = SAMPLE_RATE // 2  # ... every 0.5 s
SERIES_SCALE_DB = 10.0
# every 17th of the 256 colours of matplotlib's viridis; linear in between (error below 0.03)
VIRIDIS = (
    "440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e "
    "1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725"
)


class EmoAudioNet(Encoder):
    """Encode the audio of each step by its spectrogram image, its cepstral series, or both.

    Parameters
    ----------
    branches : sequence of str
        "spectrogram", "mfcc" or both.
    channels : int
        Filters of every convolution.
    dropout : float
        Dropout probability before each max-pool.
    image_size : int, default 224
        Height and width of the spectrogram image in pixels, at least 64.

    Raises
    ------
    ModelError
        If ``branches`` is empty or has unknown or repeated entries, or if the image is too small
        for two pools.
    """

    def __init__(
        self,
        branches: Sequence[str],
        channels: int,
        dropout: float,
        image_size: int = IMAGE_SIZE,
    ) -> None:
        super().__init__()
        if not branches or set(branches) - set(BRANCHES) or len(set(branches)) != len(branches):
            raise ModelError(
                f"branches is {list(branches)}. Give 'spectrogram', 'mfcc' or both.",
                setting="branches",
                value=list(branches),
            )
        self.branches = nn.ModuleDict()
        if "spectrogram" in branches:
            self.branches["spectrogram"] = SpectrogramBranch(channels, image_size, dropout)
        if "mfcc" in branches:
            self.branches["mfcc"] = MfccBranch(channels, dropout)
        self.embed_dim = sum(cast(int, branch.embed_dim) for branch in self.branches.values())

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
            Outputs of the branches, concatenated: 1152 + 2816 values at full size.
        """
        return torch.cat([branch(x, lengths) for branch in self.branches.values()], dim=-1)

    def grad_cam_layer(self) -> GradCamLayer | None:
        """Return the last block of the spectrogram branch; None without this branch."""
        if "spectrogram" not in self.branches:
            return None
        branch = cast(SpectrogramBranch, self.branches["spectrogram"])
        return GradCamLayer(branch.blocks[-1], "frequency", branch.spectrogram)


class SpectrogramBranch(nn.Module):
    """Two blocks of convolutions on the coloured spectrogram.

    Parameters
    ----------
    channels : int
        Filters of every convolution.
    image_size : int
        Height and width of the image in pixels, at least 64.
    dropout : float
        Dropout probability before each max-pool.

    Attributes
    ----------
    embed_dim : int
        Output size: 1152 for 128 channels and 224 pixels.

    Raises
    ------
    ModelError
        If the image is too small for two pools.
    """

    colours: Tensor

    def __init__(self, channels: int, image_size: int, dropout: float) -> None:
        super().__init__()
        if image_size < POOL**2:
            raise ModelError(
                f"image_size is {image_size}, but two pools of {POOL} need at least {POOL**2} "
                f"pixels. Set it to {POOL**2} or more.",
                setting="image_size",
                value=image_size,
            )
        self.image_size = image_size
        self.spectrogram = Spectrogram(n_fft=256, hop_length=128, window="hann")
        table = [[b / 255 for b in bytes.fromhex(colour)] for colour in VIRIDIS.split()]
        # persistent: from_pretrained builds on the meta device and would lose it otherwise
        self.register_buffer("colours", torch.tensor(table))
        self.blocks = nn.Sequential(
            _image_block(3, channels, dropout), _image_block(channels, channels, dropout)
        )
        _initialise(self)
        self.embed_dim = channels * (image_size // POOL**2) ** 2

    def forward(self, waveform: Tensor, lengths: ArrayLike) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        waveform : Tensor, shape (N, T)
            As in ``EmoAudioNet.forward``.
        lengths : array_like of int, shape (N,)
            As in ``EmoAudioNet.forward``.

        Returns
        -------
        Tensor, shape (N, 1152)
            Flattened maps of the last block.
        """
        maps: Tensor = self.blocks(self.image(waveform, lengths).to(parameter_dtype(self)))
        return maps.flatten(1)

    def image(self, waveform: Tensor, lengths: ArrayLike) -> Tensor:
        """Colour the spectrogram of each step and stretch it over the whole image.

        Parameters
        ----------
        waveform : Tensor, shape (N, T)
            As in ``EmoAudioNet.forward``.
        lengths : array_like of int, shape (N,)
            As in ``EmoAudioNet.forward``.

        Returns
        -------
        Tensor, shape (N, 3, image_size, image_size)
            RGB in [0, 1], row 0 at 0 Hz.
        """
        decibels, n_frames = self.spectrogram(waveform, lengths)
        rgb = apply_colour_map(decibels / TOP_DB, self.colours)
        n_bins, n_columns = rgb.shape[1:3]
        all_bins = torch.full((1,), n_bins, device=rgb.device)
        rows = bilinear_weights(all_bins, n_bins, self.image_size)[0]
        columns = bilinear_weights(to_device(n_frames, rgb.device), n_columns, self.image_size)
        # time first, because this reduces the size most
        rgb = torch.einsum("bftc,btw->bcfw", rgb, columns)
        return torch.einsum("bcfw,fh->bchw", rgb, rows)


class MfccBranch(nn.Module):
    """Two 1-D convolutions on the cepstral series of windows of 2.5 s.

    Parameters
    ----------
    channels : int
        Filters of every convolution.
    dropout : float
        Dropout probability before the max-pool.

    Attributes
    ----------
    embed_dim : int
        Output size: 2816 for 128 channels.
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.mfcc = MFCC(n_mfcc=13, n_mels=24, n_fft=1024, hop_length=226, window="hamming")
        self.convolutions = nn.Sequential(
            nn.Conv1d(1, channels, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 5, padding=2),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.MaxPool1d(POOL),
            nn.Flatten(),
        )
        _initialise(self)
        self.embed_dim = channels * (SERIES_LENGTH // POOL)

    def forward(self, waveform: Tensor, lengths: ArrayLike) -> Tensor:
        """Encode steps by the mean over their windows.

        Parameters
        ----------
        waveform : Tensor, shape (N, T)
            As in ``EmoAudioNet.forward``.
        lengths : array_like of int, shape (N,)
            As in ``EmoAudioNet.forward``.

        Returns
        -------
        Tensor, shape (N, 2816)
            Mean of the flattened maps over the windows of a step.
        """
        series, window_mask = self.mfcc_windows(waveform, lengths)
        encoded: Tensor = self.convolutions(series.unsqueeze(1).to(parameter_dtype(self)))
        count = to_device(window_mask.sum(axis=1, keepdims=True), encoded.device)
        return scatter_valid(encoded, window_mask).sum(dim=1) / count

    def mfcc_windows(
        self, waveform: Tensor, lengths: ArrayLike
    ) -> tuple[Tensor, NDArray[np.bool_]]:
        """Compute the mean over 13 MFCC along each window of 2.5 s, taken every 0.5 s.

        Parameters
        ----------
        waveform : Tensor, shape (N, T)
            As in ``EmoAudioNet.forward``.
        lengths : array_like of int, shape (N,)
            As in ``EmoAudioNet.forward``.

        Returns
        -------
        series : Tensor, shape (W, 177)
            All `W` windows, step by step, in tens of decibels.
        window_mask : ndarray of bool, shape (N, windows)
            Valid windows of each step, on the host.
        """
        waveform = nn.functional.pad(waveform, (0, max(0, WINDOW_LENGTH - waveform.shape[1])))
        windows = waveform.unfold(1, WINDOW_LENGTH, WINDOW_HOP)
        lengths = host_lengths(lengths)
        count = 1 + np.maximum(lengths - WINDOW_LENGTH, 0) // WINDOW_HOP
        window_mask = host_mask(count, windows.shape[1])
        valid = np.minimum(lengths, WINDOW_LENGTH).repeat(count)
        mfcc, _ = self.mfcc(gather_valid(windows, window_mask), valid)
        return mfcc.mean(dim=1) / SERIES_SCALE_DB, window_mask


def _image_block(in_channels: int, channels: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.MaxPool2d(POOL),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(),
    )


def _initialise(branch: nn.Module) -> None:
    for module in branch.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, module.bias))


def apply_colour_map(x: Tensor, colours: Tensor) -> Tensor:
    """Colour values by linear interpolation in a table, differentiable in ``x``.

    Parameters
    ----------
    x : Tensor, shape (...)
        Values; those below 0 receive the first colour, those above 1 the last.
    colours : Tensor, shape (N, 3)
        Colours of equally spaced values from 0 to 1.

    Returns
    -------
    Tensor, shape (..., 3)
        Colours in the range of the table.
    """
    position = x.clamp(0, 1) * (len(colours) - 1)
    below = position.detach().floor().long().clamp(max=len(colours) - 2)
    return torch.lerp(colours[below], colours[below + 1], (position - below).unsqueeze(-1))
