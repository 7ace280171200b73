"""Predictions that can be evaluated but may not be what the metrics assume."""

import numpy as np
import pandas as pd
from simulated_predictions import simulated_predictions

from depmm.evaluation.prediction_checks import check_predictions
from depmm.evaluation.prediction_warnings import prediction_warnings


def warnings_of(table: pd.DataFrame) -> list[str]:
    return prediction_warnings(check_predictions(table))


def segments(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Repeat the rows as segments of their sessions."""
    repeated = table.loc[table.index.repeat(count)].reset_index(drop=True)
    index = np.tile(np.arange(count), len(table)).astype(str)
    return repeated.assign(session=repeated["session"] + "-" + index)


def test_usual_predictions_have_no_warning():
    assert warnings_of(simulated_predictions()) == []


def test_hard_labels_are_named():
    table = simulated_predictions()
    [warning] = warnings_of(table.assign(y_prob=(table["y_prob"] > 0.5).astype(float)))
    assert "decisions" in warning


def test_segments_are_named_and_sessions_with_own_labels_are_not():
    table = simulated_predictions()
    [warning] = warnings_of(segments(table, 6))
    assert "unit subject" in warning
    assert warnings_of(segments(table, 3)) == []
    changing = segments(table, 6)
    changing["y_true"] = (changing.index % 2).astype(float)
    changing["score"] = changing["y_true"] * 20
    assert warnings_of(changing) == []
