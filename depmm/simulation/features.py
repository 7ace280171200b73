"""Features of simulated people: noise whose mean falls with bluntness, in a stream's own format."""

import fnmatch
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depmm.config import StreamConfig
from depmm.corpora.spec_schema import Simulation
from depmm.simulation.writers import write_array, write_cells

SHIFT_PER_UNIT = -1.0  # of the mean of every feature, in standard deviations
BLUNTNESS_HZ = 100.0  # rate of the bluntness that is handed over
INVALID_SHARE = 0.05  # of rows, where the stream knows invalid ones or has a number that is -inf
WIDTH = 8  # numbers in a row where the spec does not say


def write_features(
    path: Path,
    stream: StreamConfig,
    hints: Simulation,
    bluntness: NDArray[np.float64],
    rng: np.random.Generator,
    broken: bool = False,
) -> None:
    """Write a file of features.

    Parameters
    ----------
    path : the file
    stream : how it is read
    hints : names the columns of a header, the shapes of arrays and the streams with -inf
    bluntness : float64[N], at ``BLUNTNESS_HZ``, for the whole recording
    broken : the tracker saw nothing: all rows are invalid, or zero where no column says so
    """
    rows = max(1, round(len(bluntness) / BLUNTNESS_HZ * stream.rate_hz))
    time = np.arange(rows) / stream.rate_hz
    at = np.minimum((time * BLUNTNESS_HZ).astype(int), len(bluntness) - 1)
    shift = SHIFT_PER_UNIT * bluntness[at, None]
    if stream.format != "table":
        shape = hints.shapes.get(stream.name) or [WIDTH] * max(1, stream.axis)
        values = rng.standard_normal((rows, int(np.prod(shape)))) + shift
        write_array(path, (0.0 if broken else 1.0) * values.astype(np.float32), stream, shape)
        return
    named = stream.columns or hints.columns.get(stream.name) or _columns(stream)
    values = np.round(rng.standard_normal((rows, len(named))) + shift, 4)
    columns = dict(zip(named, values.T, strict=True))
    for name in named:
        if name == stream.time:
            columns[name] = np.round(time, 4)
        elif any(fnmatch.fnmatchcase(name, text) for text in stream.drop):
            columns[name] = np.arange(1.0, rows + 1)
        elif broken and not stream.valid:
            columns[name] = np.zeros(rows)
    for rule in stream.valid:
        lost = np.full(rows, True) if broken else rng.uniform(size=rows) < INVALID_SHARE
        low = 0.0 if rule.at_least > 0 else rule.at_least - 1
        columns[rule.column] = np.where(
            lost, low, max(rule.at_least, min(1.0, rule.at_least + 0.4))
        )
    if stream.name in hints.infinite:
        numbers = [name for name in named if name not in {rule.column for rule in stream.valid}]
        for row in np.flatnonzero(rng.uniform(size=rows) < INVALID_SHARE):
            columns[numbers[int(rng.integers(len(numbers)))]][row] = -np.inf
    cells = [[f"{value:g}" for value in row] for row in zip(*columns.values(), strict=True)]
    write_cells(path, [named, *cells] if stream.header else cells, stream.sep)


def _columns(stream: StreamConfig) -> list[str]:
    """Columns of a table whose header the spec does not tell."""
    asked = [rule.column for rule in stream.valid]
    asked += [name for rule in stream.valid for name in rule.columns]
    dropped = [name.replace("*", "0") for name in stream.drop]
    time = [stream.time] if stream.time else []
    return list(dict.fromkeys([*dropped, *time, *asked, *(f"f{n}" for n in range(WIDTH))]))
