"""Build an encoder from its settings."""

from typing import Any

from pydantic import TypeAdapter

from depmm.config import (
    AttentionResNetConfig,
    DepNetConfig,
    EmoAudioNetConfig,
    EncoderConfig,
    FaceMapConfig,
    FeatureCnnConfig,
    FrameMeanConfig,
    ImageTransformerConfig,
    MfccCnnConfig,
    PretrainedSettings,
    SEResNetConfig,
    SpectrogramCnnConfig,
    SpeechTransformerConfig,
    TextTransformerConfig,
    VideoTransformerConfig,
    VoiceVectorConfig,
)
from depmm.models.encoders.attention_resnet import AttentionResNet
from depmm.models.encoders.depnet import DepNet, FrameMean
from depmm.models.encoders.emoaudionet import EmoAudioNet
from depmm.models.encoders.encoder import Encoder
from depmm.models.encoders.feature_cnn import FeatureCnn
from depmm.models.encoders.image_transformer import ImageTransformer
from depmm.models.encoders.mfcc_cnn import MfccCnn
from depmm.models.encoders.pretrained import PretrainedEncoder
from depmm.models.encoders.released_inputs import FaceMap, VoiceVector
from depmm.models.encoders.se_resnet import SEResNet
from depmm.models.encoders.spectrogram_cnn import SpectrogramCnn
from depmm.models.encoders.speech_transformer import SpeechTransformer
from depmm.models.encoders.text_transformer import TextTransformer
from depmm.models.encoders.video_transformer import VideoTransformer

# facts about pre-trained weights, which the encoder does not use
FACTS = ("license", "pretrained_on")
# encoders whose architecture is that of a pre-trained model
PRETRAINED: dict[type[PretrainedSettings], type[PretrainedEncoder]] = {
    SpeechTransformerConfig: SpeechTransformer,
    ImageTransformerConfig: ImageTransformer,
    VideoTransformerConfig: VideoTransformer,
    TextTransformerConfig: TextTransformer,
}


def build_encoder(values: dict[str, Any]) -> Encoder:
    """Build an encoder from its settings.

    Parameters
    ----------
    values : dict
        Settings as in ``EncoderConfig``, with ``kind``.

    Returns
    -------
    Encoder
        With random weights; ``Encoder.load_pretrained`` loads those of a pre-trained model.
    """
    settings = TypeAdapter(EncoderConfig).validate_python(values)
    arguments = settings.model_dump(exclude={"kind", *FACTS})
    match settings:
        case MfccCnnConfig():
            return MfccCnn(**arguments)
        case SpectrogramCnnConfig():
            return SpectrogramCnn(**arguments)
        case AttentionResNetConfig():
            return AttentionResNet(**arguments)
        case EmoAudioNetConfig():
            return EmoAudioNet(**arguments)
        case SEResNetConfig():
            return SEResNet(**arguments)
        case DepNetConfig():
            return DepNet(**arguments)
        case FrameMeanConfig():
            return FrameMean(**arguments)
        case FaceMapConfig():
            return FaceMap(**arguments)
        case VoiceVectorConfig():
            return VoiceVector(**arguments)
        case PretrainedSettings():
            return PRETRAINED[type(settings)](**arguments)
        case FeatureCnnConfig():
            return FeatureCnn(**arguments)
    raise AssertionError(settings)


def complete_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Add the architecture of a pre-trained model, so that a saved model does not need its files.

    Parameters
    ----------
    values : dict
        Settings of an encoder.

    Returns
    -------
    dict
        The same settings, with ``architecture`` if the encoder is a pre-trained model.

    Raises
    ------
    ModelError
        If the pre-trained model cannot be read or used.
    """
    settings = TypeAdapter(EncoderConfig).validate_python(values)
    if isinstance(settings, PretrainedSettings) and not settings.architecture:
        encoder = PRETRAINED[type(settings)]
        return values | {"architecture": encoder.describe(settings.source)}
    return values
