"""Generate ``experiments/README.md`` from ``README.md.jinja`` and the results files.

    python experiments/results_page.py           # write the page
    python experiments/results_page.py --check   # exit with 1 if the page is out of date

The template calls ``table("NAME")`` for the rows of ``results/NAME.json`` with their source, and
``value("NAME", ROW, COLUMN)`` for a figure in a sentence. What a sentence concludes from it is
chosen by ``direction`` and ``judged``, so that it holds for other values too. A figure that was not
measured here is written as ``setting("...")`` (chosen) or ``paper("...")`` (published); others are
refused.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from depmm.files.writing import write_text
from experiments.results import RESULTS
from experiments.results_figures import stray_figures
from experiments.results_tables import (
    compare,
    describe,
    format_cell,
    markdown_rows,
    meets_aims,
)

TEMPLATE = Path(__file__).with_name("README.md.jinja")
PAGE = Path(__file__).with_name("README.md")
NO_DIFFERENCE = "no difference was shown"


class Page:
    """The results files of a page, and the functions of its template.

    Parameters
    ----------
    results : Path
        Folder of the results files.
    """

    def __init__(self, results: Path = RESULTS) -> None:
        self.results = results
        self.command = ""  # of the last table
        self.used: list[str] = []  # names of the tables, in the order of the page
        self.missing: list[str] = []  # names that `recorded` was asked for, without a results file

    def load(self, name: str) -> dict[str, Any]:
        """Read a results file.

        Parameters
        ----------
        name : str
            Name of the table.

        Raises
        ------
        ValueError
            If there is no such file, or it does not name its source.
        """
        path = self.results / f"{name}.json"
        if not path.is_file():
            raise ValueError(
                f"{TEMPLATE.name}: the table {name!r} has no results file. Run the benchmark that "
                "records it, or remove the table."
            )
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = [
            key for key in ("commits", "date", "command", "machine", "rows") if not content.get(key)
        ]
        if missing:
            raise ValueError(f"{path.name}: {', '.join(missing)} are missing. Record it again.")
        return content

    def table(
        self,
        name: str,
        columns: Sequence[str] | Mapping[str, str] | None = None,
        digits: Mapping[str, int] | None = None,
        where: Mapping[str, object] | None = None,
    ) -> str:
        """Return rows as Markdown, with their source where the table appears first.

        Parameters
        ----------
        name : str
            Name of the table.
        columns : sequence of str or dict, optional
            Columns to show, or column -> heading; by default all.
        digits : dict of str to int, optional
            Digits after the decimal point of a column.
        where : dict, optional
            Column -> cell of the rows to show.

        Raises
        ------
        ValueError
            If a column is unknown, or no row is left.
        """
        content = self.load(name)
        condition = dict(where or {})
        rows = [
            row for row in content["rows"] if all(row.get(k) == v for k, v in condition.items())
        ]
        known = list(dict.fromkeys(column for row in rows for column in row))
        shown = list(columns) if columns is not None else [c for c in known if c not in condition]
        if not rows or not set(shown) <= set(known):
            raise ValueError(f"{TEMPLATE.name}: {name!r} has the columns {known}, not {shown}.")
        if columns is not None:  # a part of the table does not show rows that have nothing in it
            rows = [row for row in rows if any(row.get(c) is not None for c in shown[1:] or shown)]
        headings = dict(columns) if isinstance(columns, Mapping) else {}
        body = markdown_rows(rows, shown, headings, digits or {})
        if name in self.used:
            return body
        self.used.append(name)
        same, self.command = content["command"] == self.command, content["command"]
        command = "" if same else f"```\n{self.command.strip()}\n```\n\n"
        return f'{command}<a id="table-{name}"></a>\n\n{body}\n\n{describe(name, content)}'

    def value(
        self,
        name: str,
        row: str | Sequence[object],
        column: str,
        digits: int | None = None,
        bounds: bool = False,
    ) -> str:
        """Return a figure of a table, for a sentence.

        Parameters
        ----------
        name : str
            Name of the table.
        row : str or sequence
            First cell of the row, or its first cells.
        column : str
            Column of the figure.
        digits : int, optional
            Digits after the decimal point.
        bounds : bool, default False
            Whether the bounds of the interval follow.

        Raises
        ------
        ValueError
            If not exactly one row has these cells, or the row has no such column.
        """
        rows = self.find(name, row)
        if len(rows) != 1 or rows[0].get(column) is None:
            raise ValueError(
                f"{TEMPLATE.name}: {len(rows)} rows of {name!r} begin with {row}"
                + (f", without {column!r}." if len(rows) == 1 else ".")
            )
        cell = rows[0][column]
        if isinstance(cell, Mapping) and not bounds:
            cell = cell["value"]
        return format_cell(cell, digits)

    def find(self, name: str, row: str | Sequence[object]) -> list[dict[str, Any]]:
        """Return the rows of a table that begin with some cells.

        Parameters
        ----------
        name : str
            Name of the table.
        row : str or sequence
            First cell of the row, or its first cells.
        """
        cells = [row] if isinstance(row, str) else list(row)
        rows: list[dict[str, Any]] = self.load(name)["rows"]
        return [found for found in rows if list(found.values())[: len(cells)] == cells]

    def direction(
        self,
        name: str,
        row: str | Sequence[object],
        column: str,
        p: str | None = None,
        chance: float = 0.0,
    ) -> int | None:
        """Return whether a value is shown to be above or below chance.

        Parameters
        ----------
        name : str
            Name of the table.
        row : str or sequence
            First cell of the row, or its first cells.
        column : str
            Column of a value with its interval.
        p : str, optional
            Column of the adjusted p value, which must be below .05 as well.
        chance : float, default 0.0
            The value without an effect.

        Returns
        -------
        int or None
            1 above, -1 below, 0 if neither is shown; None if it was not measured.

        Raises
        ------
        ValueError
            If several rows have these cells.
        """
        rows = self.find(name, row)
        if len(rows) > 1:
            raise ValueError(f"{TEMPLATE.name}: {len(rows)} rows of {name!r} begin with {row!r}.")
        if not rows or rows[0].get(column) is None:
            return None
        return compare(rows[0], column, p, chance)

    def judged(
        self,
        name: str,
        row: str | Sequence[object],
        column: str,
        p: str | None = None,
        words: Sequence[str] = ("lower", NO_DIFFERENCE, "higher"),
        chance: float = 0.0,
    ) -> str:
        """Return a value with its interval and what it shows, for a sentence.

        Parameters
        ----------
        name, row, column, p, chance
            As in :meth:`direction`.
        words : sequence of str
            What is said of a value below chance, of one that is neither, and of one above.
        """
        outcome = self.direction(name, row, column, p, chance)
        if outcome is None:
            return "not measured"
        text, shown = words[outcome + 1], ""
        if p is not None and self.find(name, row)[0].get(p) is not None:
            shown = self.value(name, row, p)
            shown = f"p {shown if shown.startswith('<') else f'= {shown}'}: "
        return f"{self.value(name, row, column, bounds=True)} ({shown}{text})"

    def names(self, name: str, column: str, p: str, sign: int) -> str:
        """List the first cells of the rows whose value is shown to be above, or below, 0.

        Parameters
        ----------
        name : str
            Name of the table.
        column, p : str
            Columns of the value and of its adjusted p value.
        sign : int
            1 above, -1 below.
        """
        rows = [row for row in self.load(name)["rows"] if row.get(column) is not None]
        first = [next(iter(row.values())) for row in rows if compare(row, column, p) == sign]
        listed = [f"`{cell}`" for cell in first]
        return " and ".join(filter(None, [", ".join(listed[:-1]), *listed[-1:]])) or "none"

    def largest(self, name: str, column: str) -> str:
        """Return the first cell of the row with the largest value.

        Parameters
        ----------
        name : str
            Name of the table.
        column : str
            Column of the value with its interval.
        """
        rows = [row for row in self.load(name)["rows"] if row.get(column) is not None]
        return str(next(iter(max(rows, key=lambda row: row[column]["value"]).values())))

    def columns(self, name: str, wanted: Sequence[str]) -> list[str]:
        """Return those of the wanted columns that a table has.

        Parameters
        ----------
        name : str
            Name of the table.
        wanted : sequence of str
            Columns, in their order.
        """
        known = {column for row in self.load(name)["rows"] for column in row}
        return [column for column in wanted if column in known]

    def n_seeds(self, name: str) -> int:
        """Return the number of seeds of a table.

        Parameters
        ----------
        name : str
            Name of the table.
        """
        return len(self.load(name)["seeds"])

    def exists(self, name: str) -> bool:
        """Return whether a table has a results file, without noting that it is missing.

        Parameters
        ----------
        name : str
            Name of the table.
        """
        return (self.results / f"{name}.json").is_file()

    def recorded(self, *names: str) -> bool:
        """Return whether all of these tables have a results file, and note those that have none.

        Parameters
        ----------
        *names : str
            Names of the tables.
        """
        missing = [name for name in names if not self.exists(name)]
        self.missing += [name for name in missing if name not in self.missing]
        return not missing

    def not_recorded(self) -> str:
        """Return a sentence about the tables that :meth:`recorded` was asked for in vain."""
        names = ", ".join(f"`{name}`" for name in self.missing if not name.endswith("_pairs"))
        return f"Tables that are not measured yet: {names}." if names else ""

    def aims(self, *names: str) -> str:
        """Return how many rows with an aim meet it, as ``5 of 7``.

        Parameters
        ----------
        *names : str
            Names of the tables; those without a results file are noted by :meth:`recorded`.
        """
        tables = [self.load(name) for name in names if self.recorded(name)]
        outcomes = [meets_aims(row) for table in tables for row in table["rows"]]
        stated = [outcome for outcome in outcomes if outcome is not None]
        return f"{sum(stated)} of {len(stated)}"

    def render(self, template: str) -> str:
        """Return the page.

        Parameters
        ----------
        template : str
            Text of the template.

        Raises
        ------
        ValueError
            If a figure of the text comes from no results file.
        """
        figures = stray_figures(template)
        if figures:
            raise ValueError(
                f"{TEMPLATE.name}: no results file for {'; '.join(figures)}. Use value(...), or "
                "setting(...) and paper(...) for what was not measured."
            )
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            autoescape=False,  # the page is Markdown
            keep_trailing_newline=True,
            trim_blocks=True,
        )
        functions = (
            *(self.table, self.value, self.direction, self.judged, self.names, self.largest),
            *(self.columns, self.n_seeds, self.exists, self.recorded, self.not_recorded),
            self.aims,
        )
        environment.globals |= {function.__name__: function for function in functions}
        environment.globals |= {"setting": str, "paper": str}
        text = environment.from_string(template).render()
        return re.sub(r"\n{3,}", "\n\n", text)


def main() -> None:
    """Write the page, or check that it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    try:
        text = Page().render(TEMPLATE.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SystemExit(str(error)) from error
    if arguments.check:
        if text != PAGE.read_text(encoding="utf-8"):
            raise SystemExit(f"{PAGE.name} is out of date. Run python experiments/results_page.py.")
    else:
        write_text(PAGE, text)


if __name__ == "__main__":
    main()
