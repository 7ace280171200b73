"""Temperature and isotonic scaling: hand values, recovery, validation rows only."""

from dataclasses import asdict

import numpy as np
import pytest
from nearly import nearly
from scipy.special import expit, logit
from simulated_predictions import (
    simulated_predictions,
)

from depmm.evaluation.stats import conformal_intervals, conformal_sets, reliability
from depmm.evaluation.stats.calibrators import (
    CalibrationError,
    apply_calibrators,
    fit_calibrators,
    fit_isotonic,
    fit_temperature,
)
from depmm.evaluation.stats.weighted_sums import unit_weights


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_temperature_is_recovered(sharpness):
    rng = np.random.default_rng(4)
    true_logit = rng.normal(scale=2, size=20_000)
    y = rng.random(20_000) < expit(true_logit)
    prob = expit(sharpness * true_logit)
    fit = fit_temperature(y, prob)
    assert fit.temperature == pytest.approx(sharpness, rel=0.06)
    fresh = rng.normal(scale=2, size=20_000)
    labels = rng.random(20_000) < expit(fresh)
    after = reliability.adaptive_ece(
        labels, fit.apply(expit(sharpness * fresh)), unit_weights(20_000)
    )[0]
    assert after < 0.012
    assert (np.diff(fit.apply(np.linspace(0.01, 0.99, 50))) > 0).all()


def test_temperature_by_hand():
    # two probabilities of .8 and .2, correct in 3 of 4: the best probability is .75
    y, prob = [1, 1, 1, 0, 0, 0, 0, 1], [0.8] * 4 + [0.2] * 4
    fit = fit_temperature(y, prob)
    assert fit.temperature == pytest.approx(logit(0.8) / logit(0.75))
    np.testing.assert_allclose(fit.apply(prob), [0.75] * 4 + [0.25] * 4)


def test_temperature_without_a_minimum():
    apart = fit_temperature([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9])
    assert apart.temperature == 1
    against = fit_temperature([1, 1, 0, 0], [0.1, 0.4, 0.6, 0.9])
    assert against.temperature == 10
    assert fit_temperature([0, 1], [0.0, 1.0]).apply([0.0, 1.0]).tolist() == pytest.approx(
        [0, 1], abs=1e-5
    )


def test_isotonic_by_hand_and_its_minimum_of_subjects():
    y = [0, 0, 1, 0, 1, 1]
    prob = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    fit = fit_isotonic(y, prob, subjects=60)
    np.testing.assert_allclose(fit.apply([0.0, 0.1, 0.3, 0.4, 0.9]), [0, 0, 0.5, 0.5, 1])
    assert "1000" in fit.source
    with pytest.raises(CalibrationError) as info:
        fit_isotonic(y, prob, subjects=49)
    assert info.value.value == 49


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_fits_do_not_depend_on_test_rows(method):
    table = simulated_predictions(folds=2)
    other = table.copy()
    tested = other["split"] != "validation"
    other.loc[tested, "y_prob"] = 1 - other.loc[tested, "y_prob"]
    other.loc[tested, "y_true"] = 1 - other.loc[tested, "y_true"]
    other.loc[tested, "score_pred"] = 0.0
    calibrators, again = fit_calibrators(table, method), fit_calibrators(other, method)
    assert calibrators.keys() == again.keys()
    for key, one in calibrators.items():
        assert asdict(again[key]) == nearly(asdict(one))
    assert conformal_sets.fit_label_sets(table, 0.1) == conformal_sets.fit_label_sets(other, 0.1)
    assert conformal_intervals.fit_severity_intervals(
        table, 0.1
    ) == conformal_intervals.fit_severity_intervals(other, 0.1)


def test_each_fold_has_its_own_calibrator():
    table = simulated_predictions(folds=2, validation=200)
    calibrators = fit_calibrators(table, "temperature")
    assert set(calibrators) == {(0, 0), (1, 0)}
    changed = table.copy()
    changed_rows = (changed["fold"] == 1) & (changed["split"] == "validation")
    changed.loc[changed_rows, "y_prob"] = expit(1.5 * logit(changed.loc[changed_rows, "y_prob"]))
    again = fit_calibrators(changed, "temperature")
    assert again[0, 0].temperature == pytest.approx(calibrators[0, 0].temperature, rel=1e-9)
    assert again[1, 0].temperature == pytest.approx(1.5 * calibrators[1, 0].temperature, rel=1e-2)
    rows = table.query("split == 'test'")
    calibrated = apply_calibrators(rows, calibrators)
    second = (rows["fold"] == 1).to_numpy()
    expected = calibrators[1, 0].apply(rows.loc[second, "y_prob"])
    np.testing.assert_allclose(calibrated[second], expected, rtol=1e-12)


def test_validation_rows_of_both_classes_are_required():
    table = simulated_predictions()
    without = table[table["split"] != "validation"]
    with pytest.raises(CalibrationError) as info:
        fit_calibrators(without, "temperature")
    assert (info.value.column, info.value.value) == ("y_prob", (0, 0))
    with pytest.raises(CalibrationError) as info:
        conformal_intervals.fit_severity_intervals(without, 0.1)
    assert info.value.column == "score_pred"
    positives = table[(table["split"] != "validation") | (table["y_true"] == 1)]
    for fit in (
        lambda t: fit_calibrators(t, "temperature"),
        lambda t: conformal_sets.fit_label_sets(t, 0.1),
    ):
        with pytest.raises(CalibrationError) as info:
            fit(positives)
        assert (info.value.column, info.value.value) == ("y_true", (0, 0))
    with pytest.raises(ValueError, match="'platt'"):
        fit_calibrators(table, "platt")
