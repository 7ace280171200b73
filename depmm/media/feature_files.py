"""Files of features to arrays: tables, NumPy and MATLAB arrays that a corpus ships, in blocks.

What is not valid (a cell that is not finite, a row that the tracker did not trust) is NaN from
here on, so that a number and its validity cannot drift apart. Nothing is unpickled unless asked.
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
from depmm.media.errors import MediaError
from depmm.media.video import check_file

BLOCK = 8192  # rows held at a time
# what C++ programs print on Windows
NOT_A_NUMBER = ["-nan(ind)", "nan(ind)", "-1.#IND", "1.#IND", "1.#QNAN", "-1.#INF", "1.#INF"]


class _Pickled(Exception):
    """A file that only running its code would open."""


def read_features(
    path: Path, stream: StreamConfig, allow_pickle: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read the rows of a file block by block.

    Parameters
    ----------
    path : the file
    stream : how it is read
    allow_pickle : run the code inside a pickled ``.npy``; only for files whose makers you trust

    Yields
    ------
    float64 [T] seconds in the recording, not falling; float32 [T, F], NaN where not valid

    Raises
    ------
    MediaError : unreadable, empty, pickled, a column that is missing or holds no numbers, times
        that fall
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
                path, f"row {row}: the time {times[row - first]:g} s is no number or falls back. "
                "Correct the file, or leave this session out."
            )  # fmt: skip
        first, last = first + len(values), times[-1]
        yield times, np.where(np.isfinite(values), values, np.nan).astype(np.float32)
    if not first:
        raise MediaError(path, "holds no rows. Leave this session out.")


def feature_names(path: Path, stream: StreamConfig) -> list[str]:
    """Name the numbers of a row, as far as file or stream name them; empty for bare arrays.

    Raises
    ------
    MediaError : the table cannot be read or lacks a column
    """
    if stream.format != "table":
        return list(stream.columns)
    block = next(_chunks(path, stream, 1), None)
    if block is None:
        raise MediaError(path, "holds no rows. Leave this session out.")
    return _kept(path, stream, list(block.columns))


def duration_s(path: Path, stream: StreamConfig, allow_pickle: bool = False) -> float:
    """Length of a file of features: the time of its last row and a row more.

    Raises
    ------
    MediaError : as ``read_features``
    """
    end = 0.0
    for times, _ in read_features(path, stream, allow_pickle):
        end = float(times[-1])
    return end + 1 / stream.rate_hz


def _table_blocks(
    path: Path, stream: StreamConfig
) -> Iterator[tuple[np.ndarray | None, np.ndarray]]:
    kept: list[str] = []
    for block in _chunks(path, stream, BLOCK):
        kept = kept or _kept(path, stream, list(block.columns))
        for name in {*kept, *_asked(stream)}:
            if not pd.api.types.is_numeric_dtype(block[name]):
                odd = block[name][pd.to_numeric(block[name], errors="coerce").isna()].dropna()
                raise MediaError(
                    path, f"column {name!r} holds {odd.iloc[0]!r}, which is no number. Name the "
                    "column under drop:, or check sep: and header: of the spec."
                )  # fmt: skip
        values = block[kept].to_numpy(np.float64)
        for rule in stream.valid:
            weak = ~(block[rule.column].to_numpy() >= rule.at_least)
            chosen = np.array([not rule.columns or name in rule.columns for name in kept])
            values[np.outer(weak, chosen)] = np.nan
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
            # rows longer than the header lose cells with no more than a warning
            warnings.simplefilter("error", pd.errors.ParserWarning)
            for block in reader:
                block.columns = [str(name).strip() for name in block.columns]
                if len(block):
                    yield block
    except pd.errors.EmptyDataError:
        return
    except (ValueError, pd.errors.ParserWarning, OSError) as error:
        raise MediaError(
            path, f"cannot be read as a table ({error}). Check sep:, header: and columns: of the "
            "spec."
        ) from None  # fmt: skip


def _kept(path: Path, stream: StreamConfig, columns: list[str]) -> list[str]:
    """Columns that are features."""
    for name in _asked(stream):
        if name not in columns:
            raise MediaError(
                path, f"column {name!r} is missing (found: {', '.join(columns[:8])}, ...). Correct "
                "the stream in the spec."
            )  # fmt: skip
    drop = [*stream.drop, *([stream.time] if stream.time else [])]
    kept = [name for name in columns if not any(fnmatch.fnmatchcase(name, d) for d in drop)]
    if not kept:
        raise MediaError(path, f"no column is left as a feature. Correct drop: {stream.drop}.")
    return kept


def _asked(stream: StreamConfig) -> set[str]:
    """Columns that the stream speaks of by name."""
    asked = {rule.column for rule in stream.valid}
    asked |= {name for rule in stream.valid for name in rule.columns}
    return asked | ({stream.time} if stream.time else set())


def _array_blocks(
    path: Path, stream: StreamConfig, allow_pickle: bool
) -> Iterator[tuple[np.ndarray | None, np.ndarray]]:
    array = _load_npy(path, allow_pickle) if stream.format == "npy" else _load_mat(path, stream)
    if array.dtype.kind not in "fiub" or array.ndim <= stream.axis:
        raise MediaError(
            path, f"holds an array of {array.dtype} with shape {array.shape}; rows of numbers on "
            f"axis {stream.axis} were expected. Correct axis: in the spec."
        )  # fmt: skip
    rows = np.moveaxis(array, stream.axis, 0)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        yield None, np.asarray(part, np.float64).reshape(len(part), -1)


def _load_npy(path: Path, allow_pickle: bool) -> Any:
    try:
        if not _is_pickled(path):
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if not allow_pickle:
            raise _Pickled
        loaded = np.load(path, allow_pickle=allow_pickle)
        return np.stack([np.asarray(item, np.float64) for item in loaded.reshape(-1)])
    except _Pickled:
        raise MediaError(
            path, "is pickled: reading it runs code from the file. If you trust its makers, give "
            "--allow-pickle; better, ask them for plain arrays."
        ) from None  # fmt: skip
    except (ValueError, OSError, EOFError, TypeError) as error:
        raise MediaError(path, f"not a NumPy array ({error}). Copy it again.") from None


def _is_pickled(path: Path) -> bool:
    """Whether a file is a NumPy array of objects, by its header alone, or a bare pickle."""
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
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path)
    except (ValueError, OSError, NotImplementedError, MatReadError) as error:
        raise MediaError(path, f"not a MATLAB file up to version 7.2 ({error}).") from None
    if stream.variable not in content:
        known = ", ".join(name for name in content if not name.startswith("__"))
        raise MediaError(path, f"has no variable {stream.variable!r}, only {known}.")
    return content[stream.variable]
