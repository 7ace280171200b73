"""Settings of whole experiments, and the rules between their sections."""

from pathlib import Path
from typing import TypeVar, get_args

from pydantic import Field, model_validator

from depmm.config.classical import ClassicalSettings
from depmm.config.data import AugmentConfig, DataConfig, SplitConfig, TargetConfig
from depmm.config.encoders import (
    DepNetConfig,
    EncoderConfig,
    EncoderSettings,
    FaceMapConfig,
    FrameMeanConfig,
)
from depmm.config.evaluation import EvaluationConfig
from depmm.config.extraction import ExtractConfig
from depmm.config.fusion import DepFormerConfig, FusionConfig, MeanPoolConfig
from depmm.config.settings import MAX_SEED, ConfigError, FilePath, Modality, Settings
from depmm.config.signals import SIGNALS, EncoderInput
from depmm.config.training import TrainingConfig
from depmm.config.tuning import TuningConfig


class ModelConfig(Settings):
    """One encoder per modality, then the fusion of steps and modalities."""

    encoders: dict[Modality, EncoderConfig] = Field(
        min_length=1, description="modality -> encoder of a step"
    )
    fusion: FusionConfig = Field(description="fusion of the encoded steps of all modalities")
    subtract_session_mean: bool = Field(
        False, description="whether the mean step of a session is subtracted from its steps"
    )
    auxiliary_step_head: bool = Field(
        False, description="whether single steps are predicted too, for an auxiliary loss"
    )

    @property
    def num_steps(self) -> int | None:
        """Number of steps that every session must have; None: any number."""
        num_steps: int | None = getattr(self.fusion, "num_steps", None)
        return num_steps

    @model_validator(mode="after")
    def _mean_is_not_the_only_input(self) -> "ModelConfig":
        if self.subtract_session_mean and isinstance(self.fusion, MeanPoolConfig):
            raise ConfigError(
                "model.subtract_session_mean removes the mean step, which is the only input of the "
                "fusion mean_pool: set model.subtract_session_mean to false.",
                setting="subtract_session_mean",
                value=True,
            )
        return self

    @model_validator(mode="after")
    def _cross_attention_has_encoders(self) -> "ModelConfig":
        if not isinstance(self.fusion, DepFormerConfig) or len(self.encoders) < 2:
            return self
        if other := [name for name in self.fusion.cross_attention if name not in self.encoders]:
            raise ConfigError(
                f"model.fusion.cross_attention contains {other[0]}, which is not in "
                f"model.encoders: name the query and the key of {', '.join(self.encoders)}, or "
                "set it to [] for no cross-attention.",
                setting="fusion.cross_attention",
                value=self.fusion.cross_attention,
            )
        return self

    @model_validator(mode="after")
    def _encoders_fit_their_modality(self) -> "ModelConfig":
        for modality, encoder in self.encoders.items():
            if encoder.kind not in encoders_of(modality):
                raise ConfigError(
                    f"model.encoders.{modality} is {encoder.kind}, which does not encode "
                    f"{modality}: use one of {', '.join(encoders_of(modality))}.",
                    setting=f"encoders.{modality}.kind",
                    value=encoder.kind,
                )
        return self


class Experiment(Settings):
    """Settings shared by networks and classical models."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="name of the experiment and of the folder of its run",
    )
    out: FilePath = Field(Path("runs"), description="parent of the folders of the runs")
    seed: int = Field(
        0,
        ge=0,
        le=MAX_SEED,
        description="seed of the initial weights and of all random draws in training",
    )
    target: TargetConfig = Field(TargetConfig(), description="what is predicted")
    split: SplitConfig = Field(SplitConfig(), description="assignment of subjects to sets")
    extract: ExtractConfig = Field(ExtractConfig(), description="extraction of the store")
    data: DataConfig = Field(description="what the model reads")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="evaluation")
    tuning: TuningConfig | None = Field(None, description="hyper-parameter tuning; default: none")

    @model_validator(mode="after")
    def _fold_exists(self) -> "Experiment":
        split = self.split
        if split.kind == "k_fold" and split.fold >= split.folds * split.repeats:
            raise ConfigError(
                f"split.fold is {split.fold}, but with split.folds {split.folds} and split.repeats "
                f"{split.repeats} there are the folds 0 to {split.folds * split.repeats - 1}.",
                setting="split.fold",
                value=split.fold,
            )
        return self

    @model_validator(mode="after")
    def _threshold_fits_the_target(self) -> "Experiment":
        threshold = self.evaluation.threshold
        if self.target.kind != "binary" and threshold != "validation":
            raise ConfigError(
                f"evaluation.threshold is {threshold}, but target.kind is {self.target.kind}, "
                "whose predictions are not decisions: set evaluation.threshold to validation, its "
                "default.",
                setting="evaluation.threshold",
                value=threshold,
            )
        return self


ExperimentT = TypeVar("ExperimentT", bound=Experiment)


class ClassicalConfig(Experiment):
    """An experiment with a classical model, with the same splits and report as networks."""

    classical: ClassicalSettings = Field(description="the classical model and its measures")

    @model_validator(mode="after")
    def _target_fits_the_model(self) -> "ClassicalConfig":
        model, kind = self.classical.model, self.target.kind
        if ("binary" if kind == "binary" else "severity") not in model.targets:
            raise ConfigError(
                f"target.kind is {kind}, which {model.kind} does not predict: set "
                "classical.model.kind to another model.",
                setting="classical.model.kind",
                value=model.kind,
            )
        if self.target.output != "number":
            raise ConfigError(
                f"target.output is {self.target.output}, but classical models have no output "
                "layer: set target.output to number.",
                setting="target.output",
                value=self.target.output,
            )
        return self

    @model_validator(mode="after")
    def _measures_fit_the_modalities(self) -> "ClassicalConfig":
        measures, modalities = self.classical.measures, self.data.modalities
        if set(measures) != set(modalities):
            raise ConfigError(
                f"data.modalities is {modalities}, but classical.measures has {sorted(measures)}: "
                "list the same modalities in both.",
                setting="data.modalities",
                value=modalities,
            )
        for modality, sets in measures.items():
            is_stream = modality in self.data.features
            for name in sets:
                kind = name.partition(".")[0]
                fits = {
                    "mfcc": modality == "audio" and not is_stream,
                    "stream": is_stream,
                    "face": modality == "face",
                }.get(kind, modality == "audio")
                if not fits:
                    raise ConfigError(
                        f"classical.measures.{modality} contains {name}, which cannot be measured "
                        "there: mfcc needs the sound of audio, stream needs a stream in "
                        "data.features, face belongs to face, and the other sets to audio.",
                        setting=f"classical.measures.{modality}",
                        value=name,
                    )
        if self.classical.fusion == "late" and len(modalities) == 1:
            raise ConfigError(
                f"classical.fusion is late, but {modalities[0]} is the only modality: set "
                "classical.fusion to early.",
                setting="classical.fusion",
                value="late",
            )
        return self

    @model_validator(mode="after")
    def _data_fit_the_model(self) -> "ClassicalConfig":
        if self.data.augment != AugmentConfig():
            raise ConfigError(
                "classical models do not use augmentation: set data.augment to null.",
                setting="data.augment",
                value=self.data.augment,
            )
        if self.data.precompute_embeddings:
            raise ConfigError(
                "classical models do not use embeddings: set data.precompute_embeddings to null.",
                setting="data.precompute_embeddings",
                value=self.data.precompute_embeddings,
            )
        return self


class Config(Experiment):
    """An experiment with a network."""

    model: ModelConfig = Field(description="the network")
    training: TrainingConfig = Field(TrainingConfig(), description="the training loop")

    @model_validator(mode="after")
    def _target_is_no_nuisance(self) -> "Config":
        for name in ("adversarial", "concept_erasure"):
            settings = getattr(self.training, name)
            if settings is not None and self.target.column in settings.nuisance:
                setting = f"training.{name}.nuisance"
                raise ConfigError(
                    f"{setting} contains {self.target.column}, which is the target "
                    "(target.column): the model would unlearn what it is to predict. Remove it.",
                    setting=setting,
                    value=settings.nuisance,
                )
        return self

    @model_validator(mode="after")
    def _encoders_fit_the_data(self) -> "Config":
        encoders, modalities = set(self.model.encoders), set(self.data.modalities)
        if encoders != modalities:
            raise ConfigError(
                f"data.modalities is {sorted(modalities)}, but model.encoders has "
                f"{sorted(encoders)}: list the same modalities in both.",
                setting="data.modalities",
                value=self.data.modalities,
            )
        for name, encoder in self.model.encoders.items():
            stream = self.data.features.get(name)
            needed = self.data.signal_of(name).reads
            if needed in encoder.reads:
                continue
            reads = " or ".join(encoder.reads)
            if stream is None:
                given = f"data.features.{name} names no stream of rows: name one"
            else:
                given = f"data.features.{name} names a stream of rows: remove it"
            raise ConfigError(
                f"model.encoders.{name} is {encoder.kind}, which reads {reads}, but {given}, or "
                f"use one of the encoders of {needed}: {', '.join(encoders_of(name, needed))}.",
                setting=f"data.features.{name}",
                value=stream,
            )
        for name, encoder in self.model.encoders.items():
            if (
                isinstance(encoder, DepNetConfig | FaceMapConfig)
                and name not in self.data.features
                and encoder.face_size != self.data.face_size
            ):
                raise ConfigError(
                    f"data.face_size is {self.data.face_size}, but model.encoders.{name}.face_size "
                    f"is {encoder.face_size}: make both equal.",
                    setting="data.face_size",
                    value=self.data.face_size,
                )
        for name in self.data.precompute_embeddings:
            if not getattr(self.model.encoders[name], "frozen", False):
                raise ConfigError(
                    f"data.precompute_embeddings contains {name}, but model.encoders.{name} is not "
                    "frozen, so that its output changes in training: set adaptation to frozen "
                    "(encoders of ResNet-50: frozen to true), or remove "
                    f"{name} from data.precompute_embeddings.",
                    setting="data.precompute_embeddings",
                    value=name,
                )
        return self

    @model_validator(mode="after")
    def _training_fits_the_model(self) -> "Config":
        if self.training.monitor == ("rmse" if self.target.kind == "binary" else "auroc"):
            raise ConfigError(
                f"training.monitor {self.training.monitor} does not fit target.kind "
                f"{self.target.kind}: use loss, auroc (binary) or rmse (severity, levels).",
                setting="training.monitor",
                value=self.training.monitor,
            )
        if self.training.class_balance != "none" and self.target.kind != "binary":
            raise ConfigError(
                f"training.class_balance is {self.training.class_balance}, but target.kind "
                f"{self.target.kind} has no two classes: use training.class_balance none.",
                setting="training.class_balance",
                value=self.training.class_balance,
            )
        if self.training.unit == "step" and not isinstance(self.model.fusion, MeanPoolConfig):
            raise ConfigError(
                f"training.unit is step, but model.fusion.kind is {self.model.fusion.kind}, which "
                "relates the steps of a session: use training.unit session, or the fusion "
                "mean_pool.",
                setting="training.unit",
                value="step",
            )
        for name, path in self.training.weights.items():
            if not isinstance(self.model.encoders.get(name), DepNetConfig | FrameMeanConfig):
                raise ConfigError(
                    f"training.weights contains {name}, but only the encoders depnet and "
                    f"frame_mean have published weights: remove {name} from training.weights.",
                    setting=f"training.weights.{name}",
                    value=path,
                )
        return self


def encoders_of(modality: Modality, needed: EncoderInput | None = None) -> list[str]:
    """List the encoders of a modality.

    Parameters
    ----------
    modality : str
        The modality.
    needed : {"waveform", "crops", "text", "rows"}, optional
        What the encoders must read; by default the signal of the modality or rows.

    Returns
    -------
    list of str
        Their ``kind``, sorted. An encoder that reads the signal of another modality is not
        included, even if it also reads rows.
    """
    signal = SIGNALS[modality].reads if modality in SIGNALS else None
    return sorted(
        kind
        for kind, section in sections_by_kind(EncoderConfig).items()
        if issubclass(section, EncoderSettings)
        and (signal in section.reads or section.reads == ("rows",))
        and (needed is None or needed in section.reads)
    )


def sections_by_kind(*unions: object) -> dict[str, type[Settings]]:
    """Map the ``kind`` of each member of discriminated unions to its section.

    Parameters
    ----------
    *unions : object
        Annotated unions, for example ``EncoderConfig``.

    Returns
    -------
    dict of str to type
        One entry per section.
    """
    members = [member for union in unions for member in get_args(get_args(union)[0])]
    return {get_args(member.model_fields["kind"].annotation)[0]: member for member in members}
