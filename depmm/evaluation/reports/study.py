"""The parts of ``metrics.json`` that describe the study rather than the model.

Reporting guidelines (TRIPOD+AI, REFORMS) ask for them: the subjects, the size of the test set, the
gap between training and test, and decisions that remain indeterminate.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from depmm.evaluation.reports.indeterminate import count_indeterminate
from depmm.evaluation.reports.participants import describe_participants, smallest_effects
from depmm.evaluation.reports.split_gap import measure_split_gap
from depmm.evaluation.stats.metrics import HEADLINE
from depmm.evaluation.stats.resampled_sessions import ResampledSessions


def describe_study(
    table: pd.DataFrame,
    resampled: ResampledSessions,
    targets: list[str],
    metrics: Mapping[str, Mapping[str, Any]],
    instrument: str | None,
) -> dict[str, Any]:
    """Compute the parts of ``metrics.json`` that describe the study.

    Parameters
    ----------
    table : DataFrame
        Prepared predictions.
    resampled : ResampledSessions
        Their tested rows.
    targets : list of str
        ``binary``, ``severity`` or both.
    metrics : mapping of str to mapping
        Each metric with its ``value`` on the tested sessions.
    instrument : str or None
        Instrument of the tested rows.

    Returns
    -------
    dict of str to object
        ``participants``, ``smallest_effects``, ``split_gap`` and ``indeterminate`` (None without a
        binary target).
    """
    values = {name: entry["value"] for name, entry in metrics.items()}
    return {
        "participants": describe_participants(table),
        "smallest_effects": smallest_effects(table, targets),
        "split_gap": measure_split_gap(table, targets, values, instrument),
        "indeterminate": count_indeterminate(table, resampled) if "binary" in targets else None,
    }


def add_results(
    ledger: Mapping[str, Any] | None, content: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Add the results of this evaluation to the entry of this run in a ledger.

    Parameters
    ----------
    ledger : mapping of str to object or None
        Runs on the same manifest, see :func:`depmm.runs.ledger.list_runs_on_manifest`.
    content : mapping of str to object
        The content of ``metrics.json``.

    Returns
    -------
    dict of str to object or None
        The ledger; None if there is none.
    """
    if ledger is None:
        return None
    names = [name for target in content["targets"] for name in HEADLINE[target]]
    results = {name: content["metrics"][name]["value"] for name in names}
    runs = [
        {**run, "evaluated": True, "metrics": results} if run["this"] else run
        for run in ledger["runs"]
    ]
    return {**ledger, "runs": runs}
