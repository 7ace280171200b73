"""Coverage and size for data of other shapes than those with which the methods were chosen.

    python experiments/benchmarks/statistics/other_shapes.py [PART ...]

Logits have skewed errors (gamma), which vary 1.6 times as much for positive subjects, and are
rounded to quarters, so that there are ties. Scores are skewed integers (0 to 63), errors of scores
have a t distribution with 5 degrees of freedom. 30 % or 15 % of the subjects are positive. With
clusters, subjects have one to four sessions, whose errors have a correlation of .5.

``auroc``        AUROC and AUPRC, 20, 50 and 150 subjects (3 minutes).
``metrics``      Metrics of decisions and scores (2 minutes).
``few``          8, 12 and 16 subjects with fixed class counts (40 s).
``comparisons``  Share of p <= .05 of two equally good runs, and of one procedure trained twice (4
                 minutes).
``null``         Predictions without information: share of "better than the baseline" (80 s).
``slope``        Calibration intercept and slope (25 s).
"""

import sys

import numpy as np
import pandas as pd
from scipy.special import expit

from depmm.evaluation.baselines import add_baselines, compare_with_baselines
from depmm.evaluation.stats.binary_metrics import auroc
from depmm.evaluation.stats.calibration_line import calibration_line
from depmm.evaluation.stats.metric_intervals import estimate_metric
from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.weighted_sums import unit_weights
from experiments.benchmarks.statistics.comparisons import compare, excludes_zero
from experiments.benchmarks.statistics.interval_coverage import resample

CLUSTERED = 0.5  # correlation of the errors of a subject
DECISIONS = ["precision", "f1_positive", "accuracy", "brier", "rmse", "ccc"]


def skewed(rng, n):
    """Draw skewed errors with mean 0 and variance 1."""
    return (rng.gamma(3, 1, n) - 3) / np.sqrt(3)


def generate(rng, n, skill, share=0.3, correlation=None, fixed=False):
    """Generate the sessions of a study; see the header."""
    label = rng.permutation(np.arange(n) < round(n * share)) if fixed else rng.random(n) < share
    label = label.astype(int)
    clustered = correlation is not None
    counts = rng.choice([1, 2, 3, 4], n, p=[0.4, 0.3, 0.15, 0.15]) if clustered else np.ones(n, int)
    subject, r = np.repeat(np.arange(n), counts), correlation or 0.0
    y, m = label[subject], counts.sum()
    error = np.sqrt(r) * skewed(rng, n)[subject] + np.sqrt(1 - r) * skewed(rng, m)
    latent = np.where(y == 1, skill + 1.6 * error, error)
    prob = expit(np.round(4 * (latent - skill / 2)) / 4 - 0.5)
    score = np.minimum(63, np.round(rng.gamma(1.5, 5, n) + 9 * label))[subject]
    heavy = np.sqrt(r) * rng.standard_t(5, n)[subject] + np.sqrt(1 - r) * rng.standard_t(5, m)
    columns = {"subject": subject, "y_true": y.astype(float), "y_prob": prob}
    columns |= {"y_pred": (prob >= 0.5).astype(int), "score": score}
    return pd.DataFrame(columns | {"score_pred": np.round(4 + 0.7 * score + 4 * heavy)})


def find_skill(target, **design):
    """Find the skill that has an AUROC."""
    low, high = 0.0, 8.0
    for _ in range(12):
        middle = (low + high) / 2
        rows = generate(np.random.default_rng(99), 40_000, middle, **design)
        area = auroc(rows["y_true"], rows["y_prob"], unit_weights(len(rows)))[0]
        low, high = (middle, high) if area < target else (low, middle)
    return middle


def measure(n, studies, seed, names, class_counts="random", skill=1.5, **design):
    """Measure coverage, and the number of intervals without their value, by metric."""
    large = generate(np.random.default_rng(99), 150_000, skill, **design)
    truth = {}
    for name in names:
        columns = (large[METRICS[name].measured], large[METRICS[name].predicted])
        truth[name] = METRICS[name].function(*columns, unit_weights(len(large)))[0]
    found = []
    for study in range(studies):
        rng = np.random.default_rng([seed, n, study])
        rows = generate(rng, n, skill, fixed=class_counts == "fixed", **design)
        subjects = rows.groupby("y_true")["subject"].nunique()
        if len(subjects) < 2 or subjects.min() < 2:
            continue
        tested = resample(rows, class_counts, 2, 0)
        for name in names:
            i = estimate_metric(tested, name)
            if np.isfinite([i.value, i.ci_low]).all():
                covers = i.ci_low <= truth[name] <= i.ci_high
                outside = not i.ci_low - 1e-9 <= i.value <= i.ci_high + 1e-9
                found.append((name, covers, outside))
    table = pd.DataFrame(found, columns=["metric", "coverage", "outside"])
    return table.groupby("metric").agg({"coverage": "mean", "outside": "sum"}).round(3)


def two_runs(rng, n, share=0.3, correlation=None, seeds=(1, 1), spread=0.0, skill=1.6):
    """Generate two equally good runs; with several seeds, their skill varies by ``spread``."""
    label = (rng.random(n) < share).astype(int)
    clustered = correlation is not None
    counts = rng.choice([1, 2, 3, 4], n, p=[0.4, 0.3, 0.15, 0.15]) if clustered else np.ones(n, int)
    subject, r = np.repeat(np.arange(n), counts), correlation or 0.0
    y, m = label[subject], counts.sum()

    def noise():
        return np.sqrt(r) * skewed(rng, n)[subject] + np.sqrt(1 - r) * skewed(rng, m)

    shared, shared_heavy = noise(), rng.standard_t(5, m)
    score = np.minimum(63, np.round(rng.gamma(1.5, 5, n) + 9 * label))[subject]
    session = np.concatenate([np.arange(count) for count in counts])
    columns = {"corpus": "c", "subject": [f"p{i:03d}" for i in subject], "fold": 0, "split": "test"}
    columns |= {"session": [f"s{i}" for i in session], "y_true": y.astype(float), "score": score}
    runs = []
    for n_seeds in seeds:
        parts = []
        own = noise() if spread == 0 else None
        for seed in range(n_seeds):
            of_seed = skill + spread * rng.normal() if n_seeds > 1 else skill
            error = 0.8 * shared + 0.6 * (noise() if own is None else own)
            logit = np.round(4 * ((1 + 0.6 * y) * error + of_seed * y - skill / 2)) / 4
            heavy = 0.8 * shared_heavy + 0.6 * rng.standard_t(5, m)
            predicted = {"y_prob": expit(logit - 0.5)}
            predicted["score_pred"] = np.round(4 + 0.7 * score + 4 * heavy)
            parts.append(pd.DataFrame(columns | predicted | {"seed": seed}))
        runs.append(pd.concat(parts))
    return runs


def measure_size(n, studies, seed, names, **design):
    """Measure the share of p <= .05, and of intervals that disagree with p, by metric."""
    rejected, excluded = [], []
    for study in range(studies):
        a, b = two_runs(np.random.default_rng([seed, n, study]), n, **design)
        if a[a["y_true"] == 1]["subject"].nunique() < 2:
            continue
        rows = compare(a, b, names, draws=199)
        rejected.append(rows["p"] <= 0.05)
        excluded.append(excludes_zero(rows))
    p, interval = (pd.DataFrame(r).reset_index(drop=True) for r in (rejected, excluded))
    return pd.DataFrame({"p": p.mean(), "disagree": (p != interval).mean()}).round(3)


def measure_better(n, studies, seed, share=0.3, correlation=None):
    """Measure the share of studies that call predictions without information better, by metric."""
    better = {}
    for study in range(studies):
        rng = np.random.default_rng([seed, n, study])
        rows = generate_noise(rng, n, share, correlation)
        if rows.groupby("y_true")["subject"].nunique().reindex([0, 1], fill_value=0).min() < 2:
            continue
        positive = (np.arange(40) < round(40 * share)).astype(float)
        train = pd.DataFrame({"split": "train", "y_true": positive, "subject": n})
        train["score"] = np.round(rng.gamma(1.5, 5, 40) + 9 * positive)
        table = pd.concat([rows.assign(split="test"), train], ignore_index=True)
        for target in ("binary", "severity"):
            with_baselines = add_baselines(table.assign(fold=0, seed=0), target)
            tested = resample(with_baselines[with_baselines["split"] == "test"], "random", 2, 0)
            for name, entry in compare_with_baselines(tested, target)[0].items():
                if entry["verdict"]:
                    better.setdefault(name, []).append(entry["verdict"]["outcome"] == "better")
    return pd.DataFrame({"better": {name: np.mean(found) for name, found in better.items()}})


def generate_noise(rng, n, share, correlation):
    """Generate labels and scores that do not depend on the predictions."""
    rows = generate(rng, n, 0.0, share, correlation)
    latent = [skewed(rng, len(rows)), 2.5 * rng.standard_t(5, n)[rows["subject"]]]
    prob = expit(np.round(4 * latent[0]) / 4 - 0.5)
    return rows.assign(
        y_prob=prob, y_pred=(prob >= 0.5).astype(int), score_pred=np.round(12 + latent[1])
    )


def measure_calibration_line(n, studies, seed, **design):
    """Measure the coverage of calibration intercept and slope."""

    def line(rows):
        return calibration_line(rows["y_true"], rows["y_prob"], rows["subject"], 0.95)

    truth = line(generate(np.random.default_rng(5), 150_000, 1.5, **design))
    found = []
    for study in range(studies):
        estimate = line(generate(np.random.default_rng([seed, n, study]), n, 1.5, **design))
        found += [
            (name, i.ci_low <= truth[name].value <= i.ci_high)
            for name, i in estimate.items()
            if np.isfinite(i.ci_low)
        ]
    return pd.DataFrame(found, columns=["parameter", "coverage"]).groupby("parameter").mean()


def main(part):
    """Print the figures of a part."""

    def show(text, table):
        print(f"{text}\n{table.T.to_string()}", flush=True)

    match part:
        case "auroc":
            for share, correlation in ((0.3, None), (0.15, None), (0.3, CLUSTERED)):
                for target in (0.8, 0.95, 0.98):
                    design = {"share": share, "correlation": correlation}
                    skill = find_skill(target, **design)
                    for n in (20, 50, 150):
                        studies = 300 if correlation else 500
                        table = measure(n, studies, 7, ["auroc", "auprc"], skill=skill, **design)
                        show(f"{design}, AUROC {target}, {n} subjects", table)
        case "metrics":
            for share, correlation, counts, target in (
                (0.15, None, "random", 0.8),
                (0.3, CLUSTERED, "random", 0.8),
                (0.3, None, "fixed", 0.8),
                (0.3, None, "random", 0.95),
            ):
                design = {"share": share, "correlation": correlation}
                skill = find_skill(target, **design)
                for n in (20, 50, 150) if share == 0.15 else (20, 50):
                    table = measure(n, 250, 11, DECISIONS, counts, skill, **design)
                    show(f"{design}, {counts}, AUROC {target}, {n} subjects", table)
        case "few":
            for n in (8, 12, 16):
                names = ["auroc", "accuracy", "recall", "rmse", "ccc", "brier"]
                show(f"{n} subjects", measure(n, 300, 61, names, "fixed", share=0.4))
        case "comparisons":
            for n, studies, names, design in (
                (20, 160, ["auroc", "f1_positive", "rmse", "ccc"], {}),
                (50, 500, ["brier"], {"share": 0.15}),
                (40, 500, ["rmse", "ccc"], {"correlation": CLUSTERED}),
            ):
                seed = 3 if studies == 160 else 1003
                table = measure_size(n, studies, seed, names, **design)
                show(f"{n} subjects, {design}", table)
            for n, seeds in ((60, (3, 3)), (60, (3, 1)), (25, (5, 5))):
                table = measure_size(n, 200, 4, ["auroc"], seeds=seeds, spread=0.4)
                show(f"{n} subjects, {seeds} seeds", table)
        case "null":
            for n, studies, share in ((20, 120, 0.3), (50, 240, 0.15)):
                show(f"{n} subjects, {share}", measure_better(n, studies, 31, share).round(3))
        case "slope":
            for share, correlation in ((0.3, None), (0.15, None), (0.3, CLUSTERED)):
                for n in (30, 60, 150):
                    design = {"share": share, "correlation": correlation}
                    show(f"{n} subjects, {design}", measure_calibration_line(n, 400, 21, **design))


if __name__ == "__main__":
    for name in sys.argv[1:] or ["auroc", "metrics", "few", "comparisons", "null", "slope"]:
        main(name)
