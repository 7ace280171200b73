"""The content of metrics.json, by hand and against scikit-learn."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from nearly import nearly
from report_predictions import make_predictions, one_target

from depmm.evaluation.prediction_checks import PredictionTableError
from depmm.evaluation.reports.content import evaluate_predictions

DRAWS = 100


def evaluate(table, **settings):
    return evaluate_predictions(table, **{"n_bootstrap": DRAWS, "confidence": 0.95, **settings})


def test_the_given_table_is_not_changed():
    table = make_predictions()
    before = table.copy()
    evaluate(table)
    pd.testing.assert_frame_equal(table, before)


def four_test_subjects():
    """Build predictions of four test subjects; the threshold of the validation rows is 0.5."""
    rows = [
        *[("train", i, y, np.nan) for i, y in enumerate([0, 0, 0, 1])],
        *[("validation", i, y, p) for i, (y, p) in enumerate([(0, 0.4), (1, 0.6)])],
        *[("test", i, y, p) for i, (y, p) in enumerate([(0, 0.1), (0, 0.7), (1, 0.6), (1, 0.9)])],
    ]
    table = pd.DataFrame(rows, columns=["split", "number", "y_true", "y_prob"])
    table["subject"] = table["split"] + table.pop("number").astype(str)
    return table.assign(corpus="c", session="1", fold=0, seed=0)


def test_numbers_by_hand():
    content = evaluate(four_test_subjects())
    assert content["targets"] == ["binary"]
    assert content["thresholds"] == [
        {
            "fold": 0,
            "seed": 0,
            "value": 0.5,
            "source": "best balanced accuracy on 2 validation sessions",
        }
    ]
    assert content["confusion"] == {"tn": 1, "fp": 1, "fn": 0, "tp": 2}
    values = {name: entry["value"] for name, entry in content["metrics"].items()}
    expected = {
        "balanced_accuracy": 0.75,
        "auroc": 0.75,
        "accuracy": 0.75,
        "precision": 2 / 3,
        "recall": 1,
        "specificity": 0.5,
        "f1_positive": 0.8,
        "f1_macro": (0.8 + 2 / 3) / 2,
        "f1_weighted": (0.8 + 2 / 3) / 2,
        "mcc": 2 / np.sqrt(3 * 2 * 2 * 1),
        "auprc": (1 + 2 / 3) / 2,
        "brier": (0.01 + 0.49 + 0.16 + 0.01) / 4,
        "log_loss": -np.log(0.9 * 0.3 * 0.6 * 0.9) / 4,
    }
    assert values == pytest.approx(expected)
    majority = {name: entry["value"] for name, entry in content["baselines"]["majority"].items()}
    assert majority["accuracy"] == majority["balanced_accuracy"] == 0.5
    assert majority["precision"] is None  # nothing is decided positive
    assert content["baselines"]["constant_probability"]["auroc"]["value"] == 0.5
    assert content["metrics"]["f1_positive"]["baseline"]["name"] == "always_positive"
    assert content["metrics"]["f1_positive"]["baseline"]["value"] == pytest.approx(2 / 3)
    assert content["metrics"]["recall"]["verdict"] is None
    # the share of positives in training (.25) has a larger error than even odds
    brier = content["metrics"]["brier"]
    assert brier["baseline"]["name"] == "even_odds"
    assert brier["baseline"]["value"] == pytest.approx(0.25)
    assert brier["gain"]["value"] == pytest.approx(0.25 - 0.1675)
    assert content["metrics"]["auprc"]["baseline"]["value"] == 0.5
    assert content["counts"] == {
        "train": {"sessions": 4, "subjects": 4, "positive_sessions": 1},
        "validation": {"sessions": 2, "subjects": 2, "positive_sessions": 1},
        "test": {"sessions": 4, "subjects": 4, "positive_sessions": 2},
    }
    assert any("4 test subjects" in text for text in content["warnings"])


def test_verdict_follows_the_lower_bound():
    good = evaluate(make_predictions(subjects=60, separation=3))
    assert good["verdict"]["outcome"] == "better"
    for name in ("balanced_accuracy", "auroc"):
        entry = good["metrics"][name]
        assert entry["verdict"]["outcome"] == "better"
        assert entry["ci_low"] > entry["baseline"]["value"] == 0.5
        assert entry["gain"]["ci_low"] == pytest.approx(entry["ci_low"] - 0.5)
    table = make_predictions(subjects=60, separation=0)
    assert evaluate(table)["verdict"]["outcome"] == "not shown to be better"
    tested = table["split"] == "test"
    table.loc[tested, "y_prob"] = 0.99 - 0.98 * table.loc[tested, "y_true"]
    assert evaluate(table)["metrics"]["auroc"]["verdict"]["outcome"] == "worse"


def test_pooled_folds_equal_sklearn():
    table = make_predictions(sessions=2)
    content = evaluate(table)
    assert content["targets"] == ["binary", "severity"]
    assert content["folds"] == [0, 1, 2]
    tested = table[table["split"] == "test"]
    auroc = sk.roc_auc_score(tested["y_true"], tested["y_prob"])
    rmse = sk.root_mean_squared_error(tested["score"], tested["score_pred"])
    assert content["metrics"]["auroc"]["value"] == pytest.approx(auroc)
    assert content["metrics"]["rmse"]["value"] == pytest.approx(rmse)
    means = table[table["split"] == "train"].groupby("fold")["score"].mean()
    baseline = sk.mean_absolute_error(tested["score"], tested["fold"].map(means))
    entry = content["metrics"]["mae"]
    assert entry["baseline"]["value"] == pytest.approx(baseline)
    assert entry["gain"]["value"] == pytest.approx(baseline - entry["value"])
    assert entry["verdict"]["outcome"] == "better"
    bands = [np.digitize(tested[name], (14, 20, 29)) for name in ("score", "score_pred")]
    kappa = sk.cohen_kappa_score(*bands, weights="quadratic")
    assert content["metrics"]["quadratic_kappa"]["value"] == pytest.approx(kappa)
    unknown = evaluate(table.assign(instrument="other scale"))
    assert "quadratic_kappa" not in unknown["metrics"]


def test_every_interval_names_its_method():
    metrics = evaluate(make_predictions())["metrics"]
    methods = {name: metrics[name]["method"] for name in ("accuracy", "auroc", "mcc", "rmse")}
    assert list(methods.values()) == ["Wilson", "Newcombe", "beta draws", "t (logarithm)"]
    exact = make_predictions()
    exact["score_pred"] = exact["score"]
    content = evaluate(exact)
    rmse = content["metrics"]["rmse"]
    assert (rmse["value"], rmse["ci_low"], rmse["ci_high"]) == (0, 0, 0)
    assert any(rmse["reason"] in text for text in content["warnings"])


def test_leave_one_subject_out_does_not_lower_the_baseline():
    """The majority of the other subjects is always the wrong class when classes are balanced."""
    rows = []
    for fold in range(20):
        for subject in range(20):
            split = "test" if subject == fold else "train"
            rows.append(("c", f"p{subject}", "1", split, fold, 0, subject % 2, 0.5))
    columns = ["corpus", "subject", "session", "split", "fold", "seed", "y_true", "y_prob"]
    content = evaluate(pd.DataFrame(rows, columns=columns))
    assert content["baselines"]["majority"]["accuracy"]["value"] == 0
    assert content["baselines"]["constant_probability"]["auroc"]["value"] == 0
    assert content["metrics"]["accuracy"]["baseline"]["value"] == 0.5
    assert content["metrics"]["auroc"]["baseline"]["value"] == 0.5
    assert content["verdict"]["outcome"] == "not shown to be better"
    assert {threshold["value"] for threshold in content["thresholds"]} == {0.5}
    assert len(content["thresholds"]) == 20


def test_seeds_are_averaged_with_the_same_bootstrap_draws():
    content = evaluate(make_predictions(seeds=(3, 4)))
    entry = content["metrics"]["auroc"]
    each = [evaluate(make_predictions(seeds=(3, 4)).query(f"seed == {s}")) for s in (3, 4)]
    singles = [c["metrics"]["auroc"]["value"] for c in each]
    assert entry["per_seed"] == pytest.approx({"3": singles[0], "4": singles[1]})
    assert entry["value"] == pytest.approx(np.mean(singles))
    cells = content["confusion"]
    assert cells["tp"] == np.mean([c["confusion"]["tp"] for c in each])
    assert cells["per_seed"]["3"] == each[0]["confusion"]
    # the same predictions twice are no more certain than once: subjects are drawn, not rows
    table = make_predictions()
    once, twice = evaluate(table), evaluate(pd.concat([table, table.assign(seed=1)]))
    for name in once["metrics"]:
        keys = ("value", "ci_low", "ci_high")
        assert [once["metrics"][name][k] for k in keys] == pytest.approx(
            [twice["metrics"][name][k] for k in keys], abs=0.02
        )


def test_repeated_folds_are_averaged_but_are_not_seeds_of_training():
    table, again = make_predictions(), make_predictions(seeds=(0, 1)).query("seed == 1")
    repeated = pd.concat([table, again.assign(seed=0, fold=again["fold"] + 3)])
    as_seeds = evaluate(pd.concat([table, again]))
    content = evaluate(repeated)
    assert (content["repeats"], as_seeds["repeats"]) == (2, 1)
    assert content["seeds"] == ["0, repeat 0", "0, repeat 1"]
    assert content["counts"] == as_seeds["counts"]
    assert content["bootstrap"] | {"n_trainings": 2} == as_seeds["bootstrap"]
    assert content["bootstrap"]["n_trainings"] == 1
    for name, entry in content["metrics"].items():
        same = as_seeds["metrics"][name]
        assert list(entry["per_seed"].values()) == pytest.approx(list(same["per_seed"].values()))
        assert entry["value"] == pytest.approx(same["value"]), name
        # the variance between seeds is part of the interval
        assert not same["ci_low"] > entry["ci_low"], name
        assert not same["ci_high"] < entry["ci_high"], name


def test_the_unit_subject_averages_the_sessions_of_a_subject():
    table = make_predictions(sessions=3)
    keys = ["corpus", "subject", "split", "fold", "seed", "y_true", "gender", "instrument"]
    by_hand = table.groupby(keys)[["y_prob", "score", "score_pred"]].mean().reset_index()
    content, expected = evaluate(table, unit="subject"), evaluate(by_hand.assign(session="mean"))
    assert (content["unit"], expected["unit"]) == ("subject", "session")
    for name, entry in content["metrics"].items():
        same = expected["metrics"][name]
        for key in ("value", "ci_low", "ci_high"):
            assert entry[key] == pytest.approx(same[key]), name
    assert content["thresholds"] == nearly(expected["thresholds"])
    assert content["counts"]["test"]["sessions"] == content["counts"]["test"]["subjects"] == 30
    auroc = evaluate(table)["metrics"]["auroc"]["value"]
    assert content["metrics"]["auroc"]["value"] > auroc  # a mean of three is less noisy
    mixed = table.assign(y_true=(table["session"] == "1").astype(int))
    with pytest.raises(PredictionTableError) as info:
        evaluate(mixed, unit="subject")
    assert info.value.column == "y_true"


def test_the_order_of_rows_and_numeric_ids_do_not_change_the_result():
    table = make_predictions()
    shuffled = table.sample(frac=1, random_state=0)
    expected = nearly(evaluate(table))
    assert evaluate(shuffled) == expected
    numeric = table.assign(session=table["session"].astype(int))
    assert evaluate(numeric) == expected


def test_subgroups_use_the_decisions_of_the_whole_sample():
    table = make_predictions()
    content = evaluate(table)
    women = table[(table["split"] == "test") & (table["gender"] == "female")]
    entry = content["subgroups"]["gender"]["female"]
    assert entry["subjects"] == women["subject"].nunique()
    expected = sk.roc_auc_score(women["y_true"], women["y_prob"])
    assert entry["auroc"]["value"] == pytest.approx(expected)
    assert evaluate(table.assign(gender="female"))["subgroups"] == {}
    assert evaluate(table.drop(columns="gender"))["subgroups"] == {}


def test_predictions_without_errors_have_a_wilson_interval():
    table = make_predictions()
    table["y_prob"] = 0.1 + 0.8 * table["y_true"]
    metrics = evaluate(one_target("binary", table))["metrics"]
    accuracy = metrics["accuracy"]
    assert accuracy["method"] == "Wilson"
    assert (accuracy["ci_low"], accuracy["ci_high"]) == pytest.approx((0.886, 1), abs=5e-4)
    for name in ("auroc", "auprc", "recall", "f1_macro", "mcc"):
        assert 0.5 < metrics[name]["ci_low"] < metrics[name]["ci_high"] == 1


def test_metrics_are_undefined_for_one_class():
    table = make_predictions()
    content = evaluate(table[(table["split"] != "test") | (table["y_true"] == 0)])
    assert content["metrics"]["auroc"]["value"] is None
    assert content["metrics"]["specificity"]["value"] is not None
    assert content["verdict"]["outcome"] == "undefined"
    (warning,) = [text for text in content["warnings"] if "AUROC" in text]
    assert warning.startswith("Undefined: ")
    assert "all tested sessions are negative" in warning


def test_predicted_levels_are_counted_by_gender_and_valence():
    rng = np.random.default_rng(0)
    measured, valence = np.arange(60) % 4, np.where(np.arange(60) % 3, "negative", "neutral")
    table = pd.DataFrame({"score": measured.astype(float), "valence": valence}).assign(
        corpus="c", subject=[f"p{n:02}" for n in range(60)], session="1", split="test", fold=0,
        seed=0, gender=np.where(np.arange(60) % 5 < 2, "female", "male"),
        instrument="BDI-II level", score_pred=np.clip(measured + rng.normal(0, 1, 60), 0, 3),
    )  # fmt: skip
    train = table.assign(split="train", subject="t" + table["subject"])
    levels = evaluate(pd.concat([table, train]))["levels"]
    assert levels["names"] == ["minimal", "mild", "moderate", "severe"]
    expected = np.zeros((2, 2, 4, 4))  # an expected level is rounded
    for row in table.itertuples():
        index = ["female", "male"].index(row.gender), ["negative", "neutral"].index(row.valence)
        expected[(*index, int(row.score), int(np.floor(row.score_pred + 0.5)))] += 1
    np.testing.assert_array_equal(levels["counts"], expected.sum((0, 1)))
    assert [(part["gender"], part["valence"]) for part in levels["by_subgroup"]] == list(
        product(["female", "male"], ["negative", "neutral"])
    )
    for part, counts in zip(levels["by_subgroup"], expected.reshape(4, 4, 4), strict=True):
        np.testing.assert_array_equal(part["counts"], counts)
