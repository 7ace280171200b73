"""Read feature arrays, NumPy and MATLAB files, in blocks of rows.

Nothing is allocated because of a number in a header: shapes are compared with the size of the file
first. Pickled files are refused by default.
"""

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from depmm.config import StreamConfig
from depmm.media.errors import MediaError
from depmm.media.features.file_content import describe_content
from depmm.media.features.mat_headers import check_mat_variable
from depmm.media.warnings import MediaWarning, Warn

BLOCK_ROWS = 8192  # rows in memory at a time, fewer if they are long
BLOCK_VALUES = 2**22  # values in memory at a time, 32 MB
MAX_FEATURES = 2_000_000  # values of one row, more than those of a 3 x 720 x 800 picture


def block_rows(n_features: int) -> int:
    """Compute the number of rows of a block.

    Parameters
    ----------
    n_features : int
        Values of a row.

    Returns
    -------
    int
        At least 1.
    """
    return max(1, min(BLOCK_ROWS, BLOCK_VALUES // max(1, n_features)))


def read_array_blocks(
    path: Path, stream: StreamConfig, allow_pickle: bool, warn: Warn
) -> Iterator[np.ndarray]:
    """Read the rows of an array block by block.

    Parameters
    ----------
    path : Path
        The file.
    stream : StreamConfig
        Format, axis of the rows and variable.
    allow_pickle : bool
        Whether a pickled ``.npy`` is read, which runs code from the file.
    warn : callable
        Receives the warnings about the file.

    Yields
    ------
    ndarray, shape (T, F)
        Numbers of any type.

    Raises
    ------
    MediaError
        If the file is not such an array, is incomplete or pickled, or has no rows.
    """
    if stream.format == "mat":
        yield from _array_rows(path, _load_mat(path, stream), stream.axis)
    elif not _is_pickled(path):
        yield from _npy_rows(path, stream.axis, warn)
    elif allow_pickle:
        yield from _array_rows(path, _load_pickled(path, allow_pickle), stream.axis)
    else:
        raise MediaError(
            path,
            "the file is pickled: reading it would run code from the file.",
            "If you trust its source, give --allow-pickle. Plain arrays are safer.",
        )


def _check_shape(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], axis: int) -> int:
    """Return the number of values of a row."""
    if dtype.kind not in "fiub" or len(shape) <= axis:
        raise MediaError(
            path,
            f"the array has type {str(dtype)[:60]} and shape {shape}; expected are rows of "
            f"numbers on axis {axis}.",
            "Correct axis: in the data spec, or save real numbers.",
            value=shape,
        )
    n_features = math.prod(shape[:axis] + shape[axis + 1 :])
    if shape[axis] and not 0 < n_features <= MAX_FEATURES:
        raise MediaError(
            path,
            f"the array of shape {shape} has {n_features} values in each of {shape[axis]} rows; "
            f"expected are 1 to {MAX_FEATURES}.",
            "Correct axis: in the data spec, or save the features again.",
            value=shape,
        )
    return n_features


def _array_rows(path: Path, array: np.ndarray, axis: int) -> Iterator[np.ndarray]:
    n_features = _check_shape(path, array.dtype, array.shape, axis)
    rows = np.moveaxis(array, axis, 0)
    count = block_rows(n_features)
    for start in range(0, len(rows), count):
        part = rows[start : start + count]
        yield part.reshape(len(part), -1)


def _npy_rows(path: Path, axis: int, warn: Warn) -> Iterator[np.ndarray]:
    with path.open("rb") as file:
        shape, fortran_order, dtype = _read_npy_header(path, file)
        offset = file.tell()
    n_features = _check_shape(path, dtype, shape, axis)
    stated, present = math.prod(shape) * dtype.itemsize, path.stat().st_size - offset
    if present < stated:
        raise MediaError(
            path,
            f"the array of shape {shape} has {stated} bytes, but the file has only {present} of "
            "them: it is incomplete.",
            "Copy it again, or extract the features again.",
            value=present,
        )
    if present > stated:
        warn(
            MediaWarning(
                "trailing_data",
                f"has {present - stated} bytes after the array of shape {shape}, which are not "
                "read.",
                "Save one array per file; np.save appends to a file that is open.",
                float(present - stated),
            )
        )
    count = block_rows(n_features)
    if axis == 0 and not fortran_order:
        with path.open("rb") as file:  # not a memory map, whose pages would count as memory
            file.seek(offset)
            for start in range(0, shape[0], count):
                n_rows = min(count, shape[0] - start)
                values = np.fromfile(file, dtype, n_rows * n_features)
                yield values.reshape(n_rows, n_features)
        return
    for start in range(0, shape[axis], count):  # mapped again, to free the pages of earlier blocks
        array: Any = np.memmap(
            path, dtype, mode="r", offset=offset, shape=shape, order="F" if fortran_order else "C"
        )
        part = np.moveaxis(array, axis, 0)[start : start + count]
        yield np.array(part).reshape(len(part), -1)


def _read_npy_header(path: Path, file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            raise ValueError(f"version {version} of the format is for named columns")
        with warnings.catch_warnings():  # files of Python 2
            warnings.simplefilter("ignore")
            shape, fortran_order, dtype = readers[version](file)
        if any(length < 0 for length in shape):
            raise ValueError(f"shape {shape}")
        return shape, fortran_order, dtype
    except Exception as error:  # a damaged header is parsed as Python: any exception
        raise MediaError(
            path,
            f"not a NumPy array: {describe_content(path)} ({str(error)[:200]}).",
            "Copy it again, or correct format: in the data spec.",
        ) from None


def _is_pickled(path: Path) -> bool:
    """Check from the header whether a file is a pickle or a NumPy array of objects."""
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            file.seek(0)
            return file.read(1) == b"\x80"
        file.seek(0)
        return bool(_read_npy_header(path, file)[2].hasobject)


def _load_pickled(path: Path, allow_pickle: bool) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=allow_pickle)
        if loaded.dtype != object:
            return np.asarray(loaded)
        if all(np.ndim(item) == 0 for item in loaded.flat):  # numbers, not arrays of numbers
            return np.asarray(loaded, np.float64)
        return np.stack([np.asarray(item, np.float64) for item in loaded.reshape(-1)])
    except Exception as error:  # objects may raise anything
        raise MediaError(
            path,
            f"the pickled objects are not rows of equal length ({str(error)[:200]}).",
            "Save them as one plain array.",
        ) from None


def _load_mat(path: Path, stream: StreamConfig) -> np.ndarray:
    from scipy.io import loadmat

    assert stream.variable is not None
    check_mat_variable(path, stream.variable)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = loadmat(path, variable_names=[stream.variable])
        return np.asarray(content[stream.variable])
    except Exception as error:  # scipy raises anything on damaged files, IndexError for example
        raise MediaError(
            path,
            f"variable {stream.variable!r} cannot be read ({str(error)[:200]}).",
            "Copy the file again, or save it with -v7.",
            value=stream.variable,
        ) from None
