"""Where the data of a run are now: overrides of a run that was moved."""

from collections.abc import Iterable
from pathlib import Path

from depmm.config import ConfigError

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
