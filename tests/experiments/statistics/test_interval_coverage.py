"""Coverage of intervals and verdicts without information: a small version of coverage.py."""

from functools import partial

import numpy as np
import pytest

from experiments.benchmarks.statistics.interval_coverage import (
    generate_binary,
    generate_severity,
    interval_before,
    measure_coverage,
    measure_null,
    true_values,
)

STUDIES = 250


@pytest.mark.slow
@pytest.mark.parametrize("auroc", [0.8, 0.98])
def test_binary_metrics_of_twenty_subjects(auroc):
    generate = partial(generate_binary, auroc=auroc, share=0.3)
    names = ["auroc", "auprc", "accuracy", "precision", "recall", "f1_positive", "mcc"]
    truth = true_values(generate, names)
    table = measure_coverage(generate, names, 20, STUDIES, truth=truth, seed=21)
    assert table["now"].min() >= 0.9  # .92 less two standard errors of the simulation
    assert table["outside"].max() == 0


@pytest.mark.slow
def test_severity_metrics_of_thirty_subjects():
    generate = partial(generate_severity, rho=0.6)
    names = ["rmse", "mae", "pearson", "spearman", "ccc"]
    truth = true_values(generate, names)
    table = measure_coverage(generate, names, 30, STUDIES, truth=truth, seed=22)
    assert table["now"].min() >= 0.9
    assert table["outside"].max() == 0


@pytest.mark.slow
def test_correlated_sessions_of_a_subject():
    generate = partial(generate_binary, auroc=0.8, share=0.4, sessions=5, correlation=0.9)
    truth = true_values(generate, ["auroc", "accuracy"])
    table = measure_coverage(generate, list(truth), 30, STUDIES, truth=truth, seed=23)
    assert table["now"].min() >= 0.9


@pytest.mark.slow
def test_a_model_without_information_is_rarely_called_better():
    assert measure_null("binary", 40, 100).max() <= 0.07
    assert measure_null("severity", 40, 100).max() <= 0.07


@pytest.mark.slow
def test_bca_intervals_are_too_narrow_near_one():
    generate = partial(generate_binary, auroc=0.98, fixed=True)
    covered = []
    for study in range(60):
        interval = interval_before(generate(np.random.default_rng(study), 20), "auroc", study)
        covered.append(interval.ci_low <= 0.98 <= interval.ci_high)
    assert sum(covered) < 0.8 * len(covered)
