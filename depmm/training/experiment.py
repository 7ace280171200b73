"""Run one experiment: a network on all processes, or a classical baseline."""

import logging
from collections.abc import Iterable
from pathlib import Path

from accelerate import Accelerator

from depmm.config import ClassicalConfig, Config, ConfigError, Experiment, load_config
from depmm.runs.folder import RunFolder
from depmm.training.loop import train_network


def train(
    config: Config | Path | str,
    overrides: Iterable[str] | None = None,
    accelerator: Accelerator | None = None,
) -> Path:
    """Train a network, select its best epoch on validation subjects, and predict every session.

    The same call resumes an interrupted training. Progress is logged by the logger ``depmm``.

    Parameters
    ----------
    config : Config, Path or str
        The experiment: a config, the path of a YAML file, or the name of a config included in
        depmm, for example ``demo``.
    overrides : iterable of str, optional
        Settings as ``key=value``, for example ``["training.epochs=3"]``.
    accelerator : Accelerator, optional
        Devices and processes; by default, those of the launcher or of this machine.

    Returns
    -------
    Path
        Folder of the run, ``<out>/<name>``.

    Raises
    ------
    ConfigError
        If a setting cannot be used, or the folder contains a run with another config or
        of another command.
    DepmmError
        If manifest, store, split or initial weights do not match the config.

    Examples
    --------
    >>> import depmm
    >>> run = depmm.train("demo", ["training.epochs=1", "name=short"])
    >>> run.name
    'short'
    """
    config = load_config(config, overrides)
    run = RunFolder(config.out / config.name)
    run.check_command("train")
    train_network(config, run, accelerator or build_accelerator(config))
    return run.path


def run_experiment(
    config: Experiment,
    run: RunFolder,
    accelerator: Accelerator,
    inner: bool = False,
    log_common: bool = True,
) -> None:
    """Train a network on all processes, or fit a classical baseline on the main process.

    Parameters
    ----------
    config : Config or ClassicalConfig
        The experiment, one fold of it.
    run : RunFolder
        Folder of the run.
    accelerator : Accelerator
        From ``build_accelerator``.
    inner : bool, default False
        Whether it is an inner run of a tuning, of which only the predictions are needed.
    log_common : bool, default True
        Whether to log what all folds have in common: devices, pre-trained encoders, excluded
        sessions and how much of the recordings is read.

    Raises
    ------
    DepmmError
        As ``train_network`` and ``train_classical``.
    """
    if isinstance(config, Config):
        train_network(config, run, accelerator, inner, log_common)
        accelerator.free_memory()
    elif isinstance(config, ClassicalConfig) and accelerator.is_main_process:
        from depmm.training.classical import train_classical

        train_classical(config, run, inner, log_common)
    accelerator.wait_for_everyone()


def build_accelerator(config: Experiment) -> Accelerator:
    """Create the Accelerator.

    With several processes, only the main process logs progress.

    Parameters
    ----------
    config : Config or ClassicalConfig
        The experiment.

    Returns
    -------
    Accelerator
        For the devices and processes of the launcher.

    Raises
    ------
    ConfigError
        If the device does not support ``training.mixed_precision``.
    """
    precision = config.training.mixed_precision if isinstance(config, Config) else "no"
    accelerator = Accelerator(mixed_precision=precision)
    if precision == "fp16" and accelerator.device.type == "cpu":
        # Accelerate would compute in full precision without a warning
        raise ConfigError(
            "training.mixed_precision: fp16 requires a GPU, but the device is a CPU.",
            setting="training.mixed_precision",
            value=precision,
            remedy="Use bf16 or no.",
        )
    if not accelerator.is_main_process:
        logging.getLogger("depmm").setLevel(logging.WARNING)
    return accelerator
