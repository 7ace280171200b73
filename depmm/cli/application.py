"""The application, its entry point, and the options that several commands share."""

import logging
import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

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
ManifestFolder = Annotated[Path, typer.Argument(help="folder of the manifest")]
RecordingsFolder = Annotated[Path, typer.Argument(help="folder of the recordings")]
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
Workers = Annotated[int | None, typer.Option(help="number of processes; default: all cores")]
PICKLE_WARNING = (
    "warning: a pickled file can run any code; use --allow-pickle for trusted files only"
)


class _StandardOutput(logging.StreamHandler[TextIO]):
    """Handler for the current standard output, which notebooks and tests replace."""

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
    """Run the command line and turn errors that a user can repair into messages."""
    show_progress()
    try:
        app()
    except SystemExit as end:  # typer's reaction to Ctrl-C
        if end.code == 130:
            typer.echo(
                "interrupted; finished parts are kept. Run the same command again to continue.",
                err=True,
            )
        raise
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


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
