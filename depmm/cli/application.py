"""The application, its entry point, and the options that several commands share."""

import errno
import logging
import os
import re
import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

from depmm.files import TEMPORARY_PREFIX

app = typer.Typer(
    help="Recognise depression from face and voice. Research software, not a diagnostic device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="settings to change, e.g. training.epochs=3"),
]
ConfigName = Annotated[
    str, typer.Argument(metavar="CONFIG", help="name of a config (depmm configs) or a YAML file")
]
ManifestFolder = Annotated[Path, typer.Argument(metavar="MANIFEST", help="folder of the manifest")]
RecordingsFolder = Annotated[Path, typer.Argument(metavar="ROOT", help="folder of the recordings")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="folder of a run")]
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle", help="read pickled .npy files, which run code; only from trusted sources"
    ),
]
Landmarker = Annotated[
    Path | None,
    typer.Option(
        help="MediaPipe face model; default: DEPMM_FACE_LANDMARKER, the cache, or one download"
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help="number of processes; default: all cores")]
PICKLE_WARNING = (
    "warning: a pickled file can run any code; use --allow-pickle for trusted files only"
)
_REMEDIES = {
    errno.EACCES: "Change its permissions, or give another path.",
    errno.EEXIST: "A file has the name of the folder: give another path.",
    errno.ENOENT: "Check the path.",
    errno.ENOSPC: "Free space on the disk, and run the same command again.",
    errno.ENOTDIR: "A part of the path is a file: give the path of a folder.",
    errno.EROFS: "Give a path on a disk that can be written.",
}


class _StandardOutput(logging.StreamHandler[TextIO]):
    """Handler for the current ``sys.stdout``, which notebooks and tests replace."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout
        super().emit(record)


def show_progress() -> None:
    """Write the log of depmm to the standard output."""
    logger = logging.getLogger("depmm")
    if not logger.handlers:
        logger.addHandler(_StandardOutput(sys.stdout))
    logger.setLevel(logging.INFO)


def main() -> None:
    """Run the command line, and print errors that a user can repair without a traceback."""
    show_progress()
    try:
        app()
    except SystemExit as end:  # typer converts KeyboardInterrupt
        if end.code == 130:
            typer.echo(
                "interrupted; every written file is complete. Run the same command again: extract, "
                "train and cross-validate continue, other commands start from the beginning.",
                err=True,
            )
        raise
    except OSError as error:
        typer.echo(f"error: {describe_os_error(error)}", err=True)
        sys.exit(2)
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


def describe_os_error(error: OSError) -> str:
    """Describe an error of the file system: path, cause and remedy.

    Parameters
    ----------
    error : OSError
        The error of Python, or of Arrow, which states the path in its message only.

    Returns
    -------
    str
        One line; the text of ``error`` if the path is unknown.
    """
    quoted = re.search(r"'([^']+)'", str(error))
    path = error.filename or (quoted and quoted[1])
    if error.errno is None or path is None:
        return str(error)
    path = Path(str(path))
    if path.name.startswith(TEMPORARY_PREFIX):
        path = path.parent
    cause = os.strerror(error.errno)
    return f"{path}: {cause[0].lower()}{cause[1:]}. {_REMEDIES.get(error.errno, '')}".rstrip()


def echo_table(rows: list[tuple[str, str]]) -> None:
    """Print names and texts in two columns.

    Parameters
    ----------
    rows : list of tuple of (str, str)
        Name and text of each line.
    """
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        typer.echo(f"{name:{width}s}  {text}")
