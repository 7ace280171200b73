"""Read the feature files of a corpus in blocks: tables, NumPy and MATLAB arrays.

Invalid values (cells that are not finite, rows that the tracker marked as invalid) become NaN, so
that the validity is stored with the values.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from depmm.config import StreamConfig
from depmm.media.containers.container import check_file
from depmm.media.errors import MediaError
from depmm.media.features.feature_arrays import read_array_blocks
from depmm.media.features.feature_checks import FeatureChecks
from depmm.media.features.feature_tables import read_table_blocks, read_table_columns
from depmm.media.warnings import Warn, ignore_warnings


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
        If the file is damaged, empty or pickled, a column is missing, stands twice or is not
        numeric, there are several rows per time, or times descend, never rise or are not in
        seconds. Some of these are known only at the end of the file.
    """
    check_file(path)
    checks = FeatureChecks(path, stream)
    names = stream.columns
    try:
        if stream.format == "table":
            for block in read_table_blocks(path, stream, warn):
                names = block.columns.feature_names
                checks.ids.add(block.columns.names, block.rows, stream.time)
                times, rows = block.times, block.rows.index.to_numpy()
                if times is None:
                    times = _times(checks.n_rows, len(rows), stream)
                checks.add_times(times, rows)
                yield times, checks.add_values(block.values)
        else:
            for values in read_array_blocks(path, stream, allow_pickle, warn):
                times = _times(checks.n_rows, len(values), stream)
                yield times, checks.add_values(values)
    except OSError as error:  # of the medium, not of what the file contains
        raise MediaError(path, f"cannot be read ({error}).", "Copy it again.") from None
    checks.finish(names, warn)


def _times(first: int, count: int, stream: StreamConfig) -> np.ndarray:
    times: np.ndarray = (first + np.arange(count)) / stream.rate_hz
    return times


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
    return read_table_columns(path, stream).feature_names


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
