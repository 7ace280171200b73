"""The application, its entry point, and the options that several commands share."""

import functools
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO, TypeVar, cast

import typer

from depmm.cores import limit_threads
from depmm.errors import DepmmError
from depmm.files.system_errors import explain_system_error
from depmm.interrupts import INTERRUPTED, exiting_on_signals
from depmm.media.video.opencv import system_library_error
from depmm.terminal import escape_controls

Command = TypeVar("Command", bound=Callable[..., Any])
_COLLAPSED_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+")  # not the letter of a drive


class _Application(typer.Typer):
    """An application whose commands refuse URLs where they need a local path."""

    def command(self, *arguments: Any, **options: Any) -> Callable[[Command], Command]:
        register = super().command(*arguments, **options)

        def decorate(function: Command) -> Command:
            @functools.wraps(function)
            def checked(*positional: Any, **values: Any) -> Any:
                for name, value in values.items():
                    for path in value if isinstance(value, list) else [value]:
                        if isinstance(path, Path):
                            refuse_url(path, name)
                return function(*positional, **values)

            return register(cast(Command, checked))

        return decorate


def refuse_url(path: Path, name: str) -> None:
    """Refuse a URL, of which a path keeps one slash only.

    Parameters
    ----------
    path : Path
        Value of an argument or option.
    name : str
        Its name.

    Raises
    ------
    BadParameter
        If it was a URL.
    """
    if match := _COLLAPSED_URL.match(str(path)):
        raise typer.BadParameter(
            f"{match[1]}://{str(path)[match.end() :]} is a URL, but this must be a path of this "
            "computer. Only stores can be URLs (depmm extract --out, data.store)",
            param_hint=name,
        )


app = _Application(
    help="Recognise depression from face and voice. Research software, not a diagnostic device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def sort_commands(panels: Mapping[str, Sequence[str]]) -> None:
    """Order the commands of the help, and divide them into panels.

    Parameters
    ----------
    panels : mapping of str to sequence of str
        Title of each panel -> names of its commands. All commands have to be in one.
    """
    places = [(panel, name) for panel, names in panels.items() for name in names]
    names = [name for _, name in places]
    for command in app.registered_commands:
        command.name = command.name or cast(Any, command.callback).__name__.replace("_", "-")
        command.rich_help_panel = places[names.index(cast(str, command.name))][0]
    app.registered_commands.sort(key=lambda command: names.index(cast(str, command.name)))


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
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="only part I of N of the sessions, from 1/N to N/N; default: the part that SLURM or a "
        "launcher gives to this process, else all sessions",
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="number of processes; default: one per available core")
]
UnitName = Annotated[
    str,
    typer.Option(
        metavar="COLUMNS",
        help="session; subject: average the sessions of each subject first; or subject and further "
        "columns, e.g. subject,task",
    ),
]
PICKLE_WARNING = (
    "warning: a pickled file can run any code; use --allow-pickle for trusted files only"
)
# typer has its own copy of click's exceptions
_UsageError: Any = typer.BadParameter.__mro__[1]


class _StandardOutput(logging.StreamHandler[TextIO]):
    """Handler for the current ``sys.stdout``, which notebooks and tests replace."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return escape_controls(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            raise  # the reader of the output has ended, for example head
        super().handleError(record)


def show_progress() -> None:
    """Write the log of depmm to the standard output."""
    logger = logging.getLogger("depmm")
    if not logger.handlers:
        logger.addHandler(_StandardOutput(sys.stdout))
    logger.setLevel(logging.INFO)


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text with escaped control characters; every message of a command is printed here.

    Parameters
    ----------
    text : str
        One or several lines.
    err : bool, default False
        Whether to print to the standard error.
    nl : bool, default True
        Whether to append a line break.
    """
    typer.echo(escape_controls(text), err=err, nl=nl)


def echo_data(text: str) -> None:
    """Print CSV, JSON or YAML: escaped on a terminal, unchanged in a file or a pipe.

    Parameters
    ----------
    text : str
        The data, with a line break at the end.
    """
    typer.echo(escape_controls(text) if sys.stdout.isatty() else text, nl=False)


def main() -> None:
    """Run the command line, and print errors that a user can repair without a traceback."""
    limit_threads()
    with exiting_on_signals(), reporting_errors():
        show_progress()
        if code := app(standalone_mode=False):
            sys.exit(code)


@contextmanager
def reporting_errors() -> Iterator[None]:
    """End the process with a message and an exit status where an error can be repaired.

    Yields
    ------
    None
        Errors in the ``with`` block are printed; the exit status is 2. It is 130 after Ctrl-C, and
        141 if the reader of the output has ended (``depmm specs | head -1``).

    Raises
    ------
    SystemExit
        If there was such an error.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # as the standard error
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
            sys.stdout.flush()
        except KeyboardInterrupt:
            _fail(INTERRUPTED, 130)
        except SystemExit as end:
            if end.code == 130:  # typer converts KeyboardInterrupt
                echo(INTERRUPTED, err=True)
            raise
        except BrokenPipeError:
            # Python would print an error when it flushes the output at its end
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        except _UsageError as error:
            error.message = escape_controls(error.message)
            error.show()
            sys.exit(error.exit_code)
        except ImportError as error:
            if ".so" not in str(error) and "DLL" not in str(error):
                raise
            _fail(f"error: {system_library_error(error.name or 'a library', error)}", 2)
        except OSError as error:
            _fail(f"error: {describe_os_error(error)}", 2)
        except ValueError as error:
            _fail(f"error: {describe_error(error)}", 2)


def _fail(text: str, code: int) -> NoReturn:
    echo(text, err=True)
    sys.exit(code)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    text = warnings.formatwarning(message, category, filename, lineno, line)
    print(escape_controls(text), end="", file=file or sys.stderr)


def describe_error(error: ValueError) -> str:
    """Return the message of an error; line breaks in names of files are escaped.

    Parameters
    ----------
    error : ValueError
        The error.

    Returns
    -------
    str
        The message.
    """
    text = str(error)
    names = sys.argv[1:]
    if isinstance(error, DepmmError) and error.file is not None:
        names = [str(error.file), str(Path(error.file).parent), *names]
    for name in names:
        if "\n" in name:
            text = text.replace(name, escape_controls(name, keep=""))
    return text


def describe_os_error(error: OSError) -> str:
    """Describe an error of the file system: path, cause and remedy.

    Parameters
    ----------
    error : OSError
        The error.

    Returns
    -------
    str
        One line; the text of ``error`` if the path is unknown.
    """
    path, cause, remedy = explain_system_error(error)
    if error.errno is None or path is None:
        return str(error)
    return f"{escape_controls(str(path), keep='')}: {cause}. {remedy}."


def echo_table(rows: list[tuple[str, str]]) -> None:
    """Print names and texts in two columns.

    Parameters
    ----------
    rows : list of tuple of (str, str)
        Name and text of each line.
    """
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        echo(f"{name:{width}s}  {text}")


def parse_seeds(text: str) -> list[int]:
    """Read the value of ``--seeds``.

    Parameters
    ----------
    text : str
        Whole numbers, separated by commas.

    Returns
    -------
    list of int
        The seeds.

    Raises
    ------
    typer.BadParameter
        If a part is not a whole number.
    """
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: give whole numbers separated by commas, e.g. 0,1,2", param_hint="--seeds"
        ) from None
