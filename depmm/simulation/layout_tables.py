"""Rows of the tables of a simulated corpus: the counterpart of joining tables when indexing.

A cell is derived from what it must mean: the code of ``female``, or a score on the correct side of
the cut-off. Other cells come from ``simulate:`` of the spec or are generated.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from depmm.corpora.cells import format_time
from depmm.corpora.patterns import (
    compile_pattern,
    fill_pattern,
    fill_template,
    is_kept,
    template_fields,
)
from depmm.corpora.spec_schema import OFFSET_FIELD, Spec, StepTable, Table, join_field
from depmm.simulation.layout_fields import Layout, add_stated_fields
from depmm.simulation.layout_units import Fields, LayoutError, Meanings, PlannedUnit, ValueSampler
from depmm.simulation.layout_values import matching_codes, normalise, translated_codes

OFFSET_S = 0.1  # value of offset_s, if a table states it
MARGIN_S = 0.1  # between the end of an excluded row and the first word
QUESTION = ("welcome", "neutral")  # word and valence of excluded rows


class TableFile(NamedTuple):
    """A table file to be written.

    Attributes
    ----------
    table : Table
        Description of the table in the spec.
    path : str
        Path below the folder of the corpus.
    columns : list of str
        Names of the columns.
    rows : list of list of str
        Cells of each row.
    """

    table: Table
    path: str
    columns: list[str]
    rows: list[list[str]]


class _Times(NamedTuple):
    """Start and end of a row of a step table, and the offset of the table, in seconds."""

    start_s: float
    end_s: float
    offset_s: float


class TablePlanner:
    """Planner of the rows of all tables; a row is created for the first recording that joins it.

    Parameters
    ----------
    layout : Layout
        Fields of the spec.
    sampler : ValueSampler
        Sampler of values that the layout does not determine.
    """

    def __init__(self, layout: Layout, sampler: ValueSampler) -> None:
        self.layout, self.sampler = layout, sampler
        self.spec: Spec = layout.spec
        self._rows: list[dict[tuple[str, ...], Fields | None]] = [{} for _ in self.spec.tables]
        # rows that several tables of the spec read: path, unit -> (row, indices of the tables)
        self._shared: dict[tuple[str, int], list[tuple[Fields, set[int]]]] = {}
        self._step_rows: dict[tuple[str, ...], list[Fields]] = {}

    def join(self, fields: Fields, unit: PlannedUnit, meanings: Meanings) -> None:
        """Add the fields of all tables to those of a recording, in place.

        Parameters
        ----------
        fields : dict of str to str
            Fields of the path and of its pattern.
        unit : PlannedUnit
            Unit of the recording.
        meanings : dict of str to list of str
            Required meanings of the fields.

        Raises
        ------
        LayoutError
            If a code has no translation, or an id cannot be derived from the fields.
        """
        text = " ".join(word for word, _ in unit.words)
        meanings = meanings | {"text": [text], "valence": [unit.words[0][1]]}
        for index, (table, joined) in enumerate(
            zip(self.spec.tables, self.layout.stated, strict=True)
        ):
            if joined is not None:
                add_stated_fields(joined, fields)
                continue
            row = self._row(index, table, fields, unit, meanings)
            for name, column in table.fields.items() if row else ():
                cell = row[column] if row else ""
                if cell and name not in fields:
                    fields[name] = normalise("int" if column in table.integers else "", cell)
        self.layout.translate(fields)
        for key, template in (("subject", self.spec.subject), ("session", self.spec.session)):
            value = fill_template(template, fields)
            if value is None:
                raise LayoutError(
                    f"{self.spec.name}: {key} {template!r} cannot be derived for {fields['path']}.",
                    setting=key,
                    value=template,
                    remedy="List values of its fields under simulate.fields.",
                )
            fields[key] = value

    def _row(
        self, index: int, table: Table, fields: Fields, unit: PlannedUnit, meanings: Meanings
    ) -> Fields | None:
        """Find or create the row of a recording; None if the layout has no row for it."""
        key = _join_key(table, fields)
        if key is None:
            return None
        rows = self._rows[index]
        if key not in rows:
            row = dict(zip(table.join, key, strict=True))
            for name, column in table.fields.items():
                if column not in row:
                    row[column] = fields.get(name) or self._cell(name, unit, meanings)
            row = self._complete(table, row, fields, unit)
            rows[key] = self._insert(index, table, row, fields, unit)
        return rows[key]

    def _complete(self, table: Table, row: Fields, fields: Fields, unit: PlannedUnit) -> Fields:
        """Fill the columns that are neither joined nor given."""
        for column, values in table.keep.items():
            row.setdefault(column, values[0].replace("*", ""))
        further = [*compile_pattern(table.file or "").fields, *table.columns]
        further += self.spec.simulate.columns.get(table.file or "", [])
        further += table.drop
        if isinstance(table, StepTable):
            further += [*table.order, *table.other_turns]
        for column in further:
            if column not in row:
                row[column] = fields.get(column) or self._cell(column, unit, {})
        return row

    def _insert(
        self, index: int, table: Table, row: Fields, fields: Fields, unit: PlannedUnit
    ) -> Fields | None:
        """Insert a row into its file, or merge it with the row of another table in this file.

        None for a row that indexing would not use, and for a row of an optional table that adds
        no field.
        """
        text = table.file or ""
        path = fill_pattern(text, row, self.spec.simulate.folder)
        matched = compile_pattern(text).match(path)
        ignored = any(compile_pattern(rule).match(path) is not None for rule in self.spec.ignore)
        if matched is None or ignored or not is_kept(row, table.keep, table.drop):
            return None
        shared = self._shared.setdefault((path, id(unit)), [])
        for other, tables in shared:
            if index not in tables:
                tables.add(index)
                other |= row | other
                return other
        if not table.required and all(name in fields for name in table.fields):
            return None
        shared.append((row, {index}))
        return row

    def _cell(self, name: str, unit: PlannedUnit, meanings: Meanings) -> str:
        """Derive or generate the content of a cell."""
        codes = matching_codes(self.spec, name, meanings)
        hints = self.spec.simulate.fields.get(name)
        if codes:
            fitting = [value for value in hints or () if value in codes]
            return self.sampler.sample(fitting or codes)
        if name in template_fields(self.spec.subject):
            return f"P{unit.participant.index:03d}"
        if values := self.spec.simulate.values_by_label.get(name):
            return values[unit.participant.label]
        if name == OFFSET_FIELD:
            return f"{OFFSET_S}"
        digits = [str(digit) for digit in range(1, 10)]
        values = hints or translated_codes(self.spec, name) or digits
        return self.sampler.sample_once(unit.participant, unit.session_index, name, values)

    def add_steps(
        self, unit: PlannedUnit, times: list[tuple[float, float]], question_end_s: float
    ) -> None:
        """Add the rows of the step table that describe the words of a unit.

        Parameters
        ----------
        unit : PlannedUnit
            The unit.
        times : list of tuple of float
            Start and end of each word in the recording in seconds.
        question_end_s : float
            End of the question of an interviewer in seconds; 0 without a question.

        Raises
        ------
        LayoutError
            If ``keep:`` and ``drop:`` of the table leave out words.
        """
        table = self.spec.steps.table
        if table is None:
            return
        key = _join_key(table, unit.fields)
        if key is None or key in self._step_rows:
            return
        offset = float(unit.fields.get(OFFSET_FIELD) or 0)
        rows = [
            self._step_row(table, key, unit, k, _Times(*span, offset), word)
            for k, (span, word) in enumerate(zip(times, unit.words, strict=True))
        ]
        kept = sum(is_kept(row, table.keep, table.drop) for row in rows)
        if kept < len(rows):
            raise LayoutError(
                f"{self.spec.name}, session {unit.session}: keep: and drop: of {table.location} "
                f"leave out {len(rows) - kept} of {len(rows)} words.",
                setting="steps.table",
                session=unit.session,
                remedy="List other values of these columns under simulate.fields.",
            )
        self._step_rows[key] = self._excluded_rows(table, key, unit, times, question_end_s) + rows

    def _excluded_rows(
        self,
        table: StepTable,
        key: tuple[str, ...],
        unit: PlannedUnit,
        times: list[tuple[float, float]],
        question_end_s: float,
    ) -> list[Fields]:
        """Create the rows before the first word that ``keep:`` and ``drop:`` leave out."""
        questions = self.spec.simulate.excluded_rows
        excluded = [(column, value) for column in questions for value in questions[column]]
        excluded += [
            (column, value)
            for column, values in table.drop.items()
            for value in values
            if "*" not in value and column not in table.join
        ]
        rows = []
        for column, value in excluded:
            end_s = max(0.0, times[0][0] - MARGIN_S)
            if column in questions and question_end_s:
                end_s = question_end_s
            row = self._step_row(table, key, unit, 0, _Times(0.0, end_s, 0.0), QUESTION)
            rows.append(row | {column: value})
        return rows

    def _step_row(
        self,
        table: StepTable,
        key: tuple[str, ...],
        unit: PlannedUnit,
        index: int,
        times: _Times,
        word: tuple[str, str],
    ) -> Fields:
        row = dict(zip(table.join, key, strict=True))
        meanings = {"text": [word[0]], "valence": [word[1]]}
        for name, column in table.fields.items():
            if name in ("start", "end"):
                time_s = (times.end_s if name == "end" else times.start_s) - times.offset_s
                row[column] = format_time(time_s, table)
            elif column not in row:
                row[column] = self._cell(name, unit, meanings)
        for column in table.order:
            row.setdefault(column, str(index))
        return self._complete(table, row, unit.fields, unit)

    def files(self) -> Iterator[TableFile]:
        """Collect the rows of all tables by file.

        Yields
        ------
        TableFile
            Next file.
        """
        created: list[tuple[Table, Iterable[Fields | None]]] = [
            (table, rows.values()) for table, rows in zip(self.spec.tables, self._rows, strict=True)
        ]
        if self.spec.steps.table:
            steps = [row for rows in self._step_rows.values() for row in rows]
            created.append((self.spec.steps.table, steps))
        by_path: dict[str, tuple[Table, dict[int, Fields]]] = {}
        for table, rows in created:
            for row in rows:
                if row is not None and table.file is not None:
                    path = fill_pattern(table.file, row, self.spec.simulate.folder)
                    # a row that several tables read is written once
                    by_path.setdefault(path, (table, {}))[1].setdefault(id(row), row)
        for path, (table, unique) in by_path.items():
            captured = compile_pattern(table.file or "").fields
            columns = (
                table.columns
                or self.spec.simulate.columns.get(table.file or "")
                or list(
                    dict.fromkeys(c for row in unique.values() for c in row if c not in captured)
                )
            )
            cells = [[row.get(column, "") for column in columns] for row in unique.values()]
            yield TableFile(table, path, columns, cells)


def _join_key(table: Table, fields: Fields) -> tuple[str, ...] | None:
    """Compute the key of a recording in a table; None if one of its fields is missing."""
    parts = [fill_template(join_field(text), fields) for text in table.join.values()]
    key = tuple(part for part in parts if part is not None)
    return key if len(key) == len(parts) else None
