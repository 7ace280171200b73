"""Read the tables of a spec: text, Excel sheets, JSON."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest_rules import check_id
from depmm.corpora.patterns import (
    compile_pattern,
    compile_rules,
    drop_zeros,
    excluded_value,
    template_fields,
)
from depmm.corpora.spec_schema import NEAREST_FIELD, Spec, StepTable, Table, join_field
from depmm.corpora.tables.delimited import read_rows
from depmm.corpora.tables.joined_table import JoinedTable, Key, LeftOutTurn, Row
from depmm.corpora.tables.json_objects import read_objects
from depmm.corpora.tables.sheets import read_sheet
from depmm.corpora.tables.table_columns import check_columns, check_width
from depmm.corpora.tables.table_files import Origin, normalize, read_text

Cells = Mapping[str, str | None]
MAX_TRANSCRIPT = 2**20  # characters of a file that is one cell
MAX_KEPT_VALUES = 1000


def read_table(table: Table, root: Path, files: list[str], spec: Spec | None = None) -> JoinedTable:
    """Read the rows of a table from the spec itself or from files.

    Cells are text in composed Unicode (NFC) without surrounding blanks; an empty cell is null.
    Values of JSON are converted to text: numbers as Python prints them, Booleans to ``true`` and
    ``false``; a missing member is null.

    A file whose name determines a subject or session concerns only these recordings: its errors
    are listed in ``unusable``. An error in any other file is raised.

    Parameters
    ----------
    table : Table
        Description of the table.
    root : Path
        Folder of the corpus.
    files : list of str
        The files to read, relative to ``root``.
    spec : Spec, optional
        The spec, which states the fields of ids. Without it, ids are not checked.

    Returns
    -------
    JoinedTable
        All rows.

    Raises
    ------
    ManifestError
        If a file cannot be read or decoded, a column that is used is missing or appears twice, a
        quotation mark is not closed, a row has too many or too few cells, a cell of ``integers`` is
        not a whole number, JSON does not contain flat objects, or an id is unsafe.
    """
    id_fields = spec.id_fields if spec else frozenset()
    id_columns = [
        column
        for column, text in table.join.items()
        if id_fields.intersection(template_fields(join_field(text)))
    ]
    joined = JoinedTable(table, files, id_columns=tuple(id_columns))
    reader = _TableReader(table, joined.id_columns)
    if table.rows is not None:
        reader.add_text(table.rows, table.location, {})
        reader.move_rows(joined)
        return joined
    pattern = compile_pattern(table.file or "")
    joined.own_columns = _own_columns(table, pattern.fields, spec)
    for path in files:
        captured = joined.captured[path] = pattern.match(normalize(path)) or {}
        try:
            reader.add_file(root / path, path, captured)
        except ManifestError as error:
            if not joined.own_columns:
                raise
            joined.unusable[tuple(captured[name] for name in joined.own_columns)] = error
            reader.discard_rows()
        else:
            reader.move_rows(joined)
    reader.check_members()
    return joined


def _own_columns(table: Table, captured: tuple[str, ...], spec: Spec | None) -> tuple[str, ...]:
    """Return the join columns in the file name, if they determine a subject, session or key."""
    columns = tuple(column for column in table.join if column in captured)
    fields = {
        name for column in columns for name in template_fields(join_field(table.join[column]))
    }
    subject = set(template_fields(spec.subject)) if spec else set()
    session = set(template_fields(spec.session)) if spec else set()
    if "subject" in session:
        session = (session - {"subject"}) | subject
    known = (subject and subject <= fields) or (session and session <= fields)
    return columns if columns and (known or len(columns) == len(table.join)) else ()


class _TableReader:
    """Reader of the files of a table; the rows of a file are kept apart until it is complete."""

    def __init__(self, table: Table, id_columns: tuple[str, ...]) -> None:
        self.table, self.id_columns = table, id_columns
        self.order = table.order if isinstance(table, StepTable) else []
        other_turns = table.other_turns if isinstance(table, StepTable) else {}
        self.needed = [
            *table.join, *table.fields.values(), *table.keep, *table.drop, *table.integers,
            *self.order, *other_turns, *([table.nearest.column] if table.nearest else []),
        ]  # fmt: skip
        self.other_turns = compile_rules(other_turns, {})
        self.rules = compile_rules(table.keep, table.drop)
        self.safe_ids: set[str | None] = set()  # of the current file
        self.members: set[str] = set()  # of the objects of all JSON files
        self.discard_rows()

    def discard_rows(self) -> None:
        """Forget the rows of the current file."""
        self.rows: list[tuple[Key, Row]] = []
        self.left_out_turns: list[tuple[Key, LeftOutTurn]] = []
        self.safe_ids.clear()
        self.left_out: Counter[tuple[str, str]] = Counter()
        self.left_out_example = ""
        self.kept: dict[str, set[str]] = {column: set() for column in self.table.drop}

    def move_rows(self, joined: JoinedTable) -> None:
        """Move the rows of the current file to the table."""
        joined.n_rows += len(self.rows) + self.left_out.total()
        joined.left_out.update(self.left_out)
        joined.left_out_example = joined.left_out_example or self.left_out_example
        for column, values in self.kept.items():
            if len(joined.kept.setdefault(column, set())) < MAX_KEPT_VALUES:
                joined.kept[column] |= values
        for key, row in self.rows:
            joined.rows.setdefault(key, []).append(row)
        for key, turn in self.left_out_turns:
            joined.left_out_turns.setdefault(key, []).append(turn)
        self.discard_rows()

    def add_file(self, path: Path, file: str, captured: dict[str, str]) -> None:
        """Add the rows of a file with the fields of its name."""
        table = self.table
        if path.suffix.lower() == ".xlsx":

            def check_header(line: int, names: list[str]) -> list[str]:
                check_columns(self.needed, _with_captured(names, captured), file, line=line)
                return self.needed

            self._add_lines(read_sheet(path, file, check_header), file, captured, None)
            return
        text = read_text(path, file, table.encoding)
        if table.format == "json":
            self._add_objects(text, file, captured)
        elif table.whole_file:
            if len(text) > MAX_TRANSCRIPT:
                raise ManifestError(
                    f"{file}: {len(text)} characters, more than {MAX_TRANSCRIPT}, the limit for a "
                    "file that is one cell.",
                    file=file,
                    value=len(text),
                    remedy="Check that the pattern in the spec names transcripts.",
                )
            row = [" ".join(normalize(text).split())]
            self._add_lines(iter([(1, row)]), file, captured, table.sep)
        else:
            self.add_text(text, file, captured)

    def add_text(self, text: str, file: str, captured: dict[str, str]) -> None:
        """Add the rows of a delimited text."""
        lines = read_rows(text, file, self.table.sep, len(self.table.columns))
        self._add_lines(lines, file, captured, self.table.sep)

    def _add_lines(
        self,
        lines: Iterable[tuple[int, list[str]]],
        file: str,
        captured: dict[str, str],
        sep: str | None,
    ) -> None:
        """Add rows; the first is the header unless the spec names the columns."""
        names: list[str] = []
        if self.table.columns:
            names = [normalize(name) for name in self.table.columns]
            check_columns(self.needed, _with_captured(names, captured), file)
        decimal = self.table.decimal
        for line, cells in lines:
            if not names:
                names = [cell.strip() for cell in cells]
                check_columns(self.needed, _with_captured(names, captured), file, sep, line=line)
                continue
            origin = Origin(file, line, None, decimal)
            if len(cells) != len(names):
                check_width(origin, cells, names, sep or "")
            values = [cell.strip() or None for cell in cells]
            self._add_row(dict(zip(names, values, strict=True)), captured, origin)
        if not names:
            needed = ", ".join(dict.fromkeys(self.needed))
            raise ManifestError(
                f"{file}: the table is empty.",
                file=file,
                remedy=f"Copy it again; it needs the columns {needed}.",
            )

    def _add_objects(self, text: str, file: str, captured: dict[str, str]) -> None:
        """Add the objects of a JSON file as rows."""
        needed = set(self.needed) - set(captured)
        self.members |= set(captured)
        for entry, cells in read_objects(text, file, self.table.key, needed):
            self.members |= set(cells)
            row = {**dict.fromkeys(needed), **cells}
            self._add_row(row, captured, Origin(file, None, entry, self.table.decimal))

    def check_members(self) -> None:
        """Check that the objects of all JSON files together have the columns that are used."""
        if self.members:
            check_columns(self.needed, sorted(self.members), self.table.location)

    def _add_row(self, row: dict[str, str | None], captured: Cells, origin: Origin) -> None:
        table = self.table
        for column in table.integers:
            if row.get(column) is not None:
                row[column] = _parse_integer(str(row[column]), column, origin)
        for column, value in captured.items():
            cell = row.setdefault(column, value)
            if cell is None:
                row[column] = value
            elif cell != value and column in self.needed:
                raise origin.error(
                    f"{column} is {cell!r}, but {value!r} in the name of the file.",
                    column,
                    cell,
                    remedy="Correct the cell or the name, or use another field name in the "
                    "pattern of the table.",
                )
        key = tuple([row[column] or "" for column in table.join])
        fields = {name: row[column] for name, column in table.fields.items()}
        if table.nearest is not None:
            fields[NEAREST_FIELD] = row[table.nearest.column]
        if self.rules or self.other_turns:
            excluded = excluded_value(row, self.rules)
            is_other = bool(self.other_turns) and excluded_value(row, self.other_turns) is None
            if is_other and excluded is None:
                column = self.other_turns[0][0]
                excluded = column, row[column] or ""
            if excluded is not None:
                self.left_out[excluded] += 1
                self.left_out_example = self.left_out_example or str(origin)
                if self.other_turns:
                    turn = LeftOutTurn(fields, is_other, origin)
                    self.left_out_turns.append((key, turn))
                return
            for column, values in self.kept.items():
                if len(values) < MAX_KEPT_VALUES:
                    values.add(row[column] or "")
        for column in self.id_columns:
            if row[column] not in self.safe_ids:
                check_id(row[column] or "", f"{origin}: {column}", origin.file, origin.line)
                self.safe_ids.add(row[column])
        self.rows.append((key, Row(fields, tuple([row[c] or "" for c in self.order]), origin)))


def _with_captured(names: list[str], captured: Mapping[str, str]) -> list[str]:
    """Return the columns of a file: the header, and the fields of the file name."""
    return [*names, *(name for name in captured if name not in names)]


def _parse_integer(cell: str, column: str, origin: Origin) -> str:
    """Remove leading zeros, like ``{name:int}`` in a pattern."""
    if not (cell.isascii() and cell.isdecimal()):
        raise origin.error(
            f"{column} is {cell!r}, which is not a whole number.",
            column,
            cell,
            remedy="Correct the table, or take the column out of integers: in the spec's table.",
        )
    return drop_zeros(cell)
