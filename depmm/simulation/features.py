"""Simulated feature files: noise whose mean falls with bluntness, in the format of a stream."""

import fnmatch
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depmm.config import StreamConfig
from depmm.corpora.spec_schema import Simulation
from depmm.simulation.writers import write_array, write_cells

SHIFT_PER_UNIT = -1.0  # of the mean of every feature, in standard deviations
INVALID_SHARE = 0.05  # of the rows, if the stream marks invalid rows or contains -inf
N_FEATURES = 8  # values in a row if the spec does not state their number


def write_features(
    path: Path,
    stream: StreamConfig,
    hints: Simulation,
    bluntness: NDArray[np.float64],
    rng: np.random.Generator,
    tracking_failed: bool = False,
) -> None:
    """Write a feature file.

    Parameters
    ----------
    path : Path
        The file.
    stream : StreamConfig
        Format of the stream.
    hints : Simulation
        The section ``simulate:`` of the spec, for column names, array shapes and streams with -inf.
    bluntness : ndarray, shape (N,)
        Bluntness in each of the rows.
    rng : Generator
        Source of randomness.
    tracking_failed : bool, default False
        Whether all rows are invalid, or zero if no column of the stream marks invalid rows.
    """
    time = np.arange(len(bluntness)) / stream.rate_hz
    shift = SHIFT_PER_UNIT * bluntness[:, None]
    if stream.format == "table":
        columns = _table_columns(stream, hints, time, shift, rng, tracking_failed)
        rows = [
            [v if isinstance(v, str) else f"{v:g}".replace(".", stream.decimal) for v in row]
            for row in zip(*columns.values(), strict=True)
        ]
        write_cells(path, [[*columns], *rows] if stream.header else rows, stream.sep)
    else:
        shape = hints.shapes.get(stream.name) or [N_FEATURES] * max(1, stream.axis)
        values = rng.standard_normal((len(bluntness), int(np.prod(shape)))) + shift
        values *= 0.0 if tracking_failed else 1.0
        write_array(path, values.astype(np.float32), stream, shape)


def _table_columns(
    stream: StreamConfig,
    hints: Simulation,
    time: NDArray[np.float64],
    shift: NDArray[np.float64],
    rng: np.random.Generator,
    tracking_failed: bool,
) -> dict[str, NDArray[np.float64]]:
    """Simulate the columns of a table by name."""
    n_rows = len(time)
    names = stream.columns or hints.columns.get(stream.name) or _column_names(stream)
    values = np.round(rng.standard_normal((n_rows, len(names))) + shift, 4)
    columns = dict(zip(names, values.T, strict=True))
    for name in names:
        if name == stream.time:
            columns[name] = np.round(time * stream.units_per_second, 4)
        elif any(fnmatch.fnmatchcase(name, text) for text in stream.drop):
            columns[name] = np.arange(1.0, n_rows + 1)
        elif tracking_failed and not stream.valid:
            columns[name] = np.zeros(n_rows)
    if stream.select is not None and stream.select.value is not None:
        columns[stream.select.column] = np.full(n_rows, stream.select.value, object)
    for rule in stream.valid:
        invalid = np.full(n_rows, True)
        if not tracking_failed:
            invalid = rng.uniform(size=n_rows) < INVALID_SHARE
        low = 0.0 if rule.at_least > 0 else rule.at_least - 1
        high = max(rule.at_least, min(1.0, rule.at_least + 0.4))
        columns[rule.column] = np.where(invalid, low, high)
    if stream.name in hints.infinite:
        measured = [name for name in names if name not in {rule.column for rule in stream.valid}]
        for row in np.flatnonzero(rng.uniform(size=n_rows) < INVALID_SHARE):
            columns[measured[int(rng.integers(len(measured)))]][row] = -np.inf
    return columns


def _column_names(stream: StreamConfig) -> list[str]:
    """Name the columns of a table whose header the spec does not state."""
    validity = [rule.column for rule in stream.valid]
    validity += [name for rule in stream.valid for name in rule.columns]
    validity += [stream.select.column] if stream.select else []
    dropped = [name.replace("*", "0") for name in stream.drop]
    time = [stream.time] if stream.time else []
    features = [f"f{index}" for index in range(N_FEATURES)]
    return list(dict.fromkeys([*dropped, *time, *validity, *features]))
