"""Read feature tables, delimited text, in blocks of rows.

Columns are found by their names in the first line as they are written there, because pandas renames
a column that stands twice.
"""

import contextlib
import csv
import fnmatch
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from depmm.config import StreamConfig
from depmm.media.errors import MediaError
from depmm.media.features.feature_arrays import block_rows
from depmm.media.features.file_content import describe_content
from depmm.media.features.row_selection import select_rows
from depmm.media.features.table_text import TableText, last_line, open_table
from depmm.media.warnings import MediaWarning, Warn

# NaN and infinity as C++ programs print them on Windows
NOT_A_NUMBER = ["-nan(ind)", "nan(ind)", "-1.#IND", "1.#IND", "1.#QNAN", "-1.#INF", "1.#INF"]
SEPARATORS = {",": "','", ";": "';'", "\t": 'a tab ("\\t")', "|": "'|'", " ": 'blanks (" ")'}


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table that a stream uses.

    Attributes
    ----------
    names : list of str
        All columns in their order.
    features : list of int
        Positions of the features.
    """

    names: list[str]
    features: list[int]

    @property
    def feature_names(self) -> list[str]:
        """Return the names of the features."""
        return [self.names[position] for position in self.features]


@dataclass(frozen=True)
class TableBlock:
    """Some rows of a table.

    Attributes
    ----------
    columns : TableColumns
        The columns of the table.
    rows : DataFrame
        All columns, named by their positions; the index counts the rows of the file from 0.
    values : ndarray of float64, shape (T, F)
        The features; NaN where a rule marks them as invalid.
    times : ndarray of float64, shape (T,), or None
        Seconds; None without a time column.
    """

    columns: TableColumns
    rows: pd.DataFrame
    values: np.ndarray
    times: np.ndarray | None


def read_table_columns(path: Path, stream: StreamConfig) -> TableColumns:
    """Read the first line of a table and find the columns of the stream.

    Parameters
    ----------
    path : Path
        The file.
    stream : StreamConfig
        How the file is read.

    Returns
    -------
    TableColumns
        The columns.

    Raises
    ------
    MediaError
        If the file is not text, or a column is missing, stands twice or is the only one.
    """
    names = stream.columns or [
        # the name that pandas and its users give to a column without name
        name or f"Unnamed: {position}"
        for position, name in enumerate(_split_line(_first_line(path), stream.sep))
    ]
    for name in sorted(_named_columns(stream)):
        if name not in names:
            raise MediaError(
                path,
                f"column {name!r} is missing (the first columns are {', '.join(names[:8])[:200]}).",
                _format_hint(path, stream) or "Correct the stream in the data spec.",
                column=name,
            )
    drop = [*stream.drop, *([stream.time] if stream.time else [])]
    if stream.select is not None and stream.select.value is not None:
        drop.append(stream.select.column)  # the same in all rows that are read
    features = [
        position
        for position, name in enumerate(names)
        if not any(fnmatch.fnmatchcase(name, text) for text in drop)
    ]
    for name in [*sorted(_named_columns(stream)), *(names[position] for position in features)]:
        if names.count(name) > 1:
            raise MediaError(
                path,
                f"column {name!r} stands {names.count(name)} times in the first line.",
                "Rename the columns in the file, or name them under drop: of the stream.",
                column=name,
                value=name,
            )
    if not features:
        raise MediaError(
            path,
            "no column remains as a feature.",
            f"Correct drop: {stream.drop}.",
            value=stream.drop,
        )
    return TableColumns(names, features)


def read_table_blocks(path: Path, stream: StreamConfig, warn: Warn) -> Iterator[TableBlock]:
    """Read the rows of a table block by block.

    Parameters
    ----------
    path : Path
        The file.
    stream : StreamConfig
        How the file is read.
    warn : callable
        Receives the warnings about the file.

    Yields
    ------
    TableBlock
        At least one row.

    Raises
    ------
    MediaError
        If the file is not such a table, or a value is not a number.
    """
    columns = read_table_columns(path, stream)
    for rows in select_rows(path, _chunks(path, stream, columns, warn), stream, columns.names):
        used = {*columns.features, *map(columns.names.index, _numeric_columns(stream))}
        types = rows.dtypes.to_numpy()
        for position in sorted(used):
            if not pd.api.types.is_numeric_dtype(types[position]):
                _raise_not_numeric(path, stream, columns.names[position], rows[position])
        values = rows[columns.features].to_numpy(np.float64)
        if stream.valid and not values.flags.writeable:  # a view of a single column
            values = values.copy()
        for rule in stream.valid:
            cells = rows[columns.names.index(rule.column)].to_numpy()
            affected = [not rule.columns or name in rule.columns for name in columns.feature_names]
            values[np.outer(~(cells >= rule.at_least), affected)] = np.nan
        times = None
        if stream.time is not None:
            times = rows[columns.names.index(stream.time)].to_numpy(np.float64)
            if stream.units_per_second != 1:
                times = times / stream.units_per_second
        yield TableBlock(columns, rows, values, times)


def _chunks(
    path: Path, stream: StreamConfig, columns: TableColumns, warn: Warn
) -> Iterator[pd.DataFrame]:
    n_columns, n_rows, is_short = len(columns.names), 0, False
    text = TableText(path, stream.sep, _complete_bytes(path, stream, n_columns, warn))
    try:
        reader = pd.read_csv(
            io.BufferedReader(text, 2**20),
            sep=r"\s+" if stream.sep == " " else stream.sep,
            decimal=stream.decimal,
            header=0 if stream.header else None,
            names=None if stream.header else stream.columns,
            index_col=False,
            skipinitialspace=True,
            chunksize=block_rows(n_columns),
            na_values=NOT_A_NUMBER,
            encoding="utf-8-sig",
        )
        with reader, warnings.catch_warnings():
            # pandas only warns when it drops the cells of a row that is longer than the header
            warnings.simplefilter("error", pd.errors.ParserWarning)
            for block in reader:
                if block.shape[1] != n_columns:
                    raise ValueError(f"{n_columns} cells in the first line, {block.shape[1]} below")
                block.columns = pd.RangeIndex(n_columns)
                n_rows += len(block)
                if len(block):
                    is_short |= bool(block.iloc[:, -1].isna().any())
                    yield block
    except pd.errors.EmptyDataError:
        return
    except MediaError:
        raise
    except Exception as error:  # of the decoder, the parser or the file system
        if text.error is not None:
            raise text.error from None
        raise _unreadable(path, stream, error) from None
    finally:
        text.close()
    if text.n_separators is not None:
        in_rows = text.n_separators - (n_columns - 1 if stream.header else 0)
        n_missing = n_rows * (n_columns - 1) - in_rows
        # a separator at the end of the first line only is harmless
        is_unnamed = stream.header and columns.names[-1] == f"Unnamed: {n_columns - 1}"
        is_short = n_missing > 0 and not (is_unnamed and n_missing == n_rows)
    if is_short:
        _check_lengths(path, stream, columns.names)


def _complete_bytes(path: Path, stream: StreamConfig, n_columns: int, warn: Warn) -> int | None:
    """Return the number of bytes before a last line that was not written completely."""
    start, line = last_line(path)
    n_cells = len(_split_line(line.decode("utf-8", "replace"), stream.sep)) if line.strip() else 0
    if not 0 < n_cells < n_columns:
        return None
    problem = (
        f"ends inside a row: the last line has {n_cells} of {n_columns} cells and is not read."
    )
    remedy = "Copy the file again, or extract the features again."
    warn(MediaWarning("incomplete_row", problem, remedy, float(n_cells)))
    return start


def _check_lengths(path: Path, stream: StreamConfig, names: list[str]) -> None:
    """Check that no row has fewer cells than there are columns; pandas fills them with NaN."""
    is_header = stream.header
    with open_table(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            n_cells = len(_split_line(line.decode("utf-8", "replace"), stream.sep))
            if n_cells < len(names) and not is_header:
                raise MediaError(
                    path,
                    f"line {number} has {n_cells} of {len(names)} cells.",
                    "Complete or remove the line, or export the features again.",
                    line=number,
                    value=n_cells,
                )
            is_header = False


def _unreadable(path: Path, stream: StreamConfig, error: Exception) -> MediaError:
    if isinstance(error, UnicodeDecodeError):
        byte = error.object[error.start]
        problem = f"is not UTF-8 text (byte 0x{byte:02x}: {error.reason})."
        return MediaError(path, problem, "Save it as UTF-8 text.", value=byte)
    remedy = _format_hint(path, stream) or "Check sep:, header: and columns: of the data spec."
    return MediaError(path, f"cannot be read as a table ({str(error).strip()[:200]}).", remedy)


def _format_hint(path: Path, stream: StreamConfig) -> str:
    """Name what a table seems to be, if it is not what the stream describes."""
    if _first_line(path).lstrip().startswith(("#", "%", "//")):
        return "Remove the comment in the first line."
    content = describe_content(path)
    if content != "its content is text":
        return f"Copy the file again: {content}."
    return _separator_hint(path, stream)


def _raise_not_numeric(
    path: Path, stream: StreamConfig, name: str, cells: "pd.Series[Any]"
) -> NoReturn:
    """Raise the error of a column whose cells are not all numbers."""
    wrong = cells[pd.to_numeric(cells, errors="coerce").isna()].dropna()
    if wrong.empty:  # Booleans with empty cells, or integers beyond 64 bits
        wrong = cells.dropna()
    value, row = wrong.iloc[0], int(wrong.index[0])
    problem = f"row {row + 1}: column {name!r} contains {str(value)[:60]!r}, which is not a number."
    remedy = "Name the column under drop:, or check sep: and header: of the data spec."
    if str(value).strip() == name:
        problem = f"row {row + 1} repeats the first line: several tables were joined."
        remedy = "Export one table per recording."
    elif hint := _format_hint(path, stream):
        remedy = hint
    elif stream.decimal == "." and "," in str(value) and _is_number(str(value).replace(",", ".")):
        remedy = 'Set decimal: "," in the data spec, or save the numbers without separators.'
    raise MediaError(path, problem, remedy, column=name, value=value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _first_line(path: Path) -> str:
    """Return the first line that is not blank."""
    line = b""
    with io.BufferedReader(TableText(path, ","), 2**16) as file:
        while not line.strip() and (line := file.readline()):
            pass
    line = line.strip(b"\r\n").split(b"\r")[0]
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MediaError(
            path,
            f"is not UTF-8 text (byte 0x{line[error.start]:02x} in the first line): "
            f"{describe_content(path)}.",
            "Save it as UTF-8 text, or correct format: in the data spec.",
            line=1,
        ) from None


def _split_line(line: str, sep: str) -> list[str]:
    if sep == " ":
        return [name.strip('"') for name in line.split()]
    cells = line.split(sep)
    if '"' in line:
        with contextlib.suppress(csv.Error):  # for example a cell of more than 128 kB
            cells = next(csv.reader([line], delimiter=sep, skipinitialspace=True), [])
    return [name.strip() for name in cells]


def _separator_hint(path: Path, stream: StreamConfig) -> str:
    """Name the separator that a table seems to have, if it is not that of the stream."""
    line = _first_line(path)
    counts = {sep: len(_split_line(line, sep)) for sep in SEPARATORS}
    best = max(counts, key=lambda sep: counts[sep])
    if best == stream.sep or counts[best] <= len(_split_line(line, stream.sep)):
        return ""
    if stream.sep in counts and counts[stream.sep] > 1 and best == " ":
        return ""  # names that contain blanks
    return (
        f"The table seems to be separated by {SEPARATORS[best]} ({counts[best]} cells in the first "
        "line): correct sep: of the data spec."
    )


def _named_columns(stream: StreamConfig) -> set[str]:
    """Return the columns that the settings of a stream refer to."""
    names = _numeric_columns(stream)
    names |= {name for rule in stream.valid for name in rule.columns}
    return names | ({stream.select.column} if stream.select else set())


def _numeric_columns(stream: StreamConfig) -> set[str]:
    """Return the columns without features whose cells must be numbers."""
    return {rule.column for rule in stream.valid} | ({stream.time} if stream.time else set())
