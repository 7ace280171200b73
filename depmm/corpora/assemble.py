"""Put recordings and tables together: who and when a file belongs to, and the manifest's rows."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from depmm.config import MODALITIES, StreamConfig
from depmm.corpora.index_report import Missing
from depmm.corpora.manifest import (
    GENDERS,
    SPLITS,
    VALENCES,
    ManifestError,
    check_id,
    check_score,
)
from depmm.corpora.patterns import natural_key, render
from depmm.corpora.spec_schema import OFFSET_FIELD, STEP_FIELDS, Spec, StepTable
from depmm.corpora.tables import JoinedTable, Row

Fields = dict[str, str | None]
Duration = Callable[[Path, StreamConfig | None], float]  # seconds; ValueError if unreadable


@dataclass
class Recording:
    """A file that a pattern of the spec took.

    Parameters
    ----------
    path : relative to the corpus root
    entry : number of the pattern in ``recordings`` of the spec
    captured : the fields in its path, as written
    fields : all that is known about it; grows while tables are joined
    """

    path: str
    entry: int
    captured: Fields
    fields: Fields


@dataclass
class Unit:
    """The files at one place of a session, one per modality: a step, or what holds several steps.

    Parameters
    ----------
    session : its id
    order : values of ``steps.order``
    fields : of all its files; the first file's value stands
    files : modality -> path
    streams : name -> the recording that holds these features
    sources : the recordings that give the files
    """

    session: str
    order: tuple[str, ...]
    fields: Fields = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    streams: dict[str, Recording] = field(default_factory=dict)
    sources: list[Recording] = field(default_factory=list)


def describe(
    spec: Spec, recordings: list[Recording], tables: list[JoinedTable], missing: list[Missing]
) -> list[Recording]:
    """Join the tables, translate codes, and name subject and session of every recording.

    Returns
    -------
    the recordings that have a subject, a session and a place in it; the others are in ``missing``

    Raises
    ------
    ManifestError : two sources contradict each other, an unknown code, an unsafe id
    """
    asked: set[tuple[int, tuple[str, ...] | None]] = set()
    usable = []
    givers = spec.givers(spec.id_fields)
    for recording in recordings:
        for number, joined in enumerate(tables):
            key, rows = joined.look_up(recording.fields)
            for row in rows:
                _merge(recording, row)
            no_file = joined.table.file is not None and not joined.files  # already missing, once
            if rows or not joined.table.required or no_file or (number, key) in asked:
                continue
            if key is not None:
                asked.add((number, key))
            message = f"no row in {joined.table.place} for {joined.describe(key)}"
            missing.append(Missing("row", recording.path, message))
        _translate(spec, recording.fields, recording.fields, recording.path)
        if _name(spec, recording, givers, missing):
            usable.append(recording)
    return usable


def unite(spec: Spec, recordings: list[Recording]) -> tuple[list[Unit], list[tuple[str, str]]]:
    """Bring together the files of one place in a session; the first listed pattern wins.

    Returns
    -------
    units : in order of ``steps.order``
    shadowed : (path, the file that already gives its modalities)

    Raises
    ------
    ManifestError : a session with two subjects; two files that the spec does not tell apart
    """
    units: dict[tuple[str, tuple[str, ...]], Unit] = {}
    owner: dict[str, Recording] = {}
    shadowed = []
    for recording in sorted(recordings, key=lambda recording: (recording.entry, recording.path)):
        subject, session = recording.fields["subject"], str(recording.fields["session"])
        other = owner.setdefault(session, recording)
        if other.fields["subject"] != subject:
            raise ManifestError(
                f"session {session!r} belongs to {other.fields['subject']!r} by {other.path} and "
                f"to {subject!r} by {recording.path}. Put {{subject}} into session: in the spec."
            )
        order = tuple(str(recording.fields[name]) for name in spec.steps.order)
        unit = units.setdefault((session, order), Unit(session, order))
        entry = spec.recordings[recording.entry]
        if entry.features is None:
            free: list[str] = [name for name in entry.modalities if name not in unit.files]
            unit.files.update(dict.fromkeys(free, recording.path))
        else:
            free = [name for name in [entry.features.name] if name not in unit.streams]
            unit.streams.update(dict.fromkeys(free, recording))
        if not free:
            shadowed.append((recording.path, _winner(recording, unit)))
            continue
        unit.sources.append(recording)
        for name, value in recording.fields.items():
            if unit.fields.get(name) is None:
                unit.fields[name] = value
    ordered = sorted(units.values(), key=lambda unit: [natural_key(value) for value in unit.order])
    return ordered, shadowed


@dataclass
class Rows:
    """Rows of the manifest's tables, and what was lost or left out on the way to them.

    Parameters
    ----------
    sessions, steps, features : of ``sessions.parquet``, ``steps.parquet``, ``features.parquet``
    missing : what the spec promises and the folder lacks
    left_out : (path, why the spec leaves out a step of it)
    """

    sessions: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    features: list[dict[str, Any]] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def make_rows(
    spec: Spec, units: list[Unit], table: JoinedTable | None, root: Path, duration: Duration | None
) -> Rows:
    """Make the rows of the manifest's tables.

    A session without a single step is listed as missing and has no row.

    Parameters
    ----------
    spec : of the corpus
    units : from ``unite``
    table : the rows that are steps, if the spec has them
    root : folder of the corpus
    duration : measures files where the spec cuts them into windows

    Raises
    ------
    ManifestError : a session's files disagree about it; a number, split, gender, valence or score
        that cannot be
    """
    by_session: dict[str, list[Unit]] = {}
    for unit in units:
        by_session.setdefault(unit.session, []).append(unit)
    readers = {
        entry.features.name: (entry.modalities[0], entry.features.model_dump_json())
        for entry in spec.recordings
        if entry.features
    }
    made = Rows()
    for session, members in sorted(by_session.items()):
        key = {"corpus": spec.name, "subject": members[0].fields["subject"], "session": session}
        number = 0
        for unit in members:
            _note_gaps(spec, unit, readers, made.missing)
            for row in _steps(spec, unit, table, root, duration, made):
                place = {**key, "step": number}
                number += 1
                made.steps.append(place | row)
                for name, recording in unit.streams.items():
                    modality, reader = readers[name]
                    stream = {"name": name, "modality": modality, "path": recording.path}
                    made.features.append({**place, **stream, "reader": reader})
        for name, values in spec.steps.expected.items():
            for value in sorted(set(values) - {str(unit.fields.get(name)) for unit in members}):
                message = f"session {session}: no file with {name}={value}"
                made.missing.append(Missing("file", members[0].sources[0].path, message))
        if number:
            row = _session(spec, session, members)
            made.sessions.append({**key, **row})
            if spec.label and spec.label.required and row["instrument"] is None:
                names = [name for name in (spec.label.score, spec.label.field) if name]
                message = f"session {session}: no {' or '.join(names)} in {spec.givers(names)}"
                made.missing.append(Missing("row", members[0].sources[0].path, message))
    return made


def _note_gaps(
    spec: Spec, unit: Unit, readers: Mapping[str, tuple[str, str]], missing: list[Missing]
) -> None:
    """List what every unit must have and this one lacks."""
    has = {*unit.files, *(readers[name][0] for name in unit.streams)}
    for modality in spec.required_modalities:
        if modality not in has:
            where = unit.sources[0].path
            missing.append(Missing("file", where, f"no {modality} file for this step"))
    for name in spec.required_features:
        if name not in unit.streams:
            where = unit.sources[0].path
            missing.append(Missing("file", where, f"no file of {name} features for this step"))


def _merge(recording: Recording, row: Row) -> None:
    for name, value in row.fields.items():
        known = recording.fields.get(name)
        if value is not None and known is not None and value != known:
            raise ManifestError(
                f"{recording.path}: {name} is {value!r} in {row.place}, but {known!r} in the file "
                "name or an earlier row. Correct one of them, or call the two differently in the "
                "spec."
            )
        recording.fields[name] = known if value is None else value


def _translate(spec: Spec, source: Fields, target: Fields, place: str) -> None:
    """Apply ``codes`` of the spec to the fields of ``source``, in the listed order."""
    for name, rule in spec.codes.items():
        origin = rule.of or name
        code = source.get(origin)
        if code is None:
            continue
        if code not in rule.names:
            raise ManifestError(
                f"{place}: {origin} is {code!r}, which codes.{name} does not translate (known: "
                f"{', '.join(rule.names)}). Add it there, or leave the file or row out with drop:."
            )
        target[name] = rule.names[code]


def _name(spec: Spec, recording: Recording, givers: str, missing: list[Missing]) -> bool:
    """Fill in subject and session; False when something that they or the order need is unknown."""
    fields = recording.fields
    for key, text in (("subject", spec.subject), ("session", spec.session)):
        value = render(text, fields)
        if value is None:
            message = f"{key}: {text} cannot be filled from {givers}"
            missing.append(Missing("row", recording.path, message))
            return False
        fields[key] = check_id(value, f"{recording.path}: {key} by {givers}")
    for name in spec.steps.order:
        if fields.get(name) is None:
            message = f"{name} of steps.order is unknown to {spec.givers([name])}"
            missing.append(Missing("row", recording.path, message))
            return False
    return True


def _winner(recording: Recording, unit: Unit) -> str:
    """Name the file that stands where ``recording`` would.

    A copy (same pattern, same fields) is shadowed; a file of the same pattern that differs in a
    field shows that the spec lacks that field, and is an error.
    """
    for other in unit.sources:
        if other.entry == recording.entry and other.captured != recording.captured:
            differ = [
                name for name, value in recording.captured.items() if value != other.captured[name]
            ]
            raise ManifestError(
                f"{other.path} and {recording.path} would be the same step of session "
                f"{unit.session!r}; they differ in {', '.join(differ)}. Add that to steps.order or "
                "session: in the spec, or leave one of them out with drop:."
            )
    return unit.sources[0].path


def _steps(
    spec: Spec,
    unit: Unit,
    table: JoinedTable | None,
    root: Path,
    duration: Duration | None,
    made: Rows,
) -> Iterator[dict[str, Any]]:
    """Yield the steps of a unit, without their number."""
    files: dict[str, Any] = {name: unit.files.get(name) for name in MODALITIES}
    files["face_aligned"] = spec.faces == "aligned"
    where = unit.sources[0].path
    cuts = [
        cut
        for cut in spec.steps.cut
        if all(unit.fields.get(name) == value for name, value in cut.when.items())
    ]
    offset = _number(unit.fields.get(OFFSET_FIELD), f"{where}: {OFFSET_FIELD}", "the table")
    for start, end, texts in _pieces(spec, unit, table, root, duration, made):
        start = start + (offset or 0.0)
        end = None if end is None else end + (offset or 0.0)
        if start < 0:
            made.left_out.append((where, f"a step at {start:.3f} s, before the recording starts"))
        elif any(start < cut.end_s and (end is None or end > cut.start_s) for cut in cuts):
            made.left_out.append((where, f"a step at {start:.3f} s, inside steps.cut"))
        else:
            yield {"start_s": start, "end_s": end, **texts, **files}


def _pieces(
    spec: Spec,
    unit: Unit,
    table: JoinedTable | None,
    root: Path,
    duration: Duration | None,
    made: Rows,
) -> Iterator[tuple[float, float | None, dict[str, str | None]]]:
    """Yield start, end and texts of the rows, the windows, or the whole of a unit's files."""
    where = unit.sources[0].path
    rows: list[Row] = []
    if table is not None and isinstance(table.table, StepTable):
        key, rows = table.look_up(unit.fields)
        if not rows and table.table.required:
            message = f"no steps in {table.table.place} for {table.describe(key)}"
            made.missing.append(Missing("row", where, message))
            return
        scale = table.table.units_per_second
        for row in sorted(rows, key=lambda row: [natural_key(cell) for cell in row.order]):
            own = dict(row.fields)
            _translate(spec, row.fields, own, row.place)
            start = _number(own["start"], f"{row.place}: start", row.place)
            end = _number(own.get("end"), f"{row.place}: end", row.place)
            if start is None:
                raise ManifestError(f"{row.place}: start is empty. Every step needs its start.")
            both = {name: own.get(name) or unit.fields.get(name) for name in STEP_FIELDS}
            yield start / scale, None if end is None else end / scale, _texts(both, row.place)
    if rows:
        return
    texts = _texts(unit.fields, where)
    length = _length(spec, unit, root, duration, made.missing) if spec.steps.windows else None
    if spec.steps.windows is None or length is None:
        yield 0.0, None, texts
        return
    window, start = spec.steps.windows, 0.0
    for number in count():
        start = number * window.hop_s
        # a rest is a window of its own when it is at least half of one
        if number and start + window.length_s / 2 > length:
            return
        yield start, min(start + window.length_s, length), texts


def _length(
    spec: Spec, unit: Unit, root: Path, duration: Duration | None, missing: list[Missing]
) -> float | None:
    """Length of the shortest of a unit's files; None when one cannot be read."""
    assert duration is not None, "steps.windows need index_corpus(..., duration=...)"
    lengths = []
    for source in unit.sources:
        try:
            lengths.append(duration(root / source.path, spec.recordings[source.entry].features))
        except ValueError as error:  # extraction will name it, too
            missing.append(Missing("file", source.path, f"no windows: {error}"))
            return None
    return min(lengths)


def _texts(fields: Fields, place: str) -> dict[str, str | None]:
    _among(fields.get("valence"), VALENCES, f"{place}: valence", "valence")
    return {name: fields.get(name) for name in ("text", "valence", "task")}


def _session(spec: Spec, session: str, members: list[Unit]) -> dict[str, Any]:
    """Read what belongs to a session as a whole; all its files must agree."""
    names = {"split", "gender", "age", *spec.columns}
    if spec.label:
        label = spec.label
        names |= {name for name in (label.score, label.field, label.delivered) if name}
    agreed: Fields = dict.fromkeys(sorted(names))
    for name in agreed:
        values = {
            source.fields[name]: source.path
            for unit in members
            for source in unit.sources
            if source.fields.get(name) is not None
        }
        if len(values) > 1:
            (one, first), (two, second) = list(values.items())[:2]
            raise ManifestError(
                f"session {session}: {name} is {one!r} for {first} and {two!r} for {second}. A "
                f"session has one {name}: put {{{name}}} into session: in the spec, or correct "
                f"{spec.givers([name])}."
            )
        agreed[name] = next(iter(values), None)
    for name, allowed in (("split", SPLITS), ("gender", GENDERS)):
        _among(agreed[name], allowed, f"session {session}: {name}", name, spec.givers([name]))
    return {
        **_label(spec, session, agreed),
        "split": agreed["split"],
        "gender": agreed["gender"],
        "age": _number(agreed["age"], f"session {session}: age", spec.givers(["age"])),
        **{name: agreed[name] for name in spec.columns},
    }


def _label(spec: Spec, session: str, fields: Fields) -> dict[str, Any]:
    """Score and label: the classes as delivered where the spec names them, else by the cut-off.

    The cut-off goes along as text, so that an audit can compare label and score.
    """
    rule = spec.label
    if rule is None:
        return {}
    score = label = None
    if rule.score:
        givers = spec.givers([rule.score])
        score = _number(fields[rule.score], f"session {session}: {rule.score}", givers)
        if score is not None:
            check_score(score, rule.instrument, f"session {session}, {rule.score} in {givers}")
    if rule.field:
        delivered = fields[rule.field]
        allowed = (*rule.positive, *rule.negative)
        _among(
            delivered,
            allowed,
            f"session {session}: {rule.field}",
            "label",
            spec.givers([rule.field]),
        )
        label = None if delivered is None else int(delivered in rule.positive)
    elif score is not None and rule.threshold is not None:
        label = int(score >= rule.threshold)
    known = score is not None or label is not None
    row: dict[str, Any] = {"instrument": rule.instrument if known else None}
    if rule.delivered is not None:
        given = fields[rule.delivered]
        _among(given, ("0", "1"), f"session {session}: {rule.delivered}", rule.delivered)
        row["original_label"] = given
    if rule.threshold is not None:
        row["cut_off"] = None if score is None else f"{rule.threshold:g}"
    return {**row, "score": score, "label": label}


def _number(text: str | None, what: str, giver: str) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ManifestError(
            f"{what} is {text!r}, which is no number. Correct {giver}, or translate it under "
            "codes: in the spec (null: unknown)."
        )
    return value


def _among(
    value: str | None, allowed: Collection[str], what: str, key: str, giver: str = "the table"
) -> None:
    if value is not None and value not in allowed:
        raise ManifestError(
            f"{what} is {value!r}, not one of {', '.join(allowed)}. Translate it under codes: "
            f"{key}: in the spec (null: unknown), or correct {giver}."
        )
