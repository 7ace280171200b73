"""Acoustic front-ends as modules: they are saved with the model and run on its device.

All are built from the transforms of torchaudio and equal librosa 0.11 with ``center=True`` and
zero padding. The power of a short-time Fourier transform (for MFCC: in Slaney mel bands) is
converted to decibels, limited to 80 dB below the peak of the *same* step; MFCC are the orthonormal
DCT-II of these decibels. The limit is computed from the valid frames of one step only, so that the
values of a step do not depend on padding or on the other steps of a batch.

References
----------
Yang et al., "TorchAudio: Building blocks for audio and speech processing", ICASSP 2022.
McFee et al., "librosa: Audio and music signal analysis in Python", SciPy 2015.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from depmm.config import SAMPLE_RATE
from depmm.models.errors import TORCHAUDIO_REMEDY, ModelError
from depmm.models.host import Lengths, host_lengths, to_device
from depmm.models.masking import length_mask

try:
    from torchaudio import transforms
    from torchaudio.functional import create_dct
except (OSError, RuntimeError) as error:  # its extension is built for another build of torch
    raise ModelError(
        f"torchaudio cannot be imported: {error}.", value=str(error), remedy=TORCHAUDIO_REMEDY
    ) from error

TOP_DB = 80.0
MIN_POWER = 1e-10
# typical standard deviation of MFCC k of speech in decibels: 150 for the level (k = 0), then
# 40 divided by the square root of k
LEVEL_STD_DB = 150.0
SHAPE_STD_DB = 40.0
# frames of the MFCC where no paper prescribes them, in samples: 32 ms every 10 ms
SPEECH_N_FFT = 512
SPEECH_HOP_LENGTH = 160
# 1 MB: spectra that fit into the cache of a core take half the time of those of a batch
CPU_SAMPLES_AT_ONCE = 2**18

Window = Literal["hann", "hamming"]
WINDOWS = {"hann": torch.hann_window, "hamming": torch.hamming_window}


class FrontEnd(nn.Module):
    """A module whose tables stay in float32 if the model is converted to another type.

    With the 8 bits of precision of bfloat16, windows and filters would shift quiet frames by
    decibels.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        def move(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        super()._apply(move, recurse)  # type: ignore[no-untyped-call]
        return self


class Spectrogram(FrontEnd):
    """Log-magnitude spectrogram of padded steps, in decibels above the lower limit of each step.

    The absolute level is removed: the lower limit is 80 dB below the loudest bin of a step, but at
    least -100 dB, so that silence is 0 everywhere.

    Parameters
    ----------
    n_fft : int
        Length of a frame and of its Fourier transform in samples.
    hop_length : int
        Distance of frames in samples.
    window : {"hann", "hamming"}
        Window function.
    """

    def __init__(self, n_fft: int, hop_length: int, window: Window) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.n_bins = n_fft // 2 + 1
        with _exact_tables():
            self.fourier_transform = _fourier_transform(n_fft, hop_length, window)
        self.power_to_db = transforms.AmplitudeToDB("power", TOP_DB)

    def count_frames(self, lengths: ArrayLike) -> Lengths:
        """Count the frames whose centre is inside a step; none for an empty step.

        If the hop divides the length, librosa returns one more frame, centred on the end.

        Parameters
        ----------
        lengths : array_like of int, shape (B,)
            Valid samples.

        Returns
        -------
        ndarray of int, shape (B,)
            Valid frames of each step.
        """
        return (host_lengths(lengths) + self.hop_length - 1) // self.hop_length

    def forward(self, waveform: Tensor, lengths: ArrayLike) -> tuple[Tensor, Lengths]:
        """Transform steps.

        Parameters
        ----------
        waveform : Tensor, shape (B, T)
            Samples in [-1, 1] at 16 kHz, zero after ``lengths``.
        lengths : array_like of int, shape (B,)
            Valid samples, on the host.

        Returns
        -------
        spectrogram : Tensor, shape (B, F, frames)
            Decibels in [0, 80], ``F = n_fft / 2 + 1`` bins from 0 to 8 kHz; zero after the last
            valid frame.
        n_frames : ndarray of int, shape (B,)
            Valid frames, on the host.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            n_frames = self.count_frames(lengths)
            power = _power(self.fourier_transform(waveform.float()))
            power = power[..., : -(-waveform.shape[1] // self.hop_length)]
            valid = _valid_frames(n_frames, power)
            decibels = _step_decibels(self.power_to_db, power, valid)
            limit = decibels.amax(dim=(1, 2), keepdim=True) - TOP_DB
            above = decibels - limit.clamp(min=10 * math.log10(MIN_POWER))
        return above.masked_fill(~valid, 0.0), n_frames


class LogMel(FrontEnd):
    """Log-mel spectrogram of padded steps, in decibels.

    Parameters
    ----------
    n_mels : int
        Number of mel bands between 0 and 8 kHz.
    n_fft : int
        Length of a frame and of its Fourier transform in samples.
    hop_length : int
        Distance of frames in samples.
    window : {"hann", "hamming"}
        Window function.
    """

    def __init__(self, n_mels: int, n_fft: int, hop_length: int, window: Window) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        with _exact_tables():
            self.fourier_transform = _fourier_transform(n_fft, hop_length, window)
            self.mel_scale = transforms.MelScale(
                n_mels, SAMPLE_RATE, n_stft=n_fft // 2 + 1, norm="slaney", mel_scale="slaney"
            )
        self.power_to_db = transforms.AmplitudeToDB("power", TOP_DB)

    def count_frames(self, lengths: ArrayLike) -> Lengths:
        """Count the frames of steps; none for an empty step.

        Parameters
        ----------
        lengths : array_like of int, shape (B,)
            Valid samples.

        Returns
        -------
        ndarray of int, shape (B,)
            Valid frames of each step.
        """
        lengths = host_lengths(lengths)
        return np.where(lengths > 0, 1 + lengths // self.hop_length, 0)

    def forward(self, waveform: Tensor, lengths: ArrayLike) -> tuple[Tensor, Lengths]:
        """Transform steps.

        Parameters
        ----------
        waveform : Tensor, shape (B, T)
            Samples in [-1, 1] at 16 kHz, zero after ``lengths``.
        lengths : array_like of int, shape (B,)
            Valid samples, on the host.

        Returns
        -------
        decibels : Tensor, shape (B, n_mels, frames)
            Power of the bands in decibels, at least -100 and at most 80 below the loudest value of
            the step; zero after the last valid frame.
        n_frames : ndarray of int, shape (B,)
            Valid frames, on the host.
        """
        # power needs the range of float32: half precision would set quiet frames to zero
        with torch.autocast(waveform.device.type, enabled=False):
            n_frames = self.count_frames(lengths)
            size = max(1, len(waveform))
            if waveform.device.type == "cpu":
                size = max(1, self._frames_at_once() * self.hop_length // (waveform.shape[1] + 1))
            parts = [
                self._transform(part, n_frames[index * size : (index + 1) * size])
                for index, part in enumerate(torch.split(waveform.float(), size))
            ]
        return (parts[0] if len(parts) == 1 else torch.cat(parts)), n_frames

    def _frames_at_once(self) -> int:
        return max(1, CPU_SAMPLES_AT_ONCE // self.n_fft)

    def _mel_power(self, waveform: Tensor) -> Tensor:
        n_frames = 1 + waveform.shape[1] // self.hop_length
        size = self._frames_at_once()
        if waveform.device.type != "cpu" or n_frames <= size:
            mel: Tensor = self.mel_scale(_power(self.fourier_transform(waveform)))
            return mel
        # the transform of torchaudio computes all frames at once
        padded = nn.functional.pad(waveform, (self.n_fft // 2, self.n_fft // 2))
        parts = []
        for first in range(0, n_frames, size):
            end = (min(first + size, n_frames) - 1) * self.hop_length + self.n_fft
            spectrum = torch.stft(
                padded[:, first * self.hop_length : end],
                self.n_fft,
                self.hop_length,
                window=self.fourier_transform.window,
                center=False,
                return_complex=True,
            )
            parts.append(self.mel_scale(_power(spectrum)).transpose(1, 2))
        return torch.cat(parts, dim=1).transpose(1, 2)  # frames are contiguous

    def _transform(self, waveform: Tensor, n_frames: Lengths) -> Tensor:
        power = self._mel_power(waveform)
        if len(n_frames) and n_frames.min() >= power.shape[-1]:  # no padding
            return _step_decibels(self.power_to_db, power, None)
        valid = _valid_frames(n_frames, power)
        return _step_decibels(self.power_to_db, power, valid).masked_fill(~valid, 0.0)


class MFCC(LogMel):
    """Mel-frequency cepstral coefficients of padded steps.

    Parameters
    ----------
    n_mfcc : int
        Number of coefficients.
    n_mels : int
        Number of mel bands, at least ``n_mfcc``.
    n_fft : int
        Length of a frame and of its Fourier transform in samples.
    hop_length : int
        Distance of frames in samples.
    window : {"hann", "hamming"}
        Window function.

    Raises
    ------
    ModelError
        If there are more coefficients than mel bands.
    """

    dct: Tensor

    def __init__(
        self, n_mfcc: int, n_mels: int, n_fft: int, hop_length: int, window: Window
    ) -> None:
        super().__init__(n_mels, n_fft, hop_length, window)
        if n_mfcc > n_mels:
            raise ModelError(
                f"n_mfcc is {n_mfcc}, but there are only {n_mels} mel bands. Raise n_mels or lower "
                "n_mfcc.",
                setting="n_mfcc",
                value=n_mfcc,
            )
        with _exact_tables():
            # persistent, as the tables of torchaudio are: from_pretrained builds on the meta device
            self.register_buffer("dct", create_dct(n_mfcc, n_mels, norm="ortho"))

    def forward(self, waveform: Tensor, lengths: ArrayLike) -> tuple[Tensor, Lengths]:
        """Transform steps.

        Parameters
        ----------
        waveform : Tensor, shape (B, T)
            Samples in [-1, 1] at 16 kHz, zero after ``lengths``.
        lengths : array_like of int, shape (B,)
            Valid samples, on the host.

        Returns
        -------
        mfcc : Tensor, shape (B, n_mfcc, frames)
            Coefficients, zero after the last valid frame.
        n_frames : ndarray of int, shape (B,)
            Valid frames, on the host.
        """
        return super().forward(waveform, lengths)

    def _transform(self, waveform: Tensor, n_frames: Lengths) -> Tensor:
        return self.dct.T @ super()._transform(waveform, n_frames)


def typical_mfcc_std(n_mfcc: int) -> Tensor:
    """Return the typical standard deviation of each MFCC of speech, used for scaling.

    Parameters
    ----------
    n_mfcc : int
        Number of coefficients.

    Returns
    -------
    Tensor, shape (n_mfcc, 1)
        Standard deviations in decibels.
    """
    std = torch.tensor([LEVEL_STD_DB] + [SHAPE_STD_DB] * (n_mfcc - 1))
    return (std / torch.arange(n_mfcc).clamp(min=1).float().sqrt()).unsqueeze(-1)


@contextmanager
def _exact_tables() -> Iterator[None]:
    """Compute tables in float32 on the CPU.

    ``from_pretrained`` builds a model on the meta device, where torchaudio cannot check its mel
    filters, and in the type of the loaded model.
    """
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(dtype)


def _fourier_transform(n_fft: int, hop_length: int, window: Window) -> transforms.Spectrogram:
    return transforms.Spectrogram(
        n_fft, hop_length=hop_length, window_fn=WINDOWS[window], power=None, pad_mode="constant"
    )


def _power(spectrum: Tensor) -> Tensor:
    # power=2 of torchaudio squares a root instead, which takes 6 times as long
    squares = torch.view_as_real(spectrum).square()
    return squares[..., 0] + squares[..., 1]


def _valid_frames(n_frames: Lengths, power: Tensor) -> Tensor:
    """Mark the valid frames of (B, F, frames), shape (B, 1, frames)."""
    return length_mask(to_device(n_frames, power.device), power.shape[-1]).unsqueeze(1)


def _step_decibels(
    power_to_db: transforms.AmplitudeToDB, power: Tensor, valid: Tensor | None
) -> Tensor:
    """Convert (B, F, frames) to decibels, limited to ``TOP_DB`` below the peak of each step.

    A frame after the last valid one contains the end of the step and can be louder than the valid
    frames; it is silenced. AmplitudeToDB computes one peak per item of a batch with channels.
    Without ``valid``, all frames are.
    """
    power = power if valid is None else power.masked_fill(~valid, 0.0)
    decibels: Tensor = power_to_db(power.unsqueeze(1))
    return decibels.squeeze(1)
