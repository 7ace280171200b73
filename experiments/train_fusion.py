"""Train one model: accelerate launch experiments/train_fusion.py CONFIG [key=value ...]."""

import sys

from depmm.config import load_config
from depmm.runs.folder import RunFolder
from depmm.training.loop import build_accelerator, train


def main(arguments: list[str]) -> None:
    """Train the config, in as many processes as the launcher started."""
    if not arguments:
        raise SystemExit(__doc__)
    try:
        config = load_config(arguments[0], arguments[1:])
        train(config, RunFolder(config.out / config.name), build_accelerator(config))
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("interrupted; run the same command to go on") from None


if __name__ == "__main__":
    main(sys.argv[1:])
