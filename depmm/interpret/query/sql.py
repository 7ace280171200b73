"""SQL queries over the Parquet files of a run with DuckDB, which can read only these files.

Each file is a view: only the columns and rows of a query are read, even from a table of 50 million
rows. Before a query is run, the connection is restricted by settings of DuckDB: ``allowed_paths``
lists the files of the run, ``enable_external_access`` disables all other files, the network and
extensions, and ``lock_configuration`` makes these settings final. A query of the user is one SELECT
with limits of memory, time and rows, in a process of its own, because DuckDB does not apply its
limit of memory to single values, such as that of ``repeat('x', 1000000000)``.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, NoReturn

import pandas as pd

from depmm.cores import available_cores
from depmm.files.checksums import check
from depmm.files.damage import DamagedFileError
from depmm.interpret.errors import QuestionError
from depmm.interpret.query.limited_process import LimitExceeded, run_limited
from depmm.runs.folder import missing_run, refuse_combination
from depmm.schemas.explanations import EXPLANATIONS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Error, Statement

TABLES = (*EXPLANATIONS, "predictions", "history")
SECONDS = 40.0  # with the start of the process and the time until it stops, less than a minute
MEMORY = "1GB"  # of tables, sorts and joins
MAX_BYTES = 3 * 2**29  # 1.5 GiB, of the process of a query
MAX_RESULT_BYTES = 2**28  # 256 MiB


def run_sql(
    run: Path | str, text: str, rows: int = 10_000, seconds: float = SECONDS
) -> pd.DataFrame:
    """Run one SELECT over the tables of a run.

    Parameters
    ----------
    run : Path or str
        Folder of a run; its tables are those of ``TABLES`` that exist.
    text : str
        SELECT, WITH, FROM, DESCRIBE, SUMMARIZE or SHOW TABLES.
    rows : int, default 10000
        Largest number of rows.
    seconds : float, default 40
        Time after which the query is stopped.

    Returns
    -------
    DataFrame
        The rows; ``attrs["notes"]`` has a note if rows were left out.

    Raises
    ------
    QuestionError
        If the text is not exactly one SELECT or has an error, reads a file that is not a table of
        the run, takes too long or too much memory, or if the run has no tables.
    DamagedFileError
        If a table of the run is damaged.
    RunError
        If the folder does not exist.
    """
    import pyarrow

    if not Path(run).is_dir():
        raise missing_run(Path(run))
    request = {"run": str(Path(run).absolute()), "text": text, "rows": rows, "seconds": seconds}
    try:
        answer = run_limited(
            "depmm.interpret.query.sql_process", json.dumps(request).encode(), seconds
        )
    except LimitExceeded as error:
        raise (_time_error(seconds) if error.limit == "time" else memory_error()) from None
    line, _, content = answer.partition(b"\n")
    header = json.loads(line)
    if kind := header.pop("error", None):
        failure = {"DamagedFileError": DamagedFileError}.get(kind, QuestionError)(
            header.pop("message"), **{**header, "remedy": None}
        )
        failure.remedy = header["remedy"]
        raise failure
    table: pd.DataFrame = pyarrow.ipc.open_stream(content).read_pandas()
    if header["notes"]:
        table.attrs["notes"] = header["notes"]
    return table


def memory_error() -> QuestionError:
    """Return the error of a query that needs too much memory.

    Returns
    -------
    QuestionError
        The error, to be raised.
    """
    return QuestionError(
        f"The query or its result needs more than {MEMORY} of memory, or a single value does.",
        setting="memory_limit",
        value=MEMORY,
        remedy="Filter or aggregate more, and do not build long texts or lists.",
    )


def _time_error(seconds: float) -> QuestionError:
    return QuestionError(
        f"The query took longer than {seconds:g} s.",
        setting="seconds",
        value=seconds,
        remedy="Filter or aggregate more.",
    )


def select_rows(run: Path, text: str, rows: int, seconds: float) -> pd.DataFrame:
    """Run one SELECT in this process; see `run_sql`.

    Parameters
    ----------
    run : Path
        Folder of a run.
    text : str
        The query.
    rows : int
        Largest number of rows.
    seconds : float
        Time after which the query is stopped.

    Returns
    -------
    DataFrame
        The rows.

    Raises
    ------
    QuestionError
        As `run_sql`.
    """
    import duckdb

    names = [name for name in TABLES if _get_path(run, name).is_file()]
    if not names:
        raise QuestionError(
            f"{run} has no table.",
            file=run,
            remedy=f"Give the folder of a run, and run depmm explain {run} first.",
        )
    tables = f"Tables: {', '.join(names)}."
    with connect(run, names) as connection:
        try:
            statement = _parse_select(connection, text)
            timer = Timer(seconds, connection.interrupt)
            timer.start()
            try:
                table = _fetch_rows(connection.execute(statement), rows + 1)
            finally:
                timer.cancel()
        except duckdb.InterruptException:
            raise _time_error(seconds) from None
        except duckdb.OutOfMemoryException:
            raise memory_error() from None
        except duckdb.PermissionException as error:
            raise QuestionError(
                f"SQL: {_get_first_line(error)}. A query can read only the tables of the run.",
                setting="sql",
                value=text,
                remedy=tables,
            ) from None
        except duckdb.Error as error:
            _raise_if_damaged(run, names, error, connection)
            raise QuestionError(
                f"SQL: {_get_first_line(error)}.",
                setting="sql",
                value=text,
                remedy=f"{tables} DESCRIBE TABLE_NAME lists columns.",
            ) from None
    if len(table) > rows:
        table = table.head(rows)
        note = f"Only the first {rows} rows are returned. Filter or aggregate more."
        table.attrs["notes"] = [note]
    return table


def read_table(run: Path, name: str, text: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
    """Run a query of this package over one table.

    Parameters
    ----------
    run : Path
        Folder of a run.
    name : str
        Name of the table.
    text : str
        SQL; ``?`` is replaced by a parameter.
    parameters : sequence, optional
        Values of the parameters.

    Returns
    -------
    DataFrame
        The rows.

    Raises
    ------
    QuestionError
        If the file does not exist, is damaged, or has no such column.
    RunError
        If the folder does not exist, or is a combination of runs, which has no explanations.
    """
    import duckdb

    if not (path := _get_path(run, name)).is_file():
        if not run.is_dir():
            raise missing_run(run)
        if name in EXPLANATIONS:
            refuse_combination(run)
        raise QuestionError(
            f"{path} does not exist.",
            file=path,
            remedy=f"Run depmm explain {run} first, or check the folder."
            if name in EXPLANATIONS
            else "Train the run to its end, or check the folder.",
        )
    with connect(run, [name]) as connection:
        try:
            return connection.execute(text, list(parameters)).df()
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise QuestionError(
                f"{path}: {_get_first_line(error)}.",
                file=path,
                remedy=f"If another version wrote the file, run depmm explain {run} again.",
            ) from None
        except duckdb.Error as error:
            _raise_damaged(run, name, error)


def list_columns(run: Path, name: str) -> list[str]:
    """List the columns of a table.

    Parameters
    ----------
    run : Path
        Folder of a run.
    name : str
        Name of the table.

    Returns
    -------
    list of str
        Names of the columns.

    Raises
    ------
    QuestionError
        As ``read_table``.
    """
    return read_table(run, name, f"SELECT * FROM {name} LIMIT 0").columns.tolist()


def connect(run: Path, names: Sequence[str]) -> "DuckDBPyConnection":
    """Open a locked database in memory with tables of a run as views.

    Parameters
    ----------
    run : Path
        Folder of a run.
    names : sequence of str
        Names of the tables.

    Returns
    -------
    DuckDBPyConnection
        A connection that can read the files of these tables only.

    Raises
    ------
    QuestionError
        If a file is damaged.
    DamagedFileError
        If a file does not match its checksum.
    """
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": min(2, available_cores()),
        "temp_directory": "",  # no temporary files
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(":memory:", config=settings)
    allowed = []
    for name in names:
        check(_get_path(run, name))
        path = str(_get_path(run, name))
        # a folder named demo[1] must not be read as a pattern that matches other files
        pattern = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)
        allowed += [path, pattern]
        try:
            connection.execute(f"CREATE VIEW {name} AS FROM read_parquet({_quote(pattern)})")
        except duckdb.Error as error:
            connection.close()
            _raise_damaged(run, name, error)
    connection.execute(f"SET allowed_paths = [{', '.join(map(_quote, allowed))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _get_path(run: Path, name: str) -> Path:
    return (run / f"{name}.parquet").absolute()


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _parse_select(connection: "DuckDBPyConnection", text: str) -> "Statement":
    from duckdb import StatementType

    statements = connection.extract_statements(text)
    if len(statements) != 1:
        raise QuestionError(
            f"The SQL has {len(statements)} statements. Write one SELECT.",
            setting="sql",
            value=text,
        )
    if (kind := statements[0].type) != StatementType.SELECT:
        raise QuestionError(
            f"The SQL is a statement of type {str(kind).rpartition('.')[2]}; it was not run.",
            setting="sql",
            value=text,
            remedy="Write one SELECT (or WITH, FROM, DESCRIBE, SUMMARIZE, SHOW TABLES).",
        )
    return statements[0]


def _fetch_rows(result: "DuckDBPyConnection", rows: int) -> pd.DataFrame:
    """Fetch at most ``rows`` rows; further rows are not computed."""
    parts = [result.fetch_df_chunk()]
    while sum(map(len, parts)) < rows and len(part := result.fetch_df_chunk()):
        parts.append(part)
    return pd.concat(parts, ignore_index=True).head(rows)


def _raise_if_damaged(
    run: Path, names: Sequence[str], error: "Error", connection: "DuckDBPyConnection"
) -> None:
    """Raise if the error is due to a damaged file and not to the SQL."""
    import duckdb

    for name in names:
        if str(_get_path(run, name)) in str(error):
            _raise_damaged(run, name, error)
    if type(error) is not duckdb.Error:  # a damaged page header has no type and no file
        return
    for name in names:
        try:
            connection.cursor().execute(f"SELECT count(hash(t)) FROM {name} AS t").fetchall()
        except duckdb.Error as damage:
            _raise_damaged(run, name, damage)


def _raise_damaged(run: Path, name: str, error: "Error") -> NoReturn:
    path = run / f"{name}.parquet"
    raise QuestionError(
        f"{path} cannot be read as Parquet ({_get_first_line(error)}).",
        file=path,
        remedy=f"Run depmm explain {run} again."
        if name in EXPLANATIONS
        else "Restore it from a copy, or train the run again.",
    ) from None


def _get_first_line(error: "Error") -> str:
    return str(error).split("\n", 1)[0].rstrip(".!")
