"""Which files and table rows a simulated corpus has in a spec's layout: indexing turned round.

A field that a path or a table has to deliver is found from what it must mean: the code of
``female``, the folder of the test part, the cell on the right side of the cut-off. What a layout
leaves open (ids, visits, codes) is taken from ``simulate:`` of the spec, or made up.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from math import prod
from pathlib import PurePosixPath

import numpy as np

from depmm.corpora.patterns import (
    compile_pattern,
    fill_pattern,
    fill_template,
    is_kept,
    template_fields,
)
from depmm.corpora.spec_schema import (
    OFFSET_FIELD,
    RecordingPattern,
    Spec,
    StepTable,
    Table,
    join_field,
)
from depmm.simulation.layout_fields import (
    Cells,
    Layout,
    LayoutError,
    Meanings,
    Participant,
    accepted,
    codes_of,
    made_up,
    normal,
    take_facts,
)

MANY = 10_000  # combinations of ids that are looked at
OFFSET_S = 0.1  # where a table gives offset_s


@dataclass
class PlannedFile:
    """A recording or a file of features that is to be written."""

    path: str
    entry: RecordingPattern
    fields: Cells


@dataclass
class PlannedUnit:
    """The files at one place of a session, in which somebody says some words.

    Parameters
    ----------
    person : who speaks
    session, subject : ids, as indexing will name them
    split : of the session, None where the layout has none
    place : which of the person's sessions, from 0
    words : (word, valence) in order
    files : first-listed patterns first
    fields : of all files
    """

    person: Participant
    split: str | None
    place: int
    words: list[tuple[str, str]]
    session: str = ""
    subject: str = ""
    files: list[PlannedFile] = field(default_factory=list)
    fields: Cells = field(default_factory=dict)


class Planner:
    """Plans the files of people one after the other and collects the rows of the tables.

    Parameters
    ----------
    spec : of the corpus
    words : valence -> words that people say
    rng : draws what the layout leaves open
    """

    def __init__(self, spec: Spec, words: Mapping[str, list[str]], rng: np.random.Generator):
        self.spec, self.words, self.rng = spec, words, rng
        self.layout = Layout(spec)
        self.rows: list[dict[tuple[str, ...], Cells | None]] = [{} for _ in spec.tables]
        # rows that several tables of the spec read, each with the tables' numbers
        self.shared: dict[tuple[str, int], list[tuple[Cells, set[int]]]] = {}
        self.step_rows: dict[tuple[str, ...], list[Cells]] = {}
        self._free: dict[tuple[int, int, str], str] = {}  # person, session, field -> value

    # ---- people and sessions -----------------------------------------------------------------

    def name_people(self, people: list[Participant]) -> list[Cells]:
        """Choose the ids of everybody; what the spec's own rows state about an id holds.

        Returns
        -------
        the id fields of each person; ``traits`` of people are brought in line with the rows

        Raises
        ------
        LayoutError : fewer ids than people
        """
        free = list(islice(self._ids(len(people)), MANY))
        if len(free) < len(people):
            raise LayoutError(
                f"{self.spec.name}: the spec knows {len(free)} people, {len(people)} were asked "
                f"for. Ask for {len(free)}, or list more values under simulate: fields: "
                f"{', '.join(sorted(self.layout.id_names))}."
            )
        known = [self.layout.known(ids) for ids in free[: 20 * len(people)]]
        chosen = []
        for participant in people:
            wanted = {"gender": participant.traits.gender, "split": participant.traits.split}
            fitting = [
                k
                for k, facts in enumerate(known)
                if all(facts.get(name, value) == value for name, value in wanted.items())
            ]
            at = fitting[0] if fitting else 0
            facts = known.pop(at)
            participant.traits = replace(
                participant.traits,
                gender=facts.get("gender", participant.traits.gender),
                split=facts.get("split", participant.traits.split),
                age=int(float(facts.get("age", participant.traits.age))),
            )
            chosen.append(free.pop(at))
        return chosen

    def capacity(self) -> int:
        """How many people the spec can name, at most ``MANY``."""
        return sum(1 for _ in islice(self._ids(MANY), MANY))

    def plan(self, participant: Participant, ids: Cells, words: int) -> list[PlannedUnit]:
        """Plan all sessions of a person and the files and table rows in them.

        Parameters
        ----------
        participant, ids : a person and the id fields, from ``name_people``
        words : that are said in each unit

        Raises
        ------
        LayoutError : no file fits the person; a further session cannot lie in another split
        """
        split = participant.traits.split if participant.traits.split in self.layout.splits else None
        splits = [split] * self.spec.simulate.sessions_per_subject
        splits += [participant.further_split] if participant.further_split else []
        units = []
        for number, (place, part) in enumerate(
            zip(self._places(len(splits)), splits, strict=False)
        ):
            own: dict[tuple[str | None, ...], PlannedUnit] = {}
            for entry, forms in zip(self.spec.recordings, self.layout.forms, strict=True):
                for raw in self._combinations(entry, forms, ids | place):
                    self._add(own, participant, part, number, entry, forms, raw, words)
            units += [unit for unit in own.values() if unit.files]
        if not units:
            raise LayoutError(
                f"{self.spec.name}: no pattern of recordings fits a "
                f"{participant.traits.gender} person of {split or 'no split'}. "
                f"Check fields:, keep: and codes: of the spec."
            )
        if participant.further_split:
            subjects = {unit.subject for unit in units}
            if len({unit.split for unit in units}) < 2 or len(subjects) > 1:
                raise LayoutError(
                    f"{self.spec.name}: speaker_leak needs a layout in which two sessions of a "
                    "person can lie in two splits; here the split belongs to the person. Leave "
                    "speaker_leak out."
                )
        return units

    def _ids(self, people: int) -> Iterator[Cells]:
        lists = {}
        for name in sorted(self.layout.id_names):
            entry, form = self.layout.first(name)
            lists[name] = self.layout.domain(name, form, entry) or list(made_up(form, people, "S"))
        if not lists:  # a table names the people
            return iter([{} for _ in range(people)])
        names = sorted(lists, key=lambda name: -len(lists[name]))  # the shortest varies fastest
        return (
            dict(zip(names, values, strict=True))
            for values in product(*(lists[name] for name in names))
        )

    def _places(self, count: int) -> list[Cells]:
        """Choose the session fields of ``count`` sessions; fewer where the layout has fewer."""
        lists = []
        for name in sorted(self.layout.session_names):
            entry, form = self.layout.first(name)
            lists.append(self.layout.domain(name, form, entry) or list(made_up(form, count)))
        total = prod(len(values) for values in lists)
        places = []
        for at in sorted(self.rng.choice(total, min(count, total), replace=False).tolist()):
            place = {}
            for name, values in zip(sorted(self.layout.session_names), lists, strict=True):
                at, digit = divmod(at, len(values))
                place[name] = values[digit]
            places.append(place)
        return places

    # ---- files -------------------------------------------------------------------------------

    def _combinations(self, entry: RecordingPattern, forms: Cells, fixed: Cells) -> Iterator[Cells]:
        """Yield the unit fields of every file of a pattern in a session."""
        names = [name for name in forms if name in self.layout.unit_names]
        lists = [
            self.layout.domain(name, forms[name], entry) or list(made_up(forms[name], 2))
            for name in names
        ]
        for values in product(*lists):
            own = {name: value for name, value in fixed.items() if name in forms}
            yield own | dict(zip(names, values, strict=True))

    def _add(
        self,
        units: dict[tuple[str | None, ...], PlannedUnit],
        participant: Participant,
        split: str | None,
        session: int,
        entry: RecordingPattern,
        forms: Cells,
        raw: Cells,
        words: int,
    ) -> None:
        """Add a file to its unit, unless an earlier pattern gives the same."""
        meanings = self.layout.meanings(participant, split)
        for name, text in entry.fields.items():
            codes = accepted(self.spec, name, meanings)
            if codes is not None and not template_fields(text) and text not in codes:
                return  # the pattern of another split, say
        for name in forms:
            if name not in raw:
                raw[name] = self._value(name, forms[name], entry, participant, session, meanings)
        path = fill_pattern(entry.pattern, raw, self.spec.simulate.folder)
        fields: Cells = {"path": path, "stem": PurePosixPath(path).stem}
        fields |= {name: normal(forms[name], value) for name, value in raw.items()}
        for name, text in entry.fields.items():
            fields[name] = fill_template(text, fields) or ""
        if not is_kept(fields, entry.keep, entry.drop):
            return
        self._check(path, entry, fields)
        early = dict(fields)
        self.layout.translate(early, strict=False)
        place = tuple(early.get(name) for name in self.spec.steps.order)
        unit = units.get(place)
        if unit is None:
            unit = units[place] = PlannedUnit(
                participant, split, session, self._say(words, early.get("valence"))
            )
        if not _new(unit, entry) or path in [file.path for file in unit.files]:
            return
        self._join(fields, unit, meanings)
        unit.files.append(PlannedFile(path, entry, fields))
        unit.fields = fields | unit.fields
        unit.session, unit.subject = unit.fields["session"], unit.fields["subject"]

    def _value(
        self,
        name: str,
        form: str,
        entry: RecordingPattern,
        participant: Participant,
        session: int,
        meanings: Meanings,
    ) -> str:
        """Choose a value that neither id nor session nor step decides."""
        key = (participant.number, session, name)
        if key not in self._free:
            domain = self.layout.domain(name, form, entry)
            codes = accepted(self.spec, name, meanings)
            if codes is not None:
                hinted = [value for value in domain or () if normal(form, value) in codes]
                domain = hinted or codes
            self._free[key] = self._pick(domain or list(made_up(form, 1)))
        return self._free[key]

    def _check(self, path: str, entry: RecordingPattern, fields: Cells) -> None:
        """Make sure that indexing will read the path as it is meant."""
        if any(compile_pattern(text).match(path) is not None for text in self.spec.ignore):
            raise LayoutError(
                f"{self.spec.name}: {path} is a file that ignore: names. Choose other values under "
                "simulate: fields:."
            )
        for other in self.spec.recordings:
            found = compile_pattern(other.pattern).match(path)
            if found is None:
                continue
            if other is not entry or any(fields[name] != text for name, text in found.items()):
                raise LayoutError(
                    f"{self.spec.name}: {path}, made for {entry.pattern!r}, is read by "
                    f"{other.pattern!r} as {found}. Choose values under simulate: fields: that "
                    "tell the patterns apart."
                )
            return
        raise LayoutError(
            f"{self.spec.name}: {path} does not match {entry.pattern!r}. Choose values of the "
            "right length under simulate: fields:."
        )

    def _say(self, count: int, valence: str | None) -> list[tuple[str, str]]:
        valences = [valence] if valence and valence in self.words else list(self.words)
        chosen = [self._pick(valences) for _ in range(count)]
        return [(self._pick(self.words[name]), name) for name in chosen]

    # ---- tables ------------------------------------------------------------------------------

    def _join(self, fields: Cells, unit: PlannedUnit, meanings: Meanings) -> None:
        """Join every table, with rows that are made where they are asked for."""
        text = " ".join(word for word, _ in unit.words)
        meanings = meanings | {"text": [text], "valence": [unit.words[0][1]]}
        for number, (table, joined) in enumerate(
            zip(self.spec.tables, self.layout.facts, strict=True)
        ):
            if joined is not None:
                take_facts(joined, fields)
                continue
            row = self._row(number, table, fields, unit, meanings)
            for name, column in table.fields.items() if row else ():
                cell = row[column] if row else ""
                if cell and name not in fields:
                    fields[name] = normal("int" if column in table.integers else "", cell)
        self.layout.translate(fields)
        for key, template in (("subject", self.spec.subject), ("session", self.spec.session)):
            value = fill_template(template, fields)
            if value is None:
                raise LayoutError(
                    f"{self.spec.name}: {key}: {template!r} of {fields['path']} cannot be filled. "
                    "Give its fields values under simulate: fields:."
                )
            fields[key] = value

    def _row(
        self, number: int, table: Table, fields: Cells, unit: PlannedUnit, meanings: Meanings
    ) -> Cells | None:
        """Find or make a recording's row; None where the layout has none for it."""
        parts = [fill_template(join_field(text), fields) for text in table.join.values()]
        key = tuple(part for part in parts if part is not None)
        if len(key) < len(parts):
            return None
        rows = self.rows[number]
        if key not in rows:
            row = dict(zip(table.join, key, strict=True))
            for name, column in table.fields.items():
                if column not in row:
                    row[column] = fields.get(name) or self._cell(name, unit, meanings)
            rows[key] = self._place(number, table, self._complete(table, row, fields, unit), fields,
                                    unit)  # fmt: skip
        return rows[key]

    def _complete(self, table: Table, row: Cells, fields: Cells, unit: PlannedUnit) -> Cells:
        """Fill the columns that nothing joins or gives."""
        for column, values in table.keep.items():
            row.setdefault(column, values[0].replace("*", ""))
        further = [*compile_pattern(table.file or "").fields, *table.columns]
        further += self.spec.simulate.columns.get(table.file or "", [])
        further += [*table.drop, *(table.order if isinstance(table, StepTable) else [])]
        for column in further:
            if column not in row:
                row[column] = fields.get(column) or self._cell(column, unit, {})
        return row

    def _place(
        self, number: int, table: Table, row: Cells, fields: Cells, unit: PlannedUnit
    ) -> Cells | None:
        """Put a row into its file, beside what another table says in the same row.

        None for a row that indexing would not use, and for one of an optional table that says
        nothing new.
        """
        text = table.file or ""
        path = fill_pattern(text, row, self.spec.simulate.folder)
        found = compile_pattern(text).match(path)
        ignored = any(compile_pattern(rule).match(path) is not None for rule in self.spec.ignore)
        if found is None or ignored or not is_kept(row, table.keep, table.drop):
            return None
        others = self.shared.setdefault((path, id(unit)), [])
        for other, tables in others:
            if number not in tables:
                tables.add(number)
                other |= row | other
                return other
        if not table.required and all(name in fields for name in table.fields):
            return None
        others.append((row, {number}))
        return row

    def _cell(self, name: str, unit: PlannedUnit, meanings: Meanings) -> str:
        """Make up what a table states."""
        codes = accepted(self.spec, name, meanings)
        hints = self.spec.simulate.fields.get(name)
        if codes:
            fitting = [value for value in hints or () if value in codes]
            return self._pick(fitting or codes)
        if name in template_fields(self.spec.subject):
            return f"P{unit.person.number:03d}"
        if groups := self.spec.simulate.values_by_label.get(name):
            return groups[unit.person.label]
        if name == OFFSET_FIELD:
            return f"{OFFSET_S}"
        key = (unit.person.number, unit.place, name)
        if key not in self._free:
            digits = [str(digit) for digit in range(1, 10)]
            domain = hints or codes_of(self.spec, name) or digits
            self._free[key] = self._pick(domain)
        return self._free[key]

    def add_steps(
        self, unit: PlannedUnit, times: list[tuple[float, float]], asked_s: float
    ) -> None:
        """Add the rows that are the steps of a unit.

        Parameters
        ----------
        unit : whose words the rows name
        times : start and end of each word in the recording, seconds
        asked_s : end of what an interviewer says first; 0 where nobody does
        """
        table = self.spec.steps.table
        if table is None:
            return
        parts = [fill_template(join_field(text), unit.fields) for text in table.join.values()]
        key = tuple(part for part in parts if part is not None)
        if len(key) < len(parts) or key in self.step_rows:
            return
        offset = float(unit.fields.get(OFFSET_FIELD) or 0)
        begin = max(0.0, times[0][0] - 0.1)
        spoken = [*zip(times, unit.words, strict=True)]
        rows = [self._step(table, key, unit, k, *one, offset) for k, one in enumerate(spoken)]
        kept = [row for row in rows if is_kept(row, table.keep, table.drop)]
        if len(kept) < len(rows):
            raise LayoutError(
                f"{self.spec.name}: keep: and drop: of {table.place} leave out words of "
                f"{unit.session}. Give the columns other values under simulate: fields:."
            )
        others = self.spec.simulate.excluded_rows
        sorted_out = [(column, value) for column in others for value in others[column]]
        sorted_out += [
            (column, value)
            for column, values in table.drop.items()
            for value in values
            if "*" not in value and column not in table.join
        ]
        extra = []
        for column, value in sorted_out:
            span = (0.0, asked_s if column in others and asked_s else begin)
            first = self._step(table, key, unit, 0, span, ("welcome", "neutral"), 0.0)
            extra.append(first | {column: value})
        self.step_rows[key] = extra + rows

    def _step(
        self,
        table: StepTable,
        key: tuple[str, ...],
        unit: PlannedUnit,
        number: int,
        span: tuple[float, float],
        spoken: tuple[str, str],
        offset: float,
    ) -> Cells:
        row = dict(zip(table.join, key, strict=True))
        meanings = {"text": [spoken[0]], "valence": [spoken[1]]}
        for name, column in table.fields.items():
            if name in ("start", "end"):
                time = (span[name == "end"] - offset) * table.units_per_second
                row[column] = f"{time:.3f}" if table.units_per_second < 100 else f"{time:.0f}"
            elif column not in row:
                row[column] = self._cell(name, unit, meanings)
        for column in table.order:
            row.setdefault(column, str(number))
        return self._complete(table, row, unit.fields, unit)

    def files(self) -> Iterator[tuple[Table, str, list[str], list[list[str]]]]:
        """Yield every table file: its table, path, columns and rows of cells."""
        made: list[tuple[Table, Iterable[Cells | None]]] = [
            (table, rows.values()) for table, rows in zip(self.spec.tables, self.rows, strict=True)
        ]
        if self.spec.steps.table:
            made.append(
                (self.spec.steps.table, [row for rows in self.step_rows.values() for row in rows])
            )
        by_path: dict[str, tuple[Table, dict[int, Cells]]] = {}
        for table, rows in made:
            for row in rows:
                if row is not None and table.file is not None:
                    path = fill_pattern(table.file, row, self.spec.simulate.folder)
                    by_path.setdefault(path, (table, {}))[1].setdefault(id(row), row)
        for path, (table, own) in by_path.items():
            captured = compile_pattern(table.file or "").fields
            columns = (
                table.columns
                or self.spec.simulate.columns.get(table.file or "")
                or list(dict.fromkeys(c for row in own.values() for c in row if c not in captured))
            )
            yield table, path, columns, [[row.get(c, "") for c in columns] for row in own.values()]

    def _pick(self, values: Sequence[str]) -> str:
        return values[int(self.rng.integers(len(values)))]


def _new(unit: PlannedUnit, entry: RecordingPattern) -> bool:
    """Say whether a unit lacks something that a pattern gives."""
    if entry.features:
        streams = [file.entry.features.name for file in unit.files if file.entry.features]
        return entry.features.name not in streams
    given = {name for f in unit.files if f.entry.features is None for name in f.entry.modalities}
    return not given.issuperset(entry.modalities)
