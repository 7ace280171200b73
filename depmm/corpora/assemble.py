"""Build the rows of a manifest's tables from grouped files and the step table."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depmm.config import MODALITIES, StreamConfig
from depmm.corpora.cells import Fields, check_allowed, parse_number, translate_codes
from depmm.corpora.errors import ManifestError
from depmm.corpora.index_report import Missing
from depmm.corpora.patterns import natural_sort_key
from depmm.corpora.recording_files import FileGroup
from depmm.corpora.session_rows import build_session_row
from depmm.corpora.spec_schema import OFFSET_FIELD, STEP_FIELDS, Spec, StepTable
from depmm.corpora.tables import JoinedTable, Row
from depmm.corpora.windows import MIN_REMAINDER_S, cut_into_windows
from depmm.schemas.manifest import VALENCES

Duration = Callable[[Path, StreamConfig | None], float]  # seconds; ValueError if unreadable
StepRange = tuple[float, float | None, dict[str, str | None]]  # start and end in seconds, texts


@dataclass
class ManifestRows:
    """Rows of a manifest's tables, and what is missing or excluded.

    Attributes
    ----------
    sessions, steps, features : list of dict
        Rows of ``sessions.parquet``, ``steps.parquet`` and ``features.parquet``.
    missing : list of Missing
        Files and rows that the spec requires and the folder does not contain.
    excluded : list of tuple of (str, str)
        File, and the reason why one of its steps is excluded.
    """

    sessions: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    features: list[dict[str, Any]] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    excluded: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _StepSource:
    """Inputs for building the steps of a group; gaps are recorded in ``rows``."""

    spec: Spec
    table: JoinedTable | None
    root: Path
    duration: Duration | None
    rows: ManifestRows


def build_rows(
    spec: Spec,
    groups: list[FileGroup],
    table: JoinedTable | None,
    root: Path,
    duration: Duration | None,
) -> ManifestRows:
    """Build the rows of the manifest's tables.

    A session without steps gets no row; the reason is listed under ``missing`` or ``excluded``.

    Parameters
    ----------
    spec : Spec
        Spec of the corpus.
    groups : list of FileGroup
        Files that belong together, as ``group_files`` returns them.
    table : JoinedTable or None
        The step table, if the spec has one.
    root : Path
        Folder of the corpus.
    duration : callable or None
        Function that measures the duration of a file in seconds; required for windows in steps
        that end with their file.

    Returns
    -------
    ManifestRows
        The rows.

    Raises
    ------
    ManifestError
        If the files of a session contradict each other, or a number, split, gender, valence or
        score is invalid.
    """
    by_session: dict[str, list[FileGroup]] = {}
    for group in groups:
        by_session.setdefault(group.session, []).append(group)
    # stream -> its modality and its description as JSON
    readers = {
        entry.features.name: (entry.modalities[0], entry.features.model_dump_json())
        for entry in spec.recordings
        if entry.features
    }
    rows = ManifestRows()
    source = _StepSource(spec, table, root, duration, rows)
    for session, members in sorted(by_session.items()):
        key = {"corpus": spec.name, "subject": members[0].fields["subject"], "session": session}
        n_steps = 0
        for group in members:
            _note_missing_files(spec, group, readers, rows.missing)
            for step in _build_steps(source, group):
                step_key = {**key, "step": n_steps}
                n_steps += 1
                rows.steps.append(step_key | step)
                for name, recording in group.streams.items():
                    modality, reader = readers[name]
                    stream = {"name": name, "modality": modality, "path": recording.path}
                    rows.features.append({**step_key, **stream, "reader": reader})
        _note_missing_steps(spec, session, members, rows.missing)
        if n_steps:
            row = build_session_row(spec, session, members)
            rows.sessions.append({**key, **row})
            if spec.label and spec.label.required and row["instrument"] is None:
                names = [name for name in (spec.label.score, spec.label.field) if name]
                sources = spec.describe_sources(names)
                message = f"session {session}: no {' or '.join(names)} in {sources}"
                rows.missing.append(Missing("row", members[0].sources[0].path, message))
    return rows


def _note_missing_files(
    spec: Spec,
    group: FileGroup,
    readers: Mapping[str, tuple[str, str]],
    missing: list[Missing],
) -> None:
    """Record the required modalities and features that a group does not have."""
    path = group.sources[0].path
    present = {*group.files, *(readers[name][0] for name in group.streams)}
    for modality in spec.required_modalities:
        if modality not in present:
            missing.append(Missing("file", path, f"no {modality} file for this step"))
    for name in spec.required_features:
        if name not in group.streams:
            missing.append(Missing("file", path, f"no file of {name} features for this step"))


def _note_missing_steps(
    spec: Spec, session: str, groups: list[FileGroup], missing: list[Missing]
) -> None:
    """Record the values of ``steps.expected`` that no group of a session has."""
    for name, values in spec.steps.expected.items():
        for value in sorted(set(values) - {str(group.fields.get(name)) for group in groups}):
            message = f"session {session}: no file with {name}={value}"
            missing.append(Missing("file", groups[0].sources[0].path, message))


def _build_steps(source: _StepSource, group: FileGroup) -> Iterator[dict[str, Any]]:
    """Yield the steps of a group, without their index."""
    spec = source.spec
    files: dict[str, Any] = {name: group.files.get(name) for name in MODALITIES}
    files["face_aligned"] = spec.faces == "aligned"
    for recording in group.sources:
        if recording.path == files["audio"]:
            entry = spec.recordings[recording.entry]
            files |= {"audio_track": entry.track, "audio_channel": entry.channel}
    path = group.sources[0].path
    intervals = [
        interval
        for interval in spec.steps.excluded_intervals
        if all(group.fields.get(name) == value for name, value in interval.when.items())
    ]
    offset = parse_number(group.fields.get(OFFSET_FIELD), f"{path}: {OFFSET_FIELD}", "the table")
    for start, end, texts in _cut_steps(source, group):
        start = start + (offset or 0.0)
        end = None if end is None else end + (offset or 0.0)
        if start < 0:
            reason = f"a step at {start:.3f} s, before the recording starts"
            source.rows.excluded.append((path, reason))
        elif any(
            start < interval.end_s and (end is None or end > interval.start_s)
            for interval in intervals
        ):
            reason = f"a step at {start:.3f} s, inside steps.excluded_intervals"
            source.rows.excluded.append((path, reason))
        else:
            yield {"start_s": start, "end_s": end, **texts, **files}


def _cut_steps(source: _StepSource, group: FileGroup) -> Iterator[StepRange]:
    """Yield the steps of a group, cut into the windows of ``steps.windows``.

    The text of a step is not known for its parts; task and valence are.
    """
    windows = source.spec.steps.windows
    ranges = list(_find_step_ranges(source, group))
    length = None
    if windows is not None and any(end is None for _, end, _ in ranges):
        length = _shortest_duration(source, group)
    for start, end, texts in ranges:
        last = length if end is None else end
        if windows is None or last is None:
            yield start, end, texts
            continue
        parts = list(cut_into_windows(start, last, windows))
        for part_start, part_end in parts:
            yield part_start, part_end, texts if len(parts) == 1 else {**texts, "text": None}


def _find_step_ranges(source: _StepSource, group: FileGroup) -> Iterator[StepRange]:
    """Yield the time range of each step of a group: the rows of a table, or the whole files."""
    spec, table = source.spec, source.table
    path = group.sources[0].path
    if table is not None and isinstance(table.table, StepTable):
        key, rows = table.find_rows(group.fields)
        if not rows and table.table.required:
            message = f"no steps in {table.table.location} for {table.describe(key)}"
            source.rows.missing.append(Missing("row", path, message))
            return
        if rows:
            yield from _read_step_rows(spec, group, table.table, rows)
            return
    yield 0.0, None, _step_texts(group.fields, path)


def _read_step_rows(
    spec: Spec, group: FileGroup, table: StepTable, rows: list[Row]
) -> Iterator[StepRange]:
    """Yield the rows of a step table in order; their fields take precedence over the file's."""
    scale = table.units_per_second
    for row in sorted(rows, key=lambda row: [natural_sort_key(cell) for cell in row.order]):
        fields = dict(row.fields)
        translate_codes(spec, row.fields, fields, row.location)
        start = parse_number(fields["start"], f"{row.location}: start", row.location)
        end = parse_number(fields.get("end"), f"{row.location}: end", row.location)
        if start is None:
            raise ManifestError(
                f"{row.location}: start is empty. Every step needs its start.",
                column="start",
                session=group.session,
            )
        merged = {name: fields.get(name) or group.fields.get(name) for name in STEP_FIELDS}
        texts = _step_texts(merged, row.location)
        yield start / scale, None if end is None else end / scale, texts


def _shortest_duration(source: _StepSource, group: FileGroup) -> float | None:
    """Measure the shortest file of a group in seconds; None if one cannot be read.

    The end of a longer file is listed under ``excluded``.
    """
    assert source.duration is not None, "steps.windows need index_corpus(..., duration=...)"
    durations = {}
    for file in group.sources:
        features = source.spec.recordings[file.entry].features
        try:
            durations[file.path] = source.duration(source.root / file.path, features)
        except ValueError as error:  # extraction reports the file as well
            source.rows.missing.append(Missing("file", file.path, f"no windows: {error}"))
            return None
    shortest = min(durations.values())
    for path, duration in durations.items():
        if duration > shortest + MIN_REMAINDER_S:
            reason = f"the end from {shortest:.3f} s on, after the end of another file of the step"
            source.rows.excluded.append((path, reason))
    return shortest


def _step_texts(fields: Fields, location: str) -> dict[str, str | None]:
    check_allowed(fields.get("valence"), VALENCES, f"{location}: valence", "valence")
    return {name: fields.get(name) for name in ("text", "valence", "task")}
