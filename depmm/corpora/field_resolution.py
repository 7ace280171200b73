"""Join tables, translate codes, and name subject and session of every recording file."""

from collections import Counter

from depmm.corpora.cells import translate_codes
from depmm.corpora.errors import ManifestError
from depmm.corpora.index_log import IndexLog, describe_sessions
from depmm.corpora.index_report import Missing
from depmm.corpora.manifest_rules import check_id
from depmm.corpora.patterns import fill_template
from depmm.corpora.recording_files import RecordingFile
from depmm.corpora.spec_schema import Spec
from depmm.corpora.tables.joined_table import JoinedTable, Key, Row
from depmm.corpora.visits import nearest_rows, needs_visits, number_visits
from depmm.errors import abbreviate


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
    usable = []
    affected: dict[str, tuple[ManifestError, set[str]]] = {}  # file -> its error, sessions
    id_sources = spec.describe_sources(spec.id_fields)
    all_problems = _join_all_tables(spec, recordings, tables, missing)
    unknown_codes: list[ManifestError] = []
    for recording, problems in zip(recordings, all_problems, strict=True):
        has_ids = False
        try:
            translate_codes(spec, recording.fields, recording.fields, recording.origins)
            new_missing: list[Missing] = []
            has_ids = _fill_ids(spec, recording, id_sources, new_missing)
            missing += [] if problems else new_missing
        except ManifestError as error:
            if (error.setting or "").startswith("codes.") and not log.is_own(error):
                unknown_codes.append(error)
                continue
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
    if unknown_codes:
        raise _count_unknown_codes(unknown_codes, len(recordings))
    for problem, sessions in affected.values():
        log.add(problem, describe_sessions(sessions) if sessions else "the file")
    for joined in [*tables, *([step_table] if step_table else [])]:
        for problem in joined.unusable.values():
            if str(problem.file) not in affected:
                log.add(problem, describe_sessions([]))
    failed = {session for _, sessions in affected.values() for session in sessions}
    return [recording for recording in usable if recording.fields["session"] not in failed]


def _count_unknown_codes(errors: list[ManifestError], n_files: int) -> ManifestError:
    """Add to the first of several unknown codes how many files have it, and the other codes."""
    counts = Counter((error.setting, str(error.value)) for error in errors)
    first = errors[0]
    others = [
        f"{setting} {value[:40]!r} ({count})"
        for (setting, value), count in counts.most_common()
        if (setting, value) != (first.setting, str(first.value))
    ]
    text = f"{first} {counts[first.setting, str(first.value)]} of {n_files} files have this code."
    if others:
        text += f" Other codes that are not translated: {abbreviate(others, at_most=5)}."
    first.args = (text,)
    return first


def _join_all_tables(
    spec: Spec,
    recordings: list[RecordingFile],
    tables: list[JoinedTable],
    missing: list[Missing],
) -> list[list[ManifestError]]:
    """Join the tables in order, and number the visits before the first table that needs them."""
    problems: list[list[ManifestError]] = [[] for _ in recordings]
    is_numbered = spec.visits is None
    for joined in tables:
        if not is_numbered and needs_visits(joined.table):
            number_visits(spec, recordings)
            is_numbered = True
        chosen = None
        if joined.table.nearest is not None:
            chosen = nearest_rows(spec, joined, recordings, missing)
        reported: set[Key | None] = set()
        for recording, found in zip(recordings, problems, strict=True):
            found += _join_table(spec, recording, joined, chosen, missing, reported)
    if not is_numbered:
        number_visits(spec, recordings)
    return problems


def _join_table(
    spec: Spec,
    recording: RecordingFile,
    joined: JoinedTable,
    chosen: dict[tuple[Key, str], Row] | None,
    missing: list[Missing],
    reported: set[Key | None],
) -> list[ManifestError]:
    """Add the fields of a table to a recording; return the errors of its file and rows."""
    key, rows = joined.find_rows(recording.fields)
    if chosen is not None and spec.visits is not None:
        row = chosen.get((key or (), str(recording.fields.get(spec.visits.date))))
        rows = [] if row is None else [row]
    if (unusable := joined.find_error(recording.fields)) is not None:
        return [unusable]
    try:
        for row in rows:
            _merge_row(recording, row)
    except ManifestError as error:
        return [error]
    # a table without files is reported once, not for each recording
    no_file = joined.table.file is not None and not joined.files
    if rows or not joined.table.required or no_file or key in reported:
        return []
    if key is not None and chosen is None:
        reported.add(key)
    source = f"{joined.table.location} for {joined.describe(key)}"
    missing.append(Missing("row", recording.path, f"no row in {source}{joined.suggest(key)}"))
    return []


def _merge_row(recording: RecordingFile, row: Row) -> None:
    for name, value in row.fields.items():
        known = recording.fields.get(name)
        if value is not None and known is not None and value != known:
            other = recording.origin(name)
            if other.file == row.origin.file != recording.path:
                raise row.origin.error(
                    f"{name} is {value!r}, but {known!r} in {other}, and both rows are of "
                    f"{recording.path}.",
                    name,
                    value,
                    remedy="Delete one of the two rows, or join a visit or a date as well.",
                )
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
