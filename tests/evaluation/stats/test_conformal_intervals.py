"""Conformal intervals of severity: bounds by hand, and coverage by simulation."""

import numpy as np
import pandas as pd
import pytest
from simulated_predictions import (
    resample,
    simulated_predictions,
)

from depmm.evaluation.stats import conformal_intervals, conformal_sets

# 120 folds are 120 worlds: each has its own subjects to calibrate on and to test
WORLDS = 120


@pytest.mark.slow
@pytest.mark.parametrize("sessions", [1, 3])
def test_severity_intervals_cover_as_promised(sessions):
    given = simulated_predictions(50, 50, sessions=sessions, folds=WORLDS)
    content = conformal_intervals.measure_severity_intervals(
        given, resample(given, n_bootstrap=1), 0.2
    )
    assert 0.8 - 0.02 < content["coverage"]["all"]["value"] < 0.8 + 1 / 50 + 0.02
    # twice the noise that one session, or the worst of three, exceeds in one subject of five
    assert content["width"] == pytest.approx({1: 2 * 1.28, 3: 2 * 1.79}[sessions], rel=0.1)


def test_intervals_end_at_the_instrument():
    rows = pd.DataFrame({"fold": 0, "seed": 0, "score_pred": [1.0, 30.0, 62.0]})
    fitted = {(0, 0): conformal_sets.ConformalQuantile(4.0, 20, 9)}
    spans = conformal_intervals.predict_severity_intervals(rows, fitted, (0, 63))
    assert spans["low"].tolist() == [0, 26, 58]
    assert spans["high"].tolist() == [5, 34, 63]


def test_too_few_subjects_give_the_whole_scale():
    given = simulated_predictions(validation=6, test=12)
    content = conformal_intervals.measure_severity_intervals(given, resample(given), 0.1)
    assert content["unbounded"]
    assert content["bounds"] == (0, 63)
    assert content["width"] == 63
    unknown = given.assign(instrument="own scale")
    content = conformal_intervals.measure_severity_intervals(unknown, resample(unknown), 0.1)
    assert content["width"] == np.inf
