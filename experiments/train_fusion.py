"""Train one network: accelerate launch experiments/train_fusion.py [CONFIG [key=value ...]].

CONFIG is a YAML file or the name of a config, for example dep_former; the default is the demo.
Other settings are given as key=value, for example training.epochs=3.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from depmm.interrupts import run_as_program

if TYPE_CHECKING:
    from depmm.config import Config

DEMO_CORPUS = """\
The corpus of the demo does not exist yet. Make it (about 3 minutes on 2 cores):

    depmm simulate corpora/demo/recordings --subjects 96 --steps 12 --seed 0 --effect 1.25
    depmm index ewre_simulated corpora/demo/recordings --out corpora/demo/manifest
    depmm extract corpora/demo/manifest corpora/demo/recordings --out stores/demo --config demo
"""


def main(arguments: list[str]) -> None:
    """Train the config on all processes of the launcher."""
    from depmm.cli import reporting_errors, show_progress
    from depmm.config import load_config
    from depmm.training.experiment import build_accelerator, train

    show_progress()
    with reporting_errors():
        config = load_config(arguments[0] if arguments else "demo", arguments[1:])
        if not arguments and not has_corpus(config):
            raise SystemExit(DEMO_CORPUS)
        train(config, accelerator=build_accelerator(config))


def has_corpus(config: "Config") -> bool:
    """Return whether manifest and store of a config exist."""
    return config.data.manifest.is_dir() and Path(config.data.store).is_dir()


if __name__ == "__main__":
    run_as_program(lambda: main(sys.argv[1:]))
