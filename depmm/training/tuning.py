"""Nested selection: a fold chooses its settings by inner folds of the people it may learn from.

The error of the best of many settings, measured on the people who made it the best, is too small
(Varma and Simon, "Bias in error estimation when using cross-validation for model selection", BMC
Bioinformatics 7:91, 2006). So the people whom the outer fold tests are not in the manifest that
inner runs read: nothing of theirs, label or recording, can reach the choice. Inner runs are
ordinary runs of that manifest in a k-fold split: each chooses its epoch and threshold on validation
people of its own, and is measured on the inner fold that it never saw.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from accelerate import Accelerator

from depmm.config import (
    ClassicalConfig,
    Config,
    Experiment,
    ExperimentT,
    TargetConfig,
    TuningConfig,
    format_overrides,
    override_settings,
)
from depmm.corpora.manifest import SUBJECT_KEY, Manifest, read_manifest, write_manifest
from depmm.corpora.splits import SplitError
from depmm.data.experiment_data import load_experiment_data
from depmm.errors import DepmmError
from depmm.evaluation.predictions import prepare_predictions
from depmm.evaluation.stats.metrics import METRICS, Metric
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.runs.folder import RunFolder, write_text
from depmm.training.classical import train_classical
from depmm.training.loop import train

TIE = 1e-12  # means that differ by less differ by rounding

Say = Callable[[str], None]


class TuningError(DepmmError):
    """Settings that cannot be chosen; names the metric and the remedy."""


def fit(config: Experiment, run: RunFolder, accelerator: Accelerator, say: Say = print) -> None:
    """Train a network on all processes, or fit a classical baseline on the main one.

    Parameters and errors : as ``train`` and ``train_classical``
    """
    if isinstance(config, Config):
        train(config, run, accelerator, say)
        accelerator.free_memory()
    elif isinstance(config, ClassicalConfig) and accelerator.is_main_process:
        train_classical(config, run, say)
    accelerator.wait_for_everyone()


def select(
    config: ExperimentT, run: RunFolder, accelerator: Accelerator, say: Say = print
) -> ExperimentT:
    """Choose the settings of one outer fold.

    Every candidate is trained in every inner fold, in ``selection/candidate-<i>/fold-<j>`` below
    the run; finished inner runs are kept, so that an interrupted tuning goes on. The best mean
    over the inner folds wins, the first of the grid where several are equal. ``tuning.csv``
    holds the candidates, their metric in each inner fold and the choice; once it is written the
    choice stands.

    Parameters
    ----------
    config : one fold of an experiment with a ``tuning``
    run : of that fold
    accelerator : of the experiment; every process reads the choice that the main one wrote
    say : receives a line per inner run and the choice, on the main process

    Returns
    -------
    the config with the chosen settings, nothing left to select

    Raises
    ------
    TuningError : a metric that cannot choose, or is undefined for every candidate
    SplitError : too few people (of a class) for the inner folds
    ConfigError, DataError, StoreError, ManifestError : as ``fit``
    """
    tuning = _tuning(config)
    speak: Say = say if accelerator.is_main_process else lambda line: None
    metric = tuning_metric(tuning, config.target)
    if not run.tuning.is_file():
        values = measure_candidates(config, run, accelerator, metric, speak)
        means = values.mean(axis=1)
        best = choose(means, metric, tuning)
        if accelerator.is_main_process:
            table = pd.DataFrame(
                {
                    "seed": config.seed,
                    "fold": config.split.fold,
                    "candidate": range(len(means)),
                    "settings": [format_overrides(settings) for settings in tuning.candidates],
                    "metric": tuning.metric,
                    **{f"fold_{fold}": values[:, fold] for fold in range(tuning.folds)},
                    "mean": means,
                    "chosen": np.arange(len(means)) == best,
                }
            )
            write_text(run.tuning, table.to_csv(index=False))
        accelerator.wait_for_everyone()
    table = pd.read_csv(run.tuning)
    number = int(np.flatnonzero(table["chosen"])[0])
    equal = np.flatnonzero(abs(table["mean"] - table["mean"][number]) <= TIE)
    tie = f" (the first of {len(equal)} that are equally good)" if len(equal) > 1 else ""
    speak(f"chosen: {format_overrides(tuning.candidates[number])}{tie}")
    return override_settings(config, tuning.candidates[number]).model_copy(update={"tuning": None})


def measure_candidates(
    config: Experiment, run: RunFolder, accelerator: Accelerator, metric: Metric, say: Say
) -> np.ndarray:
    """Train every candidate in every inner fold: the metric of each, [candidates, inner folds].

    Parameters and errors : as ``select``
    """
    tuning = _tuning(config)
    folder = run.path / "tuning"
    if accelerator.is_main_process:
        write_manifest(manifest_without_tested(config), folder / "manifest")
    accelerator.wait_for_everyone()
    say(
        f"tuning by {tuning.metric}: {len(tuning.candidates)} candidates in "
        f"{tuning.folds} inner folds"
    )
    values = np.empty((len(tuning.candidates), tuning.folds))
    for number, settings in enumerate(tuning.candidates):
        for fold in range(tuning.folds):
            inner = RunFolder(folder / f"candidate-{number}" / f"fold-{fold}")
            one = inner_experiment(config, settings, folder / "manifest", fold)
            try:
                fit(one, inner, accelerator, lambda line: None)
            except SplitError as error:
                raise SplitError(
                    f"inner fold {fold} of {run.path} (tuning.folds {tuning.folds}, for "
                    f"split.folds here): {error}"
                ) from None
            values[number, fold] = measure(inner, metric)
        figures = ", ".join(f"{value:.3f}" for value in values[number])
        say(f"candidate {number}, {format_overrides(settings)}: {figures}")
    return values


def tuning_metric(tuning: TuningConfig, target: TargetConfig) -> Metric:
    """Find the metric that decides.

    Raises
    ------
    TuningError : unknown, of another kind of task, or best for a constant answer
    """
    kind = "binary" if target.kind == "binary" else "severity"
    usable = [
        name for name, metric in METRICS.items() if metric.target == kind and metric.has_baseline
    ]
    if tuning.metric not in usable:
        raise TuningError(
            f"tuning.metric {tuning.metric!r} cannot choose settings of target.kind "
            f"{target.kind}: use one of {', '.join(usable)}"
        )
    return METRICS[tuning.metric]


def manifest_without_tested(config: Experiment) -> Manifest:
    """Give the manifest of the people that a fold trains and validates on, and of nobody else."""
    sessions = load_experiment_data(config).sessions
    people = sessions.loc[sessions["split"] != "test", SUBJECT_KEY].drop_duplicates()
    whole = read_manifest(config.data.manifest)
    tables = (whole.sessions, whole.steps, whole.features)
    return Manifest(*(table.merge(people, on=SUBJECT_KEY) for table in tables))


def inner_experiment(
    config: ExperimentT, settings: dict[str, Any], manifest: Path, fold: int
) -> ExperimentT:
    """Make an inner run's config: a candidate, on people who are not tested by the outer fold."""
    one = override_settings(config, settings)
    inner = {"kind": "k_fold", "folds": _tuning(config).folds, "repeats": 1, "fold": fold}
    return one.model_copy(
        update={
            "tuning": None,
            "data": one.data.model_copy(update={"manifest": manifest}),
            "split": one.split.model_copy(update=inner | {"file": None}),
            # nobody reads the spread of inner predictions
            "evaluation": one.evaluation.model_copy(update={"n_gate_samples": 0}),
        }
    )


def measure(run: RunFolder, metric: Metric) -> float:
    """Measure a finished inner run on the people of its fold; NaN where that is undefined.

    Raises
    ------
    TuningError : the metric needs severity bands, and the instrument has none
    """
    table, _ = prepare_predictions(pd.read_parquet(run.predictions))
    held_out = table[table["split"] == "test"]
    if metric.predicted not in held_out:
        raise TuningError(
            f"tuning.metric: {metric.label} needs severity bands, which the scores of "
            f"{run.path} have not: use another metric"
        )
    truth, answer = (
        held_out[column].to_numpy(float) for column in (metric.measured, metric.predicted)
    )
    return float(metric.function(truth, answer, unit_weights(len(held_out)))[0])


def choose(means: np.ndarray, metric: Metric, tuning: TuningConfig) -> int:
    """Choose the candidate of the best mean, the first one where several are equal.

    Parameters
    ----------
    means : [candidates], NaN where the metric is undefined in an inner fold: never chosen
    metric : says which way is better
    tuning : for the message

    Raises
    ------
    TuningError : undefined for every candidate
    """
    if np.isnan(means).all():
        raise TuningError(
            f"tuning.metric {tuning.metric} is undefined in an inner fold of every "
            "candidate: lower tuning.folds, or use another metric"
        )
    gains = -means if metric.lower_is_better else means
    return int(np.flatnonzero(gains >= np.nanmax(gains) - TIE)[0])


def _tuning(config: Experiment) -> TuningConfig:
    assert config.tuning is not None, "a tuning is asked for only where there is one"
    return config.tuning
