"""Decisions with an indeterminate outcome: the 2 x 2 table with a third column.

A session is decided if its conformal prediction set contains exactly one label; it is indeterminate
if the set contains both labels or none. The sets are those of the highest coverage in the report.

References
----------
Shinkins et al., "Diagnostic accuracy studies: how to report and analyse inconclusive test results",
BMJ 346:f2778, 2013 (3 x 2 table instead of leaving inconclusive results out).
"""

from typing import Any

import numpy as np
import pandas as pd

from depmm.evaluation.stats.calibrators import CalibrationError
from depmm.evaluation.stats.conformal_sets import ALPHAS, fit_label_sets, predict_label_sets
from depmm.evaluation.stats.resampled_sessions import ResampledSessions

OUTCOMES = ("negative", "indeterminate", "positive")


def count_indeterminate(table: pd.DataFrame, tested: ResampledSessions) -> dict[str, Any]:
    """Count tested sessions by label and outcome.

    Parameters
    ----------
    table : DataFrame
        Checked predictions; the sets are calibrated on validation rows.
    tested : ResampledSessions
        Their tested rows.

    Returns
    -------
    dict of str to object
        ``coverage`` of the sets; ``counts`` by label (``negative``, ``positive``) and outcome (the
        same and ``indeterminate``), mean over seeds; and the ``share`` of indeterminate sessions.
        Only ``unavailable``, with the reason, if the sets cannot be calibrated.
    """
    try:
        fitted = fit_label_sets(table, ALPHAS[0])
    except CalibrationError as error:
        return {"unavailable": str(error)}
    counts = np.zeros((2, 3))
    for rows in tested.seeds.values():
        sets = predict_label_sets(rows, fitted)
        outcome = 1 + sets["has_1"].to_numpy(int) - sets["has_0"].to_numpy(int)
        np.add.at(counts, (rows["y_true"].to_numpy(int), outcome), 1 / len(tested.seeds))
    return {
        "coverage": 1 - ALPHAS[0],
        "counts": {
            label: dict(zip(OUTCOMES, row.round(9).tolist(), strict=True))
            for label, row in zip(("negative", "positive"), counts, strict=True)
        },
        "share": counts[:, 1].sum() / counts.sum(),
    }
