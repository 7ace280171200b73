"""Settings of target, split, data and augmentation."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from depmm.config.settings import CROP_SIZE, ConfigError, FilePath, Modality, Settings
from depmm.config.signals import SIGNALS, Signal, signal_of

_URL = re.compile(r"[a-z][a-z0-9+.-]*://")


class TargetConfig(Settings):
    """What is predicted, from which column of ``sessions.parquet``."""

    kind: Literal["binary", "severity", "levels"] = Field(
        "binary",
        description="binary: one of two classes; severity: a score; levels: the severity bands of "
        "the instrument, 0 ... K-1, computed from the score",
    )
    column: str = Field("label", description="column of sessions.parquet with the target")
    positive: list[str] = Field(
        [],
        description="values of the positive class, binary only. A session whose value is neither "
        "in positive nor in negative is excluded and counted; if both lists are empty, the column "
        "must contain 0 and 1",
    )
    negative: list[str] = Field([], description="values of the negative class, binary only")
    range: list[float] = Field(
        [],
        description="lowest and highest value of a severity score; required if its instrument is "
        "not known or target.column is not score. Default: the range of the instrument",
    )
    output: Literal["number", "linear", "classes", "ordinal"] = Field(
        "number",
        description="what the last layer predicts. number: one logit, which a sigmoid maps to a "
        "probability or to the range of the score; linear: the score itself, which can be out of "
        "its range; classes: one logit per value with softmax (of a binary target: two logits; "
        "otherwise the prediction is the expectation); ordinal: one logit per threshold",
    )

    @model_validator(mode="after")
    def _classes_are_complete(self) -> "TargetConfig":
        if bool(self.positive) != bool(self.negative):
            raise ConfigError(
                "only one of target.positive and target.negative is given: give both or none.",
                setting="negative" if self.positive else "positive",
            )
        if both := sorted(set(self.positive) & set(self.negative)):
            raise ConfigError(
                f"{both} are in target.positive and in target.negative: remove them from one.",
                setting="positive",
                value=both,
            )
        if self.kind != "binary" and self.positive:
            raise ConfigError(
                f"target.positive is given, but target.kind {self.kind} has no classes: remove "
                "target.positive and target.negative.",
                setting="positive",
                value=self.positive,
            )
        if self.kind == "binary" and self.output not in ("number", "classes"):
            raise ConfigError(
                f"target.output {self.output} does not fit target.kind binary: set target.output "
                "to number or classes, or target.kind to severity or levels.",
                setting="output",
                value=self.output,
            )
        if self.range and (
            self.kind != "severity" or len(self.range) != 2 or not self.range[0] < self.range[1]
        ):
            raise ConfigError(
                f"target.range is {self.range}: give the lowest and the highest value of a target "
                "of kind severity, for example [0, 63].",
                setting="range",
                value=self.range,
            )
        return self


class SplitConfig(Settings):
    """Assignment of subjects to training, validation (for epoch and threshold) and test sets."""

    kind: Literal["official", "k_fold", "leave_one_subject_out", "file"] = Field(
        "k_fold",
        description="official: the split that the corpus publishes; k_fold and "
        "leave_one_subject_out: cross-validation; file: the split in split.file",
    )
    folds: int = Field(5, ge=2, description="number of folds, k_fold only")
    repeats: int = Field(
        1, ge=1, description="number of times that the subjects are assigned to folds, k_fold only"
    )
    fold: int = Field(
        0, ge=0, description="index of the fold that is tested, from 0 to folds * repeats - 1"
    )
    file: FilePath | None = Field(
        None, description="table of a split, as depmm split writes it; kind file only"
    )
    stratify_by: list[Literal["label", "gender", "corpus"]] = Field(
        ["label", "gender", "corpus"],
        description="properties of subjects that are distributed evenly over folds and validation",
    )
    group_by: str | None = Field(
        None,
        description="column of sessions.parquet; subjects with the same value are kept in the same "
        "set. pseudo_subject: the clusters of voices that depmm audit --identity writes",
    )
    validation: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="fraction of the subjects outside the test set that forms the validation set",
    )
    seed: int = Field(0, description="seed of the random assignment of subjects")

    @model_validator(mode="after")
    def _settings_fit_together(self) -> "SplitConfig":
        if len(set(self.stratify_by)) != len(self.stratify_by):
            raise ConfigError(
                f"split.stratify_by repeats an entry: {self.stratify_by}.",
                setting="stratify_by",
                value=self.stratify_by,
            )
        if (self.file is None) == (self.kind == "file"):
            raise ConfigError(
                f"split.kind is {self.kind} and split.file is {self.file}: give split.file if and "
                "only if split.kind is file.",
                setting="file",
                value=self.file,
            )
        if self.repeats > 1 and self.kind != "k_fold":
            raise ConfigError(
                f"split.repeats is {self.repeats}, but split.kind {self.kind} is not random: set "
                "split.kind to k_fold, or split.repeats to 1.",
                setting="repeats",
                value=self.repeats,
            )
        return self


class AugmentConfig(Settings):
    """Random changes of training sessions, seeded by (seed, epoch, session)."""

    keep_steps: float = Field(
        1.0,
        gt=0,
        le=1,
        description="smallest fraction of the steps that are kept; the fraction of each session is "
        "drawn uniformly between this value and 1",
    )
    modality_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability that one modality of a session with several is removed",
    )
    gain_db: float = Field(
        0.0, ge=0, description="largest change of the volume in dB, up or down, uniform"
    )
    relative_noise: float = Field(
        0.0,
        ge=0,
        description="highest level of added white noise, relative to the RMS of the step",
    )
    noise_amplitudes: list[Annotated[float, Field(gt=0)]] = Field(
        [],
        description="standard deviations of added white noise in units of the samples (range -1 to "
        "1), independent of the level of the voice; a session receives one of them, one of "
        "pitch_semitones or neither, all with the same probability",
    )
    pitch_semitones: list[float] = Field(
        [],
        description="pitch shifts in semitones, negative to lower the pitch; drawn together with "
        "noise_amplitudes",
    )
    flip: bool = Field(
        False, description="whether the faces of a session are mirrored with probability 1/2"
    )


class StepsConfig(Settings):
    """Which steps of the manifest are used.

    ``first`` shortens the sessions. Steps of other tasks or valences are masked and keep their
    index.
    """

    first: int | None = Field(
        None,
        ge=1,
        description="number of steps at the start of each session that are used; default: all",
    )
    task: list[str] = Field([], description="tasks of the steps that are used; empty: all")
    valence: list[Literal["negative", "neutral", "positive"]] = Field(
        [], description="valences of the steps that are used; empty: all"
    )


def _store_location(value: Any) -> str:
    """Normalise a path, and refuse what is neither a path nor a URL of one file system."""
    text, problem = str(value), None
    if not isinstance(value, str | Path):
        problem = f"is a {type(value).__name__}"
    elif not text.strip():
        problem = "is empty"
    elif not text.isprintable():
        problem = "contains a character that is not printable"
    elif "::" in text:
        problem = "is a chain of file systems"
    elif "://" in text and not _URL.match(text):
        problem = "begins with no protocol"
    if problem:
        raise ConfigError(
            f"data.store {problem}: {text[:200]!r}.",
            value=value,
            remedy="Give the path of a folder, or a URL such as s3://bucket/store.",
        )
    return text if "://" in text else str(Path(text))


class DataConfig(Settings):
    """Manifest, store, modalities, and how much of a step the model reads."""

    manifest: FilePath = Field(description="folder of the manifest, written by depmm index")
    store: Annotated[str, BeforeValidator(_store_location)] = Field(
        description="folder or URL of the store, written by depmm extract"
    )
    modalities: list[Modality] = Field(
        ["audio", "face"],
        min_length=1,
        description="modalities that the model reads: audio, face, text, or any other name, whose "
        "stream data.features names",
    )
    steps: StepsConfig = Field(StepsConfig(), description="which steps are used")
    max_audio_s: float = Field(
        4.0,
        gt=0,
        description="largest audio duration of a step in seconds; of longer steps, the middle is "
        "used, in training a random part",
    )
    remove_silence: bool = Field(
        False,
        description="whether only the speech segments of a step are used; a step without any is "
        "used as a whole",
    )
    frames_per_step: int = Field(4, ge=1, description="number of face crops of a step")
    frame_choice: Literal["per_epoch", "once"] = Field(
        "per_epoch",
        description="which crops of a step are read. per_epoch: random ones in training, drawn "
        "again in each epoch, and evenly spaced ones in evaluation; once: random ones, drawn once "
        "from corpus, subject, session and step, in training and evaluation alike",
    )
    face_size: int = Field(
        CROP_SIZE,
        ge=16,
        le=CROP_SIZE,
        description="height and width in pixels of the crops that the model reads",
    )
    max_steps: int = Field(
        512, ge=1, description="largest number of steps; a session with more is an error"
    )
    features: dict[Modality, str] = Field(
        {},
        description="modality -> stream of features of the corpus that is read, of audio, face and "
        "text instead of their signal, by an encoder of rows such as feature_cnn",
    )
    max_rows: int = Field(
        1000,
        ge=1,
        description="largest number of rows of features of a step; of longer steps, the middle is "
        "used, in training a random part",
    )
    precompute_embeddings: list[Modality] = Field(
        [],
        description="modalities whose frozen encoder is applied once; training reads the stored "
        "output",
    )
    augment: AugmentConfig = Field(AugmentConfig(), description="augmentation in training")
    workers: int = Field(
        0, ge=0, description="number of processes that load data; 0: the training process itself"
    )

    @model_validator(mode="after")
    def _modalities_are_distinct(self) -> "DataConfig":
        if len(set(self.modalities)) != len(self.modalities):
            raise ConfigError(
                f"data.modalities repeats an entry: {self.modalities}.",
                setting="modalities",
                value=self.modalities,
            )
        return self

    @model_validator(mode="after")
    def _inputs_of_modalities_agree(self) -> "DataConfig":
        if without := [n for n in self.modalities if n not in SIGNALS and n not in self.features]:
            raise ConfigError(
                f"data.modalities contains {without[0]}, which is not one of {', '.join(SIGNALS)}: "
                f"name the stream that it reads in data.features.{without[0]}.",
                setting=f"features.{without[0]}",
                value=None,
            )
        for setting in ("precompute_embeddings", "features"):
            names = getattr(self, setting)
            if unknown := sorted(set(names) - set(self.modalities)):
                raise ConfigError(
                    f"data.{setting} contains {unknown[0]}, which is not in data.modalities: add "
                    f"it to data.modalities, or remove it from data.{setting}.",
                    setting=setting,
                    value=unknown[0],
                )
        if both := sorted(set(self.features) & set(self.precompute_embeddings)):
            raise ConfigError(
                f"data.features and data.precompute_embeddings both contain {both[0]}: remove it "
                "from one of them.",
                setting="features",
                value=both[0],
            )
        for setting in ("precompute_embeddings", "features"):
            for name in getattr(self, setting):
                signal = SIGNALS.get(name)
                augmentation = () if signal is None else signal.augmentation
                if changed := [key for key in augmentation if getattr(self.augment, key)]:
                    raise ConfigError(
                        f"data.augment.{changed[0]} changes the signal of {name}, but with "
                        f"data.{setting} the model does not read that signal: remove one of them.",
                        setting=f"augment.{changed[0]}",
                        value=getattr(self.augment, changed[0]),
                    )
        return self

    def signal_of(self, modality: str) -> Signal:
        """Return the signal that the encoder of a modality reads.

        Parameters
        ----------
        modality : str
            One of ``modalities``.

        Returns
        -------
        Signal
            That of the name, unless ``features`` names a stream.
        """
        return signal_of(modality, self.features)
