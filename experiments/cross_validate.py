"""Train and test every fold: accelerate launch experiments/cross_validate.py CONFIG [key=value].

CONFIG is a YAML file or the name of a config of a network or a classical baseline (which is fitted
by the main process). ``--seeds 0,1,2`` trains all folds with each seed. See
``depmm.cross_validate``.
"""

import sys

from depmm.interrupts import run_as_program


def main(arguments: list[str]) -> None:
    """Cross-validate the config on all processes of the launcher."""
    from depmm.cli import reporting_errors, show_progress
    from depmm.config import load_experiment
    from depmm.training.cross_validation import cross_validate
    from depmm.training.experiment import build_accelerator

    show_progress()
    with reporting_errors():
        seeds = [0]
        if "--seeds" in arguments:
            position = arguments.index("--seeds")
            given = "".join(arguments[position + 1 : position + 2])
            if not all(seed.isdecimal() for seed in given.split(",")):
                raise SystemExit(f"--seeds is {given!r}; give numbers such as 0,1,2")
            seeds = [int(seed) for seed in given.split(",")]
            arguments = arguments[:position] + arguments[position + 2 :]
        if not arguments:
            raise SystemExit(__doc__)
        config = load_experiment(arguments[0], arguments[1:])
        accelerator = build_accelerator(config)
        run = cross_validate(config, seeds=seeds, accelerator=accelerator)
        if accelerator.is_main_process:
            print(f"next: depmm evaluate {run}")
        accelerator.end_training()


if __name__ == "__main__":
    run_as_program(lambda: main(sys.argv[1:]))
