"""Settings of evaluation and hyper-parameter tuning."""

from itertools import product
from typing import Annotated, Any

from pydantic import Field

from depmm.config.settings import Settings


class EvaluationConfig(Settings):
    """Confidence intervals and samples of the Bernoulli gates."""

    n_bootstrap: int = Field(2000, ge=100, description="number of bootstrap samples of subjects")
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="confidence level of the intervals, as a fraction"
    )
    n_gate_samples: int = Field(
        200,
        ge=0,
        description="number of samples of the Bernoulli gates per session, from which the standard "
        "deviation of a prediction is computed; 0: none",
    )


class TuningConfig(Settings):
    """Hyper-parameter tuning of each fold by an inner cross-validation."""

    metric: str = Field(
        description="metric whose mean over the inner folds is optimised, by its name in the "
        "report, for example auroc"
    )
    folds: int = Field(
        3, ge=2, description="number of inner folds of the training and validation subjects"
    )
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        min_length=1,
        description="dotted name of a setting -> values; every combination is a candidate",
    )

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """Every combination of the grid; the last setting changes fastest."""
        values = product(*self.grid.values())
        return [dict(zip(self.grid, combination, strict=True)) for combination in values]
