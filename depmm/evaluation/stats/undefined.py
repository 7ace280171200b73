"""Why a metric has no value on the tested sessions, or cannot be compared with a baseline.

Many metrics of decisions are undefined if all tested sessions have one class, and correlations if a
variable is constant. Where the measured values are constant, one constant prediction is perfect, so
that the metrics that remain defined (accuracy, errors) say nothing about a baseline.
"""

import numpy as np

from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.resampled_sessions import ResampledSessions

CLASSES = {0: "negative", 1: "positive"}


def explain_undefined(tested: ResampledSessions, name: str) -> str | None:
    """State why a metric has no value on the tested sessions.

    Parameters
    ----------
    tested : ResampledSessions
        The tested rows.
    name : str
        Metric, a key of ``METRICS``.

    Returns
    -------
    str or None
        The reason without a full stop, for the first seed in which there is one; None if the metric
        is defined in all of them.
    """
    metric = METRICS[name]
    per_seed = tested.values(name).per_seed
    for value, (seed, rows) in zip(per_seed, tested.seeds.items(), strict=True):
        if np.isfinite(value):
            continue
        where = f" in seed {seed}" if len(tested.seeds) > 1 else ""
        for column in (metric.measured, metric.predicted):
            if reason := _describe_constant(column, np.unique(rows[column].to_numpy(float))):
                return f"{reason}{where}"
        return f"it has no value{where}"
    return None


def explain_no_comparison(tested: ResampledSessions, name: str) -> str | None:
    """State why a metric cannot be compared with a baseline.

    Parameters
    ----------
    tested : ResampledSessions
        The tested rows.
    name : str
        Metric, a key of ``METRICS``.

    Returns
    -------
    str or None
        The reason without a full stop; None if the metric can be compared.
    """
    column = METRICS[name].measured
    for rows in tested.seeds.values():
        if reason := _describe_constant(column, np.unique(rows[column].to_numpy(float))):
            return reason
    return None if tested.can_resample else tested.NOT_RESAMPLED


def _describe_constant(column: str, values: np.ndarray) -> str | None:
    if len(values) != 1:
        return None
    value = values[0]
    return {
        "y_true": f"all tested sessions are {CLASSES.get(value, value)}",
        "y_pred": f"all sessions are predicted {CLASSES.get(value, value)}",
        "y_prob": f"all sessions have the probability {value:g}",
        "score": f"all tested sessions have the score {value:g}",
        "score_pred": f"all predicted scores are {value:g}",
        "band": "all tested sessions have one severity level",
        "band_pred": "all sessions are predicted to have one severity level",
    }[column]
