"""Calibration of one model as numbers without ids."""

import json

import numpy as np
import pytest
from pydantic import ValidationError
from validation_predictions import validation_predictions

from depmm.evaluation import fitted_calibration
from depmm.evaluation.fitted_calibration import FittedCalibration, fit_calibration, fit_interval
from depmm.evaluation.stats.venn_abers import venn_abers


@pytest.fixture
def rows():
    rows = validation_predictions(30).query("split == 'validation'").reset_index(drop=True)
    noise = np.random.default_rng(0).uniform(-0.4, 0.4, len(rows))
    return rows.assign(y_prob=(rows["y_prob"] + noise).clip(0, 1))


def test_the_interval_is_that_of_the_predictor_between_its_edges(rows):
    interval = fit_interval(rows)
    for y_prob in np.setdiff1d(np.linspace(0, 1, 41), rows["y_prob"]):
        assert interval.interval(y_prob) == pytest.approx(venn_abers(rows, y_prob), abs=1e-8)
    for y_prob in rows["y_prob"]:  # at an edge, the union of both sides
        low, high = interval.interval(y_prob)
        exact = venn_abers(rows, y_prob)
        assert low <= exact[0] + 1e-8
        assert exact[1] <= high + 1e-8


def test_an_interval_with_fewer_edges_contains_the_exact_one(rows, monkeypatch):
    monkeypatch.setattr(fitted_calibration, "MAX_EDGES", 4)
    interval = fit_interval(rows)
    assert len(interval.edges) <= 4
    for y_prob in np.linspace(0, 1, 23):
        low, high = interval.interval(y_prob)
        exact = venn_abers(rows, y_prob)
        assert low <= exact[0] + 1e-8
        assert exact[1] <= high + 1e-8


def test_no_id_is_kept_and_damaged_content_is_refused():
    text = fit_calibration(validation_predictions(20), True, 0.3).model_dump_json()
    content = json.loads(text)
    assert '"v0"' not in text
    assert (content["threshold"], content["validation_subjects"]) == (0.3, 20)
    for name, value in (
        ("logistic", None),
        ("labels", {"0": content["labels"]["0"]}),
        ("threshold", 2.0),
        ("interval", {"edges": [0.5], "low": [0.1], "high": [0.2, 0.4]}),
        ("interval", {"edges": [0.5], "low": [0.3, 0.1], "high": [0.2, 0.4]}),
        ("extra", 1),
    ):
        with pytest.raises(ValidationError):
            FittedCalibration.model_validate_json(json.dumps({**content, name: value}))
