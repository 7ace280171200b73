"""Preprocessing of pre-trained speech models, on the device of the waveform.

The parameters, filters and windows are those of the feature extractor of the model, an object of
the transformers library that is built from the config of the model. Only the computation is written
here again, for batches on the device, in float32; tests compare it with the feature extractor.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from depmm.config import SAMPLE_RATE
from depmm.models.errors import ModelError
from depmm.models.host import Lengths
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
    """

    values: Tensor
    lengths: Lengths
    n_positions: int
    step: NDArray[np.int64]


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
        Smallest number of samples; shorter steps are padded with silence.
    """

    input_name: str
    shortest: int

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.input_name = extractor.model_input_names[0]
        self.shortest = 1

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


EXTRACTORS: dict[str, type[SpeechPreprocessing]] = {"Wav2Vec2FeatureExtractor": Samples}


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
        If the feature extractor is unknown, or expects another sampling rate than 16 kHz.
    """
    name = str(processor.get("feature_extractor_type"))
    if name not in EXTRACTORS:
        raise ModelError(
            f"speech_transformer: {source} has the feature extractor {name}, but only "
            f"{', '.join(EXTRACTORS)} can be computed on the device. Choose another model.",
            setting="source",
            value=name,
        )
    extractor = build_extractor(processor)
    if extractor.sampling_rate != SAMPLE_RATE:
        raise ModelError(
            f"speech_transformer: {source} expects audio at {extractor.sampling_rate} Hz, but "
            f"stored audio has {SAMPLE_RATE} Hz. Choose a model for {SAMPLE_RATE} Hz.",
            setting="source",
            value=extractor.sampling_rate,
        )
    return EXTRACTORS[name](extractor)


def build_extractor(processor: dict[str, Any]) -> Any:
    """Build a feature extractor of transformers.

    Parameters
    ----------
    processor : dict
        Its config.

    Returns
    -------
    FeatureExtractor
        The feature extractor.
    """
    from transformers.models.auto.feature_extraction_auto import feature_extractor_class_from_name

    values = dict(processor)
    extractor_class: Any = feature_extractor_class_from_name(values.pop("feature_extractor_type"))
    return extractor_class(**values)
