"""Where the data of a run are now: overrides of a run that was moved."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from depmm.config import ConfigError, load_experiment
from depmm.runs.folder import RunError, RunFolder

logger = logging.getLogger(__name__)

LOCATIONS = ("data.manifest", "data.store", "data.workers")  # settings that change no result


def check_locations(overrides: Iterable[str] | None) -> list[str]:
    """Check that overrides change only where data lie, and how they are read.

    Parameters
    ----------
    overrides : iterable of str or None
        Settings as ``key=value``.

    Returns
    -------
    list of str
        The overrides.

    Raises
    ------
    ConfigError
        If one of them changes another setting: the run was trained with it.
    """
    checked = list(overrides or ())
    for override in checked:
        key = override.partition("=")[0]
        if key not in LOCATIONS:
            raise ConfigError(
                f"override {override!r:.100}: {key} is a setting with which the run was trained.",
                setting=key,
                value=override,
                remedy=f"Only {', '.join(LOCATIONS)} can be changed; train another run.",
            )
    return checked


def check_manifest(run: RunFolder, overrides: Sequence[str]) -> bool:
    """Check that the manifest of a run is where its config says; warn if it has changed.

    Parameters
    ----------
    run : RunFolder
        The run, or its first fold.
    overrides : sequence of str
        Where the data of a moved run are, as ``key=value``.

    Returns
    -------
    bool
        Whether it has changed since the training.

    Raises
    ------
    RunError
        If it is not there.
    ConfigError
        If the config of the run cannot be read.
    """
    folder = load_experiment(run.config, overrides).data.manifest
    if not (folder / "sessions.parquet").is_file():
        raise RunError(
            f"{run.path}: the manifest of the run, {folder}, does not exist.",
            file=folder,
            setting="data.manifest",
            value=str(folder),
            remedy="If the data were moved, give data.manifest=FOLDER data.store=FOLDER.",
        )
    if changed := run.has_other_manifest(folder):
        logger.warning(
            "The manifest %s has changed since the training of %s. Steps and columns such as "
            "gender are those of now; weights, split, predictions and binary labels are those of "
            "the training.",
            folder,
            run.path,
        )
    return changed


def split_locations(arguments: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Separate overrides from the recordings of a command line.

    Parameters
    ----------
    arguments : iterable of Path
        Recordings, and overrides such as ``data.store=FOLDER``.

    Returns
    -------
    files : list of Path
        The recordings.
    overrides : list of str
        Arguments with ``=`` that begin with ``data.`` and are no file.
    """
    files, overrides = [], []
    for argument in arguments:
        text = str(argument)
        if text.startswith("data.") and "=" in text and not argument.exists():
            overrides.append(text)
        else:
            files.append(argument)
    return files, overrides
