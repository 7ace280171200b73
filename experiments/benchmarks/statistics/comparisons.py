"""Size and power of the comparison of runs, and the bias of pooled cross-validation.

    python experiments/benchmarks/statistics/comparisons.py [STUDIES]

Size is the share of studies without a difference in which the 95 % interval of the paired
difference excludes 0, or p <= .05. 200 studies take about 5 minutes on one core.

- ``equal``: two runs with the same distribution and correlated errors (r = .5), skewed scores;
- ``shift``: a better run (AUROC .87 against .76) whose logits are 2 higher: power of the p value;
- ``seeds``: two procedures that differ only in the seeds of training, whose skill varies;
- ``pooled``: a regularised linear model on noise, by number of folds: mean AUROC of the pooled
  predictions and of the folds, and the share of studies in which the 95 % interval of the pooled
  AUROC is below .5, and above;
- ``across folds``: two models of noise, compared on pooled folds, and as models that were trained
  once on other subjects.
"""

import sys
import time

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from depmm.evaluation.comparison import compare_runs
from depmm.evaluation.stats.binary_metrics import auroc
from depmm.evaluation.stats.metric_intervals import estimate_metric
from depmm.evaluation.stats.paired_tests import paired_permutation_test
from depmm.evaluation.stats.resampled_sessions import resample_sessions
from depmm.evaluation.stats.weighted_sums import unit_weights

METRICS = ["balanced_accuracy", "auroc", "rmse", "mae", "ccc"]


def table(label, logits, score=None, score_pred=None, sessions=1):
    """Make a predictions table; ``logits`` and ``score_pred`` have one row per seed."""
    parts = []
    for seed, row in enumerate(np.atleast_2d(logits)):
        columns = {
            "subject": [f"p{index // sessions}" for index in range(len(label))],
            "session": [f"s{index % sessions}" for index in range(len(label))],
            "seed": seed,
            "y_true": label,
            "y_prob": expit(row),
        }
        if score is not None:
            columns |= {"score": score, "score_pred": np.atleast_2d(score_pred)[seed]}
        parts.append(pd.DataFrame(columns))
    rows = pd.concat(parts)
    return rows.assign(corpus="c", split="test", fold=0)


def compare(a, b, metrics, draws=400):
    """Compare two runs with the threshold .5."""
    runs = {"a": a, "b": b}
    return compare_runs(
        runs, metrics, n_bootstrap=draws, thresholds=dict.fromkeys(runs, 0.5)
    ).set_index("metric")


def excludes_zero(rows):
    """Whether each interval excludes 0."""
    return (rows["ci_low"] > 1e-9) | (rows["ci_high"] < -1e-9)


def equal_runs(rng, subjects, sessions=1, skill=1.5):
    """Make two equally good runs with correlated errors."""
    n = subjects * sessions
    label = np.repeat(rng.permutation(np.arange(subjects) % 5 < 2).astype(float), sessions)
    subject_error = np.repeat(rng.normal(size=(3, subjects)), sessions, axis=1)
    error = 0.8 * subject_error + 0.6 * rng.normal(size=(3, n)) if sessions > 1 else subject_error
    noise = np.sqrt(0.5) * error[0] + np.sqrt(0.5) * error[1:]
    score = rng.gamma(2, 6, n)
    return [
        table(label, skill * (label - 0.5) + e, score, 10 + 0.6 * (score - 12) + 6 * e, sessions)
        for e in noise
    ]


def size_of_equal_runs(studies, subjects, sessions=1, seed=0):
    """Return the shares of intervals without 0 and of p <= .05 by metric, and of contradictions."""
    rng = np.random.default_rng(seed)
    intervals, p = [], []
    for _ in range(studies):
        rows = compare(*equal_runs(rng, subjects, sessions), METRICS)
        intervals.append(excludes_zero(rows))
        p.append(rows["p"] <= 0.05)
    outside, rejected = (pd.DataFrame(r).reset_index(drop=True) for r in (intervals, p))
    return pd.DataFrame(
        {"interval": outside.mean(), "p": rejected.mean(), "disagree": (outside != rejected).mean()}
    )


def size_of_permutation_test(studies, subjects, sessions, metrics=("auroc", "rmse"), seed=5):
    """Return the share of p <= .05 of the permutation test alone, which is faster."""
    rng = np.random.default_rng(seed)
    rejected = []
    for study in range(studies):
        a, b = equal_runs(rng, subjects, sessions)
        codes = a["subject"].astype("category").cat.codes
        columns = {"auroc": ("y_true", "y_prob")}
        p = []
        for name in metrics:
            measured, predicted = columns.get(name, ("score", "score_pred"))
            test = paired_permutation_test(
                name, a[measured], a[predicted], b[predicted], codes, n_permutations=199, seed=study
            )
            p.append(test.p)
        rejected.append(np.array(p) <= 0.05)
    return dict(zip(metrics, np.mean(rejected, axis=0), strict=True))


def power_of_shifted_run(studies, subjects=60, shift=2.0, seed=1):
    """Return the power of the p value of AUROC if one run has other logits."""
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(studies):
        label = (np.arange(subjects) % 2).astype(float)
        shared = rng.normal(size=subjects)
        a, b = (
            table(
                label, skill * (label - 0.5) + move + 0.8 * shared + 0.6 * rng.normal(size=subjects)
            )
            for skill, move in ((1.6, shift), (1.0, 0.0))
        )
        found += compare(a, b, ["auroc"]).loc["auroc", "p"] <= 0.05
    return found / studies


def coverage_of_difference(studies, subjects, skills, seed=4):
    """Return the share of intervals that contain the true difference of AUROC."""
    rng = np.random.default_rng(seed)
    true = np.subtract(*norm.cdf(np.array(skills) / np.sqrt(2)))
    covered = 0
    for _ in range(studies):
        label = (np.arange(subjects) % 5 < 2).astype(float)
        shared = rng.normal(size=subjects)
        runs = [
            table(
                label,
                skill * (label - 0.5)
                + np.sqrt(0.5) * shared
                + np.sqrt(0.5) * rng.normal(size=subjects),
            )
            for skill in skills
        ]
        row = compare(*runs, ["auroc"], draws=200).loc["auroc"]
        covered += row["ci_low"] - 1e-9 <= true <= row["ci_high"] + 1e-9
    return covered / studies


def size_of_equal_procedures(
    studies, seeds, subjects=60, spread=0.3, other_seeds=None, seed=2, gain=0.0
):
    """Return the share of p <= .05 for one procedure that is trained twice.

    With ``other_seeds`` of 1 the second system is deterministic, with the mean skill. With a
    ``gain`` of skill, the first procedure is better and the share is the power.
    """
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(studies):
        label = (np.arange(subjects) % 2).astype(float)
        shared = rng.normal(size=subjects)
        runs = []
        for n_seeds, more in ((seeds, gain), (other_seeds or seeds, 0.0)):
            skill = 1.5 + more + spread * rng.normal(size=(n_seeds, 1)) * (n_seeds > 1)
            error = 0.5 * rng.normal(size=(n_seeds, subjects))
            runs.append(table(label, skill * (label - 0.5) + shared + error))
        found += compare(*runs, ["auroc"], draws=200).loc["auroc", "p"] <= 0.05
    return found / studies


def auroc_of_noise(studies, folds, subjects=40, features=10, seed=3):
    """Cross-validate a model on noise.

    Returns the mean pooled AUROC, the mean of the mean over folds, and the share of studies whose
    interval of the pooled AUROC is below .5, and above.
    """
    rng = np.random.default_rng(seed)
    pooled, within = [], []
    for _ in range(studies):
        y = rng.permutation(np.arange(subjects) % 2).astype(float)
        x = rng.normal(size=(subjects, features))
        # stratified folds; with one fold per subject there is nothing to stratify
        fold = np.empty(subjects, dtype=int)
        fold[np.argsort(y, kind="stable")] = np.arange(subjects) % folds
        if folds == subjects // 2:
            for label in (0, 1):
                fold[y == label] = rng.permutation(subjects // 2)
        predicted = cross_validate(x, y, fold)
        of_folds = [
            auroc(y[fold == k], predicted[fold == k], unit_weights((fold == k).sum()))[0]
            for k in range(folds)
        ]
        rows = table(y, predicted).assign(fold=fold)
        # the variance is that of the jackknife: replicates are not needed
        pooled.append(estimate_metric(resample_sessions(rows, 2, 0.95, 0), "auroc"))
        if np.isfinite(of_folds).any():
            within.append(np.nanmean(of_folds))
    return (
        float(np.mean([interval.value for interval in pooled])),
        float(np.mean(within)) if within else np.nan,
        float(np.mean([interval.ci_high < 0.5 for interval in pooled])),
        float(np.mean([interval.ci_low > 0.5 for interval in pooled])),
    )


def cross_validate(x, y, fold):
    """Predict each fold by a regularised linear model of the others."""
    design = np.column_stack([np.ones(len(y)), x])
    penalty = np.diag([0.0] + [20.0] * x.shape[1])  # the intercept is not penalised
    predicted = np.empty(len(y))
    for k in np.unique(fold):
        fit = design[fold != k]
        weights = np.linalg.solve(fit.T @ fit + penalty, fit.T @ y[fold != k])
        predicted[fold == k] = design[fold == k] @ weights
    return predicted


def size_across_folds(studies, subjects, sessions, folds=5, trained_once=False, seed=5):
    """Return the share of p <= .05 for two models of noise with half of their features in common.

    With several sessions, each subject has both labels. ``trained_once``: both models are trained
    on other subjects instead.
    """
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(subjects), sessions)
    found = 0
    for _ in range(studies):
        order = rng.permutation(subjects)
        y = (order % 2)[subject].astype(float)
        if sessions > 1:
            y = np.tile(np.arange(sessions) % 2, subjects).astype(float)
        fold = (order // 2 % folds)[subject]
        x = rng.normal(size=(subjects, 15))[subject] + rng.normal(size=(len(y), 15))
        runs = []
        for columns in (slice(0, 10), slice(5, 15)):
            if trained_once:
                weights = np.random.default_rng([seed, columns.start]).normal(size=10)
                predicted = x[:, columns] @ weights
            else:
                predicted = cross_validate(x[:, columns], y, fold)
            runs.append(table(y, predicted, sessions=sessions))
        found += compare(*runs, ["auroc"], draws=100).loc["auroc", "p"] <= 0.05
    return found / studies


def main(arguments):
    """Print all figures."""
    studies = int(arguments[0]) if arguments else 200
    start = time.perf_counter()

    def show(text, value):
        print(f"{text}: {value}   [{time.perf_counter() - start:.0f} s]", flush=True)

    for folds in (40, 20, 5):
        show(
            f"noise, {folds} folds of 40: pooled AUROC, mean of folds, interval below and above .5",
            np.round(auroc_of_noise(1000, folds), 3),
        )
    for subjects, sessions in ((40, 1), (16, 4)):
        for trained_once in (False, True):
            size = size_across_folds(400, subjects, sessions, trained_once=trained_once)
            trained = "trained once" if trained_once else "5 folds"
            show(f"two models of noise, {subjects} subjects x {sessions}, {trained}", size)
    for subjects, sessions in ((20, 1), (50, 1), (150, 1), (40, 3)):
        size = size_of_equal_runs(studies, subjects, sessions, seed=subjects)
        show(f"equal runs, {subjects} subjects x {sessions}", "\n" + size.round(3).to_string())
    for subjects, sessions in ((40, 2), (40, 3), (24, 2)):
        size = size_of_permutation_test(900, subjects, sessions, ("auroc", "rmse", "mae", "ccc"))
        show(f"permutation test, {subjects} subjects x {sessions}", size)
    show("power, no shift", power_of_shifted_run(studies, shift=0.0))
    show("power, logits shifted by 2", power_of_shifted_run(studies, shift=2.0))
    for skills in ((4.0, 2.5), (2.0, 1.0)):
        for subjects in (20, 50):
            covered = coverage_of_difference(studies, subjects, skills)
            show(f"coverage of the difference of AUROC, skills {skills}, {subjects}", covered)
    for seeds in (3, 5, 10):
        power = size_of_equal_procedures(studies // 2, seeds, gain=0.8)
        show(f"power, AUROC .93 and .83, {seeds} seeds", power)
    for seeds, others in ((3, None), (5, None), (10, None), (3, 1), (5, 1)):
        try:
            size = size_of_equal_procedures(studies, seeds, other_seeds=others)
        except Exception as error:
            size = f"refused ({type(error).__name__})"
        show(f"equal procedures, {seeds} and {others or seeds} seeds", size)


if __name__ == "__main__":
    main(sys.argv[1:])
