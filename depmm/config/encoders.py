"""Settings of the encoders: one section per encoder of ``depmm.models.encoders``."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from depmm.config.settings import CROP_SIZE, ConfigError, Settings
from depmm.config.signals import EncoderInput

WeightsLayout = Literal["vggface2_bgr", "vggface2_rgb", "torchvision"]

EMBED_DIM = "output size per step"
DROPOUT = "dropout rate before the last linear layer"
N_MFCC = "number of mel-frequency cepstral coefficients (MFCC)"
N_MELS = "number of mel bands from which the MFCC are computed, at least n_mfcc"
WEIGHTS_LAYOUT = (
    "network variant to which the pre-trained weights belong: vggface2_bgr or vggface2_rgb (stride "
    "in the first convolution of a block, 0-255 minus the mean) or torchvision (ImageNet)"
)
FROZEN = "whether the weights of the pre-trained network stay fixed in training"


class EncoderSettings(Settings):
    """Base class of the settings of encoders.

    Attributes
    ----------
    reads : tuple of {"waveform", "crops", "text", "rows"}
        What the encoder reads. An encoder of rows reads a stream that ``data.features`` names.
    """

    reads: ClassVar[tuple[EncoderInput, ...]]


class MfccCnnConfig(EncoderSettings):
    """Small convolutional network on MFCC; not a published system."""

    reads: ClassVar[tuple[EncoderInput, ...]] = ("waveform",)
    kind: Literal["mfcc_cnn"] = Field(description="selects this encoder")
    n_mfcc: int = Field(24, ge=1, description=N_MFCC)
    n_mels: int = Field(64, ge=1, description=N_MELS)
    channels: list[int] = Field(
        [64, 64, 128],
        min_length=1,
        description="output channels of each convolution; each one halves the frame rate",
    )
    embed_dim: int = Field(128, ge=1, description=EMBED_DIM)
    dropout: float = Field(0.1, ge=0, lt=1, description=DROPOUT)


class SEResNetConfig(EncoderSettings):
    """Small SE-ResNet per frame, then mean and standard deviation over the frames of a step."""

    reads: ClassVar[tuple[EncoderInput, ...]] = ("crops",)
    kind: Literal["se_resnet"] = Field(description="selects this encoder")
    blocks: list[int] = Field(
        [1, 1, 1, 1], min_length=1, description="number of residual blocks of each stage"
    )
    channels: list[int] = Field(
        [16, 32, 64, 128], min_length=1, description="output channels of each stage"
    )
    reduction: int = Field(
        8, ge=1, description="reduction ratio of the squeeze-and-excitation bottleneck"
    )
    embed_dim: int = Field(128, ge=1, description=EMBED_DIM)
    dropout: float = Field(0.1, ge=0, lt=1, description=DROPOUT)

    @model_validator(mode="after")
    def _stages_match(self) -> "SEResNetConfig":
        if len(self.blocks) != len(self.channels):
            raise ConfigError(
                f"se_resnet has {len(self.blocks)} entries in blocks but {len(self.channels)} in "
                "channels: give one of each per stage.",
                setting="channels",
                value=self.channels,
            )
        return self


class SpectrogramCnnConfig(EncoderSettings):
    """Six-layer network on a 513 x 125 spectrogram (An et al., 2019)."""

    reads: ClassVar[tuple[EncoderInput, ...]] = ("waveform",)
    kind: Literal["spectrogram_cnn"] = Field(description="selects this encoder")
    seconds: float = Field(
        4.0,
        gt=0.6,
        description="length of the input in seconds; shorter steps are padded with silence",
    )
    channels: list[int] = Field(
        [32, 32], min_length=2, max_length=2, description="filters of the two convolutions"
    )
    embed_dim: int = Field(128, ge=1, description=EMBED_DIM)


class AttentionResNetConfig(EncoderSettings):
    """ResNet with convolutional block attention (CBAM) on MFCC (Lu et al., 2021)."""

    reads: ClassVar[tuple[EncoderInput, ...]] = ("waveform",)
    kind: Literal["attention_resnet"] = Field(description="selects this encoder")
    depth: Literal[18, 34, 50, 101] = Field(18, description="number of layers of the ResNet")
    attention: Literal["inside_blocks", "after_modules", "none"] = Field(
        "inside_blocks",
        description="place of CBAM: inside_blocks (on the residual branch of every block, before "
        "the addition; Sec. 3.4, Fig. 6), after_modules (after each of the five modules; Sec. 3.5) "
        "or none (a plain ResNet)",
    )
    shortcut: Literal["zero_padding", "projection"] = Field(
        "zero_padding",
        description="how shortcuts change the number of channels: zero_padding (Sec. 3.5) or "
        "projection (1 x 1 convolutions, as in the usual ResNets)",
    )
    channels: int = Field(
        64, ge=1, description="output channels of the first module; 64 is the standard ResNet"
    )
    n_mfcc: int = Field(20, ge=1, description=N_MFCC)
    n_mels: int = Field(128, ge=1, description=N_MELS)
    n_fft: int = Field(2048, ge=2, description="length of a frame in samples at 16 kHz")
    hop_length: int = Field(512, ge=1, description="distance of two frames in samples at 16 kHz")


class EmoAudioNetConfig(EncoderSettings):
    """Spectrogram branch and MFCC branch of EmoAudioNet (Othmani et al., 2021)."""

    reads: ClassVar[tuple[EncoderInput, ...]] = ("waveform",)
    kind: Literal["emoaudionet"] = Field(description="selects this encoder")
    branches: list[Literal["spectrogram", "mfcc"]] = Field(
        ["spectrogram", "mfcc"], min_length=1, description="branches that are concatenated"
    )
    channels: int = Field(128, ge=1, description="filters of every convolution")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate before each max-pooling")


class DepNetConfig(EncoderSettings):
    """SE-ResNet-50 and the feature aggregation module of DepNet (He et al., 2021)."""

    reads: ClassVar[tuple[EncoderInput, ...]] = ("crops",)
    kind: Literal["depnet"] = Field(description="selects this encoder")
    squeeze_excitation: bool = Field(
        True, description="whether blocks use squeeze-and-excitation; false: a plain ResNet-50"
    )
    weights_layout: WeightsLayout = Field("vggface2_bgr", description=WEIGHTS_LAYOUT)
    frozen: bool = Field(True, description=FROZEN)
    face_size: int = Field(
        CROP_SIZE,
        ge=32,
        le=CROP_SIZE,
        multiple_of=32,
        description="height and width of the crops in pixels; equal to data.face_size",
    )
    frames: int = Field(
        5,
        ge=1,
        description="number of frames T that are aggregated; longer steps are subsampled, shorter "
        "steps repeat their frames",
    )
    channels: int = Field(32, ge=1, description="filters of each temporal convolution")
    embed_dim: int = Field(64, ge=1, description=EMBED_DIM)
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout rate after the dense layer")


class FrameMeanConfig(EncoderSettings):
    """Mean of the (SE-)ResNet-50 features of the frames, the comparison systems of DepNet."""

    reads: ClassVar[tuple[EncoderInput, ...]] = ("crops",)
    kind: Literal["frame_mean"] = Field(description="selects this encoder")
    squeeze_excitation: bool = Field(
        False, description="whether blocks use squeeze-and-excitation (SE-ResNet-50)"
    )
    weights_layout: WeightsLayout = Field("vggface2_bgr", description=WEIGHTS_LAYOUT)
    frozen: bool = Field(False, description=FROZEN)
    frames: int = Field(5, ge=1, description="largest number of frames that are averaged")


class LoraConfig(Settings):
    """Low-rank adaptation of a pre-trained network (LoRA; Hu et al., 2022)."""

    rank: int = Field(8, ge=1, description="rank of the update of a weight matrix, r in the paper")
    alpha: float = Field(
        16.0, gt=0, description="scale: the update is multiplied by alpha / rank (Sec. 4.1)"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate of the input of the update")
    targets: list[str] = Field(
        [],
        description="names, or last parts of names, of the linear layers that are adapted; "
        "default: all projections of the attention layers",
    )


class PretrainedSettings(EncoderSettings):
    """Base class of the settings of encoders that are a pre-trained transformers model."""

    source: str = Field(description="local folder or hub name of the pre-trained model")
    license: str | None = Field(
        None, description="licence of the pre-trained weights, as their authors state it"
    )
    pretrained_on: list[str] = Field(
        [],
        description="corpora on which the weights were trained: ids of data specs (librispeech, "
        "ravdess, ...) or other names; reports warn if one of them is evaluated. Empty: not stated",
    )
    adaptation: Literal["frozen", "lora", "full"] = Field(
        "frozen",
        description="training of the pre-trained network: frozen (none), lora (low-rank updates, "
        "see lora) or full (all weights)",
    )
    lora: LoraConfig = Field(LoraConfig(), description="settings of adaptation: lora")
    layer: int | None = Field(
        None,
        ge=0,
        description="index of the hidden state that is used (0: the input of the first layer); "
        "default: a learned weighted mean of all hidden states",
    )
    embed_dim: int = Field(128, ge=1, description=EMBED_DIM)
    dropout: float = Field(0.1, ge=0, lt=1, description=DROPOUT)
    architecture: dict[str, Any] = Field(
        {},
        description="config and preprocessing of the pre-trained model, so that a saved run does "
        "not need source; written by depmm, leave it empty",
    )

    @property
    def frozen(self) -> bool:
        """Whether the weights of the pre-trained network stay fixed in training."""
        return self.adaptation == "frozen"

    @model_validator(mode="after")
    def _lora_is_used(self) -> "PretrainedSettings":
        if self.adaptation != "lora" and self.lora != LoraConfig():
            raise ConfigError(
                f"lora is given, but adaptation is {self.adaptation}: set adaptation to lora, or "
                "remove lora.",
                setting="lora",
                value=self.adaptation,
            )
        return self


class SpeechTransformerConfig(PretrainedSettings):
    """Pre-trained speech model of transformers, mean over frames and a linear layer."""

    reads: ClassVar[tuple[EncoderInput, ...]] = ("waveform",)
    kind: Literal["speech_transformer"] = Field(description="selects this encoder")


class LastStateSettings(PretrainedSettings):
    """Base class of pre-trained encoders whose published vector is that of the last layer."""

    layer: int | None = Field(
        -1,
        ge=-1,
        description="index of the hidden state that is used (0: the input of the first layer; -1: "
        "the last one, as published); null: a learned weighted mean of all hidden states",
    )


class ImageTransformerConfig(LastStateSettings):
    """Pre-trained vision model of transformers on each crop; mean and deviation over a step."""

    reads: ClassVar[tuple[EncoderInput, ...]] = ("crops",)
    kind: Literal["image_transformer"] = Field(description="selects this encoder")


class VideoTransformerConfig(LastStateSettings):
    """Pre-trained video model of transformers on the crops of a step, as one clip."""

    reads: ClassVar[tuple[EncoderInput, ...]] = ("crops",)
    kind: Literal["video_transformer"] = Field(description="selects this encoder")


class TextTransformerConfig(LastStateSettings):
    """Pre-trained text model of transformers on the text of a step; mean over its tokens."""

    reads: ClassVar[tuple[EncoderInput, ...]] = ("text",)
    kind: Literal["text_transformer"] = Field(description="selects this encoder")


class VoiceVectorConfig(EncoderSettings):
    """Time-frequency picture of the voice of a step, flattened, as input of DEP-Former.

    Instead of the sound, it reads a stream of the same size, such as that of the release.
    """

    reads: ClassVar[tuple[EncoderInput, ...]] = ("waveform", "rows")
    kind: Literal["voice_vector"] = Field(description="selects this encoder")
    bands: int = Field(25, ge=1, description="mel bands of the picture")
    columns: int = Field(
        40,
        ge=1,
        description="columns of the picture, over the duration of the step; bands * columns "
        "numbers per step (1000 in the release)",
    )


class FaceMapConfig(EncoderSettings):
    """Grey-scale picture of the face of a step, flattened, as input of DEP-Former.

    Instead of the crops, it reads a stream of the same size, such as that of the release.
    """

    reads: ClassVar[tuple[EncoderInput, ...]] = ("crops", "rows")
    kind: Literal["face_map"] = Field(description="selects this encoder")
    face_size: int = Field(
        CROP_SIZE,
        ge=16,
        le=CROP_SIZE,
        description="height and width of the picture in pixels; equal to data.face_size if crops "
        "are read",
    )


class FeatureCnnConfig(EncoderSettings):
    """Convolutional network on features that the corpus provides; not a published system."""

    reads: ClassVar[tuple[EncoderInput, ...]] = ("rows",)
    kind: Literal["feature_cnn"] = Field(description="selects this encoder")
    features: int = Field(ge=1, description="number of features per row of the stream")
    channels: list[int] = Field(
        [64, 64],
        min_length=1,
        description="output channels of each convolution; each one halves the frame rate",
    )
    embed_dim: int = Field(64, ge=1, description=EMBED_DIM)
    dropout: float = Field(0.1, ge=0, lt=1, description=DROPOUT)


EncoderConfig = Annotated[
    MfccCnnConfig
    | SpeechTransformerConfig
    | ImageTransformerConfig
    | VideoTransformerConfig
    | TextTransformerConfig
    | VoiceVectorConfig
    | FaceMapConfig
    | SpectrogramCnnConfig
    | AttentionResNetConfig
    | EmoAudioNetConfig
    | SEResNetConfig
    | DepNetConfig
    | FrameMeanConfig
    | FeatureCnnConfig,
    Field(discriminator="kind"),
]
