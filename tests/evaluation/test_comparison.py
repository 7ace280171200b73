"""Paired tests against definitions and hand values; sizes and coverage by simulation."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from depmm.evaluation import comparison as C
from depmm.evaluation.stats.bca_interval import bootstrap_interval, leave_subjects_out
from depmm.evaluation.stats.binary_metrics import auroc
from depmm.evaluation.stats.bootstrap import bootstrap_weights
from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.paired_tests import Permutation, paired_permutation_test
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.multiple_testing import benjamini_hochberg, holm


@pytest.fixture
def rng():
    return np.random.default_rng(5)


# ---- one pair ----------------------------------------------------------------------------------


def test_permutation_by_hand():
    # the runs differ on 4 subjects and a is right on all 4: |difference| is as large in 2 of 16
    y, a, b = [1, 1, 0, 0, 1], [1, 1, 0, 0, 1], [0, 0, 1, 1, 1]
    found = paired_permutation_test("accuracy", y, a, b, np.arange(5))
    assert found == Permutation(pytest.approx(0.8), pytest.approx(2 / 16), True)
    # as sessions of two subjects they are exchanged together: nothing but the sign can change
    found = paired_permutation_test("accuracy", y, a, b, [0, 0, 1, 1, 1])
    assert found.p == pytest.approx(2 / 4)
    assert paired_permutation_test("accuracy", y, a, a, np.arange(5)).p == 1


def test_all_exchanges_equal_their_definition(rng):
    y, subject = np.tile([0, 1], 6), np.repeat(np.arange(6), 2)
    a, b = rng.random(12), rng.random(12)
    one = unit_weights(12)

    def difference(swap):
        first, second = np.where(swap, b, a), np.where(swap, a, b)
        return (auroc(y, first, one) - auroc(y, second, one))[0]

    values = [difference(np.array(swap)[subject]) for swap in product([False, True], repeat=6)]
    found = paired_permutation_test("auroc", y, a, b, subject)
    assert found.difference == pytest.approx(values[0])
    assert found.p == pytest.approx(np.mean(np.abs(values) >= abs(values[0]) - 1e-12))
    drawn = paired_permutation_test("auroc", y, a, b, subject, n_permutations=63)
    assert not drawn.exact
    assert drawn.p == pytest.approx(found.p, abs=0.25)
    # the same answers of a second seed change nothing, and neither does who is called a
    twice = paired_permutation_test("auroc", y, [a, a], [b, b], subject)
    assert twice.p == pytest.approx(found.p)
    assert paired_permutation_test("auroc", y, b, a, subject).p == pytest.approx(found.p)


def test_permutation_of_an_undefined_metric_is_undefined():
    found = paired_permutation_test("auroc", [1, 1, 1], [0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0, 1, 2])
    assert np.isnan(found.p)
    with pytest.raises(ValueError, match="same order"):
        paired_permutation_test("auroc", [1, 0], [0.1, 0.2], [0.1, 0.2, 0.3], [0, 1])


def test_adjusted_p_by_hand():
    p = [0.01, 0.04, np.nan, 0.03, 0.005]
    # 4 * .005, 3 * .01, 2 * .03, then never less than the one before
    assert holm(p) == pytest.approx([0.03, 0.06, np.nan, 0.06, 0.02], nan_ok=True)
    # .04 * 4 / 4, .03 * 4 / 3, .01 * 4 / 2, .005 * 4, never more than the next
    assert benjamini_hochberg(p) == pytest.approx([0.02, 0.04, np.nan, 0.04, 0.02], nan_ok=True)
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert np.isnan(holm([np.nan])).all()


# ---- several runs ------------------------------------------------------------------------------


def predictions(skill, seeds=(0,), subjects=24, sessions=1):
    rng = np.random.default_rng(int(100 * skill))
    rows = []
    for seed in seeds:
        for subject in range(2 * subjects):
            for session in range(sessions):
                label = subject % 2
                row = {
                    "corpus": "c",
                    "subject": f"p{subject}",
                    "session": str(session),
                    "split": "test" if subject < subjects else "validation",
                    "fold": 0,
                    "seed": seed,
                    "y_true": label,
                    "y_prob": scipy.stats.norm.cdf(skill * (label - 0.5) + rng.normal()),
                    "score": 10.0 * label + subject % 7,
                    "score_pred": 10.0 * label + subject % 7 + rng.normal(0, 4 / (skill + 1)),
                    "instrument": "BDI-II",
                }
                rows.append(row)
    return pd.DataFrame(rows)


def test_runs_are_compared_in_pairs():
    runs = {"good": predictions(3, (0, 1)), "fair": predictions(1, (0, 1))}
    runs["same"] = runs["good"].sample(frac=1, random_state=0)
    table = C.compare_runs(runs, ["auroc", "mae", "quadratic_kappa"], n_bootstrap=300)
    assert len(table) == 3 * 3
    assert table["p_adjusted"].tolist() == pytest.approx(holm(table["p"]).tolist())
    assert set(table["subjects"]) == {24}
    by_pair = table.set_index(["metric", "run_a", "run_b"])
    same = by_pair.loc["auroc", "good", "same"]
    assert same[["difference", "ci_low", "ci_high", "p"]].tolist() == pytest.approx(
        [0, 0, 0, 1], abs=1e-12
    )
    row = by_pair.loc["auroc", "good", "fair"]
    tested = runs["good"].query("split == 'test'")
    each = [
        auroc(rows["y_true"], rows["y_prob"], unit_weights(24))[0]
        for _, rows in tested.groupby("seed")
    ]
    assert row["value_a"] == pytest.approx(np.mean(each))
    assert row["difference"] == pytest.approx(row["value_a"] - row["value_b"])
    assert row["ci_low"] < row["difference"] < row["ci_high"]
    assert row["method"] == "BCa"
    assert row["p"] < 0.05
    assert by_pair.loc["mae", "good", "fair"]["difference"] < 0  # a smaller error
    several = {name: predictions(skill, sessions=2) for name, skill in (("a", 1), ("b", 2))}
    found = C.compare_runs(several, ["auroc"], n_bootstrap=50, unit="subject")
    assert found.loc[0, ["unit", "sessions", "subjects"]].tolist() == ["subject", 24, 24]
    found = C.compare_runs(several, ["auroc"], n_bootstrap=50)
    assert found.loc[0, ["unit", "sessions", "subjects"]].tolist() == ["session", 48, 24]
    found = C.compare_runs(runs, ["auroc"], n_bootstrap=300, adjustment="benjamini_hochberg")
    adjusted = benjamini_hochberg(found["p"])
    assert found["p_adjusted"].tolist() == pytest.approx(adjusted.tolist())


def without(table, subject):
    return table[table["subject"] != subject]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: without(t, "p3"), r"session\(s\) c/p3/0 tested in a but not in b, seed 0"),
        (lambda t: t[t["subject"].str.len() > 2], r"c/p0/0, c/p1/0, c/p2/0 and 7 more tested"),
        (
            lambda t: t.assign(y_true=t["y_true"].where(t["subject"] != "p4", 1)),
            r"y_true of session\(s\) c/p4/0 differs: 0.0 in a, 1.0 in b",
        ),
        (lambda t: t.assign(seed=7), r"a has seeds \[0\], b has \[7\]"),
    ],
)
def test_wrong_pairs_are_refused_by_name(change, message):
    table = predictions(1)
    with pytest.raises(C.PairingError, match=message):
        C.compare_runs({"a": table, "b": change(table)}, ["auroc"], n_bootstrap=10)


def test_runs_that_cannot_be_compared():
    table = predictions(1)
    with pytest.raises(ValueError, match="give two or more"):
        C.compare_runs({"a": table}, ["auroc"])
    with pytest.raises(ValueError, match="'auc' is none of balanced_accuracy"):
        C.compare_runs({"a": table, "b": table}, ["auc"])
    binary = table.drop(columns=["score_pred", "score"])
    with pytest.raises(ValueError, match="mae reads 'score_pred', which b, seed 0 has not"):
        C.compare_runs({"a": table, "b": binary}, ["mae"], n_bootstrap=10)
    unlabelled = table.drop(columns=["y_true", "y_prob"])
    with pytest.raises(C.PairingError, match="cannot be drawn in pairs"):
        C.compare_runs({"a": table, "b": unlabelled}, ["mae"], n_bootstrap=10)


# ---- by simulation -----------------------------------------------------------------------------

REPEATS = 1200  # studies: a share of .95 or .05 is known to about +- .013
FEWER = 600  # where a study is slow: +- .018
SEPARATION = 1.2  # standard deviations between the groups: AUROC .80, balanced accuracy .73


@pytest.mark.slow
def test_intervals_of_60_subjects_cover_the_truth_in_19_of_20_studies():
    rng = np.random.default_rng(1)
    y, subject = np.repeat([0, 1], 30), np.arange(60)
    jackknife = leave_subjects_out(subject, y, 0)
    truth = {
        "auroc": scipy.stats.norm.cdf(SEPARATION / np.sqrt(2)),
        "balanced_accuracy": scipy.stats.norm.cdf(SEPARATION / 2),
    }
    covered = dict.fromkeys(truth, 0)
    for study in range(REPEATS):
        x = SEPARATION * y + rng.normal(size=60)
        weights = bootstrap_weights(subject, y, 400, study)
        for name, answer in (("auroc", x), ("balanced_accuracy", x >= SEPARATION / 2)):
            metric = METRICS[name].function
            value = metric(y, answer, unit_weights(60))[0]
            a = jackknife.acceleration(value, metric(y, answer, jackknife.weights))
            found = bootstrap_interval(value, metric(y, answer, weights), 0.95, a)
            covered[name] += found.ci_low <= truth[name] <= found.ci_high
    shares = {name: count / REPEATS for name, count in covered.items()}
    assert all(0.93 <= share <= 0.97 for share in shares.values()), shares


def equal_runs(rng, subjects, sessions=1):
    """Two runs that know equally much, with errors that subjects and runs share in part."""
    y, subject = (
        np.repeat(np.arange(subjects) % 2, sessions),
        np.repeat(np.arange(subjects), sessions),
    )
    shared = rng.normal(size=subjects)[subject]
    own = rng.normal(size=(2, subjects))[:, subject]
    a, b = y + 0.7 * shared + 0.7 * own + 0.3 * rng.normal(size=(2, len(y)))
    return y, a, b, subject


def share_below(p, alpha=0.05):
    return float(np.mean(np.array(p) <= alpha))


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "least"), [("auroc", 0.03), ("balanced_accuracy", 0.01)])
def test_permutation_keeps_its_size(metric, least):
    """Balanced accuracy takes few values: many exchanges are exactly as large, which is safe."""
    rng = np.random.default_rng(2)
    p = []
    for study in range(FEWER):
        y, a, b, subject = equal_runs(rng, 24, sessions=2)
        if metric == "balanced_accuracy":
            a, b = a > 0.5, b > 0.5
        p.append(
            paired_permutation_test(metric, y, a, b, subject, n_permutations=199, seed=study).p
        )
    assert least <= share_below(p) <= 0.07
