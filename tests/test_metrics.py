"""Metrics against hand values and scikit-learn; bootstrap, thresholds and floors."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics as sk

from depmm.evaluation import metrics as M
from depmm.evaluation.floors import add_floors
from depmm.evaluation.intervals import (
    bootstrap_weights,
    choose_threshold,
    decide,
    draw_sessions,
    explain_threshold,
    interval,
    person_strata,
    wilson,
)

DECISIONS = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "specificity": lambda y, p: sk.recall_score(y, p, pos_label=0),
    "f1_positive": sk.f1_score,
    "f1_macro": lambda y, p: sk.f1_score(y, p, average="macro"),
}


def ccc_by_definition(a, b):
    covariance = np.mean((a - a.mean()) * (b - b.mean()))
    return 2 * covariance / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)


SCORES = {
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "pearson": lambda a, b: scipy.stats.pearsonr(a, b).statistic,
    "ccc": ccc_by_definition,
}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def resampled(rng, n, draws=25):
    """Rows drawn with replacement, and the same draws as counts."""
    rows = rng.integers(0, n, (draws, n))
    return rows, np.stack([np.bincount(r, minlength=n) for r in rows])


# ---- metrics -----------------------------------------------------------------------------------

#            tn tn tn fp fn tp tp
HAND_TRUE = [0, 0, 0, 0, 1, 1, 1]
HAND_PRED = [0, 0, 0, 1, 0, 1, 1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 5 / 7),
        ("balanced_accuracy", (3 / 4 + 2 / 3) / 2),
        ("precision", 2 / 3),
        ("recall", 2 / 3),
        ("specificity", 3 / 4),
        ("f1_positive", 4 / 6),
        ("f1_macro", (4 / 6 + 6 / 8) / 2),
    ],
)
def test_decisions_by_hand(name, expected):
    value = M.METRICS[name].function(HAND_TRUE, HAND_PRED, M.unit_weights(7))
    assert value == pytest.approx([expected])


def test_confusion_counts_by_hand():
    weights = np.array([[1] * 7, [2, 0, 0, 3, 0, 1, 0]])
    counts = M.confusion(HAND_TRUE, HAND_PRED, weights)
    assert np.stack([counts.tn, counts.fp, counts.fn, counts.tp], 1).tolist() == [
        [3, 1, 1, 2],
        [2, 3, 0, 1],
    ]


def test_auroc_by_hand_with_ties():
    # pairs (positive, negative): .5>.2, .5=.5, .9>.2, .9>.5 -> 3.5 of 4
    value = M.auroc([0, 0, 1, 1], [0.2, 0.5, 0.5, 0.9], M.unit_weights(4))
    assert value == pytest.approx([3.5 / 4])
    constant = M.auroc([0, 1, 1], [0.4, 0.4, 0.4], M.unit_weights(3))
    assert constant == pytest.approx([0.5])


def test_scores_by_hand():
    truth, score, ones = [0, 10, 20], [2, 10, 14], M.unit_weights(3)
    assert M.rmse(truth, score, ones) == pytest.approx([np.sqrt((4 + 0 + 36) / 3)])
    assert M.mae(truth, score, ones) == pytest.approx([8 / 3])
    # variances 200/3 and 224/9, covariance 40, means 10 and 26/3
    assert M.ccc(truth, score, ones) == pytest.approx([80 / (200 / 3 + 224 / 9 + 16 / 9)])
    assert M.ccc(truth, truth, ones) == pytest.approx([1])
    assert M.ccc(truth, [5, 15, 25], ones) < M.pearson(truth, [5, 15, 25], ones)


@pytest.mark.parametrize("name", DECISIONS)
def test_decisions_equal_sklearn_on_resampled_rows(name, rng):
    y, p = rng.integers(0, 2, 40), rng.integers(0, 2, 40)
    rows, weights = resampled(rng, 40)
    values = M.METRICS[name].function(y, p, weights)
    assert values == pytest.approx([DECISIONS[name](y[r], p[r]) for r in rows])
    assert M.METRICS[name].function(y, p, M.unit_weights(40)) == pytest.approx(
        [DECISIONS[name](y, p)]
    )


def test_auroc_and_roc_equal_sklearn_on_resampled_rows(rng):
    y, p = rng.integers(0, 2, 60), rng.random(60).round(1)  # many ties
    rows, weights = resampled(rng, 60)
    assert M.auroc(y, p, weights) == pytest.approx([sk.roc_auc_score(y[r], p[r]) for r in rows])
    curves = M.roc_curve(y, p, weights, np.linspace(0.013, 0.987, 50))
    for curve, r in zip(curves, rows, strict=True):
        fpr, tpr, _ = sk.roc_curve(y[r], p[r], drop_intermediate=False)
        assert curve == pytest.approx(np.interp(np.linspace(0.013, 0.987, 50), fpr, tpr))


@pytest.mark.parametrize("name", SCORES)
def test_scores_equal_references_on_resampled_rows(name, rng):
    a = rng.normal(15, 8, 50)
    b = 0.5 * a + rng.normal(1000, 6, 50)  # a large offset would show cancellation
    rows, weights = resampled(rng, 50)
    values = M.METRICS[name].function(a, b, weights)
    assert values == pytest.approx([SCORES[name](a[r], b[r]) for r in rows])


def test_every_metric_of_the_table_is_compared_with_a_reference():
    assert {*DECISIONS, *SCORES, "auroc"} == set(M.METRICS)
    assert M.metric_names("severity") == list(SCORES)


def test_blocks_of_draws_change_nothing(rng, monkeypatch):
    y, p = rng.integers(0, 2, 30), rng.random(30)
    _, weights = resampled(rng, 30, 50)
    grid = np.linspace(0, 1, 5)
    whole = M.auroc(y, p, weights), M.accuracy(y, p > 0.5, weights)
    curves = M.roc_curve(y, p, weights, grid)
    monkeypatch.setattr(M, "BLOCK_CELLS", 7 * 30)  # 7 draws at a time
    assert np.array_equal(whole, (M.auroc(y, p, weights), M.accuracy(y, p > 0.5, weights)))
    assert np.array_equal(curves, M.roc_curve(y, p, weights, grid))


def test_undefined_values_are_nan_not_zero():
    only_negative = np.array([[1, 1, 0], [1, 1, 1]])
    y, p = [0, 0, 1], [0, 0, 1]
    for name in ("recall", "precision", "balanced_accuracy", "f1_positive", "f1_macro", "auroc"):
        values = M.METRICS[name].function(y, p, only_negative)
        assert np.isnan(values[0]), name
        assert values[1] == 1, name
    ones = M.unit_weights(3)
    assert np.isnan(M.pearson([1, 2, 3], [0.1, 0.1, 0.1], ones))
    assert M.ccc([1, 2, 3], [0.1, 0.1, 0.1], ones) == 0


# ---- intervals ---------------------------------------------------------------------------------


def test_a_person_is_drawn_with_all_sessions(rng):
    person = np.array([0, 0, 0, 1, 2, 2, 3, 4])
    strata = np.array(["a", "a", "a", "a", "b", "b", "b", "b"])
    weights = bootstrap_weights(person, strata, 300, seed=1)
    assert weights.shape == (300, 8)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, 0] != weights[:, 3]).any()
    # within each stratum as many persons are drawn as it has: 2 in a, 3 in b
    assert (weights[:, [0, 3]].sum(1) == 2).all()
    assert (weights[:, [4, 6, 7]].sum(1) == 3).all()
    assert np.array_equal(weights, bootstrap_weights(person, strata, 300, seed=1))
    assert not np.array_equal(weights, bootstrap_weights(person, strata, 300, seed=2))


def test_persons_are_drawn_equally_often():
    weights = bootstrap_weights(np.arange(300), np.zeros(300), 400, seed=0)
    assert weights.dtype == np.uint16  # 300 persons do not fit 8 bits
    assert weights.mean(0) == pytest.approx(np.ones(300), abs=0.25)
    assert weights.var() == pytest.approx(1, abs=0.02)  # multinomial: 1 - 1/n


def test_bootstrap_refuses_a_person_in_two_strata():
    with pytest.raises(ValueError, match="person 5 stands in strata"):
        bootstrap_weights([5, 5], [0, 1], 10, seed=0)
    with pytest.raises(ValueError, match="strata"):
        bootstrap_weights([5, 5], [0], 10, seed=0)


def test_strata_belong_to_persons_of_a_corpus():
    sessions = pd.DataFrame(
        {
            "corpus": ["a", "a", "a", "a", "b"],
            "subject": ["1", "1", "2", "3", "1"],  # 1 of corpus b is another person
            "y_true": [0, 1, 0, 1, 1],
        }
    )
    codes, strata = person_strata(sessions)
    assert codes.tolist() == [0, 0, 1, 2, 3]
    assert strata.tolist() == ["both", "both", "negative", "positive", "positive"]
    assert set(person_strata(sessions.drop(columns="y_true"))[1]) == {"unlabelled"}


def test_interval_is_percentiles_of_defined_draws():
    found = interval(0.5, np.array([*np.arange(101) / 100, np.nan, np.nan]), 0.90)
    assert (found.value, found.undefined_draws) == (0.5, 2)
    assert (found.low, found.high) == pytest.approx((0.05, 0.95))
    nothing = interval(np.nan, np.array([np.nan]), 0.95)
    assert np.isnan(nothing.low)
    assert nothing.undefined_draws == 1


@pytest.mark.parametrize(("k", "n"), [(0, 10), (8, 10), (10, 10), (41, 47)])
def test_wilson_equals_scipy(k, n):
    reference = scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    found = wilson(k, n, 0.95)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high))


def test_wilson_refuses_impossible_counts():
    with pytest.raises(ValueError, match="11 successes out of 10"):
        wilson(11, 10, 0.95)


def test_intervals_over_persons_cover_the_truth_where_rows_would_not():
    """Three sessions of a person agree: rows as units would claim too much."""
    rng = np.random.default_rng(0)
    persons = np.repeat(np.arange(40), 3)
    covered = {"persons": 0, "rows": 0}
    repeats = 150
    for seed in range(repeats):
        right = np.repeat(rng.random(40) < 0.7, 3).astype(int)
        for unit, codes in (("persons", persons), ("rows", np.arange(120))):
            weights = bootstrap_weights(codes, np.zeros(120), 300, seed)
            draws = M.accuracy(np.ones(120), right, weights)
            found = interval(right.mean(), draws, 0.9)
            covered[unit] += found.low <= 0.7 <= found.high
    assert 0.84 <= covered["persons"] / repeats <= 0.96
    assert covered["rows"] / repeats < 0.75


# ---- thresholds --------------------------------------------------------------------------------


def test_threshold_is_the_middle_of_the_best_gap():
    assert choose_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.8]) == pytest.approx(0.4)
    # gaps .2-.3 and .5-.9 are equally good (balanced accuracy .75): the wider one wins
    assert choose_threshold([0, 1, 0, 1], [0.2, 0.3, 0.5, 0.9]) == pytest.approx(0.7)


def test_threshold_is_optimal(rng):
    for _ in range(20):
        y, p = rng.integers(0, 2, 15), rng.random(15).round(1)
        if len(set(y)) < 2:
            continue
        chosen = sk.balanced_accuracy_score(y, p >= choose_threshold(y, p))
        best = max(sk.balanced_accuracy_score(y, p >= t) for t in np.append(np.unique(p), 2))
        assert chosen == pytest.approx(best) or (best == 0.5 and choose_threshold(y, p) == 0.5)


@pytest.mark.parametrize(
    ("y", "p", "reason"),
    [
        ([], [], "no validation rows"),
        ([1, 1], [0.2, 0.9], "one class only"),
        ([0, 1], [0.7, 0.7], "no threshold beats"),
        ([0, 1], [0.9, 0.1], "no threshold beats"),
    ],
)
def test_threshold_falls_back_with_a_reason(y, p, reason):
    value, source = explain_threshold(y, p)
    assert value == 0.5
    assert reason in source


def test_threshold_between_neighbouring_floats_separates_them():
    low, high = 0.3, np.nextafter(0.3, 1)
    threshold = choose_threshold([0, 1], [low, high])
    assert low < threshold <= high


def predictions():
    """Two folds of one seed; probabilities of fold 1 live on another scale."""
    rows = []
    for fold, scale in ((0, 1.0), (1, 0.1)):
        for split, numbers in (
            ("train", range(6)),
            ("validation", range(6, 10)),
            ("test", (10, 11)),
        ):
            for number in numbers:
                label = number % 2
                rows.append(
                    {
                        "corpus": "c",
                        "subject": f"{fold}-{number}",
                        "session": "1",
                        "split": split,
                        "fold": fold,
                        "seed": 0,
                        "y_true": label,
                        "y_prob": scale * (0.3 + 0.4 * label + 0.01 * number),
                        "score_true": 10.0 * label + fold,
                        "score": 5.0,
                    }
                )
    return pd.DataFrame(rows)


def test_each_fold_decides_by_its_own_validation_rows():
    decided = decide(predictions())
    # fold 0: negatives up to .38, positives from .77; fold 1: a tenth of it
    thresholds = decided.groupby("fold")["threshold"].unique()
    assert [t.tolist() for t in thresholds] == [[pytest.approx(0.575)], [pytest.approx(0.0575)]]
    assert (decided["y_pred"] == decided["y_true"]).all()
    assert (decided["threshold_source"].str.contains("4 validation sessions")).all()


def test_threshold_does_not_depend_on_test_rows(rng):
    table = predictions()
    test = table["split"] == "test"
    changed = table.copy()
    changed.loc[test, "y_prob"] = rng.random(test.sum())
    changed.loc[test, "y_true"] = 1 - changed.loc[test, "y_true"]
    changed = pd.concat([changed, changed[test].assign(subject="another", y_prob=0.99)])
    before = decide(table).groupby("fold")["threshold"].first()
    after = decide(changed).groupby("fold")["threshold"].first()
    pd.testing.assert_series_equal(before, after)
    # and it does depend on validation rows
    moved = table.copy()
    moved.loc[table["split"] == "validation", "y_prob"] *= 0.5
    assert (decide(moved).groupby("fold")["threshold"].first() < before).all()


def test_no_probability_no_decision():
    table = predictions()
    table.loc[table["split"] == "train", "y_prob"] = np.nan
    decided = decide(table)
    assert decided.loc[table["split"] == "train", "y_pred"].isna().all()
    assert decided.loc[table["split"] != "train", "y_pred"].notna().all()


# ---- floors ------------------------------------------------------------------------------------


def test_floors_come_from_train_rows():
    table = predictions()
    train = table["split"] == "train"
    table.loc[train & (table["fold"] == 0), "y_true"] = [1, 1, 1, 1, 0, 0]
    with_floors = add_floors(table, "binary")
    first = with_floors[with_floors["fold"] == 0].iloc[-1]
    second = with_floors[with_floors["fold"] == 1].iloc[-1]
    assert first["constant_probability"] == pytest.approx(4 / 6)
    assert (first["majority"], first["always_negative"], first["always_positive"]) == (1, 0, 1)
    assert (second["majority"], second["constant_probability"]) == (0, 0.5)  # a tie is negative
    mean = add_floors(table, "severity").groupby("fold")["constant_mean"].first()
    assert mean.tolist() == pytest.approx([5, 6])


def test_floors_do_not_depend_on_test_rows():
    table = predictions()
    changed = table.copy()
    changed.loc[table["split"] == "test", ["y_true", "score_true"]] = [1, 63.0]
    for task in ("binary", "severity"):
        before, after = add_floors(table, task), add_floors(changed, task)
        new = [name for name in before if name not in table]
        pd.testing.assert_frame_equal(before[new], after[new])


def test_floors_fall_back_to_validation_rows_and_say_so():
    table = predictions()
    table = table[table["split"] != "train"]
    assert set(add_floors(table, "binary")["binary_floor_source"]) == {"validation"}
    only_test = table[table["split"] == "test"]
    with pytest.raises(ValueError, match=r"fold 0, seed 0 .* add its train rows"):
        add_floors(only_test, "binary")


def test_seeds_share_the_draws_of_persons():
    table = predictions()
    both = pd.concat([table, table.assign(seed=1)], ignore_index=True)
    tested = draw_sessions(decide(both), draws=50, confidence=0.95, seed=0)
    assert np.array_equal(tested.weights_of(0), tested.weights_of(1))
    assert tested.persons_by_stratum == {"negative": 2, "positive": 2}
