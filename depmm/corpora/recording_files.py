"""Recording files: assign subject and session, and group the files of a step."""

from dataclasses import dataclass, field

from depmm.corpora.cells import Fields, translate_codes
from depmm.corpora.errors import ManifestError
from depmm.corpora.index_log import IndexLog, describe_sessions
from depmm.corpora.index_report import Missing
from depmm.corpora.manifest_rules import check_id
from depmm.corpora.patterns import fill_template, natural_sort_key
from depmm.corpora.spec_schema import Spec
from depmm.corpora.tables.joined_table import JoinedTable, Row
from depmm.corpora.tables.table_files import Origin


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
    origins : dict of str to Origin
        File and line of the fields from tables; the entry of the empty name is the file itself,
        from whose name all other fields are.
    """

    path: str
    entry: int
    captured: Fields
    fields: Fields
    origins: dict[str, Origin] = field(init=False)

    def __post_init__(self) -> None:
        self.origins = {"": Origin(self.path)}

    def origin(self, name: str) -> Origin:
        """Return the file and line from which a field was read.

        Parameters
        ----------
        name : str
            The field.

        Returns
        -------
        Origin
            A row of a table, or the file itself.
        """
        return self.origins.get(name, self.origins[""])


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
    origins : dict of str to Origin
        File and line of the fields; the entry of the empty name is the first file.
    """

    session: str
    order: tuple[str, ...]
    fields: Fields = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    streams: dict[str, RecordingFile] = field(default_factory=dict)
    sources: list[RecordingFile] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)


def resolve_fields(
    spec: Spec,
    recordings: list[RecordingFile],
    tables: list[JoinedTable],
    step_table: JoinedTable | None,
    missing: list[Missing],
    log: IndexLog,
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
    step_table : JoinedTable or None
        The table of steps; sessions whose file of it cannot be used are left out.
    missing : list of Missing
        List to which missing rows are appended.
    log : IndexLog
        Log of the files and sessions that cannot be used.

    Returns
    -------
    list of RecordingFile
        The files that have a subject, a session and a value of every field of ``steps.order``,
        without the sessions of which one file cannot be used.

    Raises
    ------
    ManifestError
        If two sources contradict each other, a code is unknown, or an id is unsafe, in a table of
        several sessions.
    """
    reported: set[tuple[int, tuple[str, ...] | None]] = set()
    usable = []
    affected: dict[str, tuple[ManifestError, set[str]]] = {}  # file -> its error, sessions
    id_sources = spec.describe_sources(spec.id_fields)
    for recording in recordings:
        problems = _join_tables(recording, tables, missing, reported)
        has_ids = False
        try:
            translate_codes(spec, recording.fields, recording.fields, recording.origins)
            new_missing: list[Missing] = []
            has_ids = _fill_ids(spec, recording, id_sources, new_missing)
            missing += [] if problems else new_missing
        except ManifestError as error:
            problems.append(error)
        if step_table is not None:
            step_table.find_rows(recording.fields)  # the rows of a session that is left out
            problems += filter(None, [step_table.find_error(recording.fields)])
        for problem in problems:
            log.raise_unless_own(problem)
            sessions = affected.setdefault(str(problem.file), (problem, set()))[1]
            if has_ids:
                sessions.add(str(recording.fields["session"]))
        if has_ids and not problems:
            usable.append(recording)
    for problem, sessions in affected.values():
        log.add(problem, describe_sessions(sessions) if sessions else "the file")
    for joined in [*tables, *([step_table] if step_table else [])]:
        for problem in joined.unusable.values():
            if str(problem.file) not in affected:
                log.add(problem, describe_sessions([]))
    failed = {session for _, sessions in affected.values() for session in sessions}
    return [recording for recording in usable if recording.fields["session"] not in failed]


def _join_tables(
    recording: RecordingFile,
    tables: list[JoinedTable],
    missing: list[Missing],
    reported: set[tuple[int, tuple[str, ...] | None]],
) -> list[ManifestError]:
    """Add the fields of the tables to a recording; return the errors of their files and rows."""
    problems = []
    for index, joined in enumerate(tables):
        key, rows = joined.find_rows(recording.fields)
        unusable = joined.find_error(recording.fields)
        if unusable is not None:
            problems.append(unusable)
            continue
        try:
            for row in rows:
                _merge_row(recording, row)
        except ManifestError as error:
            problems.append(error)
        # a table without files is reported once, not for each recording
        no_file = joined.table.file is not None and not joined.files
        if rows or not joined.table.required or no_file or (index, key) in reported:
            continue
        if key is not None:
            reported.add((index, key))
        source = f"{joined.table.location} for {joined.describe(key)}"
        missing.append(Missing("row", recording.path, f"no row in {source}{joined.suggest(key)}"))
    return problems


def group_files(
    spec: Spec, recordings: list[RecordingFile], log: IndexLog
) -> tuple[list[FileGroup], list[tuple[str, str]]]:
    """Group the files that have the same session and values of ``steps.order``.

    If two files of a group provide the same modality, the pattern that is listed first is used.

    Parameters
    ----------
    spec : Spec
        The spec.
    recordings : list of RecordingFile
        Files with subject and session.
    log : IndexLog
        Log of the sessions with two files for one step, which are left out.

    Returns
    -------
    groups : list of FileGroup
        In the order of ``steps.order``.
    superseded : list of tuple of (str, str)
        Path, and the file that is used instead.

    Raises
    ------
    ManifestError
        If a session has two subjects.
    """
    groups: dict[tuple[str, tuple[str, ...]], FileGroup] = {}
    first_files: dict[str, RecordingFile] = {}
    superseded = []
    failed = set()
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
            try:
                superseded.append((recording.path, _superseding_file(recording, group)))
            except ManifestError as error:
                if session not in failed:
                    log.add(error, f"session {session}")
                failed.add(session)
            continue
        group.sources.append(recording)
        group.origins.setdefault("", Origin(recording.path))
        for name, value in recording.fields.items():
            if group.fields.get(name) is None:
                group.fields[name] = value
                group.origins[name] = recording.origin(name)
    ordered = sorted(
        (group for group in groups.values() if group.session not in failed),
        key=lambda group: [natural_sort_key(value) for value in group.order],
    )
    return ordered, superseded


def _merge_row(recording: RecordingFile, row: Row) -> None:
    for name, value in row.fields.items():
        known = recording.fields.get(name)
        if value is not None and known is not None and value != known:
            other = recording.origin(name)
            raise row.origin.error(
                f"{name} is {value!r} for {recording.path}, but {known!r} in {other}.",
                name,
                value,
                remedy="Correct one of them, or use two different field names in the spec.",
            )
        if value is not None and known is None:
            recording.origins[name] = row.origin
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
