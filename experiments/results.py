"""Results files: measured rows with command, commit, seeds, interval method and machine.

A benchmark calls :func:`publish`, which prints its table and, with ``--record``, writes
``experiments/results/NAME.json``. The source of rows from trained runs is that of the trainings
(:func:`experiments.results_source.describe_origin`).

Record after the measured code is on the main branch: a commit that was rebased afterwards is
unknown to other clones.
"""

import json
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from depmm.files.writing import write_text
from experiments.results_source import describe_source
from experiments.results_tables import markdown_rows

RESULTS = Path(__file__).with_suffix("")
Row = Mapping[str, Any]


def interval(value: float, low: float, high: float) -> dict[str, float]:
    """Return the cell of a measured value with its interval or range.

    Parameters
    ----------
    value, low, high : float
        Estimate and bounds.
    """
    return {"value": float(value), "low": float(low), "high": float(high)}


def aim(
    column: str = "ratio", *, at_most: float | None = None, at_least: float | None = None
) -> dict[str, float | str]:
    """Return the cell of an aim, with which the page states whether the row meets it.

    Parameters
    ----------
    column : str, default "ratio"
        Column of the measured value.
    at_most, at_least : float, optional
        Limit of the value; exactly one of them.

    Raises
    ------
    ValueError
        If not exactly one limit is given.
    """
    if (at_most is None) == (at_least is None):
        raise ValueError("aim: give at_most or at_least.")
    limits = {"at_most": at_most, "at_least": at_least}
    return {"of": column} | {name: value for name, value in limits.items() if value is not None}


def refuse_settings(parser: ArgumentParser, options: Namespace, *names: str) -> None:
    """End with an error if rows are to be recorded that the recorded command does not measure.

    Parameters
    ----------
    parser : ArgumentParser
        Parser of the benchmark.
    options : Namespace
        What it parsed.
    *names : str
        Options that the recorded command does not name.
    """
    changed = [name for name in names if getattr(options, name) != parser.get_default(name)]
    if options.record and changed:
        parser.error(f"--record needs the defaults of: {', '.join(changed)}")


def publish(name: str, rows: Sequence[Row], write: bool, **source: Any) -> None:
    """Print a table, and write its results file if asked for.

    Parameters
    ----------
    name : str
        Name of the table.
    rows : sequence of dict
        Column -> cell.
    write : bool
        Whether the results file is written.
    **source
        Further arguments of :func:`record`.
    """
    print(markdown_rows(rows))
    if write:
        print(record(name, rows, **source))


def record(
    name: str,
    rows: Iterable[Row],
    *,
    command: str,
    seeds: Sequence[int] | str | None = None,
    interval: str | None = None,
    notes: str | None = None,
    out: Path = RESULTS,
    origin: Mapping[str, Any] | None = None,
) -> Path:
    """Write a results file.

    Parameters
    ----------
    name : str
        Name of the table: lower-case letters, digits and underscores.
    rows : iterable of dict
        Column -> cell, in the order in which they are shown. A cell is a text, a number, None, a
        value with bounds (:func:`interval`) or an aim (:func:`aim`).
    command : str
        Command that measures these rows, from the root of a checkout; several are separated by
        line ends.
    seeds : sequence of int or str, optional
        Seeds of corpora and trainings; None where nothing is drawn.
    interval : str, optional
        What the bounds are: level, method and unit; None if no cell has bounds.
    notes : str, optional
        What a reader has to know: Markdown, shown below the table.
    out : Path, optional
        Folder of the file.
    origin : dict, optional
        ``commits``, ``date``, ``machine`` and ``versions`` of a measurement that was made earlier.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the name or a cell has another form, or bounds have no interval method.
    """
    rows = [dict(row) for row in rows]
    if re.fullmatch("[a-z0-9_]+", name) is None:
        raise ValueError(f"record: the name {name!r} must consist of a-z, 0-9 and underscores.")
    if not rows:
        raise ValueError(f"record: {name} has no rows.")
    for row in rows:
        for column, cell in row.items():
            check_cell(f"{name}, {column}", cell, interval)
    content = {
        "name": name,
        **(describe_source() | dict(origin or {})),
        "command": command,
        "seeds": list(seeds) if seeds is not None and not isinstance(seeds, str) else seeds,
        "interval": interval,
        "notes": notes,
        "rows": rows,
    }
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.json"
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def check_cell(place: str, cell: object, method: str | None) -> None:
    """Check that a cell is a text, a number, None, a value with bounds, or an aim.

    Parameters
    ----------
    place : str
        Name of the table and column, for the message.
    cell : object
        The cell.
    method : str or None
        Interval method of the table.

    Raises
    ------
    ValueError
        If the cell has another form, or has bounds while the table has no interval method.
    """
    if cell is None or isinstance(cell, str | int | float):
        return
    keys = set(cell) if isinstance(cell, Mapping) else set()
    if keys == {"value", "low", "high"}:
        if method is None:
            raise ValueError(f"record: {place} has bounds. Give interval=, what the bounds are.")
        return
    if keys not in ({"of", "at_most"}, {"of", "at_least"}):
        raise ValueError(
            f"record: {place} is {cell!r}. Give a text, a number (not of numpy), None, "
            "interval(...) or aim(...)."
        )
