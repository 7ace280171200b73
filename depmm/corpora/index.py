"""Index a corpus: walk its folder once, read it by its data spec, account for every file.

Nothing is dropped silently: a file ends up in the manifest, in a table, or in one of the lists of
the ``IndexReport``; what the spec promises and the folder lacks is listed as missing.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from depmm.config import MODALITIES
from depmm.corpora.assemble import (
    Duration,
    Fields,
    RecordingFile,
    build_rows,
    group_files,
    resolve_fields,
)
from depmm.corpora.errors import ManifestError
from depmm.corpora.index_report import IndexReport, Missing, PatternCount, unrelated_folders
from depmm.corpora.manifest import Manifest, build_manifest
from depmm.corpora.patterns import Pattern, compile_pattern, fill_template, is_kept
from depmm.corpora.spec_schema import TRUTH_FILE, RecordingPattern, Spec, Table
from depmm.corpora.tables import JoinedTable, read_table
from depmm.corpora.word_lists import fill_valence, read_words


@dataclass
class _Found:
    """What the walk saw, sorted by what the spec says about it."""

    recordings: list[RecordingFile] = field(default_factory=list)
    tables: dict[str, list[str]] = field(default_factory=dict)  # file pattern -> paths
    ignored: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    excluded: list[tuple[str, str]] = field(default_factory=list)
    hidden: int = 0
    broken: list[str] = field(default_factory=list)


def index_corpus(
    spec: Spec, root: Path | str, duration: Duration | None = None
) -> tuple[Manifest, IndexReport]:
    """Turn a corpus folder into a manifest, with an account of every file.

    Parameters
    ----------
    spec : what the corpus looks like, see ``load_spec``
    root : the folder as it was delivered
    duration : measures a file in seconds, ``depmm.media.duration.duration_s``; needed, and called,
        only where the spec cuts files into windows

    Returns
    -------
    manifest : paths relative to ``root``; does not depend on the order of a folder's files
    report : what was required, present, missing, unused, superseded and left out

    Raises
    ------
    ManifestError : nothing matches, a table lacks a column, tables contradict each other, an
        unsafe id, a score, code, split, gender or time that cannot be, two files for one place
    WordListError : the spec's word list cannot be used
    """
    root = Path(root)
    if not root.is_dir():
        raise ManifestError(f"{root}: no such folder. Give the folder that holds {spec.name}.")
    words = read_words(spec.word_list) if spec.word_list else []
    found = _sort_files(spec, root)
    missing = [
        Missing("file", path, "a link to nothing, no plain file, or a name that is not UTF-8")
        for path in found.broken
    ]
    if not found.recordings:
        raise ManifestError(_nothing(spec, root, found))
    tables = [_read(spec, table, root, found, missing) for table in spec.tables]
    steps_table = None
    if spec.steps.table:
        steps_table = _read(spec, spec.steps.table, root, found, missing)
    groups, superseded = group_files(spec, resolve_fields(spec, found.recordings, tables, missing))
    rows = build_rows(spec, groups, steps_table, root, duration)
    missing += rows.missing
    found.excluded += rows.excluded
    if spec.word_list:
        missing += fill_valence(rows.steps, words, spec.word_list)
    for joined in (*tables, *([steps_table] if steps_table else [])):
        if joined.table.file is not None:
            for key in joined.unused_keys():
                missing.append(Missing("recording", joined.table.place, f"no recording for {key}"))
    if not rows.sessions:
        raise ManifestError(
            f"{root}: {len(found.recordings)} recordings, but no session could be made of them:\n  "
            + "\n  ".join(f"{item.where}: {item.message}" for item in missing[:5])
        )
    manifest = build_manifest(
        pd.DataFrame(rows.sessions),
        pd.DataFrame(rows.steps),
        pd.DataFrame(rows.features),
        {spec.name: spec.facts},
    )
    return manifest, _report(spec, found, missing, superseded, manifest)


def _read(
    spec: Spec, table: Table, root: Path, found: _Found, missing: list[Missing]
) -> JoinedTable:
    files = found.tables[table.file] if table.file else []
    if table.file and not files and table.required:
        missing.append(Missing("table", table.file, "no file matches this required table"))
    return read_table(table, root, files, spec.id_fields)


def _walk(root: Path, found: _Found) -> Iterator[str]:
    """Yield every visible file below ``root``, relative; links to folders are followed once."""
    folders, seen = [("", str(root))], {os.path.realpath(root)}
    while folders:
        prefix, folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise ManifestError(
                f"{folder}: cannot be listed ({error.strerror}). Allow reading it, or move it away."
            ) from None
        for entry in entries:
            path = prefix + entry.name
            if entry.name.startswith("."):
                found.hidden += 1
            elif entry.is_dir():
                if entry.is_symlink():
                    real = os.path.realpath(entry.path)
                    if real in seen:
                        continue
                    seen.add(real)
                folders.append((path + "/", entry.path))
            elif entry.is_file() and _is_utf8(path):
                yield path
            else:
                found.broken.append(path.encode("utf-8", "backslashreplace").decode())


def _is_utf8(path: str) -> bool:
    """Say whether a name can stand in the manifest; others come from foreign file systems."""
    return path.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in path)


def _sort_files(spec: Spec, root: Path) -> _Found:
    """Give every file its role; the first pattern of ``recordings`` that matches decides."""
    found = _Found()
    ignore = [compile_pattern(text) for text in spec.ignore]
    patterns = [(compile_pattern(entry.pattern), entry) for entry in spec.recordings]
    files = {table.file: compile_pattern(table.file) for table in spec.all_tables if table.file}
    found.tables = {text: [] for text in files}
    for path in sorted(_walk(root, found)):
        if path == TRUTH_FILE or any(pattern.match(path) is not None for pattern in ignore):
            found.ignored.append(path)
            continue
        readers = [text for text, pattern in files.items() if pattern.match(path) is not None]
        for text in readers:
            found.tables[text].append(path)
        if not readers and not _take_recording(path, patterns, found):
            found.unmatched.append(path)
    found.broken = sorted(
        path for path in found.broken if not any(pattern.match(path) for pattern in ignore)
    )
    return found


def _take_recording(
    path: str, patterns: list[tuple[Pattern, RecordingPattern]], found: _Found
) -> bool:
    for number, (pattern, entry) in enumerate(patterns):
        captured = pattern.match(path)
        if captured is None:
            continue
        fields: Fields = {"path": path, "stem": PurePosixPath(path).stem, **captured}
        for name, text in entry.fields.items():
            fields[name] = fill_template(text, fields)
        if is_kept(fields, entry.keep, entry.drop):
            found.recordings.append(RecordingFile(path, number, dict(captured), fields))
        else:
            found.excluded.append((path, f"keep/drop of {entry.pattern}"))
        return True
    return False


def _nothing(spec: Spec, root: Path, found: _Found) -> str:
    seen = [*found.unmatched, *(path for path, _ in found.excluded)]
    examples = f", for example {', '.join(seen[:3])}" if seen else ""
    patterns = " or ".join(entry.pattern for entry in spec.recordings)
    return (
        f"{root}: none of {len(seen)} files is a recording of {spec.name}{examples}. Expected "
        f"{patterns}: give the folder above them, or correct the spec's patterns."
    )


def _role(entry: RecordingPattern) -> str:
    """What a pattern's files give, for the report."""
    role = "+".join(entry.modalities)
    return f"{role}: {entry.features.name} features" if entry.features else role


def _report(
    spec: Spec,
    found: _Found,
    missing: list[Missing],
    superseded: list[tuple[str, str]],
    manifest: Manifest,
) -> IndexReport:
    taken = Counter(file.entry for file in found.recordings)
    patterns = [
        PatternCount(entry.pattern, _role(entry), False, taken[number])
        for number, entry in enumerate(spec.recordings)
    ]
    patterns += [
        PatternCount(table.file, "table", table.required, len(found.tables[table.file]))
        for table in spec.all_tables
        if table.file
    ]
    matched = [file.path for file in found.recordings] + [path for path, _ in found.excluded]
    for paths in found.tables.values():
        matched += paths
    unused, others = unrelated_folders(found.unmatched, matched)
    label, steps = manifest.sessions["label"], manifest.steps
    counts = {
        "subjects": manifest.sessions["subject"].nunique(),
        "sessions": len(manifest.sessions),
        "steps": len(steps),
        "positive": int((label == 1).sum()),
        "negative": int((label == 0).sum()),
        "unlabelled": int(label.isna().sum()),
        "scores": int(manifest.sessions["score"].notna().sum()),
        **{f"steps_with_{name}": int(steps[name].notna().sum()) for name in MODALITIES},
        **{
            f"steps_with_{name}_features": int(count)
            for name, count in manifest.features["name"].value_counts(sort=False).items()
        },
    }
    return IndexReport(
        corpus=spec.name,
        patterns=tuple(patterns),
        missing=tuple(missing),
        unused=tuple(unused),
        unrelated_folders=others,
        superseded=tuple(superseded),
        excluded=tuple(found.excluded),
        ignored=len(found.ignored),
        hidden=found.hidden,
        counts=counts,
    )
