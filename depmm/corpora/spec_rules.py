"""Check rules across the sections of a data spec, such as a source for every field."""

from collections.abc import Callable, Iterator
from typing import Any

from depmm.config import TRACKS, StreamConfig
from depmm.corpora.errors import ManifestError
from depmm.corpora.label_rules import check_label
from depmm.corpora.manifest_rules import check_id
from depmm.corpora.patterns import PatternError, compile_pattern, template_fields
from depmm.corpora.spec_names import unknown_names
from depmm.corpora.spec_schema import (
    FILE_FIELDS,
    VISIT_FIELD,
    Spec,
    Table,
    join_field,
)
from depmm.corpora.strict_yaml import Problem
from depmm.files.limited_yaml import Location
from depmm.schemas.manifest import SESSIONS, STEPS


def check_spec(spec: Spec) -> Iterator[Problem]:
    """Yield the violated rules of a well-formed spec.

    Parameters
    ----------
    spec : Spec
        The spec.

    Yields
    ------
    tuple of (tuple, str)
        Location in the spec, and message.
    """
    try:
        check_id(spec.name, "the corpus id")
    except ManifestError as error:
        yield ("name",), str(error)
    syntax = list(_check_syntax(spec))
    yield from syntax
    if syntax:
        return
    table_fields = {name for table in spec.tables for name in table.fields}
    table_fields |= {VISIT_FIELD} if spec.visits else set()
    step_fields = set(spec.steps.table.fields) if spec.steps.table else set()
    entry_fields = [
        {*FILE_FIELDS, *compile_pattern(entry.pattern).fields, *entry.fields}
        for entry in spec.recordings
    ]
    file_fields: set[str] = set().union(*entry_fields)
    untranslated = file_fields | table_fields  # without the fields that codes add
    known = untranslated | set(spec.codes)
    for index, fields in enumerate(entry_fields):
        yield from _check_recordings(spec, index, fields, table_fields | set(spec.codes))
    yield from unknown_names(("columns",), spec.columns, known, "the spec")
    if reserved := set(spec.columns) & {*SESSIONS.names, *STEPS.names}:
        yield ("columns",), f"{sorted(reserved)} are columns of every manifest. Rename the field."
    available = file_fields | ({VISIT_FIELD} if spec.visits else set())
    yield from _check_visits(spec, untranslated)
    for index, table in enumerate(spec.tables):
        yield from _check_table(table, ("tables", index), available)
        available = available | set(table.fields)
    for name, value in spec.codes.items():
        sources = (known if value.of else untranslated) | step_fields
        # a code that reads the field that it defines itself would always be unknown
        others = sources if name in untranslated | step_fields else sources - {name}
        yield from unknown_names(("codes", name), [value.of or name], others, "a pattern or table")
    yield from _check_streams(spec)
    yield from _check_steps(spec, known)
    if spec.word_list is not None and "text" not in known | step_fields:
        yield (
            ("word_list",),
            "no table defines the text of a step. Name its column as text: in a table's fields.",
        )
    if spec.label:
        yield from check_label(spec.label, known)
    yield from _check_simulation(spec, untranslated | step_fields)


def _check_recordings(
    spec: Spec, index: int, fields: set[str], further: set[str]
) -> Iterator[Problem]:
    """Check an entry of ``recordings`` with its ``fields`` and the ``further`` ones of tables."""
    entry = spec.recordings[index]
    source = f"pattern {entry.pattern!r}"
    templates = [name for text in entry.fields.values() for name in template_fields(text)]
    for key, names in (("keep", [*entry.keep]), ("drop", [*entry.drop]), ("fields", templates)):
        yield from unknown_names(("recordings", index, key), names, fields, source)
    known = fields | further
    for key, text in (("subject", spec.subject), ("session", spec.session)):
        for name in template_fields(text):
            if name not in (known if key == "subject" else known | {"subject"}):
                yield (
                    ("recordings", index, "pattern"),
                    f"{entry.pattern!r} has no {{{name}}}, which {key}: {text!r} needs. Add it "
                    "to the pattern, to fields: or to a table's fields.",
                )
    yield from unknown_names(("steps", "order"), spec.steps.order, known, source)
    for position, name in enumerate(entry.modalities):
        if entry.features is None and name not in TRACKS:
            yield (
                ("recordings", index, "modalities", position),
                f"a recording has {' and '.join(TRACKS)} only. Describe a file of {name} under "
                "features:, or remove the modality.",
            )
    for key in ("track", "channel"):
        if getattr(entry, key) is not None and (entry.features or "audio" not in entry.modalities):
            yield (
                ("recordings", index, key),
                "only a recording with the modality audio has sound tracks and channels. Remove "
                "the key, or add audio to modalities:.",
            )


def _check_syntax(spec: Spec) -> Iterator[Problem]:
    """Check the syntax of every pattern and template."""
    texts: list[tuple[Location, Callable[[str], Any], str]] = [
        (("subject",), template_fields, spec.subject),
        (("session",), template_fields, spec.session),
    ]
    for index, entry in enumerate(spec.recordings):
        texts.append((("recordings", index, "pattern"), compile_pattern, entry.pattern))
        for name, text in entry.fields.items():
            texts.append((("recordings", index, "fields", name), template_fields, text))
    for location, table in _locate_tables(spec):
        if table.file is not None:
            texts.append(((*location, "file"), compile_pattern, table.file))
        for column, text in table.join.items():
            texts.append(((*location, "join", column), template_fields, join_field(text)))
    texts += [(("ignore", i), compile_pattern, text) for i, text in enumerate(spec.ignore)]
    for where, check, text in texts:
        try:
            check(text)
        except PatternError as error:
            yield where, f"{error}."
        else:
            if where[-1] == "pattern":
                for name in set(compile_pattern(text).fields) & set(FILE_FIELDS):
                    yield where, f"{name!r} always means {FILE_FIELDS[name]}. Rename the field."
    named: list[tuple[Location, set[str]]] = [
        (("recordings", index, "fields"), set(entry.fields))
        for index, entry in enumerate(spec.recordings)
    ] + [((*location, "fields"), set(table.fields)) for location, table in _locate_tables(spec)]
    for where, names in named:
        for name in names & set(FILE_FIELDS):
            yield where, f"{name!r} always means {FILE_FIELDS[name]}. Rename the field."


def _check_visits(spec: Spec, known: set[str]) -> Iterator[Problem]:
    """Check the visits by date, and the tables that are joined by date."""
    if spec.visits is not None:
        yield from unknown_names(
            ("visits", "date"), [spec.visits.date], known, "a pattern or table"
        )
        for index, entry in enumerate(spec.recordings):
            if VISIT_FIELD in compile_pattern(entry.pattern).fields:
                yield (
                    ("recordings", index, "pattern"),
                    "visits: numbers the visits by date. Rename {visit}, or remove visits:.",
                )
    for location, table in _locate_tables(spec):
        if table.nearest is None:
            continue
        if spec.visits is None or location[0] == "steps":
            yield (
                (*location, "nearest"),
                "rows are joined to visits by date. State visits: with the dates of the "
                "recordings; a step table cannot be joined by date.",
            )
        if table.columns:
            yield from unknown_names(
                (*location, "nearest"), [table.nearest.column], {*table.columns}, "columns:"
            )


def _check_table(table: Table, location: Location, known: set[str]) -> Iterator[Problem]:
    if (table.file is None) == (table.rows is None):
        yield location, "a table needs either file: or rows:. Give exactly one of them."
        return
    if table.format == "json":
        if table.rows is not None or table.sep != "," or not table.header or table.columns:
            yield (
                (*location, "format"),
                "rows:, sep:, header: and columns: belong to format text. Drop them.",
            )
            return
    elif table.key is not None:
        yield (*location, "key"), "key: belongs to format json. Drop it, or state the format."
    if table.header == bool(table.columns):
        yield (
            (*location, "columns"),
            "columns: is required with header: false, and allowed only there.",
        )
    if table.whole_file and (table.file is None or len(table.columns) != 1):
        yield (
            (*location, "whole_file"),
            "a whole file is one cell. Set file:, header: false and one name under columns:.",
        )
    if not _is_text_encoding(table.encoding):
        yield (
            (*location, "encoding"),
            f"{table.encoding!r} is not a text encoding. Write utf-8, utf-16, cp1252, gb18030, ...",
        )
    joined = [name for text in table.join.values() for name in template_fields(join_field(text))]
    yield from unknown_names((*location, "join"), joined, known, "patterns and earlier tables")
    if table.columns:
        columns = {*table.columns, *(compile_pattern(table.file).fields if table.file else ())}
        for key in ("join", "keep", "drop", "integers", "other_turns"):
            names = list(getattr(table, key, ()))
            yield from unknown_names((*location, key), names, columns, "columns:")
        yield from unknown_names(
            (*location, "fields"), list(table.fields.values()), columns, "columns:"
        )


def _is_text_encoding(name: str) -> bool:
    """Check that Python can decode text in an encoding; zip, hex, ... convert bytes to bytes."""
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True


def _check_steps(spec: Spec, known: set[str]) -> Iterator[Problem]:
    steps = spec.steps
    if unordered := set(steps.expected) - set(steps.order):
        yield ("steps", "expected"), f"{sorted(unordered)} are not in steps.order. Add them there."
    provided = [modality for entry in spec.recordings for modality in entry.modalities]
    yield from unknown_names(
        ("required_modalities",), list(spec.required_modalities), set(provided), "any pattern"
    )
    for index, interval in enumerate(steps.excluded_intervals):
        yield from unknown_names(
            ("steps", "excluded_intervals", index, "when"), list(interval.when), known, "the spec"
        )
        if interval.start_s >= interval.end_s:
            yield (
                ("steps", "excluded_intervals", index, "end_s"),
                f"{interval.end_s:g} is not after start_s {interval.start_s:g}. Give seconds.",
            )
    if steps.table is None:
        return
    yield from _check_table(steps.table, ("steps", "table"), known)
    if "start" not in steps.table.fields:
        yield (
            ("steps", "table", "fields"),
            "no field start: rows that are steps need their time. Name its column under start:, or "
            "list the table under tables: when each file is one step.",
        )
    if steps.table.other_turns and "end" not in steps.table.fields:
        yield (
            ("steps", "table", "other_turns"),
            "no field end: turns of other speakers need their end. Name its column under end:.",
        )


def _check_streams(spec: Spec) -> Iterator[Problem]:
    streams: dict[str, StreamConfig] = {}
    for index, entry in enumerate(spec.recordings):
        if entry.features is None:
            continue
        if len(entry.modalities) > 1:
            yield (
                ("recordings", index, "modalities"),
                f"features of {' and '.join(entry.modalities)}. Name the one modality that they "
                "were computed from.",
            )
        if streams.setdefault(entry.features.name, entry.features) != entry.features:
            yield (
                ("recordings", index, "features", "name"),
                f"{entry.features.name!r} is defined differently in an earlier entry. Use another "
                "name.",
            )
    yield from unknown_names(
        ("required_features",), spec.required_features, set(streams), "any pattern's features:"
    )


def _check_simulation(spec: Spec, delivered: set[str]) -> Iterator[Problem]:
    """Check that every name in ``simulate`` occurs in the layout."""
    hints = spec.simulate
    captured = {name for table in spec.all_tables for name in _path_fields(table)}
    yield from unknown_names(
        ("simulate", "fields"), list(hints.fields), delivered | captured, "a pattern or table"
    )
    for name, values in hints.fields.items():
        if not values:
            yield ("simulate", "fields", name), "no value. Give at least one, or drop the field."
    yield from unknown_names(
        ("simulate", "values_by_label"), list(hints.values_by_label), delivered, "a table"
    )
    for name, values in hints.values_by_label.items():
        if len(values) != 2:
            yield (
                ("simulate", "values_by_label", name),
                f"{len(values)} values. Give two: for label 0 and for label 1.",
            )
    streams = [entry.features for entry in spec.recordings if entry.features]
    for stream in streams:
        sizes = hints.shapes.get(stream.name)
        if sizes is not None and (len(sizes) < stream.axis or min(sizes, default=0) < 1):
            yield (
                ("simulate", "shapes", stream.name),
                f"{sizes} with rows on axis {stream.axis}. Give the length of every other axis.",
            )
    with_header = {stream.name for stream in streams if stream.format == "table" and stream.header}
    with_header |= {table.file for table in spec.all_tables if table.file and table.header}
    yield from unknown_names(
        ("simulate", "columns"), list(hints.columns), with_header, "a file with header"
    )
    arrays = {stream.name for stream in streams if stream.format != "table"}
    yield from unknown_names(
        ("simulate", "shapes"), list(hints.shapes), arrays, "features in arrays"
    )
    yield from unknown_names(
        ("simulate", "rows_are_words"),
        hints.rows_are_words,
        {stream.name for stream in streams},
        "any pattern's features:",
    )
    tables = {stream.name for stream in streams if stream.format == "table"}
    yield from unknown_names(("simulate", "infinite"), hints.infinite, tables, "features in tables")
    filtered = set(spec.steps.table.keep) if spec.steps.table else set()
    yield from unknown_names(
        ("simulate", "excluded_rows"), list(hints.excluded_rows), filtered, "steps.table.keep"
    )


def _path_fields(table: Table) -> tuple[str, ...]:
    return compile_pattern(table.file).fields if table.file else ()


def _locate_tables(spec: Spec) -> Iterator[tuple[Location, Table]]:
    """Pair every table with its location in the spec."""
    for index, table in enumerate(spec.tables):
        yield ("tables", index), table
    if spec.steps.table:
        yield ("steps", "table"), spec.steps.table
