"""Train and test every fold: accelerate launch experiments/cross_validate.py CONFIG [key=value]...

CONFIG is of a network or of a classical baseline, which the main process fits alone. With a
``tuning`` section every fold first chooses settings by inner folds of the people that it trains
and validates on (training/tuning.py).
``--seeds 0,1,2`` repeats all folds with other seeds (initial weights and draws; the folds stay).
Runs lie in ``<out>/<name>/seed-<s>-fold-<k>``; a fold that is finished is not run again. The
pooled ``predictions.parquet``, in which every person is tested once per seed (and repetition, with
``split.repeats``), lies above them.
"""

import sys

import pandas as pd
from accelerate import Accelerator

from depmm.config import Config, Experiment, load_experiment
from depmm.corpora.splits import count_folds
from depmm.data.experiment_data import load_experiment_data
from depmm.runs.folder import RunFolder, write_table, write_text
from depmm.training.loop import build_accelerator
from depmm.training.tuning import fit, select


def main(arguments: list[str]) -> None:
    """Train all folds of all seeds and pool their predictions."""
    seeds = [0]
    if "--seeds" in arguments:
        at = arguments.index("--seeds")
        seeds = [int(seed) for seed in arguments[at + 1].split(",")]
        arguments = arguments[:at] + arguments[at + 2 :]
    if not arguments:
        raise SystemExit(__doc__)
    try:
        cross_validate(arguments[0], arguments[1:], seeds)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("interrupted; run the same command to go on") from None


def cross_validate(path: str, overrides: list[str], seeds: list[int]) -> None:
    """Run every (seed, fold) that is not finished, then pool."""
    config = load_experiment(path, overrides)
    accelerator = build_accelerator(config) if isinstance(config, Config) else Accelerator()
    whole = RunFolder(config.out / config.name)
    if accelerator.is_main_process:
        whole.open(config)
    runs = []
    for seed in seeds:
        for fold in range(folds_of(config)):
            one = load_experiment(path, [*overrides, f"seed={seed}", f"split.fold={fold}"])
            run = RunFolder(whole.path / f"seed-{seed}-fold-{fold}")
            accelerator.print(f"seed {seed}, fold {fold}")
            if one.tuning is not None:
                one = select(one, run, accelerator)
            fit(one, run, accelerator)
            runs.append((seed, fold, run))
    if accelerator.is_main_process:
        pool(whole, runs)
    accelerator.wait_for_everyone()
    accelerator.end_training()


def folds_of(config: Experiment) -> int:
    """Number of folds of the config's split, of the people who take part."""
    return count_folds(load_experiment_data(config).sessions, config.split)


def pool(whole: RunFolder, runs: list[tuple[int, int, RunFolder]]) -> None:
    """Join predictions of all folds, and what else there is: training curves, selections."""
    histories = [
        pd.read_parquet(run.history).assign(seed=seed, fold=fold)
        for seed, fold, run in runs
        if run.history.is_file()
    ]
    if histories:
        write_table(pd.concat(histories, ignore_index=True), whole.history)
    selections = [pd.read_csv(run.tuning) for *_, run in runs if run.tuning.is_file()]
    if selections:
        write_text(whole.tuning, pd.concat(selections).to_csv(index=False))
    predictions = [pd.read_parquet(run.predictions) for *_, run in runs]
    write_table(pd.concat(predictions, ignore_index=True), whole.predictions)
    print(f"{whole.path}: predictions of {len(runs)} runs; next: depmm evaluate {whole.path}")


if __name__ == "__main__":
    main(sys.argv[1:])
