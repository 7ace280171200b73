"""Encoders with tensor operations only, with the number of valid samples as an input.

The encoders of ``depmm.models.encoders`` decide on the host which samples are valid. A graph reads
their number as a tensor instead. The Fourier transform is a convolution with its matrix, because
runtimes differ in their operators for it.
"""

import math
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn

from depmm.models.encoders.encoder import Encoder
from depmm.models.encoders.feature_cnn import MAX_ABS, FeatureCnn
from depmm.models.encoders.frontends import MFCC, MIN_POWER, TOP_DB, LogMel
from depmm.models.encoders.mfcc_cnn import MfccCnn
from depmm.models.encoders.released_inputs import HIGHEST_DB, LOWEST_DB, FaceMap, VoiceVector
from depmm.models.encoders.se_resnet import MIN_MOTION, PIXEL_MEAN, PIXEL_STD, SEResNet
from depmm.models.masking import length_mask, masked_mean_and_std
from depmm.models.onnx.errors import OnnxError
from depmm.models.resize import bilinear_weights

SUPPORTED = "mfcc_cnn, voice_vector, se_resnet, face_map (crops), feature_cnn"


class ExportedLogMel(nn.Module):
    """``LogMel`` or ``MFCC`` with the same tables.

    Parameters
    ----------
    front_end : LogMel
        The front-end that is replaced.
    """

    kernel: Tensor
    mel: Tensor

    def __init__(self, front_end: LogMel) -> None:
        super().__init__()
        self.n_fft, self.hop_length = front_end.n_fft, front_end.hop_length
        window = front_end.fourier_transform.window.double()
        sample = torch.arange(self.n_fft, dtype=torch.float64)
        frequency = torch.arange(self.n_fft // 2 + 1, dtype=torch.float64).unsqueeze(1)
        angle = 2 * math.pi * frequency * sample / self.n_fft
        kernel = torch.cat([angle.cos() * window, -angle.sin() * window])
        self.register_buffer("kernel", kernel.float().unsqueeze(1))
        self.register_buffer("mel", front_end.mel_scale.fb.clone())
        self.dct = front_end.dct.clone() if isinstance(front_end, MFCC) else None

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Transform steps.

        Parameters
        ----------
        waveform : Tensor, shape (N, T)
            Samples, zero after ``lengths``.
        lengths : Tensor, shape (N,), int64
            Valid samples.

        Returns
        -------
        features : Tensor, shape (N, F, frames)
            Decibels or coefficients, zero after the last valid frame.
        n_frames : Tensor, shape (N,)
            Valid frames.
        """
        half = self.n_fft // 2
        padded = nn.functional.pad(waveform, (half, half)).unsqueeze(1)
        spectrum = nn.functional.conv1d(padded, self.kernel, stride=self.hop_length)
        real, imaginary = spectrum.chunk(2, dim=1)
        power = self.mel.T @ (real.square() + imaginary.square())
        n_frames = 1 + lengths // self.hop_length
        valid = length_mask(n_frames, power.shape[-1]).unsqueeze(1)
        decibels = 10 * power.masked_fill(~valid, 0.0).clamp(min=MIN_POWER).log10()
        peak = decibels.amax(dim=(1, 2), keepdim=True)
        decibels = torch.maximum(decibels, peak - TOP_DB).masked_fill(~valid, 0.0)
        return (decibels if self.dct is None else self.dct.T @ decibels), n_frames


def _convolve_and_pool(
    x: Tensor, size: Tensor, convolutions: nn.ModuleList, norms: nn.ModuleList
) -> Tensor:
    """Do the same as ``convolve_and_pool`` of ``mfcc_cnn``."""
    valid = length_mask(size, x.shape[-1])
    for convolution, norm in zip(convolutions, norms, strict=True):
        x = convolution(x)
        size = (size + 1) // 2
        valid = length_mask(size, x.shape[-1])
        x = nn.functional.gelu(norm(x.transpose(1, 2))).transpose(1, 2)
        x = x.masked_fill(~valid.unsqueeze(1), 0.0)
    return masked_mean_and_std(x.transpose(1, 2), valid)


class ExportedMfccCnn(nn.Module):
    """``MfccCnn`` with the same weights.

    Parameters
    ----------
    encoder : MfccCnn
        The encoder.
    """

    def __init__(self, encoder: MfccCnn) -> None:
        super().__init__()
        self.encoder = encoder
        self.mfcc = ExportedLogMel(encoder.mfcc)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        x : Tensor, shape (N, T)
            Waveforms, zero after ``lengths``.
        lengths : Tensor, shape (N,), int64
            Valid samples, crops or rows of each step.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.
        """
        encoder = self.encoder
        mfcc, n_frames = self.mfcc(x, lengths)
        mfcc = mfcc / encoder.mfcc_std
        valid = length_mask(n_frames, mfcc.shape[-1])
        statistics = masked_mean_and_std(mfcc.transpose(1, 2), valid)
        pooled = _convolve_and_pool(mfcc, n_frames, encoder.convolutions, encoder.norms)
        vectors: Tensor = encoder.projection(torch.cat([statistics, pooled], dim=-1))
        return vectors


class ExportedVoiceVector(nn.Module):
    """``VoiceVector`` on waveforms.

    Parameters
    ----------
    encoder : VoiceVector
        The encoder.
    """

    def __init__(self, encoder: VoiceVector) -> None:
        super().__init__()
        self.columns = encoder.columns
        self.log_mel = ExportedLogMel(encoder.log_mel)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        x : Tensor, shape (N, T)
            Waveforms, zero after ``lengths``.
        lengths : Tensor, shape (N,), int64
            Valid samples, crops or rows of each step.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.
        """
        decibels, n_frames = self.log_mel(x, lengths)
        columns = bilinear_weights(n_frames, decibels.shape[-1], self.columns)
        picture: Tensor = (decibels @ columns - LOWEST_DB) / (HIGHEST_DB - LOWEST_DB) * 2 - 1
        return picture.flatten(1)


class ExportedSEResNet(nn.Module):
    """``SEResNet`` with the same weights; padded crops pass through the network and are ignored.

    Parameters
    ----------
    encoder : SEResNet
        The encoder.
    """

    def __init__(self, encoder: SEResNet) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        x : Tensor, shape (N, T, 3, height, width), uint8
            RGB crops.
        lengths : Tensor, shape (N,), int64
            Valid samples, crops or rows of each step.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.
        """
        encoder = self.encoder
        pixels = (x.flatten(0, 1).float() - PIXEL_MEAN) / PIXEL_STD
        maps = encoder.backbone(pixels)
        frames = maps.flatten(1).unflatten(0, (x.shape[0], x.shape[1]))
        statistics = masked_mean_and_std(frames, length_mask(lengths, x.shape[1]))
        statistics = rearrange(statistics, "n (s c p) -> s n c p", s=2, c=maps.shape[1])
        appearance, motion = statistics.mean(dim=-1).unbind(0)
        motion = (motion + MIN_MOTION).log()
        vectors: Tensor = encoder.projection(torch.cat([encoder.norm(appearance), motion], dim=-1))
        return vectors


class ExportedFaceMap(nn.Module):
    """``FaceMap`` on crops.

    Parameters
    ----------
    encoder : FaceMap
        The encoder.
    """

    def __init__(self, encoder: FaceMap) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        x : Tensor, shape (N, T, 3, height, width), uint8
            RGB crops.
        lengths : Tensor, shape (N,), int64
            Valid samples, crops or rows of each step.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.
        """
        weight = length_mask(lengths, x.shape[1]) / lengths.unsqueeze(1)
        mean = (weight[:, :, None, None, None] * x.float()).sum(1)
        return (mean * self.encoder.luma).sum(1).flatten(1) / 127.5 - 1


class ExportedFeatureCnn(nn.Module):
    """``FeatureCnn`` with the same weights.

    Parameters
    ----------
    encoder : FeatureCnn
        The encoder.
    """

    def __init__(self, encoder: FeatureCnn) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Encode steps.

        Parameters
        ----------
        x : Tensor, shape (N, T, F)
            Rows, NaN where invalid.
        lengths : Tensor, shape (N,), int64
            Valid samples, crops or rows of each step.

        Returns
        -------
        Tensor, shape (N, D)
            Vector of each step.
        """
        encoder = self.encoder
        inside = length_mask(lengths, x.shape[1]).unsqueeze(-1)
        valid = ~x.isnan() & ~x.isinf() & inside
        standardised = torch.where(valid, (x - encoder.mean) / encoder.std, 0.0)
        fraction = valid.float().mean(-1, keepdim=True)
        rows = torch.cat([standardised.clamp(-MAX_ABS, MAX_ABS), fraction], dim=-1)
        statistics = masked_mean_and_std(rows, inside.squeeze(-1))
        pooled = _convolve_and_pool(
            rows.transpose(1, 2), lengths, encoder.convolutions, encoder.norms
        )
        vectors: Tensor = encoder.projection(torch.cat([statistics, pooled], dim=-1))
        return vectors


def exported_encoder(name: str, encoder: Encoder, reads_rows: bool = False) -> nn.Module:
    """Return an encoder with tensor operations only.

    Parameters
    ----------
    name : str
        Modality, for messages.
    encoder : Encoder
        The encoder, in evaluation mode.
    reads_rows : bool, default False
        Whether it reads the rows of a stream.

    Returns
    -------
    Module
        Maps values and number of valid values to vectors.

    Raises
    ------
    OnnxError
        If it depends on operations of the host, or on a pre-trained processor.
    """
    match encoder:
        case FeatureCnn():
            return ExportedFeatureCnn(encoder).eval()
        case MfccCnn():
            return ExportedMfccCnn(encoder).eval()
        case VoiceVector() if not reads_rows:
            return ExportedVoiceVector(encoder).eval()
        case SEResNet():
            return ExportedSEResNet(encoder).eval()
        case FaceMap() if not reads_rows:
            return ExportedFaceMap(encoder).eval()
    kind = type(cast(object, encoder)).__name__
    raise OnnxError(
        f"The encoder of {name}, {kind}, cannot be exported to ONNX: it selects samples on the "
        "host, or prepares its input with the processor of a pre-trained model.",
        setting=f"model.encoders.{name}.kind",
        value=kind,
        remedy=f"These can be exported: {SUPPORTED}. Export the run without --onnx.",
    )
