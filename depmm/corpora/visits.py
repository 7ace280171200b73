"""Visits by date: number the sessions of a subject, and join rows to the nearest visit."""

from collections.abc import Iterable
from datetime import date, datetime

from depmm.corpora.cells import Fields
from depmm.corpora.errors import ManifestError
from depmm.corpora.index_report import Missing
from depmm.corpora.patterns import fill_template, template_fields
from depmm.corpora.recording_files import RecordingFile
from depmm.corpora.spec_schema import NEAREST_FIELD, VISIT_FIELD, Nearest, Spec, Table, join_field
from depmm.corpora.tables.joined_table import JoinedTable, Key, Row
from depmm.corpora.tables.table_files import Origin


def needs_visits(table: Table) -> bool:
    """Check that a table can be joined only after the visits have their numbers.

    Parameters
    ----------
    table : Table
        A table of a spec with ``visits:``.

    Returns
    -------
    bool
        Whether it is joined by date or on the number of the visit.
    """
    joined = {name for text in table.join.values() for name in template_fields(join_field(text))}
    return table.nearest is not None or VISIT_FIELD in joined


def number_visits(spec: Spec, recordings: Iterable[RecordingFile]) -> None:
    """Set the field ``visit`` of recordings: 1, 2, ... by the dates of each subject.

    The date itself becomes ``YYYY-MM-DD``. A recording without subject or date gets no number.

    Parameters
    ----------
    spec : Spec
        A spec with ``visits:``.
    recordings : iterable of RecordingFile
        The recordings.

    Raises
    ------
    ManifestError
        If a date does not have the stated format.
    """
    assert spec.visits is not None
    name, dates = spec.visits.date, dict[str, set[str]]()
    dated: list[tuple[RecordingFile, str, str]] = []
    for recording in recordings:
        text = recording.fields.get(name)
        subject = fill_template(spec.subject, recording.fields)
        if text is None or subject is None:
            continue
        day = parse_date(text, spec.visits.format, name, recording.origin(name)).isoformat()
        recording.fields[name] = day
        dates.setdefault(subject, set()).add(day)
        dated.append((recording, subject, day))
    numbers = {
        subject: {day: str(index) for index, day in enumerate(sorted(days), start=1)}
        for subject, days in dates.items()
    }
    for recording, subject, day in dated:
        recording.fields[VISIT_FIELD] = numbers[subject][day]


def parse_date(text: str, form: str, what: str, origin: Origin) -> date:
    """Read a date.

    Parameters
    ----------
    text : str
        The date.
    form : str
        Its format, as ``datetime.strptime`` defines it.
    what : str
        Field or column, for the message.
    origin : Origin
        File and line.

    Returns
    -------
    date
        The date.

    Raises
    ------
    ManifestError
        If the text does not have the format.
    """
    try:
        return datetime.strptime(text.strip(), form).date()
    except ValueError:
        raise origin.error(
            f"{what} is {text[:120]!r}, which is not a date of the form {form!r}.",
            what,
            text,
            remedy="Correct it, or state the format of the dates in the spec, such as '%d.%m.%Y'.",
        ) from None


def nearest_rows(
    spec: Spec, joined: JoinedTable, recordings: Iterable[RecordingFile], missing: list[Missing]
) -> dict[tuple[Key, str], Row]:
    """Assign each row of a table to the visit of its subject with the nearest date.

    Parameters
    ----------
    spec : Spec
        A spec with ``visits:``.
    joined : JoinedTable
        A table with ``nearest:``.
    recordings : iterable of RecordingFile
        Recordings whose visits have numbers.
    missing : list of Missing
        Rows without a visit within the days of the spec are appended.

    Returns
    -------
    dict of (tuple, str) to Row
        Key of the table and date of the visit -> row.

    Raises
    ------
    ManifestError
        If a row is equally near to two visits, or two different rows belong to one visit.
    """
    assert spec.visits is not None
    assert joined.table.nearest is not None
    visits: dict[Key, set[str]] = {}
    for recording in recordings:
        day = recording.fields.get(spec.visits.date)
        key, _ = joined.find_rows(recording.fields)
        if key is not None and day is not None and VISIT_FIELD in recording.fields:
            visits.setdefault(key, set()).add(day)
    assigned: dict[tuple[Key, str], Row] = {}
    for key, days in visits.items():
        for row in joined.rows.get(key, ()):
            _assign_row(joined, key, days, row, assigned, missing)
    return assigned


def _assign_row(
    joined: JoinedTable,
    key: Key,
    days: set[str],
    row: Row,
    assigned: dict[tuple[Key, str], Row],
    missing: list[Missing],
) -> None:
    rule: Nearest | None = joined.table.nearest
    assert rule is not None
    text, fields = row.fields[NEAREST_FIELD], _without_date(row.fields)
    if text is None:
        missing.append(Missing("recording", str(row.origin), f"no date in {rule.column}"))
        return
    day = parse_date(text, rule.format, rule.column, row.origin)
    by_distance = sorted((abs((date.fromisoformat(visit) - day).days), visit) for visit in days)
    distance, nearest = by_distance[0]
    whose = joined.describe(key)
    if distance > rule.within_days:
        message = f"no visit within {rule.within_days} days of {day} for {whose}"
        missing.append(Missing("recording", str(row.origin), message))
        return
    if len(by_distance) > 1 and by_distance[1][0] == distance:
        raise _ambiguous(row, rule, f"is {distance} days from {nearest} and {by_distance[1][1]}")
    other = assigned.setdefault((key, nearest), Row(fields, row.order, row.origin))
    if other.fields != fields:
        raise _ambiguous(
            row, rule, f"and {other.origin} belong to the visit of {nearest} ({whose})"
        )


def _without_date(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name != NEAREST_FIELD}


def _ambiguous(row: Row, rule: Nearest, what: str) -> ManifestError:
    return row.origin.error(
        f"the row {what}, so that its visit is ambiguous.",
        rule.column,
        row.fields[NEAREST_FIELD],
        remedy="Reduce within_days: in the spec, or leave one of the rows out with drop:.",
    )
