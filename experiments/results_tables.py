"""Rows of results files as Markdown tables."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

ACRONYMS = {"auroc": "AUROC", "auprc": "AUPRC", "rmse": "RMSE", "mae": "MAE", "ccc": "CCC"}
LEVEL = 0.05  # of the tests of which a sentence states the outcome
NAMES = ("config", "system")  # columns of names in the code


def markdown_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    headings: Mapping[str, str] | None = None,
    digits: Mapping[str, int] | None = None,
) -> str:
    """Write rows as a table; rows with an aim state whether they meet it.

    Parameters
    ----------
    rows : sequence of dict
        Column -> cell.
    columns : sequence of str, optional
        Columns to show; by default all.
    headings : dict of str to str, optional
        Headings that differ from the column.
    digits : dict of str to int, optional
        Digits after the decimal point of a column.
    """
    if columns is None:
        columns = list(dict.fromkeys(column for row in rows for column in row))
    headings, digits = headings or {}, digits or {}
    titles = [headings.get(column, heading(column)) for column in columns]
    numeric = [all(not isinstance(row.get(column), str) for row in rows) for column in columns]
    cells = [
        [
            format_cell(row.get(column), digits.get(column), code=column in NAMES)
            for column in columns
        ]
        for row in rows
    ]
    met = [meets_aims(row) for row in rows]
    if any(outcome is not None for outcome in met):
        titles, numeric = [*titles, "aim met"], [*numeric, False]
        words = {True: "yes", False: "**no**", None: ""}
        cells = [[*line, words[outcome]] for line, outcome in zip(cells, met, strict=True)]
    lines = [titles, ["--:" if right else "---" for right in numeric], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def heading(column: str) -> str:
    """Return the heading of a column: ``balanced_accuracy`` -> ``balanced accuracy``.

    Parameters
    ----------
    column : str
        The column.
    """
    return " ".join(ACRONYMS.get(word, word) for word in column.replace("_", " ").split(" "))


def meets_aims(row: Mapping[str, Any]) -> bool | None:
    """Return whether a row meets all of its aims, None without aims.

    Parameters
    ----------
    row : dict
        Column -> cell.
    """
    outcomes = []
    for cell in row.values():
        if isinstance(cell, Mapping) and "of" in cell:
            measured = row[cell["of"]]
            value = measured["value"] if isinstance(measured, Mapping) else measured
            outcomes.append(
                value is not None
                and value <= cell.get("at_most", value)
                and value >= cell.get("at_least", value)
            )
    return all(outcomes) if outcomes else None


def compare(row: Mapping[str, Any], column: str, p: str | None = None, chance: float = 0.0) -> int:
    """Return 1 or -1 if a value is shown to be above or below chance, otherwise 0.

    Parameters
    ----------
    row : dict
        Column -> cell.
    column : str
        Column of a value with its interval; without an interval it shows nothing.
    p : str, optional
        Column of the adjusted p value; a missing one shows nothing.
    chance : float, default 0.0
        The value without an effect.
    """
    cell = row[column]
    if not isinstance(cell, Mapping):
        return 0
    if p is not None and (row.get(p) is None or row[p] >= LEVEL):
        return 0
    return int(cell["low"] > chance) - int(cell["high"] < chance)


def format_cell(cell: Any, digits: int | None = None, *, code: bool = False) -> str:
    """Write a cell: ``.917 [.905, .927]``, ``≤ 1.20``, ``100,781``.

    Parameters
    ----------
    cell : str, int, float, dict or None
        See :func:`experiments.results.record`.
    digits : int, optional
        Digits after the decimal point; by default three up to 1, and fewer for larger numbers.
    code : bool, default False
        Whether a text is a name in the code.
    """
    if cell is None:
        return ""
    if isinstance(cell, str):
        text = cell.replace("|", "\\|").replace("\n", " ")
        return f"`{text}`" if code and re.fullmatch(r"\w+", text) else text
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        places = decimals(cell) if digits is None else digits
        if 0 < cell < 0.5 * 10**-places:
            return f"< .{'0' * (places - 1)}1" if places else "< 1"
        return format_number(cell, places)
    if "of" in cell:
        sign, limit = ("≤", cell["at_most"]) if "at_most" in cell else ("≥", cell["at_least"])
        return f"{sign} {limit:,g}".replace(" 0.", " .")
    bounds = [cell["value"], cell["low"], cell["high"]]
    places = max(decimals(abs(bound)) for bound in bounds) if digits is None else digits
    value, low, high = (format_number(bound, places) for bound in bounds)
    return f"{value} [{low}, {high}]"


def decimals(number: float) -> int:
    """Return how many digits after the decimal point a number is shown with.

    Parameters
    ----------
    number : float
        The number.
    """
    size = abs(number)
    return 3 if size <= 1 else 2 if size < 10 else 1 if size < 100 else 0


def format_number(number: float, places: int) -> str:
    """Write a number without the zero before the point: ``.917``, ``-.05``, ``1,230``.

    Parameters
    ----------
    number : float
        The number.
    places : int
        Digits after the decimal point.
    """
    text = f"{round(number, places) + 0.0:,.{places}f}"  # + 0.0: no sign before zero
    return re.sub(r"^(-?)0\.", r"\1.", text)


def describe(name: str, content: Mapping[str, Any]) -> str:
    """Describe the source of a table in small print, after its notes.

    Parameters
    ----------
    name : str
        Name of the table.
    content : dict
        Content of the results file.
    """
    commits = ", ".join(commit[:7] for commit in content["commits"])
    changes = " with uncommitted changes" if content["uncommitted_changes"] else ""
    versions = ", ".join(f"{library} {v}" for library, v in content["versions"].items())
    seeds = content["seeds"]
    if isinstance(seeds, list):
        label = "Seed" if len(seeds) == 1 else "Seeds"
        seeds = f"{label} {', '.join(map(str, seeds)) if len(seeds) < 6 else span(seeds)}"
    parts = [
        f"Table `{name}`: commit {commits}{changes}, {content['date']}",
        f"{content['machine']}; {versions}",
        seeds or "No seeds",
        f"Intervals: {content['interval']}" if content["interval"] else "No intervals",
    ]
    notes = f"{content['notes'].strip()}\n\n" if content["notes"] else ""
    return f"{notes}<small>{'. '.join(part.rstrip('.') for part in parts)}.</small>"


def span(seeds: Sequence[int]) -> str:
    """Write consecutive seeds as ``0 to 19``.

    Parameters
    ----------
    seeds : sequence of int
        The seeds.
    """
    consecutive = list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if consecutive else ", ".join(map(str, seeds))
