"""Settings of classical models on measures of behaviour."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from depmm.config.settings import ConfigError, Modality, Settings

INPUT_SETS = ("mfcc", "stream", "voice", "timing", "egemaps", "face")
MeasureSet = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$")]


class ClassicalModelSettings(Settings):
    """Base class of the classical models.

    Attributes
    ----------
    targets : tuple of str
        Targets that the model predicts: ``binary``, ``severity`` (which includes levels), or both.
    """

    targets: ClassVar[tuple[str, ...]] = ("binary", "severity")


class GaussianProcessConfig(ClassicalModelSettings):
    """A Gaussian process with an RBF kernel whose length is fitted; no class weights."""

    kind: Literal["gaussian_process"] = Field(description="selects this model")


class SvmConfig(ClassicalModelSettings):
    """A support vector machine, or support vector regression; balanced class weights."""

    kind: Literal["svm"] = Field(description="selects this model")
    C: float = Field(1.0, gt=0, description="inverse regularisation strength")
    kernel: Literal["rbf", "linear"] = Field("rbf", description="kernel")


class KNearestConfig(ClassicalModelSettings):
    """The k nearest neighbours; no class weights."""

    kind: Literal["k_nearest"] = Field(description="selects this model")
    n_neighbors: int = Field(5, ge=1, description="number of neighbours")


class AdaBoostConfig(ClassicalModelSettings):
    """AdaBoost on decision stumps (binary) or trees of depth 3 (severity); no class weights."""

    kind: Literal["adaboost"] = Field(description="selects this model")
    n_estimators: int = Field(50, ge=1, description="largest number of stumps or trees")


class LogisticRegressionConfig(ClassicalModelSettings):
    """A logistic regression with an L2 penalty; balanced class weights."""

    targets: ClassVar[tuple[str, ...]] = ("binary",)
    kind: Literal["logistic_regression"] = Field(description="selects this model")
    C: float = Field(1.0, gt=0, description="inverse regularisation strength")


class RidgeConfig(ClassicalModelSettings):
    """A ridge regression; a binary target is regressed as -1 and 1 with balanced class weights."""

    kind: Literal["ridge"] = Field(description="selects this model")
    alpha: float = Field(1.0, gt=0, description="regularisation strength")


class ElasticNetConfig(ClassicalModelSettings):
    """A linear regression with L1 and L2 penalty; for binary targets, a logistic regression.

    The logistic regression has balanced class weights, and the same penalty per training row.
    """

    kind: Literal["elastic_net"] = Field(description="selects this model")
    alpha: float = Field(
        0.1, gt=0, description="regularisation strength, relative to the mean loss of the rows"
    )
    l1_ratio: float = Field(0.5, ge=0, le=1, description="share of the L1 penalty; 1: lasso")


class RandomForestConfig(ClassicalModelSettings):
    """A random forest; balanced class weights."""

    kind: Literal["random_forest"] = Field(description="selects this model")
    n_trees: int = Field(300, ge=1, description="number of trees")
    min_samples_leaf: int = Field(1, ge=1, description="smallest number of rows of a leaf")


class GradientBoostingConfig(ClassicalModelSettings):
    """Gradient boosting of trees on binned measures; balanced class weights."""

    kind: Literal["gradient_boosting"] = Field(description="selects this model")
    n_trees: int = Field(100, ge=1, description="number of trees")
    learning_rate: float = Field(0.1, gt=0, description="weight of each tree")
    max_leaf_nodes: int = Field(15, ge=2, description="largest number of leaves of a tree")
    min_samples_leaf: int = Field(
        5,
        ge=1,
        description="smallest number of rows of a leaf; scikit-learn's default of 20 permits no "
        "split of fewer than 40 rows",
    )


ClassicalModelConfig = Annotated[
    GaussianProcessConfig
    | SvmConfig
    | KNearestConfig
    | AdaBoostConfig
    | LogisticRegressionConfig
    | RidgeConfig
    | ElasticNetConfig
    | RandomForestConfig
    | GradientBoostingConfig,
    Field(discriminator="kind"),
]


class ClassicalSettings(Settings):
    """A model of scikit-learn on measures of sessions or steps."""

    model: ClassicalModelConfig = Field(description="the model")
    measures: dict[Modality, Annotated[list[MeasureSet], Field(min_length=1)]] = Field(
        {"audio": ["mfcc"]},
        description="modality -> sets of measures. mfcc: mean and standard deviation of the MFCC "
        "of a step; stream: the same of the columns of the stream in data.features; voice, face, "
        "timing, egemaps: the sets of depmm measures. A part of a set is named by the group of its "
        "measures, for example voice.pitch",
    )
    unit: Literal["session", "step"] = Field(
        "session",
        description="training sample. session: the measures of the steps are pooled; step: every "
        "step has the target of its session, and the logit (or score) of a session is the mean "
        "over its steps",
    )
    pooling: list[Literal["mean", "std"]] = Field(
        ["mean"],
        min_length=1,
        description="statistics of each measure over the steps of a session, unit session only; "
        "std is missing for fewer than two steps",
    )
    fusion: Literal["early", "late"] = Field(
        "early",
        description="early: one model on the measures of all modalities; late: one model per "
        "modality, and the mean of their logits (or scores)",
    )
    refit: bool = Field(
        False,
        description="whether the model is fitted again on training and validation subjects, for "
        "the test subjects and new recordings. Validation subjects are predicted by the model of "
        "the training subjects, so that threshold and calibration stay valid",
    )
    n_mfcc: int = Field(
        20, ge=1, description="number of MFCC, each pooled to its mean and standard deviation"
    )
    n_mels: int = Field(
        64, ge=1, description="number of mel bands from which the MFCC are computed"
    )

    @model_validator(mode="after")
    def _sets_are_known_and_distinct(self) -> "ClassicalSettings":
        for modality, sets in self.measures.items():
            for name in sets:
                kind, _, group = name.partition(".")
                if kind not in INPUT_SETS or (group and kind in ("mfcc", "stream")):
                    raise ConfigError(
                        f"classical.measures.{modality}: {name} is not a set of measures: use "
                        f"{', '.join(INPUT_SETS)}, or a group of one of the last four.",
                        setting=f"measures.{modality}",
                        value=name,
                    )
                if sets.count(name) > 1 or (group and kind in sets):
                    raise ConfigError(
                        f"classical.measures.{modality} contains {name} twice: remove one.",
                        setting=f"measures.{modality}",
                        value=name,
                    )
        if len(set(self.pooling)) != len(self.pooling):
            raise ConfigError(
                f"classical.pooling repeats an entry: {self.pooling}.",
                setting="pooling",
                value=self.pooling,
            )
        return self

    @model_validator(mode="after")
    def _pooling_belongs_to_sessions(self) -> "ClassicalSettings":
        if self.unit == "step" and self.pooling != ["mean"]:
            raise ConfigError(
                f"classical.pooling is {self.pooling}, but with classical.unit step nothing is "
                "pooled: remove it, or set classical.unit to session.",
                setting="pooling",
                value=self.pooling,
            )
        return self
