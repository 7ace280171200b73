"""Read the feature files of a corpus in blocks: tables, NumPy and MATLAB arrays.

Invalid values (cells that are not finite, rows that the tracker marked as invalid) become NaN, so
that the validity is stored with the values. Pickled files are refused by default.
"""

import fnmatch
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depmm.config import StreamConfig
from depmm.media.container import check_file
from depmm.media.errors import MediaError
from depmm.media.warnings import Warn, ignore_warnings

BLOCK_ROWS = 8192  # rows in memory at a time
# NaN and infinity as C++ programs print them on Windows
NOT_A_NUMBER = ["-nan(ind)", "nan(ind)", "-1.#IND", "1.#IND", "1.#QNAN", "-1.#INF", "1.#INF"]


def read_features(
    path: Path,
    stream: StreamConfig,
    allow_pickle: bool = False,
    *,
    warn: Warn = ignore_warnings,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read the rows of a feature file block by block.

    Parameters
    ----------
    path : Path
        The file.
    stream : StreamConfig
        How the file is read.
    allow_pickle : bool, default False
        Whether a pickled ``.npy`` is read, which runs code from the file. Use it only for files
        from a source that you trust.
    warn : callable, optional
        Receives the warnings about the file.

    Yields
    ------
    times : ndarray of float64, shape (T,)
        Seconds on the clock of the recording, in ascending order; equal times are allowed.
    values : ndarray of float32, shape (T, F)
        The rows; invalid values are NaN.

    Raises
    ------
    MediaError
        If the file is unreadable, empty or pickled, a column is missing or not numeric,
        or times descend.
    """
    check_file(path)
    if stream.format == "table":
        blocks = _table_blocks(path, stream)
    else:
        blocks = _array_blocks(path, stream, allow_pickle)
    first, last = 0, -math.inf
    for times, values in blocks:
        if times is None:
            times = (first + np.arange(len(values))) / stream.rate_hz
        rising = np.diff(times, prepend=last) >= 0
        if not rising.all():
            row = first + int(np.argmin(rising))
            raise MediaError(
                path,
                f"row {row}: the time {times[row - first]:g} s is not a number, or is before that "
                "of the row above.",
                "Correct the file, or leave this session out.",
                column=stream.time,
                value=times[row - first],
            )
        first, last = first + len(values), times[-1]
        yield times, np.where(np.isfinite(values), values, np.nan).astype(np.float32)
    if not first:
        raise MediaError(path, "the file has no rows.", "Leave this session out.")


def feature_names(path: Path, stream: StreamConfig) -> list[str]:
    """Read the names of the features.

    Parameters
    ----------
    path : Path
        The file.
    stream : StreamConfig
        How the file is read.

    Returns
    -------
    list of str
        One name per feature, from the file or the stream; empty for arrays without names.

    Raises
    ------
    MediaError
        If the table cannot be read or a column is missing.
    """
    if stream.format != "table":
        return list(stream.columns)
    block = next(_chunks(path, stream, 1), None)
    if block is None:
        raise MediaError(path, "the file has no rows.", "Leave this session out.")
    return _select_columns(path, stream, list(block.columns))


def feature_duration_s(path: Path, stream: StreamConfig, allow_pickle: bool = False) -> float:
    """Compute the length of a feature file: the time of its last row plus one period.

    Parameters
    ----------
    path : Path
        The file.
    stream : StreamConfig
        How the file is read.
    allow_pickle : bool, default False
        As in :func:`read_features`.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    MediaError
        As :func:`read_features`.
    """
    end = 0.0
    for times, _ in read_features(path, stream, allow_pickle):
        end = float(times[-1])
    return end + 1 / stream.rate_hz


def _table_blocks(
    path: Path, stream: StreamConfig
) -> Iterator[tuple[np.ndarray | None, np.ndarray]]:
    names: list[str] = []
    for block in _chunks(path, stream, BLOCK_ROWS):
        names = names or _select_columns(path, stream, list(block.columns))
        for name in {*names, *_named_columns(stream)}:
            if not pd.api.types.is_numeric_dtype(block[name]):
                not_numeric = block[name][
                    pd.to_numeric(block[name], errors="coerce").isna()
                ].dropna()
                raise MediaError(
                    path,
                    f"column {name!r} contains {not_numeric.iloc[0]!r}, which is not a number.",
                    "Name the column under drop:, or check sep: and header: of the data spec.",
                    column=name,
                    value=not_numeric.iloc[0],
                )
        values = block[names].to_numpy(np.float64)
        for rule in stream.valid:
            invalid = ~(block[rule.column].to_numpy() >= rule.at_least)
            affected = np.array([not rule.columns or name in rule.columns for name in names])
            values[np.outer(invalid, affected)] = np.nan
        yield None if stream.time is None else block[stream.time].to_numpy(np.float64), values


def _chunks(path: Path, stream: StreamConfig, rows: int) -> Iterator[pd.DataFrame]:
    try:
        reader = pd.read_csv(
            path,
            sep=r"\s+" if stream.sep == " " else stream.sep,
            header=0 if stream.header else None,
            names=None if stream.header else stream.columns,
            index_col=False,
            skipinitialspace=True,
            chunksize=rows,
            na_values=NOT_A_NUMBER,
            encoding="utf-8-sig",
        )
        with reader, warnings.catch_warnings():
            # pandas only warns when it drops the cells of a row that is longer than the header
            warnings.simplefilter("error", pd.errors.ParserWarning)
            for block in reader:
                block.columns = [str(name).strip() for name in block.columns]
                if len(block):
                    yield block
    except pd.errors.EmptyDataError:
        return
    except (ValueError, pd.errors.ParserWarning, OSError) as error:
        raise MediaError(
            path,
            f"cannot be read as a table ({error}).",
            "Check sep:, header: and columns: of the data spec.",
        ) from None


def _select_columns(path: Path, stream: StreamConfig, columns: list[str]) -> list[str]:
    """Return the names of the columns that are features."""
    for name in _named_columns(stream):
        if name not in columns:
            raise MediaError(
                path,
                f"column {name!r} is missing (the first columns are {', '.join(columns[:8])}).",
                "Correct the stream in the data spec.",
                column=name,
            )
    drop = [*stream.drop, *([stream.time] if stream.time else [])]
    selected = [name for name in columns if not any(fnmatch.fnmatchcase(name, d) for d in drop)]
    if not selected:
        raise MediaError(
            path,
            "no column remains as a feature.",
            f"Correct drop: {stream.drop}.",
            value=stream.drop,
        )
    return selected


def _named_columns(stream: StreamConfig) -> set[str]:
    """Return the columns that the settings of a stream refer to."""
    names = {rule.column for rule in stream.valid}
    names |= {name for rule in stream.valid for name in rule.columns}
    return names | ({stream.time} if stream.time else set())


def _array_blocks(
    path: Path, stream: StreamConfig, allow_pickle: bool
) -> Iterator[tuple[np.ndarray | None, np.ndarray]]:
    array = _load_npy(path, allow_pickle) if stream.format == "npy" else _load_mat(path, stream)
    if array.dtype.kind not in "fiub" or array.ndim <= stream.axis:
        raise MediaError(
            path,
            f"the array has type {array.dtype} and shape {array.shape}; expected are rows of "
            f"numbers on axis {stream.axis}.",
            "Correct axis: in the data spec.",
            value=array.shape,
        )
    rows = np.moveaxis(array, stream.axis, 0)
    for start in range(0, len(rows), BLOCK_ROWS):
        part = rows[start : start + BLOCK_ROWS]
        yield None, np.asarray(part, np.float64).reshape(len(part), -1)


def _load_npy(path: Path, allow_pickle: bool) -> Any:
    try:
        if not _is_pickled(path):
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if allow_pickle:
            loaded = np.load(path, allow_pickle=allow_pickle)
            return np.stack([np.asarray(item, np.float64) for item in loaded.reshape(-1)])
    except (ValueError, OSError, EOFError, TypeError) as error:
        raise MediaError(path, f"not a NumPy array ({error}).", "Copy it again.") from None
    raise MediaError(
        path,
        "the file is pickled: reading it would run code from the file.",
        "If you trust its source, give --allow-pickle. Plain arrays are safer.",
    )


def _is_pickled(path: Path) -> bool:
    """Check from the header whether a file is a pickle or a NumPy array of objects."""
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            file.seek(0)
            return file.read(1) == b"\x80"
        file.seek(0)
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        return read is not None and bool(read(file)[2].hasobject)


def _load_mat(path: Path, stream: StreamConfig) -> Any:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except Exception as error:  # scipy raises anything on damaged files, IndexError for example
        raise MediaError(
            path, f"not a MATLAB file of version 7.2 or older ({error}).", "Save it with -v7."
        ) from None
    if stream.variable not in content:
        known = ", ".join(name for name in content if not name.startswith("__"))
        raise MediaError(
            path,
            f"variable {stream.variable!r} is missing (the file has {known}).",
            "Correct variable: in the data spec.",
            value=stream.variable,
        )
    return content[stream.variable]
