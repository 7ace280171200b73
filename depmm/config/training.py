"""Settings of the training of networks."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from depmm.config.settings import ConfigError, FilePath, Modality, Settings


def _no_is_text(value: Any) -> Any:
    return "no" if value is False else value  # YAML reads no as false


Precision = Annotated[Literal["no", "bf16", "fp16"], BeforeValidator(_no_is_text)]


class PhaseConfig(Settings):
    """A part of the training, for example of the head before the whole network."""

    epochs: int = Field(ge=1, description="number of epochs of the phase")
    freeze_encoders: bool = Field(
        False, description="whether the weights of the encoders stay fixed in the phase"
    )
    learning_rate: float | Literal["find"] = Field(
        description="learning rate before the schedule; find: a search on the training data"
    )


class NuisanceSettings(Settings):
    """The nuisance of domain-adversarial training and of concept erasure."""

    nuisance: list[str] = Field(
        min_length=1,
        description="columns of sessions.parquet whose values the embedding must not predict, for "
        "example gender, corpus or device; missing values are ignored",
    )

    @model_validator(mode="after")
    def _nuisance_is_distinct(self) -> Self:
        if len(set(self.nuisance)) != len(self.nuisance):
            raise ConfigError(
                f"nuisance repeats an entry: {self.nuisance}.",
                setting="nuisance",
                value=self.nuisance,
            )
        return self


class ConceptErasureConfig(NuisanceSettings):
    """LEACE: the output layers do not read nuisance variables from the fused embedding."""

    given_target: bool = Field(
        False,
        description="whether only those differences between the values of the nuisance are erased "
        "that the target does not explain, so that a nuisance that is correlated with the target "
        "in the training sessions does not take the target with it; false: as published",
    )


class AdversarialConfig(NuisanceSettings):
    """Domain-adversarial training: the fused embedding of a session unlearns nuisance variables."""

    weight: float = Field(
        1.0,
        gt=0,
        description="factor of the reversed gradient at the end of the training. The best epoch is "
        "chosen among those with at least 95 % of it (the last 60 % with gamma 10), because "
        "validation does not notice the nuisance",
    )
    gamma: float = Field(
        10.0,
        gt=0,
        description="slope of the factor, weight * (2 / (1 + exp(-gamma * p)) - 1) with the share "
        "p of the epochs that are done",
    )
    hidden_dim: int = Field(
        100, ge=1, description="size of the hidden layer of the classifier of each nuisance"
    )
    learning_rate_factor: float = Field(
        10.0,
        gt=0,
        description="learning rate of the classifiers divided by that of the model. The paper has "
        "1, with which the embedding may hide a nuisance by exchanging its values faster than the "
        "classifier follows",
    )


class TrainingConfig(Settings):
    """The training loop."""

    epochs: int = Field(30, ge=1, description="largest number of epochs")
    phases: list[PhaseConfig] = Field(
        [],
        description="parts of the training, each with a new optimizer and schedule; empty: one "
        "phase with training.learning_rate",
    )
    unit: Literal["session", "step"] = Field(
        "session",
        description="training sample: session (one prediction from all of its steps) or step (one "
        "prediction per step, with the target of its session). Validation and test sessions are "
        "predicted as a whole in both cases. step requires the fusion mean_pool",
    )
    batch_size: int = Field(
        16,
        ge=1,
        description="number of sessions, or of steps with training.unit step, per optimizer step, "
        "over all processes",
    )
    gradient_accumulation_steps: int = Field(
        1,
        ge=1,
        description="number of parts into which a batch is divided to save memory; batch "
        "normalisation then uses the sessions of one part",
    )
    optimizer: Literal["adamw", "sgd", "rmsprop"] = Field("adamw", description="optimizer")
    learning_rate: float | Literal["find"] = Field(
        1e-3,
        description="learning rate before the schedule; find: a search on the training data. Each "
        "of training.phases has its own, which replaces it",
    )
    momentum: float = Field(
        0.9, ge=0, lt=1, description="momentum, not Nesterov's, optimizer sgd only; 0: none"
    )
    weight_decay: float = Field(5e-2, ge=0, description="weight decay")
    decay_biases: bool = Field(
        False,
        description="whether weight decay is also applied to biases, normalisation, gates and "
        "other one-dimensional parameters",
    )
    schedule: Literal["cosine", "constant", "plateau", "inverse"] = Field(
        "cosine", description="how the learning rate changes after the warm-up"
    )
    warmup_epochs: float = Field(
        1.0, ge=0, description="length of the linear warm-up of the learning rate in epochs"
    )
    plateau_factor: float = Field(
        0.1, gt=0, lt=1, description="factor of a reduction of the learning rate, schedule plateau"
    )
    plateau_patience: int = Field(
        5,
        ge=1,
        description="number of epochs without a lower validation loss after which the learning "
        "rate is reduced, schedule plateau",
    )
    inverse_gamma: float = Field(
        1e-4,
        gt=0,
        description="gamma of the factor (1 + gamma * step) ** -power, schedule inverse",
    )
    inverse_power: float = Field(0.75, gt=0, description="power of the same factor")
    max_grad_norm: float | None = Field(
        None, gt=0, description="norm to which gradients are clipped; null: no clipping"
    )
    class_balance: Literal["weighted_loss", "oversample", "none"] = Field(
        "none",
        description="weighted_loss: weight classes by inverse frequency; oversample: draw both "
        "classes equally often; none: neither. Binary targets only",
    )
    corpus_balance: Literal["oversample", "none"] = Field(
        "none",
        description="oversample: draw each corpus of the training sessions equally often in an "
        "epoch of the same length: sessions of small corpora are repeated, and of large ones only "
        "a part is read. Within a corpus, the shares of the classes are those of the corpus; with "
        "class_balance oversample, both classes of each corpus are drawn equally often, and with "
        "weighted_loss, classes are weighted within each corpus. none: every session once",
    )
    adversarial: AdversarialConfig | None = Field(
        None,
        description="domain-adversarial training (Ganin et al., JMLR 2016), after which a "
        "nuisance may still be readable; null: none",
    )
    concept_erasure: ConceptErasureConfig | None = Field(
        None,
        description="linear concept erasure in closed form (LEACE, Belrose et al., NeurIPS 2023), "
        "fitted on the training sessions after the training; null: none",
    )
    auxiliary_loss_weight: float = Field(
        1.0, ge=0, description="weight of the loss of single steps, with model.auxiliary_step_head"
    )
    branch_loss_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the mean loss of the branches of a fusion, each of which then "
        "learns to predict alone; 0: only the fused prediction is trained",
    )
    monitor: Literal["loss", "auroc", "rmse"] = Field(
        "loss", description="validation metric by which the best epoch is chosen"
    )
    patience: int | None = Field(
        10,
        ge=1,
        description="number of epochs without improvement of the monitored metric after which "
        "training stops; null: it does not stop for this reason",
    )
    patience_steps: int | None = Field(
        None,
        ge=1,
        description="number of consecutive optimizer steps without a lower training loss (that of "
        "one batch) after which training stops, at the end of the epoch; null: not used",
    )
    mixed_precision: Precision = Field("no", description="mixed precision; fp16 requires a GPU")
    matmul_precision: Literal["highest", "high"] = Field(
        "high",
        description="precision of float32 matrix products and convolutions of the training on a "
        "CUDA GPU: high permits TensorFloat-32, highest does not. Predictions are always computed "
        "with highest; no effect on a CPU",
    )
    trackers: list[Literal["tensorboard", "wandb", "mlflow"]] = Field(
        ["tensorboard"],
        description="where the metrics of each epoch are shown. tensorboard: files in the folder "
        "of the run. wandb (Weights & Biases) and mlflow, whose packages you install: the server "
        "that their environment variables name, together with the settings of model and training, "
        "without paths and ids; empty: nowhere but history.parquet",
    )
    init_from: FilePath | None = Field(
        None,
        description="folder of a run whose weights initialise all parameters of the same name and "
        "shape; its training subjects must not be test subjects",
    )
    weights: dict[Modality, FilePath] = Field(
        {}, description="modality -> file with published weights of the encoder"
    )

    @model_validator(mode="after")
    def _phases_are_the_epochs(self) -> "TrainingConfig":
        if self.phases and (total := sum(phase.epochs for phase in self.phases)) != self.epochs:
            raise ConfigError(
                f"training.phases have {total} epochs in total, but training.epochs is "
                f"{self.epochs}: make both equal.",
                setting="epochs",
                value=self.epochs,
            )
        for rate in (self.learning_rate, *(phase.learning_rate for phase in self.phases)):
            if rate != "find" and not rate > 0:
                raise ConfigError(
                    f"training.learning_rate is {rate}: give a positive number, or find.",
                    setting="learning_rate",
                    value=rate,
                )
        return self
