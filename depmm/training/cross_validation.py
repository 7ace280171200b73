"""Cross-validation: every fold of a split is trained and tested, and the predictions are pooled."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from accelerate import Accelerator

from depmm.config import Experiment, load_experiment, override_settings
from depmm.corpora.splits import count_folds
from depmm.data.experiment_data import load_experiment_data
from depmm.files import write_table, write_text
from depmm.runs.folder import RunFolder
from depmm.training.experiment import build_accelerator, run_experiment
from depmm.training.tuning import tune

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldRun:
    """The run of one fold with one seed.

    Attributes
    ----------
    seed : int
        Seed of initial weights and random draws.
    fold : int
        Index of the fold.
    folder : RunFolder
        Its files.
    """

    seed: int
    fold: int
    folder: RunFolder


def cross_validate(
    config: Experiment | Path | str,
    overrides: Iterable[str] | None = None,
    seeds: Sequence[int] = (0,),
    accelerator: Accelerator | None = None,
) -> Path:
    """Train and test every fold of the split, with every seed, and pool the predictions.

    Runs are in ``<out>/<name>/seed-<s>-fold-<k>``; finished ones are kept, so that an interrupted
    cross-validation is resumed by the same call. Seeds change initial weights and random draws, not
    the folds. With a ``tuning`` section every fold first chooses settings by inner folds of its
    training and validation subjects. Progress is logged by the logger ``depmm``.

    Parameters
    ----------
    config : Config, ClassicalConfig, Path or str
        The experiment, with a network or a classical baseline: a config, the path of a YAML file,
        or the name of a config that is part of depmm, for example ``emodb_negative``.
    overrides : iterable of str, optional
        Settings as ``key=value``, for example ``["split.folds=10"]``.
    seeds : sequence of int, default (0,)
        Seeds; each trains all folds.
    accelerator : Accelerator, optional
        Devices and processes; default: those of the launcher, or of this machine.

    Returns
    -------
    Path
        Folder ``<out>/<name>``. Its ``predictions.parquet`` tests every subject once per seed and
        repetition (``split.repeats``).

    Raises
    ------
    ConfigError
        If a setting cannot be used, or the folder holds a run of another config.
    DepmmError
        If manifest, store, split or tuning do not fit the config.

    Examples
    --------
    >>> import depmm
    >>> settings = ["split={kind: k_fold, folds: 2}", "training.epochs=1", "name=folds"]
    >>> run = depmm.cross_validate("demo", settings)
    >>> sorted(path.name for path in run.glob("seed-*"))
    ['seed-0-fold-0', 'seed-0-fold-1']
    """
    config = load_experiment(config, overrides)
    accelerator = accelerator or build_accelerator(config)
    whole = RunFolder(config.out / config.name)
    if accelerator.is_main_process:
        whole.open(config)
    runs = []
    for seed in seeds:
        for fold in range(count_folds(load_experiment_data(config).sessions, config.split)):
            one = override_settings(config, {"seed": seed, "split.fold": fold})
            run = RunFolder(whole.path / f"seed-{seed}-fold-{fold}")
            logger.info("seed %d, fold %d", seed, fold)
            if one.tuning is not None:
                one = tune(one, run, accelerator)
            run_experiment(one, run, accelerator)
            runs.append(FoldRun(seed, fold, run))
    if accelerator.is_main_process:
        pool_runs(whole, runs)
        logger.info("%s: predictions of %d runs pooled", whole.path, len(runs))
    accelerator.wait_for_everyone()
    return whole.path


def pool_runs(whole: RunFolder, runs: Sequence[FoldRun]) -> None:
    """Join predictions, training curves and tunings of all folds.

    Parameters
    ----------
    whole : RunFolder
        Folder of the cross-validation.
    runs : sequence of FoldRun
        Finished runs.
    """
    histories = [
        pd.read_parquet(run.folder.history).assign(seed=run.seed, fold=run.fold)
        for run in runs
        if run.folder.history.is_file()
    ]
    if histories:
        write_table(whole.history, pd.concat(histories, ignore_index=True))
    tunings = [pd.read_csv(run.folder.tuning) for run in runs if run.folder.tuning.is_file()]
    if tunings:
        write_text(whole.tuning, pd.concat(tunings).to_csv(index=False))
    predictions = [pd.read_parquet(run.folder.predictions) for run in runs]
    write_table(whole.predictions, pd.concat(predictions, ignore_index=True))
