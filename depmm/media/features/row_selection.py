"""Select the rows of a table that has several rows per time, for example one per face."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depmm.config import StreamConfig
from depmm.media.errors import MediaError
from depmm.media.features.id_columns import MAX_LISTED, list_values


def select_rows(
    path: Path, blocks: Iterator[pd.DataFrame], stream: StreamConfig, names: list[str]
) -> Iterator[pd.DataFrame]:
    """Apply ``select`` of a stream to the blocks of a table.

    Parameters
    ----------
    path : Path
        The file, for messages.
    blocks : iterator of DataFrame
        All rows in order; columns are named by their positions.
    stream : StreamConfig
        With ``select``; without it, all rows are returned.
    names : list of str
        Names of the columns.

    Yields
    ------
    DataFrame
        The selected rows, at least one.

    Raises
    ------
    MediaError
        If the column does not have the value, or contains text where the largest value is wanted.
    """
    if stream.select is None:
        yield from blocks
    elif stream.select.value is not None:
        column = names.index(stream.select.column)
        yield from _with_value(path, blocks, column, stream.select.column, stream.select.value)
    else:
        assert stream.time is not None
        column, time = names.index(stream.select.column), names.index(stream.time)
        yield from _with_largest(path, blocks, column, time, stream.select.column)


def _with_value(
    path: Path, blocks: Iterator[pd.DataFrame], column: int, name: str, value: float | str
) -> Iterator[pd.DataFrame]:
    seen: dict[Any, None] = {}
    found = False
    for block in blocks:
        cells = block[column]
        if pd.api.types.is_numeric_dtype(cells):
            number = _as_number(value)
            chosen = np.zeros(len(cells), bool) if number is None else cells.to_numpy() == number
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            chosen = cells.astype(str).str.strip().to_numpy() == text
        if len(seen) < MAX_LISTED:
            seen |= dict.fromkeys(cells.unique()[:MAX_LISTED].tolist())
        if chosen.any():
            found = True
            yield block[chosen]
    if seen and not found:
        raise MediaError(
            path,
            f"no row has the value {value!r} in column {name!r} (values are "
            f"{', '.join(list_values(seen))}).",
            "Correct select: of the stream in the data spec.",
            column=name,
            value=value,
        )


def _as_number(value: float | str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _with_largest(
    path: Path, blocks: Iterator[pd.DataFrame], column: int, time: int, name: str
) -> Iterator[pd.DataFrame]:
    rest: pd.DataFrame | None = None  # the last time of a block may go on in the next
    for block in blocks:
        if not pd.api.types.is_numeric_dtype(block[column]):
            raise MediaError(
                path,
                f"column {name!r} contains text, for example {str(block[column].iloc[0])[:60]!r}.",
                "Name a column of numbers in select: of the data spec.",
                column=name,
            )
        rows = block if rest is None else pd.concat([rest, block])
        times = rows[time].to_numpy()
        same = times == times[-1]
        last = 0 if same.all() else len(rows) - int(np.argmin(same[::-1]))
        if last:
            yield _largest_of_each(rows[:last], column, time)
        rest = _largest_of_each(rows[last:], column, time) if last < len(rows) else None
    if rest is not None:
        yield rest


def _largest_of_each(rows: pd.DataFrame, column: int, time: int) -> pd.DataFrame:
    """Return the rows with the largest cell of their time, the first of equal ones."""
    times, cells = rows[time].to_numpy(), rows[column].to_numpy(np.float64)
    cells = np.where(np.isnan(cells), -np.inf, cells)
    is_first = np.r_[True, times[1:] != times[:-1]]
    group = np.cumsum(is_first) - 1
    largest = np.maximum.reduceat(cells, np.flatnonzero(is_first))
    candidates = np.flatnonzero(cells == largest[group])
    return rows.iloc[candidates[np.unique(group[candidates], return_index=True)[1]]]
