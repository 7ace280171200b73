"""Metrics on training, validation and test sessions, and the gap between training and test.

A large gap shows overfitting. The metrics of training and validation sessions are means over the
trainings (folds and seeds); the metric of the test sessions is that of the report, so that folds
with a single tested subject have a value. Epoch and threshold are chosen on the validation
sessions, whose metrics are therefore optimistic as well.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from depmm.evaluation.stats.metrics import METRICS, metric_names
from depmm.evaluation.stats.severity_metrics import severity_bands
from depmm.evaluation.stats.weighted_sums import unit_weights


def measure_split_gap(
    table: pd.DataFrame,
    targets: list[str],
    test: Mapping[str, float | None],
    instrument: str | None,
) -> dict[str, Any]:
    """Compute every metric on the sessions of each split.

    Parameters
    ----------
    table : DataFrame
        Prepared predictions.
    targets : list of str
        ``binary``, ``severity`` or both.
    test : mapping of str to float
        Each metric on the tested sessions; None or NaN where undefined.
    instrument : str or None
        Instrument, from which severity bands are computed; None if it is unknown.

    Returns
    -------
    dict of str to dict
        By metric: ``train``, ``validation`` and ``test``, and ``gap``, the value of training minus
        that of test. A value is NaN if there are no predictions in the split or the metric is
        undefined in each of its trainings.
    """
    values: dict[str, dict[str, float]] = {}
    for target in targets:
        for name in metric_names(target):
            known = test.get(name)
            entry = {
                split: _mean_over_trainings(table, name, split, instrument)
                for split in ("train", "validation")
            }
            entry["test"] = np.nan if known is None else float(known)
            entry["gap"] = entry["train"] - entry["test"]
            values[name] = entry
    return values


def _mean_over_trainings(
    table: pd.DataFrame, name: str, split: str, instrument: str | None
) -> float:
    metric = METRICS[name]
    measured, predicted = metric.measured, metric.predicted
    bands = measured == "band"
    # bands are computed for tested rows only, see prepare_predictions
    sources = ("score", "score_pred") if bands else (measured, predicted)
    if (bands and "band" not in table) or not set(sources) <= set(table):
        return float("nan")
    rows = table[table["split"] == split].dropna(subset=list(sources))
    results = []
    for _, training in rows.groupby(["fold", "seed"]):
        truth, guess = (training[source].to_numpy(float) for source in sources)
        if bands and instrument is not None:
            truth, guess = (severity_bands(scores, instrument) for scores in (truth, guess))
        results.append(metric.function(truth, guess, unit_weights(len(training)))[0])
    known = [value for value in results if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
