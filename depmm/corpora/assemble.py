"""Put recordings and tables together: who and when a file belongs to, and the manifest's rows."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from depmm.config import MODALITIES, StreamConfig
from depmm.corpora.errors import ManifestError
from depmm.corpora.index_report import Missing
from depmm.corpora.instruments import check_score
from depmm.corpora.manifest import GENDERS, SPLITS, VALENCES
from depmm.corpora.manifest_rules import check_id
from depmm.corpora.patterns import fill_template, natural_sort_key
from depmm.corpora.spec_schema import OFFSET_FIELD, STEP_FIELDS, Spec, StepTable
from depmm.corpora.tables import JoinedTable, Row

Fields = dict[str, str | None]
Duration = Callable[[Path, StreamConfig | None], float]  # seconds; ValueError if unreadable


@dataclass
class RecordingFile:
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
class FileGroup:
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
    streams: dict[str, RecordingFile] = field(default_factory=dict)
    sources: list[RecordingFile] = field(default_factory=list)


def resolve_fields(
    spec: Spec, recordings: list[RecordingFile], tables: list[JoinedTable], missing: list[Missing]
) -> list[RecordingFile]:
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
    sources = spec.describe_sources(spec.id_fields)
    for recording in recordings:
        for number, joined in enumerate(tables):
            key, rows = joined.find_rows(recording.fields)
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
        if _name(spec, recording, sources, missing):
            usable.append(recording)
    return usable


def group_files(
    spec: Spec, recordings: list[RecordingFile]
) -> tuple[list[FileGroup], list[tuple[str, str]]]:
    """Bring together the files of one place in a session; the first listed pattern wins.

    Returns
    -------
    groups : in order of ``steps.order``
    superseded : (path, the file that already gives its modalities)

    Raises
    ------
    ManifestError : a session with two subjects; two files that the spec does not tell apart
    """
    groups: dict[tuple[str, tuple[str, ...]], FileGroup] = {}
    owner: dict[str, RecordingFile] = {}
    superseded = []
    for recording in sorted(recordings, key=lambda recording: (recording.entry, recording.path)):
        subject, session = recording.fields["subject"], str(recording.fields["session"])
        other = owner.setdefault(session, recording)
        if other.fields["subject"] != subject:
            raise ManifestError(
                f"session {session!r} belongs to {other.fields['subject']!r} by {other.path} and "
                f"to {subject!r} by {recording.path}. Put {{subject}} into session: in the spec."
            )
        order = tuple(str(recording.fields[name]) for name in spec.steps.order)
        group = groups.setdefault((session, order), FileGroup(session, order))
        entry = spec.recordings[recording.entry]
        if entry.features is None:
            free: list[str] = [name for name in entry.modalities if name not in group.files]
            group.files.update(dict.fromkeys(free, recording.path))
        else:
            free = [name for name in [entry.features.name] if name not in group.streams]
            group.streams.update(dict.fromkeys(free, recording))
        if not free:
            superseded.append((recording.path, _winner(recording, group)))
            continue
        group.sources.append(recording)
        for name, value in recording.fields.items():
            if group.fields.get(name) is None:
                group.fields[name] = value
    ordered = sorted(
        groups.values(), key=lambda group: [natural_sort_key(value) for value in group.order]
    )
    return ordered, superseded


@dataclass
class ManifestRows:
    """Rows of the manifest's tables, and what was lost or left out on the way to them.

    Parameters
    ----------
    sessions, steps, features : of ``sessions.parquet``, ``steps.parquet``, ``features.parquet``
    missing : what the spec promises and the folder lacks
    excluded : (path, why the spec leaves out a step of it)
    """

    sessions: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    features: list[dict[str, Any]] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    excluded: list[tuple[str, str]] = field(default_factory=list)


def build_rows(
    spec: Spec,
    groups: list[FileGroup],
    table: JoinedTable | None,
    root: Path,
    duration: Duration | None,
) -> ManifestRows:
    """Make the rows of the manifest's tables.

    A session without a single step is listed as missing and has no row.

    Parameters
    ----------
    spec : of the corpus
    groups : from ``group_files``
    table : the rows that are steps, if the spec has them
    root : folder of the corpus
    duration : measures files where the spec cuts them into windows

    Raises
    ------
    ManifestError : a session's files disagree about it; a number, split, gender, valence or score
        that cannot be
    """
    by_session: dict[str, list[FileGroup]] = {}
    for group in groups:
        by_session.setdefault(group.session, []).append(group)
    readers = {
        entry.features.name: (entry.modalities[0], entry.features.model_dump_json())
        for entry in spec.recordings
        if entry.features
    }
    made = ManifestRows()
    for session, members in sorted(by_session.items()):
        key = {"corpus": spec.name, "subject": members[0].fields["subject"], "session": session}
        number = 0
        for group in members:
            _note_gaps(spec, group, readers, made.missing)
            for row in _steps(spec, group, table, root, duration, made):
                place = {**key, "step": number}
                number += 1
                made.steps.append(place | row)
                for name, recording in group.streams.items():
                    modality, reader = readers[name]
                    stream = {"name": name, "modality": modality, "path": recording.path}
                    made.features.append({**place, **stream, "reader": reader})
        for name, values in spec.steps.expected.items():
            for value in sorted(set(values) - {str(group.fields.get(name)) for group in members}):
                message = f"session {session}: no file with {name}={value}"
                made.missing.append(Missing("file", members[0].sources[0].path, message))
        if number:
            row = _session(spec, session, members)
            made.sessions.append({**key, **row})
            if spec.label and spec.label.required and row["instrument"] is None:
                names = [name for name in (spec.label.score, spec.label.field) if name]
                message = (
                    f"session {session}: no {' or '.join(names)} in {spec.describe_sources(names)}"
                )
                made.missing.append(Missing("row", members[0].sources[0].path, message))
    return made


def _note_gaps(
    spec: Spec, group: FileGroup, readers: Mapping[str, tuple[str, str]], missing: list[Missing]
) -> None:
    """List what every group must have and this one lacks."""
    has = {*group.files, *(readers[name][0] for name in group.streams)}
    for modality in spec.required_modalities:
        if modality not in has:
            where = group.sources[0].path
            missing.append(Missing("file", where, f"no {modality} file for this step"))
    for name in spec.required_features:
        if name not in group.streams:
            where = group.sources[0].path
            missing.append(Missing("file", where, f"no file of {name} features for this step"))


def _merge(recording: RecordingFile, row: Row) -> None:
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


def _name(spec: Spec, recording: RecordingFile, sources: str, missing: list[Missing]) -> bool:
    """Fill in subject and session; False when something that they or the order need is unknown."""
    fields = recording.fields
    for key, text in (("subject", spec.subject), ("session", spec.session)):
        value = fill_template(text, fields)
        if value is None:
            message = f"{key}: {text} cannot be filled from {sources}"
            missing.append(Missing("row", recording.path, message))
            return False
        fields[key] = check_id(value, f"{recording.path}: {key} by {sources}")
    for name in spec.steps.order:
        if fields.get(name) is None:
            message = f"{name} of steps.order is unknown to {spec.describe_sources([name])}"
            missing.append(Missing("row", recording.path, message))
            return False
    return True


def _winner(recording: RecordingFile, group: FileGroup) -> str:
    """Name the file that stands where ``recording`` would.

    A copy (same pattern, same fields) is superseded; a file of the same pattern that differs in
    a field shows that the spec lacks that field, and is an error.
    """
    for other in group.sources:
        if other.entry == recording.entry and other.captured != recording.captured:
            differ = [
                name for name, value in recording.captured.items() if value != other.captured[name]
            ]
            raise ManifestError(
                f"{other.path} and {recording.path} would be the same step of session "
                f"{group.session!r}; they differ in {', '.join(differ)}. Add that to steps.order "
                "or session: in the spec, or leave one of them out with drop:."
            )
    return group.sources[0].path


def _steps(
    spec: Spec,
    group: FileGroup,
    table: JoinedTable | None,
    root: Path,
    duration: Duration | None,
    made: ManifestRows,
) -> Iterator[dict[str, Any]]:
    """Yield the steps of a group, without their number."""
    files: dict[str, Any] = {name: group.files.get(name) for name in MODALITIES}
    files["face_aligned"] = spec.faces == "aligned"
    where = group.sources[0].path
    cuts = [
        cut
        for cut in spec.steps.excluded_intervals
        if all(group.fields.get(name) == value for name, value in cut.when.items())
    ]
    offset = _number(group.fields.get(OFFSET_FIELD), f"{where}: {OFFSET_FIELD}", "the table")
    for start, end, texts in _pieces(spec, group, table, root, duration, made):
        start = start + (offset or 0.0)
        end = None if end is None else end + (offset or 0.0)
        if start < 0:
            made.excluded.append((where, f"a step at {start:.3f} s, before the recording starts"))
        elif any(start < cut.end_s and (end is None or end > cut.start_s) for cut in cuts):
            made.excluded.append(
                (where, f"a step at {start:.3f} s, inside steps.excluded_intervals")
            )
        else:
            yield {"start_s": start, "end_s": end, **texts, **files}


def _pieces(
    spec: Spec,
    group: FileGroup,
    table: JoinedTable | None,
    root: Path,
    duration: Duration | None,
    made: ManifestRows,
) -> Iterator[tuple[float, float | None, dict[str, str | None]]]:
    """Yield start, end and texts of the rows, the windows, or the whole of a group's files."""
    where = group.sources[0].path
    rows: list[Row] = []
    if table is not None and isinstance(table.table, StepTable):
        key, rows = table.find_rows(group.fields)
        if not rows and table.table.required:
            message = f"no steps in {table.table.place} for {table.describe(key)}"
            made.missing.append(Missing("row", where, message))
            return
        scale = table.table.units_per_second
        for row in sorted(rows, key=lambda row: [natural_sort_key(cell) for cell in row.order]):
            own = dict(row.fields)
            _translate(spec, row.fields, own, row.place)
            start = _number(own["start"], f"{row.place}: start", row.place)
            end = _number(own.get("end"), f"{row.place}: end", row.place)
            if start is None:
                raise ManifestError(f"{row.place}: start is empty. Every step needs its start.")
            both = {name: own.get(name) or group.fields.get(name) for name in STEP_FIELDS}
            yield start / scale, None if end is None else end / scale, _texts(both, row.place)
    if rows:
        return
    texts = _texts(group.fields, where)
    length = _length(spec, group, root, duration, made.missing) if spec.steps.windows else None
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
    spec: Spec, group: FileGroup, root: Path, duration: Duration | None, missing: list[Missing]
) -> float | None:
    """Length of the shortest of a group's files; None when one cannot be read."""
    assert duration is not None, "steps.windows need index_corpus(..., duration=...)"
    lengths = []
    for source in group.sources:
        try:
            lengths.append(duration(root / source.path, spec.recordings[source.entry].features))
        except ValueError as error:  # extraction will name it, too
            missing.append(Missing("file", source.path, f"no windows: {error}"))
            return None
    return min(lengths)


def _texts(fields: Fields, place: str) -> dict[str, str | None]:
    _among(fields.get("valence"), VALENCES, f"{place}: valence", "valence")
    return {name: fields.get(name) for name in ("text", "valence", "task")}


def _session(spec: Spec, session: str, members: list[FileGroup]) -> dict[str, Any]:
    """Read what belongs to a session as a whole; all its files must agree."""
    names = {"split", "gender", "age", *spec.columns}
    if spec.label:
        label = spec.label
        names |= {name for name in (label.score, label.field, label.original) if name}
    agreed: Fields = dict.fromkeys(sorted(names))
    for name in agreed:
        values = {
            source.fields[name]: source.path
            for group in members
            for source in group.sources
            if source.fields.get(name) is not None
        }
        if len(values) > 1:
            (one, first), (two, second) = list(values.items())[:2]
            raise ManifestError(
                f"session {session}: {name} is {one!r} for {first} and {two!r} for {second}. A "
                f"session has one {name}: put {{{name}}} into session: in the spec, or correct "
                f"{spec.describe_sources([name])}."
            )
        agreed[name] = next(iter(values), None)
    for name, allowed in (("split", SPLITS), ("gender", GENDERS)):
        _among(
            agreed[name], allowed, f"session {session}: {name}", name, spec.describe_sources([name])
        )
    return {
        **_label(spec, session, agreed),
        "split": agreed["split"],
        "gender": agreed["gender"],
        "age": _number(agreed["age"], f"session {session}: age", spec.describe_sources(["age"])),
        **{name: agreed[name] for name in spec.columns},
    }


def _label(spec: Spec, session: str, fields: Fields) -> dict[str, Any]:
    """Score and label: the classes as delivered where the spec names them, else by the cut-off.

    The cut-off goes along, so that an audit can compare label and score.
    """
    rule = spec.label
    if rule is None:
        return {}
    score = label = None
    if rule.score:
        sources = spec.describe_sources([rule.score])
        score = _number(fields[rule.score], f"session {session}: {rule.score}", sources)
        if score is not None:
            check_score(score, rule.instrument, f"session {session}, {rule.score} in {sources}")
    if rule.field:
        delivered = fields[rule.field]
        allowed = (*rule.positive, *rule.negative)
        _among(
            delivered,
            allowed,
            f"session {session}: {rule.field}",
            "label",
            spec.describe_sources([rule.field]),
        )
        label = None if delivered is None else int(delivered in rule.positive)
    elif score is not None and rule.effective_cut_off is not None:
        label = int(score >= rule.effective_cut_off)
    known = score is not None or label is not None
    row: dict[str, Any] = {"instrument": rule.instrument if known else None}
    if rule.original is not None:
        given = fields[rule.original]
        _among(given, ("0", "1"), f"session {session}: {rule.original}", rule.original)
        row["original_label"] = None if given is None else int(given)
    if rule.effective_cut_off is not None:
        row["cut_off"] = None if score is None else rule.effective_cut_off
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
