"""Registry of the metrics: name, columns, label, chance level and direction.

All metrics have the same signature, for point estimates and for bootstrap replicates::

    metric(measured [N], predicted [N], weights [D, N]) -> [D]

``N`` is the number of sessions, ``D`` the number of bootstrap replicates, and ``weights[d, n]`` the
multiplicity of session ``n`` in replicate ``d``; a point estimate has one replicate of ones.
Weights may be fractions (jackknife). The predicted column is a decision (0 or 1), the probability
of the positive class, a severity score or its band.

A metric is NaN in a replicate in which it is undefined (recall without positive sessions, for
example). NaN is not replaced by 0 or 1, unlike with scikit-learn's ``zero_division``.
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

# see depmm.evaluation.stats.metric_intervals
IntervalKind = Literal["wilson", "newcombe", "beta", "log", "fisher_z"]
Target = Literal["binary", "severity"]
PredictionColumn = Literal["y_pred", "y_prob", "score_pred", "band_pred"]
MEASURED: dict[PredictionColumn, str] = {
    "y_pred": "y_true",
    "y_prob": "y_true",
    "score_pred": "score",
    "band_pred": "band",
}


@dataclass(frozen=True)
class Metric:
    """A metric and how it is compared with constant predictions.

    Attributes
    ----------
    function : callable
        ``(measured [N], predicted [N], weights [D, N]) -> [D]``.
    predicted : {"y_pred", "y_prob", "score_pred", "band_pred"}
        Column of the prepared predictions that is evaluated.
    label : str
        Name in reports.
    meaning : str
        Definition in a few words, for reports.
    interval : {"wilson", "newcombe", "beta", "log", "fisher_z"}
        Kind of confidence interval, see ``depmm.evaluation.stats.metric_intervals``.
    chance : float, optional
        Highest value of predictions that do not depend on the measured value, where it is the same
        for every share of positives.
    has_baseline : bool, default True
        Whether the metric is compared with a baseline. False where a constant prediction reaches
        the best value, for example the recall of "always positive".
    lower_is_better : bool, default False
        Whether the metric is an error.
    proportion : bool, default True
        Whether all values are in [0, 1].
    exchanged : {"values", "ranks", "standard_scores"}, default "values"
        What a paired permutation test exchanges between two runs: ranks within each run if the
        metric is the same for every increasing function of the predictions, standard scores if it
        is the same for every increasing linear function, and otherwise the predictions themselves.
    """

    function: Callable[[ArrayLike, ArrayLike, Weights], Array]
    predicted: PredictionColumn
    label: str
    meaning: str
    interval: IntervalKind
    chance: float | None = None
    has_baseline: bool = True
    lower_is_better: bool = False
    proportion: bool = True
    exchanged: Literal["values", "ranks", "standard_scores"] = "values"

    @property
    def measured(self) -> str:
        """Column of the measured value: ``y_true``, ``score`` or ``band``."""
        return MEASURED[self.predicted]

    @property
    def target(self) -> Target:
        """Kind of target: ``binary`` or ``severity``."""
        return "binary" if self.measured == "y_true" else "severity"


METRICS: dict[str, Metric] = {
    "balanced_accuracy": Metric(
        balanced_accuracy,
        "y_pred",
        "Balanced accuracy",
        "mean of recall and specificity",
        interval="beta",
        chance=0.5,
    ),
    "auroc": Metric(
        auroc,
        "y_prob",
        "AUROC",
        "probability that a positive session is ranked above a negative one",
        interval="newcombe",
        chance=0.5,
        exchanged="ranks",
    ),
    "auprc": Metric(
        auprc,
        "y_prob",
        "AUPRC",
        "average precision; a constant reaches the share of positives",
        interval="wilson",
        exchanged="ranks",
    ),
    "accuracy": Metric(
        accuracy, "y_pred", "Accuracy", "share of correct decisions", interval="wilson"
    ),
    "precision": Metric(
        precision,
        "y_pred",
        "Precision",
        "share of positive decisions that are correct",
        interval="beta",
    ),
    "recall": Metric(
        recall,
        "y_pred",
        "Recall",
        "share of positive sessions decided positive (sensitivity)",
        interval="wilson",
        has_baseline=False,
    ),
    "specificity": Metric(
        specificity,
        "y_pred",
        "Specificity",
        "share of negative sessions decided negative",
        interval="wilson",
        has_baseline=False,
    ),
    "f1_positive": Metric(
        f1_positive,
        "y_pred",
        "F1, positive class",
        "harmonic mean of precision and recall",
        interval="beta",
    ),
    "f1_macro": Metric(
        f1_macro,
        "y_pred",
        "F1, macro",
        "mean of the F1 of both classes",
        interval="beta",
        # the most that decisions reach which do not depend on the label: q positive ones of share p
        # have 2pq/(p + q) and 2(1 - p)(1 - q)/(2 - p - q), whose mean is largest at q = p
        chance=0.5,
    ),
    "f1_weighted": Metric(
        f1_weighted,
        "y_pred",
        "F1, weighted",
        "mean of the F1 of both classes, weighted by class size",
        interval="beta",
    ),
    "mcc": Metric(
        mcc,
        "y_pred",
        "MCC",
        "correlation of label and decision",
        interval="beta",
        chance=0.0,
        proportion=False,
    ),
    "brier": Metric(
        brier,
        "y_prob",
        "Brier score",
        "mean squared error of the probability",
        interval="log",
        lower_is_better=True,
    ),
    "log_loss": Metric(
        log_loss,
        "y_prob",
        "Log-loss",
        "mean negative logarithm of the probability of the true class, nats",
        interval="log",
        lower_is_better=True,
        proportion=False,
    ),
    "rmse": Metric(
        rmse,
        "score_pred",
        "RMSE",
        "root mean squared error, points",
        interval="log",
        lower_is_better=True,
        proportion=False,
    ),
    "mae": Metric(
        mae,
        "score_pred",
        "MAE",
        "mean absolute error, points",
        interval="log",
        lower_is_better=True,
        proportion=False,
    ),
    "pearson": Metric(
        pearson,
        "score_pred",
        "Pearson r",
        "linear correlation",
        interval="fisher_z",
        chance=0.0,
        proportion=False,
        exchanged="standard_scores",
    ),
    "spearman": Metric(
        spearman,
        "score_pred",
        "Spearman rho",
        "rank correlation",
        interval="fisher_z",
        chance=0.0,
        proportion=False,
        exchanged="ranks",
    ),
    "ccc": Metric(
        ccc,
        "score_pred",
        "CCC",
        "agreement in mean, variance and correlation",
        interval="fisher_z",
        chance=0.0,
        proportion=False,
    ),
    "quadratic_kappa": Metric(
        quadratic_kappa,
        "band_pred",
        "Quadratic kappa",
        "agreement of severity bands beyond chance",
        interval="fisher_z",
        chance=0.0,
        proportion=False,
    ),
}

HEADLINE: dict[str, tuple[str, str]] = {
    "binary": ("balanced_accuracy", "auroc"),
    "severity": ("rmse", "mae"),
}


def metric_names(target: str) -> list[str]:
    """List the metrics of a kind of target, in the order of reports.

    Parameters
    ----------
    target : {"binary", "severity"}
        Kind of target.

    Returns
    -------
    list of str
        Names in ``METRICS``.
    """
    return [name for name, metric in METRICS.items() if metric.target == target]
