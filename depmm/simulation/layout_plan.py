"""Sessions and files of a simulated corpus: the counterpart of indexing.

A field that a path must contain is derived from what it must mean: the code of ``female``, or the
folder of the test split. Values that a layout does not determine (ids, visits, codes) come from
``simulate:`` of the spec or are generated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
from depmm.corpora.spec_schema import RecordingPattern, Spec
from depmm.simulation.layout_fields import Layout
from depmm.simulation.layout_tables import TablePlanner
from depmm.simulation.layout_units import (
    Fields,
    LayoutError,
    Meanings,
    Participant,
    PlannedFile,
    PlannedUnit,
    ValueSampler,
)
from depmm.simulation.layout_values import generate_values, matching_codes, normalise

MAX_IDS = 10_000  # combinations of id fields that are considered
CANDIDATES_PER_PARTICIPANT = 20  # ids whose stated fields are compared with the sampled traits


@dataclass(frozen=True)
class _Session:
    """A session that is being planned; ``units`` are keyed by the step order of their files."""

    participant: Participant
    split: str | None
    index: int
    meanings: Meanings
    n_words: int
    units: dict[tuple[str | None, ...], PlannedUnit]


class Planner:
    """Planner of the sessions and files of participants, one participant after the other.

    Parameters
    ----------
    spec : Spec
        Data spec of the layout.
    words : dict of str to list of str
        Words by valence.
    rng : Generator
        Source of randomness for values that the layout does not determine.

    Attributes
    ----------
    layout : Layout
        Fields of the spec.
    tables : TablePlanner
        Rows of the tables of the planned sessions.
    """

    def __init__(
        self, spec: Spec, words: Mapping[str, list[str]], rng: np.random.Generator
    ) -> None:
        self.spec, self.words, self.rng = spec, words, rng
        self.sampler = ValueSampler(rng)
        self.layout = Layout(spec)
        self.tables = TablePlanner(self.layout, self.sampler)

    def assign_ids(self, participants: list[Participant]) -> list[Fields]:
        """Choose the ids of all participants.

        The rows of the spec take precedence: the traits of a participant are replaced by those
        that the spec states for the id.

        Parameters
        ----------
        participants : list of Participant
            All participants.

        Returns
        -------
        list of dict of str to str
            Fields that determine the id of each participant.

        Raises
        ------
        LayoutError
            If the layout has fewer ids than there are participants.
        """
        free = list(islice(self._ids(len(participants)), MAX_IDS))
        if len(free) < len(participants):
            names = ", ".join(sorted(self.layout.id_names))
            raise LayoutError(
                f"{self.spec.name}: the spec has {len(free)} subject ids, but "
                f"{len(participants)} subjects were requested.",
                setting="subjects",
                value=len(participants),
                remedy=f"Request at most {len(free)}, or list more values of {names} under "
                "simulate.fields.",
            )
        stated = [
            self.layout.stated_fields(ids)
            for ids in free[: CANDIDATES_PER_PARTICIPANT * len(participants)]
        ]
        chosen = []
        for participant in participants:
            traits = participant.traits
            sampled = {"gender": traits.gender, "split": traits.split}
            fitting = (
                k
                for k, fields in enumerate(stated)
                if all(fields.get(name, value) == value for name, value in sampled.items())
            )
            index = next(fitting, 0)
            fields = stated.pop(index)
            participant.traits = replace(
                traits,
                gender=fields.get("gender", traits.gender),
                split=fields.get("split", traits.split),
                age=int(float(fields.get("age", traits.age))),
            )
            chosen.append(free.pop(index))
        return chosen

    def count_ids(self) -> int:
        """Count the subject ids of the layout.

        Returns
        -------
        int
            Number of ids, at most ``MAX_IDS``.
        """
        return sum(1 for _ in islice(self._ids(MAX_IDS), MAX_IDS))

    def plan(self, participant: Participant, ids: Fields, n_words: int) -> list[PlannedUnit]:
        """Plan all sessions of a participant with their files and table rows.

        Parameters
        ----------
        participant : Participant
            The participant.
        ids : dict of str to str
            Fields that determine the subject id, see `assign_ids`.
        n_words : int
            Number of words in each unit.

        Returns
        -------
        list of PlannedUnit
            Units in the order of sessions and patterns.

        Raises
        ------
        LayoutError
            If no file fits the participant, or the layout cannot put a further session into another
            split.
        """
        split = participant.traits.split if participant.traits.split in self.layout.splits else None
        splits = [split] * self.spec.simulate.sessions_per_subject
        splits += [participant.further_split] if participant.further_split else []
        units: list[PlannedUnit] = []
        for index, (fields, part) in enumerate(
            zip(self._session_fields(len(splits)), splits, strict=False)
        ):
            meanings = self.layout.meanings(participant, part)
            session = _Session(participant, part, index, meanings, n_words, {})
            for entry, forms in zip(self.spec.recordings, self.layout.forms, strict=True):
                for path_fields in self._combinations(entry, forms, ids | fields):
                    self._add_file(session, entry, forms, path_fields)
            units += [unit for unit in session.units.values() if unit.files]
        if not units:
            raise LayoutError(
                f"{self.spec.name}: no pattern under recordings: fits a "
                f"{participant.traits.gender} subject of the split {split or 'none'}.",
                setting="recordings",
                remedy="Check fields:, keep: and codes: of the spec.",
            )
        if participant.further_split:
            self._check_leak(units)
        return units

    def _check_leak(self, units: list[PlannedUnit]) -> None:
        subjects = {unit.subject for unit in units}
        if len({unit.split for unit in units}) < 2 or len(subjects) > 1:
            raise LayoutError(
                f"{self.spec.name}: the split belongs to the subject, so that two sessions of a "
                "subject cannot be in two splits.",
                setting="confounds.speaker_leak",
                remedy="Remove the confound speaker_leak.",
            )

    def _ids(self, count: int) -> Iterator[Fields]:
        """List the combinations of the id fields; ``count`` values where the spec has none."""
        values = {}
        for name in sorted(self.layout.id_names):
            entry, form = self.layout.first_pattern(name)
            values[name] = self.layout.allowed_values(name, form, entry) or list(
                generate_values(form, count, "S")
            )
        if not values:  # the ids are in a table
            return iter([{} for _ in range(count)])
        names = sorted(values, key=lambda name: -len(values[name]))  # the shortest varies fastest
        return (
            dict(zip(names, combination, strict=True))
            for combination in product(*(values[name] for name in names))
        )

    def _session_fields(self, count: int) -> list[Fields]:
        """Choose the session fields of ``count`` sessions, or of fewer if the layout has fewer."""
        names = sorted(self.layout.session_names)
        values = []
        for name in names:
            entry, form = self.layout.first_pattern(name)
            values.append(
                self.layout.allowed_values(name, form, entry) or list(generate_values(form, count))
            )
        total = prod(len(domain) for domain in values)
        sessions = []
        for index in sorted(self.rng.choice(total, min(count, total), replace=False).tolist()):
            fields = {}
            for name, domain in zip(names, values, strict=True):
                index, digit = divmod(index, len(domain))
                fields[name] = domain[digit]
            sessions.append(fields)
        return sessions

    def _combinations(
        self, entry: RecordingPattern, forms: Fields, fixed: Fields
    ) -> Iterator[Fields]:
        """Yield the known path fields of every file that a pattern has in a session."""
        names = [name for name in forms if name in self.layout.unit_names]
        values = [
            self.layout.allowed_values(name, forms[name], entry)
            or list(generate_values(forms[name], 2))
            for name in names
        ]
        for combination in product(*values):
            known = {name: value for name, value in fixed.items() if name in forms}
            yield known | dict(zip(names, combination, strict=True))

    def _add_file(
        self, session: _Session, entry: RecordingPattern, forms: Fields, path_fields: Fields
    ) -> None:
        """Add a file to its unit, unless an earlier pattern provides the same content."""
        for name, text in entry.fields.items():
            codes = matching_codes(self.spec, name, session.meanings)
            if codes is not None and not template_fields(text) and text not in codes:
                return  # for example, the pattern of another split
        for name in forms:
            if name not in path_fields:
                path_fields[name] = self._open_value(session, name, forms[name], entry)
        path = fill_pattern(entry.pattern, path_fields, self.spec.simulate.folder)
        fields: Fields = {"path": path, "stem": PurePosixPath(path).stem}
        fields |= {name: normalise(forms[name], value) for name, value in path_fields.items()}
        for name, text in entry.fields.items():
            fields[name] = fill_template(text, fields) or ""
        if not is_kept(fields, entry.keep, entry.drop):
            return
        self._check_path(path, entry, fields)
        unit = self._unit_of(session, fields)
        if not _adds_content(unit, entry) or path in [file.path for file in unit.files]:
            return
        self.tables.join(fields, unit, session.meanings)
        unit.files.append(PlannedFile(path, entry, fields))
        unit.fields = fields | unit.fields
        unit.session, unit.subject = unit.fields["session"], unit.fields["subject"]

    def _unit_of(self, session: _Session, fields: Fields) -> PlannedUnit:
        """Find or create the unit of a file by its step order."""
        translated = dict(fields)
        self.layout.translate(translated, strict=False)
        order = tuple(translated.get(name) for name in self.spec.steps.order)
        if order not in session.units:
            words = self._sample_words(session.n_words, translated.get("valence"))
            session.units[order] = PlannedUnit(
                session.participant, session.split, session.index, words
            )
        return session.units[order]

    def _open_value(self, session: _Session, name: str, form: str, entry: RecordingPattern) -> str:
        """Choose the value of a field that is determined by neither id, session nor step."""
        values = self.layout.allowed_values(name, form, entry)
        codes = matching_codes(self.spec, name, session.meanings)
        if codes is not None:
            values = [value for value in values if normalise(form, value) in codes] or codes
        values = values or list(generate_values(form, 1))
        return self.sampler.sample_once(session.participant, session.index, name, values)

    def _check_path(self, path: str, entry: RecordingPattern, fields: Fields) -> None:
        """Check that indexing will read the path as intended."""
        if any(compile_pattern(text).match(path) is not None for text in self.spec.ignore):
            raise LayoutError(
                f"{self.spec.name}: the simulated path {path} matches a pattern under ignore:.",
                setting="ignore",
                value=path,
                remedy="Choose other values under simulate.fields.",
            )
        for other in self.spec.recordings:
            matched = compile_pattern(other.pattern).match(path)
            if matched is None:
                continue
            if other is not entry or any(fields[name] != text for name, text in matched.items()):
                raise LayoutError(
                    f"{self.spec.name}: the simulated path {path} of the pattern "
                    f"{entry.pattern!r} is read by {other.pattern!r} as {matched}.",
                    setting="simulate.fields",
                    value=path,
                    remedy="Choose values under simulate.fields that distinguish the patterns.",
                )
            return
        raise LayoutError(
            f"{self.spec.name}: the simulated path {path} does not match {entry.pattern!r}.",
            setting="simulate.fields",
            value=path,
            remedy="Choose values of the right length under simulate.fields.",
        )

    def _sample_words(self, count: int, valence: str | None) -> list[tuple[str, str]]:
        valences = [valence] if valence and valence in self.words else list(self.words)
        chosen = [self.sampler.sample(valences) for _ in range(count)]
        return [(self.sampler.sample(self.words[name]), name) for name in chosen]


def _adds_content(unit: PlannedUnit, entry: RecordingPattern) -> bool:
    """Tell whether a pattern provides a modality or stream that the unit does not have yet."""
    if entry.features:
        streams = [file.entry.features.name for file in unit.files if file.entry.features]
        return entry.features.name not in streams
    given = {name for f in unit.files if f.entry.features is None for name in f.entry.modalities}
    return not given.issuperset(entry.modalities)
