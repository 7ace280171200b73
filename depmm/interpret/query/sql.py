"""A run's Parquet files as tables of DuckDB, which reads these files and touches nothing else.

Each file is a view, so a table of 50 million rows stays on disk and only the columns and rows that
a question needs are read. Before a question is asked the connection is locked: DuckDB refuses every
other file, the network, extensions and changes of its settings (its ``allowed_paths``,
``enable_external_access`` and ``lock_configuration``).
"""

from collections.abc import Sequence
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, NoReturn

import pandas as pd

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Error, Statement

# by depmm explain
EXPLAINED = (
    "attributions",
    "attention",
    "branches",
    "modalities",
    "faithfulness",
    "region_attributions",
)
TRAINED = ("predictions", "history")
MEMORY = "2GB"  # of tables, sorts and joins; a single huge value, as of repeat(), is not counted


def sql(run: Path | str, text: str, rows: int = 10_000, seconds: float = 60.0) -> pd.DataFrame:
    """Answer one SELECT over the tables of a run.

    Parameters
    ----------
    run : folder; its tables are those of ``EXPLAINED`` and ``TRAINED`` that are there
    text : SELECT, WITH, FROM, DESCRIBE, SUMMARIZE or SHOW TABLES
    rows : at most; ``attrs["notes"]`` of the answer says where it was cut
    seconds : after which the question is given up

    Raises
    ------
    ValueError : another statement than a SELECT, or several; a mistake in it; a file of its own;
        too long or too large; a run without tables, or with a file that is no Parquet
    """
    import duckdb

    run = Path(run)
    names = [name for name in (*EXPLAINED, *TRAINED) if _file(run, name).is_file()]
    if not names:
        raise ValueError(
            f"{run} holds no table: give the folder of a run, and run depmm explain {run} first"
        )
    with open_tables(run, names) as connection:
        try:
            select = _one_select(connection, text)
            timer = Timer(seconds, connection.interrupt)
            timer.start()
            try:
                table = _first_rows(connection.execute(select), rows + 1)
            finally:
                timer.cancel()
        except duckdb.InterruptException:
            raise ValueError(
                f"the SQL took longer than {seconds:g} s: filter or aggregate more"
            ) from None
        except duckdb.OutOfMemoryException:
            raise ValueError(
                f"the SQL needs more than {MEMORY}: filter or aggregate more"
            ) from None
        except duckdb.PermissionException as error:
            raise ValueError(
                f"{_first_line(error)}. The SQL reads the tables of the run alone: "
                f"{', '.join(names)}"
            ) from None
        except duckdb.Error as error:
            _raise_if_damaged(run, names, error, connection)
            raise ValueError(
                f"SQL: {_first_line(error)}. Tables here: {', '.join(names)}; their columns: "
                "DESCRIBE TABLE_NAME"
            ) from None
    if len(table) > rows:
        table = table.head(rows)
        table.attrs["notes"] = [f"cut after {rows} rows: write LIMIT, or filter or aggregate more"]
    return table


def read(run: Path, name: str, text: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
    """Answer a question of ours over one table; see ``columns``.

    Parameters
    ----------
    run : folder
    name : of the table
    text : SQL; ``?`` stands for a parameter

    Raises
    ------
    ValueError : the file is not there, or no Parquet
    """
    import duckdb

    if not (path := _file(run, name)).is_file():
        remedy = f"run depmm explain {run} first" if name in EXPLAINED else "train it to the end"
        raise ValueError(f"{path} is not there: {remedy}, or check the folder")
    with open_tables(run, [name]) as connection:
        try:
            return connection.execute(text, list(parameters)).df()
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise ValueError(
                f"{path}: {_first_line(error)}. Written by another version? Run depmm explain "
                f"{run} again"
            ) from None
        except duckdb.Error as error:
            _raise_damaged(run, name, error)


def columns(run: Path, name: str) -> list[str]:
    """Names of a table's columns; errors as ``read``."""
    return read(run, name, f"SELECT * FROM {name} LIMIT 0").columns.tolist()


def _file(run: Path, name: str) -> Path:
    return (run / f"{name}.parquet").absolute()


def open_tables(run: Path, names: Sequence[str]) -> "DuckDBPyConnection":
    """Open a database in memory with files of a run as views, and lock it.

    Raises
    ------
    ValueError : a file is no Parquet
    """
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "temp_directory": "",  # nothing is written, not even what does not fit into memory
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(":memory:", config=settings)
    allowed = []
    for name in names:
        path = str(_file(run, name))
        # a run may be called demo[1]; it must not stand for other files
        pattern = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)
        allowed += [path, pattern]
        try:
            connection.execute(f"CREATE VIEW {name} AS FROM read_parquet({_quoted(pattern)})")
        except duckdb.Error as error:
            connection.close()
            _raise_damaged(run, name, error)
    connection.execute(f"SET allowed_paths = [{', '.join(map(_quoted, allowed))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _one_select(connection: "DuckDBPyConnection", text: str) -> "Statement":
    from duckdb import StatementType

    statements = connection.extract_statements(text)
    if len(statements) != 1:
        raise ValueError(f"{len(statements)} SQL statements: ask one SELECT")
    if (kind := statements[0].type) != StatementType.SELECT:
        raise ValueError(
            f"this is a statement of kind {str(kind).rpartition('.')[2]}: a question is one SELECT "
            "(or WITH, FROM, DESCRIBE, SUMMARIZE, SHOW TABLES); nothing was run"
        )
    return statements[0]


def _first_rows(result: "DuckDBPyConnection", rows: int) -> pd.DataFrame:
    """Fetch as many rows as are needed; the others are never made."""
    parts = [result.fetch_df_chunk()]
    while sum(map(len, parts)) < rows and len(part := result.fetch_df_chunk()):
        parts.append(part)
    return pd.concat(parts, ignore_index=True).head(rows)


def _raise_if_damaged(
    run: Path, names: Sequence[str], error: "Error", connection: "DuckDBPyConnection"
) -> None:
    """Tell a mistake in the SQL from a file whose pages cannot be read."""
    import duckdb

    for name in names:
        if str(_file(run, name)) in str(error):
            _raise_damaged(run, name, error)
    if type(error) is not duckdb.Error:  # a page header in pieces has no type and no file
        return
    for name in names:
        try:
            connection.cursor().execute(f"SELECT count(hash(it)) FROM {name} AS it").fetchall()
        except duckdb.Error as again:
            _raise_damaged(run, name, again)


def _raise_damaged(run: Path, name: str, error: "Error") -> NoReturn:
    remedy = (
        f"run depmm explain {run} again"
        if name in EXPLAINED
        else "restore it from a copy, or train the run again"
    )
    raise ValueError(
        f"{run / name}.parquet cannot be read as Parquet ({_first_line(error)}): {remedy}"
    ) from None


def _first_line(error: "Error") -> str:
    return str(error).split("\n", 1)[0].rstrip(".!")
