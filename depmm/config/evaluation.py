"""Settings of the evaluation."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from depmm.config.settings import ConfigError, Settings


class EvaluationConfig(Settings):
    """Decision threshold, confidence intervals and samples of the Bernoulli gates."""

    threshold: Literal["validation"] | Annotated[float, Field(gt=0, lt=1)] = Field(
        "validation",
        description="a session is predicted positive if its probability is at least this value; "
        "validation: the value with the best balanced accuracy on the validation subjects of each "
        "fold; 0.5: the class with the higher output",
    )

    n_bootstrap: int = Field(2000, ge=100, description="number of bootstrap samples of subjects")
    class_counts: Literal["fixed", "random"] = Field(
        "random",
        description="random: the numbers of positive and negative test subjects came with the "
        "sample, and another sample would have others; fixed: the study chose them (case-control, "
        "quotas), and intervals hold for these numbers",
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="confidence level of the intervals, as a fraction"
    )
    n_gate_samples: int = Field(
        200,
        ge=0,
        description="number of samples of the Bernoulli gates per session, from which the standard "
        "deviation of a prediction is computed; 0: none",
    )

    @field_validator("threshold", mode="before")
    @classmethod
    def _threshold_is_usable(cls, value: Any) -> Any:
        """Replace the two errors of a union by one."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value == "validation" or (is_number and 0 < value < 1):
            return value
        raise ConfigError(
            f"evaluation.threshold: {value!r} is neither validation nor a number between 0 and 1.",
            value=value,
            remedy="Use validation, or a number such as 0.5.",
        )
