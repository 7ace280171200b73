"""Hyper-parameter tuning by nested cross-validation.

The error of the best of many candidates is optimistic if it is measured on the subjects by which it
was selected. Therefore the inner runs read a manifest without the test subjects of the outer fold,
so that neither the labels nor the recordings of these subjects can influence the choice. Inner runs
are ordinary runs on this manifest with a k-fold split: in each, the epoch and, by default, the
threshold are chosen on its validation subjects, and the metric is measured on the held-out inner
fold.

References
----------
Varma and Simon, "Bias in error estimation when using cross-validation for model selection", BMC
Bioinformatics 7:91, 2006.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
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
)
from depmm.corpora.manifest import Manifest, read_manifest, write_manifest
from depmm.corpora.splits import SplitError
from depmm.corpora.subject_groups import add_groups
from depmm.data.experiment_data import load_experiment_data
from depmm.errors import DepmmError
from depmm.evaluation.predictions import prepare_predictions
from depmm.evaluation.stats.metrics import METRICS, Metric
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.evaluation.thresholds import Threshold
from depmm.files.checksums import read_table, write_text
from depmm.files.csv_text import to_csv
from depmm.runs.folder import RunFolder, read_tuning
from depmm.schemas.manifest import SUBJECT_KEY
from depmm.schemas.runs import TUNING
from depmm.training.experiment import run_experiment

TIE = 1e-12  # smaller differences of means are rounding errors

logger = logging.getLogger(__name__)


class TuningError(DepmmError):
    """No candidate can be chosen by the tuning."""


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
        If the metric does not match the target, or is undefined for every candidate.
    SplitError
        If there are too few subjects (of a class) for the inner folds.
    DepmmError
        As ``run_experiment``.
    """
    tuning = _tuning_of(config)
    metric = find_tuning_metric(tuning, config.target)
    if not run.tuning.is_file():
        values = measure_candidates(config, run, accelerator, metric)
        means = values.mean(axis=1)
        best = choose_candidate(means, metric, tuning)
        if accelerator.is_main_process:
            table = tuning_table(config, values, best)
            write_text(run.tuning, to_csv(table))
        accelerator.wait_for_everyone()
    table = read_tuning(run.tuning)
    chosen = int(np.flatnonzero(table["chosen"])[0])
    equal = np.flatnonzero(abs(table["mean"] - table["mean"][chosen]) <= TIE)
    tie = f" (the first of {len(equal)} equally good candidates)" if len(equal) > 1 else ""
    logger.info("chosen: %s%s", format_overrides(tuning.candidates[chosen]), tie)
    tuned = override_settings(config, tuning.candidates[chosen])
    return tuned.model_copy(update={"tuning": None})


def tuning_table(config: Experiment, values: np.ndarray, best: int) -> pd.DataFrame:
    """Make the table of candidates, ``tuning.csv``.

    Parameters
    ----------
    config : Config or ClassicalConfig
        One fold of an experiment with a ``tuning`` section.
    values : ndarray of float64, shape (candidates, inner folds)
        From ``measure_candidates``.
    best : int
        Index of the chosen candidate.

    Returns
    -------
    DataFrame
        The columns of ``TUNING``, and the metric in each inner fold.
    """
    tuning = _tuning_of(config)
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
        for candidate, settings in enumerate(tuning.candidates)
    ]
    inner = {f"fold_{fold}": values[:, fold] for fold in range(tuning.folds)}
    return TUNING.build(rows).assign(**inner)


def measure_candidates(
    config: Experiment, run: RunFolder, accelerator: Accelerator, metric: Metric
) -> np.ndarray:
    """Train every candidate in every inner fold and compute the metric on the held-out subjects.

    Parameters
    ----------
    config : Config or ClassicalConfig
        One fold of an experiment with a ``tuning`` section.
    run : RunFolder
        Run of this fold.
    accelerator : Accelerator
        From ``build_accelerator``.
    metric : Metric
        Metric to compute.

    Returns
    -------
    ndarray of float64, shape (candidates, inner folds)
        Values of the metric.

    Raises
    ------
    SplitError
        If there are too few subjects (of a class) for the inner folds.
    DepmmError
        As ``run_experiment``.
    """
    tuning = _tuning_of(config)
    folder = run.path / "tuning"
    if accelerator.is_main_process:
        write_manifest(drop_test_subjects(config), folder / "manifest")
    accelerator.wait_for_everyone()
    logger.info(
        "tuning by %s: %d candidates in %d inner folds",
        tuning.metric,
        len(tuning.candidates),
        tuning.folds,
    )
    values = np.empty((len(tuning.candidates), tuning.folds))
    for candidate, settings in enumerate(tuning.candidates):
        for fold in range(tuning.folds):
            inner_run = RunFolder(folder / f"candidate-{candidate}" / f"fold-{fold}")
            inner_config = make_inner_config(config, settings, folder / "manifest", fold)
            try:
                with _without_progress():
                    run_experiment(inner_config, inner_run, accelerator)
            except SplitError as error:
                raise SplitError(
                    f"inner fold {fold} of {run.path} (tuning.folds {tuning.folds}): {error}",
                    setting="tuning.folds",
                    value=tuning.folds,
                ) from None
            values[candidate, fold] = measure_run(
                inner_run, metric, inner_config.evaluation.threshold
            )
        figures = ", ".join(f"{value:.3f}" for value in values[candidate])
        logger.info("candidate %d, %s: %s", candidate, format_overrides(settings), figures)
    return values


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
            remedy=f"Use one of {', '.join(usable)}.",
        )
    return METRICS[tuning.metric]


def drop_test_subjects(config: Experiment) -> Manifest:
    """Read the manifest without the test subjects of a fold.

    Parameters
    ----------
    config : Config or ClassicalConfig
        The experiment, one fold of it.

    Returns
    -------
    Manifest
        Manifest of the training and validation subjects.
    """
    sessions = load_experiment_data(config).sessions
    subjects = sessions.loc[sessions["split"] != "test", SUBJECT_KEY].drop_duplicates()
    manifest = read_manifest(config.data.manifest)
    sessions = add_groups(manifest.sessions, config.data.manifest, config.split)
    return replace(
        manifest,
        sessions=sessions.merge(subjects, on=SUBJECT_KEY),
        steps=manifest.steps.merge(subjects, on=SUBJECT_KEY),
        features=manifest.features.merge(subjects, on=SUBJECT_KEY),
    )


def make_inner_config(
    config: ExperimentT, settings: dict[str, Any], manifest: Path, fold: int
) -> ExperimentT:
    """Make the config of an inner run.

    Parameters
    ----------
    config : Config or ClassicalConfig
        One fold of an experiment with a ``tuning`` section.
    settings : dict of str to object
        The candidate.
    manifest : Path
        Folder of the manifest without the test subjects.
    fold : int
        Inner fold.

    Returns
    -------
    Config or ClassicalConfig
        The inner experiment.
    """
    candidate = override_settings(config, settings)
    folds = _tuning_of(config).folds
    inner = {"kind": "k_fold", "folds": folds, "repeats": 1, "fold": fold, "file": None}
    return candidate.model_copy(
        update={
            "tuning": None,
            "data": candidate.data.model_copy(update={"manifest": manifest}),
            "split": candidate.split.model_copy(update=inner),
            # the metric does not use the standard deviation over gates
            "evaluation": candidate.evaluation.model_copy(update={"n_gate_samples": 0}),
        }
    )


def measure_run(run: RunFolder, metric: Metric, threshold: Threshold = "validation") -> float:
    """Compute the metric of a finished inner run on its held-out subjects.

    Parameters
    ----------
    run : RunFolder
        The inner run.
    metric : Metric
        Metric to compute.
    threshold : float or "validation", default "validation"
        Decision threshold; by default it is chosen on the validation subjects of the inner run.

    Returns
    -------
    float
        Value of the metric; NaN if it is undefined.

    Raises
    ------
    TuningError
        If the metric requires severity bands, which the instrument does not have.
    """
    table, _ = prepare_predictions(read_table(run.predictions), threshold=threshold)
    test = table[table["split"] == "test"]
    if metric.predicted not in test:
        raise TuningError(
            f"tuning.metric: {metric.label} requires severity bands, which the instrument of the "
            f"scores in {run.path} does not have.",
            setting="tuning.metric",
            file=run.predictions,
            remedy="Use another metric.",
        )
    target, prediction = (
        test[column].to_numpy(float) for column in (metric.measured, metric.predicted)
    )
    return float(metric.function(target, prediction, unit_weights(len(test)))[0])


def choose_candidate(means: np.ndarray, metric: Metric, tuning: TuningConfig) -> int:
    """Choose the candidate with the best mean; of equally good candidates, the first.

    Parameters
    ----------
    means : ndarray of float64, shape (candidates,)
        Mean over the inner folds; NaN if the metric is undefined in one of them. A candidate with
        NaN is never chosen.
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


@contextmanager
def _without_progress() -> Iterator[None]:
    """Log only warnings: the progress of inner runs would hide that of the tuning."""
    progress = logging.getLogger("depmm")
    level = progress.level
    progress.setLevel(logging.WARNING)
    try:
        yield
    finally:
        progress.setLevel(level)


def _tuning_of(config: Experiment) -> TuningConfig:
    assert config.tuning is not None, "only experiments with a tuning section are tuned"
    return config.tuning
