"""Simulate the coverage of intervals, and how often a model without information is called better.

    python experiments/benchmarks/statistics/interval_coverage.py [binary|clusters|severity|ece|
        null]

``binary``    Probabilities from two normal distributions of logits (binormal), with an AUROC of
              .65 to .98; 20, 50 and 150 subjects, 50 % or 30 % positive, with random or fixed
              numbers of positive subjects; the threshold is the share of positives.
              ``unequal`` and ``exponential`` are other distributions.
``clusters``  One to 11 sessions per subject with a correlation of 0, .3 or .9 between the errors of
              a subject.
``severity``  Normal scores; or skewed scores with errors of heavy tails.
``ece``       Calibrated and overconfident probabilities.
``null``      Labels that do not depend on predictions: the share of studies in which a metric is
              called better than its best constant, from the lower bound of the gain.

"Before" is the BCa interval of a bootstrap stratified by label (percentile for the ECE), "now" is
``estimate_metric``. A row shows the share of studies whose 95 % interval contains the true value,
over the studies in which the metric is defined. Each part takes 1 to 4 minutes on one core.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from depmm.evaluation.baselines import compare_with_baselines
from depmm.evaluation.stats.bca_interval import bootstrap_interval, leave_subjects_out
from depmm.evaluation.stats.bootstrap import ClassCounts, bootstrap_weights
from depmm.evaluation.stats.intervals import Interval
from depmm.evaluation.stats.metric_intervals import estimate_metric
from depmm.evaluation.stats.metrics import METRICS, metric_names
from depmm.evaluation.stats.reliability import adaptive_ece, count_bins
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.stats.seed_means import measure_over_seeds
from depmm.evaluation.stats.severity_metrics import severity_bands
from depmm.evaluation.stats.weighted_sums import Weights, unit_weights

Array = NDArray[np.float64]
Generate = Callable[[np.random.Generator, int], pd.DataFrame]
SIZES = (20, 50, 150)
AUROCS = (0.65, 0.8, 0.95, 0.98)
N_TRUTH = 400_000  # subjects of the sample from which true values are computed
N_BOOTSTRAP = 500


def generate_binary(
    rng: np.random.Generator,
    n: int,
    auroc: float,
    share: float = 0.5,
    fixed: bool = False,
    shape: str = "normal",
    sessions: int = 1,
    correlation: float = 0.0,
) -> pd.DataFrame:
    """Generate probabilities and decisions of subjects; see the header."""
    if fixed:
        label = np.arange(n) < round(n * share)
    else:
        label = rng.random(n) < share
    counts = rng.integers(1, 2 * sessions, n) if sessions > 1 else np.ones(n, dtype=int)
    subject = np.repeat(np.arange(n), counts)
    y = label[subject]
    noise = np.sqrt(correlation) * rng.normal(size=n)[subject]
    noise += np.sqrt(1 - correlation) * rng.normal(size=len(y))
    distance = norm.ppf(auroc) * np.sqrt(2)
    if shape == "unequal":  # positive subjects vary 1.8 times as much
        value = np.where(y, 1.8 * noise + norm.ppf(auroc) * np.sqrt(1 + 1.8**2), noise)
        prob = expit(value - 1)
    elif shape == "exponential":
        value = rng.exponential(np.where(y, auroc / (1 - auroc), 1.0))
        prob = expit(value - 2)
    else:
        prob = expit(logit(share) + distance * (noise + distance * y) - distance**2 / 2)
    rows = pd.DataFrame({"subject": subject, "y_true": y.astype(int), "y_prob": prob})
    return rows.assign(y_pred=(prob >= share).astype(int))


def generate_severity(
    rng: np.random.Generator, n: int, rho: float, shape: str = "normal"
) -> pd.DataFrame:
    """Generate measured and predicted scores of BDI-II."""
    z = rng.normal(size=n)
    if shape == "normal":
        score = 20 + 10 * z
        predicted = 20 + 10 * rho * (rho * z + np.sqrt(1 - rho**2) * rng.normal(size=n))
    else:
        score = np.round(np.clip(np.exp(2.3 + 0.8 * z), 0, 63))
        predicted = 8 + 0.6 * rho * score + 5 * rng.standard_t(4, size=n)
    bands = {
        "band": severity_bands(score, "BDI-II"),
        "band_pred": severity_bands(predicted, "BDI-II"),
    }
    return pd.DataFrame({"subject": np.arange(n), "score": score, "score_pred": predicted, **bands})


def resample(
    rows: pd.DataFrame, class_counts: ClassCounts, n_bootstrap: int, seed: int
) -> ResampledSessions:
    """Resample the rows of a study, without the checks of a table of predictions."""
    subject = rows["subject"].to_numpy()
    strata = np.zeros(len(rows), dtype=int)
    if class_counts == "fixed" and "y_true" in rows:
        strata = rows["y_true"].to_numpy()
    by_stratum = {"all": len(np.unique(subject))}
    return ResampledSessions(
        {0: rows.assign(unit=np.arange(len(rows)))},
        bootstrap_weights(subject, strata, n_bootstrap, seed),
        leave_subjects_out(subject, strata, seed),
        0.95,
        by_stratum,
        subject,
        class_counts,
    )


def interval_before(rows: pd.DataFrame, name: str, seed: int) -> Interval:
    """Compute the interval of earlier versions: BCa, subjects stratified by label."""
    tested = resample(rows, "fixed", N_BOOTSTRAP, seed)
    values = tested.values(name)
    value = float(values.per_seed[0])
    acceleration = tested.jackknife.acceleration(value, values.jackknife)
    return bootstrap_interval(value, values.replicates, 0.95, acceleration)


def true_values(generate: Generate, names: Sequence[str]) -> dict[str, float]:
    """Compute metrics in a large sample."""
    rows = generate(np.random.default_rng(0), N_TRUTH)
    weights = unit_weights(len(rows))
    return {
        name: float(
            METRICS[name].function(rows[METRICS[name].measured], rows[METRICS[name].predicted],
                                   weights)[0]
        )
        for name in names
    }  # fmt: skip


def measure_coverage(
    generate: Generate,
    names: Sequence[str],
    size: int,
    studies: int,
    *,
    class_counts: ClassCounts = "random",
    truth: dict[str, float],
    before: bool = False,
    seed: int = 1,
) -> pd.DataFrame:
    """Measure the coverage of each metric; the index is the metric.

    Columns: ``now``, ``before`` (if asked for), ``width`` (mean, now), ``outside`` (number of
    intervals that do not contain their value or leave the range of the metric).
    """
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    for study in range(studies):
        rows = generate(np.random.default_rng([seed, size, study]), size)
        if "y_true" in rows and rows["y_true"].nunique() < 2:
            continue
        tested = resample(rows, class_counts, 2, study)
        for name in names:
            now = estimate_metric(tested, name)
            if not np.isfinite(now.value):
                continue
            then = interval_before(rows, name, study) if before else now
            low, high = (0.0, 1.0) if METRICS[name].proportion else (-1.0, np.inf)
            ordered = [low - 1e-9, now.ci_low, now.value, now.ci_high, high + 1e-9]
            inside = bool(np.all(np.diff(ordered) >= -1e-12))
            covers = [i.ci_low <= truth[name] <= i.ci_high for i in (now, then)]
            found[name].append((*covers, now.ci_high - now.ci_low, not inside))
    table = pd.DataFrame(
        {name: np.mean(values, axis=0) for name, values in found.items() if values},
        index=["now", "before", "width", "outside"],
    ).T
    return table if before else table.drop(columns="before")


def measure_null(
    target: str, size: int, studies: int, share: float = 0.3, seed: int = 5
) -> pd.Series:
    """Measure the share of studies that call a model without information better, by metric."""
    better: dict[str, list[bool]] = {}
    for study in range(studies):
        rng = np.random.default_rng([seed, size, study])
        if target == "binary":
            y, prob = (rng.random(size) < share).astype(int), rng.beta(2, 3, size)
            if not 0 < y.sum() < size:
                continue
            rows = pd.DataFrame({"y_true": y, "y_prob": prob, "y_pred": prob >= 0.4})
            rows = rows.astype({"y_pred": int}).assign(
                majority=0, always_negative=0, always_positive=1, even_odds=0.5,
                constant_probability=share,
            )  # fmt: skip
        else:
            score = 20 + 10 * rng.normal(size=size)
            predicted = 20 + 3 * rng.normal(size=size)
            rows = pd.DataFrame({"score": score, "score_pred": predicted, "constant_mean": 20.0})
        tested = resample(rows.assign(subject=np.arange(size)), "random", 2, study)
        for name, entry in compare_with_baselines(tested, target)[0].items():
            if entry["verdict"]:
                better.setdefault(name, []).append(entry["verdict"]["outcome"] == "better")
    return pd.Series({name: float(np.mean(values)) for name, values in better.items()})


def measure_ece(size: int, studies: int, sharpness: float, seed: int = 3) -> tuple[float, ...]:
    """Measure the ECE: coverage before and now of its expectation, and values outside before."""
    bins = count_bins(size)

    def generate(rng: np.random.Generator, n: int) -> pd.DataFrame:
        true_logit = rng.normal(scale=1.5, size=n)
        y = (rng.random(n) < expit(true_logit)).astype(int)
        prob = expit(sharpness * true_logit)
        return pd.DataFrame({"subject": np.arange(n), "y_true": y, "y_prob": prob})

    def ece(rows: pd.DataFrame, weights: Weights) -> Array:
        return adaptive_ece(rows["y_true"], rows["y_prob"], weights, bins)

    large = generate(np.random.default_rng(0), N_TRUTH)
    truth = float(ece(large, unit_weights(N_TRUTH))[0])
    estimates, found = [], []
    for study in range(studies):
        rows = generate(np.random.default_rng([seed, size, study]), size)
        tested = resample(rows, "random", 300, study)
        values = measure_over_seeds(tested, ece)
        value = float(values.per_seed[0])
        estimates.append(value)
        now = tested.interval(*values, scale="share")
        then = bootstrap_interval(value, values.replicates, 0.95)
        found.append([now.ci_low, now.ci_high, then.ci_low, then.ci_high])
    bounds, expected = np.array(found).T, float(np.mean(estimates))
    point = np.array(estimates)
    return (
        truth, expected,
        float(np.mean((bounds[0] <= expected) & (expected <= bounds[1]))),
        float(np.mean((bounds[2] <= expected) & (expected <= bounds[3]))),
        float(np.mean((bounds[0] <= truth) & (truth <= bounds[1]))),
        float(np.mean((bounds[2] <= truth) & (truth <= bounds[3]))),
        float(np.mean((point < bounds[2]) | (point > bounds[3]))),
    )  # fmt: skip


def _conditions(part: str) -> Iterator[tuple[str, Generate, ClassCounts]]:
    if part == "severity":
        for shape in ("normal", "skewed"):
            for rho in (0.2, 0.6, 0.9):
                yield (
                    f"{shape}, r {rho}",
                    partial(generate_severity, rho=rho, shape=shape),
                    "random",
                )
        return
    if part == "clusters":
        for auroc in (0.8, 0.95):
            for correlation in (0.0, 0.3, 0.9):
                yield f"AUROC {auroc}, correlation {correlation}", partial(
                    generate_binary, auroc=auroc, share=0.3, fixed=False, sessions=6,
                    correlation=correlation,
                ), "random"  # fmt: skip
        return
    designs: tuple[ClassCounts, ...] = ("random", "fixed")
    for counts in designs:
        for share in (0.5, 0.3):
            for auroc in AUROCS:
                yield (
                    f"{counts}, share {share}, AUROC {auroc}",
                    partial(generate_binary, auroc=auroc, share=share, fixed=counts == "fixed"),
                    counts,
                )
    for shape in ("unequal", "exponential"):
        for auroc in AUROCS[1:]:
            yield (
                f"{shape}, share 0.3, AUROC {auroc}",
                partial(generate_binary, auroc=auroc, share=0.3, shape=shape),
                "random",
            )


def main(part: str, studies: int, before: bool, sizes: Sequence[int] = SIZES) -> None:
    """Print the coverage of a part."""
    start = time.perf_counter()
    if part == "null":
        for target in ("binary", "severity"):
            for size in sizes:
                print(target, size, measure_null(target, size, studies).round(3).to_dict())
    elif part == "ece":
        for size in sizes:
            for sharpness in (1.0, 2.0):
                print(size, sharpness, np.round(measure_ece(size, studies, sharpness), 3))
    else:
        names = metric_names("severity" if part == "severity" else "binary")
        for label, generate, counts in _conditions(part):
            truth = true_values(generate, names)
            for size in sizes:
                table = measure_coverage(
                    generate, names, size, studies, class_counts=counts, truth=truth, before=before
                )
                cells = [
                    f"{name} {row['now']:.3f}" + (f" ({row['before']:.3f})" if before else "")
                    for name, row in table.iterrows()
                ]
                worst = table["outside"].max()
                print(f"{label}, {size}: {', '.join(cells)}; outside {worst:.3f}", flush=True)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    chosen = [a for a in arguments if not a.isdigit() and a != "--before"]
    numbers = [int(a) for a in arguments if a.isdigit()]
    for name in chosen or ["binary", "clusters", "severity", "ece", "null"]:
        main(name, numbers[0] if numbers else 400, "--before" in arguments)
