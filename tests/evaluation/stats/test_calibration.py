"""Calibration, conformal sets, selective risk: by hand, simulated, and never from the test."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from nearly import nearly
from scipy.special import expit, logit

from depmm.evaluation.predictions import check_predictions
from depmm.evaluation.stats import calibration, reliability
from depmm.evaluation.stats import conformal_sets as conformal
from depmm.evaluation.stats import risk_coverage as selective
from depmm.evaluation.stats.bootstrap import resample_sessions
from depmm.evaluation.stats.calibration import (
    CalibrationError,
    fit_calibrators,
    fit_temperature,
    venn_abers,
)
from depmm.evaluation.stats.conformal_sets import conformal_quantile
from depmm.evaluation.stats.intervals import wilson_interval
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.evaluation.thresholds import apply_threshold

ONE = unit_weights


def table(validation=60, test=60, seed=0, sharpness=1.0, sessions=1, folds=1):
    """Probabilities whose logit is ``sharpness`` times the true one; severity with unit noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for fold in range(folds):
        for split, subjects in (("train", 4), ("validation", validation), ("test", test)):
            for subject in range(subjects):
                true_logit = rng.normal(scale=2)
                label = int(rng.random() < expit(true_logit))
                for session in range(sessions):
                    score = rng.uniform(5, 40)
                    rows.append(
                        {
                            "corpus": "c",
                            "subject": f"{split}-{fold}-{subject}",
                            "session": f"s{session}",
                            "split": split,
                            "fold": fold,
                            "seed": 0,
                            "y_true": label,
                            "y_prob": expit(sharpness * true_logit),
                            "score": float(np.clip(score + rng.normal(), 0, 63)),
                            "score_pred": score,
                            "instrument": "BDI-II",
                        }
                    )
    return check_predictions(pd.DataFrame(rows))


def drawn(predictions, draws=100):
    return resample_sessions(apply_threshold(predictions), draws, 0.95, 0)


# ---- reliability -------------------------------------------------------------------------------


def test_adaptive_ece_by_hand():
    y = [0, 1, 1, 1, 0, 1]
    prob = [0.1, 0.2, 0.6, 0.7, 0.8, 0.9]
    # three bins of two: |.15 - .5|, |.65 - 1|, |.85 - .5|
    value = reliability.adaptive_ece(y, prob, ONE(6), bins=3)
    np.testing.assert_allclose(value, (0.35 + 0.35 + 0.35) / 3)
    # one bin: |mean probability - share of positives|
    np.testing.assert_allclose(reliability.adaptive_ece(y, prob, ONE(6), bins=1), abs(0.55 - 4 / 6))


def test_equal_probabilities_share_a_bin_and_order_means_nothing():
    y, prob = np.array([1, 0, 1, 0]), np.full(4, 0.5)
    np.testing.assert_allclose(reliability.adaptive_ece(y, prob, ONE(4), bins=2), 0)
    rng = np.random.default_rng(0)
    y, prob = rng.integers(0, 2, 50), rng.integers(0, 6, 50) / 5
    order = rng.permutation(50)
    one = reliability.adaptive_ece(y, prob, ONE(50), 4)
    np.testing.assert_allclose(reliability.adaptive_ece(y[order], prob[order], ONE(50), 4), one)


def test_weights_are_repetitions():
    rng = np.random.default_rng(1)
    y, prob = rng.integers(0, 2, 30), rng.random(30)
    counts = rng.integers(0, 4, 30)
    many = np.repeat(y, counts), np.repeat(prob, counts)
    weighted = reliability.adaptive_ece(y, prob, counts[None].astype(np.uint8))
    np.testing.assert_allclose(weighted, reliability.adaptive_ece(*many, ONE(counts.sum())))
    loss, sure = (y == (prob > 0.5)).astype(float), np.round(prob, 1)
    weighted = selective.aurc(loss, sure, counts[None])
    many = np.repeat(loss, counts), np.repeat(sure, counts)
    np.testing.assert_allclose(weighted, selective.aurc(*many, ONE(counts.sum())))


def test_bins_hold_equal_mass_with_wilson_of_subjects():
    rows = table(test=40, sessions=2).query("split == 'test'")
    bins = reliability.reliability_bins(rows, "y_prob", 4, 0.95)
    assert [entry["subjects"] for entry in bins] == [10] * 4
    assert [entry["sessions"] for entry in bins] == [20] * 4
    first = rows.sort_values("y_prob").iloc[:20]
    assert bins[0]["mean"] == pytest.approx(first["y_prob"].mean())
    share = first["y_true"].mean()
    expected = wilson_interval(10 * share, 10, 0.95)
    assert bins[0]["positives"] == pytest.approx(
        {"value": share, "ci_low": expected.ci_low, "ci_high": expected.ci_high}
    )
    assert [reliability.count_bins(n) for n in (4, 30, 500)] == [2, 3, 10]


def test_calibrated_probabilities_lie_within_their_own_expectation():
    rng = np.random.default_rng(3)
    prob = rng.random(2000)
    y = rng.random(2000) < prob
    value = reliability.adaptive_ece(y, prob, ONE(2000))[0]
    expected = reliability.ece_if_calibrated(prob, np.arange(2000), seed=0)
    assert value < np.quantile(expected, 0.99)
    assert expected.mean() > 0.01  # what luck alone gives is not 0
    sure = reliability.adaptive_ece(y, expit(3 * logit(prob)), ONE(2000))[0]
    assert sure > 2 * np.quantile(expected, 0.99)
    # fewer subjects than sessions: labels of a subject go together, and luck weighs more
    few = reliability.ece_if_calibrated(prob, np.arange(2000) // 50, seed=0)
    assert few.mean() > 2 * expected.mean()


# ---- maps --------------------------------------------------------------------------------------


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
    after = reliability.adaptive_ece(labels, fit.apply(expit(sharpness * fresh)), ONE(20_000))[0]
    assert after < 0.012
    assert (np.diff(fit.apply(np.linspace(0.01, 0.99, 50))) > 0).all()


def test_temperature_is_the_minimum_by_hand():
    # two probabilities of .8 and .2, right in 3 of 4: the best answer is .75
    y, prob = [1, 1, 1, 0, 0, 0, 0, 1], [0.8] * 4 + [0.2] * 4
    fit = fit_temperature(y, prob)
    assert fit.temperature == pytest.approx(logit(0.8) / logit(0.75))
    np.testing.assert_allclose(fit.apply(prob), [0.75] * 4 + [0.25] * 4)


def test_no_best_temperature_is_said():
    apart = fit_temperature([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9])
    assert apart.temperature == 1
    assert "total certainty" in apart.source
    against = fit_temperature([1, 1, 0, 0], [0.1, 0.4, 0.6, 0.9])
    assert against.temperature == 10
    assert "no certainty at all" in against.source
    assert fit_temperature([0, 1], [0.0, 1.0]).apply([0.0, 1.0]).tolist() == pytest.approx(
        [0, 1], abs=1e-5
    )


def test_isotonic_by_hand_and_its_number_of_subjects():
    y = [0, 0, 1, 0, 1, 1]
    prob = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    fit = calibration.fit_isotonic(y, prob, subjects=60)
    np.testing.assert_allclose(fit.apply([0.0, 0.1, 0.3, 0.4, 0.9]), [0, 0, 0.5, 0.5, 1])
    assert "below about 1000 it overfits" in fit.source
    with pytest.raises(CalibrationError, match=r"49 validation subjects .* offered from 50 on"):
        calibration.fit_isotonic(y, prob, subjects=49)


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_nothing_is_fitted_on_the_test(method):
    given = table(folds=2)
    other = given.copy()
    tested = other["split"] != "validation"
    other.loc[tested, "y_prob"] = 1 - other.loc[tested, "y_prob"]
    other.loc[tested, "y_true"] = 1 - other.loc[tested, "y_true"]
    other.loc[tested, "score_pred"] = 0.0
    maps, again = fit_calibrators(given, method), fit_calibrators(other, method)
    assert maps.keys() == again.keys()
    for key, one in maps.items():
        assert asdict(again[key]) == nearly(asdict(one))
    assert conformal.fit_label_sets(given, 0.1) == conformal.fit_label_sets(other, 0.1)
    assert conformal.fit_severity_intervals(given, 0.1) == conformal.fit_severity_intervals(
        other, 0.1
    )


def test_a_map_belongs_to_its_fold():
    given = table(folds=2, validation=200)
    maps = fit_calibrators(given, "temperature")
    assert set(maps) == {(0, 0), (1, 0)}
    changed = given.copy()
    own = (changed["fold"] == 1) & (changed["split"] == "validation")
    changed.loc[own, "y_prob"] = expit(1.5 * logit(changed.loc[own, "y_prob"]))
    again = fit_calibrators(changed, "temperature")
    assert again[0, 0].temperature == pytest.approx(maps[0, 0].temperature, rel=1e-9)
    assert again[1, 0].temperature == pytest.approx(1.5 * maps[1, 0].temperature, rel=1e-2)
    rows = given.query("split == 'test'")
    calibrated = calibration.apply_calibrators(rows, maps)
    second = (rows["fold"] == 1).to_numpy()
    expected = maps[1, 0].apply(rows.loc[second, "y_prob"])
    np.testing.assert_allclose(calibrated[second], expected, rtol=1e-12)


def test_validation_rows_are_needed_and_of_both_classes():
    given = table()
    without = given[given["split"] != "validation"]
    with pytest.raises(CalibrationError, match="fold 0, seed 0 has no validation rows with y_true"):
        fit_calibrators(without, "temperature")
    with pytest.raises(CalibrationError, match="score and score_pred"):
        conformal.fit_severity_intervals(without, 0.1)
    positives = given[(given["split"] != "validation") | (given["y_true"] == 1)]
    for fit in (
        lambda t: fit_calibrators(t, "temperature"),
        lambda t: conformal.fit_label_sets(t, 0.1),
    ):
        with pytest.raises(CalibrationError, match="all with y_true 1: calibration needs both"):
            fit(positives)
    with pytest.raises(ValueError, match="'platt'"):
        fit_calibrators(given, "platt")


def test_measured_calibration_of_an_overconfident_model():
    given = table(validation=2000, test=2000, sharpness=3.0)
    content = calibration.measure_calibration(given, drawn(given), seed=0)
    before, after = content["before"], content["temperature"]
    assert before["ece"]["value"] > 0.1 > 0.03 > after["ece"]["value"]
    assert before["ece"]["value"] > before["ece_if_calibrated"]["upper"]
    assert after["ece"]["value"] < 1.2 * after["ece_if_calibrated"]["upper"]
    assert after["fits"][0]["temperature"] == pytest.approx(3, rel=0.2)
    for name in ("ece", "brier", "log_loss"):
        entry = after["gain"][name]
        assert entry["value"] == pytest.approx(before[name]["value"] - after[name]["value"])
        assert entry["ci_low"] > 0
        assert content["isotonic"]["gain"][name]["ci_low"] > 0
    small = table(validation=20)
    content = calibration.measure_calibration(small, drawn(small), seed=0)
    assert set(content["isotonic"]) == {"unavailable"}
    assert content["before"]["ece"]["ci_low"] <= content["before"]["ece"]["ci_high"]


# ---- conformal ---------------------------------------------------------------------------------


def test_quantile_by_hand():
    scores = np.arange(1, 10) / 10  # nine subjects
    assert conformal_quantile(scores, 0.1).value == 0.9  # the 9th: ceil(10 * .9)
    assert conformal_quantile(scores, 0.2).value == 0.8
    assert conformal_quantile(scores, 0.25).value == 0.8  # ceil(7.5)
    assert conformal_quantile(np.arange(19), 0.05).value == 18
    few = conformal_quantile(scores[:8], 0.1)
    assert (few.unbounded, few.subjects, few.min_subjects) == (True, 8, 9)
    assert conformal_quantile([], 0.2).unbounded
    assert conformal_quantile(np.ones(9), 0.1).value == 1  # ties
    with pytest.raises(ValueError, match="alpha is 1"):
        conformal_quantile(scores, 1)


def test_a_subject_gives_one_score_and_is_covered_whole():
    rows = pd.DataFrame({"corpus": "c", "subject": ["a", "a", "b"], "session": ["1", "2", "1"]})
    assert conformal.max_per_subject(rows, [0.2, 0.7, 0.1]).tolist() == [0.7, 0.1]
    given = table(validation=30, test=30, sessions=3)
    fitted = conformal.fit_label_sets(given, 0.1)
    counts = given.query("split == 'validation'").groupby("subject")["y_true"].first()
    assert fitted[0, 0][0].subjects == (counts == 0).sum()
    assert fitted[0, 0][1].subjects == (counts == 1).sum()
    # many copies of each session teach nothing more
    copies = pd.concat([given, given.assign(session=given["session"] + "b")])
    assert conformal.fit_label_sets(copies, 0.1) == fitted


# 120 folds are 120 worlds: each has its own subjects to calibrate on and to test
WORLDS = 120


@pytest.mark.slow
@pytest.mark.parametrize(("sharpness", "sessions"), [(1.0, 1), (4.0, 2)])
def test_label_sets_cover_each_class_as_promised(sharpness, sessions):
    given = table(50, 50, sharpness=sharpness, sessions=sessions, folds=WORLDS)
    content = conformal.measure_label_sets(given, drawn(given, draws=1), 0.2)
    for name in ("0", "1", "all"):
        # 1 - alpha <= coverage <= 1 - alpha + 1 / (n + 1), n about 25 subjects of a class
        assert 0.8 - 0.02 < content["coverage"][name]["value"] < 0.8 + 1 / 20 + 0.02, name
    assert sum(content["sizes"].values()) == pytest.approx(1)
    assert 0.2 < content["sizes"]["one"] < 1


@pytest.mark.slow
@pytest.mark.parametrize("sessions", [1, 3])
def test_severity_intervals_cover_as_promised(sessions):
    given = table(50, 50, sessions=sessions, folds=WORLDS)
    content = conformal.measure_severity_intervals(given, drawn(given, draws=1), 0.2)
    assert 0.8 - 0.02 < content["coverage"]["all"]["value"] < 0.8 + 1 / 50 + 0.02
    # twice the noise that one session, or the worst of three, exceeds in one subject of five
    assert content["width"] == pytest.approx({1: 2 * 1.28, 3: 2 * 1.79}[sessions], rel=0.1)


def test_coverage_by_hand_and_what_few_subjects_give():
    given = table(validation=6, test=12)
    content = conformal.measure_label_sets(given, drawn(given), 0.1)
    assert content["unbounded"]
    assert content["min_subjects"] == 9
    assert content["sizes"] == {"empty": 0, "one": 0, "both": 1}
    assert content["coverage"]["all"]["value"] == 1
    assert content["coverage"]["all"]["ci_low"] == pytest.approx(
        wilson_interval(12, 12, 0.95).ci_low
    )
    content = conformal.measure_severity_intervals(given, drawn(given), 0.1)
    assert content["unbounded"]
    assert content["bounds"] == (0, 63)
    assert content["width"] == 63
    unknown = given.assign(instrument="own scale")
    assert conformal.measure_severity_intervals(unknown, drawn(unknown), 0.1)["width"] == np.inf


def test_intervals_end_at_the_instrument():
    rows = pd.DataFrame({"fold": 0, "seed": 0, "score_pred": [1.0, 30.0, 62.0]})
    fitted = {(0, 0): conformal.Quantile(4.0, 20, 9)}
    spans = conformal.predict_severity_intervals(rows, fitted, (0, 63))
    assert spans["low"].tolist() == [0, 26, 58]
    assert spans["high"].tolist() == [5, 34, 63]


# ---- risk and coverage -------------------------------------------------------------------------


def test_risk_coverage_by_hand():
    coverage, risk = selective.risk_coverage([0, 0, 1, 1], [4, 3, 2, 1])
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 0, 1 / 3, 1 / 2])
    np.testing.assert_allclose(selective.aurc([0, 0, 1, 1], [4, 3, 2, 1], ONE(4)), (5 / 6) / 4)
    np.testing.assert_allclose(selective.aurc([1, 1, 0, 0], [4, 3, 2, 1], ONE(4)), 19 / 24)
    # equally sure: leaving out is a matter of luck, whatever the order of rows
    np.testing.assert_allclose(selective.risk_coverage([0, 1], [5, 5])[1], [0.5, 0.5])
    np.testing.assert_allclose(selective.aurc([1, 0], [5, 5], ONE(2)), 0.5)


def test_confidence_is_the_distance_from_the_fold_s_threshold():
    sure = selective.decision_confidence([0.3, 0.5, 0.9], [0.3, 0.3, 0.3])
    assert sure[0] == pytest.approx(0, abs=1e-12)
    assert np.argsort(sure).tolist() == [0, 1, 2]
    half = selective.decision_confidence([0.2, 0.6, 0.9], 0.5)
    assert np.argsort(half).tolist() == [1, 0, 2]  # as max(p, 1 - p)


def test_a_good_ranking_gains_and_a_random_one_does_not():
    given = table(validation=200, test=400)
    content = selective.measure_risk_coverage(drawn(given))
    assert content["gain"]["ci_low"] > 0
    assert content["risk"]["value"] == pytest.approx(content["curve"]["risk"][-1])
    assert content["gain"]["value"] == pytest.approx(
        content["risk"]["value"] - content["aurc"]["value"]
    )
    rng = np.random.default_rng(5)
    blind = given.assign(y_prob=rng.random(len(given)))
    content = selective.measure_risk_coverage(drawn(blind))
    assert content["gain"]["ci_low"] < 0 < content["gain"]["ci_high"]


# ---- spread ------------------------------------------------------------------------------------


def test_terciles_are_thirds_and_ties_stay_together():
    assert selective.terciles([5, 1, 3, 2, 6, 4]).tolist() == [2, 0, 1, 0, 2, 1]
    assert selective.terciles([0, 0, 0, 0]).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("target", ["binary", "severity"])
def test_spread_that_knows_the_error_and_one_that_does_not(target):
    given = table(test=150)
    assert selective.measure_gate_std(drawn(given), target) is None
    error = (given["y_true"] - given["y_prob"]).abs()
    if target == "severity":
        error = (given["score"] - given["score_pred"]).abs()
    content = selective.measure_gate_std(drawn(given.assign(gate_std=error)), target)
    assert content["spearman"]["value"] == pytest.approx(1)
    means = [content["terciles"][name]["value"] for name in selective.TERCILES]
    assert means == sorted(means)
    tested = error[given["split"] == "test"]
    assert means[0] == pytest.approx(np.sort(tested)[:50].mean())
    rng = np.random.default_rng(7)
    content = selective.measure_gate_std(
        drawn(given.assign(gate_std=rng.random(len(given)))), target
    )
    assert content["spearman"]["ci_low"] < 0 < content["spearman"]["ci_high"]
    with pytest.raises(ValueError, match="standard deviation"):
        selective.measure_gate_std(drawn(given.assign(gate_std=-1.0)), target)


def test_venn_abers_holds_the_truth_of_a_wrong_probability():
    """A model says sqrt(p) where p is true: the mean pair lies around p, and is narrow."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(100):
        true = rng.uniform(size=300)
        rows = pd.DataFrame(
            {
                "corpus": "c",
                "subject": np.arange(300).astype(str),
                "y_true": (rng.uniform(size=300) < true).astype(int),
                "y_prob": np.sqrt(true),
            }
        )
        found.append([venn_abers(rows, np.sqrt(p)) for p in (0.2, 0.5, 0.8)])
    pairs = np.array(found)  # [100, 3, low and high]
    assert (pairs[..., 0] <= pairs[..., 1]).all()
    low, high = pairs.mean(axis=0).T
    assert (low - 0.01 < [0.2, 0.5, 0.8]).all()
    assert (high + 0.01 > [0.2, 0.5, 0.8]).all()
    assert (high - low < 0.15).all()
