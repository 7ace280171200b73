"""Hyper-parameter tuning by nested cross-validation.

The error of the best of many candidates is optimistic if it is measured on the subjects by which it
was selected. Therefore the inner runs read a manifest without the test subjects of the outer fold,
so that neither the labels nor the recordings of these subjects can influence the choice
(:mod:`depmm.training.inner_runs`).

References
----------
Varma and Simon, "Bias in error estimation when using cross-validation for model selection", BMC
Bioinformatics 7:91, 2006.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from accelerate import Accelerator

from depmm.config import (
    Experiment,
    ExperimentT,
    TargetConfig,
    TuningConfig,
    format_overrides,
    override_settings,
    parse_overrides,
)
from depmm.errors import did_you_mean
from depmm.evaluation.stats.metrics import METRICS, Metric
from depmm.files.checksums import write_text
from depmm.files.csv_text import to_csv
from depmm.runs.folder import RunFolder, read_tuning
from depmm.schemas.runs import TUNING
from depmm.training.inner_runs import measure_candidates, tuning_of
from depmm.training.search import TuningError

TIE = 1e-12  # smaller differences of means are rounding errors

logger = logging.getLogger(__name__)


def tune(config: ExperimentT, run: RunFolder, accelerator: Accelerator) -> ExperimentT:
    """Choose the settings of one outer fold.

    Every candidate is trained in every inner fold, in the subfolder
    ``tuning/candidate-<i>/fold-<j>`` of the run; finished inner runs are kept, so that an
    interrupted tuning is resumed. The candidate with the best mean over the inner folds is chosen;
    of equally good candidates, the first. After ``tuning.csv`` has been written, the choice does
    not change.

    Parameters
    ----------
    config : Config or ClassicalConfig
        One fold of an experiment with a ``tuning`` section.
    run : RunFolder
        Run of this fold.
    accelerator : Accelerator
        From ``build_accelerator``.

    Returns
    -------
    Config or ClassicalConfig
        The config with the chosen settings and without a ``tuning`` section.

    Raises
    ------
    TuningError
        If the metric does not match the target, or is undefined for every candidate, or no
        candidate can be trained, or optuna is needed and not installed.
    SplitError
        If there are too few subjects (of a class) for the inner folds.
    DepmmError
        As ``run_experiment``.
    """
    tuning = tuning_of(config)
    metric = find_tuning_metric(tuning, config.target)
    if not run.tuning.is_file():
        candidates, values = measure_candidates(config, run, accelerator, metric)
        means = values.mean(axis=1)
        best = choose_candidate(means, metric, tuning)
        if accelerator.is_main_process:
            table = tuning_table(config, candidates, values, best)
            write_text(run.tuning, to_csv(table))
        accelerator.wait_for_everyone()
    table = read_tuning(run.tuning)
    chosen = int(np.flatnonzero(table["chosen"])[0])
    equal = np.flatnonzero(abs(table["mean"] - table["mean"][chosen]) <= TIE)
    tie = f" (the first of {len(equal)} equally good candidates)" if len(equal) > 1 else ""
    settings = str(table["settings"][chosen])
    logger.info("chosen: %s%s", settings, tie)
    tuned = override_settings(config, parse_overrides(settings, tuning.names))
    return tuned.model_copy(update={"tuning": None})


def tuning_table(
    config: Experiment, candidates: Sequence[dict[str, Any]], values: np.ndarray, best: int
) -> pd.DataFrame:
    """Make the table of candidates, ``tuning.csv``.

    Parameters
    ----------
    config : Config or ClassicalConfig
        One fold of an experiment with a ``tuning`` section.
    candidates : sequence of dict of str to object
        Settings of each candidate, by dotted name.
    values : ndarray of float64, shape (candidates, inner folds)
        From ``measure_candidates``.
    best : int
        Index of the chosen candidate.

    Returns
    -------
    DataFrame
        The columns of ``TUNING``, and the metric in each inner fold.
    """
    tuning = tuning_of(config)
    rows = [
        {
            "seed": config.seed,
            "fold": config.split.fold,
            "candidate": candidate,
            "settings": format_overrides(settings),
            "metric": tuning.metric,
            "mean": values[candidate].mean(),
            "chosen": candidate == best,
        }
        for candidate, settings in enumerate(candidates)
    ]
    inner = {f"fold_{fold}": values[:, fold] for fold in range(tuning.folds)}
    return TUNING.build(rows).assign(**inner)


def find_tuning_metric(tuning: TuningConfig, target: TargetConfig) -> Metric:
    """Find the metric that is optimised.

    Parameters
    ----------
    tuning : TuningConfig
        Settings of the tuning, with the name of the metric.
    target : TargetConfig
        What is predicted.

    Returns
    -------
    Metric
        The metric.

    Raises
    ------
    TuningError
        If the metric is unknown, does not match the target, or has no baseline (it is best for
        constant predictions).
    """
    kind = "binary" if target.kind == "binary" else "severity"
    usable = [
        name for name, metric in METRICS.items() if metric.target == kind and metric.has_baseline
    ]
    if tuning.metric not in usable:
        raise TuningError(
            f"tuning.metric {tuning.metric} cannot be optimised for target.kind {target.kind}.",
            setting="tuning.metric",
            value=tuning.metric,
            remedy=did_you_mean(tuning.metric, usable),
        )
    return METRICS[tuning.metric]


def choose_candidate(means: np.ndarray, metric: Metric, tuning: TuningConfig) -> int:
    """Choose the candidate with the best mean; of equally good candidates, the first.

    Parameters
    ----------
    means : ndarray of float64, shape (candidates,)
        Mean over the inner folds; NaN if the metric is undefined in one of them, or the training
        fails there. A candidate with NaN is never chosen.
    metric : Metric
        Metric, which defines whether lower values are better.
    tuning : TuningConfig
        Settings of the tuning.

    Returns
    -------
    int
        Index of the candidate.

    Raises
    ------
    TuningError
        If the metric is undefined for every candidate.
    """
    if np.isnan(means).all():
        raise TuningError(
            f"tuning.metric {tuning.metric} is undefined in an inner fold of every candidate.",
            setting="tuning.metric",
            value=tuning.metric,
            remedy="Lower tuning.folds, or use another metric.",
        )
    gains = -means if metric.lower_is_better else means
    return int(np.flatnonzero(gains >= np.nanmax(gains) - TIE)[0])
