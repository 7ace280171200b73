"""Conformal intervals of severity: bounds by hand, and coverage by simulation."""

import numpy as np
import pandas as pd
import pytest
from simulated_predictions import (
    resample,
    simulated_predictions,
)

from depmm.evaluation.stats import conformal_intervals, conformal_sets

# 120 folds are 120 independent studies, each with other validation and test subjects
STUDIES = 120


@pytest.mark.slow
@pytest.mark.parametrize("sessions", [1, 3])
def test_severity_intervals_have_their_coverage(sessions):
    table = simulated_predictions(50, 50, sessions=sessions, folds=STUDIES)
    content = conformal_intervals.measure_severity_intervals(
        table, resample(table, n_bootstrap=1), 0.2
    )
    assert 0.8 - 0.02 < content["coverage"]["all"]["value"] < 0.8 + 1 / 50 + 0.02
    # twice the noise that one session, or the worst of three, exceeds in one subject of five
    assert content["width"] == pytest.approx({1: 2 * 1.28, 3: 2 * 1.79}[sessions], rel=0.1)


def test_intervals_are_clipped_to_the_instrument():
    rows = pd.DataFrame({"fold": 0, "seed": 0, "score_pred": [1.0, 30.0, 62.0]})
    fitted = {(0, 0): conformal_sets.ConformalQuantile(4.0, 20, 9)}
    spans = conformal_intervals.predict_severity_intervals(rows, fitted, (0, 63))
    assert spans["low"].tolist() == [0, 26, 58]
    assert spans["high"].tolist() == [5, 34, 63]


def test_too_few_subjects_give_the_whole_scale():
    table = simulated_predictions(validation=6, test=12)
    content = conformal_intervals.measure_severity_intervals(table, resample(table), 0.1)
    assert content["unbounded"]
    assert content["bounds"] == (0, 63)
    assert content["width"] == 63
    unknown = table.assign(instrument="other scale")
    content = conformal_intervals.measure_severity_intervals(unknown, resample(unknown), 0.1)
    assert content["width"] == np.inf
