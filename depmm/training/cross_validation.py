"""Cross-validation: train and test every fold of a split and pool the predictions."""

import logging
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pandas as pd
from accelerate import Accelerator

from depmm.config import ConfigError, Experiment, load_experiment, override_settings
from depmm.corpora.splits import count_folds
from depmm.data.experiment_data import load_experiment_data
from depmm.files.checksums import read_table, read_text, write_table, write_text
from depmm.files.csv_text import to_csv
from depmm.progress import show
from depmm.runs.folder import FOLDS, RunFolder, read_tuning
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
        Folder of the run.
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

    The runs are written to ``<out>/<name>/seed-<s>-fold-<k>``. Finished runs are kept, so the same
    call resumes an interrupted cross-validation. Seeds change initial weights and random draws, not
    the folds. Only the given seeds are pooled; a warning names other seeds of earlier calls. With a
    ``tuning`` section, the settings of each fold are first chosen by cross-validation of its
    training and validation subjects. Progress is logged by the logger ``depmm``.

    Parameters
    ----------
    config : Config, ClassicalConfig, Path or str
        The experiment, with a network or a classical baseline: a config, the path of a YAML file,
        or the name of a config included in depmm, for example ``emodb_negative``.
    overrides : iterable of str, optional
        Settings as ``key=value``, for example ``["split.folds=10"]``.
    seeds : sequence of int, default (0,)
        Seeds, each once; all folds are trained with each of them.
    accelerator : Accelerator, optional
        Devices and processes; by default, those of the launcher or of this machine.

    Returns
    -------
    Path
        Folder ``<out>/<name>``. In its ``predictions.parquet``, every subject is tested once per
        seed and repetition (``split.repeats``).

    Raises
    ------
    ConfigError
        If a setting or a seed cannot be used, or the folder contains a run with another
        config or of another command.
    LockedError
        If another process trains in the folder.
    DepmmError
        If manifest, store, split or tuning do not match the config, or the split has changed since
        a fold was trained.

    Examples
    --------
    >>> import depmm
    >>> settings = ["split={kind: k_fold, folds: 2}", "training.epochs=1", "name=folds"]
    >>> run = depmm.cross_validate("demo", settings)
    >>> sorted(path.name for path in run.glob("seed-*"))
    ['seed-0-fold-0', 'seed-0-fold-1']
    """
    config = load_experiment(config, overrides)
    _check_seeds(config, seeds)
    accelerator = accelerator or build_accelerator(config)
    pooled = RunFolder(config.out / config.name)
    pooled.check_command("cross-validate")
    # before the folder is created; seeds do not change the folds
    n_folds = count_folds(load_experiment_data(config).sessions, config.split)
    with pooled.locked() if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            pooled.open(config)
        runs = _run_folds(config, pooled, seeds, n_folds, accelerator)
        if accelerator.is_main_process:
            pool_runs(pooled, runs)
            _warn_of_other_seeds(pooled, seeds)
            logger.info("%s: predictions of %d runs pooled", pooled.path, len(runs))
        accelerator.wait_for_everyone()
    return pooled.path


def _check_seeds(config: Experiment, seeds: Sequence[int]) -> None:
    """Refuse seeds that cannot be used, before the first training."""
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(
            f"The seeds are {', '.join(map(str, seeds)) or 'none'}.",
            setting="seeds",
            value=list(seeds),
            remedy="Give at least one seed, and each once.",
        )
    for seed in seeds:
        override_settings(config, {"seed": seed})


def _run_folds(
    config: Experiment,
    pooled: RunFolder,
    seeds: Sequence[int],
    n_folds: int,
    accelerator: Accelerator,
) -> list[FoldRun]:
    runs: list[FoldRun] = []
    n_runs = len(seeds) * n_folds
    described = False
    with show("cross-validate", n_runs, "runs") as task:
        for seed, fold in product(seeds, range(n_folds)):
            fold_config = override_settings(config, {"seed": seed, "split.fold": fold})
            run = RunFolder(pooled.path / f"seed-{seed}-fold-{fold}")
            logger.info("seed %d, fold %d (run %d of %d)", seed, fold, len(runs) + 1, n_runs)
            if fold_config.tuning is not None:
                fold_config = tune(fold_config, run, accelerator)
            finished = run.finished
            run_experiment(fold_config, run, accelerator, log_common=not described)
            described |= not finished
            runs.append(FoldRun(seed, fold, run))
            task.advance()
    return runs


def _warn_of_other_seeds(pooled: RunFolder, seeds: Sequence[int]) -> None:
    """Name the seeds of earlier calls, whose runs are not among the pooled predictions."""
    trained = {int(path.name.split("-")[1]) for path in pooled.path.glob(FOLDS)}
    if others := sorted(trained - set(seeds)):
        logger.warning(
            "%s: its runs of seed %s are not pooled, although analyses of its models read them. "
            "Cross-validate with seeds %s to pool all, or delete their folders.",
            pooled.path,
            ", ".join(map(str, others)),
            ",".join(map(str, sorted(trained))),
        )


def pool_runs(pooled: RunFolder, runs: Sequence[FoldRun]) -> None:
    """Concatenate the predictions, training curves and tuning tables of all folds.

    Parameters
    ----------
    pooled : RunFolder
        Folder of the cross-validation.
    runs : sequence of FoldRun
        Finished runs.
    """
    histories = [
        read_table(run.folder.history).assign(seed=run.seed, fold=run.fold)
        for run in runs
        if run.folder.history.is_file()
    ]
    if histories:
        write_table(pooled.history, pd.concat(histories, ignore_index=True))
    # the folds have the same sessions
    first = runs[0].folder.data_summary
    write_text(pooled.data_summary, read_text(first))
    tunings = [read_tuning(run.folder.tuning) for run in runs if run.folder.tuning.is_file()]
    if tunings:
        write_text(pooled.tuning, to_csv(pd.concat(tunings)))
    predictions = [read_table(run.folder.predictions) for run in runs]
    write_table(pooled.predictions, pd.concat(predictions, ignore_index=True))
