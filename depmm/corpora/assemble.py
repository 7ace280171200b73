"""Build the rows of a manifest's tables from grouped files and the step table."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depmm.config import TRACKS, StreamConfig
from depmm.corpora.cells import Fields, check_allowed, parse_number, translate_codes
from depmm.corpora.errors import ManifestError
from depmm.corpora.index_log import IndexLog
from depmm.corpora.index_report import Missing
from depmm.corpora.lengths import FileLength, GroupLength, combine_lengths
from depmm.corpora.patterns import natural_sort_key
from depmm.corpora.recording_files import FileGroup, RecordingFile
from depmm.corpora.row_columns import RowColumns
from depmm.corpora.session_rows import build_session_row
from depmm.corpora.spec_schema import FILE_FIELDS, OFFSET_FIELD, STEP_FIELDS, Spec, StepTable
from depmm.corpora.step_times import StepRange, add_previous_ends, read_times
from depmm.corpora.tables.joined_table import JoinedTable, Row
from depmm.corpora.tables.table_files import Origin
from depmm.corpora.windows import MIN_REMAINDER_S, cut_into_windows
from depmm.progress import track
from depmm.schemas.manifest import VALENCES

Duration = Callable[[Path, StreamConfig | None], float]  # seconds; ValueError if unreadable
_MAX_WINDOWS = 200_000  # of one step; more are a wrong duration or window


@dataclass
class ManifestRows:
    """Rows of a manifest's tables, and what is missing or excluded.

    Attributes
    ----------
    sessions, steps, features : RowColumns
        Rows of ``sessions.parquet``, ``steps.parquet`` and ``features.parquet``.
    missing : list of Missing
        Files and rows that the spec requires and the folder does not contain.
    excluded : list of tuple of (str, str)
        File, and the reason why one of its steps is excluded.
    reasons : Counter of str
        Reason -> number of excluded steps.
    excluded_step : str
        The first of them; empty if there is none.
    """

    sessions: RowColumns = field(default_factory=RowColumns)
    steps: RowColumns = field(default_factory=RowColumns)
    features: RowColumns = field(default_factory=RowColumns)
    missing: list[Missing] = field(default_factory=list)
    excluded: list[tuple[str, str]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    excluded_step: str = ""

    def exclude(self, path: str, start_s: float, reason: str) -> None:
        """Record a step that is excluded.

        Parameters
        ----------
        path : str
            A file of the step.
        start_s : float
            Start of the step in seconds.
        reason : str
            Why it is excluded.
        """
        step = f"a step at {start_s:.3f} s, {reason}"
        self.excluded.append((path, step))
        self.excluded_step = self.excluded_step or f"{path}: {step}"
        self.reasons[reason] += 1


@dataclass(frozen=True)
class _StepSource:
    """Inputs for building the steps of a group; gaps are recorded in ``rows``."""

    spec: Spec
    table: JoinedTable | None
    root: Path
    duration: Duration | None
    rows: ManifestRows
    log: IndexLog


def build_rows(
    spec: Spec,
    groups: list[FileGroup],
    table: JoinedTable | None,
    root: Path,
    duration: Duration | None,
    log: IndexLog,
) -> ManifestRows:
    """Build the rows of the manifest's tables.

    A session without steps, or with a file that cannot be used, gets no row; the reason is listed
    under ``missing``, ``excluded`` or the failures of ``log``.

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
    log : IndexLog
        Log of the files and sessions that cannot be used.

    Returns
    -------
    ManifestRows
        The rows.

    Raises
    ------
    ManifestError
        If a table of several sessions contains a number, split, gender, valence or score that is
        invalid, or different values for one session.
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
    source = _StepSource(spec, table, root, duration, rows, log)
    for session, members in track(sorted(by_session.items()), "index", "sessions"):
        key = {"corpus": spec.name, "subject": members[0].fields["subject"], "session": session}
        for group in members:
            _note_missing_files(spec, group, readers, rows.missing)
        _note_missing_steps(spec, session, members, rows.missing)
        try:
            steps = [(group, step) for group in members for step in _build_steps(source, group)]
            row = build_session_row(spec, session, members) if steps else {}
        except ManifestError as error:
            log.raise_unless_own(error)
            log.add(error, f"session {session}")
            continue
        for n_steps, (group, step) in enumerate(steps):
            step_key = {**key, "step": n_steps}
            rows.steps.append(step_key | step)
            for name, recording in group.streams.items():
                modality, reader = readers[name]
                stream = {"name": name, "modality": modality, "path": recording.path}
                rows.features.append({**step_key, **stream, "reader": reader})
        if steps:
            rows.sessions.append({**key, **row})
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
    files: dict[str, Any] = {name: group.files.get(name) for name in TRACKS}
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
    for start, end, texts in _cut_steps(source, group):
        if start < 0:
            source.rows.exclude(path, start, "before the recording starts")
        elif any(
            start < interval.end_s and (end is None or end > interval.start_s)
            for interval in intervals
        ):
            source.rows.exclude(path, start, "inside steps.excluded_intervals")
        else:
            yield {"start_s": start, "end_s": end, **texts, **files}


def _cut_steps(source: _StepSource, group: FileGroup) -> Iterator[StepRange]:
    """Yield the steps of a group, cut into the windows of ``steps.windows``.

    The text of a step is not known for its parts; task and valence are.
    """
    windows = source.spec.steps.windows
    ranges = list(_find_step_ranges(source, group))
    if windows is None:
        yield from ranges
        return
    length = None
    if any(end is None for _, end, _ in ranges):
        length = _measure_length(source, group)
    for start, end, texts in ranges:
        last, remainder_s = end, MIN_REMAINDER_S
        if last is None:
            assert length is not None
            last, remainder_s = length.end_s, length.remainder_s
        path = group.sources[0].path
        if start >= last:
            reason = "after the end of the recording"
            source.rows.exclude(path, start, reason)
            continue
        if (last - start) / windows.effective_hop_s > _MAX_WINDOWS:
            raise Origin(path).error(
                f"{last - start:g} s would be cut into more than {_MAX_WINDOWS} windows.",
                value=last - start,
                session=group.session,
                remedy="Check the file and the times of its steps, or use longer windows.",
            )
        parts = list(cut_into_windows(start, last, windows, remainder_s))
        for part_start, part_end in parts:
            if len(parts) > 1:
                texts = {**texts, "text": None}
            yield part_start, part_end, texts
            if "previous_end_s" in texts:  # another speaker speaks before the first window only
                texts = {**texts, "previous_end_s": None}


def _find_step_ranges(source: _StepSource, group: FileGroup) -> Iterator[StepRange]:
    """Yield the time range of each step of a group: the rows of a table, or the whole files."""
    table = source.table
    path = group.sources[0].path
    if table is not None and isinstance(table.table, StepTable):
        key, rows = table.find_rows(group.fields)
        for file in group.sources[1:]:
            # a table that names recordings by their path may name another file of the group
            if not rows:
                other, rows = table.find_rows({**group.fields, **_file_fields(file)})
                key = other if rows else key
        if not rows and table.table.required:
            message = f"no steps in {table.table.location} for {table.describe(key)}"
            source.rows.missing.append(Missing("row", path, message))
            return
        if rows:
            table.check_files(rows, group.fields, source.spec.id_fields)
            steps = list(_read_step_rows(source, group, table.table, rows))
            if table.table.other_turns and key is not None:
                turns = table.left_out_turns.get(key, [])
                steps = add_previous_ends(steps, turns, table.table, _offset_s(group), source.log)
            yield from steps
            return
    yield _offset_s(group), None, _step_texts(group.fields, group.origins)


def _file_fields(file: RecordingFile) -> Fields:
    return {name: file.fields.get(name) for name in FILE_FIELDS}


def _offset_s(group: FileGroup) -> float:
    """Read the seconds that are added to the times of a group's step table."""
    origin = group.origins.get(OFFSET_FIELD, group.origins[""])
    offset = parse_number(group.fields.get(OFFSET_FIELD), OFFSET_FIELD, origin, group.session)
    return offset or 0.0


def _read_step_rows(
    source: _StepSource, group: FileGroup, table: StepTable, rows: list[Row]
) -> Iterator[StepRange]:
    """Yield the rows of a step table in order; their fields take precedence over the file's.

    A row whose times are not those of a step is left out, and the first of them is recorded.
    """
    offset = _offset_s(group)
    steps: list[tuple[Any, StepRange]] = []
    errors = []
    for row in rows:
        fields = dict(row.fields)
        origins = {"": row.origin}
        if source.spec.codes or "valence" in group.fields:
            origins = {**group.origins, **origins, **dict.fromkeys(fields, row.origin)}
        translate_codes(source.spec, row.fields, fields, origins)
        try:
            start, end = read_times(fields, table, row.origin, offset)
        except ManifestError as error:
            errors.append(error)
            continue
        merged = {name: fields.get(name) or group.fields.get(name) for name in STEP_FIELDS}
        times = {table.fields["start"]: start, table.fields.get("end", ""): end}
        order = []
        for column, cell in zip(table.order, row.order, strict=True):
            time = times.get(column)
            order.append(natural_sort_key(cell) if time is None else ((0, time, cell),))
        steps.append((order, (start, end, _step_texts(merged, origins))))
    if errors:
        lines = ", ".join(str(error.line) for error in errors[1:10])
        if lines:
            remark = f" (also in line {lines}{', ...' if len(errors) > 10 else ''})"
            errors[0].args = (f"{errors[0]}{remark}",)
        source.log.add(errors[0], f"{len(errors)} of {len(rows)} steps of session {group.session}")
    yield from (step for _, step in sorted(steps, key=lambda item: item[0]))


def _measure_length(source: _StepSource, group: FileGroup) -> GroupLength:
    """Measure the length of a group; list the files that cannot be read, and what some lack."""
    assert source.duration is not None, "steps.windows need index_corpus(..., duration=...)"
    assert source.spec.steps.windows is not None
    lengths, errors = [], []
    for file in group.sources:
        features = source.spec.recordings[file.entry].features
        try:
            seconds = source.duration(source.root / file.path, features)
        except Exception as error:  # decoders raise many types
            failure = _length_error(file.path, group.session, error)
        else:
            if 0 < seconds < math.inf:
                period_s = 1 / features.rate_hz if features else None
                lengths.append(FileLength(file.path, seconds, period_s))
                continue
            failure = Origin(file.path).error(
                f"no windows: the recording is {seconds:g} s long.",
                session=group.session,
                remedy="Copy the file again from its source, or leave it out with ignore:.",
            )
        part = f"{features.name} features" if features else "recording"
        errors.append((failure, f"the {part} of session {group.session}"))
    if not lengths:
        raise errors[0][0]
    for failure, left_out in errors:  # extraction reports the file as well
        source.log.add(failure, left_out)
    length = combine_lengths(lengths, source.spec.steps.windows)
    source.rows.excluded += length.excluded
    return length


def _length_error(path: str, session: str, error: Exception) -> ManifestError:
    """Turn the error of a reader into that of a file of the corpus."""
    return Origin(path).error(
        f"its length is not known: {getattr(error, 'problem', error)}",
        column=getattr(error, "column", None),
        value=getattr(error, "value", None),
        session=session,
        remedy=getattr(error, "remedy", None),
    )


def _step_texts(fields: Fields, origins: dict[str, Origin]) -> dict[str, str | None]:
    origin = origins.get("valence", origins[""])
    check_allowed(fields.get("valence"), VALENCES, "valence", "valence", origin)
    return {name: fields.get(name) for name in ("text", "valence", "task")}
