"""The fields of a layout, the sources of their values, and their possible values.

Indexing derives the meaning of a recording from the fields of its path and of the joined tables.
Here a spec is evaluated in the opposite direction: from a meaning (``gender`` is female) to the
values that a path or a table must contain.
"""

from collections.abc import Iterable
from pathlib import Path

from depmm.corpora.patterns import field_forms, fill_template, is_kept, template_fields
from depmm.corpora.spec_schema import RecordingPattern, Spec, join_field
from depmm.corpora.tables.joined_table import JoinedTable
from depmm.corpora.tables.tables import read_table
from depmm.schemas.manifest import SPLITS
from depmm.simulation.layout_units import Fields, LayoutError, Meanings, Participant
from depmm.simulation.layout_values import normalise, source_field, translated_codes


class Layout:
    """Fields of a spec, with the part of an id that each of them determines.

    Parameters
    ----------
    spec : Spec
        Data spec of the layout.

    Attributes
    ----------
    forms : list of dict of str to str
        Form of each path field, for each recording pattern.
    stated : list of JoinedTable or None
        Tables whose rows are part of the spec; None for tables that are files.
    id_names, session_names, unit_names : set of str
        Path fields that determine subject, session, and the order of the files in a session.
    splits : tuple of str
        Official splits that the layout can express.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.forms = [field_forms(entry.pattern) for entry in spec.recordings]
        self.stated = [
            None if table.rows is None else read_table(table, Path(), []) for table in spec.tables
        ]
        label = (spec.label.field, spec.label.score) if spec.label else ()
        traits = {source_field(spec, name) for name in ("split", "gender", "age", *label) if name}
        self.id_names = self._path_fields(template_fields(spec.subject)) - traits
        self.session_names = (
            self._path_fields(template_fields(spec.session)) - traits - self.id_names
        )
        self.unit_names = self._path_fields(spec.steps.order) - traits - self.id_names
        self.unit_names -= self.session_names
        self.splits = self._splits()

    def stated_fields(self, ids: Fields) -> Fields:
        """Look up the fields that the rows of the spec state for a subject.

        Parameters
        ----------
        ids : dict of str to str
            Fields that determine the subject.

        Returns
        -------
        dict of str to str
            Stated fields, translated.
        """
        fields: Fields = {}
        for entry, forms in zip(self.spec.recordings, self.forms, strict=True):
            known = {
                name: normalise(forms[name], value) for name, value in ids.items() if name in forms
            }
            for name, text in entry.fields.items():
                value = fill_template(text, known)
                if value is not None and template_fields(text):
                    known[name] = value
            fields = known | fields
        given = set(fields)
        for joined in self.stated:
            if joined is not None:
                add_stated_fields(joined, fields)
        self.translate(fields)
        return {name: value for name, value in fields.items() if name not in given}

    def meanings(self, participant: Participant, split: str | None) -> Meanings:
        """Collect the required meanings of the fields of a session.

        Parameters
        ----------
        participant : Participant
            Participant of the session.
        split : str or None
            Split of the session.

        Returns
        -------
        dict of str to list of str
            Allowed values of each field after translation.
        """
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
        rule, name = self.spec.codes.get("split"), source_field(self.spec, "split")
        known = rule.names if rule else {split: split for split in SPLITS}
        codes: Iterable[str] = known
        constants = [entry.fields[name] for entry in self.spec.recordings if name in entry.fields]
        stated = [
            row.fields[name] or ""
            for joined in self.stated
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
        expressed = {known.get(code) for code in codes}
        return tuple(split for split in SPLITS if split in expressed)

    def translate(self, fields: Fields, strict: bool = True) -> None:
        """Translate fields by ``codes:`` of the spec, in place.

        Parameters
        ----------
        fields : dict of str to str
            Fields of a recording.
        strict : bool, default True
            Whether a value without translation is an error; otherwise it is kept.

        Raises
        ------
        LayoutError
            If a value has no translation.
        """
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
                    f"{self.spec.name}: codes.{name} does not translate {code!r}.",
                    setting=f"codes.{name}",
                    value=code,
                    remedy=f"Give values of {rule.of or name} that it translates under "
                    "simulate.fields.",
                )

    def _path_fields(self, names: Iterable[str]) -> set[str]:
        """Collect the path fields, of any pattern, that determine these fields."""
        return {
            field
            for entry, forms in zip(self.spec.recordings, self.forms, strict=True)
            for name in names
            for field in self._determined_by(name, entry, forms)
        }

    def _determined_by(self, name: str, entry: RecordingPattern, forms: Fields) -> set[str]:
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
        determined = set[str]()
        for part in inner:
            if part != name:
                determined |= self._determined_by(part, entry, forms)
        return determined

    def first_pattern(self, name: str) -> tuple[RecordingPattern, str]:
        """Find the first pattern that contains a field.

        Parameters
        ----------
        name : str
            Name of a path field.

        Returns
        -------
        entry : RecordingPattern
            The pattern.
        form : str
            Form of the field in it.
        """
        return next(
            (entry, forms[name])
            for entry, forms in zip(self.spec.recordings, self.forms, strict=True)
            if name in forms
        )

    def allowed_values(self, name: str, form: str, entry: RecordingPattern) -> list[str]:
        """List the values that a path field may have.

        Parameters
        ----------
        name : str
            Name of the field.
        form : str
            Form of the field in the pattern.
        entry : RecordingPattern
            The pattern.

        Returns
        -------
        list of str
            Values; empty if the spec does not restrict them.
        """
        joined_values = [
            key[0]
            for joined in self.stated
            if joined is not None
            and joined.table.required  # optional tables list exceptions only
            and [*joined.table.join.values()] == [name]
            for key in joined.rows
        ]
        values = (
            self.spec.simulate.fields.get(name)
            or self.spec.steps.expected.get(name)
            or translated_codes(self.spec, name)
            or [value for value in entry.keep.get(name, []) if "*" not in value]
            or joined_values
        )
        keep = {name: [*entry.keep[name]]} if name in entry.keep else {}
        drop = {name: [*entry.drop[name]]} if name in entry.drop else {}
        return [value for value in values if is_kept({name: normalise(form, value)}, keep, drop)]


def add_stated_fields(joined: JoinedTable, fields: Fields) -> None:
    """Add the fields that the rows of a table state about a recording, in place.

    Parameters
    ----------
    joined : JoinedTable
        A table whose rows are part of the spec.
    fields : dict of str to str
        Fields of the recording; present fields are kept.
    """
    for row in joined.find_rows(fields)[1]:
        fields |= {
            name: cell
            for name, cell in row.fields.items()
            if cell is not None and name not in fields
        }
