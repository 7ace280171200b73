"""Inner runs of a nested tuning: candidates on the training and validation subjects of a fold.

Inner runs are ordinary runs on a manifest without the test subjects of the outer fold, with a
k-fold split: in each, the epoch and, by default, the threshold are chosen on its validation
subjects, and the metric is measured on the held-out inner fold.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from depmm.config import (
    ConfigError,
    Experiment,
    ExperimentT,
    TuningConfig,
    format_overrides,
    override_settings,
)
from depmm.corpora.manifest import Manifest, read_manifest, write_manifest
from depmm.corpora.splits import SplitError
from depmm.corpora.subject_groups import add_groups
from depmm.data.experiment_data import load_experiment_data
from depmm.evaluation.predictions import prepare_predictions
from depmm.evaluation.stats.metrics import Metric
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.evaluation.thresholds import Threshold
from depmm.files.checksums import read_table
from depmm.progress import show
from depmm.runs.folder import RunFolder
from depmm.schemas.manifest import SUBJECT_KEY
from depmm.training.errors import TrainingError
from depmm.training.experiment import run_experiment
from depmm.training.learning_rate_search import LearningRateError
from depmm.training.search import TuningError, build_search

logger = logging.getLogger(__name__)


def measure_candidates(
    config: Experiment, run: RunFolder, accelerator: Accelerator, metric: Metric
) -> tuple[list[dict[str, Any]], np.ndarray]:
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
    candidates : list of dict of str to object
        Settings of each candidate, by dotted name.
    values : ndarray of float64, shape (candidates, inner folds)
        Values of the metric; NaN in the inner fold in which the training of a candidate fails,
        which is a warning, and in the folds after it.

    Raises
    ------
    TuningError
        If optuna is needed and not installed, or no candidate can be trained.
    SplitError
        If there are too few subjects (of a class) for the inner folds.
    DepmmError
        As ``run_experiment``.
    """
    tuning = tuning_of(config)
    search = build_search(tuning, metric)
    folder = run.path / "tuning"
    if accelerator.is_main_process:
        write_manifest(drop_test_subjects(config), folder / "manifest")
    accelerator.wait_for_everyone()
    n_candidates = tuning.n_candidates
    logger.info("tuning by %s: %d candidates in %d inner folds", tuning.metric, n_candidates,
                tuning.folds)  # fmt: skip
    values = np.full((n_candidates, tuning.folds), np.nan)
    candidates: list[dict[str, Any]] = []
    n_failed = 0
    with show("tuning", n_candidates * tuning.folds, "runs") as task:
        for candidate in range(n_candidates):
            settings = search.propose()
            candidates.append(settings)
            text = format_overrides(settings)
            place = folder / f"candidate-{candidate}"
            try:
                for fold, value in _measure_folds(config, settings, place, accelerator, metric):
                    values[candidate, fold] = value
                    task.advance(note=f"candidate {candidate}, inner fold {fold}")
                figures = ", ".join(f"{value:.3f}" for value in values[candidate])
                logger.info("candidate %d, %s: %s", candidate, text, figures)
            except (LearningRateError, TrainingError) as error:
                n_failed += 1
                if n_failed == n_candidates:
                    raise TuningError(
                        f"tuning: no candidate can be trained; the last is {text}: {error}",
                        setting="tuning",
                        value=settings,
                    ) from None
                # it fails in the same way in all processes
                if accelerator.is_main_process:
                    logger.warning("candidate %d, %s, cannot be chosen: %s", candidate, text, error)
                task.advance(int(np.isnan(values[candidate]).sum()))
            search.report(float(values[candidate].mean()))
    return candidates, values


def _measure_folds(
    config: Experiment,
    settings: dict[str, Any],
    place: Path,
    accelerator: Accelerator,
    metric: Metric,
) -> Iterator[tuple[int, float]]:
    """Train a candidate in every inner fold, and yield the fold and the value of the metric."""
    folds = range(tuning_of(config).folds)
    manifest = place.parent / "manifest"
    try:
        inner_configs = [make_inner_config(config, settings, manifest, fold) for fold in folds]
    except ConfigError as error:  # only the ends of a range were checked
        reason = str(error).removeprefix(f"{format_overrides(settings)}: ")
        raise TrainingError(reason, setting=error.setting, value=error.value) from None
    for fold, inner_config in enumerate(inner_configs):
        run = RunFolder(place / f"fold-{fold}")
        try:
            with _without_progress():
                run_experiment(inner_config, run, accelerator, inner=True, log_common=False)
        except SplitError as error:
            raise SplitError(
                f"inner fold {fold} of {place.parents[1]} (tuning.folds {len(folds)}): {error}",
                setting="tuning.folds",
                value=len(folds),
            ) from None
        yield fold, measure_run(run, metric, inner_config.evaluation.threshold)


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
    folds = tuning_of(config).folds
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


def tuning_of(config: Experiment) -> TuningConfig:
    """Return the tuning section of a config that has one.

    Parameters
    ----------
    config : Config or ClassicalConfig
        An experiment with a ``tuning`` section.

    Returns
    -------
    TuningConfig
        The section.
    """
    assert config.tuning is not None, "only experiments with a tuning section are tuned"
    return config.tuning
