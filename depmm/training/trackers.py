"""Trackers of experiments: TensorBoard, and Weights & Biases or MLflow if a config names them.

They receive losses, metrics and learning rate of each epoch, and the settings of model and training
without paths. No table, text of the log, subject id, source code or path is given to them.
TensorBoard writes into the folder of the run; the others send to the server that their own
environment variables or settings name, or keep everything on this computer (``WANDB_MODE=offline``,
``MLFLOW_TRACKING_URI=file:...``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import filter_trackers, get_available_trackers

from depmm.config import Config, ConfigError
from depmm.runs.folder import RunFolder

LogMetrics = Callable[[Mapping[str, float], int], None]
"""Called with the metrics of an epoch, by name, and the number of the epoch from 1."""


def check_trackers(names: Sequence[str]) -> None:
    """Check that the packages of trackers are installed.

    Parameters
    ----------
    names : sequence of str
        ``training.trackers``.

    Raises
    ------
    ConfigError
        If one is missing.
    """
    available = {str(tracker) for tracker in get_available_trackers()}
    for name in names:
        if name not in available:
            raise ConfigError(
                f"training.trackers contains {name}, but the package {name} is not installed.",
                setting="training.trackers",
                value=name,
                remedy=f"Install it (pip install {name}), or remove {name} from training.trackers.",
            )


@contextmanager
def tracking(
    names: Sequence[str], config: Config, run: RunFolder, accelerator: Accelerator
) -> Iterator[LogMetrics]:
    """Open the trackers of a training, and close them at its end.

    Accelerate opens trackers once per process, but a process of a cross-validation trains several
    runs. The trackers of a run are therefore opened and closed here.

    Parameters
    ----------
    names : sequence of str
        The trackers, ``training.trackers`` or none.
    config : Config
        The experiment.
    run : RunFolder
        Folder of the run.
    accelerator : Accelerator
        From ``build_accelerator``; only its main process tracks.

    Yields
    ------
    callable
        Function that logs the metrics of an epoch.

    Raises
    ------
    ConfigError
        If the package of a tracker is not installed.
    """
    check_trackers(names)
    folder = run.path / "tensorboard"
    accelerator.log_with = filter_trackers(list(names), folder)
    accelerator.project_configuration.logging_dir = str(folder)
    accelerator.trackers = []
    options = _tracker_options(names, run) if accelerator.is_main_process else {}
    try:
        accelerator.init_trackers(config.name, init_kwargs=options)
        for tracker in accelerator.trackers:
            # TensorBoard would write a run of its own for them; they are in config.yaml
            if tracker.name != "tensorboard":
                tracker.store_init_configuration(list_tracked_settings(config))
        yield lambda metrics, epoch: accelerator.log(dict(metrics), step=epoch)
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
        accelerator.trackers = []


def list_tracked_settings(config: Config) -> dict[str, bool | float | int | str]:
    """List the settings that trackers receive.

    Parameters
    ----------
    config : Config
        The experiment.

    Returns
    -------
    dict of str to object
        Seed, fold and the settings of model and training by dotted name, without paths.
    """
    content = {
        "seed": config.seed,
        "split": {"kind": config.split.kind, "fold": config.split.fold},
        "target": {"kind": config.target.kind},
        "model": config.model.model_dump(),
        "training": config.training.model_dump(),
    }
    return dict(_flatten(content))


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        match value:
            case dict():
                yield from _flatten(value, f"{prefix}{name}.")
            case bool() | int() | float():
                yield prefix + name, value
            case str() if "/" not in value and "\\" not in value:  # a model can be a folder
                yield prefix + name, value
            case Path() | str() | None:
                continue
            case list() if all(isinstance(entry, bool | int | float) for entry in value):
                yield prefix + name, str(value)


def _tracker_options(names: Sequence[str], run: RunFolder) -> dict[str, dict[str, Any]]:
    """Return options that name the run and keep the log, the code and the computer private."""
    options: dict[str, dict[str, Any]] = {}
    if "wandb" in names:
        wandb = import_module("wandb")  # an optional package without types
        options["wandb"] = {
            "name": run.path.name,
            "dir": str(run.path),
            "settings": wandb.Settings(
                console="off",  # the log may contain ids
                disable_git=True,
                disable_code=True,
                save_code=False,
                x_disable_meta=True,
                x_disable_stats=True,
            ),
        }
    if "mlflow" in names:
        # MLflow would add the name of the user and the path of the script
        tags = {"mlflow.user": "", "mlflow.source.name": "depmm"}
        options["mlflow"] = {"run_name": run.path.name, "tags": tags}
    return options
