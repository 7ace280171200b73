"""Every setting of depmm, once: typed and strict, from YAML files and ``key=value`` words.

A config file may name a ``base:`` (a path relative to itself); what it states then replaces the
base's value, mapping by mapping. Nothing is guessed: an unknown key, a wrong type or settings that
contradict each other stop the run and say what was meant.
"""

import difflib
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from depmm.errors import DepmmError

SAMPLE_RATE = 16_000  # Hz, every waveform in the project
CROP_SIZE = 224  # pixels, every stored face crop (height and width)
MODALITIES = ("audio", "face")
Modality = Literal["audio", "face"]


class ConfigError(DepmmError):
    """A setting that cannot be used; the message names it, its file and the remedy."""


class Settings(BaseModel):
    """Base of every section: unknown keys and silent conversions are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Section = TypeVar("Section", bound=Settings)
Kind = TypeVar("Kind", bound="Experiment")
File = Annotated[Path, Field(strict=False)]  # YAML has no paths: a text will do


# ---- recordings -> store ---------------------------------------------------------------------


class Validity(Settings):
    """Rows that count: a column has to reach a value (``success`` 1, ``confidence`` 0.5)."""

    column: str
    at_least: float
    columns: list[str] = Field([], description="only these become invalid; none named: the row")


class StreamConfig(Settings):
    """A file of features: numbers per frame that a corpus ships in place of a recording."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    rate_hz: float = Field(gt=0, description="rows per second")
    format: Literal["table", "npy", "mat"] = "table"
    sep: str = Field(",", min_length=1, max_length=1, description="table: as in tables:")
    header: bool = Field(True, description="table: the first row names the columns")
    columns: list[str] = Field([], description="names of the numbers, where the file has none")
    time: str | None = Field(None, description="table: column with seconds; none: row / rate_hz")
    drop: list[str] = Field([], description="table: columns that are no features; * for any text")
    valid: list[Validity] = Field([], description="rules; what is not finite is never valid")
    axis: int = Field(0, ge=0, description="npy, mat: axis of the rows; the others are flattened")
    variable: str | None = Field(None, description="mat: name of the array")

    @model_validator(mode="after")
    def _format_has_what_it_needs(self) -> "StreamConfig":
        if self.format == "table":
            if self.header == bool(self.columns):
                raise ValueError("columns: goes with header: false, and is needed there")
            if self.axis or self.variable:
                raise ValueError("axis: and variable: belong to format npy or mat")
        elif self.time or self.drop or self.sep != "," or not self.header:
            raise ValueError("time:, drop:, sep: and header: belong to format table")
        if (self.format == "mat") != (self.variable is not None):
            raise ValueError("variable: goes with format mat, and is needed there")
        return self


class AudioExtraction(Settings):
    """How a sound track becomes a waveform and its speech segments."""

    silence_db: float = Field(-35.0, lt=0, description="below the loud level of the file: silence")
    min_silence_s: float = Field(0.5, gt=0, description="shorter pauses belong to speech")


class FaceExtraction(Settings):
    """How a video becomes aligned 224 x 224 crops."""

    frames_per_second: float = Field(5.0, gt=0, le=120)
    min_confidence: float = Field(0.5, ge=0, le=1, description="below: the frame is masked")
    jpeg_quality: int = Field(90, ge=1, le=100)


class ExtractConfig(Settings):
    """Everything that changes the bytes of the store; its hash is part of every file name."""

    audio: AudioExtraction = AudioExtraction()
    face: FaceExtraction = FaceExtraction()


# ---- manifest + store -> batches -------------------------------------------------------------


class TargetConfig(Settings):
    """What is predicted, from which column of ``sessions.parquet``.

    With ``positive`` and ``negative`` given, a session whose value is in neither list is left out
    (and counted); without them the column must already hold 0 and 1.
    """

    kind: Literal["binary", "severity", "levels"] = Field(
        "binary", description="levels: the bands of the instrument, 0 ... K-1, from its score"
    )
    column: str = "label"
    positive: list[str] = []
    negative: list[str] = []
    range: list[float] = Field(
        [], description="severity of a column that no instrument measured: lowest and highest"
    )
    output: Literal["number", "classes", "ordinal"] = Field(
        "number", description="how a score or level is predicted (models/heads.py)"
    )

    @model_validator(mode="after")
    def _classes_are_complete(self) -> "TargetConfig":
        if bool(self.positive) != bool(self.negative):
            raise ValueError("target.positive and target.negative are given together or not at all")
        if both := sorted(set(self.positive) & set(self.negative)):
            raise ValueError(f"target: {both} stand in both positive and negative")
        if self.kind != "binary" and self.positive:
            raise ValueError(
                f"target.kind {self.kind} predicts a number: drop target.positive/negative"
            )
        if self.kind == "binary" and self.output != "number":
            raise ValueError(f"target.output {self.output} needs target.kind severity or levels")
        if self.range and (
            self.kind != "severity" or len(self.range) != 2 or not self.range[0] < self.range[1]
        ):
            raise ValueError(
                f"target.range is {self.range}: give the lowest and the highest value of a "
                "target.kind severity, as [0, 63]"
            )
        return self


class SplitConfig(Settings):
    """Who is trained on, who chooses the epoch and threshold, who is tested. Always by subject."""

    kind: Literal["official", "k_fold", "leave_one_subject_out", "file"] = "k_fold"
    folds: int = Field(5, ge=2, description="k_fold only")
    repeats: int = Field(1, ge=1, description="k_fold only: deal the people this many times")
    fold: int = Field(0, ge=0, description="the fold that is tested; repeats count on")
    file: File | None = Field(None, description="kind file: what depmm split has written")
    stratify_by: list[Literal["label", "gender", "corpus"]] = Field(
        ["label", "gender", "corpus"], description="what folds and validation share out evenly"
    )
    validation: float = Field(0.2, gt=0, lt=1, description="share of the other subjects")
    seed: int = 0

    @model_validator(mode="after")
    def _settings_fit_together(self) -> "SplitConfig":
        if len(set(self.stratify_by)) != len(self.stratify_by):
            raise ValueError(f"split.stratify_by repeats an entry: {self.stratify_by}")
        if (self.file is None) == (self.kind == "file"):
            raise ValueError("split.file and split.kind file are given together or not at all")
        if self.repeats > 1 and self.kind != "k_fold":
            raise ValueError(
                f"split.repeats is {self.repeats}, but split.kind {self.kind} deals nobody: set "
                "split.kind to k_fold, or split.repeats to 1"
            )
        return self


class AugmentConfig(Settings):
    """Changes to training copies only; each draw depends on (seed, epoch, session) alone."""

    keep_steps: float = Field(
        1.0, gt=0, le=1, description="keep a random share of steps, from this"
    )
    modality_dropout: float = Field(
        0.0, ge=0, lt=1, description="P(one of several modalities hidden)"
    )
    gain_db: float = Field(0.0, ge=0, description="random gain within +- this")
    noise: float = Field(0.0, ge=0, description="white noise, up to this share of the RMS")
    pitch_semitones: list[float] = Field(
        [], description="shift the pitch of a session by one of these, up or down, or not at all"
    )
    flip: bool = Field(False, description="mirror all faces of a session with P = 1/2")


class StepsConfig(Settings):
    """Which steps of the manifest take part, by task and valence; an empty list asks for nothing.

    The others count as missing: a model that reads steps at their places finds these empty.
    """

    task: list[str] = []
    valence: list[Literal["negative", "neutral", "positive"]] = []


class DataConfig(Settings):
    """Where manifest and store lie, which steps take part and how much of a step a model sees."""

    manifest: File
    store: File
    modalities: list[Modality] = Field(["audio", "face"], min_length=1)
    steps: StepsConfig = StepsConfig()
    max_audio_s: float = Field(4.0, gt=0, description="longer steps are cut to this")
    remove_silence: bool = Field(False, description="give a model the speech of a step only")
    frames_per_step: int = Field(4, ge=1)
    face_size: int = Field(CROP_SIZE, ge=16, le=CROP_SIZE, description="pixels given to the model")
    max_steps: int = Field(512, ge=1, description="longer sessions are refused, never cut")
    features: dict[Modality, str] = Field(
        {}, description="read this stream of the corpus in place of the signal"
    )
    max_rows: int = Field(1000, ge=1, description="longer steps of features are cut to this")
    precompute_embeddings: list[Modality] = Field(
        [], description="run the frozen encoder of these once and train on its kept output"
    )
    augment: AugmentConfig = AugmentConfig()
    workers: int = Field(0, ge=0, description="loader processes")

    @model_validator(mode="after")
    def _modalities_are_distinct(self) -> "DataConfig":
        if len(set(self.modalities)) != len(self.modalities):
            raise ValueError(f"data.modalities repeats an entry: {self.modalities}")
        if unknown := sorted(set(self.precompute_embeddings) - set(self.modalities)):
            raise ValueError(
                f"data.precompute_embeddings names {unknown[0]}, which data.modalities does not"
            )
        signal = {"audio": ("gain_db", "noise", "pitch_semitones"), "face": ("flip",)}
        if unknown := sorted(set(self.features) - set(self.modalities)):
            raise ValueError(f"data.features names {unknown[0]}, which data.modalities does not")
        if both := sorted(set(self.features) & set(self.precompute_embeddings)):
            raise ValueError(
                f"data.features and data.precompute_embeddings both name {both[0]}: drop one"
            )
        for where, names in (
            ("precompute_embeddings", self.precompute_embeddings),
            ("features", self.features),
        ):
            for name in names:
                if changed := [key for key in signal[name] if getattr(self.augment, key)]:
                    raise ValueError(
                        f"data.augment.{changed[0]} changes the signal of {name}, but data.{where} "
                        f"takes {name} as it is: drop one of the two"
                    )
        return self


# ---- batches -> predictions ------------------------------------------------------------------


class MfccCnnConfig(Settings):
    """Small convolutional network on MFCC (models/encoders/mfcc_cnn.py)."""

    kind: Literal["mfcc_cnn"]
    n_mfcc: int = Field(24, ge=1)
    n_mels: int = Field(64, ge=1)
    channels: list[int] = Field([64, 64, 128], min_length=1)
    embed_dim: int = Field(128, ge=1, description="output width per step")
    dropout: float = Field(0.1, ge=0, lt=1)


class SEResNetConfig(Settings):
    """SE-ResNet over frames, then temporal aggregation (models/encoders/se_resnet.py)."""

    kind: Literal["se_resnet"]
    blocks: list[int] = Field([1, 1, 1, 1], min_length=1)
    channels: list[int] = Field([16, 32, 64, 128], min_length=1)
    reduction: int = Field(8, ge=1, description="squeeze-and-excitation bottleneck")
    embed_dim: int = Field(128, ge=1, description="output width per step")
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _stages_match(self) -> "SEResNetConfig":
        if len(self.blocks) != len(self.channels):
            raise ValueError(
                f"se_resnet: {len(self.blocks)} blocks but {len(self.channels)} channels"
            )
        return self


class SpectrogramCnnConfig(Settings):
    """Six layers on a 513 x 125 spectrogram (models/encoders/spectrogram_cnn.py)."""

    kind: Literal["spectrogram_cnn"]
    seconds: float = Field(4.0, gt=0.6, description="length of a segment")
    channels: list[int] = Field([32, 32], min_length=2, max_length=2)
    embed_dim: int = Field(128, ge=1)


class AttentionResNetConfig(Settings):
    """ResNet with CBAM on MFCC (models/encoders/attention_resnet.py)."""

    kind: Literal["attention_resnet"]
    depth: Literal[18, 34, 50, 101] = 18
    attention: bool = True
    channels: int = Field(64, ge=1, description="of the first module; 64 is the standard ResNet")
    n_mfcc: int = Field(20, ge=1)
    n_mels: int = Field(128, ge=1)
    n_fft: int = Field(2048, ge=2, description="samples")
    hop_length: int = Field(512, ge=1, description="samples")


class EmoAudioNetConfig(Settings):
    """Spectrogram branch and MFCC branch (models/encoders/emoaudionet.py)."""

    kind: Literal["emoaudionet"]
    branches: list[Literal["spectrogram", "mfcc"]] = Field(["spectrogram", "mfcc"], min_length=1)
    embed_dim: int = Field(10, ge=1)
    channels: int = Field(128, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)


class DepNetConfig(Settings):
    """SE-ResNet-50 and the feature aggregation module (models/encoders/depnet.py)."""

    kind: Literal["depnet"]
    squeeze_excitation: bool = Field(
        True, description="squeeze-and-excitation; False: plain ResNet-50"
    )
    weights_layout: Literal["vggface2_bgr", "vggface2_rgb", "torchvision"] = "vggface2_bgr"
    frozen: bool = True
    face_size: int = Field(CROP_SIZE, ge=32, le=CROP_SIZE, multiple_of=32)
    frames: int = Field(5, ge=1)
    channels: int = Field(32, ge=1)
    embed_dim: int = Field(64, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)


class FrameMeanConfig(Settings):
    """(SE-)ResNet-50 features averaged over frames (models/encoders/depnet.py)."""

    kind: Literal["frame_mean"]
    squeeze_excitation: bool = False
    weights_layout: Literal["vggface2_bgr", "vggface2_rgb", "torchvision"] = "vggface2_bgr"
    frozen: bool = False
    frames: int = Field(5, ge=1)


class SpeechTransformerConfig(Settings):
    """Wav2vec 2.0, HuBERT or WavLM (models/encoders/speech_transformer.py)."""

    kind: Literal["speech_transformer"]
    source: str = Field(description="local folder or hub name of the pre-trained model")
    frozen: bool = True
    layer: int | None = Field(None, ge=0, description="hidden state to use; None: a learned mix")
    embed_dim: int = Field(128, ge=1, description="output width per step")
    dropout: float = Field(0.1, ge=0, lt=1)
    architecture: dict[str, Any] = Field(
        {}, description="written by build_model: what a saved run needs to be built offline"
    )


class VoiceVectorConfig(Settings):
    """A step's waveform as one vector, as in DEP-Former's release."""

    kind: Literal["voice_vector"]
    points: int = Field(1000, ge=1)


class FaceMapConfig(Settings):
    """A step's mean grey face as one vector, likewise (models/encoders/released_inputs.py)."""

    kind: Literal["face_map"]
    face_size: int = Field(CROP_SIZE, ge=16, le=CROP_SIZE)


class FeatureCnnConfig(Settings):
    """Convolutional network on features that the corpus ships (models/encoders/feature_cnn.py)."""

    kind: Literal["feature_cnn"]
    features: int = Field(ge=1, description="numbers per row of the stream")
    channels: list[int] = Field([64, 64], min_length=1)
    embed_dim: int = Field(64, ge=1, description="output width per step")
    dropout: float = Field(0.1, ge=0, lt=1)


FACE_ENCODERS = (SEResNetConfig, DepNetConfig, FrameMeanConfig, FaceMapConfig)

EncoderConfig = Annotated[
    MfccCnnConfig
    | SpeechTransformerConfig
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


class DepFormerConfig(Settings):
    """The five parts of DEP-Former; defaults are the release's sizes."""

    kind: Literal["dep_former"]
    adapter_hidden_dim: int = Field(1000, ge=1)
    adapter_dim: int = Field(128, ge=1)
    embed_dim: int = Field(224, ge=2)
    n_heads: int = Field(8, ge=1)
    head_dim: int = Field(64, ge=1)
    ffn_dim: int = Field(32, ge=1)
    stacks: list[int] = Field([3, 2, 1], min_length=1, description="attention layers per stack")
    sampling_factor: int = Field(5, ge=1, description="c of u = c ln L; u >= L is dense attention")
    dropout: float = Field(0.1, ge=0, lt=1)
    adapter: bool = Field(True, description="False: encoded steps go to the encoders as they are")
    share_indices: bool = True
    cross_attention: Literal["audio_query", "face_query", "none"] = "audio_query"
    fusion_weights: Literal["bernoulli", "fixed"] = "bernoulli"
    fixed_steps: int | None = Field(
        None,
        ge=1,
        description="everybody reads so many steps in one order, and each place has weights of its "
        "own; default: any number of steps, the mean over places",
    )


class MeanPoolConfig(Settings):
    """Masked mean over steps and modalities, no interaction (late fusion)."""

    kind: Literal["mean_pool"]
    dropout: float = Field(0.1, ge=0, lt=1)


FusionConfig = Annotated[DepFormerConfig | MeanPoolConfig, Field(discriminator="kind")]


class ModelConfig(Settings):
    """One encoder per modality, then the fusion of steps and modalities."""

    encoders: dict[Modality, EncoderConfig] = Field(min_length=1)
    fusion: FusionConfig
    subtract_session_mean: bool = Field(
        False, description="give the fusion each step minus the session's mean step"
    )
    auxiliary_step_head: bool = Field(
        False, description="predict from single steps too, for the step loss"
    )

    @property
    def fixed_steps(self) -> int | None:
        """Steps that every session must have; None: any number."""
        return self.fusion.fixed_steps if isinstance(self.fusion, DepFormerConfig) else None

    @model_validator(mode="after")
    def _something_is_left_to_pool(self) -> "ModelConfig":
        if self.subtract_session_mean and isinstance(self.fusion, MeanPoolConfig):
            raise ValueError(
                "model.subtract_session_mean takes the mean step away, and fusion mean_pool sees "
                "nothing else: every session would look alike. Set subtract_session_mean to false"
            )
        return self

    @model_validator(mode="after")
    def _encoders_fit_their_modality(self) -> "ModelConfig":
        for modality, encoder in self.encoders.items():
            if isinstance(encoder, FeatureCnnConfig):
                continue
            sees = isinstance(encoder, FACE_ENCODERS)
            if sees != (modality == "face"):
                raise ValueError(
                    f"model.encoders.{modality}: {encoder.kind} does not encode {modality}; choose "
                    f"one of {', '.join(_encoders_of(modality))}"
                )
        return self


class PhaseConfig(Settings):
    """A part of training with settings of its own, e.g. the head alone before everything."""

    epochs: int = Field(ge=1)
    freeze_encoders: bool = Field(False, description="train what stands behind the encoders only")
    learning_rate: float | Literal["find"] = Field(
        description="find: search it on training data (training/learning_rate_search.py)"
    )


class TrainingConfig(Settings):
    """The loop. Sizes count sessions over all processes, so one or many give the same steps."""

    epochs: int = Field(30, ge=1)
    phases: list[PhaseConfig] = Field(
        [], description="parts of the epochs, each with an optimizer and schedule of its own"
    )
    batch_size: int = Field(16, ge=1, description="sessions per optimizer step, all processes")
    gradient_accumulation_steps: int = Field(
        1, ge=1, description="parts a batch is cut into to save memory"
    )
    optimizer: Literal["adamw", "sgd", "rmsprop"] = "adamw"
    learning_rate: float | Literal["find"] = Field(1e-3, description="find: as in phases")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd only")
    weight_decay: float = Field(5e-2, ge=0, description="not on biases, norms, gates")
    schedule: Literal["cosine", "constant", "plateau", "inverse"] = "cosine"
    warmup_epochs: float = Field(1.0, ge=0, description="linear, before the schedule")
    plateau_factor: float = Field(0.1, gt=0, lt=1, description="plateau: times this ...")
    plateau_patience: int = Field(5, ge=1, description="... after as many epochs without gain")
    inverse_gamma: float = Field(1e-4, gt=0, description="inverse: (1 + gamma step) ** -power")
    inverse_power: float = Field(0.75, gt=0)
    max_grad_norm: float = Field(1.0, gt=0)
    class_balance: Literal["weighted_loss", "oversample", "none"] = Field(
        "weighted_loss",
        description="classes: weigh them by inverse frequency, or draw them equally often",
    )
    auxiliary_loss_weight: float = Field(
        1.0, ge=0, description="weight of the step head's loss, if there"
    )
    monitor: Literal["loss", "auroc", "rmse"] = Field("loss", description="on validation")
    patience: int = Field(10, ge=1, description="epochs without gain before stopping")
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    init_from: File | None = Field(
        None,
        description="run whose fitting tensors are taken; nobody tested may be in its training",
    )
    weights: dict[Modality, File] = Field(
        {}, description="file with published weights of an encoder's backbone"
    )

    @model_validator(mode="after")
    def _phases_are_the_epochs(self) -> "TrainingConfig":
        if self.phases and (total := sum(phase.epochs for phase in self.phases)) != self.epochs:
            raise ValueError(
                f"training.phases have {total} epochs together, training.epochs is {self.epochs}: "
                "give both the same number"
            )
        for rate in (self.learning_rate, *(phase.learning_rate for phase in self.phases)):
            if rate != "find" and not rate > 0:
                raise ValueError(f"training: learning_rate {rate}: give a positive number or find")
        return self


Classifier = Literal["gaussian_process", "svm", "k_nearest", "adaboost"]
CLASSIFIERS = get_args(Classifier)


class ClassicalSettings(Settings):
    """A classifier on pooled MFCC (training/classical.py)."""

    classifier: Classifier
    n_mfcc: int = Field(20, ge=1, description="MFCC, pooled to mean and deviation")
    n_mels: int = Field(64, ge=1)
    C: float = Field(1.0, gt=0, description="svm only: the price of an error in training")

    @model_validator(mode="after")
    def _c_is_of_the_svm(self) -> "ClassicalSettings":
        if self.C != 1.0 and self.classifier != "svm":
            raise ValueError(
                f"classical.C is {self.C}, but {self.classifier} has none: drop it, or set "
                "classical.classifier to svm"
            )
        return self


class EvaluationConfig(Settings):
    """Intervals and their confidence; sampled gates beside the expected prediction."""

    n_bootstrap: int = Field(2000, ge=100, description="draws of subjects")
    confidence: float = Field(0.95, gt=0.5, lt=1)
    n_gate_samples: int = Field(
        200, ge=0, description="samples of the Bernoulli gates per session; 0: no spread"
    )


class TuningConfig(Settings):
    """Settings that each fold chooses by inner folds of its own people (training/tuning.py)."""

    metric: str = Field(
        description="a name of evaluation/stats/metrics.py; its mean over inner folds"
    )
    folds: int = Field(3, ge=2, description="inner folds, of the people who train and validate")
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        min_length=1, description="setting, as in key=value: values; every combination is tried"
    )

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """The whole product of the grid, its last setting changing fastest."""
        values = product(*self.grid.values())
        return [dict(zip(self.grid, combination, strict=True)) for combination in values]


class Experiment(Settings):
    """What a network and a classical baseline share: who is predicted from what, and how judged."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    out: File = Path("runs")
    seed: int = Field(0, ge=0)
    target: TargetConfig = TargetConfig()
    split: SplitConfig = SplitConfig()
    extract: ExtractConfig = ExtractConfig()
    data: DataConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    tuning: TuningConfig | None = None

    @model_validator(mode="after")
    def _fold_is_there(self) -> "Experiment":
        split = self.split
        if split.kind == "k_fold" and split.fold >= split.folds * split.repeats:
            raise ValueError(
                f"split.fold is {split.fold}, but split.folds is {split.folds} and split.repeats "
                f"{split.repeats}: folds count from 0 to {split.folds * split.repeats - 1}"
            )
        return self


class ClassicalConfig(Experiment):
    """A classical baseline, in the same splits and the same report."""

    classical: ClassicalSettings

    @model_validator(mode="after")
    def _hears_and_decides(self) -> "ClassicalConfig":
        if self.data.modalities != ["audio"] or self.target.kind != "binary":
            raise ValueError(
                "classical baselines hear and decide: set data.modalities to [audio] and "
                "target.kind to binary"
            )
        if self.data.augment != AugmentConfig() or self.data.precompute_embeddings:
            raise ValueError(
                "classical baselines draw no copies and embed nothing: set data.augment and "
                "data.precompute_embeddings to null"
            )
        return self


class Config(Experiment):
    """A whole experiment with a network."""

    model: ModelConfig
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _sections_agree(self) -> "Config":
        encoders, modalities = set(self.model.encoders), set(self.data.modalities)
        if encoders != modalities:
            raise ValueError(
                f"data.modalities is {sorted(modalities)} but model.encoders has "
                f"{sorted(encoders)}: list the same modalities in both"
            )
        for name, encoder in self.model.encoders.items():
            if isinstance(encoder, FeatureCnnConfig) != (name in self.data.features):
                raise ValueError(
                    f"model.encoders.{name} is {encoder.kind}, data.features "
                    f"{'has' if name in self.data.features else 'lacks'} {name}: feature_cnn goes "
                    "with a stream of the corpus, every other encoder with the signal"
                )
        face = self.model.encoders.get("face")
        if isinstance(face, DepNetConfig | FaceMapConfig) and face.face_size != self.data.face_size:
            raise ValueError(
                f"data.face_size is {self.data.face_size}, but model.encoders.face.face_size is "
                f"{face.face_size}: give both the same value"
            )
        if self.training.monitor == ("rmse" if self.target.kind == "binary" else "auroc"):
            raise ValueError(
                f"training.monitor {self.training.monitor} does not fit target.kind "
                f"{self.target.kind}: use loss, auroc (binary) or rmse (severity, levels)"
            )
        for name in self.data.precompute_embeddings:
            if not getattr(self.model.encoders[name], "frozen", False):
                raise ValueError(
                    f"data.precompute_embeddings names {name}, but model.encoders.{name} is not "
                    "frozen: its output would change while it learns"
                )
        for name in self.training.weights:
            if not isinstance(self.model.encoders.get(name), DepNetConfig | FrameMeanConfig):
                raise ValueError(
                    f"training.weights names {name}, whose encoder has no published weights here"
                )
        return self


# what no candidate of a selection may change: who takes part, what is predicted, how it is judged,
# and what the launcher has already set up
FIXED = (
    *(name for name in Experiment.model_fields if name != "data"),
    *(f"data.{name}" for name in ("manifest", "store", "modalities", "features")),
    "training.mixed_precision",
)


# ---- YAML -> Config --------------------------------------------------------------------------


def load_config(path: Path | str, overrides: list[str] | None = None) -> Config:
    """Read the config of a network, its bases and ``key=value`` overrides.

    Parameters
    ----------
    path : the YAML file; its ``base:`` is resolved relative to it
    overrides : e.g. ``["training.epochs=3", "data.store=/tmp/store"]``; values are YAML

    Raises
    ------
    ConfigError : no such file, not YAML, a circular base, an unknown key, a wrong value, the config
        of a classical baseline, or one whose settings are still to be chosen (``tuning``)
    """
    config = load_experiment(path, overrides)
    if not isinstance(config, Config):
        raise ConfigError(
            f"{path} is a classical baseline, no network: run experiments/cross_validate.py on it"
        )
    if config.tuning is not None:
        raise ConfigError(
            f"{path} chooses settings by inner folds (tuning), which one training cannot: run "
            "experiments/cross_validate.py on it (one fold with split.kind official), or give the "
            "settings and tuning=null"
        )
    return config


def load_experiment(path: Path | str, overrides: list[str] | None = None) -> Experiment:
    """Read a config of either kind: with a ``classical`` section it is a ``ClassicalConfig``.

    Every candidate of a ``tuning`` is checked as if it were given as ``key=value``.

    Parameters and errors : as ``load_config``; besides a candidate that changes what is ``FIXED``
    """
    path = Path(path)
    values = _read_with_bases(path, ())
    for override in overrides or []:
        values = _merge(values, _parse_override(override))
    kind = ClassicalConfig if "classical" in values else Config
    try:
        config = kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, str(path), kind)) from None
    try:
        _check_candidates(config)
    except ConfigError as error:
        raise ConfigError(f"{path}: tuning.grid: {error}") from None
    return config


def override_settings(config: Kind, settings: Mapping[str, Any]) -> Kind:
    """Change some settings of a config, checked as ``key=value`` words are.

    Parameters
    ----------
    config : of either kind
    settings : e.g. ``{"training.learning_rate": 0.01}``

    Raises
    ------
    ConfigError : an unknown key, a wrong value, or settings that contradict each other
    """
    values = config.model_dump()
    for key, value in settings.items():
        values = _merge(values, _nested(key, value))
    try:
        return type(config).model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, words(settings), type(config))) from None


def words(settings: Mapping[str, Any]) -> str:
    """Write settings as a command line takes them: ``key=value key=value``."""
    texts = [
        yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
        for value in settings.values()
    ]
    # yaml ends a single value with a line of dots
    return " ".join(f"{k}={text.splitlines()[0]}" for k, text in zip(settings, texts, strict=True))


def extract_config(path: Path | None, overrides: list[str] | None = None) -> ExtractConfig:
    """Take the extraction settings of an experiment, or the defaults, with overrides.

    Parameters
    ----------
    path : an experiment's YAML; None: the defaults
    overrides : ``key=value`` inside the ``extract`` section, e.g. ``face.frames_per_second=10``

    Raises
    ------
    ConfigError : as ``load_config``
    """
    return _section(path, "extract", ExtractConfig, overrides)


def split_config(
    path: Path | None, overrides: list[str] | None = None
) -> tuple[SplitConfig, TargetConfig]:
    """Take the split and the task of an experiment, or the defaults, with overrides.

    Parameters
    ----------
    path : an experiment's YAML; None: the defaults
    overrides : ``key=value`` inside the ``split`` section, e.g. ``folds=10``

    Raises
    ------
    ConfigError : as ``load_config``
    """
    return _section(path, "split", SplitConfig, overrides), _section(path, "target", TargetConfig)


def dump_config(config: Experiment) -> str:
    """Write a config as YAML with every default spelled out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _section(
    path: Path | None, name: str, kind: type[Section], overrides: list[str] | None = None
) -> Section:
    values = {} if path is None else _read_with_bases(Path(path), ()).get(name, {})
    for override in overrides or []:
        values = _merge(values, _parse_override(override))
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, str(path or name), kind)) from None


def _read_with_bases(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise ConfigError(f"{path}: its base: leads back to itself ({' -> '.join(map(str, seen))})")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check the path.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a config is a mapping of sections, this is {type(values)}")
    base = values.pop("base", None)
    if base is None:
        return values
    parent = _read_with_bases(path.parent / str(base), (*seen, path.resolve()))
    return _merge(parent, values)


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Replace ``base`` by ``change`` mapping by mapping; a changed ``kind`` replaces its section.

    ``null`` removes a key (an encoder that the ablation lacks, say).
    """
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(old, dict) and isinstance(value, dict):
            same_kind = value.get("kind", old.get("kind")) == old.get("kind")
            merged[key] = _merge(old, value) if same_kind else value
        else:
            merged[key] = value
    return merged


def _parse_override(text: str) -> dict[str, Any]:
    key, equals, raw = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {text!r}: write key=value, e.g. training.epochs=3")
    try:
        value = yaml.safe_load(raw)
    except yaml.YAMLError:
        raise ConfigError(f"override {text!r}: {raw!r} is not valid YAML") from None
    return _nested(key, value)


def _nested(key: str, value: Any) -> dict[str, Any]:
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def _check_candidates(config: Experiment) -> None:
    """Refuse a candidate that is no config, is there twice, or changes what all have to share."""
    seen: list[Experiment] = []
    for settings in config.tuning.candidates if config.tuning else []:
        candidate = override_settings(config, settings)
        if candidate in seen:
            raise ConfigError(f"{words(settings)} is there twice: drop one of the equal values")
        seen.append(candidate)
        for place in FIXED:
            if _at(candidate, place) != _at(config, place):
                raise ConfigError(
                    f"{words(settings)} changes {place}, but who takes part, what is predicted, "
                    "how it is judged and where it runs is the same for all candidates. Choose "
                    "among settings of model, training, classical or the rest of data."
                )


def _at(config: Any, place: str) -> Any:
    for name in place.split("."):
        config = getattr(config, name, None)
    return config


def _explain(error: ValidationError, source: str, root: type[Settings] = Config) -> str:
    lines = []
    for problem in error.errors():
        place = [part for part in problem["loc"] if part not in _KINDS]
        where = ".".join(map(str, place)) or "config"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            known = _known_keys(root, place[:-1], problem["loc"])
            close = difflib.get_close_matches(str(place[-1]), known, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            lines.append(f"{where}: unknown setting.{meant} Known here: {', '.join(known)}.")
        elif problem["type"] == "missing":
            lines.append(f"{where}: required, but not given")
        elif problem["type"] == "value_error":
            lines.append(message)
        else:
            hint = ""
            if problem["type"] in ("float_type", "int_type") and isinstance(problem["input"], str):
                hint = " (YAML reads 1e-4 as text: write 1.0e-4)"
            lines.append(f"{where}: {message}, got {problem['input']!r}{hint}")
    return f"{source}:\n  " + "\n  ".join(lines)


def _known_keys(root: type[Settings], place: list[Any], loc: tuple[Any, ...]) -> list[str]:
    """The keys that the section at ``place`` accepts."""
    if kind := next((part for part in loc if part in _KINDS), None):
        return list(_KINDS[kind].model_fields)
    model: Any = root
    for part in place:
        if isinstance(part, str):  # a number is a place in a list
            model = model.model_fields[part].annotation
            # of X | None and list[X]: X
            model = next((m for m in get_args(model) if hasattr(m, "model_fields")), model)
    return list(model.model_fields)


def _encoders_of(modality: str) -> list[str]:
    kinds = _kinds(EncoderConfig)
    return sorted(
        kind
        for kind, member in kinds.items()
        if member is FeatureCnnConfig or (member in FACE_ENCODERS) == (modality == "face")
    )


def _kinds(*unions: Any) -> dict[str, type[Settings]]:
    """The sections of discriminated unions by the value of their ``kind``."""
    members = [member for union in unions for member in get_args(get_args(union)[0])]
    return {get_args(m.model_fields["kind"].annotation)[0]: m for m in members}


# pydantic puts a union's kind between the real keys of an error: it is no key of the file
_KINDS = _kinds(EncoderConfig, FusionConfig)
