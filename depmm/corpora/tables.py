"""Read the tables of a spec (text, Excel sheets, JSON) and find the rows of a recording."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest_rules import check_id
from depmm.corpora.patterns import compile_pattern, fill_template, is_kept, template_fields
from depmm.corpora.spec_schema import StepTable, Table, join_field
from depmm.errors import did_you_mean

Key = tuple[str, ...]
Line = tuple[int, list[str]]  # line in the file, cells
_QUOTED = {",", ";"}  # with the separators TAB and space, a quotation mark is part of the text


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    fields : dict of str to str or None
        The fields that the spec names; None for an empty cell.
    order : tuple of str
        The cells that order the rows.
    location : str
        File and line, for messages.
    """

    fields: dict[str, str | None]
    order: tuple[str, ...]
    location: str


@dataclass(frozen=True)
class _FileLocation:
    """A line or an entry of a file."""

    file: str
    line: int | None = None
    entry: str | None = None

    def __str__(self) -> str:
        if self.line is not None:
            return f"{self.file}, line {self.line}"
        return self.file if self.entry is None else f"{self.file}, entry {self.entry}"

    def error(self, message: str, column: str | None = None, value: Any = None) -> ManifestError:
        return ManifestError(
            f"{self}: {message}", file=self.file, line=self.line, column=column, value=value
        )


@dataclass
class JoinedTable:
    """Rows of all files of a table of the spec, by key.

    Attributes
    ----------
    table : Table
        Description of the table.
    files : list of str
        Paths of the files that were read, relative to the corpus root.
    rows : dict of tuple to list of Row
        Key (the cells of the join columns, in order) -> rows.
    used : set of tuple
        Keys that have been looked up for a recording.
    id_columns : tuple of str
        Columns under ``join`` whose cells must be safe ids.
    """

    table: Table
    files: list[str]
    rows: dict[Key, list[Row]] = field(default_factory=dict)
    used: set[Key] = field(default_factory=set)
    id_columns: tuple[str, ...] = ()

    def find_rows(self, fields: Mapping[str, str | None]) -> tuple[Key | None, list[Row]]:
        """Find the rows that belong to a recording's fields.

        Parameters
        ----------
        fields : mapping of str to str or None
            Fields of a recording.

        Returns
        -------
        key : tuple of str or None
            None if one of the joined fields is unknown.
        rows : list of Row
            Empty if no row has the key.
        """
        parts = [fill_template(join_field(text), fields) for text in self.table.join.values()]
        key = tuple(part for part in parts if part is not None)
        if len(key) < len(parts):
            return None, []
        rows = self.rows.get(key, [])
        if rows:
            self.used.add(key)
        return key, rows

    def unused_keys(self) -> Iterator[str]:
        """Yield the keys without a recording, for example ``subject=S003, session=1``."""
        for key in self.rows:
            if key not in self.used:
                yield self.describe(key)

    def describe(self, key: Key | None) -> str:
        """Format a key as ``column=cell`` pairs.

        Parameters
        ----------
        key : tuple of str or None
            A key as ``find_rows`` returns it.

        Returns
        -------
        str
            The pairs.
        """
        if key is None:
            return f"unknown {', '.join(self.table.join)}"
        return ", ".join(f"{name}={cell}" for name, cell in zip(self.table.join, key, strict=True))


def read_table(
    table: Table, root: Path, files: list[str], id_fields: frozenset[str] = frozenset()
) -> JoinedTable:
    """Read the rows of a table from the spec itself or from files.

    Cells are text without surrounding blanks; an empty cell is null. Values of JSON are converted
    to text: numbers as Python prints them, Booleans to ``true`` and ``false``; a missing member is
    null.

    Parameters
    ----------
    table : Table
        Description of the table.
    root : Path
        Folder of the corpus.
    files : list of str
        The files to read, relative to ``root``.
    id_fields : frozenset of str, optional
        Fields that are part of ids; the cells that are joined to them are checked.

    Returns
    -------
    JoinedTable
        All rows.

    Raises
    ------
    ManifestError
        If a file cannot be read or decoded, a column is missing, a row has too many or too few
        cells, a cell of ``integers`` is not a whole number, JSON does not contain flat objects, or
        an id is unsafe.
    """
    id_columns = [
        column
        for column, text in table.join.items()
        if id_fields.intersection(template_fields(join_field(text)))
    ]
    joined = JoinedTable(table, files, id_columns=tuple(id_columns))
    if table.rows is not None:
        _add_lines(joined, _read_lines(table, table.rows, table.location), table.location, {})
        return joined
    pattern = compile_pattern(table.file or "")
    members: set[str] = set()
    for path in files:
        captured = pattern.match(path) or {}
        if path.endswith(".xlsx"):
            _add_lines(joined, _read_sheet(root / path, path), path, captured)
            continue
        try:
            text = (root / path).read_bytes().decode(table.encoding).removeprefix("\ufeff")
        except (OSError, UnicodeDecodeError, LookupError) as error:
            raise ManifestError(
                f"{path}: cannot be read as {table.encoding} text ({error}). Check the file, or "
                "state its encoding: in the spec's table.",
                file=path,
            ) from None
        if table.format == "json":
            members |= _add_objects(joined, text, path, captured)
        elif table.whole_file:
            _add_lines(joined, iter([(1, [" ".join(text.split())])]), path, captured)
        else:
            _add_lines(joined, _read_lines(table, text, path), path, captured)
    if members:
        columns = [*sorted(members), *pattern.fields]
        _check_columns(_needed_columns(joined.table), columns, table.location)
    return joined


def _needed_columns(table: Table) -> list[str]:
    """Return the columns that the spec uses."""
    order = table.order if isinstance(table, StepTable) else []
    return [
        *table.join, *table.fields.values(), *table.keep, *table.drop, *table.integers, *order,
    ]  # fmt: skip


def _read_lines(table: Table, text: str, file: str) -> Iterator[Line]:
    """Split delimited text; blank lines are skipped."""
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
        location = _FileLocation(file, reader.line_num)
        raise location.error(f"not a table ({error}). Correct the file.") from None


def _read_sheet(path: Path, file: str) -> Iterator[Line]:
    """Read the first sheet of an Excel workbook.

    Columns without a name are skipped: they contain remarks next to the table. Integral numbers are
    converted without a trailing ``.0``.
    """
    import openpyxl

    try:
        with path.open("rb") as stream:
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # some programs write dimensions that truncate the table
            rows = [[_sheet_cell(cell) for cell in row] for row in sheet.values]
    except Exception as error:  # openpyxl raises errors of zip, XML and its own types
        raise ManifestError(
            f"{file}: cannot be read as an Excel workbook ({error}). Check the file, or save it "
            "as .csv (UTF-8) and name that under file: in the spec's table.",
            file=file,
        ) from None
    named_columns: list[int] = []
    for line, cells in enumerate(rows, start=1):
        if not named_columns:
            named_columns = [index for index, cell in enumerate(cells) if cell]
        values = [cells[index] if index < len(cells) else "" for index in named_columns]
        if any(values):
            yield line, values


def _sheet_cell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()  # as in codes: of a spec
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _add_lines(
    joined: JoinedTable, lines: Iterator[Line], file: str, captured: dict[str, str]
) -> None:
    """Add the lines of a file; the first line is the header unless the spec names the columns."""
    table, names = joined.table, joined.table.columns
    needed = _needed_columns(table)
    for line, cells in lines:
        location = _FileLocation(file, line)
        if not names:
            names = [cell.strip() for cell in cells]
            _check_columns(needed, [*names, *captured], file)
        elif len(cells) != len(names):
            raise location.error(
                f"{len(cells)} cells, but {len(names)} columns ({', '.join(names)}). Correct the "
                f"row, or sep: (now {table.sep!r}) in the spec's table."
            )
        else:
            values = (cell.strip() or None for cell in cells)
            _add_row(joined, {**captured, **dict(zip(names, values, strict=True))}, location)
    if not names:
        raise ManifestError(
            f"{file}: the table is empty. It needs the columns {', '.join(needed)}.", file=file
        )


def _add_objects(joined: JoinedTable, text: str, file: str, captured: dict[str, str]) -> set[str]:
    """Add a list of objects, or an object of named objects; return the names of their members."""
    table = joined.table
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{file}: not JSON ({error}). Correct the file.", file=file) from None
    if isinstance(content, dict) and table.key is not None:
        entries = [(repr(name), item, {table.key: name}) for name, item in content.items()]
    elif isinstance(content, list) and table.key is None:
        entries = [(str(index), item, {}) for index, item in enumerate(content)]
    else:
        kind = "an object" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise ManifestError(
            f"{file}: contains {kind}. A list of objects is read without key: in the spec's table, "
            "an object of named objects with key:, the column for the names.",
            file=file,
            setting="key",
        )
    needed, columns = set(_needed_columns(table)), set(captured)
    for name, item, named in entries:
        location = _FileLocation(file, entry=name)
        if not isinstance(item, dict):
            raise location.error(
                f"{item!r} is not an object with {', '.join(table.join)}. Correct the file, or "
                "name it under ignore: in the spec.",
                value=item,
            )
        entry = {**item, **named}
        columns |= set(entry)
        for column in needed & set(entry):
            if isinstance(entry[column], list | dict):
                raise location.error(
                    f"{column!r} is not a single value. Name another column in the spec's table, "
                    "or write a flat table.",
                    column,
                )
        cells = {column: _json_cell(value) for column, value in entry.items()}
        _add_row(joined, {**dict.fromkeys(needed), **captured, **cells}, location)
    return columns


def _json_cell(value: Any) -> str | None:
    """Convert a JSON value to the text of a cell."""
    if value is None or isinstance(value, list | dict):
        return None
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.strip() or None


def _add_row(joined: JoinedTable, row: Mapping[str, str | None], location: _FileLocation) -> None:
    table = joined.table
    order = table.order if isinstance(table, StepTable) else []
    row = {
        column: _parse_integer(cell, column, location) if column in table.integers else cell
        for column, cell in row.items()
    }
    if not is_kept(row, table.keep, table.drop):
        return
    for column in joined.id_columns:
        check_id(row[column] or "", f"{location}: {column}", location.file, location.line)
    joined.rows.setdefault(tuple(row[column] or "" for column in table.join), []).append(
        Row(
            {name: row[column] for name, column in table.fields.items()},
            tuple(row[column] or "" for column in order),
            str(location),
        )
    )


def _parse_integer(cell: str | None, column: str, location: _FileLocation) -> str | None:
    """Remove leading zeros, like ``{name:int}`` in a pattern."""
    if cell is not None and not (cell.isascii() and cell.isdecimal()):
        raise location.error(
            f"{column} is {cell!r}, which is not a whole number. Correct the table, or take the "
            "column out of integers: in the spec's table.",
            column,
            cell,
        )
    return None if cell is None else str(int(cell))


def _check_columns(needed: list[str], names: list[str], file: str) -> None:
    for column in needed:
        if column not in names:
            raise ManifestError(
                f"{file}: column {column!r} is missing. {did_you_mean(column, names)} Correct the "
                "file, or the column's name in the spec's table.",
                file=file,
                column=column,
            )
