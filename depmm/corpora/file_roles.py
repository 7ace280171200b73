"""Roles of the files in a corpus folder: recording, table, ignored, excluded or unmatched."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from depmm.corpora.cells import Fields
from depmm.corpora.errors import ManifestError
from depmm.corpora.patterns import Pattern, compile_pattern, fill_template, is_kept
from depmm.corpora.recording_files import RecordingFile
from depmm.corpora.spec_schema import TRUTH_FILE, RecordingPattern, Spec


@dataclass
class FileRoles:
    """The files of a corpus folder by their role; all paths are relative to the folder.

    Attributes
    ----------
    recordings : list of RecordingFile
        Files that match a pattern under ``recordings``.
    tables : dict of str to list of str
        File pattern of a table -> paths.
    ignored : list of str
        Files that match ``ignore`` of the spec.
    unmatched : list of str
        Files that no pattern matches.
    excluded : list of tuple of (str, str)
        Path, and the rule of the spec that excludes it.
    hidden : int
        Number of files and folders whose name starts with a dot, which are never read.
    unreadable : list of str
        Broken links, special files, and files whose name is not UTF-8.
    """

    recordings: list[RecordingFile] = field(default_factory=list)
    tables: dict[str, list[str]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    excluded: list[tuple[str, str]] = field(default_factory=list)
    hidden: int = 0
    unreadable: list[str] = field(default_factory=list)


def find_files(spec: Spec, root: Path) -> FileRoles:
    """Walk a corpus folder once and assign a role to every file.

    Parameters
    ----------
    spec : Spec
        The spec; the first pattern of ``recordings`` that matches a file is used.
    root : Path
        The folder.

    Returns
    -------
    FileRoles
        Every visible file exactly once; only a table file may be read by several tables.

    Raises
    ------
    ManifestError
        If a folder cannot be listed.
    """
    roles = FileRoles()
    ignore = [compile_pattern(text) for text in spec.ignore]
    patterns = [(compile_pattern(entry.pattern), entry) for entry in spec.recordings]
    tables = {table.file: compile_pattern(table.file) for table in spec.all_tables if table.file}
    roles.tables = {text: [] for text in tables}
    for path in sorted(_walk(root, roles)):
        if path == TRUTH_FILE or any(pattern.match(path) is not None for pattern in ignore):
            roles.ignored.append(path)
            continue
        readers = [text for text, pattern in tables.items() if pattern.match(path) is not None]
        for text in readers:
            roles.tables[text].append(path)
        if not readers and not _match_recording(path, patterns, roles):
            roles.unmatched.append(path)
    roles.unreadable = sorted(
        path for path in roles.unreadable if not any(pattern.match(path) for pattern in ignore)
    )
    return roles


def _walk(root: Path, roles: FileRoles) -> Iterator[str]:
    """Yield the relative path of every visible file; links to folders are followed once."""
    folders, seen = [("", str(root))], {os.path.realpath(root)}
    while folders:
        prefix, folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise ManifestError(
                f"{folder}: cannot be listed ({error.strerror}). Grant read permission, or move "
                "the folder out of the corpus.",
                file=folder,
            ) from None
        for entry in entries:
            path = prefix + entry.name
            if entry.name.startswith("."):
                roles.hidden += 1
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
                roles.unreadable.append(path.encode("utf-8", "backslashreplace").decode())


def _is_utf8(path: str) -> bool:
    """Check that a name can be stored in a manifest; other file systems may have other names."""
    return path.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in path)


def _match_recording(
    path: str, patterns: list[tuple[Pattern, RecordingPattern]], roles: FileRoles
) -> bool:
    for index, (pattern, entry) in enumerate(patterns):
        captured = pattern.match(path)
        if captured is None:
            continue
        fields: Fields = {"path": path, "stem": PurePosixPath(path).stem, **captured}
        for name, text in entry.fields.items():
            fields[name] = fill_template(text, fields)
        if is_kept(fields, entry.keep, entry.drop):
            roles.recordings.append(RecordingFile(path, index, dict(captured), fields))
        else:
            roles.excluded.append((path, f"keep/drop of {entry.pattern}"))
        return True
    return False
