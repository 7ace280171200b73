"""Index a corpus: build a manifest from the files of a folder and a data spec.

Every file is accounted for: it is part of the manifest, a table, or an entry in one of the lists of
the ``IndexReport``. Files and rows that the spec requires and the folder does not contain are
listed as missing.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from depmm.config import TRACKS
from depmm.corpora.assemble import Duration, ManifestRows, build_rows
from depmm.corpora.errors import ManifestError
from depmm.corpora.field_resolution import resolve_fields
from depmm.corpora.file_roles import FileRoles, find_files
from depmm.corpora.index_log import IndexLog, count_left_out
from depmm.corpora.index_report import (
    IndexReport,
    LeftOut,
    Missing,
    PatternCount,
    separate_unrelated_folders,
)
from depmm.corpora.manifest import Manifest, build_manifest
from depmm.corpora.near_misses import NearMiss, find_near_misses
from depmm.corpora.recording_files import FileGroup, RecordingFile, group_files
from depmm.corpora.spec_layout import collect_facts
from depmm.corpora.spec_schema import RecordingPattern, Spec, StepTable, Table
from depmm.corpora.tables.joined_table import JoinedTable
from depmm.corpora.tables.tables import read_table
from depmm.corpora.word_lists import fill_valence, read_words
from depmm.errors import closest
from depmm.schemas.manifest import FEATURES, STEP_KEY


def index_corpus(
    spec: Spec, root: Path | str, duration: Duration | None = None
) -> tuple[Manifest, IndexReport]:
    """Build the manifest of a corpus folder, and a report that accounts for every file.

    Parameters
    ----------
    spec : Spec
        Description of the corpus, see ``load_spec``.
    root : Path or str
        Folder of the corpus, as it is distributed.
    duration : callable, optional
        Function that measures the duration of a file in seconds, such as
        ``depmm.media.duration.duration_s``; required if the spec cuts files into windows.

    Returns
    -------
    manifest : Manifest
        The manifest, with paths relative to ``root``. It does not depend on the order in which the
        file system lists files.
    report : IndexReport
        Required, present, missing, unused, superseded and excluded files.

    Raises
    ------
    ManifestError
        If no file matches, a column of a table is missing, sources contradict each other, an id is
        unsafe, a score, code, split, gender or time is invalid, or two files are the same step.
    WordListError
        If the spec's word list cannot be used.
    """
    root = Path(root)
    if not root.is_dir():
        raise ManifestError(
            f"{root}: not a folder.",
            file=root,
            remedy=f"Give the folder with the recordings of {spec.name}.",
        )
    words = read_words(spec.word_list) if spec.word_list else []
    roles = find_files(spec, root)
    missing = [Missing("file", path, reason) for path, reason in roles.unreadable.items()]
    if not roles.recordings:
        raise _no_recording_error(spec, root, roles)
    tables = [_read_table(spec, table, root, roles, missing) for table in spec.tables]
    step_table = None
    if spec.steps.table:
        step_table = _read_table(spec, spec.steps.table, root, roles, missing)
    joined_tables = [*tables, *([step_table] if step_table else [])]
    log = IndexLog({file.path for file in roles.recordings})
    for joined in joined_tables:
        log.own_files.update(joined.files if joined.own_columns else ())
    recordings = resolve_fields(spec, roles.recordings, tables, step_table, missing, log)
    groups, superseded = group_files(spec, recordings, log)
    rows = build_rows(spec, groups, step_table, root, duration, log)
    missing += [*rows.missing, *_find_missing_labels(spec, rows, groups, roles)]
    roles.excluded += rows.excluded
    if spec.word_list:
        missing += fill_valence(rows.steps.columns, words, spec.word_list)
    for joined in joined_tables:
        if joined.table.file is not None:
            for key in joined.unused_keys():
                missing.append(
                    Missing("recording", joined.table.location, f"no recording for {key}")
                )
    if not rows.sessions and log.errors:
        raise log.combined_error(root)
    if not rows.sessions:
        raise ManifestError(
            f"{root}: {len(roles.recordings)} recordings, but no session with steps:\n  "
            + "\n  ".join(f"{item.where}: {item.message}" for item in missing[:5]),
            file=root,
        )
    manifest = build_manifest(
        rows.sessions.pop_table(),
        rows.steps.pop_table(),
        rows.features.pop_table([column.name for column in FEATURES.columns if column.few_values]),
        {spec.name: collect_facts(spec)},
    )
    left_out = _count_left_out(spec, roles, joined_tables, rows, recordings)
    return manifest, _report(spec, roles, missing, superseded, manifest, log, left_out)


def _read_table(
    spec: Spec, table: Table, root: Path, roles: FileRoles, missing: list[Missing]
) -> JoinedTable:
    files = roles.tables[table.file] if table.file else []
    if table.file and not files and table.required:
        missing.append(Missing("table", table.file, "no file matches this required table"))
    return read_table(table, root, files, spec)


def _find_missing_labels(
    spec: Spec, rows: ManifestRows, groups: list[FileGroup], roles: FileRoles
) -> Iterator[Missing]:
    """Yield the sessions without the required label; one entry if its tables have no file."""
    if spec.label is None or not spec.label.required or not rows.sessions:
        return
    names = [name for name in (spec.label.score, spec.label.field) if name]
    label = " or ".join(names)
    files = [table.file for table in spec.find_sources(names) if table.file]
    if files and not any(roles.tables[file] for file in files):
        similar = next(filter(None, (closest(file, roles.unmatched) for file in files)), None)
        hint = f" (did you mean {similar!r}?)" if similar else ""
        yield Missing("table", files[0], f"no file matches it{hint}, and no session has {label}")
        return
    recordings = {group.session: group.sources[0].path for group in reversed(groups)}
    columns = rows.sessions.columns
    for session, instrument in zip(columns["session"], columns["instrument"], strict=True):
        if instrument is None:
            message = f"session {session}: no {label} in {spec.describe_sources(names)}"
            yield Missing("row", recordings[session], message)


def _count_left_out(
    spec: Spec,
    roles: FileRoles,
    tables: list[JoinedTable],
    rows: ManifestRows,
    recordings: list[RecordingFile],
) -> Iterator[LeftOut]:
    """Yield how many files, rows and steps the rules of the spec leave out."""
    n_files = Counter(file.entry for file in roles.recordings)
    for index, entry in enumerate(spec.recordings):
        values = roles.left_out.get(index, Counter())
        n_total = n_files[index] + values.total()
        yield from count_left_out(
            entry.pattern,
            "files",
            n_total,
            values,
            entry.keep,
            entry.drop,
            {},
            roles.left_out_examples.get(index, ""),
        )
    for joined in tables:
        table = joined.table
        unit = "steps" if isinstance(table, StepTable) else "rows"
        yield from count_left_out(
            table.location,
            unit,
            joined.n_rows,
            joined.left_out,
            table.keep,
            table.drop,
            joined.kept,
            joined.left_out_example,
        )
    yield from _count_unknown_codes(spec, recordings)
    if n_excluded := rows.reasons.total():
        reasons = dict(rows.reasons.most_common())
        yield LeftOut(
            "times of the steps",
            "steps",
            len(rows.steps),
            n_excluded,
            reasons,
            (),
            rows.excluded_step,
        )


def _count_unknown_codes(spec: Spec, recordings: list[RecordingFile]) -> Iterator[LeftOut]:
    """Yield how many recordings have a code that means unknown."""
    for name, rule in spec.codes.items():
        of = rule.of or name
        if of == name or not any(value is None for value in rule.names.values()):
            continue
        coded = [recording for recording in recordings if recording.fields.get(of) is not None]
        null = [item for item in coded if rule.names.get(str(item.fields[of]), "") is None]
        if null:
            values = Counter(f"{of} {str(item.fields[of])[:80]!r}" for item in null)
            yield LeftOut(
                f"codes.{name} (null is unknown)",
                "values",
                len(coded) - len(null),
                len(null),
                dict(values.most_common()),
                (),
                null[0].path,
            )


def _find_near_misses(spec: Spec, roles: FileRoles) -> tuple[NearMiss, ...]:
    """Compare unmatched files with the patterns; a table without files also with ignored ones."""
    ignored = roles.ignored if any(not paths for paths in roles.tables.values()) else []
    found = find_near_misses(spec, [*roles.unmatched, *ignored])
    matched = {text for text, paths in roles.tables.items() if paths}
    return tuple(
        miss for miss in found if miss.example not in set(ignored) or miss.pattern not in matched
    )


def _no_recording_error(spec: Spec, root: Path, roles: FileRoles) -> ManifestError:
    others = [*roles.unmatched, *(path for path, _ in roles.excluded)]
    examples = f", for example {', '.join(others[:3])}" if others else ""
    patterns = " or ".join(entry.pattern for entry in spec.recordings)
    near = "".join(f" {miss}." for miss in find_near_misses(spec, roles.unmatched)[:3])
    return ManifestError(
        f"{root}: none of {len(others)} files is a recording of {spec.name}{examples}. Expected "
        f"{patterns}: use the folder above them, or correct the spec's patterns.{near}",
        file=root,
        setting="recordings",
    )


def _describe_role(entry: RecordingPattern) -> str:
    """Describe the modalities or features of the files of a pattern."""
    role = "+".join(entry.modalities)
    return f"{role}: {entry.features.name} features" if entry.features else role


def _report(
    spec: Spec,
    roles: FileRoles,
    missing: list[Missing],
    superseded: list[tuple[str, str]],
    manifest: Manifest,
    log: IndexLog,
    left_out: Iterator[LeftOut],
) -> IndexReport:
    n_files = Counter(file.entry for file in roles.recordings)
    patterns = [
        PatternCount(entry.pattern, _describe_role(entry), False, n_files[index])
        for index, entry in enumerate(spec.recordings)
    ]
    patterns += [
        PatternCount(table.file, "table", table.required, len(roles.tables[table.file]))
        for table in spec.all_tables
        if table.file
    ]
    matched = [file.path for file in roles.recordings] + [path for path, _ in roles.excluded]
    for paths in roles.tables.values():
        matched += paths
    unused, unrelated_folders = separate_unrelated_folders(roles.unmatched, matched)
    return IndexReport(
        corpus=spec.name,
        patterns=tuple(patterns),
        failures=tuple(log.failures),
        missing=tuple(missing),
        left_out=tuple(left_out),
        near_misses=_find_near_misses(spec, roles),
        unused=tuple(unused),
        unrelated_folders=unrelated_folders,
        superseded=tuple(superseded),
        excluded=tuple(roles.excluded),
        ignored=len(roles.ignored),
        unused_ignores=tuple(roles.unused_ignores),
        hidden=roles.hidden,
        counts=_count(manifest),
    )


def _count(manifest: Manifest) -> dict[str, int]:
    label, steps, features = manifest.sessions["label"], manifest.steps, manifest.features
    with_any = {}
    for modality in sorted(features["modality"].unique()):
        keys = pd.MultiIndex.from_frame(features.loc[features["modality"] == modality, STEP_KEY])
        present = pd.MultiIndex.from_frame(steps[STEP_KEY]).isin(keys)
        if modality in TRACKS:
            present = present | steps[modality].notna().to_numpy()
        with_any[f"steps_with_any_{modality}"] = int(present.sum())
    return {
        "subjects": manifest.sessions["subject"].nunique(),
        "sessions": len(manifest.sessions),
        "steps": len(steps),
        "positive": int((label == 1).sum()),
        "negative": int((label == 0).sum()),
        "unlabelled": int(label.isna().sum()),
        "scores": int(manifest.sessions["score"].notna().sum()),
        **{f"steps_with_{name}": int(steps[name].notna().sum()) for name in TRACKS},
        **with_any,
        **{
            f"steps_with_{name}_features": int(count)
            for name, count in manifest.features["name"].value_counts(sort=False).items()
        },
    }
