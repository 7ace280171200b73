"""Preprocessing of pre-trained speech models, on the device of the waveform.

The parameters, filters and windows are those of the feature extractor of the model, an object of
the transformers library that is built from the config of the model. Only the computation is written
here again, for batches on the device, in float32; tests compare it with the feature extractor.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn

from depmm.config import SAMPLE_RATE
from depmm.models.encoders.architecture_checks import check_sizes
from depmm.models.errors import ModelError
from depmm.models.host import Lengths, to_device
from depmm.models.masking import masked_mean, padding_mask

VARIANCE_EPS = 1e-7  # of the published feature extractors


@dataclass(frozen=True)
class SpeechFeatures:
    """Input of a speech model.

    Attributes
    ----------
    values : Tensor, shape (M, T) or (M, T, F) or (M, F, T)
        Samples, or frames of a spectrogram.
    lengths : ndarray of int, shape (M,)
        Valid positions of each row.
    n_positions : int
        Padded positions, `T`.
    step : ndarray of int, shape (M,)
        Step of each row; a long step may have several.
    mask : Tensor, shape (M, T), int, or None, default None
        Mask that the feature extractor returns; None: that of ``lengths``.
    """

    values: Tensor
    lengths: Lengths
    n_positions: int
    step: NDArray[np.int64]
    mask: Tensor | None = None


class SpeechPreprocessing(nn.Module, ABC):
    """Base class of the preprocessing.

    Parameters
    ----------
    extractor : FeatureExtractor
        Feature extractor of transformers.

    Attributes
    ----------
    input_name : str
        Argument of the network that receives the values.
    shortest : int
        Smallest number of samples, 0.1 s by default; shorter steps are padded with silence.
    one_size : bool
        Whether all rows have the same number of positions, of any steps.
    """

    input_name: str
    shortest: int
    one_size = False

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.input_name = extractor.model_input_names[0]
        self.shortest = SAMPLE_RATE // 10

    def forward(self, waveform: Tensor, lengths: Lengths) -> SpeechFeatures:
        """Convert waveforms to the input of the network.

        Parameters
        ----------
        waveform : Tensor, shape (N, T)
            Padded samples of each step, in [-1, 1] at 16 kHz.
        lengths : ndarray of int, shape (N,)
            Valid samples of each step, at least 1.

        Returns
        -------
        SpeechFeatures
            Independent of the padding.
        """
        size = max(int(lengths.max()), self.shortest)
        waveform = nn.functional.pad(waveform, (0, max(0, size - waveform.shape[1])))[:, :size]
        # below float32, quiet frames would be shifted by decibels
        with torch.autocast(waveform.device.type, enabled=False):
            return self.extract(waveform.float(), lengths)

    @abstractmethod
    def extract(self, waveform: Tensor, lengths: Lengths) -> SpeechFeatures:
        """Convert waveforms of at least ``shortest`` samples, as ``forward``.

        Parameters
        ----------
        waveform : Tensor, shape (N, T)
            Samples; those after the end of a step are not zero.
        lengths : ndarray of int, shape (N,)
            Valid samples of each step.

        Returns
        -------
        SpeechFeatures
            Values and their lengths.
        """


class Samples(SpeechPreprocessing):
    """Samples, normalised per step if the model requires it (``Wav2Vec2FeatureExtractor``).

    Parameters
    ----------
    extractor : Wav2Vec2FeatureExtractor
        Feature extractor of the model.
    """

    def __init__(self, extractor: Any) -> None:
        super().__init__(extractor)
        self.normalize = extractor.do_normalize

    def extract(self, waveform: Tensor, lengths: Lengths) -> SpeechFeatures:
        """Shift and scale each step to mean 0 and variance 1.

        Parameters
        ----------
        waveform : Tensor, shape (N, T)
            Samples.
        lengths : ndarray of int, shape (N,)
            Valid samples of each step.

        Returns
        -------
        SpeechFeatures
            Samples, shape (N, T); zero after the end of a step.
        """
        valid = padding_mask(lengths, waveform.shape[1], waveform.device)
        if self.normalize:
            waveform = standardize(waveform.unsqueeze(-1), valid, correction=0).squeeze(-1)
        if valid is not None:
            waveform = waveform.masked_fill(~valid, 0.0)
        used = np.maximum(lengths, self.shortest)
        return SpeechFeatures(waveform, used, waveform.shape[1], np.arange(len(lengths)))


def standardize(x: Tensor, valid: Tensor | None, correction: int) -> Tensor:
    """Shift and scale each feature of each row to mean 0 and variance 1 over its valid positions.

    Parameters
    ----------
    x : Tensor, shape (N, T, F)
        Values.
    valid : Tensor, shape (N, T), bool, or None
        Valid positions; None if all are.
    correction : int
        Subtracted from the number of positions in the variance.

    Returns
    -------
    Tensor, shape (N, T, F)
        Values at invalid positions are not meaningful.
    """
    centred = x - masked_mean(x, valid).unsqueeze(1)
    variance = masked_mean(centred.square(), valid).unsqueeze(1)
    if correction:
        count = x.shape[1] if valid is None else valid.sum(dim=1).view(-1, 1, 1)
        variance = variance * (count / (count - correction))
    return centred / (variance + VARIANCE_EPS).sqrt()


class KaldiMel(SpeechPreprocessing):
    """Log-mel frames as in Kaldi, normalised per step (``SeamlessM4TFeatureExtractor``, w2v-BERT).

    Parameters
    ----------
    extractor : SeamlessM4TFeatureExtractor
        Feature extractor of the model.
    """

    # constants of SeamlessM4TFeatureExtractor._extract_fbank_features
    frame_length, hop_length, n_fft = 400, 160, 512
    preemphasis, mel_floor, full_scale = 0.97, 1.192092955078125e-07, 2.0**15

    def __init__(self, extractor: Any) -> None:
        super().__init__(extractor)
        self.stride = extractor.stride
        # two frames for a variance, and one frame of the network
        self.shortest = self.frame_length + self.hop_length * (max(2, self.stride) - 1)
        self.register_buffer("window", torch.tensor(extractor.window, dtype=torch.float32))
        self.register_buffer("mel", torch.tensor(extractor.mel_filters, dtype=torch.float32))

    def extract(self, waveform: Tensor, lengths: Lengths) -> SpeechFeatures:
        """Compute log-mel frames and join neighbouring ones.

        Parameters
        ----------
        waveform : Tensor, shape (N, T)
            Samples.
        lengths : ndarray of int, shape (N,)
            Valid samples of each step.

        Returns
        -------
        SpeechFeatures
            Frames, shape (N, T', stride * n_mels).
        """
        used = np.maximum(lengths, self.shortest)
        sound = padding_mask(lengths, waveform.shape[1], waveform.device)
        if sound is not None:
            waveform = waveform.masked_fill(~sound, 0.0)
        frames = (waveform * self.full_scale).unfold(1, self.frame_length, self.hop_length)
        frames = frames - frames.mean(dim=-1, keepdim=True)
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        frames = (frames - self.preemphasis * previous) * cast(Tensor, self.window)
        power = torch.fft.rfft(frames, n=self.n_fft).abs().square()
        mel = (power @ cast(Tensor, self.mel)).clamp(min=self.mel_floor).log()
        n_frames = 1 + (used - self.frame_length) // self.hop_length
        valid = padding_mask(n_frames, mel.shape[1], mel.device)
        mel = standardize(mel, valid, correction=1)
        # a last frame without a neighbour is left out, as by the mask of the extractor
        size = mel.shape[1] // self.stride
        values = rearrange(mel[:, : size * self.stride], "n (t s) f -> n t (s f)", s=self.stride)
        return SpeechFeatures(values, n_frames // self.stride, size, np.arange(len(lengths)))


class WindowedMel(SpeechPreprocessing):
    """Log-mel frames of windows of 30 s, padded with silence (``WhisperFeatureExtractor``).

    A longer step has several windows; the extractor of transformers would cut it off.

    Parameters
    ----------
    extractor : WhisperFeatureExtractor
        Feature extractor of the model.
    """

    one_size = True

    def __init__(self, extractor: Any) -> None:
        super().__init__(extractor)
        self.n_fft, self.hop_length = extractor.n_fft, extractor.hop_length
        self.n_samples, self.shortest = extractor.n_samples, 1
        self.register_buffer("window", torch.hann_window(self.n_fft))
        self.register_buffer("mel", torch.tensor(extractor.mel_filters, dtype=torch.float32))

    def extract(self, waveform: Tensor, lengths: Lengths) -> SpeechFeatures:
        """Compute log-mel frames of each window, relative to its loudest value.

        Parameters
        ----------
        waveform : Tensor, shape (N, T)
            Samples.
        lengths : ndarray of int, shape (N,)
            Valid samples of each step.

        Returns
        -------
        SpeechFeatures
            Frames, shape (M, n_mels, T').
        """
        sound = padding_mask(lengths, waveform.shape[1], waveform.device)
        if sound is not None:
            waveform = waveform.masked_fill(~sound, 0.0)
        n_windows = -(-waveform.shape[1] // self.n_samples)
        waveform = nn.functional.pad(waveform, (0, n_windows * self.n_samples - waveform.shape[1]))
        step, window = np.nonzero(np.arange(n_windows) * self.n_samples < lengths[:, None])
        rows = to_device(step * n_windows + window, waveform.device)
        windows = waveform.reshape(-1, self.n_samples)[rows]
        spectrum = torch.stft(
            windows,
            self.n_fft,
            self.hop_length,
            window=cast(Tensor, self.window),
            return_complex=True,
        )
        power = spectrum[..., :-1].abs().square()
        log_mel = (cast(Tensor, self.mel).T @ power).clamp(min=1e-10).log10()
        log_mel = torch.maximum(log_mel, log_mel.amax(dim=(1, 2), keepdim=True) - 8.0)
        rest = np.minimum(lengths[step] - window * self.n_samples, self.n_samples)
        return SpeechFeatures(
            (log_mel + 4.0) / 4.0, -(-rest // self.hop_length), log_mel.shape[2], step
        )


class HostFeatures(SpeechPreprocessing):
    """Features of any other feature extractor, which computes on the host.

    The forward pass waits for the device, so that this is meant for precomputed embeddings.

    Parameters
    ----------
    extractor : FeatureExtractor
        Feature extractor of transformers.
    """

    def __init__(self, extractor: Any) -> None:
        super().__init__(extractor)
        self.extractor = extractor

    def extract(self, waveform: Tensor, lengths: Lengths) -> SpeechFeatures:
        """Compute the features of steps of equal length.

        Parameters
        ----------
        waveform : Tensor, shape (N, T)
            Samples.
        lengths : ndarray of int, shape (N,)
            Valid samples of each step.

        Returns
        -------
        SpeechFeatures
            As the extractor returns them.
        """
        size = max(int(lengths.max()), self.shortest)
        rows = zip(waveform.cpu().numpy(), lengths, strict=True)
        sounds = [np.pad(row[:n], (0, size - n)) for row, n in rows]
        inputs = self.extractor(sounds, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        values = inputs[self.input_name].to(waveform.device)
        mask = inputs.get("attention_mask")
        n_positions = values.shape[1]
        return SpeechFeatures(
            values,
            np.full(len(lengths), n_positions),
            n_positions,
            np.arange(len(lengths)),
            None if mask is None else mask.to(waveform.device),
        )


EXTRACTORS: dict[str, type[SpeechPreprocessing]] = {
    "Wav2Vec2FeatureExtractor": Samples,
    "SeamlessM4TFeatureExtractor": KaldiMel,
    "WhisperFeatureExtractor": WindowedMel,
}


def build_preprocessing(source: str, processor: dict[str, Any]) -> SpeechPreprocessing:
    """Build the preprocessing of a model.

    Parameters
    ----------
    source : str
        Name of the model, for messages.
    processor : dict
        Config of its feature extractor.

    Returns
    -------
    SpeechPreprocessing
        The preprocessing.

    Raises
    ------
    ModelError
        If the feature extractor cannot be built, has too large sizes, or expects another sampling
        rate than 16 kHz.
    """
    check_sizes(processor)
    extractor = _build_extractor(source, processor)
    if extractor.sampling_rate != SAMPLE_RATE:
        raise ModelError(
            f"speech_transformer: {source} expects audio at {extractor.sampling_rate} Hz, but "
            f"stored audio has {SAMPLE_RATE} Hz. Choose a model for {SAMPLE_RATE} Hz.",
            setting="source",
            value=extractor.sampling_rate,
        )
    return EXTRACTORS.get(type(extractor).__name__, HostFeatures)(extractor)


def _build_extractor(source: str, processor: dict[str, Any]) -> Any:
    from transformers import SequenceFeatureExtractor
    from transformers.models.auto.feature_extraction_auto import feature_extractor_class_from_name

    values = dict(processor)
    name = str(values.pop("feature_extractor_type", None))
    extractor_class: Any = feature_extractor_class_from_name(name)
    known = isinstance(extractor_class, type)
    if not (known and issubclass(extractor_class, SequenceFeatureExtractor)):
        raise ModelError(
            f"speech_transformer: {name}, the feature extractor of {source}, is not one of audio "
            "in transformers. Choose another model.",
            setting="source",
            value=name,
        )
    return extractor_class(**values)
