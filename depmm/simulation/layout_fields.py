"""What the fields of a layout mean, and what decides them: a spec read backwards."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from depmm.corpora.manifest import SPLITS
from depmm.corpora.patterns import field_forms, fill_template, is_kept, template_fields
from depmm.corpora.spec_schema import RecordingPattern, Spec, join_field
from depmm.corpora.tables import JoinedTable, read_table
from depmm.errors import DepmmError
from depmm.simulation.word_reading import Traits

Cells = dict[str, str]
Meanings = dict[str, list[str]]  # field -> values that it may have, once translated


class LayoutError(DepmmError):
    """A layout that cannot be simulated as asked; names spec, place and remedy."""


@dataclass
class Participant:
    """A simulated person.

    Parameters
    ----------
    number : from 1
    traits : who it is; ``diagnosis`` is what voice and face show
    label : that the tables state, 1 depressed; contradicts ``traits.diagnosis`` under label noise
    score : of the spec's instrument, on the side of ``label``; None without scores
    further_split : split of one more session, where a leak was planted
    """

    number: int
    traits: Traits
    label: int
    score: int | None
    further_split: str | None = None


class Layout:
    """The fields of a spec: who decides them, and what they can say.

    Parameters
    ----------
    spec : of the corpus
    """

    def __init__(self, spec: Spec):
        self.spec = spec
        self.forms = [field_forms(entry.pattern) for entry in spec.recordings]
        self.facts = [
            None if table.rows is None else read_table(table, Path(), []) for table in spec.tables
        ]
        label = (spec.label.field, spec.label.score) if spec.label else ()
        bound = {delivered(spec, name) for name in ("split", "gender", "age", *label) if name}
        self.id_names = self._closure(template_fields(spec.subject)) - bound
        self.session_names = self._closure(template_fields(spec.session)) - bound - self.id_names
        self.unit_names = self._closure(spec.steps.order) - bound - self.id_names
        self.unit_names -= self.session_names
        self.splits = self._splits()

    def known(self, ids: Cells) -> Cells:
        """What the spec's own rows state about an id."""
        fields: Cells = {}
        for entry, forms in zip(self.spec.recordings, self.forms, strict=True):
            own = {name: normal(forms[name], value) for name, value in ids.items() if name in forms}
            for name, text in entry.fields.items():
                value = fill_template(text, own)
                if value is not None and template_fields(text):
                    own[name] = value
            fields = own | fields
        given = dict(fields)
        for joined in self.facts:
            if joined is not None:
                take_facts(joined, fields)
        self.translate(fields)
        return {name: value for name, value in fields.items() if name not in given}

    def meanings(self, participant: Participant, split: str | None) -> Meanings:
        traits, label = participant.traits, self.spec.label
        meanings = {"gender": [traits.gender], "age": [str(traits.age)]}
        if split is not None:
            meanings["split"] = [split]
        if label and label.field:
            meanings[label.field] = label.positive if participant.label else label.negative
        if label and label.score and participant.score is not None:
            meanings[label.score] = [str(participant.score)]
        return meanings

    def _splits(self) -> tuple[str, ...]:
        """The official splits that the layout can express."""
        rule, name = self.spec.codes.get("split"), delivered(self.spec, "split")
        known = rule.names if rule else {split: split for split in SPLITS}
        codes: Iterable[str] = known
        constants = [entry.fields[name] for entry in self.spec.recordings if name in entry.fields]
        stated = [
            row.fields[name] or ""
            for joined in self.facts
            if joined is not None and name in joined.table.fields
            for rows in joined.rows.values()
            for row in rows
        ]
        in_files = any(name in forms for forms in self.forms)
        in_tables = any(name in table.fields for table in self.spec.tables if table.file)
        if not (constants or stated or in_files or in_tables):
            return ()
        if constants or stated:
            codes = [*constants, *stated]
        elif hints := self.spec.simulate.fields.get(name):
            codes = hints
        found = {known.get(code) for code in codes}
        return tuple(split for split in SPLITS if split in found)

    def translate(self, fields: Cells, strict: bool = True) -> None:
        for name, rule in self.spec.codes.items():
            code = fields.get(rule.of or name)
            if code is None:
                continue
            meaning = rule.names.get(code)
            if meaning is not None:
                fields[name] = meaning
            elif code in rule.names:
                fields.pop(name, None)
            elif strict:
                raise LayoutError(
                    f"{self.spec.name}: codes.{name} does not translate {code!r}. Give "
                    f"{rule.of or name} values under simulate: fields: that it does."
                )

    def _closure(self, names: Iterable[str]) -> set[str]:
        """The path fields, of any pattern, that decide these fields."""
        found: set[str] = set()
        for entry, forms in zip(self.spec.recordings, self.forms, strict=True):
            for name in names:
                found |= self._decided_by(name, entry, forms)
        return found

    def _decided_by(self, name: str, entry: RecordingPattern, forms: Cells) -> set[str]:
        rule = self.spec.codes.get(name)
        if name in forms:
            return {name}
        if name in entry.fields:
            inner: Iterable[str] = template_fields(entry.fields[name])
        elif rule is not None and rule.of:
            inner = [rule.of]
        elif name == "subject":
            inner = template_fields(self.spec.subject)
        elif name in ("stem", "path"):
            whole = name == "path"
            inner = field_forms(entry.pattern if whole else entry.pattern.rpartition("/")[2])
        else:
            inner = [
                part
                for table in self.spec.tables
                if table.rows is not None and name in table.fields
                for text in table.join.values()
                for part in template_fields(join_field(text))
            ]
        own = set[str]()
        for part in inner:
            if part != name:
                own |= self._decided_by(part, entry, forms)
        return own

    def first(self, name: str) -> tuple[RecordingPattern, str]:
        """The first pattern with a field, and the field's form."""
        return next(
            (entry, forms[name])
            for entry, forms in zip(self.spec.recordings, self.forms, strict=True)
            if name in forms
        )

    def domain(self, name: str, form: str, entry: RecordingPattern) -> list[str]:
        """Values that a path field may have, none where the spec does not say."""
        stated = [
            key[0]
            for joined in self.facts
            if joined is not None
            and joined.table.required  # others are remarks on a few people
            and [*joined.table.join.values()] == [name]
            for key in joined.rows
        ]
        values = (
            self.spec.simulate.fields.get(name)
            or self.spec.steps.expected.get(name)
            or codes_of(self.spec, name)
            or [value for value in entry.keep.get(name, []) if "*" not in value]
            or stated
        )
        own = {name: [*entry.keep[name]]} if name in entry.keep else {}
        out = {name: [*entry.drop[name]]} if name in entry.drop else {}
        return [value for value in values if is_kept({name: normal(form, value)}, own, out)]


def accepted(spec: Spec, name: str, meanings: Meanings) -> list[str] | None:
    """Values of a field, as delivered, with the wanted meaning; None where it has none.

    Raises
    ------
    LayoutError : no code means what is wanted
    """
    found: list[str] | None = None
    for target, values in meanings.items():
        if delivered(spec, target) != name:
            continue
        rule = spec.codes.get(target)
        own = [code for code, text in rule.names.items() if text in values] if rule else values
        found = own if found is None else [code for code in found if code in own]
        if not found:
            raise LayoutError(
                f"{spec.name}: no code of {name} means {target} {' or '.join(values)}. Add it "
                f"under codes: {target}:."
            )
    return found


def delivered(spec: Spec, name: str) -> str:
    """The field, as delivered, that a field is translated from."""
    return (spec.codes[name].of or name) if name in spec.codes else name


def codes_of(spec: Spec, name: str) -> list[str]:
    """Codes of a field that mean something."""
    for target, rule in spec.codes.items():
        if delivered(spec, target) == name:
            return [code for code, text in rule.names.items() if text is not None]
    return []


def take_facts(joined: JoinedTable, fields: Cells) -> None:
    for row in joined.find_rows(fields)[1]:
        fields |= {
            name: cell
            for name, cell in row.fields.items()
            if cell is not None and name not in fields
        }


def normal(form: str, value: str) -> str:
    """The value as indexing reads it."""
    return str(int(value)) if form == "int" and value.isdecimal() else value


def made_up(form: str, count: int, letter: str = "") -> Iterator[str]:
    """Values of a form that say nothing: 1, 2, ..."""
    for number in range(1, count + 1):
        if form == "int":
            yield str(number)
        elif form:
            if len(text := f"{number:0{form}d}") <= int(form):
                yield text
        else:
            yield f"{letter}{number:03d}" if letter else str(number)
