"""Settings of hyper-parameter tuning."""

from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from depmm.config.settings import MAX_SEED, ConfigError, Settings


class RangeConfig(Settings):
    """A range from which the value of a setting is drawn."""

    low: int | float = Field(
        description="lowest value; the values are whole numbers if low and high are written "
        "without a decimal point"
    )
    high: int | float = Field(description="highest value, which is included")
    log: bool = Field(False, description="whether the logarithm of the value is uniform")

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)


def _kind_of_values(value: Any) -> str:
    """Tell a range from a list of values, so that an error names one of them only."""
    return RANGE if isinstance(value, dict | RangeConfig) else VALUES


RANGE, VALUES = "range of tuning.space", "values of tuning.space"
Values = Annotated[list[Any], Field(min_length=1)]
ValuesOrRange = Annotated[
    Annotated[Values, Tag(VALUES)] | Annotated[RangeConfig, Tag(RANGE)],
    Discriminator(_kind_of_values),
]


class TuningConfig(Settings):
    """Hyper-parameter tuning of each fold by an inner cross-validation."""

    metric: str = Field(
        description="metric whose mean over the inner folds is optimised, by its name in the "
        "report, for example auroc"
    )
    folds: int = Field(
        3, ge=2, description="number of inner folds of the training and validation subjects"
    )
    method: Literal["grid", "random", "tpe"] = Field(
        "grid",
        description="grid: every combination of tuning.grid; random: independent draws from "
        "tuning.space; tpe: draws that depend on the results so far, by the tree-structured Parzen "
        "estimator of optuna (the extra tuning), of which the first ten are independent",
    )
    grid: dict[str, Values] = Field(
        {}, description="dotted name of a setting -> values, method grid only"
    )
    space: dict[str, ValuesOrRange] = Field(
        {},
        description="dotted name of a setting -> values, or a range such as {low: 1.0e-5, high: "
        "1.0e-2, log: true}; methods random and tpe only",
    )
    trials: int | None = Field(
        None, ge=1, description="number of candidates that are drawn, methods random and tpe only"
    )
    seed: int = Field(
        0,
        ge=0,
        le=MAX_SEED,
        description="seed of the draws; the random candidates are the same in each outer fold",
    )

    @model_validator(mode="after")
    def _method_has_what_it_needs(self) -> Self:
        is_grid = self.method == "grid"
        needed, other = ("grid", "space") if is_grid else ("space", "grid")
        if not getattr(self, needed) or getattr(self, other):
            raise ConfigError(
                f"tuning.method is {self.method}: give tuning.{needed}, and not tuning.{other}.",
                setting=needed if not getattr(self, needed) else other,
                value=getattr(self, needed),
            )
        if is_grid != (self.trials is None):
            raise ConfigError(
                f"tuning.trials is {self.trials}, and tuning.method is {self.method}: give the "
                "number of candidates for the methods random and tpe only.",
                setting="trials",
                value=self.trials,
            )
        return self

    @model_validator(mode="after")
    def _ranges_are_not_empty(self) -> Self:
        for name, values in self.space.items():
            if not isinstance(values, RangeConfig):
                continue
            if not values.low < values.high or (values.log and values.low <= 0):
                raise ConfigError(
                    f"tuning.space.{name}: the range is {values.low} to {values.high}: low must be "
                    "below high, and above 0 with log: true.",
                    setting=f"space.{name}.low",
                    value=values.low,
                )
        return self

    @property
    def names(self) -> list[str]:
        """Dotted names of the tuned settings."""
        return list(self.grid or self.space)

    @property
    def n_candidates(self) -> int:
        """Number of candidates."""
        return self.trials or len(self.candidates)

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """Every combination of the grid; the last setting changes fastest."""
        if not self.grid:
            return []
        values = product(*self.grid.values())
        return [dict(zip(self.grid, combination, strict=True)) for combination in values]

    @property
    def extremes(self) -> list[dict[str, Any]]:
        """List candidates with each listed value and each end of a range of the space."""
        ends = {
            name: [values.low, values.high] if isinstance(values, RangeConfig) else values
            for name, values in self.space.items()
        }
        first = {name: values[0] for name, values in ends.items()}
        return [{**first, name: value} for name, values in ends.items() for value in values]
