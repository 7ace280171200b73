"""EmoAudioNet: a spectrogram as a colour picture and a cepstral series, joined (Othmani et al.).

"Towards robust deep neural networks for affect and depression recognition from speech", ICPR 2020
workshops, Fig. 1: two blocks of 2-D convolutions on the picture give 1152 values, two 1-D
convolutions on the series 2816; a fully connected layer of 10 follows. Its softmax is left out,
since a head follows. Each branch is also a model of its own, with the same last layer.

Where the paper contradicts itself, the stated sizes decide, then the authors' released code:

- "177 cepstral features for each frame" of 2.5 s cannot be coefficients of 24 mel bands. The
  release averages 13 MFCC within each short frame and keeps 177 short frames: a series over time.
  Here every 2.5 s window, taken each 0.5 s as the text says, gives 177 such averages, one each 226
  samples (14 ms; 40000 // 226 + 1 = 177), with 24 mel bands and a Hamming window as the text says.
  Short frames are 64 ms (46 ms in the release). Several windows of a step: the mean of their 2816
  values. The end of a step that fills no further window (below 0.5 s) is left to the other branch;
  a step below 2.5 s is one window completed with zeros (the release drops it).
- "256 segments": segments of 256 samples, half overlapping, as in the release (matplotlib's
  default, whose colours, viridis, are used too). A picture spans its whole step, whatever the
  length, as a plot does, without axes and title; the loudest 80 dB, row 0 at 0 Hz.
- "Filter size of convolution and pooling 3 x 3", pooling stride 8: a pool of 3 x 3 would give 4 x 4
  x 128 values, a pool of 8 x 8 gives the stated 1152 = 3 x 3 x 128.
- Silent: equal padding (needed for the sizes), He initialisation, pixels in [0, 1], and the series
  in tens of decibels.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from depmm.config import SAMPLE_RATE
from depmm.models.encoders.acoustic import DYNAMIC_RANGE_DB, MFCC, Spectrogram
from depmm.models.encoders.encoder import Encoder, GradCamLayer
from depmm.models.masking import length_mask

BRANCHES = ("spectrogram", "mfcc")
POOL = 8
SERIES = 177  # values of a window
SERIES_WINDOW, SERIES_STEP = 5 * SAMPLE_RATE // 2, SAMPLE_RATE // 2  # 2.5 s each 0.5 s
SERIES_SCALE = 10.0  # decibels
# every 17th of the 256 colours of matplotlib's viridis; between them linear (error below 0.03)
VIRIDIS = (
    "440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e "
    "1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725"
)


class EmoAudioNet(Encoder):
    """Encode the sound of each step by picture, by series, or by both.

    Parameters
    ----------
    branches : "spectrogram", "mfcc" or both
    embed_dim : units of the fully connected layer, `D`
    channels : filters of every convolution
    picture : height and width of the spectrogram's picture in pixels, at least 64
    dropout : before each max-pool

    Raises
    ------
    ValueError : an unknown, repeated or missing branch, or a picture too small for two pools
    """

    def __init__(
        self,
        branches: Sequence[str] = ("spectrogram", "mfcc"),
        embed_dim: int = 10,
        channels: int = 128,
        picture: int = 224,
        dropout: float = 0.1,
    ):
        super().__init__()
        if not branches or set(branches) - set(BRANCHES) or len(set(branches)) != len(branches):
            raise ValueError(
                f"EmoAudioNet branches are {list(branches)}: name 'spectrogram', 'mfcc' or both"
            )
        self.branches = nn.ModuleDict()
        if "spectrogram" in branches:
            self.branches["spectrogram"] = SpectrogramBranch(channels, picture, dropout)
        if "mfcc" in branches:
            self.branches["mfcc"] = MfccBranch(channels, dropout)
        joined = sum(cast(int, branch.embed_dim) for branch in self.branches.values())
        self.dense = nn.Linear(joined, embed_dim)
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
        """
        vectors = [branch(waveform, length) for branch in self.branches.values()]
        return self.dense(torch.cat(vectors, dim=-1))

    def grad_cam_layer(self) -> GradCamLayer | None:
        """Return the last block of the spectrogram branch; None without this branch."""
        if "spectrogram" not in self.branches:
            return None
        branch = cast(SpectrogramBranch, self.branches["spectrogram"])
        return GradCamLayer(branch.blocks[-1], "frequency", branch.spectrogram)


class SpectrogramBranch(nn.Module):
    """Two blocks of convolutions on the coloured spectrogram; parameters as ``EmoAudioNet``."""

    colours: Tensor

    def __init__(self, channels: int = 128, picture: int = 224, dropout: float = 0.1):
        super().__init__()
        if picture < POOL**2:
            raise ValueError(f"a picture of {picture} pixels has none left after two pools of 8")
        self.size = picture
        self.spectrogram = Spectrogram(n_fft=256, hop_length=128, taper="hann")
        table = [[b / 255 for b in bytes.fromhex(colour)] for colour in VIRIDIS.split()]
        # persistent: from_pretrained builds on the meta device and would lose it otherwise
        self.register_buffer("colours", torch.tensor(table))
        self.blocks = nn.Sequential(
            _picture_block(3, channels, dropout), _picture_block(channels, channels, dropout)
        )
        _initialise(self)
        self.embed_dim = channels * (picture // POOL**2) ** 2

    def forward(self, waveform: Tensor, length: Tensor) -> Tensor:
        """Encode steps; arguments as ``EmoAudioNet.forward``.

        Returns
        -------
        Tensor[B, 1152]
        """
        return self.blocks(self.picture(waveform, length)).flatten(1)

    def picture(self, waveform: Tensor, length: Tensor) -> Tensor:
        """Coloured spectrograms, each stretched over the whole width.

        Returns
        -------
        Tensor[B, 3, size, size] RGB in [0, 1], row 0 at 0 Hz
        """
        decibel, frames = self.spectrogram(waveform, length)
        rgb = paint(decibel / DYNAMIC_RANGE_DB, self.colours)
        high = resize_weights(frames.new_full((1,), rgb.shape[1]), rgb.shape[1], self.size)[0]
        wide = resize_weights(frames, rgb.shape[2], self.size)
        # time first: it shrinks most
        rgb = torch.einsum("bftc,btw->bcfw", rgb, wide)
        return torch.einsum("bcfw,fh->bchw", rgb, high)


class MfccBranch(nn.Module):
    """Two 1-D convolutions on the cepstral series; parameters as ``EmoAudioNet``."""

    def __init__(self, channels: int = 128, dropout: float = 0.1):
        super().__init__()
        self.mfcc = MFCC(n_mfcc=13, n_mels=24, n_fft=1024, hop_length=226, taper="hamming")
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
        self.embed_dim = channels * (SERIES // POOL)

    def forward(self, waveform: Tensor, length: Tensor) -> Tensor:
        """Encode steps; arguments as ``EmoAudioNet.forward``.

        Returns
        -------
        Tensor[B, 2816]
        """
        series, there = self.series(waveform, length)
        encoded = self.convolutions(series.unsqueeze(1))
        vectors = encoded.new_zeros(*there.shape, self.embed_dim)
        vectors = vectors.masked_scatter(there.unsqueeze(-1), encoded)
        return vectors.sum(dim=1) / there.sum(dim=1, keepdim=True)

    def series(self, waveform: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Average cepstrum along each window of each step.

        Returns
        -------
        Tensor[N, 177] of all N windows, step by step; Tensor[B, windows] bool, where they belong
        """
        waveform = nn.functional.pad(waveform, (0, max(0, SERIES_WINDOW - waveform.shape[1])))
        windows = waveform.unfold(1, SERIES_WINDOW, SERIES_STEP)
        count = 1 + (length - SERIES_WINDOW).clamp(min=0) // SERIES_STEP
        there = length_mask(count, windows.shape[1])
        inside = length.clamp(max=SERIES_WINDOW).unsqueeze(1).expand_as(there)
        cepstrum, _ = self.mfcc(windows[there], inside[there])
        return cepstrum.mean(dim=1) / SERIES_SCALE, there


def _picture_block(in_channels: int, channels: int, dropout: float) -> nn.Sequential:
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


def paint(x: Tensor, colours: Tensor) -> Tensor:
    """Colour values by linear interpolation in a table, differentiable in ``x``.

    Parameters
    ----------
    x : Tensor[...]; below 0 is the first colour, above 1 the last
    colours : Tensor[N, 3]

    Returns
    -------
    Tensor[..., 3]
    """
    place = x.clamp(0, 1) * (len(colours) - 1)
    below = place.detach().floor().long().clamp(max=len(colours) - 2)
    return torch.lerp(colours[below], colours[below + 1], (place - below).unsqueeze(-1))


def resize_weights(valid: Tensor, size: int, out: int) -> Tensor:
    """Weights of bilinear resizing of the first ``valid`` positions, as Pillow resizes.

    Shrinking widens the triangle, so that every position counts (antialiasing).

    Parameters
    ----------
    valid : Tensor[B] positions to resize, at least 1
    size : padded length
    out : length after resizing

    Returns
    -------
    Tensor[B, size, out], zero at padding; weights of each output sum to 1
    """
    step = (valid / out).reshape(-1, 1, 1)
    at = torch.arange(size, device=valid.device).reshape(1, -1, 1) + 0.5
    centre = (torch.arange(out, device=valid.device).reshape(1, 1, -1) + 0.5) * step
    weight = (1 - (at - centre).abs() / step.clamp(min=1)).clamp(min=0)
    weight = weight.masked_fill(~length_mask(valid, size).unsqueeze(-1), 0.0)
    return weight / weight.sum(dim=1, keepdim=True)
