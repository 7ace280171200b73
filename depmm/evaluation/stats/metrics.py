"""Every metric of the project, once, as a function of resampling counts.

All metrics share one shape, so that a point estimate and its bootstrap are the same lines::

    metric(y_true [N], answer [N], weights [D, N]) -> [D]

`N` counts sessions, `D` bootstrap draws. ``weights[d, n]`` says how often session ``n`` stands in
draw ``d``; the point estimate has one draw of ones. Weights may be fractions (a jackknife).
``answer`` is a decision (0/1), a probability of the positive class, a severity score or its band:
``METRICS[name].predicted`` tells which column it is, ``.measured`` which one is the measured value.

A value that is undefined in a draw (recall without positives, say) is NaN in that draw. It is
never replaced by 0 or 1, as scikit-learn's ``zero_division`` would do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

from depmm.evaluation.stats.binary_metrics import (
    accuracy,
    auprc,
    auroc,
    balanced_accuracy,
    brier,
    f1_macro,
    f1_positive,
    f1_weighted,
    log_loss,
    mcc,
    precision,
    recall,
    specificity,
)
from depmm.evaluation.stats.severity_metrics import (
    ccc,
    mae,
    pearson,
    quadratic_kappa,
    rmse,
    spearman,
)
from depmm.evaluation.stats.weighted_sums import Array, Weights

PredictionColumn = Literal["y_pred", "y_prob", "score_pred", "band_pred"]
MEASURED: dict[PredictionColumn, str] = {
    "y_pred": "y_true",
    "y_prob": "y_true",
    "score_pred": "score",
    "band_pred": "band",
}


@dataclass(frozen=True)
class Metric:
    """What a metric computes, and how it is compared with constant answers.

    Parameters
    ----------
    function : ``(y_true [N], answer [N], weights [D, N]) -> [D]``
    predicted : column of the decided predictions that is the answer
    label, meaning : words for a reader
    chance : value of every constant answer, where it is the same for all of them
    has_baseline : False where a constant answer reaches the best value (recall of "always
        positive")
    proportion : whether the value lies in [0, 1]
    """

    function: Callable[[ArrayLike, ArrayLike, Weights], Array]
    predicted: PredictionColumn
    label: str
    meaning: str
    chance: float | None = None
    has_baseline: bool = True
    lower_is_better: bool = False
    proportion: bool = True

    @property
    def target(self) -> str:
        """``binary`` or ``severity``."""
        return "binary" if self.measured == "y_true" else "severity"

    @property
    def measured(self) -> str:
        """Column of the measured value."""
        return MEASURED[self.predicted]


METRICS: dict[str, Metric] = {
    "balanced_accuracy": Metric(
        balanced_accuracy,
        "y_pred",
        "Balanced accuracy",
        "mean of recall and specificity",
        chance=0.5,
    ),
    "auroc": Metric(
        auroc,
        "y_prob",
        "AUROC",
        "chance that a positive session is ranked above a negative one",
        chance=0.5,
    ),
    "auprc": Metric(
        auprc,
        "y_prob",
        "AUPRC",
        "average precision; a constant answer reaches the share of positives",
    ),
    "accuracy": Metric(accuracy, "y_pred", "Accuracy", "share of sessions decided right"),
    "precision": Metric(
        precision, "y_pred", "Precision", "share of positive decisions that are right"
    ),
    "recall": Metric(
        recall,
        "y_pred",
        "Recall",
        "share of positive sessions found (sensitivity)",
        has_baseline=False,
    ),
    "specificity": Metric(
        specificity,
        "y_pred",
        "Specificity",
        "share of negative sessions left alone",
        has_baseline=False,
    ),
    "f1_positive": Metric(
        f1_positive, "y_pred", "F1, positive class", "harmonic mean of precision and recall"
    ),
    "f1_macro": Metric(f1_macro, "y_pred", "F1, macro", "mean of the F1 of both classes"),
    "f1_weighted": Metric(
        f1_weighted, "y_pred", "F1, weighted", "mean of both F1, weighted by how often each is true"
    ),
    "mcc": Metric(
        mcc,
        "y_pred",
        "MCC",
        "correlation of decision and truth",
        chance=0.0,
        proportion=False,
    ),
    "brier": Metric(
        brier,
        "y_prob",
        "Brier score",
        "mean squared error of the probability",
        lower_is_better=True,
    ),
    "log_loss": Metric(
        log_loss,
        "y_prob",
        "Log-loss",
        "mean negative logarithm of the probability of the truth, nats",
        lower_is_better=True,
        proportion=False,
    ),
    "rmse": Metric(
        rmse,
        "score_pred",
        "RMSE",
        "root of the mean squared error, points",
        lower_is_better=True,
        proportion=False,
    ),
    "mae": Metric(
        mae,
        "score_pred",
        "MAE",
        "mean absolute error, points",
        lower_is_better=True,
        proportion=False,
    ),
    "pearson": Metric(
        pearson, "score_pred", "Pearson r", "linear agreement", chance=0.0, proportion=False
    ),
    "spearman": Metric(
        spearman, "score_pred", "Spearman rho", "agreement in order", chance=0.0, proportion=False
    ),
    "ccc": Metric(
        ccc,
        "score_pred",
        "CCC",
        "agreement in level, spread and order",
        chance=0.0,
        proportion=False,
    ),
    "quadratic_kappa": Metric(
        quadratic_kappa,
        "band_pred",
        "Quadratic kappa",
        "agreement of severity bands beyond chance",
        chance=0.0,
        proportion=False,
    ),
}


HEADLINE: dict[str, tuple[str, str]] = {
    "binary": ("balanced_accuracy", "auroc"),
    "severity": ("rmse", "mae"),
}


def metric_names(target: str) -> list[str]:
    """Names of the metrics of a ``binary`` or ``severity`` target, in the order of reports."""
    return [name for name, metric in METRICS.items() if metric.target == target]
