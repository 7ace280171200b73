"""Read the tables of a spec (text, Excel sheets, JSON) and look their rows up by joined fields."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest_rules import check_id
from depmm.corpora.patterns import (
    compile_pattern,
    fill_template,
    is_kept,
    template_fields,
)
from depmm.corpora.spec_schema import StepTable, Table, join_field
from depmm.errors import did_you_mean

Key = tuple[str, ...]
Line = tuple[int, list[str]]  # number in the file, cells
_QUOTED = {",", ";"}  # in tables by TAB or space a quotation mark is part of the text


@dataclass(frozen=True)
class Row:
    """One row: the fields that the spec names, the cells that order it, and where it stands."""

    fields: dict[str, str | None]
    order: tuple[str, ...]
    place: str


@dataclass
class JoinedTable:
    """A table of the spec with all rows of all its files, by key.

    Parameters
    ----------
    table : its description
    files : paths of the files that were read, relative to the corpus root
    rows : key (the cells of the join columns, in order) -> rows
    used : keys that a recording asked for
    id_columns : join columns whose cells must be safe ids
    """

    table: Table
    files: list[str]
    rows: dict[Key, list[Row]] = field(default_factory=dict)
    used: set[Key] = field(default_factory=set)
    id_columns: tuple[str, ...] = ()

    def find_rows(self, fields: Mapping[str, str | None]) -> tuple[Key | None, list[Row]]:
        """Find the rows that belong to a recording's fields.

        Returns
        -------
        key : None when the recording lacks one of the joined fields
        rows : none when no row has the key
        """
        parts = [fill_template(join_field(text), fields) for text in self.table.join.values()]
        key = tuple(part for part in parts if part is not None)
        if len(key) < len(parts):
            return None, []
        found = self.rows.get(key, [])
        if found:
            self.used.add(key)
        return key, found

    def unused_keys(self) -> Iterator[str]:
        """Name the keys that no recording asked for, e.g. ``subject=S003, session=1``."""
        for key in self.rows:
            if key not in self.used:
                yield self.describe(key)

    def describe(self, key: Key | None) -> str:
        """Write a key as ``column=cell`` pairs."""
        if key is None:
            return f"unknown {', '.join(self.table.join)}"
        return ", ".join(f"{name}={cell}" for name, cell in zip(self.table.join, key, strict=True))


def read_table(
    table: Table, root: Path, files: list[str], id_fields: frozenset[str] = frozenset()
) -> JoinedTable:
    """Read a table's rows from the spec itself or from ``files`` below ``root``.

    Cells are text without surrounding blanks; an empty cell is null. In JSON numbers are text as
    Python writes them, true and false are ``true`` and ``false``, a missing member is null.

    Parameters
    ----------
    table : its description
    root : folder of the corpus
    files : the files to read, relative to ``root``
    id_fields : fields that become ids; the cells joined to them are checked

    Raises
    ------
    ManifestError : a file that cannot be read or decoded, a missing column, a row with too many or
        too few cells, a cell of ``integers`` that is none, JSON that does not hold flat objects, an
        unsafe id
    """
    ids = [
        column
        for column, text in table.join.items()
        if id_fields.intersection(template_fields(join_field(text)))
    ]
    joined = JoinedTable(table, files, id_columns=tuple(ids))
    if table.rows is not None:
        _add(joined, _text_lines(table, table.rows, table.place), table.place, {})
        return joined
    pattern = compile_pattern(table.file or "")
    members: set[str] = set()
    for path in files:
        captured = pattern.match(path) or {}
        if path.endswith(".xlsx"):
            _add(joined, _sheet_lines(root / path, path), path, captured)
            continue
        try:
            text = (root / path).read_bytes().decode(table.encoding).removeprefix("\ufeff")
        except (OSError, UnicodeDecodeError, LookupError) as error:
            raise ManifestError(
                f"{path}: cannot be read as {table.encoding} text ({error}). Check the file, or "
                "state its encoding: in the spec's table."
            ) from None
        if table.format == "json":
            members |= _add_objects(joined, text, path, captured)
        elif table.whole_file:
            _add(joined, iter([(1, [" ".join(text.split())])]), path, captured)
        else:
            _add(joined, _text_lines(table, text, path), path, captured)
    if members:
        _check_columns(_needed(joined.table), [*sorted(members), *pattern.fields], table.place)
    return joined


def _needed(table: Table) -> list[str]:
    """Columns that the spec speaks of."""
    order = table.order if isinstance(table, StepTable) else []
    return [
        *table.join, *table.fields.values(), *table.keep, *table.drop, *table.integers, *order,
    ]  # fmt: skip


def _text_lines(table: Table, text: str, place: str) -> Iterator[Line]:
    """Split delimited text; blank lines are left out."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=table.sep,
        quoting=csv.QUOTE_MINIMAL if table.sep in _QUOTED else csv.QUOTE_NONE,
        skipinitialspace=True,
    )
    try:
        for cells in reader:
            if table.sep == " " and cells and not cells[-1]:
                del cells[-1]
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ManifestError(
            f"{place}, line {reader.line_num}: not a table ({error}). Correct the file."
        ) from None


def _sheet_lines(file: Path, place: str) -> Iterator[Line]:
    """Read the first sheet of an Excel workbook; columns without a name are left out.

    Such columns hold remarks beside the table; numbers are written without a trailing ``.0``.
    """
    import openpyxl

    try:
        with file.open("rb") as stream:
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # as written by some programs they cut the table off
            rows = [[_cell_text(cell) for cell in row] for row in sheet.values]
    except Exception as error:  # openpyxl lets errors of zip, XML and its own types through
        raise ManifestError(
            f"{place}: cannot be read as an Excel workbook ({error}). Check the file, or save it "
            "as .csv (UTF-8) and name that under file: in the spec's table."
        ) from None
    named: list[int] = []
    for number, cells in enumerate(rows, start=1):
        if not named:
            named = [position for position, cell in enumerate(cells) if cell]
        kept = [cells[position] if position < len(cells) else "" for position in named]
        if any(kept):
            yield number, kept


def _cell_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()  # as codes: in a spec
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _add(joined: JoinedTable, lines: Iterator[Line], place: str, captured: dict[str, str]) -> None:
    """Read one table's lines into ``joined``."""
    table, names = joined.table, joined.table.columns
    needed = _needed(table)
    for number, cells in lines:
        line = f"{place}, line {number}"
        if not names:
            names = [cell.strip() for cell in cells]
            _check_columns(needed, [*names, *captured], place)
        elif len(cells) != len(names):
            raise ManifestError(
                f"{line}: {len(cells)} cells where {len(names)} columns are "
                f"({', '.join(names)}). Correct the row, or sep: (now {table.sep!r}) in the "
                "spec's table."
            )
        else:
            values = (cell.strip() or None for cell in cells)
            row = {**captured, **dict(zip(names, values, strict=True))}
            _add_row(joined, row, line)
    if not names:
        raise ManifestError(
            f"{place}: the table is empty. It needs the columns {', '.join(needed)}."
        )


def _integer(cell: str | None, what: str) -> str | None:
    """Drop leading zeros, as ``{name:int}`` of a pattern does."""
    if cell is not None and not (cell.isascii() and cell.isdecimal()):
        raise ManifestError(
            f"{what} is {cell!r}, which is no whole number. Correct the table, or take the column "
            "out of integers: in the spec's table."
        )
    return None if cell is None else str(int(cell))


def _add_objects(joined: JoinedTable, text: str, place: str, captured: dict[str, str]) -> set[str]:
    """Read a list of objects, or an object of named objects; return the names of their members."""
    table = joined.table
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{place}: not JSON ({error}). Correct the file.") from None
    if isinstance(content, dict) and table.key is not None:
        entries = [(repr(name), item, {table.key: name}) for name, item in content.items()]
    elif isinstance(content, list) and table.key is None:
        entries = [(str(number), item, {}) for number, item in enumerate(content)]
    else:
        found = "an object" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise ManifestError(
            f"{place}: holds {found}. A list of objects is read without key: in the spec's table, "
            "an object of named objects with key:, the column for the names."
        )
    needed, columns = set(_needed(table)), set(captured)
    for name, item, named in entries:
        line = f"{place}, entry {name}"
        if not isinstance(item, dict):
            raise ManifestError(
                f"{line}: {item!r} is no object with {', '.join(table.join)}. Correct the file, or "
                "name it under ignore: in the spec."
            )
        entry = {**item, **named}
        columns |= set(entry)
        for column in needed & set(entry):
            if isinstance(entry[column], list | dict):
                raise ManifestError(
                    f"{line}: {column!r} is no single value. Name another column in the spec's "
                    "table, or write a flat table."
                )
        cells = {column: _cell(value) for column, value in entry.items()}
        _add_row(joined, {**dict.fromkeys(needed), **captured, **cells}, line)
    return columns


def _cell(value: Any) -> str | None:
    """Write a JSON value as the text of a cell."""
    if value is None or isinstance(value, list | dict):
        return None
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.strip() or None


def _add_row(joined: JoinedTable, row: Mapping[str, str | None], line: str) -> None:
    table = joined.table
    order = table.order if isinstance(table, StepTable) else []
    row = {
        column: _integer(cell, f"{line}: {column}") if column in table.integers else cell
        for column, cell in row.items()
    }
    if not is_kept(row, table.keep, table.drop):
        return
    for column in joined.id_columns:
        check_id(row[column] or "", f"{line}: {column}")
    joined.rows.setdefault(tuple(row[column] or "" for column in table.join), []).append(
        Row(
            {name: row[column] for name, column in table.fields.items()},
            tuple(row[column] or "" for column in order),
            line,
        )
    )


def _check_columns(needed: list[str], names: list[str], place: str) -> None:
    for column in needed:
        if column not in names:
            raise ManifestError(
                f"{place}: column {column!r} is missing. {did_you_mean(column, names)} Correct the "
                "file, or the column's name in the spec's table."
            )
