"""Recording files: assign subject and session, and group the files of a step."""

from dataclasses import dataclass, field

from depmm.corpora.cells import Fields, translate_codes
from depmm.corpora.errors import ManifestError
from depmm.corpora.index_report import Missing
from depmm.corpora.manifest_rules import check_id
from depmm.corpora.patterns import fill_template, natural_sort_key
from depmm.corpora.spec_schema import Spec
from depmm.corpora.tables import JoinedTable, Row


@dataclass
class RecordingFile:
    """A file that matches a pattern under ``recordings`` of the spec.

    Attributes
    ----------
    path : str
        Path relative to the corpus root.
    entry : int
        Index of the pattern in ``recordings``.
    captured : dict of str to str or None
        The fields in its path, as written.
    fields : dict of str to str or None
        All fields of the file; joining tables and translating codes adds to them.
    """

    path: str
    entry: int
    captured: Fields
    fields: Fields


@dataclass
class FileGroup:
    """Files of a session that were recorded at the same time, at most one per modality.

    A group is one step, or contains the steps of a table, and the windows of them.

    Attributes
    ----------
    session : str
        Session id.
    order : tuple of str
        Values of ``steps.order``.
    fields : dict of str to str or None
        Fields of all files of the group; the first file takes precedence.
    files : dict of str to str
        Modality -> path.
    streams : dict of str to RecordingFile
        Stream -> the file with these features.
    sources : list of RecordingFile
        The files.
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
    """Join the tables, translate codes, and name subject and session of every recording file.

    Parameters
    ----------
    spec : Spec
        The spec.
    recordings : list of RecordingFile
        The files; their fields are completed.
    tables : list of JoinedTable
        The tables, in the order in which they are joined.
    missing : list of Missing
        List to which missing rows are appended.

    Returns
    -------
    list of RecordingFile
        The files that have a subject, a session and a value of every field of ``steps.order``.

    Raises
    ------
    ManifestError
        If two sources contradict each other, a code is unknown, or an id is unsafe.
    """
    reported: set[tuple[int, tuple[str, ...] | None]] = set()
    usable = []
    id_sources = spec.describe_sources(spec.id_fields)
    for recording in recordings:
        for index, joined in enumerate(tables):
            key, rows = joined.find_rows(recording.fields)
            for row in rows:
                _merge_row(recording, row)
            # a table without files is reported once, not for each recording
            no_file = joined.table.file is not None and not joined.files
            if rows or not joined.table.required or no_file or (index, key) in reported:
                continue
            if key is not None:
                reported.add((index, key))
            message = f"no row in {joined.table.location} for {joined.describe(key)}"
            missing.append(Missing("row", recording.path, message))
        translate_codes(spec, recording.fields, recording.fields, recording.path)
        if _fill_ids(spec, recording, id_sources, missing):
            usable.append(recording)
    return usable


def group_files(
    spec: Spec, recordings: list[RecordingFile]
) -> tuple[list[FileGroup], list[tuple[str, str]]]:
    """Group the files that have the same session and values of ``steps.order``.

    If two files of a group provide the same modality, the pattern that is listed first is used.

    Parameters
    ----------
    spec : Spec
        The spec.
    recordings : list of RecordingFile
        Files with subject and session.

    Returns
    -------
    groups : list of FileGroup
        In the order of ``steps.order``.
    superseded : list of tuple of (str, str)
        Path, and the file that is used instead.

    Raises
    ------
    ManifestError
        If a session has two subjects, or the spec does not distinguish two files.
    """
    groups: dict[tuple[str, tuple[str, ...]], FileGroup] = {}
    first_files: dict[str, RecordingFile] = {}
    superseded = []
    for recording in sorted(recordings, key=lambda recording: (recording.entry, recording.path)):
        subject, session = recording.fields["subject"], str(recording.fields["session"])
        other = first_files.setdefault(session, recording)
        if other.fields["subject"] != subject:
            raise ManifestError(
                f"session {session!r} belongs to {other.fields['subject']!r} by {other.path} and "
                f"to {subject!r} by {recording.path}. Put {{subject}} into session: in the spec.",
                file=recording.path,
                subject=subject,
                session=session,
            )
        order = tuple(str(recording.fields[name]) for name in spec.steps.order)
        group = groups.setdefault((session, order), FileGroup(session, order))
        entry = spec.recordings[recording.entry]
        if entry.features is None:
            new: list[str] = [name for name in entry.modalities if name not in group.files]
            group.files.update(dict.fromkeys(new, recording.path))
        else:
            new = [name for name in [entry.features.name] if name not in group.streams]
            group.streams.update(dict.fromkeys(new, recording))
        if not new:
            superseded.append((recording.path, _superseding_file(recording, group)))
            continue
        group.sources.append(recording)
        for name, value in recording.fields.items():
            if group.fields.get(name) is None:
                group.fields[name] = value
    ordered = sorted(
        groups.values(), key=lambda group: [natural_sort_key(value) for value in group.order]
    )
    return ordered, superseded


def _merge_row(recording: RecordingFile, row: Row) -> None:
    for name, value in row.fields.items():
        known = recording.fields.get(name)
        if value is not None and known is not None and value != known:
            raise ManifestError(
                f"{recording.path}: {name} is {value!r} in {row.location}, but {known!r} "
                "in the file name or an earlier row. Correct one of them, or use two different "
                "field names in the spec.",
                file=recording.path,
                column=name,
                value=value,
            )
        recording.fields[name] = known if value is None else value


def _fill_ids(spec: Spec, recording: RecordingFile, sources: str, missing: list[Missing]) -> bool:
    """Fill in subject and session; return False if a field that is needed for this is unknown."""
    fields = recording.fields
    for key, text in (("subject", spec.subject), ("session", spec.session)):
        value = fill_template(text, fields)
        if value is None:
            message = f"{key}: {text} cannot be filled from {sources}"
            missing.append(Missing("row", recording.path, message))
            return False
        location = f"{recording.path}: {key} by {sources}"
        fields[key] = check_id(value, location, recording.path)
    for name in spec.steps.order:
        if fields.get(name) is None:
            message = f"{name} of steps.order is not defined by {spec.describe_sources([name])}"
            missing.append(Missing("row", recording.path, message))
            return False
    return True


def _superseding_file(recording: RecordingFile, group: FileGroup) -> str:
    """Return the file of a group that is used instead of a recording.

    A copy (same pattern, same fields) is superseded. A file of the same pattern with another value
    of a field is an error: the spec does not use that field.
    """
    for other in group.sources:
        if other.entry == recording.entry and other.captured != recording.captured:
            differ = [
                name for name, value in recording.captured.items() if value != other.captured[name]
            ]
            raise ManifestError(
                f"{other.path} and {recording.path} would be the same step of session "
                f"{group.session!r}; they differ in {', '.join(differ)}. Add that to steps.order "
                "or session: in the spec, or leave one of them out with drop:.",
                setting="steps.order",
                file=recording.path,
                session=group.session,
            )
    return group.sources[0].path
