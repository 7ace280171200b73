"""Paired tests against definitions and hand values; sizes and coverage by simulation."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from depmm.evaluation import comparison as C
from depmm.evaluation.stats import metrics as M
from depmm.evaluation.stats.bootstrap import bootstrap_weights, interval, leave_subjects_out
from depmm.multiple_testing import benjamini_hochberg, holm


@pytest.fixture
def rng():
    return np.random.default_rng(5)


# ---- one pair ----------------------------------------------------------------------------------


def test_permutation_by_hand():
    # the runs differ on 4 subjects and a is right on all 4: |difference| is as large in 2 of 16
    y, a, b = [1, 1, 0, 0, 1], [1, 1, 0, 0, 1], [0, 0, 1, 1, 1]
    found = C.paired_permutation("accuracy", y, a, b, np.arange(5))
    assert found == C.Permutation(pytest.approx(0.8), pytest.approx(2 / 16), True)
    # as sessions of two subjects they are exchanged together: nothing but the sign can change
    found = C.paired_permutation("accuracy", y, a, b, [0, 0, 1, 1, 1])
    assert found.p == pytest.approx(2 / 4)
    assert C.paired_permutation("accuracy", y, a, a, np.arange(5)).p == 1


def test_all_exchanges_equal_their_definition(rng):
    y, subject = np.tile([0, 1], 6), np.repeat(np.arange(6), 2)
    a, b = rng.random(12), rng.random(12)
    one = M.unit_weights(12)

    def difference(swap):
        first, second = np.where(swap, b, a), np.where(swap, a, b)
        return (M.auroc(y, first, one) - M.auroc(y, second, one))[0]

    values = [difference(np.array(swap)[subject]) for swap in product([False, True], repeat=6)]
    found = C.paired_permutation("auroc", y, a, b, subject)
    assert found.difference == pytest.approx(values[0])
    assert found.p == pytest.approx(np.mean(np.abs(values) >= abs(values[0]) - 1e-12))
    drawn = C.paired_permutation("auroc", y, a, b, subject, draws=63)
    assert not drawn.exact
    assert drawn.p == pytest.approx(found.p, abs=0.25)
    # the same answers of a second seed change nothing, and neither does who is called a
    twice = C.paired_permutation("auroc", y, [a, a], [b, b], subject)
    assert twice.p == pytest.approx(found.p)
    assert C.paired_permutation("auroc", y, b, a, subject).p == pytest.approx(found.p)


def test_permutation_of_an_undefined_metric_is_undefined():
    found = C.paired_permutation("auroc", [1, 1, 1], [0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0, 1, 2])
    assert np.isnan(found.p)
    with pytest.raises(ValueError, match="same order"):
        C.paired_permutation("auroc", [1, 0], [0.1, 0.2], [0.1, 0.2, 0.3], [0, 1])


def test_mcnemar_by_hand():
    y = np.ones(20, dtype=int)
    a, b = y.copy(), y.copy()
    b[:7], a[7] = 0, 0
    found = C.mcnemar(y, a, b, np.arange(20))
    # 7 against 1: (1 + 8) of 256 on each side
    assert found == C.McNemar(7, 1, pytest.approx(2 * 9 / 256))
    assert C.mcnemar(y, y, y, np.arange(20)).p == 1
    with pytest.raises(ValueError, match=r"subject 3 has 2 sessions \(1 of 19 subjects"):
        C.mcnemar(y, a, b, [0, 1, 2, 3, 3, *range(4, 19)])


def delong_by_definition(y, *probs):
    """DeLong et al. 1988, eq. 4-6, pair by pair."""
    parts = []
    for prob in probs:
        x, z = prob[y == 1][:, None], prob[y == 0][None]
        psi = (x > z) + 0.5 * (x == z)
        parts.append((psi.mean(), psi.mean(1), psi.mean(0)))
    s10, s01 = np.cov([p[1] for p in parts]), np.cov([p[2] for p in parts])
    covariance = s10 / (y == 1).sum() + s01 / (y == 0).sum()
    contrast = np.array([1, -1])
    return parts[0][0] - parts[1][0], np.sqrt(contrast @ covariance @ contrast)


def test_delong_equals_its_definition(rng):
    y = rng.integers(0, 2, 50)
    a, b = (y + rng.normal(size=(2, 50))).round(1)  # with ties
    found = C.delong(y, a, b, np.arange(50))
    difference, error = delong_by_definition(y, a, b)
    assert (found.difference, found.standard_error) == pytest.approx((difference, error))
    assert found.auroc_a == pytest.approx(M.auroc(y, a, M.unit_weights(50))[0])
    assert found.p == pytest.approx(2 * scipy.stats.norm.sf(abs(difference / error)))
    half = 1.959964 * error
    assert (found.low, found.high) == pytest.approx((difference - half, difference + half))
    assert C.delong(y, a, a, np.arange(50)).p == 1


def test_delong_counts_subjects_not_their_sessions(rng):
    y = np.repeat([0, 1], 25)
    a, b = y + rng.normal(size=(2, 50))
    once = C.delong(y, a, b, np.arange(50))
    thrice = C.delong(*(np.repeat(v, 3) for v in (y, a, b, np.arange(50))))
    assert thrice.standard_error == pytest.approx(once.standard_error)
    careless = C.delong(*(np.repeat(v, 3) for v in (y, a, b)), np.arange(150))
    assert careless.standard_error < 0.6 * once.standard_error


def test_delong_sums_a_subjects_positive_and_negative_sessions(rng):
    """Obuchowski 1997, written out: subjects who are tested ill and well."""
    y, subject = np.tile([0, 1, 1], 20), np.repeat(np.arange(20), 3)
    a, b = y + rng.normal(size=(2, 60)) + rng.normal(size=20)[subject]
    parts = []
    for prob in (a, b):
        psi = (prob[y == 1][:, None] > prob[y == 0][None]).astype(float)
        parts.append((psi.mean(1) - psi.mean(), psi.mean(0) - psi.mean()))
    ill = [np.bincount(subject[y == 1], part[0]) for part in parts]
    well = [np.bincount(subject[y == 0], part[1]) for part in parts]
    s10, s01 = (20 / 19 * np.inner(v, v) / n for v, n in ((ill, 40), (well, 20)))
    s11 = 20 / 19 * np.inner(ill, well)
    covariance = s10 / 40 + s01 / 20 + (s11 + s11.T) / (40 * 20)
    expected = np.sqrt(np.array([1, -1]) @ covariance @ np.array([1, -1]))
    assert C.delong(y, a, b, subject).standard_error == pytest.approx(expected)


def test_delong_needs_two_subjects_of_each_label():
    with pytest.raises(ValueError, match="1 subjects with positive sessions"):
        C.delong([1, 1, 0, 0], [1, 2, 3, 4], [1, 2, 3, 4], [0, 0, 1, 2])


def test_corrected_t_by_hand():
    # mean 2, variance 2.5, 5 folds, a quarter: t = 2 / sqrt((.2 + .25) * 2.5)
    found = C.corrected_resampled_t([0, 1, 2, 3, 4], train=80, test=20)
    assert (found.t, found.degrees) == (pytest.approx(2 / np.sqrt(0.45 * 2.5)), 4)
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(found.t, 4))
    plain = scipy.stats.ttest_1samp([0, 1, 2, 3, 4], 0)
    assert found.p > plain.pvalue
    assert C.corrected_resampled_t([0, 0], 8, 2).p == 1
    with pytest.raises(ValueError, match=r"2 differences \(1 undefined\)"):
        C.corrected_resampled_t([1, np.nan], 8, 2)


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
    table = C.compare_runs(runs, ["auroc", "mae", "quadratic_kappa"], draws=300)
    assert len(table) == 3 * 3
    assert table["p_adjusted"].tolist() == pytest.approx(holm(table["p"]).tolist())
    assert set(table["subjects"]) == {24}
    by_pair = table.set_index(["metric", "run_a", "run_b"])
    same = by_pair.loc["auroc", "good", "same"]
    assert same[["difference", "low", "high", "p"]].tolist() == pytest.approx(
        [0, 0, 0, 1], abs=1e-12
    )
    row = by_pair.loc["auroc", "good", "fair"]
    tested = runs["good"].query("split == 'test'")
    each = [
        M.auroc(rows["y_true"], rows["y_prob"], M.unit_weights(24))[0]
        for _, rows in tested.groupby("seed")
    ]
    assert row["value_a"] == pytest.approx(np.mean(each))
    assert row["difference"] == pytest.approx(row["value_a"] - row["value_b"])
    assert row["low"] < row["difference"] < row["high"]
    assert row["method"] == "BCa"
    assert row["p"] < 0.05
    assert by_pair.loc["mae", "good", "fair"]["difference"] < 0  # a smaller error
    several = {name: predictions(skill, sessions=2) for name, skill in (("a", 1), ("b", 2))}
    found = C.compare_runs(several, ["auroc"], draws=50, unit="subject")
    assert found.loc[0, ["unit", "sessions", "subjects"]].tolist() == ["subject", 24, 24]
    found = C.compare_runs(several, ["auroc"], draws=50)
    assert found.loc[0, ["unit", "sessions", "subjects"]].tolist() == ["session", 48, 24]
    found = C.compare_runs(runs, ["auroc"], draws=300, adjustment="benjamini_hochberg")
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
        C.compare_runs({"a": table, "b": change(table)}, ["auroc"], draws=10)


def test_runs_that_cannot_be_compared():
    table = predictions(1)
    with pytest.raises(ValueError, match="give two or more"):
        C.compare_runs({"a": table}, ["auroc"])
    with pytest.raises(ValueError, match="'auc' is none of balanced_accuracy"):
        C.compare_runs({"a": table, "b": table}, ["auc"])
    binary = table.drop(columns=["score_pred", "score"])
    with pytest.raises(ValueError, match="mae reads 'score_pred', which b, seed 0 has not"):
        C.compare_runs({"a": table, "b": binary}, ["mae"], draws=10)
    unlabelled = table.drop(columns=["y_true", "y_prob"])
    with pytest.raises(C.PairingError, match="cannot be drawn in pairs"):
        C.compare_runs({"a": table, "b": unlabelled}, ["mae"], draws=10)


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
            metric = M.METRICS[name].function
            value = metric(y, answer, M.unit_weights(60))[0]
            a = jackknife.acceleration(value, metric(y, answer, jackknife.weights))
            found = interval(value, metric(y, answer, weights), 0.95, a)
            covered[name] += found.low <= truth[name] <= found.high
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
        p.append(C.paired_permutation(metric, y, a, b, subject, draws=199, seed=study).p)
    assert least <= share_below(p) <= 0.07


@pytest.mark.slow
def test_delong_keeps_its_size_by_subjects_and_not_by_sessions():
    rng = np.random.default_rng(3)
    by_subject, by_session = [], []
    for _ in range(FEWER):
        y, a, b, subject = equal_runs(rng, 60, sessions=3)
        by_subject.append(C.delong(y, a, b, subject).p)
        by_session.append(C.delong(y, a, b, np.arange(len(y))).p)
    assert 0.03 <= share_below(by_subject) <= 0.07
    assert share_below(by_session) > 0.12


@pytest.mark.slow
def test_mcnemar_is_at_most_its_size():
    rng = np.random.default_rng(4)
    p = []
    for _ in range(FEWER):
        y, a, b, subject = equal_runs(rng, 60)
        p.append(C.mcnemar(y, a > 0.5, b > 0.5, subject).p)
    assert 0.005 <= share_below(p) <= 0.06


@pytest.mark.slow
def test_the_corrected_t_keeps_its_size_where_the_plain_one_does_not():
    """Ten times ten folds, correlated as Nadeau and Bengio assume: test / (test + train)."""
    rng = np.random.default_rng(5)
    correlation = 0.1
    shared = np.sqrt(correlation) * rng.normal(size=(REPEATS, 1))
    d = shared + np.sqrt(1 - correlation) * rng.normal(size=(REPEATS, 100))
    corrected = [C.corrected_resampled_t(row, train=90, test=10).p for row in d]
    assert 0.03 <= share_below(corrected) <= 0.07
    assert share_below(scipy.stats.ttest_1samp(d, 0, axis=1).pvalue) > 0.3
