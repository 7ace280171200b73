"""Calibration of one model, fitted on its validation subjects, as numbers without ids.

A run keeps these numbers, so that a new recording can be predicted without the table of
predictions, which names subjects.
"""

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from depmm.config import Settings
from depmm.evaluation.stats.calibrators import CalibrationError, fit_calibrators, validation_rows
from depmm.evaluation.stats.conformal_intervals import fit_severity_intervals
from depmm.evaluation.stats.conformal_sets import ALPHAS, ConformalQuantile, fit_label_sets
from depmm.evaluation.stats.venn_abers import ValidationSessions
from depmm.evaluation.thresholds import Threshold, apply_threshold
from depmm.schemas.manifest import SUBJECT_KEY

ALPHA = ALPHAS[0]  # miscoverage: allowed share of new subjects whose set misses the label
MAX_EDGES = 200  # of an interval: one regression for each is a second in total


class LogisticMap(Settings):
    """The map ``sigmoid(intercept + slope * logit(p))``."""

    slope: float = Field(gt=0)
    intercept: float
    source: str = Field(description="the data of the fit")


class IntervalMap(Settings):
    """Venn-Abers interval of a probability: increasing step functions of the prediction."""

    edges: list[float] = Field(description="predictions at which the interval changes, ascending")
    low: list[float] = Field(description="lower bounds below, between and above the edges")
    high: list[float] = Field(description="upper bounds")

    @model_validator(mode="after")
    def _functions_are_complete(self) -> "IntervalMap":
        if not len(self.low) == len(self.high) == len(self.edges) + 1:
            raise ValueError("low and high need one value more than edges")
        for values in (self.edges, self.low, self.high):
            if values != sorted(values) or (values and not 0 <= values[0] <= values[-1] <= 1):
                raise ValueError("the values must ascend and be probabilities")
        return self

    def interval(self, y_prob: float) -> tuple[float, float]:
        """Look up the interval of a prediction; at an edge, that of both neighbours.

        Parameters
        ----------
        y_prob : float
            Probability of class 1.

        Returns
        -------
        low, high : float
            The bounds.
        """
        below = int(np.searchsorted(self.edges, y_prob, "left"))
        above = int(np.searchsorted(self.edges, y_prob, "right"))
        return self.low[below], self.high[above]


class ConformalLimit(Settings):
    """A conformal quantile."""

    value: float | None = Field(
        ge=0, description="largest covered nonconformity; null if there are too few subjects"
    )
    subjects: int = Field(ge=0, description="validation subjects")
    min_subjects: int = Field(ge=0, description="subjects that are needed")

    @property
    def quantile(self) -> ConformalQuantile:
        """The quantile that the functions of ``evaluation.stats`` take."""
        value = np.inf if self.value is None else self.value
        return ConformalQuantile(value, self.subjects, self.min_subjects)


class FittedCalibration(Settings):
    """What a prediction needs of the validation subjects of one model."""

    validation_subjects: int = Field(ge=0)
    unavailable: str | None = Field(
        None, description="reason why nothing could be fitted; the fits are then null"
    )
    threshold: float | None = Field(
        None, ge=0, le=1, description="lowest probability of a positive decision"
    )
    threshold_source: str | None = Field(None, description="how the threshold was chosen")
    logistic: LogisticMap | None = Field(None, description="calibration of the probability")
    interval: IntervalMap | None = Field(None, description="Venn-Abers interval")
    labels: dict[str, ConformalLimit] = Field(
        {}, description="label, 0 or 1 -> quantile of the 90 % conformal prediction set"
    )
    score: ConformalLimit | None = Field(
        None, description="quantile of the 90 % conformal interval of a score"
    )

    @model_validator(mode="after")
    def _parts_belong_together(self) -> "FittedCalibration":
        parts = (self.logistic, self.interval, self.labels or None)
        if any(part is None for part in parts) and any(part is not None for part in parts):
            raise ValueError("logistic, interval and labels must be given together")
        if self.labels and set(self.labels) != {"0", "1"}:
            raise ValueError("labels needs the keys 0 and 1")
        if self.unavailable is None and self.logistic is None and self.score is None:
            raise ValueError("nothing is fitted, and no reason is given")
        return self


def fit_calibration(
    predictions: pd.DataFrame, binary: bool, threshold: Threshold
) -> FittedCalibration:
    """Fit the calibration of one model on its validation subjects.

    Parameters
    ----------
    predictions : DataFrame
        Checked predictions of one fold and seed.
    binary : bool
        Whether the target is a class; otherwise it is a score.
    threshold : float or "validation"
        Setting ``evaluation.threshold``.

    Returns
    -------
    FittedCalibration
        The fits.
    """
    validation = predictions[predictions["split"] == "validation"]
    fitted: dict[str, Any] = {"validation_subjects": len(validation[SUBJECT_KEY].drop_duplicates())}
    if not (predictions["split"] == "test").any():  # the fits are those of tested models
        return FittedCalibration(**fitted, unavailable="the run has no test rows")
    try:
        if not binary:
            ((_, quantile),) = fit_severity_intervals(predictions, ALPHA).items()
            return FittedCalibration(**fitted, score=_limit(quantile))
        decided = apply_threshold(predictions, threshold).iloc[0]
        fitted["threshold"] = float(decided["threshold"])
        fitted["threshold_source"] = str(decided["threshold_source"])
        ((_, rows),) = validation_rows(predictions, "y_true", "y_prob")
        ((_, calibrator),) = fit_calibrators(predictions, "logistic").items()
        ((_, limits),) = fit_label_sets(predictions, ALPHA).items()
    except CalibrationError as error:
        return FittedCalibration(**fitted, unavailable=str(error))
    return FittedCalibration(
        **fitted,
        logistic=LogisticMap.model_validate(vars(calibrator)),
        interval=fit_interval(rows),
        labels={str(label): _limit(quantile) for label, quantile in limits.items()},
    )


def fit_interval(rows: pd.DataFrame) -> IntervalMap:
    """Compute the Venn-Abers interval as a function of the prediction.

    The interval is constant between two neighbouring predictions of validation sessions, because
    an isotonic regression depends on the order of the predictions only. With more than
    ``MAX_EDGES`` predictions, some are left out, and the interval between the others is the union
    of the intervals there.

    Parameters
    ----------
    rows : DataFrame
        Validation rows of one model, see :func:`~depmm.evaluation.stats.venn_abers.venn_abers`.

    Returns
    -------
    IntervalMap
        Lower and upper bound.
    """
    edges, rank = np.unique(rows["y_prob"].to_numpy(float), return_inverse=True)
    # neighbours may differ by rounding only
    ranked = ValidationSessions.from_rows(rows.assign(y_prob=rank.astype(float)))
    chosen = np.arange(len(edges))
    if len(edges) > MAX_EDGES:
        chosen = np.unique(np.linspace(0, len(edges) - 1, MAX_EDGES).round().astype(int))
    # both bounds ascend: the lowest of an interval between edges is at its start
    low = _ascending([ranked.bound(at, 0) for at in (-0.5, *(chosen + 0.5))])
    high = _ascending([ranked.bound(at, 1) for at in (*(chosen - 0.5), len(edges) - 0.5)])
    edges = edges[chosen]
    kept = [k for k in range(len(edges)) if (low[k], high[k]) != (low[k + 1], high[k + 1])]
    return IntervalMap(
        edges=[float(edges[k]) for k in kept],
        low=[low[0], *(low[k + 1] for k in kept)],
        high=[high[0], *(high[k + 1] for k in kept)],
    )


def _ascending(values: list[float]) -> list[float]:
    """Remove the rounding errors of the regressions."""
    ascending: list[float] = np.clip(np.maximum.accumulate(values), 0, 1).round(9).tolist()
    return ascending


def _limit(quantile: ConformalQuantile) -> ConformalLimit:
    value = None if quantile.unbounded else quantile.value
    return ConformalLimit(
        value=value, subjects=quantile.subjects, min_subjects=quantile.min_subjects
    )
