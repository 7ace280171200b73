"""Logistic and isotonic calibration: hand values, recovery, validation rows only."""

from dataclasses import asdict

import numpy as np
import pytest
from nearly import nearly
from scipy.special import expit, logit
from simulated_predictions import (
    simulated_predictions,
)
from sklearn.linear_model import LogisticRegression

from depmm.evaluation.stats import conformal_intervals, conformal_sets, reliability
from depmm.evaluation.stats.calibrators import (
    CalibrationError,
    apply_calibrators,
    fit_calibrators,
    fit_isotonic,
    fit_logistic,
)
from depmm.evaluation.stats.weighted_sums import unit_weights


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_slope_and_intercept_are_recovered(sharpness, shift):
    rng = np.random.default_rng(4)
    true_logit = rng.normal(scale=2, size=20_000)
    y = rng.random(20_000) < expit(true_logit)
    fit = fit_logistic(y, expit(sharpness * true_logit + shift))
    assert fit.slope == pytest.approx(1 / sharpness, rel=0.06)
    assert fit.intercept == pytest.approx(-shift / sharpness, abs=0.08)
    fresh = rng.normal(scale=2, size=20_000)
    labels = rng.random(20_000) < expit(fresh)
    after = reliability.adaptive_ece(
        labels, fit.apply(expit(sharpness * fresh + shift)), unit_weights(20_000)
    )[0]
    assert after < 0.012
    assert (np.diff(fit.apply(np.linspace(0.01, 0.99, 50))) > 0).all()


def test_logistic_calibration_by_hand():
    # two probabilities of .8 and .2, correct in 3 of 4. Platt's labels are 5/6 and 1/6, so the best
    # probabilities are (3 * 5/6 + 1/6) / 4 = 2/3 and 1/3
    y, prob = [1, 1, 1, 0, 0, 0, 0, 1], [0.8] * 4 + [0.2] * 4
    fit = fit_logistic(y, prob)
    assert fit.slope == pytest.approx(logit(2 / 3) / logit(0.8), rel=1e-5)
    assert fit.intercept == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(fit.apply(prob), [2 / 3] * 4 + [1 / 3] * 4, rtol=1e-5)


def test_logistic_calibration_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=60)
    y = (rng.random(60) < expit(0.5 + 0.7 * logits)).astype(int)
    fit = fit_logistic(y, expit(logits))
    # one row per label of a session, with its share as weight
    target = np.where(y == 1, (y.sum() + 1) / (y.sum() + 2), 1 / ((1 - y).sum() + 2))
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(
        np.tile(logits, 2)[:, None], np.repeat([1, 0], 60), np.concatenate([target, 1 - target])
    )
    assert fit.slope == pytest.approx(reference.coef_[0, 0], abs=1e-4)
    assert fit.intercept == pytest.approx(reference.intercept_[0], abs=1e-4)


def test_separated_reversed_and_constant_probabilities():
    apart = fit_logistic([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9])
    assert 0.1 < apart.slope < 10
    assert apart.apply([0.1, 0.9]).tolist() == pytest.approx([0.25, 0.75], abs=0.15)
    against = fit_logistic([1, 1, 0, 0], [0.1, 0.4, 0.6, 0.9])
    assert against.slope == 0.1
    assert "bound" in against.source
    constant = fit_logistic([1, 0, 0, 0], [0.6] * 4)
    # labels 2/3 and 1/5
    assert constant.apply([0.6])[0] == pytest.approx((2 / 3 + 3 / 5) / 4, abs=1e-6)


def test_isotonic_regression_is_used_only_where_it_generalises():
    rng = np.random.default_rng(0)
    prob = rng.random(3000)
    stepped = np.where(prob < 0.3, 0.05, np.where(prob < 0.7, 0.5, 0.95))
    y = (rng.random(3000) < stepped).astype(int)
    fit = fit_isotonic(y, prob, np.arange(3000))
    np.testing.assert_allclose(fit.apply([0.15, 0.5, 0.85]), [0.05, 0.5, 0.95], atol=0.06)
    with pytest.raises(CalibrationError) as info:
        fit_isotonic(y[:49], prob[:49], np.arange(49))
    assert info.value.value == 49
    # of 60 subjects with a logistic truth, isotonic regression overfits
    y = (rng.random(60) < prob[:60]).astype(int)
    with pytest.raises(CalibrationError) as info:
        fit_isotonic(y, prob[:60], np.arange(60))
    assert 0.1 < info.value.value < 0.3


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
def test_fits_do_not_depend_on_test_rows(method):
    table = simulated_predictions(folds=2, validation=400)
    if method == "isotonic":  # many different probabilities of nearly the same logit
        table["y_prob"] = np.where(table["y_prob"] < 0.5, 0.001, 0.4) * table["y_prob"] ** 0.1
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
    calibrators = fit_calibrators(table, "logistic")
    assert set(calibrators) == {(0, 0), (1, 0)}
    changed = table.copy()
    changed_rows = (changed["fold"] == 1) & (changed["split"] == "validation")
    changed.loc[changed_rows, "y_prob"] = expit(1.5 * logit(changed.loc[changed_rows, "y_prob"]))
    again = fit_calibrators(changed, "logistic")
    assert again[0, 0] == calibrators[0, 0]
    assert again[1, 0].slope == pytest.approx(calibrators[1, 0].slope / 1.5, rel=1e-2)
    assert again[1, 0].intercept == pytest.approx(calibrators[1, 0].intercept, abs=1e-2)
    rows = table.query("split == 'test'")
    calibrated = apply_calibrators(rows, calibrators)
    second = (rows["fold"] == 1).to_numpy()
    expected = calibrators[1, 0].apply(rows.loc[second, "y_prob"])
    np.testing.assert_allclose(calibrated[second], expected, rtol=1e-12)


def test_validation_rows_of_both_classes_are_required():
    table = simulated_predictions()
    without = table[table["split"] != "validation"]
    with pytest.raises(CalibrationError) as info:
        fit_calibrators(without, "logistic")
    assert (info.value.column, info.value.value) == ("y_prob", (0, 0))
    with pytest.raises(CalibrationError) as info:
        conformal_intervals.fit_severity_intervals(without, 0.1)
    assert info.value.column == "score_pred"
    positives = table[(table["split"] != "validation") | (table["y_true"] == 1)]
    for fit in (
        lambda t: fit_calibrators(t, "logistic"),
        lambda t: conformal_sets.fit_label_sets(t, 0.1),
    ):
        with pytest.raises(CalibrationError) as info:
            fit(positives)
        assert (info.value.column, info.value.value) == ("y_true", (0, 0))
    with pytest.raises(ValueError, match="'platt'"):
        fit_calibrators(table, "platt")
