"""Fusion of modalities and averages over steps, by hand."""

import numpy as np
import pytest
from scipy.special import expit

from depmm.config import ClassicalSettings
from depmm.models.classical.estimators import predict_output
from depmm.models.classical.model import average, fit_model

COLUMNS = {"audio": ["a", "b"], "face": ["c"]}
MEASURES = {"audio": ["voice"], "face": ["face"]}


@pytest.fixture
def rows():
    rng = np.random.default_rng(1)
    values = {"audio": rng.standard_normal((30, 2)), "face": rng.standard_normal((30, 1))}
    return values, (values["audio"][:, 0] > values["face"][:, 0]).astype(float)


def settings(**changes):
    return ClassicalSettings(model={"kind": "ridge"}, measures=MEASURES, **changes)


def test_late_fusion_is_the_mean_logit_of_the_modalities_present(rows):
    values, labels = rows
    model = fit_model(settings(fusion="late"), COLUMNS, values, labels, None, 0)
    assert list(model.pipelines) == ["audio", "face"]
    logits = [predict_output(model.pipelines[name], values[name]) for name in values]
    session = np.arange(30)
    np.testing.assert_allclose(model.predict(values, session), np.mean(logits, axis=0))
    without = {"audio": values["audio"], "face": np.full((30, 1), np.nan)}
    np.testing.assert_allclose(model.predict(without, session), logits[0])
    # a modality that is missing in training is left out of its pipeline only
    fewer = {"audio": values["audio"], "face": values["face"].copy()}
    fewer["face"][:10] = np.nan
    refitted = fit_model(settings(fusion="late"), COLUMNS, fewer, labels, None, 0)
    rest = {name: table[10:] for name, table in values.items()}
    face = fit_model(settings(fusion="late"), COLUMNS, rest, labels[10:], None, 0)
    np.testing.assert_allclose(
        predict_output(refitted.pipelines["face"], values["face"]),
        predict_output(face.pipelines["face"], values["face"]),
    )


def test_a_session_without_any_measure_has_the_logit_of_the_medians(rows):
    values, labels = rows
    for fusion in ("early", "late"):
        model = fit_model(settings(fusion=fusion), COLUMNS, values, labels, None, 0)
        missing = {"audio": np.full((1, 2), np.nan), "face": np.full((1, 1), np.nan)}
        medians = {name: np.median(table, axis=0)[None] for name, table in values.items()}
        np.testing.assert_allclose(
            model.predict(missing, np.zeros(1)), model.predict(medians, np.zeros(1))
        )


def test_steps_are_averaged_per_session(rows):
    values, labels = rows
    model = fit_model(settings(unit="step"), COLUMNS, values, labels, None, 0)
    session = np.repeat([4, 7, 9], 10)
    logits = model.predict_rows(values)["all"]
    expected = logits.reshape(3, 10).mean(axis=1)
    np.testing.assert_allclose(model.predict(values, session), expected)
    np.testing.assert_allclose(model.to_prediction(expected), expit(expected))


def test_scores_are_clipped_to_their_range(rows):
    values, _ = rows
    scores = np.linspace(0, 27, 30)
    model = fit_model(settings(), COLUMNS, values, scores, (0.0, 27.0), 0)
    assert model.to_prediction(np.array([-3.0, 5.0, 40.0])).tolist() == [0.0, 5.0, 27.0]


def test_the_average_leaves_missing_rows_out():
    means = average(np.array([1.0, np.nan, 3.0, np.nan]), np.array([0, 0, 0, 2]))
    np.testing.assert_array_equal(means, [2.0, np.nan])
